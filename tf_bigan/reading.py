"""Reads files that may be damaged or not what they seem: in bounded memory, and without waiting.

Whatever such a file holds, reading it gives what was asked for, or an `InputError` that names the file. A FIFO, a
device or a folder is refused: opening a FIFO waits for a writer, and a device may have no end. No TensorFlow.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import stat
import zipfile

import numpy as np

from tf_bigan.errors import InputError, shown

LARGEST_TEXT = 64 << 20  # bytes of a text file; the largest report has 0.1 MB
COUNT = range(1 << 63)  # a whole number from 0, in a description of a JSON file

_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes; Linux takes paths of 4095

_CHECKSUM = "checksum"  # the key of the SHA-256 of a JSON file's other content
_DEEPEST = 40  # objects and lists within each other
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class Missing(InputError):
    """There is no file of the given name."""


class Optional(str):
    """A key that an object may lack, in a description of a JSON file."""

    __slots__ = ()


@contextlib.contextmanager
def opened(path):
    """Yields a regular file, open for reading bytes. It is closed at the end of the context.

    Raises:
      Missing: there is no such file.
      InputError: it is no regular file, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"{path} is missing") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise InputError(f"{path} is a socket or a device, and no file") from None
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS.items() if is_kind(mode)), "something else")
        raise InputError(f"{path} is {kind}, and no file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:  # a read that fails
            raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def check_files(folder):
    """Raises InputError if a FIFO, a device or a socket is in or below a folder, which another library will read."""
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            if os.path.exists(path) and not os.path.isfile(path):
                raise InputError(f"{path} is no file, but a FIFO, a device or a socket")


def checked_path(path) -> pathlib.Path:
    """A path that a file system can take; there need be nothing at it. Raises InputError for one that is too long."""
    path = pathlib.Path(path)
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        raise InputError(f"{path} is no name of a file") from None
    if b"\0" in name or max(map(len, name.split(b"/"))) > _LONGEST_NAME or len(name) > _LONGEST_PATH:
        raise InputError(f"{path} is too long for the name of a file, or has a zero byte")
    return path


def size_of(file) -> int:
    """The size of an open file, in bytes."""
    return os.fstat(file.fileno()).st_size


def read_bytes(path, largest: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
      path: the file.
      largest: the most bytes that it may have; None = any number.

    Raises:
      InputError: as for `opened`, or it has more bytes.
    """
    with opened(path) as file:
        if largest is not None and (size := size_of(file)) > largest:
            raise InputError(f"{path} has {size:,} bytes; such a file has at most {largest:,}")
        return file.read() if largest is None else file.read(largest)


def read_text(path, largest: int = LARGEST_TEXT) -> str:
    """The text of a regular file, UTF-8. Raises InputError as `read_bytes` does, or if it is no text."""
    try:
        return read_bytes(path, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged or no text file: its byte {error.start} is no UTF-8") from None


def sha256(path) -> str:
    """The SHA-256 of a regular file, in hexadecimal. Raises InputError like `opened`."""
    digest = hashlib.sha256()
    with opened(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parsed(text: str, finite=True):
    """The value of a JSON text.

    Args:
      text: the text.
      finite: whether to refuse NaN and infinite numbers, which Python writes and reads although JSON has none.

    Raises:
      ValueError: it is no JSON, an object has a key twice, values are nested more than 40 deep, or a number is too long
        or not finite. The message is short.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except ValueError as error:
        # Python's own message is about a limit on the digits of whole numbers.
        raise ValueError("a number has too many digits" if "digits" in str(error) else str(error)) from None
    _check_values(value, finite)
    return value


def read_json(path, wanted, finite=True):
    """The content of a JSON file, whose types are as described.

    If the file has the checksum that `json_text` writes, it is verified, and is not part of the result. Files that were
    written without one are read, too.

    Args:
      path: the file.
      wanted: what the content must be: bool, int, float (any finite number), str or object (anything); a `range` of
        whole numbers; None (null); a tuple of such descriptions, of which one must fit; a list with the description of
        the entries of a list; or a dictionary. Its keys are those that an object must have (it may have others), each
        with the description of its value. An `Optional` key may be missing. The key `str` stands for all other keys.
      finite: as in `parsed`.

    Raises:
      InputError: the file is missing, cannot be read, is damaged, was changed, or holds something else.
    """
    text = read_text(path)
    try:
        content = parsed(text, finite)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if isinstance(content, dict) and _CHECKSUM in content:
        told = content.pop(_CHECKSUM)
        if told != _checksum(content):
            raise InputError(
                f"{path} is damaged or was changed: its content does not have the SHA-256 in its entry {_CHECKSUM!r}"
            )
    return described(content, wanted, path)


def read_npy(path) -> np.ndarray:
    """The array of an .npy file. Raises InputError if it cannot be read, is damaged, or holds no plain numbers."""
    with opened(path) as file, _naming_damage(path):
        return _array(file, size_of(file))


def read_npz(path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as `numpy.savez` writes it, by their names.

    Raises:
      InputError: it cannot be read, is damaged or compressed, or holds other things than numbers and texts.
    """
    with opened(path) as file, _naming_damage(path), zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > size_of(file):
            raise ValueError("its arrays are larger than the file")
        if len({entry.filename for entry in entries}) != len(entries):
            raise ValueError("two arrays have the same name")
        arrays = {}
        for entry in entries:
            with archive.open(entry) as part:
                arrays[entry.filename.removesuffix(".npy")] = _array(part, entry.file_size)
        return arrays


@contextlib.contextmanager
def _naming_damage(path):
    """Turns every error into an InputError that calls the file damaged: readers of formats raise errors of any kind."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} is damaged: {told[0]}") from None


def _array(file, size):
    """The array of an .npy file whose content has `size` bytes, not more of which are read than there are."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it is of an unknown version")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if dtype.kind not in "biufU" or min(shape, default=0) < 0:
        raise ValueError(f"it holds {dtype.name} of shape {[*shape]}")
    content = dtype.itemsize * math.prod(shape)
    if content != size - file.tell():
        raise ValueError(f"it says that it holds {content:,} bytes, and it holds {size - file.tell():,}")
    raw = bytearray(file.read())  # to the end, where a zip file's checksum is verified
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if by_columns else "C")


def described(value, wanted, path):
    """`value`, part of what a file holds. Raises InputError, naming the file, unless it is as `read_json` describes."""
    if wrong := _difference(value, wanted):
        raise InputError(f"{path} is damaged: {wrong}")
    return value


def json_text(content: dict, indent=None) -> str:
    """An object as the text of a JSON file, with a checksum of its content, which `read_json` verifies."""
    return json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=indent) + "\n"


def _checksum(content):
    # What is written and what is read have the same checksum: keys are strings then, and tuples are lists.
    content = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _object(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _check_values(value, finite):
    """Raises ValueError for deep nesting, for whole numbers beyond 64 bits and, if asked, for numbers not finite."""
    level = [value]
    for _ in range(_DEEPEST):
        if finite and any(isinstance(each, float) and not math.isfinite(each) for each in level):
            raise ValueError("a number is not finite")
        if any(isinstance(each, int) and not -(1 << 63) <= each < 1 << 64 for each in level):
            raise ValueError("a number has too many digits")
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for values in inner for each in values]
        if not level:
            return
    raise ValueError("its values are nested too deeply")


def _difference(value, wanted, place="its content") -> str:
    """What is wrong with a value that is not as described (see `read_json`), in words; "" for one that is."""
    if isinstance(wanted, tuple):
        found = [_difference(value, each, place) for each in wanted]
        return "" if "" in found else found[0]
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"{place} is {_kind(value)}, not an object"
        rest = wanted.get(str)
        for key, each in wanted.items():
            if key is str:
                continue
            if key not in value and not isinstance(key, Optional):
                return f"{place} lacks the entry {str(key)!r}"
            if key in value and (wrong := _difference(value[key], each, f"the entry {str(key)!r}")):
                return wrong
        others = () if rest is None else (item for item in value.items() if item[0] not in wanted)
        return next(filter(None, (_difference(each, rest, f"the entry {shown(key)}") for key, each in others)), "")
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"{place} is {_kind(value)}, not a list"
        return next(filter(None, (_difference(each, wanted[0], f"a value in {place}") for each in value)), "")
    if isinstance(wanted, range):
        fits = type(value) is int and value in wanted
        least, most = wanted.start, wanted.stop - 1
        limits = f"a whole number from {least}" + (f" to {most}" if wanted is not COUNT else "")
        return "" if fits else f"{place} is {_kind(value)}, not {limits}"
    if wanted is object or wanted is value is None:
        return ""
    if wanted is float:
        return "" if type(value) in (int, float) else f"{place} is {_kind(value)}, not a number"
    if wanted is None or type(value) is not wanted:
        return f"{place} is {_kind(value)}, not {_NAMES[wanted]}"
    return ""


_NAMES = {None: "null", bool: "true or false", int: "a whole number", str: "text"}


def _kind(value):
    """A value as text: short numbers as they are, of anything else its type."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return shown(value)
    return {str: "text", list: "a list", dict: "an object"}[type(value)]
