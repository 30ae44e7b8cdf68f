"""Makes the study of the 25 Gaussians: trains, evaluates and draws what is missing."""

import functools
import shutil
import time

from tf_bigan import zoo
from tf_bigan.errors import InputError, whole_number
from tf_bigan.studies.mixture_plan import ENTRANTS, folder_of, plan
from tf_bigan.studies.mixture_results import DECODER, Results
from tf_bigan.studies.results_files import RESULTS, results_path
from tf_bigan.studies.side_by_side import Program, diverged, failure, run_side_by_side
from tf_bigan.training.run_directory import RunDirectory

FIGURE = "figure.png"


def make_study(runs, train_flags, train_command, processes=2, say=print) -> Results:
    """Makes every run of the study that is missing, evaluates it, and draws the figure.

    If the call is stopped at any point, a second call continues. Runs that diverge are recorded as such. The
    checkpoints of runs that have ended are deleted, and their weights kept.

    Args:
      runs: folder of runs. The study's are in its folder "mixture": a folder and a log for each, and the results.
      train_flags: further flags for tools/train.py, added to every run.
      train_command: the command that trains, [program, argument ...], without flags.
      processes: how many runs are trained at a time.
      say: called with each message.

    Raises:
      InputError: flags that cannot work; a run that could not be trained; results of other flags; or no GAN ended with
        weights.
      KeyboardInterrupt: after SIGINT or SIGTERM; runs in progress have written checkpoints.
    """
    whole_number(processes, "processes", 1)
    planned = plan(train_flags)
    study = _Study(folder_of(runs), planned, train_command, say)
    for inherits in (False, True):
        todo = [run for run in planned if ENTRANTS[run.system].inherits == inherits and not study.has(run)]
        decoder = study.decoder() if inherits and todo else None
        programs = [study.program(run, decoder) for run in todo]
        run_side_by_side(programs, processes, functools.partial(study.end, decoder))
    draw(folder_of(runs), study.results, say)
    return study.results


def read_study(runs, published, train_flags=()) -> Results:
    """The results in a folder of runs or, if there are none, the published ones; nothing is trained.

    Args:
      runs, train_flags: as for `make_study`; without flags, results of any flags are read.
      published: the folder of published results.

    Raises:
      InputError: there are no results, or they are of other flags.
    """
    path = results_path(folder_of(runs), published)
    return Results(path, plan(train_flags) if train_flags else None)


class _Study:
    """The arguments of `make_study`, with the results so far."""

    def __init__(self, folder, planned, train_command, say):
        self.folder, self.planned, self.train_command, self.say = folder, planned, train_command, say
        self.results = Results(folder / RESULTS, planned)
        self.points = None
        self.resumed = set()
        self.begun, self.made = time.monotonic(), 0

    def has(self, run):
        return run.name in self.results.runs

    def decoder(self):
        """The name of the run whose decoder others inherit: the same as in results that exist."""
        recorded = {result["decoder"] for result in self.results.runs.values() if "decoder" in result}
        found = recorded.pop() if recorded else self.results.best(DECODER)
        if found is None:
            raise InputError(f"every {ENTRANTS[DECODER].title} diverged, so there is no decoder to give an encoder")
        if not RunDirectory(self.folder / found).has_weights():
            raise InputError(f"{self.folder / found} has no weights, whose decoder others inherit; restore them")
        return found

    def program(self, run, decoder):
        path = self.folder / run.name
        if RunDirectory(path).has_begun():
            self.resumed.add(run.name)
        initial = [f"--initial_weights={self.folder / decoder}"] if decoder else []
        flags = run.experiment.to_flagfile().splitlines()
        command = (*self.train_command, *flags, *initial, f"--workdir={path}")
        return Program(run.name, command, self.folder / f"{run.name}.log")

    def end(self, decoder, program, ended):
        """Records the result of a run whose program has ended."""
        name, path = program.name, RunDirectory(self.folder / program.name)
        result = {"decoder": decoder} if decoder else {}
        seconds = ended.seconds
        if why := diverged(program, ended):
            result["diverged"] = why
        elif ended.status or not path.is_finished():
            raise failure(program, ended)
        else:
            result |= self.measured(path)
        if name not in self.resumed:  # else these are only the seconds of what was left of it
            result["seconds"] = round(seconds)
        self.results.add(name, result)
        shutil.rmtree(path.checkpoints, ignore_errors=True)
        self.made += 1
        left = len(self.planned) - len(self.results.runs)
        minutes = (time.monotonic() - self.begun) / self.made * left / 60
        self.say(f"{name}: {_told(result)}; {seconds:.0f} s; {left} runs left, about {minutes:.0f} minutes")

    def measured(self, run):
        """The measure `modes` of a run; "diverged" if its samples are not finite."""
        import numpy as np

        from tf_bigan.evaluation.measures.modes import modes

        if self.points is None:
            self.points = held_out()[0]
        model = zoo.load(run.path)
        if not np.isfinite(model.generate(1000, seed=0)).all():
            return {"diverged": "its samples are not finite"}
        found = modes(model, self.points)
        del found["samples"]
        return {**found, "weights": run.weights_digest()}


def held_out():
    """The points that no run has trained on: (float32 [10000, 2] points, int [10000] components)."""
    from tf_bigan.data import open_data

    return open_data("mixture", "test").arrays()


def draw(folder, results, say):
    """Draws the figure of the best run of each system, if their weights are here."""
    from tf_bigan.studies.mixture_figure import ROWS, study_figure

    names = {system: results.best(system) for system in ROWS}
    if missing := [s for s, name in names.items() if not (name and RunDirectory(folder / name).has_weights())]:
        say(f"no figure, as no weights of {ENTRANTS[missing[0]].title} are in {folder}")
        return
    from tf_bigan.figures import save_png

    points, labels = held_out()
    models = {system: zoo.load(folder / name) for system, name in names.items()}
    save_png(folder / FIGURE, study_figure(models, points, labels))
    say(f"figure of {', '.join(names.values())}: {folder / FIGURE}")


def _told(result):
    if "diverged" in result:
        return f"diverged: {result['diverged']}"
    counts = ", ".join(str(result[name]) for name in ("modes", "modes_near", "modes_covered"))
    error = f"; reconstruction error {result['reconstruction']:.3f}" if "reconstruction" in result else ""
    return f"modes {counts}; {100 * result['high_quality']:.1f} % within 3 sigma{error}"
