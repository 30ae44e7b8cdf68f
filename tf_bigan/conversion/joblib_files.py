"""Reads the parameter files that the authors of BiGAN saved with joblib under Python 2, and runs nothing in them.

A file is a pickled list of arrays. joblib up to 0.9 kept each array in a .npy file of its own beside it; later ones
put the arrays' bytes into the pickle, behind the object that describes them. joblib itself no longer reads the files
and would execute whatever a pickle asks for. Here the unpickler knows five names, none of which does more than hold
numbers.
"""

import math
import pathlib
import pickle
import re

import numpy as np

from tf_bigan.errors import InputError

_COMPRESSED = (b"ZF", b"\x78", b"\x1f\x8b", b"BZ", b"\xfd7z")  # joblib's own, zlib, gzip, bzip2, xz
_TYPES = ("f2", "f4", "f8", "i4", "i8")
_NDARRAY = object()  # stands for numpy.ndarray, which the files only mention


def read_arrays(path) -> list[np.ndarray]:
    """The arrays of a joblib parameter file, in order.

    Args:
      path: the main file; .npy files it names must lie beside it under the names they had.

    Raises:
      InputError: a file that is missing, damaged, compressed, no list of number arrays, or that asks for anything to be
        run.
    """
    path = pathlib.Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(3)
            if start.startswith(_COMPRESSED):
                raise InputError(f"{path} is compressed; the authors' files are not")
            file.seek(0)
            content = _unpickler(file, path).load()
            left = len(file.read())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError:
        raise
    except Exception as error:  # whatever a damaged pickle leads to
        raise InputError(f"{path} is damaged or no parameter file: {str(error).splitlines()[0]}") from None
    if left:
        raise InputError(f"{path} is no parameter file: {left} bytes follow its end")
    items = content if isinstance(content, list) else [content]
    arrays = [item.array if isinstance(item, _Array) else item for item in items]
    if items is not content or not all(isinstance(array, np.ndarray) for array in arrays):
        raise InputError(f"{path} is no parameter file: it does not hold a list of arrays")
    return arrays


class _ReadOnly:
    """A file that offers no `peek`: the unpickler then does not read ahead of what it needs."""

    def __init__(self, file):
        self.read, self.readline = file.read, file.readline


class _Array:
    """What stands in the pickle for an array; filled by the pickle's "build", if it has one."""

    array = None


def _unpickler(file, path):
    class ArrayInFile(_Array):
        def __setstate__(self, state):
            _check_keys(state, {"filename", "subclass"}, {"allow_mmap"})
            name = state["filename"]
            if not re.fullmatch(r"[A-Za-z0-9_.-]+\.jl_\d+\.npy", name):
                raise InputError(f"{path} names an array file {name!r}, which is none of its own")
            beside = path.parent / name
            if not beside.is_file():
                raise InputError(f"{beside} is missing; {path.name} names it, and it must lie beside it by that name")
            self.array = _checked(np.load(beside, allow_pickle=False))

    class ArrayInPickle(_Array):
        def __setstate__(self, state):
            _check_keys(state, {"subclass", "shape", "order", "dtype"}, {"allow_mmap", "numpy_array_alignment_bytes"})
            if state.get("numpy_array_alignment_bytes") is not None:
                file.read(file.read(1)[0])
            dtype, shape = state["dtype"].dtype, tuple(int(n) for n in state["shape"])
            if min(shape, default=0) < 0 or state["order"] not in ("C", "F"):
                raise ValueError("an array has an impossible shape or order")
            size = dtype.itemsize * math.prod(shape)
            if size > path.stat().st_size:
                raise ValueError("an array is larger than the file")
            raw = file.read(size)
            if len(raw) != size:
                raise ValueError("the file ends within an array")
            self.array = np.frombuffer(raw, dtype).reshape(shape, order=state["order"]).copy()

    known = {"NDArrayWrapper": ArrayInFile, "NumpyArrayWrapper": ArrayInPickle}

    class Unpickler(pickle.Unpickler):
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

    # Python 2's strings are bytes; latin-1 maps them one to one.
    return Unpickler(_ReadOnly(file), fix_imports=False, encoding="latin-1")


class _DType:
    """numpy.dtype as the files use it."""

    def __init__(self, name, align, copy):
        if name not in _TYPES:
            raise ValueError(f"numbers of type {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if state[1] not in ("<", ">", "=") or any(entry is not None for entry in state[2:5]):
            raise ValueError("a type that is no plain number")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Scalar:
    """numpy.core.multiarray.scalar. An object without attributes: a function's could be set by a pickle."""

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
