"""The settings of an evaluation. Imports no TensorFlow."""

import dataclasses

from tf_bigan.errors import InputError

PRECISIONS = ("float32", "mixed_bfloat16")

# The name of the Inception graph of 2015-12-05. Only numbers in its features are called FID, KID and Inception score.
INCEPTION = "inception"


@dataclasses.dataclass(frozen=True)
class TransferSettings:
    """How a classifier is trained: by SGD with momentum, the learning rate falling to 0 along half a cosine.

    The paper gives no schedule for Table 2; these values are common for AlexNet.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.01
    momentum: float = 0.9
    l2: float = 5e-4
    units: int = 4096  # in each of fc6 and fc7
    dropout: float = 0.5
    precision: str = "float32"  # or "mixed_bfloat16"
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "units"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, found {getattr(self, name)}")
        if not 0.0 < self.learning_rate < float("inf"):
            raise InputError(f"learning_rate must be positive, found {self.learning_rate}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be {' or '.join(PRECISIONS)}, found {self.precision!r}")


@dataclasses.dataclass(frozen=True)
class VOCSettings(TransferSettings):
    """How a classifier is trained on VOC2007: with the authors' batch size, learning rate, weight decay and length.

    The authors' training differs in three points. They halve the learning rate every 10,000 steps; here it falls along
    half a cosine. Their biases have twice the learning rate, and weight decay too. They rescale new and transferred
    layers until all learn at the same rate (see `transfer.transplant`).
    """

    batch_size: int = 16
    learning_rate: float = 1e-3
    l2: float = 1e-6
    steps: int = 80_000
    epochs: int = 8  # equal parts of the training, after each of which progress is reported

    def __post_init__(self):
        super().__post_init__()
        if self.steps < 1 or self.steps % self.epochs:
            raise InputError(f"steps must be a multiple of {self.epochs}, found {self.steps}")


@dataclasses.dataclass(frozen=True)
class SVMSettings:
    """How many labels a linear SVM learns from, and how often they are drawn anew."""

    labels: int = 1000
    draws: int = 100

    def __post_init__(self):
        for name, least in (("labels", 2), ("draws", 2)):
            if getattr(self, name) < least:
                raise InputError(f"svm_{name} must be at least {least}, found {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class KMeansSettings:
    """The baseline of K-means on patches: see `evaluation.kmeans`."""

    centroids: int = 800
    edge: int = 6  # of a patch, in pixels
    stride: int = 1  # between patches, in pixels

    def __post_init__(self):
        for name, least in (("centroids", 2), ("edge", 2), ("stride", 1)):
            if getattr(self, name) < least:
                raise InputError(f"K-means wants {name} of at least {least}, found {getattr(self, name)}")

    def check(self, shape):
        """Raises InputError unless images of `shape`, (height, width), have two patches along each edge."""
        if min(shape) < self.edge + self.stride:
            raise InputError(
                f"K-means takes patches of {self.edge}x{self.edge} pixels, {self.stride} apart, and images of "
                f"{shape[0]}x{shape[1]} pixels have fewer than two of them along an edge"
            )

    @property
    def title(self) -> str:
        """What reports call the baseline's features: "800 of 6x6/1" has 800 centroids of 6x6 pixels, 1 pixel apart."""
        return f"{self.centroids} of {self.edge}x{self.edge}/{self.stride}"


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier that judges samples.

    Attributes:
      name: its name in reports: a zoo model's name or the path of a run.
      weights: the SHA-256 digest of its weights.
      model: the classifier, with `class_probabilities(examples)`: float32 [N, ...] -> float32 [N, classes], and
        `example_shape`, the examples' shape without N.
    """

    name: str
    weights: str
    model: object


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and how, for all measures of an evaluation.

    Attributes:
      layers: layers whose features are measured, named as in `Game.features`, and the last frozen layers of
        frozen_prefix, which takes no read-outs such as "crelu(conv5_norm)". Features of several layers are concatenated
        where "+" joins their names, as in "conv5_norm+code". None = each measure's default: "penultimate" and "outputs"
        for knn and linear, those that `registry.Family.probed` names for svm, conv1 ... conv5 for frozen_prefix. Of a
        conditional model, knn, linear and svm leave out defaults that depend on the label or the attributes, as
        "outputs" and "code" do.
      pool: edge in pixels to which larger feature maps are averaged before knn, linear and svm; 0 = no averaging.
      untrained: number of untrained encoders that the trained one is compared with.
      kmeans: a baseline of images beside these and raw examples, a `KMeansSettings`; None = none.
      seed: seed of the samples, which a report names as its own. Classifiers have the seeds of their settings.
      svm: how many labels svm learns from, and its number of draws.
      transfer: settings of the classifiers of frozen_prefix and fine_tuning.
      voc: settings of the classifiers of voc2007; None = the authors' settings with the seed of `transfer`.
      transfer_size: edge in pixels of the classifiers' input images; 0 = the encoder's.
      classifier: the `Classifier` of agreement; None = there is none.
      feature_network: what fid, kid, precision_recall and class_score compare images by: a `FeatureNetwork`, or a
        classifier as `feature_networks.as_feature_network` takes it; None = there is none.
      samples: number of samples that they take.
      statistics: the folder in which they keep the features of real images; None = they keep none.
      data_dir: the TFDS directory in which VOC2007 is looked for; None = TFDS's own.
    """

    layers: tuple[str, ...] | None = None
    pool: int = 0
    untrained: int = 1
    kmeans: KMeansSettings | None = None
    seed: int = 0
    svm: SVMSettings = SVMSettings()
    transfer: TransferSettings = TransferSettings()
    voc: VOCSettings | None = None
    transfer_size: int = 0
    classifier: Classifier | None = None
    feature_network: object | None = None
    samples: int = 50_000
    statistics: str | None = None
    data_dir: str | None = None

    def __post_init__(self):
        if self.samples < 1:
            raise InputError(f"samples must be at least 1, found {self.samples}")

    def layers_or(self, default) -> list[str]:
        """The requested layers without repetitions; `default` if none were requested."""
        return list(dict.fromkeys(self.layers or default))
