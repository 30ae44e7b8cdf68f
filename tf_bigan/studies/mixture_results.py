"""What the runs of the mixture's study reached: a file of all results, and which runs stand for their systems."""

import dataclasses
import json
import pathlib

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.files import write_text
from tf_bigan.reading import COUNT, Optional
from tf_bigan.studies.mixture_plan import ENTRANTS, RANGES, SEED, Planned, settings
from tf_bigan.studies.results_files import read_results

COUNTS = ("modes", "modes_near", "modes_covered")
DECODER = "gan"  # the system whose best-covering run gives others its decoder

_REACHED = {
    **dict.fromkeys(COUNTS, COUNT),
    **dict.fromkeys(("high_quality", "kl"), float),
    **dict.fromkeys(map(Optional, ("reconstruction", "reconstruction_b", "seconds")), float),
    **dict.fromkeys(map(Optional, ("weights", "decoder")), str),
}
_STUDY = {
    "settings": object,
    "flags": {str: {str: (int, float, bool, str)}},
    "runs": {str: ({"diverged": str, Optional("seconds"): float}, _REACHED)},
}


class Results:
    """The results of the runs that have ended, in a file that is written after each.

    A result is a dictionary of what `evaluation.measures.modes` gives, with "weights", their digest; or
    {"diverged": why} for a run that ended because a loss or a variable was not finite. Each has "seconds", how long
    its training took, unless that was stopped and resumed. Results of systems that inherit also have "decoder", the
    name of the run that gave it.

    Args:
      path: the file, which need not exist.
      plan: the planned runs. None = those of which the file tells.

    Raises:
      InputError: the file is damaged, or holds runs of other settings than those that are planned.
    """

    def __init__(self, path, plan: list[Planned] | None = None):
        self.path = pathlib.Path(path)
        self.runs: dict[str, dict] = {}
        self.flags = _flags(plan) if plan else {}
        content = read_results(self.path, _STUDY, r"[a-z_]+-\d{1,4}")
        if content is None:
            return
        self.runs, recorded = content["runs"], content["flags"]
        self.flags = self.flags or recorded
        if recorded != self.flags or content["settings"] != settings():
            raise InputError(
                f"{self.path} holds runs of other settings{_first_difference(recorded, self.flags)}.\n"
                "Give the --flags that they have, or another --runs"
            )

    def add(self, name, result):
        """Adds the result of the run called `name`, and writes the file."""
        self.runs[name] = result
        content = {
            "ranges": {key: list(limits) for key, limits in RANGES.items()},
            "search_seed": SEED,
            "settings": settings(),
            "flags": self.flags,
            "runs": dict(sorted(self.runs.items())),
        }
        write_text(self.path, json.dumps(content, indent=1) + "\n")

    def of(self, system) -> dict[int, dict]:
        """The results of a system: {number of the setting: result}."""
        found = {name.rpartition("-")[::2]: result for name, result in self.runs.items()}
        return {int(number): found[own, number] for own, number in sorted(found) if own == system}

    def best(self, system) -> str | None:
        """The run that stands for a system; None if none has ended without diverging.

        It is the one that covers most modes with 20 samples within 3 sigma, and of these the one whose shares of
        samples are most even (least KL). Of encoders for the same decoder, it is the one with the least reconstruction
        error.
        """
        ended = {number: result for number, result in self.of(system).items() if "diverged" not in result}
        if not ended:
            return None

        def rank(number):
            found = ended[number]
            if ENTRANTS[system].inherits:
                return found["reconstruction"]
            return -found["modes_covered"], found["kl"]

        return f"{system}-{min(ended, key=rank):02d}"


def _flags(plan):
    """The settings of each system that decide results, differ from the defaults, and are the same in all its runs."""
    found = {}
    for run in plan:
        fields = [field for field in dataclasses.fields(run.experiment) if not field.metadata["operational"]]
        values = {
            field.name: getattr(run.experiment, field.name) for field in fields if field.name not in settings()[0]
        }
        changed = {name: value for name, value in values.items() if value != run.experiment.default(name)}
        found.setdefault(run.system, changed)
    return found


def _first_difference(recorded, planned):
    for system in recorded.keys() & planned.keys():
        for name in sorted(recorded[system].keys() | planned[system].keys()):
            if recorded[system].get(name) != planned[system].get(name):
                value = recorded[system].get(name, Experiment.default(name))
                return f": {system} with --{name}={value}"
    return ""
