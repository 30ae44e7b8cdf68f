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
from tf_bigan.games.pair_model import PairModel
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
    "make_part",
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
    experiment, system, makers = _makers(experiment, dtype)
    networks, terms = _parts(experiment, system, makers, dtype)
    prior = make_prior(experiment.prior, experiment.latent_dim)
    game = system(
        networks,
        prior,
        terms=terms,
        posterior=make_posterior(experiment.posterior_of(prior)),
        objective=experiment.objective,
        seed=experiment.seed,
        name=experiment.system,
        average_decay=experiment.average_decay,
        **system.settings(experiment),
    )
    game.preparation = experiment.preparation
    return game


def make_part(experiment, roles, dtype="float32") -> PairModel:
    """Some of the networks that `make_game` makes, for use without training: the others take neither time nor memory.

    Args:
      experiment: as for `make_game`.
      roles: the networks' roles, which the system must have. Networks that take embeddings need "embedding", too.
      dtype: the networks' dtype policy.

    Raises:
      InputError: as in `make_game`.
    """
    experiment, system, makers = _makers(experiment, dtype)
    prior = make_prior(experiment.prior, experiment.latent_dim)
    kind = type("Part", (PairModel,), {"two_sizes": system.two_sizes, "sees_codes": system.sees_codes})
    networks = {role: makers[role]() for role in roles}
    posterior = make_posterior(experiment.posterior_of(prior))
    part = kind(networks, prior, posterior, experiment.seed, experiment.system)
    part.preparation = experiment.preparation
    return part


def weight_shapes(experiment) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the weights and statistics of all networks of a game, {role: [shape]}, without making the game.

    Raises:
      InputError: as for `make_game`.
    """

    def make():
        networks, terms = _parts(*_makers(experiment, "float32"), "float32")
        return {**networks, **{role: network for term in terms for role, network in term.networks.items()}}

    return shapes_of(make)


def _parts(experiment, system, makers, dtype):
    """(the networks of an experiment's game by role, its terms)."""
    networks = {role: makers[role]() for role in system.roles}
    terms = []
    for place, weight in experiment.terms():
        term = registry.find(place)
        term.check_roles(networks, experiment.system)
        terms.append(term.of(experiment, weight, dtype, networks))
    return networks, terms


def _makers(experiment, dtype):
    """(the experiment with its sizes, its system's class, {role: function that makes the network})."""
    experiment = experiment.sized()
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
    return experiment, system, makers
