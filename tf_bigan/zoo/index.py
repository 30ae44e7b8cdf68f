"""The index of a zoo, zoo.json: its entries with the sizes and SHA-256 of their files. Imports no TensorFlow.

{"format": 1, "entries": {name: {"kind": "model" or "classifier", "files": {file: {"bytes": ..., "sha256": ...}}}}}

A zoo that is served over HTTP needs one, since HTTP lists no folders.
"""

import json
import pathlib
import re

from tf_bigan.errors import InputError
from tf_bigan.evaluation.classifier_files import is_classifier
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, described, parsed, sha256
from tf_bigan.training.run_directory import FLAGFILE

INDEX = "zoo.json"
MODEL, CLASSIFIER = "model", "classifier"
_FORMAT = 1
_INDEX = {  # see `read_json`
    "format": COUNT,
    "entries": {str: {"kind": str, "files": {str: {"bytes": COUNT, "sha256": str}}}},
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_name(text: str) -> bool:
    """Whether a text can be the name of an entry that is served, or of a file of one. No path is such a name."""
    return bool(_NAME.fullmatch(text))


def kind_of(folder) -> str | None:
    """What a folder of a zoo holds: "model" or "classifier"; None = no entry."""
    if (pathlib.Path(folder) / FLAGFILE).is_file():
        return MODEL
    return CLASSIFIER if is_classifier(folder) else None


def entries_of(zoo) -> dict[str, str]:
    """The entries in a zoo's folder: name -> kind, sorted by name. {} for a folder that does not exist."""
    try:
        folders = sorted(pathlib.Path(zoo).glob("[!.]*"))
    except OSError:
        return {}
    kinds = {folder.name: kind_of(folder) for folder in folders}
    return {name: kind for name, kind in kinds.items() if kind}


def write_index(zoo) -> pathlib.Path:
    """Writes the index of a zoo's folder, and returns its path.

    Raises:
      InputError: an entry or file has a name with other characters than letters, digits, "_", "-" and ".", or the
        index cannot be written.
    """
    zoo, entries = pathlib.Path(zoo), {}
    for name, kind in entries_of(zoo).items():
        files = sorted(path for path in (zoo / name).iterdir() if path.is_file() and not path.name.startswith("."))
        for part in (name, *(path.name for path in files)):
            if not is_name(part):
                raise InputError(f"a zoo's names have letters, digits, _, - and . only; found {part!r} in {zoo / name}")
        told = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}
        entries[name] = {"kind": kind, "files": told}
    write_text(zoo / INDEX, json.dumps({"format": _FORMAT, "entries": entries}, indent=1) + "\n")
    return zoo / INDEX


def parse_index(text: str, origin: str) -> dict:
    """The entries of an index: name -> {"kind": ..., "files": {file: {"bytes": ..., "sha256": ...}}}.

    Args:
      text: the content of a zoo.json.
      origin: where it is from, for messages.

    Raises:
      InputError: it is no such index, or is one of a newer format.
    """
    try:
        content = described(parsed(text), _INDEX, origin)
        version, entries = content["format"], content["entries"]
    except ValueError:  # an InputError is one
        entries = None
    if entries is None or not all(_valid(name, entry) for name, entry in entries.items()):
        raise InputError(f"{origin} is no index of a zoo, or is damaged")
    if version != _FORMAT:
        raise InputError(f"{origin} has a format that this version of tf_bigan does not know; update tf_bigan")
    return entries


def _valid(name, entry):
    return (
        is_name(name)
        and entry["kind"] in (MODEL, CLASSIFIER)
        and all(is_name(file) and _SHA256.fullmatch(about["sha256"]) for file, about in entry["files"].items())
    )
