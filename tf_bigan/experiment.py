"""Experiment: every setting of a run, and its flagfile.

The same flagfile says what a run is, starts it, and rebuilds its networks. Importing this module does not
import TensorFlow.
"""

import dataclasses
import difflib
import hashlib
import os
from typing import Any

from absl import flags

from tf_bigan.errors import InputError, nearest

AUTO = "auto"


def _setting(default, text, unit="", source="", choices=None, minimum=None, maximum=None, operational=False):
    """One field: its default, what it means, its unit, where the default comes from, what it may be.

    An operational field does not decide the result: a resumed run may change it.
    """
    metadata = {
        "text": text,
        "unit": unit,
        "source": source,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "operational": operational,
    }
    return dataclasses.field(default=default, metadata=metadata)


_CODE = "Donahue et al. 2017, code"
_PAPER = "Donahue et al. 2017, appendix"

# What 0 stands for, by family of networks.
_SIZES = {"mlp": {"width": 1024, "latent_dim": 50}, "conv": {"width": 64, "latent_dim": 200}}

# What decides of training alone, and nothing of the networks before it.
_OF_TRAINING = (
    *("latent_weight", "constant_epochs", "decay_epochs", "learning_rate", "final_learning_rate"),
    *("beta_1", "beta_2", "epsilon", "l2", "strategy", "precision", "xla", "deterministic", "logical_cpus"),
    *("inter_op_threads", "intra_op_threads", "checkpoint_every", "keep_checkpoints", "images_every"),
)
# What gives the networks' weights their shapes.
_OF_NETWORKS = ("networks", "width", "latent_dim", "channels", "image_size", "encoder_size", "generator_skip")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Every setting of a run; immutable. `dataclasses.replace` makes a changed one.

    Raises:
      InputError: on construction, for a value outside its field's choices or below its minimum.
    """

    # What is learned, from what.
    system: str = _setting(
        "bigan",
        "the game that is played",
        choices=(
            "bigan",
            "gan",
            "latent_regressor",
            "joint_latent_regressor",
            "autoencoder_l1",
            "autoencoder_l2",
        ),
    )
    dataset: str = _setting(
        "mnist", "a TFDS name, 'digits' (8x8, needs no download), 'tiny_imagenet' or a folder of images"
    )
    split: str = _setting("train", "the TFDS split to train on, as 'train[:50000]'; ignored for folders")
    max_labels: int = _setting(
        0, "use the images of the data set's first so many classes; 0 = of all", "classes", _CODE, minimum=0
    )
    image_size: int = _setting(
        0, "edge of the square images; 0 = as stored. Others are resized and centre-cropped", "pixels", minimum=0
    )
    encoder_size: int = _setting(
        0, "edge of the images that E takes, if larger than D's and G's; 0 = image_size", "pixels", minimum=0
    )
    shorter_edge: int = _setting(
        0, "resize each image's shorter edge to this before cropping; 0 = to the crop's size", "pixels", minimum=0
    )
    crop: str = _setting("centre", "where training crops", choices=("centre", "random"))
    flip: bool = _setting(False, "mirror every other training image, at random", source=_PAPER)
    channels: int = _setting(0, "colour channels: 1 or 3; 0 = as stored", choices=(0, 1, 3))
    bad_images: str = _setting(
        "refuse", "with images that cannot be decoded: refuse to train, or leave them out", choices=("refuse", "skip")
    )

    # The networks.
    networks: str = _setting("mlp", "the family of E, G and D", choices=("mlp", "conv"))
    width: int = _setting(
        0,
        "units of the mlp's hidden layers, channels of the first conv layers, which scale the others; 0 = the paper's: "
        "1024 for mlp, 64 for conv",
        "units",
        _PAPER,
        minimum=0,
    )
    latent_dim: int = _setting(
        0, "size of the code z; 0 = the paper's: 50 for mlp, 200 for conv", "dimensions", _PAPER, minimum=0
    )
    prior: str = _setting("uniform", "p(z): U(-1, 1) or N(0, 1)", source=_PAPER, choices=("uniform", "normal"))
    generator_skip: bool = _setting(True, "feed z to G's later hidden layers too", source=_CODE)
    sync_batch_norm: bool = _setting(False, "batch statistics over all replicas instead of each replica's own")

    # The game.
    latent_weight: float = _setting(
        0.25, "weight of the latent loss in joint_latent_regressor (1 is degenerate)", source=_CODE, minimum=0.0
    )
    batch_size: int = _setting(128, "batch over all replicas", "images", _PAPER, minimum=2)
    constant_epochs: int = _setting(200, "epochs at the full learning rate", "epochs", _PAPER, minimum=0)
    decay_epochs: int = _setting(200, "then epochs of exponential decay", "epochs", _PAPER, minimum=0)
    learning_rate: float = _setting(2e-4, "Adam's step size", source=_PAPER, minimum=0.0)
    final_learning_rate: float = _setting(
        0.01, "the last epoch's learning rate", "fraction of learning_rate", _PAPER, minimum=0.0
    )
    beta_1: float = _setting(0.5, "Adam's decay of the first moment", source=_PAPER, minimum=0.0)
    beta_2: float = _setting(0.999, "Adam's decay of the second moment", source=_PAPER, minimum=0.0)
    epsilon: float = _setting(1e-8, "added to the root of Adam's second moment", source=_CODE, minimum=0.0)
    l2: float = _setting(2.5e-5, "weights times this join the gradient", source=_PAPER, minimum=0.0)
    statistics_steps: int = _setting(
        1000, "batches behind the batch norms' inference statistics", "batches", _CODE, minimum=1
    )
    seed: int = _setting(42, "of weights, noise and data order", source=_CODE, minimum=0, maximum=2**32 - 1)

    # Where and how it runs.
    strategy: str = _setting(
        AUTO,
        "auto: mirrored over several GPUs, else one device",
        choices=(AUTO, "one_device", "mirrored", "multi_worker", "tpu"),
    )
    precision: str = _setting(
        AUTO,
        "auto: what the device computes fastest, float32 or mixed_bfloat16",
        choices=(AUTO, "float32", "mixed_bfloat16", "mixed_float16"),
    )
    xla: str = _setting(AUTO, "auto: float32 MLPs on CPUs, and one GPU", choices=(AUTO, "on", "off"))
    deterministic: bool = _setting(False, "bit-identical repeats and resumes, slower")
    logical_cpus: int = _setting(
        0, "split the CPU into so many devices, to try strategy=mirrored without GPUs; 0 = don't", "devices", minimum=0
    )
    inter_op_threads: int = _setting(
        0, "TensorFlow operations side by side; 0 = its default", "threads", minimum=0, operational=True
    )
    intra_op_threads: int = _setting(
        0, "threads within one operation; 0 = TensorFlow's default", "threads", minimum=0, operational=True
    )
    checkpoint_every: int = _setting(2000, "between checkpoints", "steps", minimum=1, operational=True)
    keep_checkpoints: int = _setting(2, "checkpoints kept", minimum=1, operational=True)
    images_every: int = _setting(
        25, "between sample and reconstruction grids; 0 = none", "epochs", minimum=0, operational=True
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if not self.epochs:
            raise InputError("constant_epochs + decay_epochs must be at least 1, found 0")
        if self.encoder_size and not self.image_size:
            raise InputError("encoder_size needs image_size, the size that D and G work at")
        if self.encoder_size and self.encoder_size < self.image_size:
            raise InputError(f"encoder_size {self.encoder_size} must be at least image_size {self.image_size}")
        if self.encoder_size > self.image_size and self.system == "gan":
            raise InputError("encoder_size is the size of E's images, and gan has no E")
        if self.crop == "random" and not self.image_size:
            raise InputError("crop=random needs image_size, the size of the crops")
        if self.shorter_edge and not self.image_size:
            raise InputError("shorter_edge needs image_size, the size of the crops")
        if self.shorter_edge and self.shorter_edge < self.crop_size:
            raise InputError(f"shorter_edge {self.shorter_edge} must be at least the crop's size {self.crop_size}")

    @property
    def epochs(self) -> int:
        """Length of the run in epochs."""
        return self.constant_epochs + self.decay_epochs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of D's and G's images."""
        return (self.image_size, self.image_size, self.channels)

    @property
    def encoder_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of E's images."""
        return (self.crop_size, self.crop_size, self.channels)

    @property
    def crop_size(self) -> int:
        """Edge of the images that the data gives, in pixels; 0 = as stored."""
        return self.encoder_size or self.image_size

    def max_labels_of(self, dataset: str) -> int:
        """How many of a data set's classes to use: those trained on of the run's own, 0 = all of another."""
        return self.max_labels if _place(dataset) == _place(self.dataset) else 0

    def classes_news(self, dataset: str) -> str:
        """A line where all classes of a data set are used, but only some were trained on; else empty."""
        if not self.max_labels or self.max_labels_of(dataset):
            return ""
        return f"using all classes of {dataset}; the model was trained on the first {self.max_labels} of {self.dataset}"

    @classmethod
    def default(cls, name: str):
        """The default of the field called `name`."""
        return cls.__dataclass_fields__[name].default

    @classmethod
    def from_flagfile(cls, path) -> "Experiment":
        """Reads `--name=value` lines; a field not named keeps its default.

        Raises:
          InputError: no such file, an unknown flag, or a value that does not fit.
        """
        values = flags.FlagValues()
        define_flags(values)
        parse_flags(values, ["", f"--flagfile={os.fspath(path)}"])
        return experiment_of(values)

    def changed_by(self, arguments: list[str]) -> "Experiment":
        """Self with flags, as `--seed=1`, applied. Raises InputError as `from_flagfile`."""
        values = flags.FlagValues()
        define_flags(values)
        parse_flags(values, ["", *self.to_flagfile().splitlines(), *arguments])
        return experiment_of(values)

    def to_flagfile(self) -> str:
        """The text of a flagfile that names every field."""
        lines = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            lines.append(f"--{field.name}={str(value).lower() if isinstance(value, bool) else value}")
        return "\n".join(lines) + "\n"

    def sized(self) -> "Experiment":
        """Self with the family's own width and latent_dim where they are 0."""
        own = {name: size for name, size in _SIZES[self.networks].items() if not getattr(self, name)}
        return dataclasses.replace(self, **own)

    def filled_from(self, other: "Experiment") -> "Experiment":
        """Self with the fields that it leaves open (auto; 0 = as stored) taken from `other`."""
        left_open = {"image_size": 0, "channels": 0, "strategy": AUTO, "precision": AUTO, "xla": AUTO}
        filled = {name: getattr(other, name) for name, value in left_open.items() if getattr(self, name) == value}
        return dataclasses.replace(self, **filled)

    def fresh_digest(self) -> str:
        """The SHA-256 of what an untrained network and its inference statistics follow from."""
        fresh = dataclasses.replace(self, **{name: Experiment.default(name) for name in _OF_TRAINING})
        return hashlib.sha256(fresh.to_flagfile().encode()).hexdigest()

    def other_networks(self, other: "Experiment") -> dict[str, tuple]:
        """What may give the networks other shapes than those of `other`: {name: (here, there)}."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _OF_NETWORKS}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def difference(self, other: "Experiment") -> list[str]:
        """The names of the fields that decide the result and differ."""
        return [
            field.name
            for field in dataclasses.fields(self)
            if not field.metadata["operational"] and getattr(self, field.name) != getattr(other, field.name)
        ]


def _check(field: dataclasses.Field, value: Any):
    choices, minimum, maximum = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    whole_for_float = isinstance(field.default, float) and type(value) is int
    if type(value) is not type(field.default) and not whole_for_float:
        raise InputError(f"{field.name} must be {type(field.default).__name__}, found {value!r}")
    if choices and value not in choices:
        if isinstance(value, str):
            raise InputError(f"unknown {field.name} {value!r}.{nearest(value, choices)}")
        raise InputError(f"{field.name} must be one of {', '.join(map(str, choices))}, found {value}")
    if minimum is not None and not value >= minimum:  # NaN fails too
        raise InputError(f"{field.name} must be at least {minimum}, found {value}")
    if maximum is not None and not value <= maximum:
        raise InputError(f"{field.name} must be at most {maximum}, found {value}")


def _place(dataset):
    """Where a data set is: a folder's whole path, or a TFDS name without its version."""
    if dataset.startswith((".", "~", os.sep)) or os.sep in dataset and os.path.isdir(dataset):
        return os.path.realpath(os.path.expanduser(dataset))
    return dataset.partition(":")[0]


def define_flags(values: flags.FlagValues):
    """Defines one absl flag per field of `Experiment` in `values`."""
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
    }
    for field in dataclasses.fields(Experiment):
        data = field.metadata
        text = data["text"]
        if data["unit"]:
            text += f" [{data['unit']}]"
        if data["choices"] and isinstance(field.default, str):
            text += f": {', '.join(data['choices'])}"
        if data["source"]:
            text += f" ({data['source']})"
        define[type(field.default)](field.name, field.default, text, flag_values=values, module_name="Experiment")


def experiment_of(values: flags.FlagValues) -> Experiment:
    """The Experiment that parsed flags describe. Raises InputError for a value out of range."""
    return Experiment(**{field.name: values[field.name].value for field in dataclasses.fields(Experiment)})


def parse_flags(values: flags.FlagValues, argv: list[str]):
    """Parses `argv` (program name first) into `values`.

    Raises:
      InputError: an unknown flag (naming the nearest), a value of the wrong type, a flagfile that cannot be
        read, or a word that is no flag.
    """
    try:
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        close = difflib.get_close_matches(error.flagname, list(values), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join('--' + name for name in close)}?" if close else ""
        raise InputError(f"unknown flag --{error.flagname}.{hint} --help lists them") from None
    except flags.Error as error:
        raise InputError(" ".join(str(error).split()).removeprefix("ERROR:: ")) from None
    except UnicodeDecodeError:
        raise InputError(f"the flagfile of {' '.join(argv[1:])} is not text; it is damaged") from None
    if len(rest) > 1:
        raise InputError(f"{rest[1]!r} is no flag; flags begin with --")
