"""The files of a classifier's folder. Imports no TensorFlow."""

import json
import pathlib

from tf_bigan.errors import InputError

NETWORK = "classifier.keras"  # the Keras model
ABOUT = "classifier.json"  # how it was trained, and how well it classifies


def is_classifier(path) -> bool:
    """Whether a folder has the files of a classifier."""
    return all((pathlib.Path(path) / name).is_file() for name in (NETWORK, ABOUT))


def read_about(path) -> dict:
    """What classifier.json in a classifier's folder says. Raises InputError if there is none, or if it is damaged."""
    path = pathlib.Path(path)
    if not is_classifier(path):
        raise InputError(f"{path} is no classifier: it has no {NETWORK} and {ABOUT}")
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        whole = all(about[key] for key in ("class_names", "sha256", "settings")) and about["accuracy"] >= 0
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(f"{path / ABOUT} is damaged")
    return about
