"""Every setting of a run, in the order of a flagfile, and checks of which settings go together."""

import dataclasses

from tf_bigan.errors import InputError
from tf_bigan.experiment.model_settings import AUTO, CODE, FIRST, PAPER, UNITS, ModelSettings
from tf_bigan.experiment.setting import check, setting

_DFM = "Warde-Farley and Bengio 2017"
_SALIMANS = "Salimans et al. 2016"
_TERMS = "tf_bigan.games.terms."

_THREADS = 1024  # TensorFlow ends the process if the system has no room for as many as it is told
_BELOW_1 = 0.9999999  # the moments' corrections divide by 1 - beta


@dataclasses.dataclass(frozen=True)
class Settings(ModelSettings):
    """The fields of `Experiment`: those of the data and the networks, then those of the game and of how it runs.

    Raises:
      InputError: on construction, for a value outside its field's choices or below its minimum.
    """

    # The game.
    latent_weight: float = FIRST(
        0.25, "weight of the latent loss in joint_latent_regressor (1 is degenerate)", source=CODE, minimum=0.0
    )
    likelihood_stddev: float = setting(
        0.1,
        "standard deviation of each pixel or coordinate around G's output in vae's likelihood",
        "pixels' range or coordinates",
        minimum=1e-3,
    )
    objective: str = setting(
        "paper",
        "the losses of D and its opponents: those of the system's paper; relativistic: "
        "softplus(D(generated) - D(real)) for D, and softplus of the opposite difference for the others; or hinge: "
        "max(0, 1 - D(real)) + max(0, 1 + D(generated)) for D, and D(real) - D(generated) for the others",
        choices=("paper", "relativistic", "hinge"),
    )
    augmentation: float = setting(
        0.0,
        "strength of the differentiable augmentation of D's images, real and generated ones alike, as a fraction of "
        "the paper's; 0 = none",
        source="Zhao et al. 2020",
        minimum=0.0,
        maximum=1.0,
        term=_TERMS + "augmentation:Augmentation",
    )
    rotation_encoder: float = setting(
        0.0,
        "weight of a self-supervised loss of E: its features tell by which multiple of 90 degrees an image is turned; "
        "0 = no such term",
        source="Gidaris et al. 2018",
        minimum=0.0,
        term=_TERMS + "rotation:RotationOfEncoder",
    )
    rotation_discriminator: float = setting(
        0.0,
        "weight of the same loss of D, and 0.2 times it of G, of whose turned samples D's features tell the angle; "
        "0 = no such term",
        source="Chen et al. 2019",
        minimum=0.0,
        term=_TERMS + "rotation:RotationOfDiscriminator",
    )
    reconstruction_x: float = setting(
        0.0,
        "weight of the error of G(E(x)), summed over pixels or coordinates; 0 = no such term",
        source="ALICE, Li et al. 2017",
        minimum=0.0,
        term=_TERMS + "reconstruction:ReconstructionX",
    )
    reconstruction_z: float = setting(
        0.0,
        "weight of the error of E(G(z)), summed over dimensions; 0 = no such term",
        source="ALICE, Li et al. 2017",
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
        2048, "units in each hidden layer of the denoiser", "units", _DFM, minimum=1, maximum=UNITS
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
        0, "outputs of a D that learns labels; 0 = as many as the data has classes", minimum=0, maximum=UNITS
    )
    batch_size: int = FIRST(128, "batch over all replicas", "examples", PAPER, minimum=2, maximum=UNITS)
    constant_epochs: int = FIRST(200, "epochs at the full learning rate", "epochs", PAPER, minimum=0)
    decay_epochs: int = FIRST(200, "epochs of exponential decay after constant_epochs", "epochs", PAPER, minimum=0)
    learning_rate: float = FIRST(2e-4, "Adam's step size", source=PAPER, minimum=0.0)
    final_learning_rate: float = FIRST(
        0.01, "the last epoch's learning rate", "fraction of learning_rate", PAPER, minimum=0.0
    )
    beta_1: float = FIRST(0.5, "Adam's decay of the first moment", source=PAPER, minimum=0.0, maximum=_BELOW_1)
    beta_2: float = FIRST(0.999, "Adam's decay of the second moment", source=PAPER, minimum=0.0, maximum=_BELOW_1)
    epsilon: float = FIRST(1e-8, "added to the root of Adam's second moment", source=CODE, minimum=0.0)
    l2: float = FIRST(
        2.5e-5, "L2 regularisation: this times the weights is added to the gradient", source=PAPER, minimum=0.0
    )
    average_decay: float = setting(
        0.0,
        "keep running averages of the weights with this decay, such as 0.999, and use them in place of the weights; "
        "0 = no averages",
        source="Yazici et al. 2019",
        minimum=0.0,
        maximum=_BELOW_1,
    )
    statistics_steps: int = FIRST(
        1000, "batches from which the batch norms' inference statistics are estimated", "batches", CODE, minimum=1
    )
    seed: int = FIRST(42, "seed of weights, noise and data order", source=CODE, minimum=0, maximum=2**32 - 1)

    # Where and how it runs.
    strategy: str = FIRST(
        AUTO,
        "distribution strategy; auto: mirrored over several GPUs, else one device",
        choices=(AUTO, "one_device", "mirrored", "multi_worker", "tpu"),
    )
    precision: str = FIRST(
        AUTO,
        "dtype policy; auto: the faster of float32 and mixed_bfloat16 on the device",
        choices=(AUTO, "float32", "mixed_bfloat16", "mixed_float16"),
    )
    xla: str = FIRST(
        AUTO,
        "compile training steps with XLA; auto: on one GPU, and on CPUs for float32 networks of points and for float32 "
        "MLPs that run one operation at a time",
        choices=(AUTO, "on", "off"),
    )
    deterministic: bool = FIRST(False, "bit-identical repeats and resumes, slower")
    logical_cpus: int = FIRST(
        0,
        "split the CPU into this many devices, to try strategy=mirrored without GPUs; 0 = do not split",
        "devices",
        minimum=0,
        maximum=_THREADS,
    )
    inter_op_threads: int = FIRST(
        0,
        "TensorFlow operations that run in parallel; 0 = 2 for an MLP on a CPU of two cores, else TensorFlow's default",
        "threads",
        minimum=0,
        maximum=_THREADS,
        operational=True,
    )
    intra_op_threads: int = FIRST(
        0,
        "threads within one operation; 0 = 1 for an MLP on a CPU of two cores, else TensorFlow's default",
        "threads",
        minimum=0,
        maximum=_THREADS,
        operational=True,
    )
    checkpoint_every: int = FIRST(2000, "steps between checkpoints", "steps", minimum=1, operational=True)
    keep_checkpoints: int = FIRST(2, "checkpoints kept", minimum=1, operational=True)
    images_every: int = FIRST(
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
