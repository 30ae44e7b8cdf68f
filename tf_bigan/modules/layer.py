"""An exported module as a layer of Keras 3."""

import base64
import lzma
import os
import pathlib
import tempfile

import keras
import tensorflow as tf
from keras.src.saving import serialization_lib

from tf_bigan.domains import numbers
from tf_bigan.errors import InputError
from tf_bigan.modules.loading import GRAPH, Module
from tf_bigan.modules.operations import check_operations
from tf_bigan.modules.reading import form_of, runner, variables_of

LARGEST = 2**28  # bytes of a graph


@keras.saving.register_keras_serializable("tf_bigan")
class ModuleLayer(keras.layers.Layer):
    """A module that `tf_bigan.export` wrote, or an image feature vector of TF-Hub, as a layer of Keras 3.

    The module's variables are the layer's weights, so any optimizer trains them. A model with this layer is saved in a
    `.keras` file with the weights and the module's graph, and is loaded without the module; before that,
    `tf_bigan.modules.layer` must be imported. With Keras' safe mode, only graphs of operations that compute are loaded.

    The layer takes what the module takes as float [N, ...], such as images [N, height, width, C] in [0, 1]. If the
    module takes several inputs, the layer takes a dictionary of them. It gives [N, ...] in its compute dtype, and
    computes in float32 whatever its dtype policy, as the module does.

    Args:
      path: the module's folder, or an address of TF-Hub.
      output: the name of a layer of the module, as in `module.layers`, or "code"; None = what the module itself gives.
      trainable: whether training changes the weights. It may be set later, as for any layer.
      graph: for Keras, which loads layers with it: the module's graph. Nothing is read from `path` then.
      **kwargs: as for `keras.layers.Layer`.

    Raises:
      InputError: there is no such module, it is damaged, or has no such layer. A call raises it for inputs of another
        shape or dtype.
    """

    def __init__(self, path, output=None, trainable=True, graph=None, **kwargs):
        super().__init__(trainable=trainable, autocast=False, **kwargs)
        self.supports_jit = False  # XLA lacks the operation that resizes images
        self.module_path, self.output_name = os.fspath(path), output
        if graph is None:
            module = Module(path)
            graph = (module.folder / GRAPH).read_bytes()
            self._graph = base64.b64encode(lzma.compress(graph)).decode()
        else:
            module = _without_weights(graph, path)
            self._graph = graph
            for variable in variables_of(module.loaded, output):
                variable.assign(tf.zeros(variable.shape, variable.dtype))
        form = form_of(module, output)
        object.__setattr__(self, "_form", form)  # untouched by Keras, which would wrap the lists in it
        # A function, as Keras would track the module itself, and its variables a second time.
        self._run = runner(module.loaded, output, form)
        # A Keras variable of a TensorFlow one uses the latter.
        for number, variable in enumerate(variables_of(module.loaded, output)):
            name = variable.name.split(":")[0].replace("/", "_")
            held = {"trainable": variable.trainable, "dtype": variable.dtype.name, "autocast": False, "name": name}
            with keras.name_scope(self.name, caller=self):
                weight = keras.Variable(variable, **held)
            self._track_variable(weight)
            setattr(self, f"_weight_{number}", weight)  # where tf.train.Checkpoint finds it
        self.built = True

    def __call__(self, inputs, *args, **kwargs):
        self._check(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs, training=None):
        specs = self._form["inputs"]
        given = [tf.cast(each, dtype) for each, (_, _, dtype) in zip(self._listed(inputs), specs, strict=True)]
        return tf.cast(self._run(given, bool(training) and self.trainable), self.compute_dtype)

    def compute_output_spec(self, inputs, training=None):
        batch = self._listed(inputs)[0].shape[0]
        return keras.KerasTensor((batch, *self._form["outputs"]), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "path": self.module_path, "output": self.output_name, "graph": self._graph}

    @classmethod
    def from_config(cls, config):
        if serialization_lib.in_safe_mode() is not None:
            return cls(**config)  # from a file, which has the weights
        config = {name: value for name, value in config.items() if name != "graph"}
        return cls(**config)  # a copy, as of `keras.models.clone_model`, begins with the module's weights

    def _listed(self, inputs):
        """The inputs in the module's order."""
        specs = self._form["inputs"]
        return [inputs] if len(specs) == 1 else [inputs[name] for name, *_ in specs]

    def _check(self, inputs):
        """Raises InputError unless the shapes and dtypes of the inputs are those that the module takes."""
        specs = self._form["inputs"]
        names = [name for name, *_ in specs]
        if len(names) > 1 and not (isinstance(inputs, dict) and set(inputs) >= set(names)):
            raise InputError(f"the layer {self.name} takes a dictionary of {' and '.join(names)}")
        for value, (name, shape, dtype) in zip(self._listed(inputs), specs, strict=True):
            value = value if hasattr(value, "shape") and hasattr(value, "dtype") else numbers(value, name)
            found = None if getattr(value.shape, "rank", 0) is None else tuple(value.shape)
            if found is not None and not tf.TensorShape(shape).is_compatible_with(found):
                wanted = ", ".join(["N", *("any" if size is None else str(size) for size in shape[1:])])
                raise InputError(f"{name} must have shape [{wanted}], got {list(found)}")
            wants_float = tf.as_dtype(dtype).is_floating
            if wants_float and not tf.as_dtype(keras.backend.standardize_dtype(value.dtype)).is_floating:
                hint = " in [0, 1]" if len(shape) == 4 else ""
                rescale = "; scale uint8 with keras.layers.Rescaling(1 / 255)" if len(shape) == 4 else ""
                raise InputError(f"{name} must be float{hint}, got {value.dtype}{rescale}")


def _without_weights(graph, path):
    """The module of a graph from a config, base64 of LZMA. Its weights have no values.

    Raises:
      InputError: the graph is damaged or, in Keras' safe mode, may do more than compute.
    """
    try:
        content = lzma.LZMADecompressor().decompress(base64.b64decode(graph), LARGEST)
    except (ValueError, TypeError, lzma.LZMAError):
        raise InputError(f"the layer of {path} is damaged, as its graph cannot be read") from None
    if serialization_lib.in_safe_mode():
        check_operations(content, path)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / GRAPH).write_bytes(content)
        return Module(folder, weights=False)
