"""Features of real images, kept on disk for later evaluations. Imports no TensorFlow."""

import hashlib
import json
import os
import pathlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.files import replacing
from tf_bigan.reading import Missing, checked_path, read_npz

LARGEST = 2 << 30  # bytes of a file; features that take more are computed each time

_KEY = "key"


class KeptFeatures:
    """A folder with a file of named arrays for each data set and feature network.

    A file's name follows from its key, and the file holds the key, too. A file that is damaged, or that holds another
    key, is not used: `say` is told, and the next `save` replaces it. Files are uncompressed .npz, whose checksums are
    verified when arrays are read. Nothing is pickled.

    Args:
      folder: is made when it is first written to; None = nothing is kept.
      say: function that is called with a line of text.
    """

    def __init__(self, folder, say=print):
        self._folder = None if folder is None else checked_path(os.path.expanduser(folder))
        self._say = say

    def path(self, key: dict) -> pathlib.Path:
        """The file for a key: a mapping that can be written as JSON."""
        return self._folder / f"features-{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.npz"

    def load(self, key: dict) -> dict | None:
        """The arrays of a key by their names; None if there are none."""
        if self._folder is None:
            return None
        path = self.path(key)
        try:
            found = read_npz(path)
        except Missing:
            return None
        except InputError:
            self._say(f"{path} is damaged and is not used")
            return None
        if str(found.pop(_KEY, "")) != _told(key, found):
            self._say(f"{path} holds features of other data or of another network and is not used")
            return None
        return found

    def save(self, key: dict, arrays: dict):
        """Keeps arrays under a key, unless they are too large. Only says so if the file cannot be written."""
        if self._folder is None or (size := sum(each.nbytes for each in arrays.values())) > LARGEST:
            if self._folder is not None:
                self._say(f"features of {size / 2**30:.1f} GiB are not kept for later evaluations")
            return
        try:
            with replacing(self.path(key)) as temporary, open(temporary, "wb") as file:
                np.savez(file, **{_KEY: np.array(_told(key, arrays))}, **arrays)
        except InputError as error:  # a full disk is no reason to lose the evaluation
            self._say(str(error))


def _told(key, arrays):
    """What a file says of itself, with its arrays' names, as damage can hide some of them."""
    return _text({"key": key, "arrays": sorted(arrays)})


def _text(key):
    return json.dumps(key, sort_keys=True)
