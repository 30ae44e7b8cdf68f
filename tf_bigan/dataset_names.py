"""What the name of a data set means: a folder or a TFDS name. Imports no TensorFlow."""

import os
import pathlib

from tf_bigan.reading import checked_path


def folder_of(dataset: str) -> pathlib.Path | None:
    """The folder that `dataset` names, whether or not it exists; None if `dataset` is the name of something else.

    A name that begins with ".", "~" or "/" is a path. Any other name with a "/" in it is a folder if such a folder
    exists, and otherwise a TFDS name with its configuration, such as "voc/2007". A ":" may be part of a folder's name
    as well as of a TFDS name, so it is ignored here.
    """
    path = os.path.expanduser(dataset)
    written_as_path = dataset.startswith((".", "~", os.sep))
    return checked_path(path) if written_as_path or os.sep in dataset and os.path.isdir(path) else None


def same_dataset(one: str, other: str) -> bool:
    """Whether two names mean the same folder, or the same TFDS data set in any version."""
    return _place(one) == _place(other)


def _place(dataset):
    folder = folder_of(dataset)
    return dataset.partition(":")[0] if folder is None else os.path.realpath(folder)
