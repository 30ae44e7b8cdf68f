"""Every system with every family of networks."""

import contextlib
import dataclasses

import keras
import numpy as np
import pytest
from helpers import images, tiny

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.games import Game, make_game

IMAGES = {
    "mlp": 8,
    "conv": 16,
    "dcgan": 16,
    "ali_cifar10": 32,
    "ali_svhn": 32,
    "ali_celeba": 64,
    "ali_tiny_imagenet": 64,
}
WIDTHS = {"mlp": 8, "conv": 4, "mixture": 8}
USED = ("mlp", "conv", "dcgan", "ali_cifar10", "mixture")  # ALI's families have one file; one of them stands for it
POINTS = {"dataset": "mixture", "dimensions": 2, "image_size": 0, "channels": 0}


# Settings without which a system cannot be made.
NEEDED = {"vae": {"prior": "normal", "posterior": "gaussian"}, "supervised": {"classes": 10}}


def experiment(system, networks):
    width = WIDTHS.get(networks, 4)
    shape = POINTS if networks == "mixture" else {"image_size": IMAGES[networks], "channels": 3}
    return tiny(system=system, networks=networks, width=width, **shape, **NEEDED.get(system, {}))


def test_every_family_is_tried():
    assert {*IMAGES, "mixture"} == set(registry.FAMILIES)


@pytest.mark.parametrize("name", registry.SYSTEMS)
def test_a_registered_system_is_a_game_of_that_name(name):
    system = registry.find(registry.SYSTEMS[name])
    assert issubclass(system, Game) and system.__name__.lower() == name.replace("_", "")
    assert {*system.frozen}.union(*system.players.values()) == set(system.roles)
    assert set(system.inherits) <= set(system.frozen)
    assert system.inherits == registry.INHERITED.get(name, ())


def assert_refused(settings, unused):
    with pytest.raises(InputError, match="has no effect$") if unused else contextlib.nullcontext():
        settings.check_effects()


@pytest.mark.parametrize("networks", USED)
def test_a_setting_changes_a_family_or_is_refused(networks):
    plain, unused = experiment("bigan", networks), registry.FAMILIES[networks].unused
    as_it_is = configs(plain)
    for name, value in {"init_stddev": 0.03, "dropout": False, "generator_skip": False}.items():
        changed = dataclasses.replace(plain, **{name: value})
        assert (configs(changed) == as_it_is) == (name in unused), name
        assert_refused(changed, name in unused)


def configs(settings):
    return [network.get_config() for network in make_game(settings).networks.values()]


@pytest.mark.parametrize("system", registry.SYSTEMS)
def test_a_setting_changes_a_system_or_is_refused(system):
    kind, unused = registry.find(registry.SYSTEMS[system]), registry.UNUSED.get(system, ())
    uses = {
        "dropout": "discriminator" in kind.roles,
        "objective": kind.objective is not None,
        "posterior": "encoder" in kind.roles,
        "latent_weight": kind.settings(tiny(latent_weight=0.5)) != kind.settings(tiny()),
        "likelihood_stddev": kind.settings(tiny(likelihood_stddev=0.5)) != kind.settings(tiny()),
        "train_embedding": kind.settings(tiny(train_embedding=False)) != kind.settings(tiny()),
    }
    values = {"dropout": False, "objective": "relativistic", "posterior": "gaussian", "latent_weight": 0.5}
    values |= {"likelihood_stddev": 0.5, "train_embedding": False}
    for name, used in uses.items():
        assert used == (name not in unused), name
        assert_refused(tiny(system=system, networks="ali_svhn", **{name: values[name]}), not used)


# ALI's own systems are tried with all of its families, other systems with one of them.
PAIRS = [(s, n) for s in registry.SYSTEMS for n in registry.FAMILIES if n in USED or s in ("ali", "conditional_ali")]


@pytest.mark.parametrize("system, networks", PAIRS)
def test_every_system_trains_with_every_family(system, networks):
    settings = experiment(system, networks)
    conditions = {}
    if registry.find(registry.SYSTEMS[system]).conditional:
        settings, conditions = dataclasses.replace(settings, attributes=3), {"attributes": np.eye(16, 3)}
        if not networks.startswith("ali_"):
            with pytest.raises(InputError, match=f"^networks={networks} have no embedding, which {system} needs$"):
                make_game(settings)
            return
    game = make_game(settings)
    labels = {"label": np.arange(16) % 10} if game.class_count else {}
    game.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    owned = {player: game.player_variables(player) for player in game.players}
    assert {id(v) for own in owned.values() for v in own} == {id(v) for v in game.trainable_variables}
    before = {player: [np.array(variable) for variable in own] for player, own in owned.items()}
    # Two steps, because an output layer of D that starts at 0 passes no gradient in the first step.
    x = images(16, shape=settings.example_shape)
    history = game.fit({"x": x, **conditions, **labels}, batch_size=8, statistics_steps=0, verbose=0).history
    assert history.keys() == {f"{player}_loss" for player in game.players}
    assert game.steps_done == 2 and not game.bad_steps
    for player, own in owned.items():
        assert all(np.isfinite(variable).all() for variable in own), player
        assert any(not np.array_equal(a, b) for a, b in zip(before[player], own, strict=True)), player
    if networks not in USED:
        return
    game.estimate_statistics([{"x": x, **conditions, **labels}], 1)
    assert np.isfinite(game.features(x)).all()
    if game.encoder is not None:
        assert game.encode(x, **conditions).shape == (16, settings.latent_dim)
    if game.generator is not None:
        assert game.generate(16, **conditions).shape == (16, *settings.example_shape)
    if game.encoder is not None and game.generator is not None:
        assert game.reconstruct(x, **conditions).shape == x.shape
