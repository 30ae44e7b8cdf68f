"""Exports a trained encoder (or generator) as a TF-Hub module, checked in a fresh process.

  python tools/export.py --model=bigan_mnist --output=/tmp/bigan_mnist_module

Then hub.load("/tmp/bigan_mnist_module")(images) computes its features.
"""

import common
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "a zoo model's name, or a run directory; required")
_OUTPUT = flags.DEFINE_string("output", None, "the folder to write; required")
_ROLE = flags.DEFINE_string("role", "encoder", "encoder or generator")
_LAYER = flags.DEFINE_string(
    "layer",
    "penultimate",
    "the encoder's features: penultimate, code or a layer's name, or crelu(NAME) for [ReLU(h), ReLU(-h)] of it",
)
_FOLD = flags.DEFINE_bool("fold", True, "fold batch norms into the layers before them")


def main():
    """Loads the model, exports it and prints the path."""
    name, output = common.require(_MODEL), common.require(_OUTPUT)
    common.import_tensorflow()
    import tf_bigan
    from tf_bigan import zoo

    model = zoo.load_part(name, _ROLE.value)
    path = tf_bigan.export(model, output, _ROLE.value, _LAYER.value, _FOLD.value, common.note)
    print(f"{name}: {_ROLE.value} exported to {path}; a fresh process gave the model's outputs")


if __name__ == "__main__":
    common.run(main, __doc__)
