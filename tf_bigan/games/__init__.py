"""The systems. Each is a subclass of `Game`; a game is made by hand or from an `Experiment`."""

from tf_bigan import registry
from tf_bigan.domains import domain_of
from tf_bigan.errors import InputError
from tf_bigan.games.ali import ALI
from tf_bigan.games.autoencoder import AutoencoderL1, AutoencoderL2
from tf_bigan.games.bigan import BiGAN
from tf_bigan.games.conditional_ali import ConditionalALI
from tf_bigan.games.frozen_decoder import LearnedInverse, PostHoc
from tf_bigan.games.game import Game
from tf_bigan.games.gan import GAN
from tf_bigan.games.latent_regressor import JointLatentRegressor, LatentRegressor
from tf_bigan.games.optimizer import Adam, ConstantThenDecay
from tf_bigan.games.sizes import check_size, shapes_of
from tf_bigan.games.supervised import Supervised
from tf_bigan.games.vae import VAE
from tf_bigan.priors import make_posterior, make_prior

__all__ = [
    "ALI",
    "GAN",
    "VAE",
    "Adam",
    "AutoencoderL1",
    "AutoencoderL2",
    "BiGAN",
    "ConditionalALI",
    "ConstantThenDecay",
    "Game",
    "JointLatentRegressor",
    "LatentRegressor",
    "LearnedInverse",
    "PostHoc",
    "Supervised",
    "check_size",
    "make_game",
    "weight_shapes",
]


def make_game(experiment, dtype="float32") -> Game:
    """The game of an experiment, freshly initialised from its seed.

    Args:
      experiment: an `Experiment` whose examples' shape is known.
      dtype: the networks' dtype policy.

    Raises:
      InputError: the experiment does not know its examples' shape, or its settings do not go together.
    """
    experiment = experiment.sized()
    system, networks, terms = _parts(experiment, dtype)
    prior = make_prior(experiment.prior, experiment.latent_dim)
    game = system(
        networks,
        prior,
        terms=terms,
        posterior=make_posterior(experiment.posterior_of(prior)),
        objective=experiment.objective,
        seed=experiment.seed,
        name=experiment.system,
        **system.settings(experiment),
    )
    game.preparation = experiment.preparation
    return game


def weight_shapes(experiment) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the weights and statistics of all networks of a game, {role: [shape]}, without making the game.

    Raises:
      InputError: as for `make_game`.
    """

    def make():
        _, networks, terms = _parts(experiment.sized(), "float32")
        return {**networks, **{role: network for term in terms for role, network in term.networks.items()}}

    return shapes_of(make)


def _parts(experiment, dtype):
    """(the class of an experiment's game, its networks by role, its terms)."""
    system = registry.find(registry.SYSTEMS[experiment.system])
    family, domain = registry.FAMILIES[experiment.networks], domain_of(experiment.example_shape)
    if domain.name != family.domain:
        raise InputError(
            f"networks={experiment.networks} take {family.domain}, but the data has {domain.name} of shape "
            f"{list(domain.shape)}"
        )
    make = registry.find(family.module + ":make")
    makers = make(experiment, dtype, system)
    if missing := [role for role in system.roles if role not in makers]:
        raise InputError(f"networks={experiment.networks} have no {missing[0]}, which {experiment.system} needs")
    if system.conditional and not experiment.attributes:
        raise InputError("attributes must be known to build conditional networks; training counts those of the data")
    networks = {role: makers[role]() for role in system.roles}
    terms = []
    for place, weight in experiment.terms():
        term = registry.find(place)
        term.check_roles(networks, experiment.system)
        terms.append(term.of(experiment, weight, dtype, networks))
    return system, networks, terms
