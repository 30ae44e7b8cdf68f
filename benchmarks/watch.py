"""What the collapse watch costs: the time of a look divided by that of the epochs between two pictures.

TFDS_DATA_DIR=/path/to/tfds python benchmarks/watch.py --models=mnist,ali_cifar10 --json=watch.json

Of each model, with the settings that the zoo publishes, on this machine:

step    the time of a training step: the contender "step" of training.py, in a process of its own
look    the time of a look at a game in training, from the data to the log and TensorBoard: the first look of a process,
        which also reads the examples and traces functions, and the median of later ones

A run has as many looks as pictures, and its process one first look. Both quotients are printed: that of a later look
and the steps between two pictures, and that of all looks and all steps of a run that is not interrupted. Wanted: 2 % at
most. Rounds alternate between the two measurements, so that changes in the machine's speed affect both.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import statistics
import sys
import tempfile
import time

from timing import ROOT, note, print_table, run_json, write_json
from training_measures import experiment_of_flags
from training_models import MODELS

LOOKS = 5  # of a process


def measure_looks(name, precision):
    """Seconds of the looks of one process, and how many steps and pictures a run has."""
    from tf_bigan.data import open_data
    from tf_bigan.games import Adam, make_game
    from tf_bigan.training.run_directory import RunDirectory
    from tf_bigan.training.watch import Watch

    e = experiment_of_flags(MODELS[name], MODELS[name].shape)
    data = open_data(e.dataset, e.split, max_labels=e.max_labels, like=e.preparation).load()
    game = make_game(e, precision)
    game.compile(Adam())
    with tempfile.TemporaryDirectory() as folder:
        run, seconds = RunDirectory(folder), []
        run.append_log({"epoch": 0, "step": 0})
        watch = Watch(game, run, data, e.batch_size, lambda line: None)
        game.estimate_statistics(data.training_batches(e.batch_size, e.seed), 1)  # pictures do this before
        for _ in range(LOOKS):
            start = time.perf_counter()
            watch.look(0)
            seconds.append(time.perf_counter() - start)
        entries = run.read_log()[0]
    if missing := [key for key, value in entries.items() if value is None] or "failed" in str(entries):
        sys.exit(f"the watch did not measure everything: {missing}")
    steps = math.ceil(data.count / e.batch_size)
    return {"seconds": seconds, "steps": steps, "every": e.images_every, "pictures": e.epochs // e.images_every}


def main():
    """Measures in rounds, and prints seconds and quotients of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="mnist,ali_cifar10", help=f"of {', '.join(MODELS)}; as a list")
    parser.add_argument("--precision", default="mixed_bfloat16", help="float32 or mixed_bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="seconds of steps that are measured per round")
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(dataclasses.asdict(_Looks(**measure_looks(options.measure, options.precision)))))
        return
    results = {}
    for name in options.models.split(","):
        if name not in MODELS:
            parser.error(f"unknown model {name}; there are {', '.join(MODELS)}")
        results[name] = []
        for count in range(options.rounds):
            precision = f"--precision={options.precision}"
            training = pathlib.Path(ROOT, "benchmarks", "training.py")
            measured = ["--measure=step", f"--model={name}", precision, f"--seconds={options.seconds}"]
            rate = run_json([sys.executable, training, *measured])["images_per_second"]
            looks = _Looks(**run_json([sys.executable, __file__, f"--measure={name}", precision]))
            step = MODELS[name].batch / rate
            results[name].append({"step": step, **dataclasses.asdict(looks), **looks.quotients(step)})
            note(f"{name}, round {count + 1}: {json.dumps(results[name][-1])}")
        rows = results[name]
        seconds = {
            "step": [row["step"] for row in rows],
            "first look": [row["seconds"][0] for row in rows],
            "later look": [statistics.median(row["seconds"][1:]) for row in rows],
        }
        print_table(f"{name}, {options.precision}", "seconds", seconds, digits=4)
        shares = {key: [100 * row[key] for row in rows] for key in ("a look", "all looks")}
        print_table(f"{name}, of the time of the steps", "%", shares, digits=3)
    write_json(options.json, results)


@dataclasses.dataclass(frozen=True)
class _Looks:
    seconds: list
    steps: int  # of an epoch
    every: int  # epochs between pictures
    pictures: int  # of a run

    def quotients(self, step):
        """The quotients of the times of looks and steps of `step` seconds."""
        later = statistics.median(self.seconds[1:])
        between = self.every * self.steps * step
        whole = self.seconds[0] + (self.pictures - 1) * later
        return {"a look": later / between, "all looks": whole / (self.pictures * between)}


if __name__ == "__main__":
    main()
