"""`Experiment`: a run's settings, what follows from them (shapes, terms, differences, a digest), and flagfiles."""

import dataclasses
import hashlib
import os

from absl import flags

from tf_bigan.dataset_names import same_dataset
from tf_bigan.errors import InputError
from tf_bigan.experiment.flagfile import define_flags, parse_flags, values_of
from tf_bigan.experiment.setting import line
from tf_bigan.experiment.settings import AUTO, Settings
from tf_bigan.preparation import Preparation
from tf_bigan.registry import FAMILIES, UNUSED

# Settings that affect only training, and not the networks before training.
_OF_TRAINING = (
    *("latent_weight", "constant_epochs", "decay_epochs", "learning_rate", "final_learning_rate"),
    *("beta_1", "beta_2", "epsilon", "l2", "strategy", "precision", "xla", "deterministic", "logical_cpus"),
    *("inter_op_threads", "intra_op_threads", "checkpoint_every", "keep_checkpoints", "images_every", "watch"),
    *("objective", "reconstruction_x", "reconstruction_z", "reconstruction_error", "r1_penalty", "r2_penalty"),
    *("likelihood_stddev", "penalty_interval", "denoising_feature_matching", "denoiser_layers", "denoiser_width"),
    *("feature_matching", "labelled", "train_embedding", "augmentation", "rotation_encoder", "rotation_discriminator"),
    "average_decay",
)
# Settings that determine the shapes of the networks' weights.
_OF_NETWORKS = (
    *("networks", "width", "latent_dim", "channels", "dimensions", "image_size", "encoder_size", "generator_skip"),
    *("posterior", "denoiser_layers", "denoiser_width", "classes", "attributes", "discriminator_norm", "unary_scores"),
)


@dataclasses.dataclass(frozen=True)
class Experiment(Settings):
    """Every setting of a run; immutable. `dataclasses.replace` makes a changed copy.

    Raises:
      InputError: on construction, for a value outside its field's choices or below its minimum.
    """

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of D's and G's examples: (height, width, channels) of images, (dimensions,) of points.

        Raises:
          InputError: it is not known yet; training reads it from the data.
        """
        return self._shape(self.image_size)

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of E's examples. Raises InputError like `example_shape`."""
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
        """Raises InputError for a setting that differs from its default but that the networks or the system ignore.

        A new run's settings are checked when it begins; those of earlier runs are not checked. Details of a term or a
        schedule that is turned off are accepted, so that a single flag can turn it off in a flagfile.
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
            raise InputError(f"{why}, so {line(name, value).strip()} has no effect")

    def terms(self) -> list[tuple[str, float]]:
        """The terms that this experiment turns on: [(the place of the class for `registry.find`, the weight)]."""
        places = ((field.metadata["term"], getattr(self, field.name)) for field in dataclasses.fields(self))
        return [(place, weight) for place, weight in places if place and weight]

    def posterior_of(self, prior) -> str:
        """The name of the posterior; for "auto", that of the given prior from `tf_bigan.priors`."""
        return prior.posterior if self.posterior == AUTO else self.posterior

    @property
    def preparation(self) -> Preparation:
        """What happens to an example between its file and the encoder."""
        return Preparation(
            *(self.crop_size, self.channels, self.shorter_edge, self.dimensions),
            attributes_from=self.attributes_from,
            max_pixels=self.max_pixels,
        )

    def max_labels_of(self, dataset: str) -> int:
        """How many classes of a data set to use: `max_labels` of the run's own data set, 0 (all) of any other."""
        return self.max_labels if same_dataset(dataset, self.dataset) else 0

    def classes_news(self, dataset: str) -> str:
        """A message if all classes of `dataset` are used but the model was trained on some only; otherwise empty."""
        if not self.max_labels or self.max_labels_of(dataset):
            return ""
        return f"using all classes of {dataset}; the model was trained on the first {self.max_labels} of {self.dataset}"

    @classmethod
    def default(cls, name: str):
        """The default of the field called `name`."""
        return cls.__dataclass_fields__[name].default

    @classmethod
    def from_flagfile(cls, path) -> "Experiment":
        """Reads `--name=value` lines; a field that is not named keeps its default.

        Raises:
          InputError: the file does not exist, a flag is unknown, or a value does not fit.
        """
        values = flags.FlagValues()
        define_flags(values)
        parse_flags(values, ["", f"--flagfile={os.fspath(path)}"])
        return experiment_of(values)

    def changed_by(self, arguments: list[str]) -> "Experiment":
        """This experiment with flags such as `--seed=1` applied. Raises InputError like `from_flagfile`."""
        values = flags.FlagValues()
        define_flags(values)
        parse_flags(values, ["", *self.to_flagfile().splitlines(), *arguments])
        return experiment_of(values)

    def to_flagfile(self) -> str:
        """The text of a flagfile that names every field."""
        return "".join(line(field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    def sized(self) -> "Experiment":
        """This experiment with the family's own width and latent_dim in place of 0."""
        family = FAMILIES[self.networks]
        return dataclasses.replace(
            self, width=self.width or family.width, latent_dim=self.latent_dim or family.latent_dim
        )

    def filled_from(self, other: "Experiment") -> "Experiment":
        """This experiment with the fields that it leaves open (auto, or 0 = as stored) taken from `other`."""
        left_open = dict.fromkeys(("image_size", "channels", "dimensions", "classes", "attributes"), 0)
        left_open |= dict.fromkeys(("strategy", "precision", "xla"), AUTO)
        filled = {name: getattr(other, name) for name, value in left_open.items() if getattr(self, name) == value}
        return dataclasses.replace(self, **filled)

    def fresh_digest(self) -> str:
        """The SHA-256 of the settings that determine an untrained network and its inference statistics.

        A setting that was added after the first published runs counts only if it differs from its default. So adding a
        setting does not change the digests of earlier runs.
        """
        fresh = dataclasses.replace(self, **{name: Experiment.default(name) for name in _OF_TRAINING})
        counted = [
            line(field.name, getattr(fresh, field.name))
            for field in dataclasses.fields(fresh)
            if field.metadata["since"] == 1 or getattr(fresh, field.name) != field.default
        ]
        return hashlib.sha256("".join(counted).encode()).hexdigest()

    def other_networks(self, other: "Experiment") -> dict[str, tuple]:
        """The differing settings that may give the networks other shapes: {name: (value here, value in `other`)}."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _OF_NETWORKS}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def difference(self, other: "Experiment") -> list[str]:
        """The names of the fields that affect the result and differ."""
        return [
            field.name
            for field in dataclasses.fields(self)
            if not field.metadata["operational"] and getattr(self, field.name) != getattr(other, field.name)
        ]


def experiment_of(values: flags.FlagValues) -> Experiment:
    """The Experiment that parsed flags describe. Raises InputError for a value out of range."""
    return Experiment(**values_of(values))
