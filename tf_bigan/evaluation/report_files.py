"""Reads and writes evaluation reports as files. Imports no TensorFlow."""

import pathlib

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import find_measure
from tf_bigan.evaluation.report import reusable
from tf_bigan.evaluation.table import table
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, Optional, json_text, read_json

_EXAMPLES = {"split": str, "images": COUNT, Optional("dataset"): str, Optional("of_gallery"): bool}
_REPORT = {
    "results": {str: ([{str: object}], {str: object})},
    "epochs": COUNT,
    Optional("initial_epochs"): [COUNT],
    Optional("weights"): str,
    Optional("system"): str,
    "dataset": str,
    Optional("max_labels"): COUNT,
    Optional("gallery"): _EXAMPLES,
    Optional("queries"): _EXAMPLES,
    Optional("training_precision"): str,
    "training_seed": COUNT,
    Optional("untrained"): (str, None),
    Optional("evaluation_seed"): int,
    "protocols": {str: str},
    Optional("commands"): {str: [str]},
}


def write_report(path, report: dict):
    """Writes an evaluation report as JSON, and keeps those results of an earlier report at `path` that are still valid.

    New rows replace earlier rows of the same encoder, layer and settings. If the protocol of a metric has changed, its
    new rows replace all of its earlier rows. "commands" lists the commands that gave a metric's rows; the earlier
    commands of a metric stay in the list as long as any of its earlier rows do.
    """
    path = pathlib.Path(path)
    header = {key: report[key] for key in report.keys() - {"protocols", "commands", "results"}}
    earlier = reusable(read_report(path), header) if path.exists() else None
    if earlier:
        results, commands = dict(earlier["results"]), dict(earlier.get("commands", {}))
        protocols = earlier.get("protocols", {})
        for name, rows in report["results"].items():
            same = protocols.get(name) == report["protocols"].get(name)
            kept = _rows_beside(earlier["results"].get(name), rows) if same else []
            results[name] = kept + rows if isinstance(rows, list) else rows
            told = [*(commands.get(name, []) if kept else []), *report.get("commands", {}).get(name, [])]
            commands[name] = list(dict.fromkeys(told))
        report = {**report, "results": results, "protocols": {**protocols, **report["protocols"]}}
        report["commands"] = {name: told for name, told in commands.items() if told}
    write_text(path, json_text(report, indent=1))


def _rows_beside(earlier, rows):
    """The earlier rows that no new row replaces."""
    if not (isinstance(earlier, list) and isinstance(rows, list)):
        return []

    def place(row):
        return [row.get(name) for name in ("encoder", "seed", "layer", "metric", "k", "pool", "edge", "settings")]

    made = [place(row) for row in rows]
    return [row for row in earlier if place(row) not in made]


def read_report(path) -> dict:
    """Reads an evaluation report. Raises InputError if the file is damaged, or is not an evaluation report."""
    report = read_json(path, _REPORT, finite=False)
    try:
        table(report)  # needs the entries of every row, as each measure writes them
        for name in registry.MEASURES:
            if found := report["results"].get(name):
                find_measure(name).headline(found, report)
    except InputError:
        raise
    except Exception as error:
        told = f"{type(error).__name__} {error}" if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged: its results cannot be shown: {told}") from None
    return report
