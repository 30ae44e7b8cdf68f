"""Classifiers of images, which judge samples and give the features that measures of sample quality compare.

A classifier is a folder with two files: `classifier.keras`, a Keras model, and `classifier.json`, which says how it was
trained and how well it classifies. `train_classifier` writes it.
"""

import dataclasses
import functools
import math
import pathlib
import zipfile

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.domains import Images
from tf_bigan.errors import InputError
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK, read_about
from tf_bigan.games.compiled import traced_once
from tf_bigan.games.sizes import shapes_of
from tf_bigan.reading import opened, parsed, sha256, size_of

FEATURES = "features"  # the layer before the logits

_BATCH = 500


@dataclasses.dataclass(frozen=True)
class ImageClassifier:
    """A trained classifier of images.

    Attributes:
      name: its name in reports.
      digest: SHA-256 of the file of its network, in hexadecimal.
      network: the Keras model: float32 [N, height, width, channels] in [0, 1] -> logits, float32 [N, classes]. Its
        layer "features" gives the features.
      class_names: the classes, in the order of the logits.
      about: what `classifier.json` says: the "dataset", its "split" and number of "examples", the "test_dataset", its
        "test_split" and number of "queries", the "accuracy" on these in percent, "image_shape", "class_names" and
        "settings".
    """

    name: str
    digest: str
    network: keras.Model
    class_names: list
    about: dict

    @classmethod
    def load(cls, path, name=None):
        """Reads a classifier from its folder.

        Args:
          path: the folder.
          name: its name in reports; None = the folder's.

        Raises:
          InputError: a file is missing or damaged.
        """
        path = pathlib.Path(path)
        about = read_about(path)
        class_names, digest = about["class_names"], about["sha256"]
        if sha256(path / NETWORK) != digest:
            raise InputError(f"{path / NETWORK} is damaged: its SHA-256 is not that in {ABOUT}")
        network = load_keras(path / NETWORK, compile=False)
        shape = tuple(about.get("image_shape", network.input_shape[1:]))
        if (network.input_shape, network.output_shape) != ((None, *shape), (None, len(class_names))):
            raise InputError(f"{path / NETWORK} is of other images or classes than {ABOUT} says")
        if FEATURES not in {layer.name for layer in network.layers}:
            raise InputError(f"{path / NETWORK} has no layer {FEATURES!r}")
        return cls(name or path.name, digest, network, class_names, about)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of its images: (height, width, channels)."""
        return tuple(self.network.input_shape[1:])

    def outputs(self, images) -> tuple[np.ndarray, np.ndarray]:
        """The features and the probabilities of the classes.

        Args:
          images: float [N, height, width, channels] in [0, 1].

        Returns:
          (float32 [N, d], float32 [N, classes]).

        Raises:
          InputError: images of another shape or range.
        """
        images = np.asarray(images, np.float32)
        Images(self.example_shape).check(images)
        # Not every kernel accepts empty tensors, so one image stands for none.
        some = images if len(images) else np.zeros((1, *self.example_shape), np.float32)
        parts = [self._function(tf.constant(some[start : start + _BATCH])) for start in range(0, len(some), _BATCH)]
        return tuple(np.concatenate([part[i].numpy() for part in parts])[: len(images)] for i in (0, 1))

    def features(self, images) -> np.ndarray:
        """The features alone; see `outputs`."""
        return self.outputs(images)[0]

    def class_probabilities(self, images) -> np.ndarray:
        """The probabilities alone; see `outputs`."""
        return self.outputs(images)[1]

    @functools.cached_property
    def _function(self):
        """Images -> (features, probabilities), compiled."""
        both = keras.Model(self.network.input, [self.network.get_layer(FEATURES).output, self.network.output])

        def outputs(images):
            features, logits = both(images, training=False)
            return features, tf.nn.softmax(logits)

        return traced_once(outputs, tf.zeros((0, *self.example_shape)), batches=True)


def load_keras(path, compile):
    """Reads a .keras file, which holds a model's layers and weights and no code.

    Args:
      path: the file.
      compile: as for `keras.saving.load_model`.

    Raises:
      InputError: it is missing, damaged, or holds more than its size when it is decompressed.
    """
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            size = size_of(file)
            if sum(entry.file_size for entry in archive.infolist()) > size:
                raise ValueError("what it holds is larger than the file")
            config = parsed(archive.read("config.json").decode(), finite=False)
        shapes = shapes_of(
            lambda: {"network": keras.saving.deserialize_keras_object({**config, "compile_config": None})}
        )
        if 4 * sum(map(math.prod, shapes["network"])) > size:  # float32
            raise ValueError("its layers have more weights than it holds")
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # damaged, it can raise anything
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged: {told}") from None
