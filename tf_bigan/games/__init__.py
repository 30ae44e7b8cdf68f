"""The systems: a game each, made by hand or from an Experiment."""

import inspect

from tf_bigan.errors import InputError
from tf_bigan.games.autoencoder import Autoencoder
from tf_bigan.games.bigan import BiGAN
from tf_bigan.games.game import Game
from tf_bigan.games.gan import GAN
from tf_bigan.games.latent_regressor import JointLatentRegressor, LatentRegressor
from tf_bigan.games.optimizer import Adam, ConstantThenDecay
from tf_bigan.networks import FAMILIES
from tf_bigan.priors import make_prior

__all__ = [
    "GAN",
    "Adam",
    "Autoencoder",
    "BiGAN",
    "ConstantThenDecay",
    "Game",
    "JointLatentRegressor",
    "LatentRegressor",
    "make_game",
]


# System -> (class, its own arguments from the experiment).
_SYSTEMS = {
    "bigan": (BiGAN, lambda experiment: {}),
    "gan": (GAN, lambda experiment: {}),
    "latent_regressor": (LatentRegressor, lambda experiment: {}),
    "joint_latent_regressor": (
        JointLatentRegressor,
        lambda experiment: {"latent_weight": experiment.latent_weight},
    ),
    "autoencoder_l1": (Autoencoder, lambda experiment: {"error": "l1"}),
    "autoencoder_l2": (Autoencoder, lambda experiment: {"error": "l2"}),
}


def make_game(experiment, dtype="float32") -> Game:
    """The game of an experiment, freshly initialised from its seed.

    Args:
      experiment: an `Experiment` whose image_size and channels are set.
      dtype: the networks' dtype policy.

    Raises:
      InputError: the experiment does not know its images' shape.
    """
    if not (experiment.image_size and experiment.channels):
        raise InputError("image_size and channels must be known to build networks; training resolves them")
    experiment = experiment.sized()
    system, arguments = _SYSTEMS[experiment.system]
    makers = FAMILIES[experiment.networks](
        experiment,
        dtype,
        joint=system is BiGAN,
        zero_encoder=issubclass(system, LatentRegressor),
        featured=system is GAN,
    )
    roles = [role for role in makers if role in inspect.signature(system).parameters]
    return system(
        **{role: makers[role]() for role in roles},
        prior=make_prior(experiment.prior, experiment.latent_dim),
        seed=experiment.seed,
        name=experiment.system,
        **arguments(experiment),
    )
