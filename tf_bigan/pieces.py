"""Arrays in a folder of small files, each with its SHA-256, for copying data between machines.

The arrays' bytes, little-endian and in C order, are concatenated and cut into files of limited size, `piece-00000.bin`
and so on. `index.json` has the position, dtype and shape of each array, the files' SHA-256, and any further information
from the writer. Nothing is pickled. Imports neither TensorFlow nor PyTorch.
"""

import hashlib
import json
import lzma
import pathlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.files import replacing

INDEX = "index.json"
PIECE_BYTES = 15 * 10**6
_DTYPES = ("uint8", "int64", "float32")


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
    try:
        for piece in index["pieces"]:
            stream += _read_piece(folder / pathlib.PurePath(piece["name"]).name, piece["sha256"], index["lzma"])
        if len(stream) != index["bytes"]:
            raise InputError(f"{folder / INDEX} is damaged: its pieces hold {len(stream)} bytes, not {index['bytes']}")
        arrays = {name: _array(stream, place) for name, place in index["arrays"].items()}
        return arrays, dict(index["told"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder / INDEX} is damaged: {type(error).__name__} {error}") from None


def pieces_digest(folder) -> str:
    """The SHA-256 of the index. As the index has the SHA-256 of each piece, this identifies the whole content."""
    _read_index(pathlib.Path(folder))
    return hashlib.sha256((pathlib.Path(folder) / INDEX).read_bytes()).hexdigest()


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
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{folder / INDEX} is missing or damaged") from None
    if not isinstance(index, dict):
        raise InputError(f"{folder / INDEX} is damaged")
    return index


def _read_piece(path, digest, compressed):
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"{path} is missing or unreadable") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{path} is damaged: its SHA-256 is not that of {INDEX}")
    try:
        return lzma.decompress(content) if compressed else content
    except lzma.LZMAError:
        raise InputError(f"{path} is damaged: it cannot be decompressed") from None


def _array(stream, place):
    if place["dtype"] not in _DTYPES:
        raise ValueError(f"dtype {place['dtype']!r}")
    shape = tuple(int(n) for n in place["shape"])
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(stream, np.dtype(place["dtype"]), count, int(place["offset"])).reshape(shape)
