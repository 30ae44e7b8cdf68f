"""A trained network as a TF-Hub reusable SavedModel."""

import contextlib
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.data import pixels
from tf_bigan.errors import InputError, did_you_mean, reason
from tf_bigan.files import replacing, write_checksums
from tf_bigan.games.inspection import base_layer, depends_on_conditions, feature_layers, feature_model
from tf_bigan.games.pair_model import PairModel
from tf_bigan.modules.guide import README, guide
from tf_bigan.modules.tracing import Taking
from tf_bigan.networks.folding import fold_batch_norms
from tf_bigan.networks.layers import Network

# How far the outputs of the module, loaded in a fresh process, may differ from the model's. Where the largest output
# exceeds 1, it is relative to that.
TOLERANCE = 1e-5
ROLES = ("encoder", "generator")

# Layers that only reshape or rescale; a module does not offer them by name.
_PLUMBING = (keras.layers.Flatten, keras.layers.Rescaling, keras.layers.Reshape)

# The script that the fresh process runs. It imports neither tf_bigan nor Keras. It starts while the module is made, and
# then reads the paths of the module, of inputs and of the outputs that it is to write.
_RELOAD = """
import sys
import numpy as np
import tensorflow as tf
path, inputs, outputs = sys.stdin.read().splitlines()
module = tf.saved_model.load(path)
inputs = {name: tf.constant(values) for name, values in np.load(inputs).items()}
np.save(outputs, module(inputs if len(inputs) > 1 else next(iter(inputs.values()))).numpy())
"""


def export(model, path, role="encoder", layer="penultimate", fold=True, say=lambda line: None):
    """Writes a network of `model` as a SavedModel for `hub.load`, `hub.KerasLayer`, `TFSMLayer` or TF Serving.

    An encoder's module maps float32 images [N, height, width, C] in [0, 1] to float32 [N, features]: the outputs of
    `layer`, flattened. Images may have any size. Images of the network's size are used unchanged; all others are
    resized and cropped in the graph according to the model's `preparation`, which the module's `preparation()` returns
    as JSON. The module of a network of points, or of images that are not square, takes only examples of the network's
    shape. The module's `encode` maps images to codes [N, latent_dim]. Its `layers` is a dictionary, layer name ->
    function from images to that layer's outputs, float32 [N, ...], for example `module.layers["conv3"](images)`; each
    of these functions is a signature, too. A generator's module maps codes [N, latent_dim] to images in [0, 1]. If a
    network takes noise, its noise is 0.

    Features are of images alone: layers that depend on a label or on attributes are not among `layers`. A conditional
    encoder's `encode` takes them after the images: `module.encode(images, attributes)`. The module of a conditional
    generator takes a dictionary: {"z": codes, "attributes": attributes}. The embedding of attributes is in the module.

    Beside float32, a module takes float64, and images of uint8, which it divides by 255. A single example, without the
    axis of the batch, is taken as a batch of one. An empty batch gives an empty result.

    The network is exported in float32, whatever the model's precision. Its batch norms are in inference mode and, where
    the graph allows it, folded into the layers before them (`networks.folding`). The module accepts `training`, as
    hub.KerasLayer needs it; its weights are trainable, even if the model's are frozen. `tf_bigan.ModuleLayer` is a
    layer of Keras 3 with it. The folder also holds SHA256SUMS, by which damage is noticed, and a README.md with lines
    to start from.

    Args:
      model: a Game with inference statistics, as `tf_bigan.load` returns.
      path: the folder to write; it must not exist or must hold an earlier export.
      role: "encoder" (for a system without one, the discriminator's features) or "generator".
      layer: the encoder's layer: "penultimate", "code", or a name as in `Game.features`, such as "crelu(conv5_norm)".
        Not for a generator.
      fold: whether to fold batch norms. A layer with a folded batch norm is offered under the batch norm's name
        ("conv2_norm", not "conv2_linear"). If folding would remove `layer`, the network is exported unfolded.
      say: function that is called with a line of text when each part of the work begins.

    Returns:
      `path` as a string. By then, a fresh process has loaded the module, and its outputs agreed with the model's within
      1e-5, or within 1e-5 times the largest output if that exceeds 1.

    Raises:
      InputError: the role or layer is unknown, the path cannot be used, or the module's outputs differ from the
        model's. Nothing is left at `path` then.
    """
    path = pathlib.Path(path)
    if role not in ROLES:
        raise InputError(f"unknown role {role!r}.{did_you_mean(role, ROLES)}")
    if path.exists() and not (path / "saved_model.pb").exists():
        raise InputError(f"{path} exists and is no SavedModel; give a folder that does not exist yet")
    if not isinstance(model, PairModel):
        raise InputError(f"export takes a model as tf_bigan.load returns it, found {type(model).__name__}")
    if role == "generator" and layer != "penultimate":
        raise InputError(f"layer={layer!r} is of an encoder; a generator's module gives images")
    with _fresh_process() as fresh, replacing(path) as temporary:
        if role == "encoder":
            module, inputs, expected = _encoder_module(model, layer, fold)
        else:
            module, inputs, expected = _generator_module(model, fold)
        signatures = module.signatures()
        say(f"writing the module with its {len(signatures)} signatures")
        try:
            tf.saved_model.save(module, str(temporary), signatures=signatures)
        except tf.errors.OpError as error:  # what TensorFlow raises where Python raises OSError
            raise InputError(f"cannot write {path}: {reason(error.message)}") from None
        files = [file for file in temporary.rglob("*") if file.is_file()]
        encodes = hasattr(module, "encode") and not model.conditions
        text = guide(module.specs, inputs, expected, list(module.layers), encodes)
        (temporary / README).write_text(text, encoding="utf-8")
        write_checksums(temporary, [file.relative_to(temporary).as_posix() for file in files])
        say("comparing it with the model in a fresh process")
        names = [spec.name for spec in module.specs]
        error = _reload_error(fresh, temporary, dict(zip(names, inputs, strict=True)), expected)
        if not error <= TOLERANCE:  # NaN is refused too
            raise InputError(
                f"the exported module differs from the model by {error:.3g}, more than {TOLERANCE:g}; it was removed."
                + ("\n--nofold exports it without folding batch norms" if fold else "")
            )
    return str(path)


class _Module(tf.__internal__.tracking.AutoTrackable):
    """A callable with explicit lists of variables: tf.Module does not find the variables of Keras 3 (keras#20095).

    Args:
      networks: the Keras models whose variables the function uses.
      function: function of tensors [N, ...] that gives a tensor [N, ...].
      specs: the specs of its inputs, with names. If there are several, the module takes a dictionary.
    """

    def __init__(self, networks, function, specs):
        self._networks = networks  # so that their variables are saved with the module
        self.variables = [v.value for network in networks for v in network.variables]
        self.trainable_variables = [v.value for network in networks for v in network.trainable_variables]
        self.regularization_losses = []
        self.specs, self._names = specs, [spec.name for spec in specs]
        self._taking = Taking(function, specs)
        self._signatures = {"serving_default": self._taking}
        self.layers = {}
        # Both values of `training` need traces of their own; hub.KerasLayer passes a Python bool.
        for kinds in self._taking.kinds():
            inputs = kinds[0] if len(kinds) == 1 else dict(zip(self._names, kinds, strict=True))
            for training in (False, True):
                self.__call__.get_concrete_function(inputs, training=training)

    @functools.partial(
        tf.function, autograph=False
    )  # converting Python's control flow, of which there is none, is slow
    def __call__(self, inputs, training=False):
        del training  # see `export`
        return self._taking(*([inputs] if len(self._names) == 1 else (inputs[name] for name in self._names)))

    def add(self, name, function, specs):
        """Adds a function of its own, `encode` or a layer, which is a signature, too."""
        self._signatures[name] = Taking(function, specs)
        if name == "encode":
            self.encode = self._signatures[name].traced()
        else:
            self.layers[name] = self._signatures[name].traced()

    def signatures(self):
        """The signatures of the SavedModel, by name."""
        return {name: taking.signature() for name, taking in self._signatures.items()}


def _encoder_module(model, layer, fold):
    """(module, examples to test it with, the model's features of these examples)."""
    if base_layer(layer) == "code" and model.encoder is None:
        raise InputError(f"{model.name} has no encoder, so it has no code")
    if asked := model.conditions_of_layer(layer):
        apart = [each for each in model.layer_names if not model.conditions_of_layer(each)]
        instead = f"; {apart[-1]} does not, and its module's encode takes {asked[0]}, too" if apart else ""
        raise InputError(f"{layer} of {model.name} depends on {asked[0]}, and modules give features of images{instead}")
    original = _float32_twin(model.feature_network)
    network = fold_batch_norms(original) if fold else original
    name = model.feature_name(layer)
    if base_layer(name) not in {"code", *(found.name for found in network.layers)}:
        network = original

    spec, prepared = _inputs_of(model)
    specs = _condition_specs(model, network)

    def run(network, examples, *conditions):
        given = dict(zip(specs, conditions, strict=False)) or model.idle_conditions(network, tf.shape(examples)[0])
        return network(model.inputs_of(network, [examples], given), training=False)

    def part(network):
        return network if layer == "code" else feature_model(network, name)

    def forward(part, examples):
        outputs = model.read_out(name, run(part, examples))
        return tf.reshape(outputs, (tf.shape(outputs)[0], int(np.prod(outputs.shape[1:]))))

    # The module's trainable variables are those that its features depend on, not those of the whole network.
    features = part(network)
    module = _Module([features], lambda examples: forward(features, prepared(examples)), [spec])
    if model.preparation is not None:
        module.preparation = tf.function(
            lambda: tf.constant(model.preparation.to_json()), input_signature=(), autograph=False
        )
    module._network, module._embedding = network, model.embedding

    def add_layer(name, part):
        module.add(name, lambda examples: run(part, prepared(examples)), [spec])

    for found in feature_layers(network):
        if not isinstance(found, _PLUMBING) and not depends_on_conditions(network, found.name):
            add_layer(found.name, feature_model(network, found.name))
    if model.encoder is not None:
        module.add(
            "encode",
            lambda examples, *conditions: model.posterior.mean(run(network, prepared(examples), *conditions)),
            [spec, *specs.values()],
        )
    examples = np.random.default_rng(0).uniform(size=(8, *model.example_shape)).astype(np.float32)
    with tf.device("CPU"):  # the fresh process has no GPU either
        return module, [examples], forward(part(original), tf.constant(examples)).numpy()


def _inputs_of(model):
    """(the spec of a module's input, a function that prepares such an input for the network).

    The input is images of any size if the network takes square images. Otherwise, it is examples of the network's
    shape.
    """
    preparation = model.preparation
    if preparation is None or preparation.dimensions:
        return tf.TensorSpec((None, *model.example_shape), tf.float32, name=model.domain.name), tf.identity

    def prepared(images):
        return pixels.prepared(images, preparation.image_size, preparation.shorter_edge or preparation.image_size)

    return tf.TensorSpec((None, None, None, preparation.channels), tf.float32, name="images"), prepared


def _generator_module(model, fold):
    """(module, codes to test it with, the model's examples from these codes)."""
    if model.generator is None:
        raise InputError(f"{model.name} has no generator")
    original = _float32_twin(model.generator)
    network = fold_batch_norms(original) if fold else original
    spec = tf.TensorSpec((None, model.prior.latent_dim), tf.float32, name="z")
    specs = _condition_specs(model, network)
    inputs = [model.noise(8, 0).numpy()]
    for each in specs.values():
        values = np.random.default_rng(0).integers(0, 2, (8, *(size or 1 for size in each.shape[1:])))
        inputs.append(values.astype(each.dtype.as_numpy_dtype))

    def run(network, z, *conditions):
        return network(model.inputs_of(network, [z], dict(zip(specs, conditions, strict=True))), training=False)

    trained = [network, model.embedding] if specs and model.embedding is not None else [network]
    module = _Module(trained, lambda *inputs: run(network, *inputs), [spec, *specs.values()])
    with tf.device("CPU"):
        return module, inputs, run(original, *map(tf.constant, inputs)).numpy()


def _condition_specs(model, network):
    """The specs of the label and the attributes that a network depends on, by name."""
    found = model.condition_inputs(network).items()
    return {name: tf.TensorSpec((None, *each.shape[1:]), each.dtype, name=name) for name, each in found}


def _float32_twin(network):
    def in_float32(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    # The networks of tf_bigan pass their dtype on to their layers; in other models, each layer has its own.
    twin = (
        in_float32(network)
        if isinstance(network, Network)
        else keras.models.clone_model(network, clone_function=in_float32)
    )
    twin.set_weights(network.get_weights())
    for layer in twin._flatten_layers():  # `twin.trainable = True` does nothing where the model itself is trainable
        layer.trainable = True
    return twin


@contextlib.contextmanager
def _fresh_process():
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _RELOAD], **pipes, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _reload_error(process, path, inputs, expected):
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/inputs.npz", f"{folder}/outputs.npy"]
        np.savez(files[0], **inputs)
        _, told = process.communicate("\n".join([str(path), *files]))
        if process.returncode:
            raise InputError(f"the exported module does not load in a fresh process: {(told.splitlines() or [''])[-1]}")
        return float(np.abs(np.load(files[1]) - expected).max() / max(1.0, np.abs(expected).max()))
