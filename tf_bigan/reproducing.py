"""Reproduces a table of the papers: finds the evaluated runs, makes the missing ones, and lays the table out."""

import dataclasses
import itertools
import pathlib

from tf_bigan import zoo
from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.paper_tables import TABLES
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.evaluation.table_layout import Run, covers, layout
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory

_SVM = "--metrics=svm"
_NETWORK = "--feature_network="


def reproduce(name, seeds=(42,), runs="runs", train_flags=(), evaluate_flags=(), run_tool=None) -> str:
    """A table as text, with its rows beside the paper's numbers.

    Runs that the zoo or `runs` holds for a seed are not made again. If the call is stopped at any point, a second call
    continues.

    Args:
      name: name of the table in `paper_tables.TABLES`.
      seeds: training seeds.
      runs: folder of the runs that the zoo does not hold, each named "<name in the zoo>-seed<seed>".
      train_flags: further flags for tools/train.py, added to the zoo's. Runs with other values of them are not used.
      evaluate_flags: further flags for tools/evaluate.py, added to the table's. With them every run is evaluated again,
        but tools/evaluate.py keeps the results that were measured with the same flags.
      run_tool: function that takes a tool's name, "train" or "evaluate", and its flags, and runs the tool to its end;
        None = nothing is trained or evaluated, and the table shows the runs that exist.

    Raises:
      InputError: an unknown table, flags that cannot work, or flags for an evaluation although `run_tool` is None.
    """
    if name not in TABLES:
        raise InputError(f"unknown table {name!r}.{did_you_mean(name, TABLES)}")
    if evaluate_flags and not run_tool:
        raise InputError("--evaluate asks for an evaluation, which --notrain forbids")
    parts, of_svm = TABLES[name].parts(), [flag for flag in evaluate_flags if flag.startswith("--svm_")]
    if of_svm and not any(_SVM in part.flags for part in parts):
        raise InputError(f"{of_svm[0]} is for tables with SVMs, and {name} has none")
    requests = [
        [
            _Request(
                part,
                pathlib.Path(runs),
                (*part.train, *train_flags),
                _flags_of(part, evaluate_flags),
                run_tool,
                value,
            )
            for value in part.values or (None,)
        ]
        for part in parts
    ]
    for request in itertools.chain(*requests):  # check the flags before any tool runs
        for model in request.table.runs:
            asked = RunDirectory(zoo.zoo_path() / model).experiment().changed_by(request.changes()[0])
            if run_tool:
                asked.check_effects()
    if run_tool:
        for part in parts:
            _check_feature_network((*part.flags, *evaluate_flags))
    return layout(TABLES[name], [_found(of_table, seeds) for of_table in requests])


def _check_feature_network(flags):
    """Raises InputError for a feature network that does not exist, before runs are trained to be compared in it."""
    for name in [flag.removeprefix(_NETWORK) for flag in flags if flag.startswith(_NETWORK)][-1:]:
        if not zoo.names_feature_network(name):
            raise InputError(
                f"there is no feature network {name!r}. tools/train_classifier.py trains one; name its folder as in "
                "--evaluate=--feature_network=DIR"
            )


def _flags_of(part, evaluate_flags):
    """Those of `evaluate_flags` that are for this part of a table: flags of SVMs are for a part that has SVMs."""
    return tuple(flag for flag in evaluate_flags if _SVM in part.flags or not flag.startswith("--svm_"))


def _found(requests, seeds):
    """The runs of a table: {name in the zoo: list of `Run`}."""
    found = {}
    for model in requests[0].table.runs:
        entry = RunDirectory(zoo.zoo_path() / model)
        if requests[0].table.published and entry.has_weights():
            shown = [(dataclasses.replace(each, train_flags=()), entry.experiment().seed) for each in requests]
        else:
            shown = [(each, seed) for seed in seeds for each in requests]
        found[model] = [run for request, seed in shown for run in request.runs_of(model, seed)]
    return found


@dataclasses.dataclass(frozen=True)
class _Request:
    """The arguments of `reproduce`, for a part of a table and a value of the setting that the part varies."""

    table: object
    runs: pathlib.Path
    train_flags: tuple
    evaluate_flags: tuple
    run_tool: object
    value: object = None

    def runs_of(self, name, seed):
        """The evaluated runs of a model at a seed, from the zoo and `runs`; made if missing and `run_tool` is set."""
        entry = RunDirectory(zoo.zoo_path() / name)
        varied = f"-{self.table.varied}{self.value}" if self.table.varied else ""
        run = RunDirectory(self.runs / f"{name}-seed{seed}{varied}")
        own = run.path.with_name(f"{run.path.name}.json")  # a report on the zoo's weights, kept outside the zoo

        again = self.run_tool and self.evaluate_flags  # tools/evaluate.py knows which results have these flags
        made = {}
        for of, path in ((entry, entry.path / zoo.REPORT), (entry, own), (run, run.path / zoo.REPORT)):
            if of.path not in made and path.exists() and not again:
                report = read_report(path)
                usable = report["training_seed"] == seed and covers(report, self.table) and _is_of(report, of, entry)
                if usable and self._is_as_asked(of):
                    made[of.path] = Run(report, self._other_flags(of, entry), self.value)
        if made or not self.run_tool:
            return list(made.values())
        if entry.has_weights() and entry.experiment().seed == seed and self._is_as_asked(entry):
            run.path.parent.mkdir(parents=True, exist_ok=True)
            self.run_tool("evaluate", f"--model={name}", *self.table.flags, *self.evaluate_flags, f"--json={own}")
            return [Run(read_report(own), "", self.value)]
        flagfile = entry.path / FLAGFILE
        flags = [*self.train_flags, *self._of_value()]
        self.run_tool("train", f"--flagfile={flagfile}", f"--seed={seed}", *flags, f"--workdir={run.path}")
        self.run_tool("evaluate", f"--model={run.path}", *self.table.flags, *self.evaluate_flags)
        return [Run(read_report(run.path / zoo.REPORT), self._other_flags(run, entry), self.value)]

    def _of_value(self):
        return [f"--{self.table.varied}={self.value}"] if self.table.varied else []

    def changes(self):
        """Splits `train_flags` into (flags of an experiment, digest of the initial weights or None)."""
        initial = "--initial_weights="
        named = [flag.removeprefix(initial) for flag in self.train_flags if flag.startswith(initial)]
        changes = [flag for flag in self.train_flags if not flag.startswith(initial)] + self._of_value()
        return changes, RunDirectory(zoo.run_path(named[-1])).weights_digest() if named else None

    def _is_as_asked(self, run):
        """Whether a run already agrees with `train_flags`."""
        changes, initial = self.changes()
        experiment = run.experiment()
        began = [each["weights"] for each in run.initial()]
        return (initial is None or began[-1:] == [initial]) and not (
            experiment.changed_by(changes).filled_from(experiment).difference(experiment)
        )

    def _other_flags(self, run, entry):
        """The flags of tools/train.py, except the seed and the varied one, in which a run differs from the entry."""
        experiment, published = run.experiment(), entry.experiment()
        names = published.filled_from(experiment).difference(experiment)
        names = [name for name in names if name not in ("seed", self.table.varied)]
        return " ".join(f"--{name}={getattr(experiment, name)}" for name in names)


def _is_of(report, run, entry):
    """Whether a report is on the weights that the run directory holds.

    A zoo entry may have interim weights, or none. Another run must be finished, or be without weights and checkpoints.
    """
    if not run.has_weights():
        return run is entry or not run.has_checkpoints()
    return (run is entry or run.is_finished()) and report.get("weights", run.weights_digest()) == run.weights_digest()
