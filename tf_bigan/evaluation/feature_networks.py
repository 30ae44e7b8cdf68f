"""Feature networks: what measures of sample quality compare images by.

All of them take images in [0, 1]. `zoo.find_feature_network` opens one by what the flag --feature_network names.
"""

import collections.abc
import dataclasses
import functools
import hashlib
import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.domains import Images, domain_of
from tf_bigan.errors import InputError, did_you_mean, shown
from tf_bigan.evaluation.settings import INCEPTION
from tf_bigan.files import sha256
from tf_bigan.games.compiled import traced_once
from tf_bigan.reading import check_files

# The graph of 2015-12-05 that papers report, as TF-GAN publishes it.
INCEPTION_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
_INCEPTION_SIZE = 299
_INCEPTION_OUTPUTS = {"pool_3": 2048, "logits": 1008}

_LANCZOS = "Lanczos filter with antialiasing"


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A network that gives features of images, and the probabilities of classes if it is a classifier.

    Attributes:
      name: its name in reports.
      digest: SHA-256 of its weights, in hexadecimal.
      shape: (height, width, channels) of the images that `function` takes; None where it takes any.
      function: function of a batch of such images, float32 [n, height, width, channels] in [0, 1]. It returns
        (features [n, ...], probabilities [n, classes] or None).
      resized: function of a batch of images [n, h, w, channels] and a size (height, width) that resizes them.
      resizing: what `resized` does, as text.
      repeats_grey: whether grey images are repeated to three channels. If not, other channels are refused.
      classifies: whether `function` gives probabilities.
      batch_size: images per call of `function`.
    """

    name: str
    digest: str
    shape: tuple
    function: collections.abc.Callable
    resized: collections.abc.Callable
    resizing: str
    repeats_grey: bool = False
    classifies: bool = False
    batch_size: int = 500

    @property
    def preparation(self) -> str:
        """What happens to images before the network, as text."""
        grey = ", grey images repeated to three channels" if self.repeats_grey else ""
        if None in self.shape[:2]:
            return f"images of any size{grey}"
        return f"resized to {self.shape[0]}x{self.shape[1]} by {self.resizing}{grey}"

    def check(self, shape):
        """Raises InputError unless images of `shape`, (height, width, channels), can be brought to the network's."""
        domain = domain_of(shape)
        if domain.name != Images.name:
            raise InputError(f"{self.name} takes images, found {domain.name}")
        wanted, found = self.shape[-1], domain.shape[-1]
        if wanted not in (None, found) and not (self.repeats_grey and found == 1):
            raise InputError(f"{self.name} takes images of {wanted} channels, and these have {found}")

    def outputs(self, images) -> tuple[np.ndarray, np.ndarray | None]:
        """The network's features and probabilities of images.

        Args:
          images: float [N, h, w, channels] in [0, 1].

        Returns:
          (features, float32 [N, d]; probabilities, float32 [N, classes], or None if the network does not classify).

        Raises:
          InputError: no images, images of other values, shapes or channels, or features that are not finite.
        """
        images = np.asarray(images, np.float32)
        if not images.size:
            raise InputError(f"{self.name} takes at least one image, found shape {list(images.shape)}")
        self.check(images.shape[1:])
        Images(images.shape[1:]).check(images)
        parts = []
        for start in range(0, len(images), self.batch_size):
            parts.append(self._outputs_of_batch(images[start : start + self.batch_size]))
        features, probabilities = (list(column) for column in zip(*parts, strict=True))
        features = np.concatenate(features)
        if not np.isfinite(features).all():
            raise InputError(f"features of {self.name} are NaN or infinite")
        return features, np.concatenate(probabilities) if self.classifies else None

    def features(self, images) -> np.ndarray:
        """The features alone; see `outputs`."""
        return self.outputs(images)[0]

    def probabilities(self, images) -> np.ndarray | None:
        """The probabilities alone; see `outputs`."""
        return self.outputs(images)[1]

    def _outputs_of_batch(self, images):
        batch = tf.constant(images)
        if self.repeats_grey and batch.shape[-1] == 1:
            batch = tf.repeat(batch, 3, axis=-1)
        if None not in self.shape[:2] and batch.shape[1:3] != self.shape[:2]:
            batch = self.resized(batch, self.shape[:2])
        features, probabilities = self.function(batch)
        flat = np.asarray(features, np.float32).reshape(len(images), -1)
        return flat, None if probabilities is None else np.asarray(probabilities, np.float32)


def inception(path=INCEPTION_HANDLE) -> FeatureNetwork:
    """The Inception graph of 2015-12-05, in TF-GAN's form.

    Images are resized to 299x299 as in TF-GAN's examples, and as the graph itself does: bilinear interpolation of
    TensorFlow 1, without antialiasing, where the output's pixel i lies at the input's i * size / 299. In TensorFlow 2,
    the centres of pixels are at half numbers instead. Images are then scaled to [-1, 1]. Features are the 2,048 of
    "pool_3". Probabilities are the softmax of "logits" over all 1,008 outputs, as in TF-GAN. The code of Salimans et
    al. (2016) leaves out the last layer's bias there, so its scores differ a little.

    Args:
      path: TF-Hub's address of the module, or a folder with it. Its files are not known here by their digest: who gives
        a folder says that it holds this graph.

    Raises:
      InputError: the module cannot be loaded, or has other outputs.
    """
    module, folder = _loaded(
        path, f"; get {INCEPTION_HANDLE} on a machine with a network, and give --feature_network=inception:FOLDER"
    )

    def function(images):
        try:
            found = module(images * 2.0 - 1.0)
        except (TypeError, ValueError):  # it takes other images
            found = None
        if not isinstance(found, collections.abc.Mapping):
            found = {}
        flat = {name: tf.reshape(found[name], (len(images), -1)) for name in _INCEPTION_OUTPUTS if name in found}
        if {name: each.shape[1] for name, each in flat.items()} != _INCEPTION_OUTPUTS:
            wanted = " and ".join(f"{name} [N, {size}]" for name, size in _INCEPTION_OUTPUTS.items())
            raise InputError(f"{path} is not {INCEPTION_HANDLE}, which gives {wanted}")
        return flat["pool_3"], tf.nn.softmax(flat["logits"])

    shape = (_INCEPTION_SIZE, _INCEPTION_SIZE, 3)
    return FeatureNetwork(
        INCEPTION,
        _files_digest(folder),
        shape,
        function,
        functools.partial(tf.compat.v1.image.resize, method="bilinear"),
        "bilinear interpolation without antialiasing or half-pixel centres",
        repeats_grey=True,
        classifies=True,
        batch_size=50,
    )


def keras_application(name, weights="imagenet") -> FeatureNetwork:
    """A network of `keras.applications` with its weights of ImageNet, its size and its own preprocessing.

    Features are the outputs of the last global average pooling, or of the layer before the output where there is none,
    as in VGG. Images are resized by bilinear interpolation with antialiasing.

    Args:
      name: such as "ResNet50".
      weights: "imagenet", a weight file's path, or None = random ones.

    Raises:
      InputError: an unknown name, or weights that cannot be had.
    """
    models = {each: made for each, made in vars(keras.applications).items() if each[0].isupper() and callable(made)}
    if name not in models:
        raise InputError(f"keras.applications has no {name!r}.{did_you_mean(name, models)}")
    try:
        network = models[name](weights=weights)
    except Exception as error:  # Keras raises Exception itself for a failed download
        raise InputError(f"keras.applications.{name}: {str(error).splitlines()[0]}") from None
    pools = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    layer = pools[-1] if pools else network.layers[-2]
    both = keras.Model(network.inputs, [layer.output, network.outputs[0]])

    def outputs(images):
        features, classes = both(_preprocessing(name)(images * 255.0), training=False)
        return [tf.cast(features, tf.float32), tf.cast(classes, tf.float32)]

    shape = tuple(network.inputs[0].shape[1:])
    return FeatureNetwork(
        f"keras:{name}",
        _weights_digest(network),
        shape,
        traced_once(outputs, tf.zeros((0, *shape)), batches=True),
        functools.partial(tf.image.resize, method="bilinear", antialias=True),
        "bilinear interpolation with antialiasing",
        repeats_grey=True,
        classifies=True,
        batch_size=50,
    )


def module(path) -> FeatureNetwork:
    """An exported encoder, or any image feature vector of TF-Hub: a SavedModel from images to features.

    If the module does not take images of any size, as those that `tf_bigan.export` writes do, images are resized to its
    size by Lanczos' filter with antialiasing.

    Args:
      path: the folder.

    Raises:
      InputError: the folder holds no such module.
    """
    loaded, folder = _loaded(path)
    try:
        (spec,) = loaded.signatures["serving_default"].structured_input_signature[1].values()
        shape = tuple(spec.shape[1:])
    except (AttributeError, KeyError, ValueError):
        shape = ()
    if len(shape) != 3 or not callable(loaded):
        raise InputError(f"{path} is no module that takes images [N, height, width, channels]")

    def function(images):
        features = loaded(images)
        if isinstance(features, collections.abc.Mapping):
            raise InputError(f"{path} gives {', '.join(sorted(features))} instead of features [N, d]")
        return features, None

    return FeatureNetwork(str(path), _files_digest(folder), shape, function, _lanczos, _LANCZOS)


def layer_of(model, digest, name, layer="penultimate") -> FeatureNetwork:
    """A layer of a model's encoder, or of its discriminator if it has no encoder; see `Game.features`.

    If D has an output for each class, the network is a classifier, too. Images are resized by Lanczos' filter with
    antialiasing.

    Args:
      model: a Game of images.
      digest: SHA-256 of its weights.
      name: its name in reports, to which the layer's is added.
      layer: a layer's name, "code" or "penultimate".

    Raises:
      InputError: a model of points, an unknown layer, or one that depends on labels or attributes.
    """
    if model.domain.name != Images.name:
        raise InputError(f"{name} is a model of {model.domain.name}; measures of samples take features of images")
    function = model.feature_function(layer)
    if asked := model.conditions_of_layer(layer):
        raise InputError(f"layer {layer!r} of {name} depends on {asked[0]}, and features are of images alone")
    classifies = bool(model.class_count) and not model.conditions

    def both(images):
        return function(images), model.class_probabilities(images.numpy()) if classifies else None

    shape = tuple(model.example_shape)
    return FeatureNetwork(f"{name}:{layer}", digest, shape, both, _lanczos, _LANCZOS, classifies=classifies)


def as_feature_network(found) -> FeatureNetwork:
    """A `FeatureNetwork` as it is, or one made of a classifier.

    Args:
      found: a `FeatureNetwork`, or an object with `name`, `digest` (SHA-256 of its weights), `example_shape` (height,
        width, channels), `features(images)` -> float [N, ...] and `class_probabilities(images)` -> float [N, classes],
        which takes images in [0, 1]. If it has `outputs(images)` -> (features, probabilities), as `ImageClassifier`
        has, that is called instead. Images of other sizes are resized by Lanczos' filter with antialiasing.

    Raises:
      InputError: another object, or one with a `value_range` that is not (0, 1).
    """
    if isinstance(found, FeatureNetwork):
        return found
    wanted = ("name", "digest", "example_shape", "features", "class_probabilities")
    if missing := [each for each in wanted if not hasattr(found, each)]:
        raise InputError(f"a feature network has {', '.join(wanted)}; {shown(found)} has no {missing[0]}")
    if found.name == INCEPTION:
        raise InputError(f"the name {INCEPTION!r} is kept for the graph of 2015; give the classifier another name")
    low, high = getattr(found, "value_range", (0, 1))
    if (low, high) != (0, 1):
        raise InputError(f"{found.name} takes values in [{low:g}, {high:g}]; feature networks take images in [0, 1]")

    def both(images):
        images = images.numpy()
        if hasattr(found, "outputs"):
            return found.outputs(images)
        return found.features(images), found.class_probabilities(images)

    shape = tuple(found.example_shape)
    if domain_of(shape).name != Images.name:
        raise InputError(f"{found.name} classifies points; measures of samples take features of images")
    return FeatureNetwork(found.name, found.digest, shape, both, _lanczos, _LANCZOS, classifies=True)


def _preprocessing(name):
    """The `preprocess_input` of a network of `keras.applications`, of images in 0 ... 255."""
    place = getattr(keras.applications, name).__module__.rpartition(".")[2]
    return getattr(keras.applications, place).preprocess_input


def _lanczos(images, size):
    return tf.clip_by_value(tf.image.resize(images, size, "lanczos3", antialias=True), 0.0, 1.0)


def _loaded(path, hint=""):
    """(a SavedModel, the folder that it is in)."""
    import tensorflow_hub as hub

    try:
        folder = hub.resolve(os.fspath(path))
        check_files(folder)
        return hub.load(folder), pathlib.Path(folder)
    except Exception as error:  # a damaged SavedModel can raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} cannot be loaded: {reason[0][:200]}{hint}") from None


def _files_digest(folder):
    """The SHA-256 of a SavedModel's graph and variables."""
    files = [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]
    told = "\n".join(f"{sha256(file)}  {file.name}" for file in files if file.is_file())
    return hashlib.sha256(told.encode()).hexdigest()


def _weights_digest(network):
    digest = hashlib.sha256()
    for weights in network.get_weights():
        digest.update(f"{weights.dtype} {weights.shape}".encode())
        digest.update(np.ascontiguousarray(weights).data)
    return digest.hexdigest()
