"""Experiment: every setting of a run, and its flagfile.

The same flagfile says what a run is, starts it, and rebuilds its networks. Importing this module does not
import TensorFlow.
"""

import dataclasses
import difflib
import functools
import hashlib
import os
from typing import Any

from absl import flags

from tf_bigan.errors import InputError, nearest
from tf_bigan.preparation import Preparation
from tf_bigan.registry import FAMILIES, SYSTEMS, UNUSED

AUTO = "auto"


def _setting(
    default, text, unit="", source="", choices=None, minimum=None, maximum=None, operational=False, since=2, term=None
):
    """One field: its default, what it means, its unit, where the default comes from, what it may be.

    An operational field does not decide the result: a resumed run may change it. `since` is the version of the settings
    that has the field first. `term` is the class of `games/terms` that the field turns on where it is not 0.
    """
    metadata = {
        "text": text,
        "unit": unit,
        "source": source,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "operational": operational,
        "since": since,
        "term": term,
    }
    return dataclasses.field(default=default, metadata=metadata)


def _sizes(name):
    """The families' own values of a size, as text."""
    found = {}
    for family, made in FAMILIES.items():
        found.setdefault(getattr(made, name), []).append(family)
    return "; ".join(f"{size} for {', '.join(families)}" for size, families in found.items())


_CODE = "Donahue et al. 2017, code"
_PAPER = "Donahue et al. 2017, appendix"
_ALI = "Dumoulin et al. 2017, appendix A"
_DFM = "Warde-Farley and Bengio 2017"
_TERMS = "tf_bigan.games.terms."

_FIRST = functools.partial(_setting, since=1)  # a setting that the first published runs were made with

# What decides of training alone, and nothing of the networks before it.
_OF_TRAINING = (
    *("latent_weight", "constant_epochs", "decay_epochs", "learning_rate", "final_learning_rate"),
    *("beta_1", "beta_2", "epsilon", "l2", "strategy", "precision", "xla", "deterministic", "logical_cpus"),
    *("inter_op_threads", "intra_op_threads", "checkpoint_every", "keep_checkpoints", "images_every"),
    *("objective", "reconstruction_x", "reconstruction_z", "reconstruction_error", "r1_penalty", "r2_penalty"),
    *("penalty_interval", "denoising_feature_matching", "denoiser_layers", "denoiser_width"),
)
# What gives the networks' weights their shapes.
_OF_NETWORKS = (
    *("networks", "width", "latent_dim", "channels", "dimensions", "image_size", "encoder_size", "generator_skip"),
    *("posterior", "denoiser_layers", "denoiser_width"),
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Every setting of a run; immutable. `dataclasses.replace` makes a changed one.

    Raises:
      InputError: on construction, for a value outside its field's choices or below its minimum.
    """

    # What is learned, from what.
    system: str = _FIRST("bigan", "the game that is played", choices=SYSTEMS)
    dataset: str = _FIRST(
        "mnist",
        "a TFDS name, 'digits' (8x8, needs no download), 'tiny_imagenet', a folder of images, or 'mixture' (points of "
        "25 Gaussians)",
    )
    split: str = _FIRST("train", "the TFDS split to train on, as 'train[:50000]'; ignored for folders")
    max_labels: int = _FIRST(
        0, "use the examples of the data set's first so many classes; 0 = of all", "classes", _CODE, minimum=0
    )
    image_size: int = _FIRST(
        0, "edge of the square images; 0 = as stored. Others are resized and centre-cropped", "pixels", minimum=0
    )
    encoder_size: int = _FIRST(
        0, "edge of the images that E takes, if larger than D's and G's; 0 = image_size", "pixels", minimum=0
    )
    shorter_edge: int = _FIRST(
        0, "resize each image's shorter edge to this before cropping; 0 = to the crop's size", "pixels", minimum=0
    )
    crop: str = _FIRST("centre", "where training crops", choices=("centre", "random"))
    flip: bool = _FIRST(False, "mirror every other training image, at random", source=_PAPER)
    channels: int = _FIRST(0, "colour channels: 1 or 3; 0 = as stored", choices=(0, 1, 3))
    dimensions: int = _setting(0, "of the points, where the data is points; 0 = as stored", "coordinates", minimum=0)
    bad_images: str = _FIRST(
        "refuse", "with images that cannot be decoded: refuse to train, or leave them out", choices=("refuse", "skip")
    )

    # The networks.
    networks: str = _FIRST("mlp", "the family of E, G and D", choices=FAMILIES)
    width: int = _FIRST(
        0,
        "units of each hidden layer of mlp and mixture (its D has half as many), channels of the first layer of conv's "
        "D and of ali_*'s E, by which all their layers scale; 0 = the paper's: 1024 for mlp; 400 for mixture; 64 for "
        "conv, ali_celeba, ali_tiny_imagenet; 32 for ali_cifar10, ali_svhn",
        "units or channels",
        _PAPER,
        minimum=0,
    )
    latent_dim: int = _FIRST(
        0,
        f"size of the code z; 0 = the paper's: {_sizes('latent_dim')}",
        "dimensions",
        _PAPER,
        minimum=0,
    )
    prior: str = _FIRST("uniform", "p(z): U(-1, 1) or N(0, 1)", source=_PAPER, choices=("uniform", "normal"))
    posterior: str = _setting(
        AUTO,
        "how E's output becomes a code: squashed to (-1, 1); linear: as it is; gaussian: as mean and log standard "
        "deviation; implicit: as it is, with noise as E's second input; auto: squashed for the uniform prior, linear "
        "for the normal one",
        choices=(AUTO, "squashed", "linear", "gaussian", "implicit"),
    )
    init_stddev: float = _setting(
        0.0, "of the initial weights, where the family lets it be chosen; 0 = the paper's", minimum=0.0
    )
    dropout: bool = _setting(True, "drop units where the family's paper does", source=_ALI)
    generator_skip: bool = _FIRST(True, "feed z to G's later hidden layers too", source=_CODE)
    sync_batch_norm: bool = _FIRST(False, "batch statistics over all replicas instead of each replica's own")

    # The game.
    latent_weight: float = _FIRST(
        0.25, "weight of the latent loss in joint_latent_regressor (1 is degenerate)", source=_CODE, minimum=0.0
    )
    objective: str = _setting(
        "paper",
        "of D and its opponents: that of the system's paper, or relativistic: softplus(D(generated) - D(real)) for D "
        "and the opposite sign for the others",
        choices=("paper", "relativistic"),
    )
    reconstruction_x: float = _setting(
        0.0,
        "weight of the error of G(E(x)), summed over pixels or coordinates; 0 = no such term",
        source="Li et al. 2017 (ALICE)",
        minimum=0.0,
        term=_TERMS + "reconstruction:ReconstructionX",
    )
    reconstruction_z: float = _setting(
        0.0,
        "weight of the error of E(G(z)), summed over dimensions; 0 = no such term",
        source="Li et al. 2017 (ALICE)",
        minimum=0.0,
        term=_TERMS + "reconstruction:ReconstructionZ",
    )
    reconstruction_error: str = _setting("l2", "squared or absolute errors", choices=("l2", "l1"))
    r1_penalty: float = _setting(
        0.0,
        "gamma of D's penalty gamma / 2 |gradient|^2 at the real pairs; 0 = no such term",
        source="Mescheder et al. 2018",
        minimum=0.0,
        term=_TERMS + "gradient_penalty:R1",
    )
    r2_penalty: float = _setting(
        0.0,
        "the same at the generated pairs",
        source="Mescheder et al. 2018",
        minimum=0.0,
        term=_TERMS + "gradient_penalty:R2",
    )
    penalty_interval: int = _setting(
        1, "apply the penalties in every so-many-th step, as many times as strongly", "steps", minimum=1
    )
    denoising_feature_matching: float = _setting(
        0.0,
        "weight of denoising feature matching in G's loss, over the number of features; the paper's: 0.03; 0 = no such "
        "term",
        source=_DFM,
        minimum=0.0,
        term=_TERMS + "denoising:DenoisingFeatureMatching",
    )
    denoiser_layers: int = _setting(10, "hidden layers of the denoiser", "layers", _DFM, minimum=1)
    denoiser_width: int = _setting(2048, "units in each of them", "units", _DFM, minimum=1)
    batch_size: int = _FIRST(128, "batch over all replicas", "examples", _PAPER, minimum=2)
    constant_epochs: int = _FIRST(200, "epochs at the full learning rate", "epochs", _PAPER, minimum=0)
    decay_epochs: int = _FIRST(200, "then epochs of exponential decay", "epochs", _PAPER, minimum=0)
    learning_rate: float = _FIRST(2e-4, "Adam's step size", source=_PAPER, minimum=0.0)
    final_learning_rate: float = _FIRST(
        0.01, "the last epoch's learning rate", "fraction of learning_rate", _PAPER, minimum=0.0
    )
    beta_1: float = _FIRST(0.5, "Adam's decay of the first moment", source=_PAPER, minimum=0.0)
    beta_2: float = _FIRST(0.999, "Adam's decay of the second moment", source=_PAPER, minimum=0.0)
    epsilon: float = _FIRST(1e-8, "added to the root of Adam's second moment", source=_CODE, minimum=0.0)
    l2: float = _FIRST(2.5e-5, "weights times this join the gradient", source=_PAPER, minimum=0.0)
    statistics_steps: int = _FIRST(
        1000, "batches behind the batch norms' inference statistics", "batches", _CODE, minimum=1
    )
    seed: int = _FIRST(42, "of weights, noise and data order", source=_CODE, minimum=0, maximum=2**32 - 1)

    # Where and how it runs.
    strategy: str = _FIRST(
        AUTO,
        "auto: mirrored over several GPUs, else one device",
        choices=(AUTO, "one_device", "mirrored", "multi_worker", "tpu"),
    )
    precision: str = _FIRST(
        AUTO,
        "auto: what the device computes fastest, float32 or mixed_bfloat16",
        choices=(AUTO, "float32", "mixed_bfloat16", "mixed_float16"),
    )
    xla: str = _FIRST(AUTO, "auto: float32 MLPs on CPUs, and one GPU", choices=(AUTO, "on", "off"))
    deterministic: bool = _FIRST(False, "bit-identical repeats and resumes, slower")
    logical_cpus: int = _FIRST(
        0, "split the CPU into so many devices, to try strategy=mirrored without GPUs; 0 = don't", "devices", minimum=0
    )
    inter_op_threads: int = _FIRST(
        0, "TensorFlow operations side by side; 0 = its default", "threads", minimum=0, operational=True
    )
    intra_op_threads: int = _FIRST(
        0, "threads within one operation; 0 = TensorFlow's default", "threads", minimum=0, operational=True
    )
    checkpoint_every: int = _FIRST(2000, "between checkpoints", "steps", minimum=1, operational=True)
    keep_checkpoints: int = _FIRST(2, "checkpoints kept", minimum=1, operational=True)
    images_every: int = _FIRST(
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
        if self.dimensions and self.image_size:
            raise InputError("dimensions are of points and image_size is of images; the data cannot be both")
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
    def example_shape(self) -> tuple[int, ...]:
        """The shape of D's and G's examples: (height, width, channels) of images, (dimensions,) of points.

        Raises:
          InputError: it is not known yet; training reads it from the data.
        """
        return self._shape(self.image_size)

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of E's examples. Raises InputError as `example_shape`."""
        return self._shape(self.crop_size)

    def _shape(self, size):
        if self.dimensions:
            return (self.dimensions,)
        if not (size and self.channels):
            raise InputError(
                "image_size and channels, or a point's dimensions, must be known to build networks; training reads "
                "them from the data"
            )
        return (size, size, self.channels)

    def check_effects(self):
        """Raises InputError for a setting away from its default that the networks or the system do not look at.

        A new run's settings are checked when it begins; those of earlier runs are taken as they are. Details of a term
        or a schedule that is turned off are left alone: a flagfile may be changed by one flag.
        """
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if value == field.default:
                continue
            if name in FAMILIES[self.networks].unused:
                why = f"networks={self.networks} have no {name}"
            elif name in UNUSED.get(self.system, ()):
                why = f"system={self.system} has no {name}"
            else:
                continue
            raise InputError(f"{why}, so {_line(name, value).strip()} has no effect")

    def terms(self) -> list[tuple[str, float]]:
        """The terms that this experiment turns on: where each one's class is, for `registry.find`, and its weight."""
        places = ((field.metadata["term"], getattr(self, field.name)) for field in dataclasses.fields(self))
        return [(place, weight) for place, weight in places if place and weight]

    def posterior_of(self, prior) -> str:
        """The name of the posterior, with a prior from `tf_bigan.priors`."""
        return prior.posterior if self.posterior == AUTO else self.posterior

    @property
    def crop_size(self) -> int:
        """Edge of the images that the data gives, in pixels; 0 = as stored."""
        return self.encoder_size or self.image_size

    @property
    def preparation(self) -> Preparation:
        """What happens to an example between its file and the encoder."""
        return Preparation(self.crop_size, self.channels, self.shorter_edge, self.dimensions)

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
        return "".join(_line(field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    def sized(self) -> "Experiment":
        """Self with the family's own width and latent_dim where they are 0."""
        family = FAMILIES[self.networks]
        return dataclasses.replace(
            self, width=self.width or family.width, latent_dim=self.latent_dim or family.latent_dim
        )

    def filled_from(self, other: "Experiment") -> "Experiment":
        """Self with the fields that it leaves open (auto; 0 = as stored) taken from `other`."""
        left_open = {"image_size": 0, "channels": 0, "dimensions": 0, "strategy": AUTO, "precision": AUTO, "xla": AUTO}
        filled = {name: getattr(other, name) for name, value in left_open.items() if getattr(self, name) == value}
        return dataclasses.replace(self, **filled)

    def fresh_digest(self) -> str:
        """The SHA-256 of what an untrained network and its inference statistics follow from.

        Of settings that came after the first published runs, only those that differ from their defaults count. So a
        setting that is added leaves the digests of earlier runs as they are.
        """
        fresh = dataclasses.replace(self, **{name: Experiment.default(name) for name in _OF_TRAINING})
        counted = [
            _line(field.name, getattr(fresh, field.name))
            for field in dataclasses.fields(fresh)
            if field.metadata["since"] == 1 or getattr(fresh, field.name) != field.default
        ]
        return hashlib.sha256("".join(counted).encode()).hexdigest()

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


def _line(name, value):
    return f"--{name}={str(value).lower() if isinstance(value, bool) else value}\n"


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
