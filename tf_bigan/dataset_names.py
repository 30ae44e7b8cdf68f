"""What the name of a data set means: a folder or a TFDS name. Imports no TensorFlow."""

import os
import pathlib


def folder_of(dataset: str) -> pathlib.Path | None:
    """The folder that `dataset` names, whether there is one or not; None for any other name.

    What begins with ".", "~" or "/" is written as a path. Any other name with a "/" in it is a folder if there is such
    a folder, and else a TFDS name with its configuration, as "voc/2007". A ":" may be part of a folder's name as of a
    TFDS name, and decides nothing.
    """
    path = pathlib.Path(os.path.expanduser(dataset))
    written_as_path = dataset.startswith((".", "~", os.sep))
    return path if written_as_path or os.sep in dataset and path.is_dir() else None


def same_dataset(one: str, other: str) -> bool:
    """Whether two names are of the same folder, or the same TFDS name whatever its version."""
    return _place(one) == _place(other)


def _place(dataset):
    folder = folder_of(dataset)
    return dataset.partition(":")[0] if folder is None else os.path.realpath(folder)
