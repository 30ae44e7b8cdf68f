"""The names of systems, families of networks and measures that flags accept, and where each is defined.

Imports no TensorFlow. Some settings have no effect in a system or a family; these are listed here, and
`Experiment.check_effects` refuses them unless they have their defaults. A new system, family or measure is one line
here. Terms are found through the settings of `Experiment` that turn them on.
"""

import dataclasses
import importlib


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
      module: the module of `make(experiment, dtype, system)`, which returns {role: function that makes the network}.
      width: the paper's width, used if the experiment's is 0; 0 = the paper's layers are not scaled.
      latent_dim: the paper's number of dimensions of the code.
      domain: the domain of the networks' examples, "images" or "points".
      unused: settings of `Experiment` that have no effect on these networks.
      probed: E's layer whose features the measure `svm` takes by default, or several, joined by "+".
    """

    module: str
    width: int
    latent_dim: int
    domain: str = "images"
    unused: tuple[str, ...] = ()
    probed: str = "penultimate"


# Name of a system -> module and class of the game.
SYSTEMS = {
    "bigan": "tf_bigan.games.bigan:BiGAN",
    "ali": "tf_bigan.games.ali:ALI",
    "conditional_ali": "tf_bigan.games.conditional_ali:ConditionalALI",
    "gan": "tf_bigan.games.gan:GAN",
    "latent_regressor": "tf_bigan.games.latent_regressor:LatentRegressor",
    "joint_latent_regressor": "tf_bigan.games.latent_regressor:JointLatentRegressor",
    "learned_inverse": "tf_bigan.games.frozen_decoder:LearnedInverse",
    "post_hoc": "tf_bigan.games.frozen_decoder:PostHoc",
    "vae": "tf_bigan.games.vae:VAE",
    "supervised": "tf_bigan.games.supervised:Supervised",
    "autoencoder_l1": "tf_bigan.games.autoencoder:AutoencoderL1",
    "autoencoder_l2": "tf_bigan.games.autoencoder:AutoencoderL2",
}

# Systems that take networks from another run and do not train them -> the roles of these networks.
INHERITED = {"learned_inverse": ("generator",), "post_hoc": ("generator",)}

_OF_D = ("discriminator_norm", "unary_scores")

# Settings that have no effect in a system.
UNUSED = {
    "bigan": ("latent_weight", "likelihood_stddev"),
    "ali": ("latent_weight", "likelihood_stddev"),
    "gan": ("latent_weight", "likelihood_stddev", "posterior"),  # it has no E
    "latent_regressor": ("latent_weight", "likelihood_stddev"),
    "joint_latent_regressor": ("likelihood_stddev",),
    "learned_inverse": ("latent_weight", "likelihood_stddev", "objective", "dropout", *_OF_D),
    "post_hoc": ("latent_weight", "likelihood_stddev"),
    "vae": ("latent_weight", "objective", "dropout", *_OF_D),
    "supervised": ("latent_weight", "likelihood_stddev", "objective", "generator_skip", "label_weight"),
    "autoencoder_l1": ("latent_weight", "likelihood_stddev", "objective", "dropout", *_OF_D),
    "autoencoder_l2": ("latent_weight", "likelihood_stddev", "objective", "dropout", *_OF_D),
    "conditional_ali": ("latent_weight", "likelihood_stddev"),
}
for _system in SYSTEMS.keys() - {"conditional_ali"}:
    UNUSED[_system] = (*UNUSED.get(_system, ()), "attributes", "attributes_from", "train_embedding", "embedding_stddev")

_DONAHUE = ("init_stddev", "dropout")
_DUMOULIN = ("generator_skip", *_OF_D)


def _last_norms(convolutions):
    """The outputs of ALI's last three batch norms before E's output, and the code (Dumoulin et al. 2017, code)."""
    return "+".join([*(f"conv{n}_norm" for n in range(convolutions - 2, convolutions + 1)), "code"])


FAMILIES = {
    "mlp": Family("tf_bigan.networks.mlp", width=1024, latent_dim=50, unused=(*_DONAHUE, "unary_scores")),
    "conv": Family("tf_bigan.networks.conv", width=64, latent_dim=200, unused=_DONAHUE),
    "dcgan": Family(
        "tf_bigan.networks.dcgan", width=64, latent_dim=100, unused=("init_stddev", "dropout", "generator_skip")
    ),
    "ali_cifar10": Family("tf_bigan.networks.ali", width=0, latent_dim=64, unused=_DUMOULIN, probed=_last_norms(6)),
    "ali_svhn": Family("tf_bigan.networks.ali", width=0, latent_dim=256, unused=_DUMOULIN, probed=_last_norms(6)),
    "ali_celeba": Family("tf_bigan.networks.ali", width=0, latent_dim=256, unused=_DUMOULIN, probed=_last_norms(5)),
    "ali_tiny_imagenet": Family(
        "tf_bigan.networks.ali", width=0, latent_dim=256, unused=_DUMOULIN, probed=_last_norms(8)
    ),
    "mixture": Family(
        "tf_bigan.networks.mixture", width=400, latent_dim=2, domain="points", unused=(*_DUMOULIN, "dropout")
    ),
}


# Name of a measure -> module and class, in the order in which a report's results are printed.
MEASURES = {
    "knn": "tf_bigan.evaluation.measures.knn:KNN",
    "linear": "tf_bigan.evaluation.measures.linear_probe:LinearProbe",
    "frozen_prefix": "tf_bigan.evaluation.measures.classifiers:FrozenPrefix",
    "fine_tuning": "tf_bigan.evaluation.measures.classifiers:FineTuning",
    "voc2007": "tf_bigan.evaluation.measures.classifiers:VOC2007",
    "reconstruction": "tf_bigan.evaluation.measures.reconstruction:Reconstruction",
    "nnd": "tf_bigan.evaluation.measures.nearest_samples:NearestSamples",
    "checkerboard": "tf_bigan.evaluation.measures.checkerboard:Checkerboard",
    "fid": "tf_bigan.evaluation.measures.sample_quality:FID",
    "kid": "tf_bigan.evaluation.measures.sample_quality:KID",
    "precision_recall": "tf_bigan.evaluation.measures.sample_quality:PrecisionRecall",
    "class_score": "tf_bigan.evaluation.measures.sample_quality:ClassScore",
    "svm": "tf_bigan.evaluation.measures.svm:SVM",
    "classification": "tf_bigan.evaluation.measures.classification:Classification",
    "agreement": "tf_bigan.evaluation.measures.agreement:Agreement",
    "modes": "tf_bigan.evaluation.measures.modes:Modes",
}


def find(place: str):
    """The object at "module:name"; imports the module."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
