"""Reproduces a table of the paper: trains and evaluates what is missing, then prints it beside the paper's numbers.

  python tools/reproduce.py --table=mnist_1nn
  python tools/reproduce.py --table=imagenet_linear --notrain

Runs that the zoo or --runs holds for a seed are not trained again. If it is stopped at any point, the same command
continues from there.
"""

import pathlib
import subprocess
import sys

import common
from absl import flags

from tf_bigan.errors import InputError
from tf_bigan.evaluation.paper_tables import TABLES

_TABLE = flags.DEFINE_string("table", "mnist_1nn", f"which table: {', '.join(TABLES)}")
_SEEDS = flags.DEFINE_list("seeds", "42", "training seeds")
_RUNS = flags.DEFINE_string("runs", "runs", "folder of the runs that the zoo does not hold")
_FLAGS = flags.DEFINE_string("flags", "", "more flags for tools/train.py: '--dataset=imagenet2012 --batch_size=64'")
_EVALUATE = flags.DEFINE_string("evaluate", "", "more flags for tools/evaluate.py, as '--transfer_epochs=5'")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_TRAIN = flags.DEFINE_bool("train", True, "train and evaluate missing runs; --notrain prints the runs that exist")


def main():
    """Fills the table and prints it."""
    from tf_bigan.reproducing import reproduce

    tools = {"run_tool": _run_tool} if _TRAIN.value else {}
    print(reproduce(_TABLE.value, _seeds(), _RUNS.value, _FLAGS.value.split(), _EVALUATE.value.split(), **tools))


def _run_tool(tool, *arguments):
    data_dir = [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    script = pathlib.Path(__file__).with_name(f"{tool}.py")
    command = [sys.executable, str(script), *arguments, *data_dir]
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
