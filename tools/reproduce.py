"""Reproduces a table of the paper: trains and evaluates what is missing, then prints it beside the paper's numbers.

  python tools/reproduce.py --table=mnist_1nn
  python tools/reproduce.py --table=imagenet_linear --notrain
  python tools/reproduce.py --table=mixture --processes=2
  python tools/reproduce.py --table=encoder_recipes --seeds=42,43,44

The table mixture is a study of 50 runs with settings of their own, and has a figure, too. The table encoder_recipes is
a study of which changes of BiGAN make its encoder better at equal CPU time.

Runs that the zoo or --runs holds for a seed are not trained again. If it is stopped at any point, the same command
continues from there.
"""

import os
import pathlib
import subprocess
import sys

import common
from absl import flags

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.paper_tables import TABLES

_MIXTURE, _ENCODERS = "mixture", "encoder_recipes"
_NAMES = (*TABLES, _MIXTURE, _ENCODERS)
# The folders of results of studies that are published with the code.
_PUBLISHED = pathlib.Path(__file__).resolve().parents[1] / "benchmarks"

_TABLE = flags.DEFINE_string("table", "mnist_1nn", f"which table: {', '.join(_NAMES)}")
_SEEDS = flags.DEFINE_list("seeds", "42", "training seeds")
_RUNS = flags.DEFINE_string("runs", "runs", "folder of the runs that the zoo does not hold")
_FLAGS = flags.DEFINE_string("flags", "", "more flags for tools/train.py: '--dataset=imagenet2012 --batch_size=64'")
_EVALUATE = flags.DEFINE_string("evaluate", "", "more flags for tools/evaluate.py, as '--transfer_epochs=5'")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_PROCESSES = flags.DEFINE_integer(
    "processes",
    0,
    f"for {_MIXTURE} and {_ENCODERS}, how many runs are trained at a time, each in one thread; 0 = one for each core",
)
_TRAIN = flags.DEFINE_bool("train", True, "train and evaluate missing runs; --notrain prints the runs that exist")


def main():
    """Fills the table and prints it."""
    if _TABLE.value not in _NAMES:
        raise InputError(f"unknown table {_TABLE.value!r}.{did_you_mean(_TABLE.value, _NAMES)}")
    if _TABLE.value == _MIXTURE:
        _mixture()
        return
    if _TABLE.value == _ENCODERS:
        _encoder_recipes()
        return
    if _PROCESSES.value:
        raise InputError(
            f"--processes is for --table={_MIXTURE} and {_ENCODERS}; other tables' runs are made one after another"
        )
    from tf_bigan.reproducing import reproduce

    tools = {"run_tool": _run_tool} if _TRAIN.value else {}
    print(reproduce(_TABLE.value, _seeds(), _RUNS.value, _FLAGS.value.split(), _EVALUATE.value.split(), **tools))


def _mixture():
    """Makes the study of the 25 Gaussians, or reads it, and prints it."""
    from tf_bigan.studies.mixture import FIGURE, make_study, read_study
    from tf_bigan.studies.mixture_table import study_table

    for flag in (_SEEDS, _EVALUATE):
        if flag.present:
            raise InputError(f"--{flag.name} has no effect on --table={_MIXTURE}, whose runs and measure are fixed")
    if _DATA_DIR.present:
        raise InputError(f"--data_dir has no effect on --table={_MIXTURE}, whose data is drawn and not read")
    given = _FLAGS.value.split()
    if not _TRAIN.value:
        results = read_study(_RUNS.value, _PUBLISHED / "mixture_study", given)
        print(study_table(results))
        if (figure := results.path.with_name(FIGURE)).exists():
            common.note(f"figure: {figure}")
        return
    common.import_tensorflow()
    _use_one_thread()
    try:
        results = make_study(_RUNS.value, given, _command("train"), _processes(), common.note)
    except KeyboardInterrupt:
        common.note("stopped; start again to go on")
        raise
    print(study_table(results))


def _encoder_recipes():
    """Makes the study of encoder recipes, or reads it, and prints it."""
    from tf_bigan.studies.encoder_recipes import make_study, read_study
    from tf_bigan.studies.encoder_table import study_table

    if _EVALUATE.present:
        raise InputError(f"--evaluate has no effect on --table={_ENCODERS}, whose measures are fixed")
    if not _TRAIN.value:
        seeds = _seeds() if _SEEDS.present else None
        print(study_table(read_study(_RUNS.value, _PUBLISHED / "encoder_study", _FLAGS.value.split(), seeds)))
        return
    common.import_tensorflow()
    _use_one_thread()
    data_dir = [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    tools = {tool: [*_command(tool), *data_dir] for tool in ("train", "evaluate")}
    try:
        results = make_study(_RUNS.value, _seeds(), _FLAGS.value.split(), tools, _processes(), common.note)
    except KeyboardInterrupt:
        common.note("stopped; start again to go on")
        raise
    print(study_table(results))


def _command(tool):
    return [sys.executable, str(pathlib.Path(__file__).with_name(f"{tool}.py"))]


def _processes():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return _PROCESSES.value or cores


def _use_one_thread():
    """Keeps this process, which evaluates while others train, to one core."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)


def _run_tool(tool, *arguments):
    data_dir = [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    command = [*_command(tool), *arguments, *data_dir]
    common.note("$ " + " ".join(command))
    with subprocess.Popen(command) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                pass  # the tool gets the interrupt too, and may have a checkpoint to write
    if status:
        again = "" if status == 2 else "; start again to go on"  # 2: the tool itself has said what is wrong
        raise InputError(f"tools/{tool}.py ended with status {status}{again}")


def _seeds():
    try:
        return [int(seed) for seed in _SEEDS.value]
    except ValueError:
        raise InputError(f"--seeds takes whole numbers, found {','.join(_SEEDS.value)}") from None


if __name__ == "__main__":
    common.run(main, __doc__)
