"""Finds models: entries of the zoo by name, run directories by path."""

import fnmatch
import pathlib

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.training.run_directory import FLAGFILE

REPORT = "metrics.json"  # the evaluation report of a run or an entry
CARD = "README.md"  # the model card of an entry


def zoo_path() -> pathlib.Path:
    """The folder of the published runs: beside the package in a checkout, inside the package if it is installed."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / "_zoo"
    return installed if installed.is_dir() else package.parent / "zoo"


def list_models(pattern: str = "*") -> list[str]:
    """The names of the zoo's models that match a shell pattern, sorted.

    A listed model may come without weights; `load` then says how to get them.
    """
    names = (path.parent.name for path in zoo_path().glob(f"[!.]*/{FLAGFILE}"))
    return sorted(fnmatch.filter(names, pattern))


def run_path(name) -> pathlib.Path:
    """The directory of a zoo model or run.

    Args:
      name: a name from `list_models`, or the path of a run directory.

    Raises:
      InputError: `name` is neither; the message lists the nearest names.
    """
    if str(name) in list_models():
        return zoo_path() / str(name)
    path = pathlib.Path(name).expanduser()
    if (path / FLAGFILE).is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} is no run directory: it has no {FLAGFILE}")
    raise InputError(
        f"unknown model {str(name)!r}.{did_you_mean(str(name), list_models())} The path of a run directory works too"
    )


def is_entry(path) -> bool:
    """Whether a directory is an entry of the zoo. Only `publish` and `publish_metrics` write to entries."""
    return pathlib.Path(path).resolve().parent == zoo_path().resolve()
