"""Reads and writes evaluation reports as files. Imports no TensorFlow."""

import json
import pathlib

from tf_bigan.errors import InputError
from tf_bigan.evaluation.report import reusable
from tf_bigan.files import write_text


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
    write_text(path, json.dumps(report, indent=1) + "\n")


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
    try:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or unreadable: {error}") from None
    if not isinstance(report, dict) or not isinstance(report.get("results"), dict):
        raise InputError(f"{path} is no evaluation report")
    return report
