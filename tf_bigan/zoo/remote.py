"""A zoo that a web server offers, and its cache on this machine. Imports no TensorFlow.

The cache holds a folder for each zoo, with the newest index that was read and the entries that were fetched. Entries
are downloaded when they are first used, verified, and renamed into place; from then on no server is asked for them.
"""

import contextlib
import fcntl
import functools
import hashlib
import pathlib
import shutil
import sys
import warnings

from tf_bigan.errors import InputError
from tf_bigan.files import (
    CACHE,
    CHECKSUMS,
    cache_path,
    remove_leftovers,
    replacing,
    verify_checksums,
    without_waiting,
    write_text,
)
from tf_bigan.progress import Count
from tf_bigan.reading import read_text
from tf_bigan.zoo.downloading import NotThere, fetch_file, fetch_text
from tf_bigan.zoo.index import INDEX, MODEL, is_name, kind_of, parse_index

_LARGEST_INDEX = 1 << 24  # bytes


class ZooWarning(UserWarning):
    """A zoo cannot be read, and the next one is used in its place."""


class RemoteZoo:
    """The zoo at an address, http or https, of a folder with an index."""

    def __init__(self, address: str):
        self.address = address.rstrip("/")
        name = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        self.path = cache_path() / "zoos" / name

    def entries(self) -> dict[str, str]:
        """The zoo's entries, name -> kind. If the server cannot be asked, those of the newest index that was read.

        Warns with a `ZooWarning` if there is no index to read. Entries that were fetched are always among them.
        """
        index = _index(self.address, self.path)
        fetched = {path.name: kind_of(path) for path in self.path.glob("[!.]*") if path.is_dir()}
        return {name: kind for name, kind in fetched.items() if kind} | {
            name: entry["kind"] for name, entry in index.items()
        }

    def entry(self, name: str) -> pathlib.Path | None:
        """The folder of an entry, which is fetched if it is not here yet; None if the zoo has no such entry.

        Raises:
          InputError: the entry cannot be fetched whole; nothing of it is kept.
        """
        if not is_name(name):
            return None
        place = self.path / name
        if _whole(place):
            return place
        asked = _index(self.address, self.path).get(name)
        if asked is None:
            if place.exists():
                raise InputError(f"{place}, fetched from {self.address}, is damaged, and the server does not offer it")
            return None
        with self._lock():
            remove_leftovers(self.path, sole_writer=True)  # of a process that was killed, as this one has the lock
            if not _whole(place):  # another process may have fetched it meanwhile
                self._fetch(name, asked["files"], place)
        return place

    def _fetch(self, name, files, place):
        """Downloads the files of an entry to `place`."""
        total = sum(about["bytes"] for about in files.values())
        with contextlib.suppress(OSError):
            if total > (free := shutil.disk_usage(self.path).free):
                raise InputError(f"{name} takes {total:,} bytes, and {self.path} has {free:,} left")
        print(f"fetching {name}, {total / 1e6:.1f} MB, from {self.address} to {place}", file=sys.stderr, flush=True)
        progress, before = Count(f"fetching {name}", total, "bytes"), 0
        with contextlib.ExitStack() as stack:
            stack.callback(progress.end)
            temporary = stack.enter_context(replacing(place))
            temporary.mkdir()
            for file, about in files.items():
                address, size = f"{self.address}/{name}/{file}", about["bytes"]

                def arrived(count, before=before):
                    progress.at(before + count)

                fetch_file(address, temporary / file, size, about["sha256"], arrived)
                before += size
            if not _whole(temporary):
                raise InputError(f"{self.address}/{name} is no whole entry of a zoo")

    @contextlib.contextmanager
    def _lock(self):
        """Within this context, no other process fetches from this zoo."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w", opener=without_waiting)  # noqa: SIM115  (held as long as the lock)
        except OSError as error:
            raise InputError(
                f"cannot write in the cache {self.path}: {error.strerror}; {CACHE} names another"
            ) from None
        with file:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _whole(place):
    """Whether the folder of an entry holds all that its checksums list, undamaged."""
    kind = kind_of(place)
    if kind is None:
        return False
    if kind == MODEL and not (place / CHECKSUMS).exists():
        return not any(place.glob("*.weights.h5"))  # an entry without weights: flags and a card
    try:
        verify_checksums(place)
    except InputError:
        return False
    return True


@functools.cache  # a process asks each server once
def _index(address, path):
    """The entries in the index of a zoo, of the server or else of the cache; {} if there is neither."""
    try:
        text = fetch_text(f"{address}/{INDEX}", _LARGEST_INDEX)
        entries = parse_index(text, f"{address}/{INDEX}")
    except NotThere:
        why = f"{address} has no {INDEX}; `python tools/gallery.py --zoo=FOLDER` writes it"
    except InputError as error:
        why = str(error)
    else:
        with contextlib.suppress(InputError):  # a cache that cannot be written is said when it is needed
            write_text(path / INDEX, text)
        return entries
    with contextlib.suppress(InputError):
        return parse_index(read_text(path / INDEX, _LARGEST_INDEX), str(path / INDEX))
    warnings.warn(f"{why}\nThe next zoo of TF_BIGAN_ZOO is used in its place", ZooWarning, stacklevel=2)
    return {}
