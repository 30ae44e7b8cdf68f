"""The file of a study's results: which one is read, and what is refused. Imports no TensorFlow."""

import pathlib
import re

from tf_bigan.errors import InputError
from tf_bigan.reading import Missing, read_json

RESULTS = "study.json"


def results_path(folder, published) -> pathlib.Path:
    """The results in a folder of runs or, if there are none, the published ones.

    Args:
      folder: the study's own folder.
      published: the folder of published results.

    Raises:
      InputError: neither has results.
    """
    for each in (pathlib.Path(folder), pathlib.Path(published)):
        if (each / RESULTS).exists():
            return each / RESULTS
    raise InputError(f"{folder} has no {RESULTS}; leave --notrain out to make it")


def read_results(path, schema, names) -> dict | None:
    """The content of a file of results; None if there is no file.

    Args:
      path: the file.
      schema: its content, as `reading.read_json` takes it, with "runs", a dictionary by the names of runs.
      names: regular expression of these names, which become those of folders.

    Raises:
      InputError: the file is damaged.
    """
    try:
        content = read_json(path, schema)
    except Missing:
        return None
    except InputError as error:
        raise InputError(f"{error}. Delete it to evaluate the runs again") from None
    if unknown := [name for name in content["runs"] if not re.fullmatch(names, name)]:
        raise InputError(f"{path} is damaged: it names a run {unknown[0]!r}")
    return content
