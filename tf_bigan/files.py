"""Writes files whole or not at all: they are written beside their target, flushed and renamed into place."""

import contextlib
import os
import pathlib
import re
import shutil
import uuid

from tf_bigan.errors import InputError
from tf_bigan.reading import checked_path, read_text, sha256

CHECKSUMS = "SHA256SUMS"
CACHE = "TF_BIGAN_CACHE"
_LARGEST_CHECKSUMS = 1 << 20  # bytes
_LONGEST_NAME = 255  # bytes of a file's name, as file systems allow them


def cache_path() -> pathlib.Path:
    """The folder for what is fetched: TF_BIGAN_CACHE, or tf_bigan in the user's folder of caches."""
    if place := os.environ.get(CACHE):
        return pathlib.Path(os.path.expanduser(place))
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(os.path.expanduser(caches), "tf_bigan")


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary path beside `path`. The file or folder that is there at the end becomes `path`.

    The temporary name keeps the suffix, because some writers depend on it. On an error nothing is left behind.

    Raises:
      InputError: `path` cannot be written (no permission, disk full, not a folder).
    """
    path = checked_path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _flush(path.parent, recursive=False)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if os.path.isdir(temporary):  # unlike Path.is_dir, it takes names that are too long
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def without_waiting(path, flags) -> int:
    """An `opener` for `open` that does not wait for a reader if the path is a FIFO, but raises OSError."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def write_text(path, text: str):
    """Writes a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_checksums(folder, names):
    """Writes `folder`/SHA256SUMS over the named files, in the format of sha256sum."""
    folder = pathlib.Path(folder)
    write_text(folder / CHECKSUMS, "".join(f"{sha256(folder / name)}  {name}\n" for name in sorted(names)))


def read_checksums(folder) -> list[str]:
    """The lines of `folder`/SHA256SUMS. Raises InputError if it is missing or damaged."""
    path = pathlib.Path(folder) / CHECKSUMS
    try:
        lines = read_text(path, _LARGEST_CHECKSUMS).splitlines()
    except InputError as error:
        raise InputError(f"{error}; the files beside it cannot be trusted") from None
    if not lines or not all(re.fullmatch(r"[0-9a-f]{64}  .+", line) and _stays_below(line[66:]) for line in lines):
        raise InputError(f"{path} is damaged; the files beside it cannot be trusted")
    if len({line[66:] for line in lines}) != len(lines):
        raise InputError(f"{path} is damaged: it lists a file twice; the files beside it cannot be trusted")
    return lines


def _stays_below(name):
    """Whether a name in a list of checksums is that of a file in the list's folder, or in a folder below it."""
    parts = name.split("/")
    return "\0" not in name and all(
        part not in ("", ".", "..") and len(os.fsencode(part)) <= _LONGEST_NAME for part in parts
    )


def verify_checksums(folder, names=None):
    """Raises InputError, naming the file, unless the files of `folder` are those of its SHA256SUMS.

    Args:
      folder: holds SHA256SUMS and the files.
      names: which to check; None = all that are listed.
    """
    folder, lines = pathlib.Path(folder), read_checksums(folder)
    listed = {line[66:]: line[:64] for line in lines}
    for name in listed if names is None else names:
        path = folder / name
        if name not in listed:
            raise InputError(f"{path} is not listed in {folder / CHECKSUMS}")
        if sha256(path) != listed[name]:
            raise InputError(f"{path} is damaged or was changed: its SHA-256 is not that of {CHECKSUMS}")


def _flush(path, recursive=True):
    if recursive and path.is_dir():
        for child in path.iterdir():
            _flush(child)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
