"""Trains an experiment in a run directory; started again there, it resumes.

python tools/train.py --flagfile=zoo/bigan_mnist/train.flags --workdir=/tmp/bigan_mnist
"""

import sys

import common
from absl import flags

from tf_bigan.experiment import Experiment, define_flags, experiment_of
from tf_bigan.zoo import run_path

_WORKDIR = flags.DEFINE_string("workdir", None, "the run directory, made if need be; required")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_INITIAL = flags.DEFINE_string(
    "initial_weights", None, "a model of the zoo or a run directory whose weights to begin with; default fresh ones"
)
define_flags(flags.FLAGS)


def main():
    """Trains; SIGTERM and Ctrl-C end it with 143 and 130 after a checkpoint, the loss of another worker with 1."""
    experiment: Experiment = experiment_of(flags.FLAGS)
    workdir = common.require(_WORKDIR)
    common.import_tensorflow()
    from tf_bigan.training.train import Terminated, WorkerLost, train

    try:
        train(experiment, workdir, _DATA_DIR.value, initial=_INITIAL.value and run_path(_INITIAL.value))
    except Terminated as stopped:
        print(stopped)
        return 128 + stopped.signal  # as a shell reports it
    except WorkerLost as lost:
        print(f"error: {lost}", file=sys.stderr)
        return 1
    return None


if __name__ == "__main__":
    common.run(main, __doc__)
