"""What the runs of the study of encoder recipes reached, in a file."""

import json
import pathlib

from tf_bigan.errors import InputError
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, Optional
from tf_bigan.studies.encoder_plan import PARTS
from tf_bigan.studies.results_files import read_results

PROBE, NEIGHBOUR = "linear", "knn"

_FEATURES = {PROBE: float, NEIGHBOUR: float}
_REACHED = {
    "epochs": COUNT,
    "trained": {str: _FEATURES},
    Optional("untrained"): {str: _FEATURES},
    Optional("pixels"): {str: _FEATURES},
    Optional("fid"): float,
    Optional("weights"): str,
}
_STUDY = {
    "flags": [str],
    "costs": {str: float},
    "minutes": {str: float},
    "runs": {str: ({"diverged": str}, _REACHED)},
}
_NAME = r"[a-z0-9_]+-[a-z0-9_]+-seed\d{1,10}"


class Results:
    """The results of the runs that have ended, in a file that is written after each.

    Attributes:
      costs: {"<part>-<change>": the CPU seconds of a training step}, from which the runs' lengths follow.
      minutes: {name of a run: the CPU minutes of its training}, of trainings that were not stopped and resumed.
      runs: {name of a run: its result}. A result is {"diverged": why} for a run that ended because a loss was not
        finite. Else it has "epochs"; "trained", {layer: {"linear": accuracy of the linear probe in percent, "knn": of
        1-NN with Euclidean distances}}; for the base also "untrained" and "pixels", in the same form; "fid", the
        Fréchet distance in the classifier's features, if there was a classifier; and "weights", their digest.

    Args:
      path: the file, which need not exist.
      flags: the flags that are added to every run; None = those of which the file tells.

    Raises:
      InputError: the file is damaged, or holds runs of other flags.
    """

    def __init__(self, path, flags=None):
        self.path = pathlib.Path(path)
        self.flags, self.costs, self.minutes, self.runs = list(flags or ()), {}, {}, {}
        content = read_results(self.path, _STUDY, _NAME)
        if content is None:
            return
        if flags is not None and content["flags"] != self.flags:
            raise InputError(
                f"{self.path} holds runs with --flags='{' '.join(content['flags'])}'.\nGive these, or another --runs"
            )
        self.flags, self.costs = content["flags"], content["costs"]
        self.minutes, self.runs = content["minutes"], content["runs"]

    def add(self, name, result):
        """Adds the result of the run called `name`, and writes the file."""
        self.runs[name] = result
        self.write()

    def write(self):
        """Writes the file."""
        runs, minutes = (dict(sorted(found.items())) for found in (self.runs, self.minutes))
        content = {"flags": self.flags, "costs": self.costs, "minutes": minutes, "runs": runs}
        write_text(self.path, json.dumps(content, indent=1) + "\n")

    def keep(self, seeds):
        """Drops the results of all other seeds, here and not in the file. Raises InputError if none is left."""
        ends = tuple(f"-seed{seed}" for seed in seeds)
        kept = {name: result for name, result in self.runs.items() if name.endswith(ends)}
        if not kept:
            raise InputError(f"{self.path} has no run of the seeds {', '.join(map(str, seeds))}")
        self.runs = kept

    def of(self, part, change) -> dict[int, dict]:
        """The results of a change: {seed: result}. Runs that diverged are left out."""
        start = f"{part}-{change}-seed"
        found = {name.removeprefix(start): each for name, each in self.runs.items() if name.startswith(start)}
        return {int(seed): found[seed] for seed in sorted(found, key=int) if "diverged" not in found[seed]}


def result_of(report, part, epochs) -> dict:
    """A run's result, from its evaluation report.

    Args:
      report: as `evaluation.report_files.read_report` returns it.
      part: the name of the run's part.
      epochs: the length of its training.
    """
    found = {"epochs": epochs, "weights": report["weights"]}
    for measure in (PROBE, NEIGHBOUR):
        for row in report["results"][measure]:
            if measure == NEIGHBOUR and (row["metric"], row["k"]) != ("euclidean", 1):
                continue
            layers = found.setdefault(row["encoder"], {})
            layers.setdefault(row.get("layer") or row["encoder"], {})[measure] = row["accuracy"]
    if samples := report["results"].get("fid"):
        found["fid"] = next(row["fid"] for row in samples if row["encoder"] == "trained")
    unknown = found["trained"].keys() - set(PARTS[part].layers)
    return {**found, "trained": {name: each for name, each in found["trained"].items() if name not in unknown}}
