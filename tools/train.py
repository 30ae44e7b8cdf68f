"""Trains an experiment in a run directory. If it is started again with the same directory, it resumes the run.

python tools/train.py --flagfile=zoo/bigan_mnist/train.flags --workdir=/tmp/bigan_mnist
python tools/train.py --flagfile=zoo/bigan_mnist/train.flags --dry_run

The second command only prints the networks that would be trained.
"""

import sys

import common
from absl import flags

from tf_bigan.experiment import Experiment, define_flags, experiment_of
from tf_bigan.training.begun import settled
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import run_path

_WORKDIR = flags.DEFINE_string("workdir", None, "the run directory, created if needed; required without --dry_run")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_INITIAL = flags.DEFINE_string(
    "initial_weights", None, "a zoo model's name or a run directory, whose weights to begin with; default: fresh ones"
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "train nothing: print the layers of every network with output shapes, parameters and FLOP, and what the training "
    "will take on this machine. The data is opened only "
    "for what the flags do not give: image_size and channels, or dimensions; the classes that D learns; attributes",
)
define_flags(flags.FLAGS)


def main():
    """Trains. Exit status: 143 or 130 after SIGTERM or Ctrl-C and a checkpoint; 1 if another worker is lost."""
    experiment: Experiment = experiment_of(flags.FLAGS)
    if _DRY_RUN.value:
        common.import_tensorflow()
        from tf_bigan.training.dry_run import dry_run

        print(dry_run(experiment, _DATA_DIR.value))
        return None
    run, initial = RunDirectory(common.require(_WORKDIR)), _INITIAL.value and run_path(_INITIAL.value)
    _, finished = settled(experiment, run, RunDirectory(initial) if initial else None)
    if finished:  # `train` would say so, too, but only after TensorFlow was imported
        print(finished)
        return None
    common.import_tensorflow()
    from tf_bigan.training.train import Terminated, WorkerLost, train

    try:
        train(experiment, run.path, _DATA_DIR.value, initial=initial)
    except Terminated as stopped:
        print(stopped)
        return 128 + stopped.signal  # as a shell reports the signal
    except WorkerLost as lost:
        print(f"error: {lost}", file=sys.stderr)
        return 1
    return None


if __name__ == "__main__":
    common.run(main, __doc__)
