"""Makes a run directory from the weights that benchmarks/torch_train.py trained.

python tools/import_run.py --pieces=/tmp/run/weights --workdir=/tmp/imported

The run can be loaded, evaluated and published like any other run, but it cannot be resumed. To train its weights
further, begin a new run with tools/train.py --initial_weights.
"""

import common
from absl import flags

_PIECES = flags.DEFINE_string("pieces", None, "the trainer's folder of weights; required")
_WORKDIR = flags.DEFINE_string("workdir", None, "the run directory to make; required")


def main():
    """Checks the pieces, and writes the run."""
    pieces, workdir = common.require(_PIECES), common.require(_WORKDIR)
    common.import_tensorflow()
    from tf_bigan.training.foreign import import_run

    run, trainer = import_run(pieces, workdir)
    print(
        f"imported {trainer['epochs']} epochs, {trainer['steps']} steps, of PyTorch {trainer['version']} on "
        f"{trainer['device']}, {trainer['precision']}; run {run.path}"
    )


if __name__ == "__main__":
    common.run(main, __doc__)
