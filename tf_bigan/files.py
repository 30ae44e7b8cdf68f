"""Writes files whole or not at all: they are written beside their target, flushed and renamed into place."""

import contextlib
import fcntl
import io
import os
import pathlib
import re
import shutil
import time
import uuid

from tf_bigan.errors import InputError
from tf_bigan.reading import checked_path, read_text, sha256

CHECKSUMS = "SHA256SUMS"
CACHE = "TF_BIGAN_CACHE"
_HOLDER = re.compile(r"\.[0-9a-f]{8}\..+")
_LOCK = "lock"
_OLD = 3600  # seconds after which something without a lock is no longer about to get one
_tidied = set()  # the folders from which this process has removed leftovers
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
    """Yields a temporary path for `path`. The file or folder that is there at the end becomes `path`.

    The temporary path has the name of `path`, because some writers depend on it, and lies in a hidden folder beside
    `path`. On an error nothing is left behind. A process that is killed leaves the hidden folder, which the next
    process that writes there removes.

    Raises:
      InputError: `path` cannot be written (no permission, disk full, not a folder).
    """
    path = checked_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _tidied:
            remove_leftovers(path.parent)
            _tidied.add(path.parent)
        with _holder(path) as holder:
            temporary = holder / "new" / path.name
            yield temporary
            _flush(temporary)
            if temporary.is_dir() and path.is_dir():
                os.replace(path, holder / "old")
            os.replace(temporary, path)
            _flush(path.parent, recursive=False)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def _holder(path):
    """Makes the hidden folder of `replacing`, locked for as long as it is in use, and removes it at the end."""
    while True:
        holder = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
        try:
            (holder / "new").mkdir(parents=True)
            with open(holder / _LOCK, "w") as lock:
                with contextlib.suppress(OSError):  # some network file systems have no locks
                    fcntl.flock(lock, fcntl.LOCK_EX)
                # Between the two lines above, another process may have taken the new folder for a leftover.
                if (holder / _LOCK).exists():
                    yield holder
                    return
        finally:
            _discard(holder)


def _discard(holder):
    """Removes a hidden folder of `replacing`, or what earlier versions left in its place."""
    if not holder.is_dir() or holder.is_symlink():
        holder.unlink(missing_ok=True)
        return
    target = holder.with_name(holder.name[len(".01234567.") :])
    if (holder / "old").exists() and not target.exists():  # interrupted between the two renamings
        os.replace(holder / "old", target)
    shutil.rmtree(holder, ignore_errors=True)


def remove_leftovers(folder, sole_writer=False):
    """Removes what killed processes left of unfinished writing by `replacing` from a folder.

    A hidden folder belongs to a living process, on this machine or another one, for exactly as long as the lock in it
    is held, and the kernel frees the lock of a process that dies. So ages and numbers of processes, which are reused,
    do not matter. What has no lock is from an earlier version, or its process died before the lock was made.

    Args:
      folder: the folder; its subfolders are not searched.
      sole_writer: whether no other process writes there. Then also what has no lock is removed, at any age.
    """
    with contextlib.suppress(OSError):
        for path in [pathlib.Path(each.path) for each in os.scandir(folder) if _HOLDER.fullmatch(each.name)]:
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
                if (path / _LOCK).exists():
                    lock = stack.enter_context(open(path / _LOCK, "r+"))
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                elif not sole_writer and time.time() - path.lstat().st_mtime < _OLD:
                    continue
                _discard(path)


def write_from_memory(path, save):
    """Writes a file whole or not at all, of which the content is made in memory first.

    If the disk becomes full while h5py writes to a file, the process ends with a segmentation fault when the file is
    closed (h5py#914). So weights and models of Keras are written in this way.

    Args:
      path: the file.
      save: function that takes a path or a binary file, such as the methods `save` and `save_weights` of a Keras model.
    """
    path = pathlib.Path(path)
    memory = _NamedMemory(path.name)
    save(memory)
    with replacing(path) as temporary:
        temporary.write_bytes(memory.getbuffer())


class _NamedMemory(io.BytesIO):
    """A file in memory. Keras, which looks at the suffix of a file's name, finds it in `str`."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def __str__(self):
        return self._name


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
