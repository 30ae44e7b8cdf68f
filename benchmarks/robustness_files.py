"""Damages files in many ways, and counts how the library takes it.

python benchmarks/robustness_files.py --count=1000
python benchmarks/robustness_files.py --only=run --case=17

For each case, a file of a run, a report, a module and so on is damaged in a copy, in half of the cases with checksums
made right again. Then a forked process opens it as the tools do. Fine are a result and an `InputError` of at most two
lines and 600 characters. Failures are any other error, a longer message, a signal, more than --seconds of time, and
more than --megabytes of memory beyond those of an undamaged copy. The second command repeats a case and shows its
error.
"""

import argparse
import collections
import functools
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import damage  # noqa: E402
import numpy as np  # noqa: E402
from robustness_materials import KEPT, experiment, make_materials  # noqa: E402
from timing import note, write_json  # noqa: E402

from tf_bigan import zoo  # noqa: E402
from tf_bigan.conversion.joblib_files import read_arrays  # noqa: E402
from tf_bigan.data import open_data  # noqa: E402
from tf_bigan.errors import InputError  # noqa: E402
from tf_bigan.evaluation.classifiers import ImageClassifier  # noqa: E402
from tf_bigan.evaluation.kept_features import KeptFeatures  # noqa: E402
from tf_bigan.evaluation.report_files import read_report  # noqa: E402
from tf_bigan.evaluation.table import table  # noqa: E402
from tf_bigan.experiment import Experiment  # noqa: E402
from tf_bigan.games import Adam, check_size, make_game, weight_shapes  # noqa: E402
from tf_bigan.pieces import pieces_digest, read_pieces  # noqa: E402
from tf_bigan.studies.mixture_results import Results  # noqa: E402
from tf_bigan.training import begun_data  # noqa: E402
from tf_bigan.training.checkpoints import Checkpoints  # noqa: E402
from tf_bigan.training.run_directory import RunDirectory  # noqa: E402
from tf_bigan.zoo.model_facts import facts_of, headlines  # noqa: E402

LONGEST = 600  # characters of a message


# -- how it is opened


def open_run(folder):
    """As `tf_bigan.load`, and as the tools that publish, evaluate and draw read a run."""
    run = RunDirectory(folder / "run")
    zoo.trained_experiment(run.path)
    model, _ = zoo.load_with_digest(run.path)
    run.lineage(), run.weights_state(), run.is_finished(), run.read_log()
    model.generate(2, seed=0)


def open_resumed(folder):
    """As training begins that resumes a run."""
    run = RunDirectory(folder / "run")
    run.resolve(experiment())
    begun_data.read(run), run.initial(), run.read_log()
    game = make_game(experiment())
    game.compile(Adam())
    said = []
    Checkpoints(run.checkpoints, game, chief=True).restore_latest(said.append)
    for line in said:
        if len(line) > LONGEST or "\n" in line:
            raise RuntimeError(f"a long line was said: {line[:100]}")
    run.rewind_log(game.steps_done)


def open_entry(folder):
    """As an entry of a zoo is described and loaded, and its report added to."""
    facts_of(folder / "entry", "entry"), zoo.load(folder / "entry")
    zoo.publish_metrics(folder / "entry" / "metrics.json", "entry", zoo=folder)


def open_report(folder):
    """As a report is read and printed."""
    report = read_report(folder / "metrics.json")
    table(report), headlines(report)


def open_module(folder):
    """As `tools/evaluate.py --feature_network` opens an exported module."""
    zoo.find_feature_network(str(folder / "module")).features(np.zeros((1, 8, 8, 1), np.float32))


def open_joblib(folder):
    """As `tools/convert_original_weights.py` reads its files."""
    for path in sorted(folder.glob("*.jl")):
        read_arrays(path)


def open_pieces(folder):
    """As `tools/import_run.py` reads pieces."""
    for path in (folder / "plain", folder / "lzma"):
        read_pieces(path), pieces_digest(path)


def open_classifier(folder):
    """As `tools/evaluate.py --classifier` opens one."""
    ImageClassifier.load(folder / "classifier").class_probabilities(np.zeros((1, 8, 8, 1), np.float32))


def open_kept(folder):
    """As evaluations read the features that they kept."""
    KeptFeatures(folder, lambda line: None).load(KEPT)


def open_flags(folder):
    """As `tools/train.py --flagfile` reads its settings, and finds what they describe."""
    found = Experiment.from_flagfile(folder / "train.flags")
    found.check_effects(), found.fresh_digest()
    check_size(weight_shapes(found))


def open_study(folder):
    """As the table of the mixture's study reads its results."""
    results = Results(folder / "study.json")
    for system in ("ali", "gan"):
        results.best(system)


def open_tfds(folder):
    """As training opens and decodes a data set of TFDS."""
    open_data("digits", "train", data_dir=str(folder)).checked(True)


# Name of what is damaged -> how it is opened, and its share of the cases.
OPENED = {
    "run": (open_run, 5),
    "resumed": (open_resumed, 5),
    "entry": (open_entry, 2),
    "report": (open_report, 6),
    "module": (open_module, 2),
    "joblib": (open_joblib, 5),
    "pieces": (open_pieces, 4),
    "classifier": (open_classifier, 2),
    "kept": (open_kept, 2),
    "flags": (open_flags, 4),
    "study": (open_study, 3),
    "data": (open_tfds, 1),
}


# -- processes


def in_child(function, seconds, megabytes, show=False):
    """Runs a function in a forked process: (outcome, what it said, its peak memory in MB).

    The outcome is "fine", "refused", "long message", "error", "too long" for time, "memory" or "signal".
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _run(function, write, show)
    os.close(write)
    deadline, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < deadline:
        found, status_, usage = os.wait4(child, os.WNOHANG)
        if found:
            status = status_
        time.sleep(0.01)
    if status is None:
        os.kill(child, signal.SIGKILL)
        _, _, usage = os.wait4(child, 0)
        outcome, told = "too long", f"still running after {seconds} s"
    else:
        with os.fdopen(read, "rb") as pipe:
            text = pipe.read().decode(errors="replace")
        outcome, _, told = text.partition("\n") if text else ("signal", "", f"wait status {status}")
    peak = usage.ru_maxrss / 1024
    if megabytes and peak > megabytes and outcome in ("fine", "refused"):
        outcome, told = "memory", f"{peak:.0f} MB; {told}"
    return outcome, told, peak


def _run(function, write, show):
    """In the forked process: runs the function, writes the outcome, and ends the process."""
    try:
        if not show:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1), os.dup2(nothing, 2)
        limit = 12 << 30  # of addresses, so that what asks for more fails instead of the machine
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        function()
        told = "fine\n"
    except InputError as error:
        text = str(error)
        fits = len(text) <= LONGEST and text.count("\n") <= 1
        told = ("refused\n" if fits else "long message\n") + text
    except BaseException as error:
        told = f"error\n{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
    with os.fdopen(write, "wb") as pipe:
        pipe.write(told.encode(errors="replace")[:20_000])
    os._exit(0)


def try_case(number, name, materials, options, limits):
    """Damages a copy of `name` and opens it: (outcome, what was said, what was done)."""
    rng = random.Random(f"{options.seed}/{name}/{number}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = damage.copied(materials / name, pathlib.Path(temporary) / name)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
        path = rng.choice(files)
        done = f"{path.relative_to(folder)}: {damage.damage(path, rng)}"
        if rng.random() < 0.5:
            damage.make_right(folder)
            done += ", checksums made right"
        function = functools.partial(OPENED[name][0], folder)
        outcome, told, _ = in_child(function, options.seconds, limits[name], show=options.case is not None)
    return outcome, told, done


def main():
    """Makes the materials, tries the cases, and prints the counts and each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=OPENED, help="damage this alone")
    parser.add_argument("--case", type=int, help="repeat the case of this number of --only, and show its error")
    parser.add_argument("--seconds", type=float, default=120, help="time of a case")
    parser.add_argument("--megabytes", type=float, default=1000, help="memory of a case, beyond an undamaged copy's")
    parser.add_argument("--json", metavar="FILE", help="write every case there")
    options = parser.parse_args()
    names = [options.only] if options.only else list(OPENED)
    turns = [name for name in names for _ in range(OPENED[name][1])]
    with tempfile.TemporaryDirectory() as temporary:
        materials = pathlib.Path(temporary)
        # TensorFlow's threads do not survive a fork, so this process never runs an operation.
        outcome, told, _ = in_child(lambda: make_materials(materials), 1200, 0)
        if outcome != "fine":
            sys.exit(f"the files to damage could not be made: {told}")
        limits = {}
        for name in names:
            whole = damage.copied(materials / name, materials / f"{name}-whole")
            outcome, told, peak = in_child(functools.partial(OPENED[name][0], whole), 300, 0)
            if outcome != "fine":
                sys.exit(f"{name} cannot be opened undamaged: {told}")
            limits[name] = peak + options.megabytes
        counts, cases, failures = collections.defaultdict(collections.Counter), [], []
        for number in range(options.count) if options.case is None else [options.case]:
            name = random.Random(f"{options.seed}/{number}").choice(turns)
            outcome, told, done = try_case(number, name, materials, options, limits)
            counts[name][outcome] += 1
            cases.append({"case": number, "what": name, "damage": done, "outcome": outcome, "told": told})
            if outcome not in ("fine", "refused"):
                failures.append(cases[-1])
            if outcome not in ("fine", "refused") or options.case is not None:
                note(f"case {number} of {name}, {done}: {outcome}\n{told}")
            elif number % 50 == 49:
                note(f"{number + 1} of {options.count} cases, {len(failures)} failures")
    outcomes = ("fine", "refused", "long message", "error", "too long", "memory", "signal")
    print("| damaged | " + " | ".join(outcomes) + " |\n|---|" + "---|" * len(outcomes))
    for name in names:
        print(f"| {name} | " + " | ".join(str(counts[name][outcome]) for outcome in outcomes) + " |")
    print("| all | " + " | ".join(str(sum(each[outcome] for each in counts.values())) for outcome in outcomes) + " |")
    write_json(options.json, {"options": vars(options), "cases": cases})
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
