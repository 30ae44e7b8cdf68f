"""Arrays in a folder of small files, each with its SHA-256, for copying data between machines.

The arrays' bytes, little-endian and in C order, are concatenated and cut into files of limited size, `piece-00000.bin`
and so on. `index.json` has the position, dtype and shape of each array, the files' SHA-256, and any further information
from the writer. Nothing is pickled. Imports neither TensorFlow nor PyTorch.
"""

import hashlib
import json
import lzma
import math
import pathlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.files import replacing
from tf_bigan.memory import check_memory
from tf_bigan.reading import COUNT, read_bytes, read_json, sha256

INDEX = "index.json"
PIECE_BYTES = 15 * 10**6
_DTYPES = ("uint8", "int64", "float32")
_DIMENSIONS = 32  # of an array, as many as NumPy can have
_LZMA_BYTES = 256 << 20  # the most memory that decompressing may take; what `lzma` writes takes 9 MiB
_INDEX = {
    "told": {str: object},
    "lzma": bool,
    "bytes": COUNT,
    "arrays": {str: {"dtype": str, "shape": [COUNT], "offset": COUNT}},
    "pieces": [{"name": str, "sha256": str, "bytes": COUNT}],
}


def write_pieces(folder, arrays: dict[str, np.ndarray], told: dict, piece_bytes: int = PIECE_BYTES, compress=False):
    """Writes `folder`, which is replaced if it exists.

    Args:
      folder: the folder to write.
      arrays: name -> array of uint8, int64 or float32.
      told: further information about them: strings, numbers, lists and dictionaries.
      piece_bytes: largest size of a file, in bytes.
      compress: compress the pieces with LZMA.

    Raises:
      InputError: the folder cannot be written.
    """
    stream = [np.ascontiguousarray(array) for array in arrays.values()]
    places, position = {}, 0
    for name, array in zip(arrays, stream, strict=True):
        if array.dtype.name not in _DTYPES:
            raise ValueError(f"{name} is {array.dtype}; pieces hold {', '.join(_DTYPES)}")
        places[name] = {"dtype": array.dtype.name, "shape": list(np.shape(arrays[name])), "offset": position}
        position += array.nbytes
    with replacing(folder) as temporary:
        temporary.mkdir()
        pieces = []
        for content in _cut(stream, piece_bytes):
            content = lzma.compress(content) if compress else content
            name = f"piece-{len(pieces):05d}.bin"
            (temporary / name).write_bytes(content)
            pieces.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
        index = {"told": told, "lzma": bool(compress), "bytes": position, "arrays": places, "pieces": pieces}
        (temporary / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def read_pieces(folder) -> tuple[dict[str, np.ndarray], dict]:
    """Reads what `write_pieces` wrote: ({name: array}, `told`).

    Raises:
      InputError: the index or a piece is missing, damaged or from another folder.
    """
    folder = pathlib.Path(folder)
    index = _read_index(folder)
    stream = bytearray()
    check_memory(index["bytes"], f"the arrays of {folder} take", "Use a machine with more, or fewer examples")
    for piece in index["pieces"]:
        path = folder / pathlib.PurePath(piece["name"]).name
        stream += _read_piece(path, piece["sha256"], index["bytes"] - len(stream) if index["lzma"] else None)
        if len(stream) > index["bytes"]:
            break
    if len(stream) != index["bytes"]:
        raise InputError(f"{folder / INDEX} is damaged: its pieces hold {len(stream)} bytes, not {index['bytes']}")
    try:
        arrays = {name: _array(stream, place) for name, place in index["arrays"].items()}
    except ValueError as error:
        raise InputError(f"{folder / INDEX} is damaged: {error}") from None
    return arrays, index["told"]


def pieces_digest(folder) -> str:
    """The SHA-256 of the index. As the index has the SHA-256 of each piece, this identifies the whole content."""
    _read_index(pathlib.Path(folder))
    return sha256(pathlib.Path(folder) / INDEX)


def _cut(arrays, size):
    """Yields the concatenated bytes of the arrays, `size` bytes at a time."""
    pending = bytearray()
    for array in arrays:
        content = memoryview(array.reshape(-1).view(np.uint8))
        while len(content):
            taken = size - len(pending)
            pending += content[:taken]
            content = content[taken:]
            if len(pending) == size:
                yield bytes(pending)
                pending.clear()
    if pending:
        yield bytes(pending)


def _read_index(folder):
    return read_json(folder / INDEX, _INDEX, finite=False)


def _read_piece(path, digest, largest):
    """The content of a piece; `largest` is the most that it may have when it is decompressed, None = it is not."""
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{path} is damaged: its SHA-256 is not that of {INDEX}")
    if largest is None:
        return content
    try:
        return lzma.LZMADecompressor(memlimit=_LZMA_BYTES).decompress(content, largest + 1)
    except (lzma.LZMAError, EOFError, MemoryError):
        raise InputError(f"{path} is damaged: it cannot be decompressed") from None


def _array(stream, place):
    if place["dtype"] not in _DTYPES:
        raise ValueError(f"it has an array of {place['dtype']!r}")
    dtype, count = np.dtype(place["dtype"]), math.prod(place["shape"])
    if place["offset"] + count * dtype.itemsize > len(stream) or len(place["shape"]) > _DIMENSIONS:
        raise ValueError(f"it has an array of shape {place['shape']} that its pieces do not hold")
    if not count:  # NumPy takes no part of nothing
        return np.zeros(place["shape"], dtype)
    return np.frombuffer(stream, dtype, count, place["offset"]).reshape(place["shape"])
