"""The study of the 25 Gaussians (Dumoulin et al. 2017, section 4.1): which runs it has. Imports no TensorFlow.

The paper compares ALI with a GAN over ten runs each. For every run, the step size, beta1 and the initial weights'
standard deviation are drawn at random from ranges that the paper does not give. It then gives the best-covering GAN an
encoder in two ways, and compares a VAE, too. Here each of the five systems has the same ten settings, so that systems
can be compared pair by pair. Those that need a decoder take that of the best-covering GAN.
"""

import dataclasses
import pathlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment

SETTINGS = 10  # of each system
SEED = 1  # of the search

# Setting -> (low, high, whether the logarithm is uniform).
RANGES = {
    "learning_rate": (1e-5, 1e-2, True),
    "beta_1": (0.1, 0.9, False),
    "init_stddev": (0.005, 0.1, True),
}

# What all runs have in common: the paper's, where it says (20 epochs of 1000 steps; no decay of the step size).
_COMMON = (
    *("--dataset=mixture", "--networks=mixture", "--prior=normal", "--batch_size=100", "--l2=0.0"),
    *("--constant_epochs=20", "--decay_epochs=0", "--precision=float32", "--images_every=0"),
    # One thread a process, and several processes: these networks are too small to share a step between cores.
    *("--xla=on", "--inter_op_threads=1", "--intra_op_threads=1", "--checkpoint_every=5000", "--keep_checkpoints=1"),
)


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A system of the study.

    Attributes:
      title: its name in the table.
      flags: its own flags.
      inherits: whether it takes the decoder of the best-covering GAN.
    """

    title: str
    flags: tuple = ()
    inherits: bool = False


ENTRANTS = {
    "ali": Entrant("ALI", ("--posterior=implicit",)),
    "gan": Entrant("GAN"),
    "learned_inverse": Entrant("GAN + learned inverse", ("--posterior=implicit",), inherits=True),
    "post_hoc": Entrant("GAN + post-hoc inference", ("--posterior=implicit",), inherits=True),
    # The likelihood's standard deviation is the components' own.
    "vae": Entrant("VAE", ("--posterior=gaussian", "--likelihood_stddev=0.05")),
}


def settings() -> list[dict]:
    """The ten settings of every system: [{"learning_rate": ..., "beta_1": ..., "init_stddev": ..., "seed": ...}].

    They are drawn from `RANGES` with `SEED` and rounded to four digits. Each has its own seed of training, too.
    """
    rng = np.random.RandomState(SEED)  # NumPy has frozen its stream

    def draw(low, high, logarithmic):
        place = rng.uniform()
        value = low * (high / low) ** place if logarithmic else low + (high - low) * place
        return float(f"{value:.4g}")

    return [
        {**{name: draw(*limits) for name, limits in RANGES.items()}, "seed": number + 1} for number in range(SETTINGS)
    ]


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of the study.

    Attributes:
      system: its name in `ENTRANTS`.
      number: which of the `settings` it has, from 1.
      experiment: its `Experiment`.
    """

    system: str
    number: int
    experiment: Experiment

    @property
    def name(self) -> str:
        """Its name, which is that of its folder, too."""
        return f"{self.system}-{self.number:02d}"


def plan(flags=()) -> list[Planned]:
    """The runs of the study, in the order in which they are made: systems that inherit a decoder come last.

    Args:
      flags: further flags for tools/train.py, added to every run.

    Raises:
      InputError: flags that cannot work, that the search draws, or that name a run or its initial weights.
    """
    drawn = {*settings()[0], "system", "posterior", "initial_weights", "workdir"}
    for flag in flags:
        if (name := flag.lstrip("-").partition("=")[0]) in drawn:
            raise InputError(f"--flags cannot have --{name}, which the study sets for each run")
    found = []
    for system in sorted(ENTRANTS, key=lambda name: ENTRANTS[name].inherits):
        for number, own in enumerate(settings(), 1):
            given = [f"--{name}={value}" for name, value in own.items()]
            arguments = [f"--system={system}", *_COMMON, *ENTRANTS[system].flags, *given, *flags]
            experiment = Experiment().changed_by(arguments)
            experiment.check_effects()
            found.append(Planned(system, number, experiment))
    return found


def folder_of(runs) -> pathlib.Path:
    """The folder of the study within that of all runs."""
    return pathlib.Path(runs) / "mixture"
