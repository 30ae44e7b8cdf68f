"""The files of a classifier's folder. Imports no TensorFlow."""

import os
import pathlib

from tf_bigan.errors import InputError
from tf_bigan.reading import COUNT, Optional, read_json

NETWORK = "classifier.keras"  # the Keras model
ABOUT = "classifier.json"  # how it was trained, and how well it classifies

# What training a classifier begins with, and what is told of it at the end; see `reading.read_json`.
TRAINING = {
    "dataset": str,
    "split": str,
    "examples": COUNT,
    "test_dataset": str,
    "test_split": str,
    "queries": COUNT,
    Optional("image_shape"): [COUNT],
    "class_names": [str],
    "settings": {
        "architecture": str,
        "input_size": COUNT,
        "seed": COUNT,
        "epochs": COUNT,
        str: (int, float, bool, str),
    },
}
CLASSIFIER = {**TRAINING, "accuracy": float, "sha256": str}


def is_classifier(path) -> bool:
    """Whether a folder has the files of a classifier."""
    return all(os.path.isfile(os.path.join(path, name)) for name in (NETWORK, ABOUT))


def read_about(path) -> dict:
    """What classifier.json in a classifier's folder says. Raises InputError if there is none, or if it is damaged."""
    path = pathlib.Path(path)
    if not is_classifier(path):
        raise InputError(f"{path} is no classifier: it has no {NETWORK} and {ABOUT}")
    return read_json(path / ABOUT, CLASSIFIER)
