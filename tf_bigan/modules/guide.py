"""The README.md that goes with an exported module."""

README = "README.md"

_TEXT = """# A module of tf_bigan

It maps {inputs} to {outputs}.{sizes} The lines below run in this folder; elsewhere, give its path instead of ".".

```python
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
{examples}
module = tf.saved_model.load(".")        # keep this reference: the module's functions do not keep its variables
module({given})
{more}```

As a layer of Keras 3, which any optimizer trains and which is saved in `.keras` files:

```python
import tf_bigan

layer = tf_bigan.ModuleLayer(".")
layer({given})
```

In tf_keras, `tensorflow_hub.KerasLayer(".", trainable=True)` does the same. Without tf_bigan, Keras 3 has
`keras.layers.TFSMLayer(".", call_endpoint="__call__")`, whose weights only optimizers without state can train.

`sha256sum -c SHA256SUMS` tells whether the files are those that were written.
"""


def guide(specs, examples, outputs, layers, encodes) -> str:
    """The text of README.md.

    Args:
      specs: the specs of the module's inputs.
      examples: an array of examples for each of them, or of codes.
      outputs: the outputs' array of these examples.
      layers: the names of the layers that the module gives.
      encodes: whether it gives codes of its inputs alone.
    """
    lines = [
        f"{spec.name} = rng.uniform(size={(2, *each.shape[1:])})" for spec, each in zip(specs, examples, strict=True)
    ]
    names = [spec.name for spec in specs]
    more = [f"module.layers[{layers[-1]!r}]({names[0]})" + _comment(f"any of {', '.join(layers)}")] if layers else []
    more += [f"module.encode({names[0]})" + _comment("codes")] if encodes else []
    any_size = specs[0].shape.rank == 4 and specs[0].shape[1] is None
    return _TEXT.format(
        inputs=" and ".join(_told(spec, each.shape) for spec, each in zip(specs, examples, strict=True)),
        outputs=f"float32 [N, {', '.join(map(str, outputs.shape[1:]))}]",
        sizes=" Images of other sizes are resized and cropped as in training." if any_size else "",
        examples="\n".join(lines),
        given=names[0] if len(names) == 1 else "{" + ", ".join(f'"{name}": {name}' for name in names) + "}",
        more="".join(f"{line}\n" for line in more),
    )


def _told(spec, shape):
    range_ = " in [0, 1]" if len(shape) == 4 else ""
    return f"{spec.name}, {spec.dtype.name} [N, {', '.join(map(str, shape[1:]))}]{range_}"


def _comment(text):
    return f"        # {text}"
