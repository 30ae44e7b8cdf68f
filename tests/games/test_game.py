import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import SYSTEMS, awake_game, batches, fit, images, norms_of, scalar, tiny, tiny_game, values

from tf_bigan import figures
from tf_bigan.draws import GENERATION, STATISTICS, TRAINING
from tf_bigan.errors import InputError
from tf_bigan.evaluation.measures.reconstruction import reconstruction
from tf_bigan.games import (
    GAN,
    Adam,
    AutoencoderL1,
    AutoencoderL2,
    BiGAN,
    Game,
    JointLatentRegressor,
    LatentRegressor,
    make_game,
    objectives,
)
from tf_bigan.games.terms import ReconstructionX
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.priors import Normal, Uniform

TINY = {"image_shape": (8, 8, 1), "latent_dim": 4, "width": 16}
CLASSES = {
    "bigan": BiGAN,
    "gan": GAN,
    "latent_regressor": LatentRegressor,
    "joint_latent_regressor": JointLatentRegressor,
    "autoencoder_l1": AutoencoderL1,
    "autoencoder_l2": AutoencoderL2,
}
ADVERSARIAL = SYSTEMS[:4]
WITH_ENCODER = tuple(system for system in SYSTEMS if system != "gan")


def bigan(seed=0, prior=None):
    makers = {"encoder": MLPEncoder, "generator": MLPGenerator, "discriminator": MLPDiscriminator}
    networks = {role: maker(seed=seed, **TINY) for role, maker in makers.items()}
    return BiGAN(networks, prior or Uniform(4), seed=seed)


def trainables(game):
    """{role/path: copy of the value} of all trainable variables."""
    return {
        f"{role}/{variable.path}": np.array(variable)
        for role, network in game.networks.items()
        for variable in network.trainable_variables
    }


def moved(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def paths_of(game, player):
    return {
        f"{role}/{variable.path}"
        for role in game.players[player]
        for variable in game.networks[role].trainable_variables
    }


# -- the players


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_experiment_names_its_system(system):
    game = tiny_game(system)
    assert type(game) is CLASSES[system] and game.name == system
    assert isinstance(game.prior, Uniform) and game.prior.latent_dim == 4
    assert isinstance(tiny_game(system, prior="normal").prior, Normal)


@pytest.mark.parametrize(
    "system, players",
    [
        ("bigan", {"discriminator": {"discriminator"}, "encoder_generator": {"encoder", "generator"}}),
        ("gan", {"discriminator": {"discriminator"}, "generator": {"generator"}}),
        (
            "latent_regressor",
            {"discriminator": {"discriminator"}, "generator": {"generator"}, "encoder": {"encoder"}},
        ),
        ("joint_latent_regressor", {"discriminator": {"discriminator"}, "encoder_generator": {"encoder", "generator"}}),
        ("autoencoder_l1", {"encoder_generator": {"encoder", "generator"}}),
        ("autoencoder_l2", {"encoder_generator": {"encoder", "generator"}}),
    ],
)
def test_players_own_the_networks_of_the_paper(system, players):
    game = tiny_game(system)
    assert {player: set(roles) for player, roles in game.players.items()} == players
    assert set(game.networks) == set().union(*players.values())


@pytest.mark.parametrize("system", SYSTEMS)
def test_players_variables_are_disjoint_and_together_cover_everything_trainable(system):
    game = tiny_game(system)
    owned = [id(v) for player in game.players for v in game.player_variables(player)]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(v) for v in game.trainable_variables}
    assert len(owned) == sum(len(network.trainable_variables) for network in game.networks.values())


def test_only_the_bigans_discriminator_sees_codes():
    assert len(tiny_game("bigan").discriminator.inputs) == 2
    for system in ("gan", "latent_regressor", "joint_latent_regressor"):
        assert len(tiny_game(system).discriminator.inputs) == 1


def test_encoders_of_latent_regressors_start_at_zero():
    for system in WITH_ENCODER:
        zero = not np.any(tiny_game(system).encoder.get_layer("outputs").kernel)
        assert zero == system.endswith("latent_regressor")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_trainable_has_a_gradient_after_a_few_steps(system):
    game = tiny_game(system)
    game.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    x = images(48)
    fit(game, x, 16)
    with tf.GradientTape(persistent=True) as tape:
        losses = game.play(tf.constant(x[:16]), game.noise(16, 99))
    for player, loss in losses.items():
        variables = game.player_variables(player)
        for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True):
            assert gradient is not None and np.any(gradient), f"{player}: {variable.path}"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_players_loss_moves_its_own_variables_only(system, monkeypatch):
    for silent in CLASSES[system].players:
        game = awake_game(system)

        def player_losses(tensors, game=game, silent=silent):
            losses = type(game).player_losses(game, tensors)
            return {**losses, silent: 0.0 * losses[silent]}

        monkeypatch.setattr(game, "player_losses", player_losses)
        game.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        before = trainables(game)
        fit(game, images(16), 16)
        everything = set().union(*(paths_of(game, player) for player in game.players))
        assert moved(before, trainables(game)) == everything - paths_of(game, silent)


# -- one step, by hand


def expected_losses(system, game, x, z):
    """Each player's loss, written out from the papers' formulas."""

    def bce(logits, label):
        return tf.reduce_mean(tf.keras.losses.binary_crossentropy(tf.fill(logits.shape, label), logits, True))

    def discriminate(*inputs):
        return game.discriminator(inputs[0] if len(inputs) == 1 else list(inputs), training=True)

    if system.startswith("autoencoder"):
        codes = tf.tanh(game.encoder(x, training=True) / 2.0)
        error = x - game.generator(codes, training=True)
        error = tf.abs(error) if system.endswith("l1") else error**2
        return {"encoder_generator": tf.reduce_sum(error) / x.shape[0]}
    made = game.generator(z, training=True)
    if system == "bigan":
        real = discriminate(x, tf.tanh(game.encoder(x, training=True) / 2.0))
        generated = discriminate(made, z)
        return {
            "discriminator": 0.5 * bce(real, 1.0) + 0.5 * bce(generated, 0.0),
            "encoder_generator": 0.5 * bce(real, 0.0) + 0.5 * bce(generated, 1.0),
        }
    real, generated = discriminate(x), discriminate(made)
    losses = {"discriminator": 0.5 * bce(real, 1.0) + 0.5 * bce(generated, 0.0), "generator": bce(generated, 1.0)}
    if system == "gan":
        return losses
    probabilities, targets = tf.sigmoid(game.encoder(made, training=True)), (z + 1.0) / 2.0
    latent = -tf.reduce_mean(targets * tf.math.log(probabilities) + (1.0 - targets) * tf.math.log(1.0 - probabilities))
    if system == "latent_regressor":
        return {**losses, "encoder": latent}
    return {"discriminator": losses["discriminator"], "encoder_generator": losses["generator"] + 0.25 * latent}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_step_updates_all_players_at_the_old_values(system):
    game, twin = awake_game(system), awake_game(system)
    game.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    x = images(16)
    history = fit(game, x, 16).history

    # All gradients are taken at the old values, before any variable is updated.
    z = twin.noise(16, 0)
    expected = trainables(twin)
    with tf.GradientTape(persistent=True) as tape:
        losses = expected_losses(system, twin, tf.constant(x), z)
    for player, loss in losses.items():
        for role in twin.players[player]:
            for variable in twin.networks[role].trainable_variables:
                expected[f"{role}/{variable.path}"] -= 0.5 * tape.gradient(loss, variable).numpy()
    found = trainables(game)
    assert moved(trainables(twin), found) == set(found)
    for path in found:
        np.testing.assert_allclose(found[path], expected[path], atol=2e-5, err_msg=path)
    assert {name: value[0] for name, value in history.items()} == {
        f"{player}_loss": pytest.approx(float(loss), abs=1e-5) for player, loss in losses.items()
    }


def test_the_regressor_has_no_influence_on_the_generator_of_lr_but_has_on_that_of_jlr():
    x, z = tf.constant(images(16)), tf.constant(np.random.default_rng(0).uniform(-1, 1, (16, 4)), tf.float32)
    alone, regressor, joint = (awake_game(s) for s in ("gan", "latent_regressor", "joint_latent_regressor"))
    gradients = []
    for game, player in ((alone, "generator"), (regressor, "generator"), (joint, "encoder_generator")):
        with tf.GradientTape() as tape:
            loss = game.play(x, z)[player]
        gradients.append(tape.gradient(loss, game.generator.trainable_variables[0]).numpy())
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-6)
    assert not np.allclose(gradients[0], gradients[2], atol=1e-4)


def test_latent_weight_scales_the_regression_alone():
    x, z = tf.constant(images(16)), tf.constant(np.random.default_rng(0).uniform(-1, 1, (16, 4)), tf.float32)
    losses = [
        float(awake_game("joint_latent_regressor", latent_weight=w).play(x, z)["encoder_generator"])
        for w in (0.0, 1.0, 3.0)
    ]
    np.testing.assert_allclose(losses[2] - losses[0], 3 * (losses[1] - losses[0]), rtol=1e-4)
    np.testing.assert_allclose(losses[0], awake_game("gan").play(x, z)["generator"], rtol=1e-5)


def recorded_logits(game, monkeypatch, x, z):
    """(real, generated): D's logits in one forward pass of the game."""
    seen = []

    def discriminate(real, generated):
        seen.append((np.array(real), np.array(generated)))
        return tf.reduce_mean(real - generated)

    with monkeypatch.context() as patch:
        patch.setattr(game, "objective", dataclasses.replace(game.objective, discriminate=discriminate))
        game.play(tf.constant(x), tf.constant(z))
    return seen[0]


@pytest.mark.parametrize("system", ADVERSARIAL)
def test_discriminator_norms_real_and_generated_batches_separately(system, monkeypatch):
    game = awake_game(system)
    x, other_x = images(16, 1), images(16, 2)
    z, other_z = (np.random.default_rng(s).uniform(-1, 1, (16, 4)).astype(np.float32) for s in (1, 2))
    real, generated = recorded_logits(game, monkeypatch, x, z)
    real_2, generated_2 = recorded_logits(game, monkeypatch, x, other_z)
    real_3, generated_3 = recorded_logits(game, monkeypatch, other_x, z)
    np.testing.assert_array_equal(real, real_2)
    np.testing.assert_array_equal(generated, generated_3)
    assert not np.allclose(generated, generated_2) and not np.allclose(real, real_3)
    # The batch norm uses the batch's statistics: an example's logit depends on the rest of the batch.
    halved, _ = recorded_logits(game, monkeypatch, x[:8], z[:8])
    assert not np.allclose(halved, real[:8], atol=1e-3)


# -- training


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_in_every_precision(system, dtype):
    game = tiny_game(system, dtype)
    game.compile()
    before = trainables(game)
    # The loss scale of float16 starts too large and needs some steps to come down.
    history = fit(game, images(192 if dtype == "mixed_float16" else 32), 16).history
    assert set(history) == {f"{player}_loss" for player in game.players}
    assert np.all(np.isfinite(list(history.values())))
    after = trainables(game)
    assert moved(before, after) == set(before)
    assert all(np.all(np.isfinite(value)) for value in after.values())
    assert {v.dtype for v in game.trainable_variables} == {"float32"}
    if not system.startswith("autoencoder"):  # D's output starts at 0, and one step hardly moves it
        np.testing.assert_allclose(history["discriminator_loss"], np.log(2.0), atol=0.01)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_with_convolutional_networks(system):
    game = tiny_game(system, "mixed_bfloat16", networks="conv", width=4, image_size=16, channels=3)
    game.compile()
    before = trainables(game)
    history = fit(game, images(64, shape=(16, 16, 3)), 16, statistics_steps=2).history
    assert set(history) == {f"{player}_loss" for player in game.players}
    assert np.all(np.isfinite(list(history.values())))
    assert moved(before, trainables(game)) == set(before)
    assert all(scalar(norm.batches) == 2 for norm in norms_of(game.feature_network).values())
    assert np.isfinite(game.features(images(3, shape=(16, 16, 3)), "conv3")).all()


def test_float16_trains_under_a_loss_scale_and_the_others_do_not():
    for dtype, scaled in (("mixed_float16", True), ("mixed_bfloat16", False), ("float32", False)):
        game = tiny_game(dtype=dtype)
        game.compile()
        assert isinstance(game.optimizer, keras.optimizers.LossScaleOptimizer) == scaled, dtype


def test_the_loss_scale_does_not_change_the_step():
    plain, scaled = awake_game(), awake_game()
    plain.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    scaled.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=1024.0), run_eagerly=True
    )
    for game in (plain, scaled):
        fit(game, images(32), 16)
    for a, b in zip(plain.trainable_variables, scaled.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_papers_adam_is_the_default():
    game = tiny_game()
    game.compile()
    assert type(game.optimizer) is Adam and game.optimizer.l2 == 2.5e-5


def labelled(x):
    return tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)))).batch(16)


class InBatches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 16

    def __getitem__(self, i):
        return {"x": self.x[16 * i : 16 * i + 16]}


@pytest.mark.parametrize(
    "feed, steps",
    [
        (lambda x: batches(x, 16), 4),
        (labelled, 4),
        (lambda x: x, 2),
        (lambda x: x.astype(np.float64), 2),
        (lambda x: {"x": x, "label": np.arange(len(x))}, 2),
        (InBatches, 4),
    ],
    ids=["dataset", "dataset with labels", "array", "float64 array", "record of arrays", "PyDataset"],
)
def test_a_game_made_by_hand_is_compiled_and_fitted(feed, steps):
    game = bigan()
    game.compile()
    before = trainables(game)
    history = game.fit(feed(images(64)), epochs=2, verbose=0)
    assert len(history.history["discriminator_loss"]) == 2
    assert game.steps_done == 2 * steps
    assert moved(before, trainables(game)) == set(before)
    for network in game.networks.values():
        for norm in norms_of(network).values():
            assert float(norm.batches) == steps and np.any(norm.mean)
    codes = game.encode(images(5))
    assert codes.shape == (5, 4) and np.all(np.isfinite(codes))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so of every generator that ends
def test_a_generator_trains_on_all_its_batches_and_leaves_the_statistics():
    from_dataset, game = awake_game(), awake_game()
    for each in (from_dataset, game):
        each.compile(keras.optimizers.SGD(0.1))
    x = images(64)
    fit(from_dataset, x, 16)
    game.fit((x[i : i + 16] for i in range(0, 64, 16)), verbose=0)
    assert game.steps_done == 4 and float(norms_of(game.encoder)["h2_norm"].batches) == 0
    for a, b in zip(game.trainable_variables, from_dataset.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_arrays_are_shuffled_by_the_seed_unless_told_not_to():
    def trained(**arguments):
        game = bigan()
        game.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
        game.fit(images(64), batch_size=16, statistics_steps=0, verbose=0, **arguments)
        return np.array(game.discriminator.trainable_variables[-1])

    np.testing.assert_array_equal(trained(), trained())
    in_order = bigan()
    in_order.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    fit(in_order, images(64), 16)
    np.testing.assert_array_equal(trained(shuffle=False), in_order.discriminator.trainable_variables[-1])
    assert not np.array_equal(trained(), trained(shuffle=False))


def test_labels_do_not_matter():
    plain, given = bigan(), bigan()
    for game, feed in ((plain, batches(images(32), 16)), (given, labelled(images(32)))):
        game.compile(run_eagerly=True)
        game.fit(feed, verbose=0)
    for a, b in zip(plain.variables, given.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", ["sgd", keras.optimizers.SGD(0.1), keras.optimizers.Adam(1e-3, clipnorm=1.0)])
def test_keras_optimizers_work(optimizer):
    game = awake_game()
    game.compile(optimizer)
    before = trainables(game)
    fit(game, images(32), 16)
    assert moved(before, trainables(game)) == set(before)


def test_the_same_seed_trains_the_same_and_another_seed_otherwise():
    weights = []
    for seed in (1, 1, 2):
        game = bigan(seed=3)
        game.seed = seed
        game.compile(run_eagerly=True)
        fit(game, images(48), 16)
        weights.append(np.array(game.generator.trainable_variables[0]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("settings", [{"steps_per_execution": 3}, {"jit_compile": True}], ids=str)
def test_how_steps_are_executed_does_not_change_them(settings):
    plain, other = awake_game(), awake_game()
    plain.compile(keras.optimizers.SGD(0.1))
    other.compile(keras.optimizers.SGD(0.1), **settings)
    losses = [fit(game, images(96), 16).history["discriminator_loss"] for game in (plain, other)]
    assert other.steps_done == 6
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)
    for a, b in zip(plain.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_reported_losses_are_means_over_the_epoch():
    game, single = awake_game(), awake_game()
    game.compile(keras.optimizers.SGD(0.1))
    single.compile(keras.optimizers.SGD(0.1))
    x = images(48)
    mean = fit(game, x, 16).history["encoder_generator_loss"][0]
    each = [fit(single, x[i : i + 16], 16).history["encoder_generator_loss"][0] for i in (0, 16, 32)]
    np.testing.assert_allclose(mean, np.mean(each), rtol=1e-5)


@pytest.mark.parametrize(
    "feed, message",
    [
        (np.full((16, 8, 8, 1), 2.0, np.float32), r"must lie in \[0, 1\]"),
        (batches(np.full((16, 8, 8, 1), -1.0, np.float32), 16), r"must lie in \[0, 1\]"),
        (images(16, shape=(8, 8, 3)), r"shape \[N, 8, 8, 1\], got \[16, 8, 8, 3\]"),
        (np.zeros((16, 8, 8, 1), np.uint8), "divide uint8 by 255"),
        (batches(images(16), 16).skip(1), "x is empty"),
        (None, "x must be an array, or x a tf.data.Dataset, a generator or a PyDataset, found NoneType"),
        ((image for image in images(16)), r"shape \[N, 8, 8, 1\], got \[8, 8, 1\]"),
        ((image for image in images(0)), "x is empty"),
    ],
    ids=["too bright", "too dark", "channels", "uint8", "empty", "nothing", "no batches", "empty generator"],
)
def test_fit_refuses_images_that_are_none(feed, message):
    game = bigan()
    game.compile()
    with pytest.raises(InputError, match=message):
        game.fit(feed, batch_size=16, verbose=0) if isinstance(feed, np.ndarray) else game.fit(feed, verbose=0)
    assert game.steps_done == 0


def test_fit_takes_keras_first_arguments_by_position():
    game = bigan()
    game.compile()
    game.fit(images(64), np.zeros(64), 16, 2, verbose=0)
    assert game.steps_done == 8


def test_using_a_game_as_a_layer_between_compile_and_fit_leaves_its_losses():
    game = bigan()
    game.compile()
    game(images(2))
    assert set(fit(game, images(32), 16).history) == {"discriminator_loss", "encoder_generator_loss"}


def test_evaluate_gives_the_players_losses_and_trains_nothing():
    game = awake_game()
    game.compile(jit_compile=False)
    before = trainables(game)
    x = images(32)
    losses = game.evaluate(x, batch_size=16, return_dict=True, verbose=0)
    z = game.noise(16, 0, STATISTICS)
    each = [game.play(tf.constant(part), z) for part in (x[:16], x[16:])]
    for player in game.players:
        assert losses[f"{player}_loss"] == pytest.approx(np.mean([float(e[player]) for e in each]), rel=1e-4)
    assert not moved(before, trainables(game)) and game.steps_done == 0
    history = game.fit(x, batch_size=16, validation_data=batches(x, 16), verbose=0).history
    assert {"discriminator_loss", "val_discriminator_loss"} <= set(history)


def test_a_dataset_of_tfds_examples_trains():
    game = bigan()
    game.compile()
    examples = {"image": images(32), "label": np.arange(32)}
    game.fit(tf.data.Dataset.from_tensor_slices(examples).batch(16), verbose=0)
    assert game.steps_done == 2


def test_a_validation_split_is_refused():
    game = bigan()
    game.compile()
    with pytest.raises(InputError, match="validation_split is not supported; give validation_data"):
        game.fit(images(32), validation_split=0.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (images(16, shape=(9, 9, 1)), r"validation_data: images must have shape \[N, 8, 8, 1\]"),
        ((images(16) * 255, np.arange(16)), r"validation_data: image values must lie in \[0, 1\]"),
        ((images(16), np.arange(15)), "validation_data: x, labels and attributes must have the same length"),
        (batches(images(16) * 255, 16), r"validation_data: image values must lie in \[0, 1\]"),
    ],
)
def test_validation_data_that_cannot_be_used_is_refused_before_training(data, message):
    game = bigan()
    game.compile()
    with pytest.raises(InputError, match=message):
        game.fit(images(32), batch_size=16, validation_data=data, verbose=0)
    assert game.steps_done == 0


def test_networks_of_ones_own_need_not_name_their_feature_layer():
    flat = [keras.layers.Flatten(), keras.layers.Dense(5, name="mine"), keras.layers.Dense(3)]
    encoder = keras.Sequential([keras.Input((8, 8, 1)), *flat])
    others = {"generator": MLPGenerator((8, 8, 1), 3, 16), "discriminator": MLPDiscriminator((8, 8, 1), 3, 16)}
    game = BiGAN({"encoder": encoder, **others}, Uniform(3))
    x = images(4)
    np.testing.assert_array_equal(game.features(x), game.features(x, "mine"))
    assert game.layer_names == [layer.name for layer in flat]
    short = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(name="pixels"), keras.layers.Dense(3)])
    game = BiGAN({"encoder": short, **others}, Uniform(3))
    np.testing.assert_array_equal(game.features(x), x.reshape(4, 64))


class Subclassed(keras.Model):
    """A subclassed model, which a game refuses as a network: its shapes and its layers' outputs are unknown."""

    def call(self, x):
        return x


@pytest.mark.parametrize("unknown", [Subclassed, lambda: keras.Sequential([keras.layers.Dense(3)])])
def test_networks_of_unknown_shapes_are_refused(unknown):
    makers = {"encoder": MLPEncoder, "generator": MLPGenerator, "discriminator": MLPDiscriminator}
    networks = {role: maker((8, 8, 1), 3, 16) for role, maker in makers.items()}
    with pytest.raises(InputError, match="the encoder must be a functional Keras model, or a Sequential one with a"):
        BiGAN({**networks, "encoder": unknown()}, Uniform(3))
    with pytest.raises(InputError, match="the generator must be a functional Keras model"):
        BiGAN({**networks, "generator": unknown()}, Uniform(3))


@pytest.mark.parametrize(
    "encoder, generator, prior, message",
    [
        ((8, 8, 1, 5), (8, 8, 1, 4), Uniform(4), r"the encoder gives codes of shape \(5,\), but the prior has 4"),
        ((8, 8, 1, 4), (8, 8, 1, 5), Uniform(4), r"the generator takes codes of shape \(5,\), but the prior has 4"),
        (
            (8, 8, 1, 4),
            (9, 9, 1, 4),
            Uniform(4),
            r"takes images of shape \(8, 8, 1\), which do not reduce to the generator's \(9",
        ),
        ((8, 8, 1, 4), (8, 8, 1, 4), 4, "prior must be one of tf_bigan.priors, found 4"),
    ],
)
def test_networks_that_do_not_fit_are_refused(encoder, generator, prior, message):
    networks = {
        "encoder": MLPEncoder(encoder[:3], encoder[3], 16),
        "generator": MLPGenerator(generator[:3], generator[3], 16),
        "discriminator": MLPDiscriminator((8, 8, 1), 4, 16),
    }
    with pytest.raises(InputError, match=message):
        BiGAN(networks, prior)


def larger_encoder(system="bigan", **changes):
    """A tiny game whose encoder takes images of twice the edge."""
    return tiny_game(system, encoder_size=16, **changes)


def test_a_larger_encoder_plays_with_reduced_images():
    game = larger_encoder()
    for role, network in awake_game().networks.items():
        if role != "encoder":
            game.networks[role].set_weights(network.get_weights())
    assert game.encoder_is_larger and game.example_shape == (16, 16, 1)
    x, z = images(16, shape=(16, 16, 1)), game.noise(16, 0)
    small = tf.clip_by_value(tf.image.resize(x, (8, 8), "lanczos3", antialias=True), 0.0, 1.0)
    np.testing.assert_array_equal(game.reduced(x), small)
    real = game.discriminator([small, game.posterior.mean(game.encoder(x, training=True))], training=True)
    generated = game.discriminator([game.generator(z, training=True), z], training=True)
    expected = float(objectives.discriminate(real, generated))

    game.compile(keras.optimizers.SGD(0.0))
    history = fit(game, x, 16).history
    assert history["discriminator_loss"][0] == pytest.approx(expected, rel=1e-5)
    assert game.evaluate(x, batch_size=16, return_dict=True, verbose=0).keys() >= {"discriminator_loss"}


def test_a_larger_encoder_encodes_its_size_and_reconstructs_g_s():
    game = larger_encoder()
    game.compile()
    x = images(32, shape=(16, 16, 1))
    game.fit(x, batch_size=16, verbose=0)
    assert game.encode(x).shape == (32, 4) and game.reconstruct(x).shape == (32, 8, 8, 1)
    assert set(reconstruction(game, x, seed=0)) == {"EGr", "EGr_b"}
    assert figures.reconstructions(game, x[:5]).shape[0] % 8 == 0


@pytest.mark.parametrize("system", ["latent_regressor", "joint_latent_regressor", "autoencoder_l2"])
def test_only_bigan_takes_a_larger_encoder(system):
    with pytest.raises(InputError, match=f"in {system} the encoder works on G's examples, or G on the encoder's"):
        larger_encoder(system)


def test_an_array_smaller_than_a_batch_is_refused():
    game = bigan()
    game.compile()
    with pytest.raises(InputError, match="x has 5 examples, fewer than a batch of 16"):
        game.fit(images(5), batch_size=16, verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so of every such dataset
def test_the_end_of_a_dataset_of_unknown_length_is_no_step():
    game = bigan()
    game.compile()
    game.fit(batches(images(64), 16).filter(lambda x: True), epochs=3, statistics_steps=0, verbose=0)
    assert game.steps_done == 12


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_the_first_bad_step_is_remembered(steps_per_execution):
    x = images(96)
    x[3 * 16 + 5, 0, 0, 0] = np.nan
    game = bigan()
    game.compile(steps_per_execution=steps_per_execution)
    fit(game, x, 16)
    assert game.bad_steps == {"discriminator": 3, "encoder_generator": 3}


def test_bad_steps_are_told_apart_by_player(monkeypatch):
    game = awake_game("latent_regressor")

    def player_losses(tensors):
        losses = LatentRegressor.player_losses(game, tensors)
        return {**losses, "encoder": tf.where(game.step.value >= 2, float("inf"), losses["encoder"])}

    monkeypatch.setattr(game, "player_losses", player_losses)
    game.compile(keras.optimizers.SGD(0.0))
    fit(game, images(64), 16)
    assert game.bad_steps == {"encoder": 2}


# -- noise


def test_noise_is_a_function_of_seed_purpose_and_step():
    game, again, other = bigan(seed=5), bigan(seed=5), bigan(seed=6)
    np.testing.assert_array_equal(game.noise(16, 3), again.noise(16, tf.constant(3, tf.int64)))
    draws = [game.noise(16, 3), game.noise(16, 4), other.noise(16, 3)]
    draws += [game.noise(16, 3, purpose) for purpose in (STATISTICS, GENERATION)]
    rows = np.concatenate(draws)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_neighbouring_seeds_share_no_noise_for_any_purpose():
    purposes = (TRAINING, STATISTICS, GENERATION)
    rows = [bigan(seed=seed).noise(4, 0, purpose) for seed in (0, 1, 2) for purpose in purposes]
    assert len(np.unique(np.concatenate(rows), axis=0)) == 9 * 4


@pytest.mark.parametrize("seed", [2**63 - 1, 2**64], ids=["the largest int64", "larger"])
def test_seeds_too_large_for_noise_are_refused(seed):
    with pytest.raises(InputError, match="seed must be at most 4294967295"):
        tiny(seed=seed)
    assert make_game(tiny(seed=2**32 - 1)).noise(2, 0).shape == (2, 4)


# -- inference statistics


def expected_statistics(network, name, batches_in):
    """(mean, variance) of a batch norm's inputs: equal-weight means over batches, of unbiased variances."""
    before = keras.Model(network.inputs, network.get_layer(name).input)
    seen = [np.array(before(inputs, training=True)) for inputs in batches_in]
    return np.mean([h.mean(0) for h in seen], 0), np.mean([h.var(0, ddof=1) for h in seen], 0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_statistics_describe_real_data_for_encoder_and_discriminator_and_the_prior_for_the_generator(system):
    game = awake_game(system)
    x = images(48)
    parts = [tf.constant(x[i : i + 16]) for i in (0, 16, 32)]
    z = [game.noise(16, step, STATISTICS) for step in range(3)]
    game.estimate_statistics(batches(x, 16), 3)
    codes = None
    if game.encoder is not None:
        codes = [tf.tanh(tf.cast(game.encoder(part, training=True), tf.float32) / 2.0) for part in parts]
    fed = {
        "encoder": parts,
        "discriminator": [list(pair) for pair in zip(parts, codes, strict=True)] if system == "bigan" else parts,
        "generator": codes if system.startswith("autoencoder") else z,
    }
    for role, network in game.networks.items():
        for name, norm in norms_of(network).items():
            mean, variance = expected_statistics(network, name, fed[role])
            np.testing.assert_allclose(norm.mean, mean, atol=1e-5, err_msg=f"{role} {name}")
            np.testing.assert_allclose(norm.variance, variance, rtol=1e-4, atol=1e-6, err_msg=f"{role} {name}")


def test_statistics_are_estimated_anew_each_time_and_from_no_more_batches_than_asked_for():
    game = awake_game()
    norm = norms_of(game.encoder)["h2_norm"]
    game.estimate_statistics(batches(images(64), 16), 2)
    first = np.array(norm.mean)
    assert float(norm.batches) == 2
    game.estimate_statistics(batches(images(64, seed=1), 16), 1000)
    assert float(norm.batches) == 4 and not np.allclose(norm.mean, first)
    game.estimate_statistics(batches(images(64), 16), 2)
    np.testing.assert_array_equal(norm.mean, first)


def test_statistics_move_nothing_else_and_training_does_not_move_them():
    game = bigan()
    game.compile()
    fit(game, images(32), 16)
    before = trainables(game)
    game.estimate_statistics(batches(images(32), 16), 2)
    assert not moved(before, trainables(game))
    statistics = {role: [np.array(v) for v in n.non_trainable_variables] for role, n in game.networks.items()}
    fit(game, images(32), 16)
    for role, network in game.networks.items():
        for a, b in zip(statistics[role], network.non_trainable_variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_can_leave_the_statistics_as_they_are():
    game = bigan()
    game.compile()
    game.fit(images(32), batch_size=16, statistics_steps=0, verbose=0)
    assert float(norms_of(game.encoder)["h2_norm"].batches) == 0
    game.fit(images(32), batch_size=16, statistics_steps=1, verbose=0)
    assert float(norms_of(game.encoder)["h2_norm"].batches) == 1


def test_batches_of_one_image_leave_the_statistics_finite():
    game = bigan()
    game.compile()
    game.fit(images(3), batch_size=1, statistics_steps=2, verbose=0)
    assert all(np.isfinite(a).all() for network in game.networks.values() for a in values(network).values())


# -- use


@pytest.fixture(scope="module")
def used():
    """A game whose weights are of order 1, with inference statistics."""
    game = awake_game()
    game.estimate_statistics(batches(images(64), 16), 4)
    return game


def test_codes_lie_in_the_priors_support(used):
    codes = used.encode(images(40))
    assert codes.shape == (40, 4) and codes.dtype == np.float32
    assert np.all(np.abs(codes) < 1.0) and np.abs(codes).max() > 0.5
    np.testing.assert_allclose(codes, np.tanh(np.array(used.encoder(images(40))) / 2), atol=1e-5)
    unbounded = awake_game(prior="normal").encode(5 * [np.ones((8, 8, 1), np.float32)])
    np.testing.assert_allclose(unbounded, np.array(awake_game().encoder(np.ones((5, 8, 8, 1)))), atol=1e-5)


def test_batches_do_not_change_results(used):
    x = images(7)
    np.testing.assert_allclose(used.encode(x, batch_size=3), used.encode(x), atol=1e-6)
    np.testing.assert_allclose(used.features(x, batch_size=1), used.features(x), atol=1e-5)
    np.testing.assert_allclose(used.generate(7, batch_size=3), used.generate(7), atol=1e-6)


def test_no_images_give_no_codes(used):
    assert used.encode(images(0)).shape == (0, 4)
    assert used.features(images(0)).shape == (0, 16)
    assert used.generate(0).shape == (0, 8, 8, 1)
    conv = tiny_game(networks="conv", width=4, image_size=32, channels=3)
    assert conv.features(images(0, shape=(32, 32, 3)), layer="conv2").shape == (0, 4, 4, 16)


def test_features_are_named_after_the_layers(used):
    x = images(5)
    assert {"flat", "h1", "h2", "outputs"} <= set(used.layer_names)
    assert used.layer_names[0] == "flat" and used.layer_names[-1] == "outputs"
    shapes = {layer: used.features(x, layer=layer).shape for layer in used.layer_names}
    assert shapes["flat"] == (5, 64) and shapes["h1"] == shapes["h2"] == (5, 16) and shapes["outputs"] == (5, 4)
    np.testing.assert_array_equal(used.features(x), used.features(x, layer="h2"))
    np.testing.assert_array_equal(used.features(x, layer="penultimate"), used.features(x, layer="h2"))
    np.testing.assert_array_equal(used.features(x, layer="code"), used.encode(x))
    np.testing.assert_allclose(used.features(x, layer="outputs"), used.encoder(x), atol=1e-6)
    assert all(used.features(x, layer=layer).dtype == np.float32 for layer in used.layer_names)


def test_unknown_layer_names_the_nearest(used):
    with pytest.raises(InputError, match="unknown layer 'penultimat'. Did you mean 'penultimate'"):
        used.features(images(1), layer="penultimat")
    with pytest.raises(InputError, match="Known: code, flat, h1, "):
        used.features(images(1), layer="conv7")
    for nonsense in (None, 3):
        with pytest.raises(InputError, match=f"unknown layer {nonsense}\\."):
            used.features(images(1), layer=nonsense)


def test_a_function_of_several_layers_gives_what_each_gives(used):
    x = images(5)
    layers = ["outputs", "h1", "code", "penultimate", "h2"]
    found = used.feature_function(layers)(x)
    assert len(found) == 5
    for layer, features in zip(layers, found, strict=True):
        np.testing.assert_allclose(features, used.features(x, layer), atol=1e-6)
    with pytest.raises(InputError, match="unknown layer 'h3'"):
        used.feature_function(["h1", "h3"])


def test_features_of_a_plain_gan_are_its_discriminators():
    game = awake_game("gan")
    np.testing.assert_allclose(
        game.features(images(5)),
        keras.Model(game.discriminator.input, game.discriminator.get_layer("h2").output)(images(5)),
        atol=1e-6,
    )
    with pytest.raises(InputError, match="gan has no encoder, so it cannot encode"):
        game.encode(images(5))
    with pytest.raises(InputError, match="gan has no encoder"):
        game.features(images(5), layer="code")
    with pytest.raises(InputError, match="gan has no encoder"):
        game.reconstruct(images(5))


def test_the_same_seed_generates_the_same_images(used):
    first = used.generate(16, seed=3)
    assert first.shape == (16, 8, 8, 1) and first.dtype == np.float32
    assert first.min() >= 0.0 and first.max() <= 1.0
    np.testing.assert_array_equal(first, used.generate(16, seed=3))
    assert not np.any(np.all(first == used.generate(16, seed=4), axis=(1, 2, 3)))
    assert len(np.unique(first.reshape(16, -1), axis=0)) == 16
    np.testing.assert_array_equal(used.generate(16), used.generate(16, seed=0))


def test_codes_can_be_decoded(used):
    z = np.random.default_rng(0).uniform(-1, 1, (5, 4))
    np.testing.assert_allclose(used.generate(z=z), used.generator(z.astype(np.float32)), atol=1e-6)
    x = images(5)
    np.testing.assert_allclose(used.reconstruct(x), used.generate(z=used.encode(x)), atol=1e-6)
    assert used.reconstruct(x).shape == x.shape


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "either a count or z"),
        ({"count": 2, "z": np.zeros((2, 4))}, "either a count or z"),
        ({"count": -1}, "at least 0, found -1"),
        ({"z": np.zeros((2, 3))}, r"shape \[N, 4\], got \[2, 3\]"),
        ({"z": np.zeros(4)}, r"shape \[N, 4\], got \[4\]"),
    ],
    ids=["nothing", "both", "negative", "dimensions", "rank"],
)
def test_generate_refuses(used, arguments, message):
    with pytest.raises(InputError, match=message):
        used.generate(**arguments)


def image_with(value):
    x = images(2)
    x[1, 3, 4, 0] = value
    return x


BAD_IMAGES = {
    "rank": (np.zeros((8, 8, 1), np.float32), r"shape \[N, 8, 8, 1\], got \[8, 8, 1\]"),
    "size": (images(2, shape=(9, 8, 1)), r"shape \[N, 8, 8, 1\], got \[2, 9, 8, 1\]"),
    "channels": (images(2, shape=(8, 8, 3)), r"got \[2, 8, 8, 3\]"),
    "uint8": (np.zeros((2, 8, 8, 1), np.uint8), r"must be float in \[0, 1\], got uint8"),
    "too bright": (image_with(1.5), r"must lie in \[0, 1\], got \[.*, 1.5\]"),
    "too dark": (image_with(-0.25), r"must lie in \[0, 1\], got \[-0.25, "),
    "NaN": (image_with(np.nan), "NaN or infinite"),
    "infinite": (image_with(np.inf), "NaN or infinite"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_images_that_are_none_are_refused(used, kind):
    x, message = BAD_IMAGES[kind]
    for use in (used.encode, used.features, used.reconstruct):
        with pytest.raises(InputError, match=message):
            use(x)


def test_images_at_the_ends_of_the_range_are_fine(used):
    used.domain.check(np.zeros((1, 8, 8, 1)))
    used.domain.check(np.ones((1, 8, 8, 1), np.float16))
    used.domain.check(tf.ones((1, 8, 8, 1)))


def test_a_game_is_its_encoder_as_a_layer(used):
    x = images(3)
    np.testing.assert_array_equal(used(x), used.encoder(x))
    assert used.example_shape == awake_game("gan").example_shape == (8, 8, 1)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_results_are_float32_in_half_precision(dtype):
    game = awake_game(dtype=dtype)
    game.estimate_statistics(batches(images(32), 16), 2)
    x = images(4)
    for result in (game.encode(x), game.features(x), game.generate(4), game.reconstruct(x)):
        assert result.dtype == np.float32 and np.all(np.isfinite(result))


def test_use_sees_later_training():
    game = bigan()
    game.compile(keras.optimizers.SGD(1.0))
    x = images(32)
    before = game.encode(x), game.generate(4)
    game.fit(x, batch_size=16, epochs=2, verbose=0)
    assert not np.allclose(before[0], game.encode(x)) and not np.allclose(before[1], game.generate(4))


def test_networks_need_a_known_image_shape():
    with pytest.raises(InputError, match="image_size and channels, or a point's dimensions, must be known"):
        make_game(tiny(image_size=0))


def test_unknown_reconstruction_error_names_the_nearest():
    with pytest.raises(InputError, match="unknown error 'l3'. Did you mean 'l"):
        ReconstructionX(1.0, error="l3")
    with pytest.raises(InputError, match="unknown system 'autoencoder_l3'. Did you mean 'autoencoder_l"):
        tiny(system="autoencoder_l3")


def test_a_system_of_ones_own_needs_players_a_forward_pass_and_losses():
    class Mean(Game):
        players = {"generator": ("generator",)}

        def forward(self, batch, z, draws):
            return {"x": batch["x"], "samples": self.run("generator", [z], batch, draws)}

        def player_losses(self, tensors):
            return {"generator": tf.reduce_mean(tf.square(tensors["samples"] - tensors["x"]))}

    game = Mean({"generator": MLPGenerator(**TINY)}, Uniform(4))
    game.compile(keras.optimizers.Adam(0.01))
    before = values(game.generator)
    game.fit(np.full((64, 8, 8, 1), 0.9, np.float32), batch_size=16, epochs=20, verbose=0)
    assert moved(before, values(game.generator))
    assert game.generate(8).mean() > 0.75
