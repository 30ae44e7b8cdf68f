"""Finds models: entries of the zoos by name, run directories by path. Imports no TensorFlow."""

import fnmatch
import os
import pathlib
import re
import warnings

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.files import cache_path
from tf_bigan.reading import checked_path
from tf_bigan.training.run_directory import FLAGFILE
from tf_bigan.zoo.index import CLASSIFIER, MODEL, entries_of, kind_of, write_index
from tf_bigan.zoo.remote import RemoteZoo, ZooWarning

ZOOS = "TF_BIGAN_ZOO"
REPORT = "metrics.json"  # the evaluation report of a run or an entry
CARD = "README.md"  # the model card of an entry

# Folders and addresses are separated by commas or colons. The colons of "http://host:80" do not separate.
_PLACE = re.compile(r"https?://[^,:/]+(?::\d+)?[^,:]*|[^,:]+")


class FolderZoo:
    """The zoo in a folder of this machine."""

    def __init__(self, path):
        self.path = checked_path(os.path.expanduser(path))

    def entries(self) -> dict[str, str]:
        """The zoo's entries, name -> "model" or "classifier". Warns with a `ZooWarning` if there is no such folder."""
        if not self.path.is_dir():
            text = f"{ZOOS} names {str(self.path)!r}, which is no folder. The next zoo is used in its place"
            warnings.warn(text, ZooWarning, stacklevel=2)
        return entries_of(self.path)

    def entry(self, name: str) -> pathlib.Path | None:
        """The folder of an entry; None if the zoo has no such entry."""
        return self.path / name if name in self.entries() else None


def zoo_path() -> pathlib.Path:
    """The folder of the project's own zoo: beside the package in a checkout, inside the package if it is installed."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / "_zoo"
    return installed if installed.is_dir() else package.parent / "zoo"


def zoos() -> list[FolderZoo | RemoteZoo]:
    """The zoos in which names are looked up, in order: those of TF_BIGAN_ZOO, then the project's own."""
    places = [place.strip() for place in _PLACE.findall(os.environ.get(ZOOS, ""))]
    named = [RemoteZoo(place) if re.match("https?://", place) else FolderZoo(place) for place in places if place]
    return [*named, FolderZoo(zoo_path())]


def list_models(pattern: str = "*") -> list[str]:
    """The names of the models in all zoos that match a shell pattern, sorted.

    A listed model may come without weights; `load` then says how to get them.
    """
    return sorted(fnmatch.filter(list_entries(MODEL), pattern))


def list_classifiers() -> list[str]:
    """The names of the classifiers in all zoos, sorted."""
    return sorted(list_entries(CLASSIFIER))


def list_entries(kind: str) -> list[str]:
    """The names of the entries of a kind, "model" or "classifier", in all zoos, in the order of the zoos.

    If several zoos have a name, the first one counts.
    """
    kinds = {}
    for zoo in zoos():
        kinds = {**zoo.entries(), **kinds}
    return [name for name, found in kinds.items() if found == kind]


def entry_path(name, kind: str) -> pathlib.Path | None:
    """The folder of an entry of the first zoo that has its name, fetched if it is remote; None if it has another kind.

    Raises:
      InputError: the entry cannot be fetched.
    """
    for zoo in zoos():
        if place := zoo.entry(str(name)):
            return place if kind_of(place) == kind else None
    return None


def run_path(name) -> pathlib.Path:
    """The directory of a zoo model or run.

    Args:
      name: a name from `list_models`, or the path of a run directory.

    Raises:
      InputError: `name` is neither, or the model cannot be fetched; the message lists the nearest names.
    """
    if found := entry_path(name, MODEL):
        return found
    path = os.path.expanduser(name)
    if os.path.isfile(os.path.join(path, FLAGFILE)):
        return pathlib.Path(path)
    if os.path.isdir(path):
        raise InputError(f"{path} is no run directory: it has no {FLAGFILE}")
    raise InputError(
        f"unknown model {str(name)!r}.{did_you_mean(str(name), list_models())} The path of a run directory works too"
    )


def is_entry(path) -> bool:
    """Whether a directory is an entry of a zoo. Only `publish` and `publish_metrics` write to entries."""
    path = pathlib.Path(path).resolve()
    folders = [zoo.path.resolve() for zoo in zoos()]
    return path.parent in folders or (cache_path().resolve() / "zoos") in path.parents


def place_of(zoo, name: str) -> tuple[pathlib.Path, str]:
    """The folder of an entry, existing or not, and what names the entry for `load`.

    Args:
      zoo: the zoo's folder; None = the project's own, whose entries are known by their names. Those of other zoos are
        named by their paths, which work whatever TF_BIGAN_ZOO is.
      name: the entry's name.
    """
    if _is_own(zoo):
        return zoo_path() / name, name
    folder = checked_path(os.path.expanduser(zoo)).resolve() / name
    return folder, str(folder)


def write_index_of(zoo):
    """Writes the index of a zoo's folder, except of the project's own, which is not served but comes with the package.

    Raises:
      InputError: as in `write_index`.
    """
    if not _is_own(zoo):
        write_index(os.path.expanduser(zoo))


def _is_own(zoo):
    return zoo is None or checked_path(os.path.expanduser(zoo)).resolve() == zoo_path().resolve()
