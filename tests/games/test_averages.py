"""Running averages of weights: their values, when the networks have them, and that training does not notice them."""

import keras
import numpy as np
import pytest
from helpers import awake_game, batches, fit, images, norms_of, scalar, tiny, tiny_game
from test_distribution import Product, plain_bigan
from test_saved_game import GAMES, data_of

from tf_bigan.errors import InputError
from tf_bigan.games import BiGAN
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.priors import Uniform

DECAY = {"average_decay": 0.9}


class Averaged(Product):
    """A game whose only weight, w = 1 at first, loses the mean of x in every step of SGD(1)."""

    def __init__(self, decay, dtype="float32"):
        inputs = keras.Input((1,))
        kernel = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="w", dtype=dtype)
        super(Product, self).__init__(
            {"generator": keras.Model(inputs, kernel(inputs))}, Product().prior, average_decay=decay
        )
        self.of = "x"


def steps_of(game, *means, statistics_steps=0):
    """Trains for a step for each mean of the examples."""
    x = np.repeat(np.float32(means), 4).reshape(-1, 1)
    game.fit(batches(x, 4), statistics_steps=statistics_steps, verbose=0)


def state(game):
    """Copies of every variable of a game's networks."""
    return {role: [np.array(variable) for variable in network.variables] for role, network in game.networks.items()}


def averages(game):
    """The averages of a game's weights, {role: [array]}, with the statistics that its networks have."""
    with game.averaged():
        return state(game)


# -- values


def test_three_steps_by_hand():
    game = Averaged(0.15)
    game.compile(keras.optimizers.SGD(1.0))
    steps_of(game, 1.0, 2.0, 4.0)  # w: 1, then 0, -2, -6
    assert game.weight() == -6.0 and not game.averages_in_use
    with game.averaged():
        # 0; then 0.1 * 0 + 0.9 * -2 = -1.8; then, as 2 / 11 is more than 0.15, 0.15 * -1.8 + 0.85 * -6 = -5.37
        assert game.weight() == pytest.approx(-5.37, rel=1e-6)
    assert game.weight() == -6.0


def test_initial_weights_have_no_part_in_the_first_average():
    game = Averaged(0.999)
    game.compile(keras.optimizers.SGD(1.0))
    with game.averaged():
        assert game.weight() == 1.0 and not game.averages_in_use  # there are none before the first step
    game.generator.layers[-1].kernel.assign([[1e6]])
    steps_of(game, 0.25)
    with game.averaged():
        assert game.averages_in_use and game.weight() == 1e6 - 0.25


def test_the_decay_is_reached_as_steps_go_on():
    game = Averaged(0.5)
    game.compile(keras.optimizers.SGD(1.0))
    steps_of(game, *[1.0] * 12)
    weight, average = 1.0, 0.0
    for n in range(12):
        weight, d = weight - 1.0, min(0.5, n / (9 + n))
        average = d * average + (1 - d) * weight
    assert d == 0.5
    with game.averaged():
        assert game.weight() == pytest.approx(average, rel=1e-5)


def test_two_replicas_have_the_averages_of_one_device(mirrored):
    one = plain_bigan(average_decay=0.5)
    one.compile(keras.optimizers.SGD(0.5))
    with mirrored.scope():
        two = plain_bigan(average_decay=0.5)
        two.compile(keras.optimizers.SGD(0.5))
    for game in (one, two):
        fit(game, images(48), 16)
    raw = state(two)
    for name, kept in two.average_variables().items():
        copies = [np.array(copy) for copy in mirrored.experimental_local_results(kept.value)]
        assert len(copies) == 2 and np.array_equal(*copies), name
    for found, expected in ((averages(two), averages(one)), (raw, state(one))):
        for role, arrays in expected.items():
            for a, b in zip(found[role], arrays, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(raw["encoder"][0] - averages(two)["encoder"][0]).max() > 1e-5
    with two.averaged():
        weight = two.encoder.trainable_variables[0].value
        assert np.array_equal(*map(np.array, mirrored.experimental_local_results(weight)))
    np.testing.assert_equal(state(two), raw)


def test_steps_that_overflow_change_no_average_by_more_than_the_weights():
    game = Averaged(0.9, dtype="mixed_float16")
    game.compile(keras.optimizers.SGD(1.0))
    steps_of(game, 0.5, float("inf"), 0.5)
    assert game.weight() == 0.0
    with game.averaged():  # of 0.5, 0.5 and 0: 0.1 * 0.5 + 0.9 * 0.5 = 0.5, and 2 / 11 of that
        assert game.weight() == pytest.approx(0.5 * 2 / 11, rel=1e-6)


@pytest.mark.parametrize(
    "settings", [{"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 3}], ids=str
)
def test_every_way_to_run_a_step(settings):
    game = Averaged(0.15)
    game.compile(keras.optimizers.SGD(1.0), **settings)
    steps_of(game, 1.0, 2.0, 4.0)
    with game.averaged():
        assert game.weight() == pytest.approx(-5.37, rel=1e-6)


# -- training does not notice


@pytest.mark.parametrize("name", ["bigan", "supervised", "conditional_ali", "vae", "learned_inverse", "with terms"])
def test_systems_train_as_without_averages(name):
    games = [tiny_game(**GAMES[name], **more) for more in ({}, DECAY)]
    for game in games:
        game.compile(run_eagerly=True)
        game.fit(data_of(game), statistics_steps=0, verbose=0)
    plain, game = games
    raw = state(game)
    np.testing.assert_equal(raw, state(plain))
    assert not plain.average_variables() and plain.average_decay == 0.0
    plain.use_averages()
    assert not plain.averages_in_use
    with game.averaged():
        for role, network in game.networks.items():
            trained = {id(variable) for variable in network.trainable_variables}
            for variable, before in zip(network.variables, raw[role], strict=True):
                moves = id(variable) in trained and role not in game.frozen
                assert moves or np.array_equal(variable, before), f"{role} {variable.path}"
        moved = {r for r, n in game.networks.items() if not all(map(np.array_equal, n.variables, raw[r]))}
        assert moved == game.networks.keys() - set(game.frozen)
    np.testing.assert_equal(state(game), raw)


def test_frozen_networks_have_no_averages():
    game = tiny_game("learned_inverse", **DECAY)
    kept = {name.split("_")[1] for name in game.average_variables() if name.startswith("average_")}
    assert kept == {"encoder"}
    fixed = tiny_game(**GAMES["conditional_ali"], train_embedding=False, **DECAY)
    assert fixed.frozen == ("embedding",)
    assert not [name for name in fixed.average_variables() if "embedding" in name]


# -- exchanging weights


def test_the_weights_come_back_after_an_exception():
    game = tiny_game(**DECAY)
    game.compile(run_eagerly=True)
    fit(game, images(32), 8)
    raw = state(game)
    with pytest.raises(KeyboardInterrupt), game.averaged():
        assert not np.array_equal(game.encoder.variables[0], raw["encoder"][0])
        with game.averaged():  # within another
            pass
        assert game.averages_in_use
        game.estimate_statistics(batches(images(32), 8), 2)
        assert scalar(norms_of(game.generator)["h1_norm"].batches) == 2
        raise KeyboardInterrupt
    assert not game.averages_in_use
    np.testing.assert_equal(state(game), raw)


def test_fit_leaves_the_averages_and_goes_on_from_the_weights():
    x, features = images(32), []
    games = [tiny_game(**more) for more in ({}, DECAY, DECAY)]
    for game, steps in zip(games, (2, 2, 0), strict=True):
        game.compile(run_eagerly=True)
        for _ in range(2):
            game.fit(batches(x, 8), statistics_steps=steps, verbose=0)
            features.append(game.features(x))
    plain, game, without = games
    assert game.averages_in_use and not without.averages_in_use
    in_use = state(game)
    np.testing.assert_equal(averages(without)["encoder"][0], in_use["encoder"][0])
    assert np.isfinite(features[3]).all() and np.abs(features[3] - features[1]).max() > 1e-3
    # The statistics are those of the averages.
    found = {name: np.array(norm.mean) for name, norm in norms_of(game.encoder).items()}
    game.estimate_statistics(batches(x, 8), 2)
    for name, norm in norms_of(game.encoder).items():
        np.testing.assert_allclose(found[name], norm.mean, atol=1e-6)
    game.use_averages(False)
    for role in game.networks:
        for a, b in zip(*(each.networks[role].trainable_variables for each in (plain, game)), strict=True):
            np.testing.assert_array_equal(a, b)
    game.use_averages()
    game.train_on_batch(x[:8])
    assert not game.averages_in_use and game.steps_done == 9


def test_running_averages_of_statistics_follow_the_averages_of_weights():
    game = tiny_game(**GAMES["ali"], average_decay=0.99)
    game.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    data = data_of(game).repeat(2)
    game.fit(data, statistics_steps=0, verbose=0)
    norm, raw = next(iter(norms_of(game.encoder).values())), state(game)
    assert not game.estimates_statistics and game.estimate_statistics(data, 1) == 0
    with game.averaged():
        before = np.array(norm.mean)
        assert game.estimates_statistics and game.estimate_statistics(data.repeat(), 60) == 60
        found = np.array(norm.mean)
        game.estimate_statistics(data.repeat(), 60)  # they have arrived: 0.95^60 = 0.05
        assert np.abs(norm.mean - found).max() < 0.2 * np.abs(before - found).max()
    np.testing.assert_equal(state(game), raw)


# -- files


def test_a_saved_game_goes_on_alike(tmp_path):
    game = tiny_game(**GAMES["with terms"], **DECAY)
    game.compile(run_eagerly=True)
    game.fit(data_of(game), statistics_steps=2, verbose=0)
    assert game.averages_in_use
    game.save(tmp_path / "game.keras")
    loaded = keras.models.load_model(tmp_path / "game.keras")
    assert loaded.average_decay == 0.9 and loaded.averages_in_use
    x = images(3)
    np.testing.assert_array_equal(loaded.features(x), game.features(x))
    for _ in range(2):
        np.testing.assert_equal(*(state(each) for each in (game, loaded)))
        np.testing.assert_equal(*({n: np.array(v) for n, v in g.average_variables().items()} for g in (game, loaded)))
        for each in (game, loaded):
            each.fit(data_of(each), statistics_steps=0, verbose=0)
    assert not loaded.averages_in_use


def test_averages_begin_anew_with_a_file_that_has_none(tmp_path):
    plain, game = tiny_game(), tiny_game(seed=7, **DECAY)
    for each in (plain, game):
        each.compile(run_eagerly=True)
        fit(each, images(16), 8)
    plain.save_weights(tmp_path / "plain.weights.h5")
    game.use_averages()
    game.load_weights(tmp_path / "plain.weights.h5")
    with game.averaged():
        np.testing.assert_equal(state(game), state(plain))
    assert not any(np.any(variable) for variable in game.average_variables().values())
    with_averages = tiny_game(**DECAY)
    with_averages.compile(run_eagerly=True)
    fit(with_averages, images(16), 8)
    with_averages.use_averages()
    with_averages.save_weights(tmp_path / "averages.weights.h5")
    plain.load_weights(tmp_path / "averages.weights.h5")  # a game without averages has those in use as its weights
    np.testing.assert_equal(state(plain), state(with_averages))


def test_files_and_backups_within_fit_keep_the_averages(tmp_path):
    class Stops(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def run(*more):
        game = tiny_game(**DECAY)
        game.compile(run_eagerly=True)
        callbacks = [
            keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
            keras.callbacks.ModelCheckpoint(tmp_path / "epoch{epoch}.keras"),
            *more,
        ]
        game.fit(data_of(game), epochs=2, callbacks=callbacks, statistics_steps=2, verbose=0)
        return game

    with pytest.raises(KeyboardInterrupt):
        run(Stops())
    resumed = run()
    early = keras.models.load_model(tmp_path / "epoch1.keras")
    assert not early.averages_in_use
    early.fit(data_of(early), epochs=2, initial_epoch=1, statistics_steps=2, verbose=0)
    whole = run()
    for each in (resumed, early):
        assert each.averages_in_use and each.steps_done == 4
        np.testing.assert_equal(state(each), state(whole))
        np.testing.assert_equal(*({n: np.array(v) for n, v in g.average_variables().items()} for g in (each, whole)))


# -- what cannot be


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan"), "0.9", None, [0.9]])
def test_a_decay_out_of_range(decay):
    with pytest.raises(InputError, match="^average_decay must be a number of at least 0 and below 1, found "):
        Averaged(decay)


def test_a_setting_out_of_range():
    for decay in (1.0, -0.1):
        with pytest.raises(InputError, match="^average_decay must be at "):
            tiny(average_decay=decay)


def networks(dtype="float32"):
    makers = {"encoder": MLPEncoder, "generator": MLPGenerator, "discriminator": MLPDiscriminator}
    return {role: make((8, 8, 1), 4, 8, dtype=dtype) for role, make in makers.items()}


def test_weights_in_half_precision_have_no_averages():
    with pytest.raises(
        InputError, match="^averages need float32 weights, and those of the encoder are bfloat16; use a"
    ):
        BiGAN(networks("bfloat16"), Uniform(4), average_decay=0.9)


def test_layers_that_become_trainable_later_are_named():
    parts = networks()
    parts["encoder"].get_layer("h1_linear").trainable = False
    game = BiGAN(parts, Uniform(4), average_decay=0.9, name="mine")
    game.compile()
    game.encoder.get_layer("h1_linear").trainable = True
    with pytest.raises(
        InputError, match="h1_linear/kernel of mine became trainable after the game was made, so it has"
    ):
        game.compile()


def test_awake_weights_are_averaged_from_their_own_values():
    """Weights may be set by hand, after the game is made."""
    game = awake_game(**DECAY)
    game.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    before = state(game)
    fit(game, images(32), 8)
    with game.averaged():
        for role, network in game.networks.items():
            for variable, value in zip(network.variables, before[role], strict=True):
                np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)
