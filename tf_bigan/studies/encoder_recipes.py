"""Makes the study of encoder recipes: measures what steps cost, then trains and evaluates what is missing."""

import shutil
import statistics
import time

from tf_bigan import zoo
from tf_bigan.errors import whole_number
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.studies.encoder_plan import BASE, PARTS, folder_of, plan
from tf_bigan.studies.encoder_results import Results, result_of
from tf_bigan.studies.results_files import RESULTS, results_path
from tf_bigan.studies.side_by_side import Program, diverged, failure, run_side_by_side
from tf_bigan.training.run_directory import RunDirectory

JUDGE = "classifier_cifar10"  # the feature network of FID, if it is there
JUDGED = "cifar10"  # the part whose samples it judges
_STEPS, _FIRST_STEPS = 12, 4  # timed steps, and the steps before them
_SAMPLES = 5000


def make_study(runs, seeds, flags, tools, processes=2, say=print) -> Results:
    """Makes every run of the study that is missing.

    If the call is stopped at any point, a second call continues. The checkpoints of runs that have ended are deleted,
    and their weights kept.

    Args:
      runs: folder of runs. The study's are in its folder "encoder_recipes": a folder and logs for each, and results.
      seeds: training seeds.
      flags: further flags for tools/train.py, added to every run.
      tools: {"train" and "evaluate": the command without flags, [program, argument ...]}.
      processes: how many runs are trained at a time.
      say: called with each message.

    Raises:
      InputError: flags that cannot work; a run that could not be trained or evaluated; or results of other flags.
      KeyboardInterrupt: after SIGINT or SIGTERM; runs in progress have written checkpoints.
    """
    whole_number(processes, "processes", 1)
    planned, results = plan(seeds, flags), Results(folder_of(runs) / RESULTS, flags)
    study = _Study(folder_of(runs), results, tools, say)
    for run in planned:
        study.measure_cost(run)
    for seed in seeds:
        todo = [run for run in planned if run.seed == seed and run.name not in results.runs]
        untrained = [run for run in todo if not study.directory(run.name).is_finished()]
        run_side_by_side([study.training(run) for run in untrained], processes, study.end_training)
        ended = [run for run in todo if run.name not in results.runs]  # the others diverged
        run_side_by_side([study.evaluation(run) for run in ended], processes, study.end_evaluation)
    return results


def read_study(runs, published, flags=None, seeds=None) -> Results:
    """The results in a folder of runs or, if there are none, the published ones; nothing is trained.

    Args:
      runs, flags: as for `make_study`; without flags, results of any flags are read.
      published: the folder of published results.
      seeds: training seeds whose results are kept; None = all.

    Raises:
      InputError: there are no results, or they are of other flags or seeds.
    """
    results = Results(results_path(folder_of(runs), published), flags or None)
    if seeds is not None:
        results.keep(seeds)
    return results


def step_seconds(experiment) -> float:
    """The CPU seconds of a training step of an experiment, in this process: the median of a few steps on noise."""
    import numpy as np
    from keras.callbacks import LambdaCallback

    from tf_bigan.games import make_game

    precision = experiment.precision if experiment.precision != "auto" else "float32"
    game, times = make_game(experiment, precision), []
    game.compile()
    noise = np.random.default_rng(0).random((experiment.batch_size, *experiment.encoder_shape), np.float32)
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.process_time()))
    batches = np.concatenate([noise] * (_FIRST_STEPS + _STEPS))
    game.fit(batches, batch_size=experiment.batch_size, verbose=0, statistics_steps=0, callbacks=[callback])
    return statistics.median(after - before for before, after in zip(times[:-1], times[1:], strict=True))


class _Study:
    """The arguments of `make_study`, with the results so far."""

    def __init__(self, folder, results, tools, say):
        self.folder, self.results, self.tools, self.say = folder, results, tools, say
        self.resumed = set()

    def directory(self, name):
        return RunDirectory(self.folder / name)

    def measure_cost(self, run):
        """Measures what a step of a change costs, unless the results have it."""
        key = f"{run.part}-{run.change}"
        if key not in self.results.costs:
            self.results.costs[key] = step_seconds(run.experiment(1.0))
            self.results.write()
            self.say(f"{key}: {1000 * self.results.costs[key]:.0f} ms of CPU time a step")

    def experiment(self, run):
        return run.experiment(self.results.costs[f"{run.part}-{run.change}"])

    def training(self, run):
        if self.directory(run.name).has_begun():
            self.resumed.add(run.name)
        flags = self.experiment(run).to_flagfile().splitlines()
        command = (*self.tools["train"], *flags, f"--workdir={self.folder / run.name}")
        return Program(run.name, command, self.folder / f"{run.name}.log")

    def end_training(self, program, ended):
        name = program.name
        if why := diverged(program, ended):
            self.results.add(name, {"diverged": why})
        elif ended.status or not self.directory(name).is_finished():
            raise failure(program, ended)
        elif name not in self.resumed:
            self.results.minutes[name] = round(ended.cpu_seconds / 60, 2)
            self.results.write()
        shutil.rmtree(self.directory(name).checkpoints, ignore_errors=True)
        self.say(f"{name}: trained, {ended.cpu_seconds / 60:.1f} CPU minutes")

    def evaluation(self, run):
        part = PARTS[run.part]
        judged = run.part == JUDGED and zoo.names_feature_network(JUDGE)
        command = (
            *self.tools["evaluate"],
            f"--model={self.folder / run.name}",
            "--metrics=knn,linear" + ",fid" * judged,
            *([f"--feature_network={JUDGE}", f"--samples={_SAMPLES}"] if judged else []),
            f"--layers={','.join(part.layers)}",
            "--pool=4",
            f"--gallery_split={part.splits[0]}",
            f"--query_split={part.splits[1]}",
            f"--untrained={int(run.change == BASE)}",
        )
        return Program(run.name, command, self.folder / f"{run.name}.evaluation.log")

    def end_evaluation(self, program, ended):
        if ended.status:
            raise failure(program, ended)
        name, run = program.name, self.directory(program.name)
        result = result_of(read_report(run.path / zoo.REPORT), name.partition("-")[0], run.weights_state()["epochs"])
        self.results.add(name, result)
        best = max(result["trained"].items(), key=lambda each: each[1]["linear"])
        self.say(f"{name}: linear probe {best[1]['linear']:.1f} % ({best[0]})")
