"""Publishes a finished and evaluated run as a zoo entry: flags, weights, checksums, metrics and a model card.

python tools/publish.py --run=/tmp/bigan_mnist --name=bigan_mnist --terms="MNIST: CC BY-SA 3.0."
"""

import pathlib

import common
from absl import flags

_RUN = flags.DEFINE_string("run", None, "the run directory; required")
_NAME = flags.DEFINE_string("name", None, "the zoo entry's name; an existing one is replaced; required")
_TERMS = flags.DEFINE_string("terms", None, "the terms of the training data, for the card; required")
_WEIGHTS = flags.DEFINE_bool("weights", True, "publish the weights too; --noweights: flags, metrics and card alone")
_ZOO = flags.DEFINE_string("zoo", None, "the zoo's folder; default: this project's")


def main():
    """Publishes and loads the result once."""
    run, name, terms = common.require(_RUN), common.require(_NAME), common.require(_TERMS)
    common.import_tensorflow()
    from tf_bigan import zoo

    path = zoo.publish(run, name, terms, _WEIGHTS.value, pathlib.Path(_ZOO.value) if _ZOO.value else None)
    zoo.load(path, weights="published" if _WEIGHTS.value else None)
    print(f"published {path}")


if __name__ == "__main__":
    common.run(main, __doc__)
