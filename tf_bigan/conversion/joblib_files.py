"""Reads the parameter files that the authors of BiGAN saved with joblib under Python 2, and executes nothing in them.

A file is a pickled list of arrays. joblib up to 0.9 kept each array in its own .npy file beside the pickle; later
versions put the arrays' bytes into the pickle, each behind the object that describes it. Today's joblib no longer reads
these files, and it would execute whatever a pickle asks for. The unpickler here knows only five names, and none of them
does more than hold numbers. It takes no more memory than a small multiple of the size of the files.
"""

import math
import pathlib
import pickle
import re

import numpy as np

from tf_bigan.errors import InputError, shown
from tf_bigan.reading import Missing, opened, read_npy, size_of

_COMPRESSED = (b"ZF", b"\x78", b"\x1f\x8b", b"BZ", b"\xfd7z")  # joblib's own, zlib, gzip, bzip2, xz
_TYPES = ("f2", "f4", "f8", "i4", "i8")
_NDARRAY = object()  # stands for numpy.ndarray, which the files name but never call


def read_arrays(path) -> list[np.ndarray]:
    """The arrays of a joblib parameter file, in order.

    Args:
      path: the main file; .npy files that it names must lie beside it under their original names.

    Raises:
      InputError: a file is missing, damaged, compressed or not a list of number arrays, or it asks for something to be
        executed.
    """
    path = pathlib.Path(path)
    with opened(path) as file:
        start = file.read(3)
        if start.startswith(_COMPRESSED):
            raise InputError(f"{path} is compressed; the authors' files are not")
        file.seek(0)
        try:
            content = _unpickler(file, path).load()
        except (InputError, OSError):
            raise
        except Exception as error:  # a damaged pickle can raise anything
            told = str(error).splitlines() or [type(error).__name__]
            raise InputError(f"{path} is damaged or no parameter file: {told[0]}") from None
        left = size_of(file) - file.tell()
    if left:
        raise InputError(f"{path} is no parameter file: {left} bytes follow its end")
    items = content if isinstance(content, list) else [content]
    arrays = [item.array if isinstance(item, _Array) else item for item in items]
    if items is not content or not all(isinstance(array, np.ndarray) for array in arrays):
        raise InputError(f"{path} is no parameter file: it does not hold a list of arrays")
    return arrays


class _Bounded:
    """A file of which no more can be asked for than it has left, so that no buffer is larger than the file.

    It has no `peek`, so that the unpickler does not read further than it needs.
    """

    def __init__(self, file):
        self._file, self._size = file, size_of(file)

    def read(self, count):
        if not 0 <= count <= self._size - self._file.tell():
            raise ValueError("the file ends within an array or a string")
        return self._file.read(count)

    def readline(self):
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ValueError("the file ends within a line")
        return line


class _Array:
    """The object that represents an array in the pickle. The pickle's "build" instruction fills it, if there is one."""

    array = None


def _unpickler(file, path):
    file, read = _Bounded(file), set()

    class ArrayInFile(_Array):
        def __setstate__(self, state):
            _check_keys(state, {"filename", "subclass"}, {"allow_mmap"})
            name = state["filename"]
            if not re.fullmatch(r"[A-Za-z0-9_.-]+\.jl_\d+\.npy", name):
                raise InputError(f"{path} names an array file {name!r}, which is none of its own")
            beside = path.parent / name
            if name in read:
                raise ValueError("two arrays are in the same file")
            read.add(name)
            try:
                self.array = _checked(read_npy(beside))
            except Missing:
                raise InputError(
                    f"{beside} is missing; {path.name} names it, and it must lie beside it by that name"
                ) from None

    class ArrayInPickle(_Array):
        def __setstate__(self, state):
            _check_keys(state, {"subclass", "shape", "order", "dtype"}, {"allow_mmap", "numpy_array_alignment_bytes"})
            if state.get("numpy_array_alignment_bytes") is not None:
                file.read(file.read(1)[0])
            dtype, shape = state["dtype"].dtype, tuple(int(n) for n in state["shape"])
            if min(shape, default=0) < 0 or state["order"] not in ("C", "F"):
                raise ValueError("an array has an impossible shape or order")
            size = dtype.itemsize * math.prod(shape)
            raw = file.read(size)
            self.array = np.frombuffer(raw, dtype).reshape(shape, order=state["order"]).copy()

    known = {"NDArrayWrapper": ArrayInFile, "NumpyArrayWrapper": ArrayInPickle}

    # Python's own unpickler in Python: that in C makes room for as many objects as an index into them says.
    class Unpickler(pickle._Unpickler):
        dispatch = _INSTRUCTIONS

        def find_class(self, module, name):
            if module in ("sklearn.externals.joblib.numpy_pickle", "joblib.numpy_pickle") and name in known:
                return known[name]
            if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
                return _Scalar()
            if (module, name) == ("numpy", "dtype"):
                return _DType
            if (module, name) == ("numpy", "ndarray"):
                return _NDARRAY
            raise InputError(f"{path} is refused: it asks for {module}.{name}, which no parameter file needs")

    # Python 2's strings are bytes; latin-1 maps each byte to one character.
    return Unpickler(file, fix_imports=False, encoding="latin-1")


def _instructions():
    """The instructions of pickles, by number, without those that parameter files do not need and that can do harm.

    Those of sets, and of dictionaries whose keys are no strings, compute the hash of a tuple of tuples, which can take
    for ever. Byte arrays are made before they are read. The others ask for objects by number or name from elsewhere.
    """
    refused = {"FROZENSET", "EMPTY_SET", "ADDITEMS", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"}
    refused |= {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
    kept = {
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in [getattr(pickle, name) for name in refused]
    }

    def with_text_keys(load, keys):
        def checked(self):
            if not all(isinstance(key, str) for key in keys(self)):
                raise ValueError("a dictionary has a key that is no string")
            load(self)

        return checked

    for name, keys in {
        "SETITEM": lambda unpickler: unpickler.stack[-2:-1],
        "SETITEMS": lambda unpickler: unpickler.stack[::2],
        "DICT": lambda unpickler: unpickler.stack[::2],
    }.items():
        (code,) = getattr(pickle, name)
        kept[code] = with_text_keys(kept[code], keys)
    return kept


_INSTRUCTIONS = _instructions()


class _DType:
    """Stands for numpy.dtype, with the arguments that the files give it."""

    def __init__(self, name, align, copy):
        if not isinstance(name, str) or name not in _TYPES:
            raise ValueError(f"numbers of type {shown(name) if isinstance(name, str) else type(name).__name__}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if state[1] not in ("<", ">", "=") or any(entry is not None for entry in state[2:5]):
            raise ValueError("a type that is no plain number")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Scalar:
    """Stands for numpy.core.multiarray.scalar. It is no function, as a pickle could set a function's attributes."""

    __slots__ = ()

    def __call__(self, dtype, raw):
        raw = raw.encode("latin-1") if isinstance(raw, str) else raw
        if len(raw) != dtype.dtype.itemsize:
            raise ValueError("a number of the wrong length")
        return np.frombuffer(raw, dtype.dtype).reshape(())


def _checked(array):
    if array.dtype.str[1:] not in _TYPES:
        raise ValueError(f"numbers of type {array.dtype.str!r}")
    return array


def _check_keys(state, required, optional):
    if state["subclass"] is not _NDARRAY or not required <= set(state) <= required | optional:
        raise ValueError("an array is described in an unknown way")
