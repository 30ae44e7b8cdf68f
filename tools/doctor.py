"""Says what this machine has, and what a training will take on it.

python tools/doctor.py
python tools/doctor.py --flagfile=zoo/bigan_mnist/train.flags
"""

import common
from absl import flags

from tf_bigan.experiment import define_flags, experiment_of

_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_OWN = set(flags.FLAGS)
define_flags(flags.FLAGS)
_OF_EXPERIMENT = set(flags.FLAGS) - _OWN


def main():
    """Prints the report and, if flags of a training are given, the estimate."""
    experiment = experiment_of(flags.FLAGS)
    common.import_tensorflow()
    from tf_bigan import machine
    from tf_bigan.training.dry_run import cost

    print(machine.report(_DATA_DIR.value))
    if any(flags.FLAGS[name].present for name in _OF_EXPERIMENT):
        print(f"\n{cost(experiment, _DATA_DIR.value)}")


if __name__ == "__main__":
    common.run(main, __doc__)
