"""Whole games in `.keras` files: what comes back is the game that was saved, and its training goes on alike."""

import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny_game

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.games import ALI, VAE, BiGAN
from tf_bigan.games.objectives import SUMMED
from tf_bigan.games.terms import DenoisingFeatureMatching, FeatureMatching, ReconstructionX
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.networks.denoiser import Denoiser
from tf_bigan.priors import Gaussian, Normal, Uniform

GAUSSIAN = {"prior": "normal", "posterior": "gaussian"}
# What a system needs beyond the settings of `tiny`.
NEEDED = {
    "vae": GAUSSIAN,
    "supervised": {"classes": 3},
    "conditional_ali": {"networks": "ali_cifar10", "image_size": 32, "channels": 3, "width": 2, "attributes": 3},
}
FAMILIES = {
    "conv": {"networks": "conv", "width": 4, "image_size": 16, "channels": 3},
    "dcgan": {"networks": "dcgan", "width": 2, "image_size": 8, "channels": 3},
    "ali": {"networks": "ali_cifar10", "width": 2, "image_size": 32, "channels": 3, **GAUSSIAN},
    "mixture": {
        **{"networks": "mixture", "dataset": "mixture", "image_size": 0, "channels": 0, "dimensions": 2},
        **{"latent_dim": 2, "width": 8, "prior": "normal", "posterior": "implicit"},
    },
}
TERMS = {"denoising_feature_matching": 0.1, "denoiser_layers": 1, "denoiser_width": 8, "r1_penalty": 0.1}
GAMES = {
    **{system: {"system": system, **NEEDED.get(system, {})} for system in registry.SYSTEMS},
    **{name: {"system": "ali" if "posterior" in each else "bigan", **each} for name, each in FAMILIES.items()},
    "with terms": {**TERMS, "reconstruction_x": 0.1, "objective": "relativistic", "penalty_interval": 2},
}


def data_of(game):
    """Two batches of everything that any of the games needs."""
    count = np.arange(8)
    record = {
        "x": images(8, shape=game.example_shape),
        "label": count % 3,
        "attributes": np.eye(3, dtype=np.float32)[count % 3],
    }
    return tf.data.Dataset.from_tensor_slices(record).batch(4)


def trained(game, optimizer=None):
    """Trains for two steps; eagerly, as compiling them takes longer than the steps."""
    game.compile(optimizer, run_eagerly=True)
    train(game)
    return game


def train(game, statistics_steps=0):
    game.fit(data_of(game), statistics_steps=statistics_steps, verbose=0)


def weights_of(game):
    return {role: network.get_weights() for role, network in game.networks.items()}


def assert_equal(one, two):
    """Two games have the same weights, counters and optimizer variables, to the last bit."""
    np.testing.assert_equal(weights_of(one), weights_of(two))
    np.testing.assert_equal(*({name: np.array(each) for name, each in g.counters().items()} for g in (one, two)))
    if one.compiled:
        for first, second in zip(one.optimizer.variables, two.optimizer.variables, strict=True):
            np.testing.assert_array_equal(first, second)


def assert_goes_on_alike(game, path):
    """A game and what is loaded from its file are equal, before another pass over the data and after it."""
    game.save(path)
    loaded = keras.models.load_model(path)
    assert type(loaded) is type(game)
    for name in ("name", "seed", "players", "frozen", "preparation", "objective", "conditions", "compiled"):
        assert getattr(loaded, name) == getattr(game, name), name
    assert_equal(loaded, game)
    for each in (game, loaded):
        if not each.compiled:
            each.compile()
        train(each)
    assert_equal(loaded, game)
    return loaded


@pytest.mark.parametrize("name", GAMES)
def test_a_game_made_by_flags(name, tmp_path):
    assert_goes_on_alike(trained(tiny_game(**GAMES[name])), tmp_path / "game.keras")


def test_a_game_that_was_never_compiled(tmp_path):
    game = tiny_game()
    loaded = assert_goes_on_alike(game, tmp_path / "game.keras")
    for each in (game, loaded):
        train(each, statistics_steps=2)
    np.testing.assert_array_equal(loaded.features(images(3)), game.features(images(3)))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_and_its_loss_scale(dtype, tmp_path):
    game = trained(tiny_game(dtype=dtype))
    loaded = assert_goes_on_alike(game, tmp_path / "game.keras")
    assert loaded.encoder.get_layer("h1").compute_dtype == dtype.removeprefix("mixed_")
    assert isinstance(loaded.optimizer, type(game.optimizer))


def functional_encoder(units):
    x = keras.Input((8, 8, 1), name="images")
    h = keras.layers.Dense(6, "relu", name="first")(keras.layers.Flatten()(x))
    return keras.Model(x, keras.layers.Dense(units)(keras.layers.Dense(5, name="second")(h)), name="encoder")


@keras.saving.register_keras_serializable("of_the_test")
class Decoder(keras.Model):
    """A subclassed network, built as a functional model."""

    def __init__(self, width, name="generator", **kwargs):
        z = keras.Input((4,), name="z")
        pixels = keras.layers.Dense(64, "sigmoid")(keras.layers.Dense(width, "relu")(z))
        super().__init__(z, keras.layers.Reshape((8, 8, 1))(pixels), name=name, **kwargs)
        self.width = width

    def get_config(self):
        return {"width": self.width, "name": self.name}


@keras.saving.register_keras_serializable("of_the_test")
class Halved(BiGAN):
    """A system of the caller's own, with an argument of its own."""

    def __init__(self, networks, prior, factor, **arguments):
        super().__init__(networks, prior, **arguments)
        self.factor = factor

    def player_losses(self, tensors):
        return {player: self.factor * loss for player, loss in super().player_losses(tensors).items()}


@keras.saving.register_keras_serializable("of_the_test")
class Narrow(Uniform):
    def __init__(self, latent_dim, edge):
        super().__init__(latent_dim)
        self.edge = edge

    def sample(self, count, seed):
        return self.edge * super().sample(count, seed)


def networks_of_ones_own(units=4):
    discriminator = MLPDiscriminator((8, 8, 1), 4, 8)
    return {"encoder": functional_encoder(units), "generator": Decoder(7), "discriminator": discriminator}


def test_a_game_made_by_hand(tmp_path):
    networks = networks_of_ones_own()
    networks["encoder"].penultimate = "first"
    networks["encoder"].get_layer("second").trainable = False
    networks["discriminator"].get_layer("h1_linear").trainable = False
    terms = [ReconstructionX(0.1, "l1"), DenoisingFeatureMatching(0.1, Denoiser(8, 1, 8)), FeatureMatching(0.5)]
    game = Halved(networks, Narrow(4, edge=0.5), 0.5, terms=terms, objective=SUMMED, seed=np.int64(3), name="mine")
    loaded = assert_goes_on_alike(trained(game, keras.optimizers.SGD(0.1, momentum=0.9)), tmp_path / "game.keras")
    assert (loaded.factor, loaded.prior.edge, loaded.terms[0].error) == (0.5, 0.5, game.terms[0].error)
    assert isinstance(loaded.generator, Decoder) and loaded.generator.width == 7
    assert loaded.layer_name() == "first"
    assert len(loaded.trainable_variables) == len(game.trainable_variables)
    np.testing.assert_array_equal(loaded.generate(3, seed=1), game.generate(3, seed=1))


def test_posteriors_by_object_and_systems_with_settings(tmp_path):
    game = VAE(
        {"encoder": functional_encoder(8), "generator": Decoder(7)}, Normal(4), 0.3, posterior=Gaussian(), name="vae"
    )
    loaded = assert_goes_on_alike(trained(game, "adam"), tmp_path / "game.keras")
    assert loaded.likelihood_stddev == 0.3


def test_a_fresh_process_reads_a_game(tmp_path):
    game = trained(tiny_game(**GAUSSIAN))
    game.save(tmp_path / "game.keras")
    np.save(tmp_path / "images.npy", images(3))
    script = (
        "import sys, keras, numpy as np, tf_bigan.games\n"
        "game = keras.models.load_model(sys.argv[1] + '/game.keras')\n"
        "np.save(sys.argv[1] + '/codes.npy', game.encode(np.load(sys.argv[1] + '/images.npy')))\n"
        "assert game.steps_done == 2 and int(game.optimizer.iterations) == 2\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), game.encode(images(3)), atol=1e-6)


def test_checkpoints_of_keras(tmp_path):
    """Files of every epoch, of the best epoch and of weights alone, written in `fit`."""

    def callbacks():
        best = {"monitor": "val_encoder_generator_loss", "mode": "min", "save_best_only": True}
        return [
            keras.callbacks.ModelCheckpoint(tmp_path / "epoch{epoch}.keras"),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", **best),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        ]

    game = tiny_game()
    game.compile(run_eagerly=True)
    data = data_of(game)
    history = game.fit(data, epochs=3, validation_data=data, callbacks=callbacks(), statistics_steps=0, verbose=0)
    losses = history.history["val_encoder_generator_loss"]
    assert keras.models.load_model(tmp_path / "best.keras").steps_done == 2 * (int(np.argmin(losses)) + 1)
    fresh = tiny_game(seed=7)
    fresh.compile(run_eagerly=True)
    fresh.load_weights(tmp_path / "1.weights.h5")
    for early in (keras.models.load_model(tmp_path / "epoch1.keras"), fresh):
        assert early.steps_done == 2
        early.seed = game.seed
        early.fit(data, epochs=3, initial_epoch=1, statistics_steps=0, verbose=0)
        assert_equal(early, game)


def test_a_game_goes_on_after_a_stop_with_backup_and_restore(tmp_path):
    class Stops(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(stops):
        game = tiny_game()
        game.compile(run_eagerly=True)
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
        data = data_of(game)
        game.fit(data, epochs=3, callbacks=[backup, *([Stops()] if stops else [])], statistics_steps=0, verbose=0)
        return game

    with pytest.raises(KeyboardInterrupt):
        run(stops=True)
    resumed = run(stops=False)
    assert resumed.steps_done == 6
    assert_equal(resumed, run(stops=False))


def test_weights_that_number_the_counters_are_read(tmp_path):
    """Files of earlier versions number them, and those of the first ones lack the last two of Gaussian encoders."""
    game = trained(tiny_game(**GAUSSIAN))
    game.save_weights(tmp_path / "game.weights.h5")
    with h5py.File(tmp_path / "game.weights.h5", "a") as file:
        counters = [file["vars"][name][()] for name in game.counters()]
        for name in game.counters():
            del file["vars"][name]
        for index, value in enumerate(counters[:3]):
            file["vars"][str(index)] = value
    fresh = tiny_game(**GAUSSIAN, seed=9)
    fresh.compile()
    fresh.load_weights(tmp_path / "game.weights.h5")
    assert fresh.steps_done == 2 and fresh.bad_steps == {}
    np.testing.assert_equal(weights_of(fresh), weights_of(game))


def test_what_cannot_be_saved_is_named(tmp_path):
    class Own:
        latent_dim, posterior = 4, "squashed"

        def sample(self, count, seed):
            return tf.zeros((count, 4))

    with pytest.raises(InputError, match="^bigan cannot be saved, because its prior has no config: give Own a get_con"):
        BiGAN(networks_of_ones_own(), Own(), name="bigan").save(tmp_path / "game.keras")
    objective = type(SUMMED)(*(lambda real, generated: tf.zeros(()) for _ in range(3)))
    with pytest.raises(InputError, match="^ali cannot be saved, because its objective is none of tf_bigan.games.obj"):
        ALI(networks_of_ones_own(), Uniform(4), objective=objective, name="ali").save(tmp_path / "game.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_the_earlier_file(tmp_path):
    game, path = tiny_game(), tmp_path / "game.keras"
    game.save(path)
    before = path.read_bytes()
    game.prior = object()
    with pytest.raises(InputError, match="its prior has no config"):
        game.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="^cannot write .*: "):
        tiny_game().save(path / "game.keras")


def test_a_network_keeps_which_of_its_layers_are_not_trainable(tmp_path):
    network = MLPEncoder((8, 8, 1), 4, 8)
    network.get_layer("h1_linear").trainable = False
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert [each.path for each in loaded.trainable_variables] == [each.path for each in network.trainable_variables]
    assert "untrained" not in MLPGenerator((8, 8, 1), 4, 8).get_config()
