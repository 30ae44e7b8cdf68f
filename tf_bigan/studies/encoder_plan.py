"""The study of encoder recipes: what makes E's features better at equal CPU time. Imports no TensorFlow.

A base system, BiGAN as its paper has it, is compared with itself after one change at a time. A run is as long as its
part's budget of CPU minutes allows, so a change that makes a step slower has fewer of them. Features are measured on
images that are held out of the training images; the test images are not used.
"""

import dataclasses
import pathlib

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment

BASE = "base"


@dataclasses.dataclass(frozen=True)
class Change:
    """A row of the study.

    Attributes:
      title: what is changed, for the table.
      flags: for tools/train.py, after those of the base.
      decayed: the share of the epochs in which the learning rate decays.
      times: the budget as a multiple of the part's.
    """

    title: str
    flags: tuple = ()
    decayed: float = 0.0
    times: int = 1


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the study: a data set, a base and its changes.

    Attributes:
      title: for the table.
      minutes: the budget of a run's training, in CPU minutes.
      flags: the base's settings.
      steps: training steps in an epoch.
      splits: (the labelled gallery, the queries), TFDS splits. The queries are not trained on.
      layers: E's layers whose features are measured.
      changes: {name: `Change`}, the first of which is the base without a change.
    """

    title: str
    minutes: float
    flags: tuple
    steps: int
    splits: tuple
    layers: tuple
    changes: dict


# One thread a run, and as many runs at a time as there are cores.
_COMMON = (
    *("--system=bigan", "--inter_op_threads=1", "--intra_op_threads=1", "--images_every=0", "--statistics_steps=200"),
    *("--strategy=one_device", "--xla=off", "--checkpoint_every=500", "--keep_checkpoints=1"),
)
_RELATIVISTIC = ("--objective=relativistic", "--discriminator_norm=false", "--l2=0.0")
_CHANGES = {
    BASE: Change("as the paper"),
    "decay": Change("learning rate decays in the second half", decayed=0.5),
    "longer": Change("three times as long, with decay", decayed=0.5, times=3),
    "averages": Change("averages of the weights", ("--average_decay=0.995",)),
    "gaussian": Change("Gaussian encoder", ("--prior=normal", "--posterior=gaussian")),
    "reconstruction_x": Change("reconstruction of x, 0.1", ("--reconstruction_x=0.1",)),
    "reconstruction_xz": Change(
        "reconstruction of x, 0.1, and z, 0.01", ("--reconstruction_x=0.1", "--reconstruction_z=0.01")
    ),
    "augmentation": Change("differentiable augmentation of D's images", ("--augmentation=1.0",)),
    "rotation_encoder": Change("rotation, told by E", ("--rotation_encoder=1.0",)),
    "rotation_discriminator": Change("rotation, told by D", ("--rotation_discriminator=1.0",)),
    "relativistic": Change(
        "relativistic, R1 and R2, D without batch norm", (*_RELATIVISTIC, "--r1_penalty=0.05", "--r2_penalty=0.05")
    ),
}

PARTS = {
    "cifar10": Part(
        "CIFAR-10, DCGAN's networks at half their width",
        10.0,
        (
            *("--dataset=cifar10", "--split=train[:45000]", "--networks=dcgan", "--width=32", "--image_size=32"),
            *("--channels=3", "--latent_dim=100", "--learning_rate=0.0001", "--l2=0.0", "--precision=mixed_bfloat16"),
        ),
        45_000 // 128,
        ("train[:20000]", "train[45000:]"),
        (*(f"conv{n}" for n in range(2, 7)), "crelu(conv6_norm)"),
        {
            **_CHANGES,
            "unary": Change("unary scores and a hinge", ("--unary_scores=true", "--objective=hinge")),
            "larger": Change("E's images 48 pixels wide", ("--encoder_size=48",)),
            # The changes that the first seed's features gained from, without and with reconstruction.
            "rotation_averages": Change("rotation by E, averages", ("--rotation_encoder=1.0", "--average_decay=0.995")),
            "together": Change(
                "rotation by E, reconstruction of x, averages",
                ("--rotation_encoder=1.0", "--reconstruction_x=0.1", "--average_decay=0.995"),
            ),
        },
    ),
    "mnist": Part(
        "MNIST, the paper's MLP",
        4.0,
        ("--dataset=mnist", "--split=train[:55000]", "--networks=mlp", "--image_size=28", "--channels=1"),
        55_000 // 128,
        ("train[:20000]", "train[55000:]"),
        ("h1", "h2", "crelu(h2_norm)"),
        _CHANGES,
    ),
}


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run of the study: its part, its change, its seed, and its flags for tools/train.py but for its length."""

    part: str
    change: str
    seed: int
    flags: tuple

    @property
    def name(self) -> str:
        """Its name, which is that of its folder, too."""
        return f"{self.part}-{self.change}-seed{self.seed}"

    def experiment(self, cpu_seconds: float) -> Experiment:
        """Its settings, as long as the budget allows.

        Args:
          cpu_seconds: of a training step.

        Raises:
          InputError: flags that cannot work.
        """
        part, change = PARTS[self.part], PARTS[self.part].changes[self.change]
        epochs = max(round(60.0 * part.minutes * change.times / (cpu_seconds * part.steps)), 1)
        decayed = round(epochs * change.decayed)
        length = (f"--constant_epochs={epochs - decayed}", f"--decay_epochs={decayed}", f"--seed={self.seed}")
        experiment = Experiment().changed_by([*self.flags, *length])
        experiment.check_effects()
        return experiment


def plan(seeds, flags=(), parts=None) -> list[Planned]:
    """The runs of the study in the order in which they are made: all of the first seed come first.

    Args:
      seeds: training seeds.
      flags: further flags for tools/train.py, added to every run.
      parts: names of `PARTS`; None = all.

    Raises:
      InputError: flags that the study sets for each run.
    """
    fixed = {"seed", "constant_epochs", "decay_epochs", "workdir", "initial_weights", "dataset", "split"}
    for flag in flags:
        if (name := flag.lstrip("-").partition("=")[0]) in fixed:
            raise InputError(f"--flags cannot have --{name}, which the study sets for each run")
    return [
        Planned(part, change, seed, (*_COMMON, *PARTS[part].flags, *PARTS[part].changes[change].flags, *flags))
        for seed in seeds
        for part in parts or PARTS
        for change in PARTS[part].changes
    ]


def folder_of(runs) -> pathlib.Path:
    """The folder of the study within that of all runs."""
    return pathlib.Path(runs) / "encoder_recipes"
