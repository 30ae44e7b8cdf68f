"""The files of a classifier's folder. Imports no TensorFlow."""

import pathlib

NETWORK = "classifier.keras"  # the Keras model
ABOUT = "classifier.json"  # how it was trained, and how well it classifies


def is_classifier(path) -> bool:
    """Whether a folder has the files of a classifier."""
    return all((pathlib.Path(path) / name).is_file() for name in (NETWORK, ABOUT))
