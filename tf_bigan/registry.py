"""The names that flags know: systems and families of networks, and where each is defined. Imports no TensorFlow.

Another system or family is one line here. Terms are found through the settings of `Experiment` that turn them on.
"""

import dataclasses
import importlib


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
      module: where its `make(experiment, dtype, system)` is, which gives {role: function that makes the network}.
      width: the paper's, taken where an experiment's is 0; 0 = its layers are not scaled.
      latent_dim: the paper's size of the code.
      domain: what the networks take, "images" or "points".
    """

    module: str
    width: int
    latent_dim: int
    domain: str = "images"


# Name of a system -> module and class of the game.
SYSTEMS = {
    "bigan": "tf_bigan.games.bigan:BiGAN",
    "ali": "tf_bigan.games.ali:ALI",
    "gan": "tf_bigan.games.gan:GAN",
    "latent_regressor": "tf_bigan.games.latent_regressor:LatentRegressor",
    "joint_latent_regressor": "tf_bigan.games.latent_regressor:JointLatentRegressor",
    "autoencoder_l1": "tf_bigan.games.autoencoder:AutoencoderL1",
    "autoencoder_l2": "tf_bigan.games.autoencoder:AutoencoderL2",
}

FAMILIES = {
    "mlp": Family("tf_bigan.networks.mlp", width=1024, latent_dim=50),
    "conv": Family("tf_bigan.networks.conv", width=64, latent_dim=200),
    "ali_cifar10": Family("tf_bigan.networks.ali", width=0, latent_dim=64),
    "ali_svhn": Family("tf_bigan.networks.ali", width=0, latent_dim=256),
    "ali_celeba": Family("tf_bigan.networks.ali", width=0, latent_dim=256),
    "ali_tiny_imagenet": Family("tf_bigan.networks.ali", width=0, latent_dim=256),
    "mixture": Family("tf_bigan.networks.mixture", width=400, latent_dim=2, domain="points"),
}


def find(place: str):
    """The object at "module:name", whose module is imported if need be."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
