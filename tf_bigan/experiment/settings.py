"""Every setting of a run, in the order of a flagfile, and checks of which settings go together."""

import dataclasses
import functools

from tf_bigan.errors import InputError
from tf_bigan.experiment.setting import check, setting
from tf_bigan.preparation import ATTRIBUTES_FROM, MAX_PIXELS
from tf_bigan.registry import FAMILIES, SYSTEMS

AUTO = "auto"

_CODE = "Donahue et al. 2017, code"
_PAPER = "Donahue et al. 2017, appendix"
_ALI = "Dumoulin et al. 2017, appendix A"
_DFM = "Warde-Farley and Bengio 2017"
_SALIMANS = "Salimans et al. 2016"
_TERMS = "tf_bigan.games.terms."

_EDGE = 65_535  # pixels: the largest that JPEG has
_UNITS = 2**20  # of a layer; the largest shapes are then within 64 bits
_THREADS = 1024  # TensorFlow ends the process if the system has no room for as many as it is told
_BELOW_1 = 0.9999999  # the moments' corrections divide by 1 - beta
_FIRST = functools.partial(setting, since=1)  # a setting that the first published runs had


def _sizes(name):
    """The families' own values of a size, as text for a flag's help."""
    found = {}
    for family, made in FAMILIES.items():
        found.setdefault(getattr(made, name), []).append(family)
    return "; ".join(f"{size} for {', '.join(families)}" for size, families in found.items())


@dataclasses.dataclass(frozen=True)
class Settings:
    """The fields of `Experiment`.

    Raises:
      InputError: on construction, for a value outside its field's choices or below its minimum.
    """

    # The system and its data.
    system: str = _FIRST("bigan", "the game that is played", choices=SYSTEMS)
    dataset: str = _FIRST(
        "mnist",
        "a TFDS name, 'digits' (8x8, needs no download), 'tiny_imagenet', a folder of images, or 'mixture' (points of "
        "25 Gaussians)",
    )
    split: str = _FIRST("train", "the TFDS split to train on, such as 'train[:50000]'; ignored for folders")
    max_labels: int = _FIRST(
        0, "use examples of only this many of the data set's first classes; 0 = all", "classes", _CODE, minimum=0
    )
    image_size: int = _FIRST(
        0,
        "edge of the square images; 0 = as stored. Images of another size are resized and centre-cropped",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    encoder_size: int = _FIRST(
        0,
        "edge of the images that E takes, if larger than D's and G's; 0 = image_size",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    shorter_edge: int = _FIRST(
        0,
        "resize each image's shorter edge to this before cropping; 0 = the crop's size",
        "pixels",
        minimum=0,
        maximum=_EDGE,
    )
    crop: str = _FIRST("centre", "where training crops images", choices=("centre", "random"))
    flip: bool = _FIRST(False, "mirror each training image with probability 1/2", source=_PAPER)
    channels: int = _FIRST(0, "colour channels: 1 or 3; 0 = as stored", choices=(0, 1, 3))
    dimensions: int = setting(
        0, "coordinates of each point, if the data is points; 0 = as stored", "coordinates", minimum=0, maximum=_UNITS
    )
    attributes: int = setting(
        0,
        "number of attributes of an example, in conditional_ali; 0 = as many as the data has",
        minimum=0,
        maximum=_UNITS,
    )
    attributes_from: str = setting(
        "data",
        "where conditional_ali's attributes come from: those of the data, or one-hot vectors of its labels",
        choices=ATTRIBUTES_FROM,
    )
    bad_images: str = _FIRST(
        "refuse",
        "what to do if images cannot be decoded: refuse to train, or leave these images out",
        choices=("refuse", "skip"),
    )
    max_pixels: int = setting(
        MAX_PIXELS,
        "an image file of a folder that has more pixels counts as one that cannot be decoded",
        "pixels",
        minimum=1,
    )

    # The networks.
    networks: str = _FIRST("mlp", "the family of E, G and D", choices=FAMILIES)
    width: int = _FIRST(
        0,
        "units of each hidden layer of mlp and mixture (mixture's D has half as many), or channels of the first layer "
        "of the D of conv and dcgan and of the E of ali_*, with which all their layers scale; 0 = the paper's: 1024 "
        "for mlp; 400 for mixture; 64 for conv, dcgan, ali_celeba, ali_tiny_imagenet; 32 for ali_cifar10, ali_svhn",
        "units or channels",
        _PAPER,
        minimum=0,
        maximum=_UNITS,
    )
    latent_dim: int = _FIRST(
        0,
        f"size of the code z; 0 = the paper's: {_sizes('latent_dim')}",
        "dimensions",
        _PAPER,
        minimum=0,
        maximum=_UNITS,
    )
    prior: str = _FIRST("uniform", "p(z): U(-1, 1) or N(0, 1)", source=_PAPER, choices=("uniform", "normal"))
    posterior: str = setting(
        AUTO,
        "how E's output becomes a code: squashed to (-1, 1); linear: as it is; gaussian: as mean and log standard "
        "deviation; implicit: as it is, with noise as E's second input; auto: squashed for the uniform prior, linear "
        "for the normal one",
        choices=(AUTO, "squashed", "linear", "gaussian", "implicit"),
    )
    init_stddev: float = setting(
        0.0, "standard deviation of the initial weights, if the family has a choice; 0 = the paper's", minimum=0.0
    )
    dropout: bool = setting(True, "drop units where the family's paper does", source=_ALI)
    train_embedding: bool = setting(
        True,
        "in conditional_ali, train the embedding of attributes with E and G; if not, it keeps its initial values, as "
        "in the authors' code",
        source=_ALI,
    )
    generator_skip: bool = _FIRST(True, "feed z to G's later hidden layers too", source=_CODE)
    sync_batch_norm: bool = _FIRST(False, "compute batch statistics over all replicas instead of each replica alone")

    # The game.
    latent_weight: float = _FIRST(
        0.25, "weight of the latent loss in joint_latent_regressor (1 is degenerate)", source=_CODE, minimum=0.0
    )
    likelihood_stddev: float = setting(
        0.1,
        "standard deviation of each pixel or coordinate around G's output in vae's likelihood",
        "pixels' range or coordinates",
        minimum=1e-3,
    )
    objective: str = setting(
        "paper",
        "the losses of D and its opponents: those of the system's paper, or relativistic: "
        "softplus(D(generated) - D(real)) for D, and softplus of the opposite difference for the others",
        choices=("paper", "relativistic"),
    )
    reconstruction_x: float = setting(
        0.0,
        "weight of the error of G(E(x)), summed over pixels or coordinates; 0 = no such term",
        source="Li et al. 2017 (ALICE)",
        minimum=0.0,
        term=_TERMS + "reconstruction:ReconstructionX",
    )
    reconstruction_z: float = setting(
        0.0,
        "weight of the error of E(G(z)), summed over dimensions; 0 = no such term",
        source="Li et al. 2017 (ALICE)",
        minimum=0.0,
        term=_TERMS + "reconstruction:ReconstructionZ",
    )
    reconstruction_error: str = setting("l2", "squared or absolute errors", choices=("l2", "l1"))
    r1_penalty: float = setting(
        0.0,
        "gamma of D's penalty gamma / 2 |gradient|^2 at the real pairs; 0 = no such term",
        source="Mescheder et al. 2018",
        minimum=0.0,
        term=_TERMS + "gradient_penalty:R1",
    )
    r2_penalty: float = setting(
        0.0,
        "gamma of the same penalty at the generated pairs; 0 = no such term",
        source="Mescheder et al. 2018",
        minimum=0.0,
        term=_TERMS + "gradient_penalty:R2",
    )
    penalty_interval: int = setting(
        1, "apply the penalties once in this many steps, multiplied by this number", "steps", minimum=1
    )
    denoising_feature_matching: float = setting(
        0.0,
        "weight of denoising feature matching in G's loss; it is divided by the number of features; the paper's: 0.03; "
        "0 = no such term",
        source=_DFM,
        minimum=0.0,
        term=_TERMS + "denoising:DenoisingFeatureMatching",
    )
    denoiser_layers: int = setting(10, "hidden layers of the denoiser", "layers", _DFM, minimum=1, maximum=1000)
    denoiser_width: int = setting(
        2048, "units in each hidden layer of the denoiser", "units", _DFM, minimum=1, maximum=_UNITS
    )
    feature_matching: float = setting(
        0.0,
        "weight of feature matching in G's loss: the squared distance between the means of D's features of real and of "
        "generated pairs; 0 = no such term",
        source=_SALIMANS,
        minimum=0.0,
        term=_TERMS + "feature_matching:FeatureMatching",
    )
    label_weight: float = setting(
        0.0,
        "weight of the labels' cross-entropy in D's loss; D then has an output for each class, and the log of the sum "
        "of their exponentials is its logit that a pair is real; the papers': 1; 0 = no such term",
        source=_SALIMANS,
        minimum=0.0,
        term=_TERMS + "labels:Labels",
    )
    labelled: int = setting(
        0,
        "use the labels of only this many training examples, equally many of each class; 0 = all",
        "examples",
        _SALIMANS,
        minimum=0,
    )
    classes: int = setting(
        0, "outputs of a D that learns labels; 0 = as many as the data has classes", minimum=0, maximum=_UNITS
    )
    batch_size: int = _FIRST(128, "batch over all replicas", "examples", _PAPER, minimum=2, maximum=_UNITS)
    constant_epochs: int = _FIRST(200, "epochs at the full learning rate", "epochs", _PAPER, minimum=0)
    decay_epochs: int = _FIRST(200, "epochs of exponential decay after constant_epochs", "epochs", _PAPER, minimum=0)
    learning_rate: float = _FIRST(2e-4, "Adam's step size", source=_PAPER, minimum=0.0)
    final_learning_rate: float = _FIRST(
        0.01, "the last epoch's learning rate", "fraction of learning_rate", _PAPER, minimum=0.0
    )
    beta_1: float = _FIRST(0.5, "Adam's decay of the first moment", source=_PAPER, minimum=0.0, maximum=_BELOW_1)
    beta_2: float = _FIRST(0.999, "Adam's decay of the second moment", source=_PAPER, minimum=0.0, maximum=_BELOW_1)
    epsilon: float = _FIRST(1e-8, "added to the root of Adam's second moment", source=_CODE, minimum=0.0)
    l2: float = _FIRST(
        2.5e-5, "L2 regularisation: this times the weights is added to the gradient", source=_PAPER, minimum=0.0
    )
    statistics_steps: int = _FIRST(
        1000, "batches from which the batch norms' inference statistics are estimated", "batches", _CODE, minimum=1
    )
    seed: int = _FIRST(42, "seed of weights, noise and data order", source=_CODE, minimum=0, maximum=2**32 - 1)

    # Where and how it runs.
    strategy: str = _FIRST(
        AUTO,
        "distribution strategy; auto: mirrored over several GPUs, else one device",
        choices=(AUTO, "one_device", "mirrored", "multi_worker", "tpu"),
    )
    precision: str = _FIRST(
        AUTO,
        "dtype policy; auto: the faster of float32 and mixed_bfloat16 on the device",
        choices=(AUTO, "float32", "mixed_bfloat16", "mixed_float16"),
    )
    xla: str = _FIRST(
        AUTO,
        "compile training steps with XLA; auto: on one GPU, and on CPUs for float32 networks of points and for float32 "
        "MLPs that run one operation at a time",
        choices=(AUTO, "on", "off"),
    )
    deterministic: bool = _FIRST(False, "bit-identical repeats and resumes, slower")
    logical_cpus: int = _FIRST(
        0,
        "split the CPU into this many devices, to try strategy=mirrored without GPUs; 0 = do not split",
        "devices",
        minimum=0,
        maximum=_THREADS,
    )
    inter_op_threads: int = _FIRST(
        0,
        "TensorFlow operations that run in parallel; 0 = 2 for an MLP on a CPU of two cores, else TensorFlow's default",
        "threads",
        minimum=0,
        maximum=_THREADS,
        operational=True,
    )
    intra_op_threads: int = _FIRST(
        0,
        "threads within one operation; 0 = 1 for an MLP on a CPU of two cores, else TensorFlow's default",
        "threads",
        minimum=0,
        maximum=_THREADS,
        operational=True,
    )
    checkpoint_every: int = _FIRST(2000, "steps between checkpoints", "steps", minimum=1, operational=True)
    keep_checkpoints: int = _FIRST(2, "checkpoints kept", minimum=1, operational=True)
    images_every: int = _FIRST(
        25, "epochs between sample and reconstruction grids; 0 = none", "epochs", minimum=0, operational=True
    )
    watch: bool = setting(
        True, "with each grid, measure whether the run collapses, log the numbers and warn", operational=True
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        if not self.epochs:
            raise InputError("constant_epochs + decay_epochs must be at least 1, found 0")
        if self.encoder_size and not self.image_size:
            raise InputError("encoder_size needs image_size, the size that D and G work at")
        if self.encoder_size and self.encoder_size < self.image_size:
            raise InputError(f"encoder_size {self.encoder_size} must be at least image_size {self.image_size}")
        if self.encoder_size > self.image_size and self.system == "gan":
            raise InputError("encoder_size is the size of E's images, and gan has no E")
        if self.encoder_size > self.image_size and self.system == "supervised":
            raise InputError(
                f"encoder_size {self.encoder_size} must be image_size {self.image_size} in supervised, which has no G "
                "to whose size D's images are reduced"
            )
        if self.dimensions and self.image_size:
            raise InputError("dimensions are for points and image_size is for images; the data cannot be both")
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
    def crop_size(self) -> int:
        """Edge of the images that the data gives, in pixels; 0 = as stored."""
        return self.encoder_size or self.image_size
