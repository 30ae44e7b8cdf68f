"""Reproduces a table of the papers: finds the evaluated runs, asks for those that are missing, and lays them out."""

import dataclasses
import pathlib

from tf_bigan import zoo
from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.paper_tables import TABLES, Run, covers, layout
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory


def reproduce(name, seeds=(42,), runs="runs", train_flags=(), evaluate_flags=(), run_tool=None) -> str:
    """A table as text, its rows beside the paper's numbers.

    What the zoo or `runs` holds for a seed is not made again. Stopped at any point, a second call goes on.

    Args:
      name: of the table, in `paper_tables.TABLES`.
      seeds: training seeds.
      runs: folder of the runs that the zoo does not hold, each "<name in the zoo>-seed<seed>".
      train_flags: flags for tools/train.py beside the zoo's. Runs that differ in them are not taken.
      evaluate_flags: flags for tools/evaluate.py beside the table's. With them everything is evaluated again, where
        tools/evaluate.py keeps what was measured with the same flags.
      run_tool: function of a tool's name, "train" or "evaluate", and its flags that runs it to its end; None = nothing
        is trained or evaluated, and the table has what there is.

    Raises:
      InputError: an unknown table, flags that cannot work, or flags for an evaluation that is not to be run.
    """
    if name not in TABLES:
        raise InputError(f"unknown table {name!r}.{did_you_mean(name, TABLES)}")
    if evaluate_flags and not run_tool:
        raise InputError("--evaluate asks for an evaluation, which --notrain forbids")
    request = _Request(TABLES[name], pathlib.Path(runs), tuple(train_flags), tuple(evaluate_flags), run_tool)
    for model in request.table.runs:  # before anything runs
        asked = RunDirectory(zoo.zoo_path() / model).experiment().changed_by(request.changes()[0])
        if run_tool:
            asked.check_effects()
    found = {model: [run for seed in seeds for run in request.runs_of(model, seed)] for model in request.table.runs}
    return layout(request.table, found)


@dataclasses.dataclass(frozen=True)
class _Request:
    """What `reproduce` was asked for."""

    table: object
    runs: pathlib.Path
    train_flags: tuple
    evaluate_flags: tuple
    run_tool: object

    def runs_of(self, name, seed):
        """The evaluated runs of a row at a seed, of the zoo and of `runs`; made if missing and wanted."""
        entry = RunDirectory(zoo.zoo_path() / name)
        run = RunDirectory(self.runs / f"{name}-seed{seed}")
        own = run.path.with_name(f"{run.path.name}.json")  # of the zoo's weights, whose entry stays as it is

        again = self.run_tool and self.evaluate_flags  # tools/evaluate.py knows what was made with these flags
        made = {}
        for of, path in ((entry, entry.path / zoo.REPORT), (entry, own), (run, run.path / zoo.REPORT)):
            if of.path not in made and path.exists() and not again:
                report = read_report(path)
                usable = report["training_seed"] == seed and covers(report, self.table) and _is_of(report, of, entry)
                if usable and self._is_as_asked(of):
                    made[of.path] = Run(report, _other_flags(of, entry))
        if made or not self.run_tool:
            return list(made.values())
        if entry.has_weights() and entry.experiment().seed == seed and self._is_as_asked(entry):
            run.path.parent.mkdir(parents=True, exist_ok=True)
            self.run_tool("evaluate", f"--model={name}", *self.table.flags, *self.evaluate_flags, f"--json={own}")
            return [Run(read_report(own), "")]
        flagfile = entry.path / FLAGFILE
        self.run_tool("train", f"--flagfile={flagfile}", f"--seed={seed}", *self.train_flags, f"--workdir={run.path}")
        self.run_tool("evaluate", f"--model={run.path}", *self.table.flags, *self.evaluate_flags)
        return [Run(read_report(run.path / zoo.REPORT), _other_flags(run, entry))]

    def changes(self):
        """(flags of an experiment, digest of the weights to begin with or None) among `train_flags`."""
        initial = "--initial_weights="
        named = [flag.removeprefix(initial) for flag in self.train_flags if flag.startswith(initial)]
        changes = [flag for flag in self.train_flags if not flag.startswith(initial)]
        return changes, RunDirectory(zoo.run_path(named[-1])).weights_digest() if named else None

    def _is_as_asked(self, run):
        """Whether `train_flags` would change nothing about a run."""
        changes, initial = self.changes()
        experiment = run.experiment()
        began = [each["weights"] for each in run.initial()]
        return (initial is None or began[-1:] == [initial]) and not (
            experiment.changed_by(changes).filled_from(experiment).difference(experiment)
        )


def _is_of(report, run, entry):
    """Whether the report is of the weights that are there. A zoo entry's may be interim; any may stay away."""
    if not run.has_weights():
        return run is entry or not run.has_checkpoints()
    return (run is entry or run.is_finished()) and report.get("weights", run.weights_digest()) == run.weights_digest()


def _other_flags(run, entry):
    """The flags except the seed in which a run differs from an entry of the zoo, as for tools/train.py."""
    experiment, published = run.experiment(), entry.experiment()
    names = published.filled_from(experiment).difference(experiment)
    return " ".join(f"--{name}={getattr(experiment, name)}" for name in names if name != "seed")
