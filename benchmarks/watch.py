"""What the collapse watch costs: the time of a look divided by that of the epochs between two pictures.

TFDS_DATA_DIR=/path/to/tfds python benchmarks/watch.py --models=mnist,ali_cifar10 --json=watch.json

Of each model, with the settings that the zoo publishes, on this machine:

step    the time of a training step: the contender "step" of training.py, in a process of its own
look    the time of a look at a game in training, from the data to the log and TensorBoard: the first look of a process,
        which also reads the examples and traces functions, and the median of later ones

A run has as many looks as pictures, and its process one first look. Two quotients are printed: that of a later look
and the steps between two pictures, and that of all looks and all steps of a run that is not interrupted. Wanted: 2 % at
most. Both are quotients of wall-clock times and of the CPU times of all threads, which other programs on the machine
change less. Rounds alternate between the two measurements, so that changes in the machine's speed affect both.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time

from timing import ROOT, note, print_table, run_json, write_json
from training_measures import experiment_of_flags
from training_models import MODELS

LOOKS = 5  # of a process


def measure_looks(name, precision):
    """Times of the looks of one process in seconds, and how many steps and pictures a run has."""
    from tf_bigan.data import open_data
    from tf_bigan.games import Adam, make_game
    from tf_bigan.training.run_directory import RunDirectory
    from tf_bigan.training.watch import Watch

    e = experiment_of_flags(MODELS[name], MODELS[name].shape)
    data = open_data(e.dataset, e.split, max_labels=e.max_labels, like=e.preparation).load()
    game = make_game(e, precision)
    game.compile(Adam())
    with tempfile.TemporaryDirectory() as folder:
        run, times = RunDirectory(folder), {"wall": [], "cpu": []}
        run.append_log({"epoch": 0, "step": 0})
        watch = Watch(game, run, data, e.batch_size, lambda line: None)
        game.estimate_statistics(data.training_batches(e.batch_size, e.seed), 1)  # pictures do this before
        for _ in range(LOOKS):
            wall, cpu = time.perf_counter(), time.process_time()
            watch.look(0)
            times["wall"].append(time.perf_counter() - wall)
            times["cpu"].append(time.process_time() - cpu)
        entries = run.read_log()[0]
    if missing := [key for key, value in entries.items() if value is None] or "failed" in str(entries):
        sys.exit(f"the watch did not measure everything: {missing}")
    steps = math.ceil(data.count / e.batch_size)
    return {"looks": times, "steps": steps, "every": e.images_every, "pictures": e.epochs // e.images_every}


def quotients(looks, step, steps, every, pictures):
    """(A later look / the steps between two pictures, all looks / all steps of a run), from seconds."""
    later, between = statistics.median(looks[1:]), every * steps * step
    return later / between, (looks[0] + (pictures - 1) * later) / (pictures * between)


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
        print(json.dumps(measure_looks(options.measure, options.precision)))
        return
    results = {}
    for name in options.models.split(","):
        if name not in MODELS:
            parser.error(f"unknown model {name}; there are {', '.join(MODELS)}")
        results[name] = []
        for count in range(options.rounds):
            results[name].append(measure_round(name, options.precision, options.seconds))
            note(f"{name}, round {count + 1}: {json.dumps(results[name][-1])}")
        for clock in ("cpu", "wall"):
            rows = [(row["looks"][clock], row["step"][clock], row) for row in results[name]]
            shares = [quotients(looks, step, row["steps"], row["every"], row["pictures"]) for looks, step, row in rows]
            print_table(f"{name}, {clock} time", "seconds", seconds_of(rows), digits=4)
            both = zip(("a look", "all looks"), zip(*shares, strict=True), strict=True)
            print_table(
                f"{name}, {clock}", "% of the steps", {k: [100 * v for v in each] for k, each in both}, digits=3
            )
    write_json(options.json, results)


def measure_round(name, precision, seconds):
    """The times of a step and of looks, each from a fresh process: {"step": {clock: seconds}, "looks": ..., ...}."""
    flag = f"--precision={precision}"
    training = ROOT / "benchmarks" / "training.py"
    found = run_json([sys.executable, training, "--measure=step", f"--model={name}", flag, f"--seconds={seconds}"])
    step = {"wall": MODELS[name].batch / found["images_per_second"], "cpu": found["cpu_milliseconds"] / 1e3}
    return {"step": step, **run_json([sys.executable, __file__, f"--measure={name}", flag])}


def seconds_of(rows):
    """The rows of a table: {what: its seconds in each round}."""
    return {
        "step": [step for _, step, _ in rows],
        "first look": [looks[0] for looks, _, _ in rows],
        "later look": [statistics.median(looks[1:]) for looks, _, _ in rows],
    }


if __name__ == "__main__":
    main()
