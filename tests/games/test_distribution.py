"""Several replicas, on the two logical CPU devices that conftest.py makes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batches, fit, images, norms_of, scalar, tiny_game

from tf_bigan.errors import InputError
from tf_bigan.games import Adam, BiGAN, Game
from tf_bigan.games.terms import FeatureMatching
from tf_bigan.priors import Uniform


def dense(units, name, dtype="float32", seed=0):
    initializer = keras.initializers.RandomNormal(0.0, 0.3, seed=seed)
    return keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name, dtype=dtype)


def plain_bigan(*terms, **arguments):
    """A BiGAN without batch norm, so that splitting a batch changes only rounding."""
    x, z = keras.Input((8, 8, 1)), keras.Input((4,))
    encoder = keras.Model(
        x, dense(4, "e2", seed=2)(keras.ops.tanh(dense(8, "e1", seed=1)(keras.ops.reshape(x, (-1, 64)))))
    )
    pixels = keras.ops.sigmoid(dense(64, "g2", seed=4)(keras.ops.tanh(dense(8, "g1", seed=3)(z))))
    generator = keras.Model(z, keras.ops.reshape(pixels, (-1, 8, 8, 1)))
    hidden = dense(8, "d1", seed=5)(keras.ops.reshape(x, (-1, 64))) + dense(8, "d1_z", seed=6)(z)
    discriminator = keras.Model([x, z], dense(1, "d2", seed=7)(keras.layers.Activation("tanh", name="d1_h")(hidden)))
    networks = {"encoder": encoder, "generator": generator, "discriminator": discriminator}
    return BiGAN(networks, Uniform(4), terms=terms, seed=3, **arguments)


@pytest.mark.parametrize("optimizer", [Adam, lambda: keras.optimizers.SGD(0.5)], ids=["Adam", "SGD"])
def test_two_replicas_with_half_the_batch_each_take_the_same_steps(mirrored, optimizer):
    one = plain_bigan()
    one.compile(optimizer())
    with mirrored.scope():
        two = plain_bigan()
        two.compile(optimizer())
    start = [np.array(v) for v in one.trainable_variables]
    for a, b in zip(start, two.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    losses = [fit(game, images(48), 16).history for game in (one, two)]
    for a, b, before in zip(one.trainable_variables, two.trainable_variables, start, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert np.abs(np.array(a) - before).max() > 1e-4
    assert two.steps_done == 3
    for name in losses[0]:
        np.testing.assert_allclose(losses[0][name], losses[1][name], atol=1e-6)


def test_features_are_matched_over_the_batches_of_all_replicas(mirrored):
    one = plain_bigan(FeatureMatching(5.0))
    one.compile(keras.optimizers.SGD(0.5))
    with mirrored.scope():
        two, without = plain_bigan(FeatureMatching(5.0)), plain_bigan()
        for each in (two, without):
            each.compile(keras.optimizers.SGD(0.5))
    for each in (one, two, without):
        fit(each, images(48), 16)
    ends = [np.concatenate([np.array(v).ravel() for v in each.trainable_variables]) for each in (one, two, without)]
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-6)
    assert np.abs(ends[2] - ends[0]).max() > 1e-4


class Counting:
    """A prior that deals 0, 1, 2, ... to the batch."""

    latent_dim = 1
    posterior = "linear"

    def sample(self, count, seed):
        return tf.reshape(tf.range(tf.cast(count, tf.float32)), (-1, 1))


class Product(Game):
    """A game whose loss is the mean of w * z (or w * x), so its gradient is the mean of what the replicas saw."""

    roles = ("generator",)
    players = {"generator": ("generator",)}

    def __init__(self, of="z", dtype="float32"):
        inputs = keras.Input((1,))
        kernel = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="w", dtype=dtype)
        super().__init__({"generator": keras.Model(inputs, kernel(inputs))}, Counting())
        self.of = of

    def forward(self, batch, z, draws):
        inputs = z if self.of == "z" else batch["x"]
        return {"products": self.run("generator", [inputs], batch, draws)}

    def player_losses(self, tensors):
        return {"generator": tf.reduce_mean(tf.cast(tensors["products"], tf.float32))}

    def weight(self):
        return float(np.squeeze(self.generator.trainable_variables[0]))


def test_replicas_take_their_own_parts_of_the_batchs_noise(mirrored):
    with mirrored.scope():
        game = Product()
        game.compile(keras.optimizers.SGD(1.0))
    fit(game, np.zeros((16, 1), np.float32), 16)
    # The replicas together see 0 ... 15, mean 7.5. With the same z, both would have seen 0 ... 7, mean 3.5.
    assert game.weight() == pytest.approx(1.0 - 7.5)


def test_gradients_are_averaged_over_replicas_not_summed(mirrored):
    with mirrored.scope():
        game = Product(of="x")
        game.compile(keras.optimizers.SGD(1.0))
    x = np.float32([0.25] * 8 + [0.75] * 8).reshape(16, 1)
    fit(game, x, 16)
    assert game.weight() == pytest.approx(1.0 - 0.5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_fit_works_right_after_construction(mirrored, dtype):
    with mirrored.scope():
        game = tiny_game(dtype=dtype)
        game.compile()
    before = [np.array(v) for v in game.trainable_variables]
    history = game.fit(batches(images(32), 16), statistics_steps=2, verbose=0)
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert game.steps_done == 2
    after = [np.array(v) for v in game.trainable_variables]
    assert all(np.isfinite(v).all() for v in after)
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert scalar(norms_of(game.encoder)["h2_norm"].batches) == 2
    for result in (game.encode(images(4)), game.reconstruct(images(4)), game.generate(4)):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("replica", [0, 1])
def test_a_float16_overflow_on_one_replica_skips_the_step_on_all(mirrored, replica):
    with mirrored.scope():
        game = Product(of="x", dtype="mixed_float16")
        scale = 2.0**18  # times 1/16 for each of 8 pixels of 1: twice what float16 holds; pixels of 0 are fine
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=scale)
        game.compile(optimizer)
    x = np.zeros((16, 1), np.float32)
    x[8 * replica : 8 * replica + 8] = 1.0
    fit(game, x, 16)
    assert game.weight() == 1.0
    assert scalar(game.optimizer.dynamic_scale) == scale / 2
    assert scalar(game.optimizer.iterations) == 0
    fit(game, x, 16)
    fit(game, x, 16)
    # The loss scale is halved twice. Then the gradient fits in float16, and the mean over the batch is 1/2.
    assert scalar(game.optimizer.dynamic_scale) == scale / 4
    assert game.weight() == pytest.approx(1.0 - 0.5)
    for copy in mirrored.experimental_local_results(game.generator.trainable_variables[0].value):
        assert float(np.squeeze(copy)) == pytest.approx(0.5)


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_does_not_work_under_mirrored_strategies_is_switched_off(mirrored, replicas):
    strategy = mirrored if replicas == 2 else tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        game = tiny_game()
        game.compile(steps_per_execution=4, jit_compile=True)
    assert game.steps_per_execution == 1 and not game.jit_compile
    fit(game, images(64), 16)
    assert game.steps_done == 4


def test_gradient_accumulation_is_refused_with_several_replicas(mirrored):
    with mirrored.scope():
        game = tiny_game()
        with pytest.raises(InputError, match="gradient_accumulation_steps does not work with several replicas"):
            game.compile(keras.optimizers.Adam(gradient_accumulation_steps=2))
        half = tiny_game(dtype="mixed_float16")
        with pytest.raises(InputError, match="gradient_accumulation_steps"):
            half.compile(Adam(gradient_accumulation_steps=2))
    alone = tiny_game()
    alone.compile(keras.optimizers.Adam(gradient_accumulation_steps=2))
    fit(alone, images(32), 16)
    assert alone.steps_done == 2


@pytest.mark.parametrize("replica", [0, 1])
def test_the_first_bad_step_is_seen_whichever_replica_it_was_on(mirrored, replica):
    with mirrored.scope():
        game = Product(of="x")
        game.compile(keras.optimizers.SGD(0.1))
    x = np.zeros((64, 1), np.float32)
    x[2 * 16 + 8 * replica + 3] = np.nan
    fit(game, x, 16)
    assert game.bad_steps == {"generator": 2}


def test_a_distributed_dataset_trains_and_gives_statistics_of_whole_batches(mirrored):
    x = images(32)
    with mirrored.scope():
        game = plain_bigan()
        game.encoder = tiny_game().encoder
        game.compile()
    game.fit(mirrored.experimental_distribute_dataset(batches(x, 16)), epochs=1, steps_per_epoch=2, verbose=0)
    assert game.steps_done == 2
    (norm, *_) = norms_of(game.encoder).values()
    found = np.array(norm.variance)
    game.estimate_statistics(batches(x, 16), 2)
    np.testing.assert_allclose(found, np.array(norm.variance), rtol=1e-5)
    assert scalar(norm.batches) == 2


def test_an_array_that_does_not_divide_into_batches_trains_to_finite_losses(mirrored):
    with mirrored.scope():
        game = tiny_game()
        game.compile()
    history = game.fit(images(33), batch_size=16, verbose=0)
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert game.steps_done == 2


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so of every such dataset
def test_a_dataset_trains_on_the_batches_that_replicas_can_share(mirrored):
    with mirrored.scope():
        game = tiny_game()
        game.compile()
    dataset = tf.data.Dataset.from_tensor_slices((images(33), np.arange(33))).batch(16)
    history = game.fit(dataset, statistics_steps=0, verbose=0)
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert game.steps_done == 2
    with pytest.raises(InputError, match="batches of 15 examples cannot be shared equally by 2 replicas"):
        fit(game, images(45), 15)


def test_batch_norms_that_are_synchronised_see_the_whole_batch(mirrored):
    """With synchronised batch norms, two replicas with half the batch each take the same steps as one device."""
    one = tiny_game()
    one.compile(keras.optimizers.SGD(0.1))
    with mirrored.scope():
        two, local = tiny_game(sync_batch_norm=True), tiny_game()
        for game in (two, local):
            game.compile(keras.optimizers.SGD(0.1))
    for game in (one, two, local):
        game.discriminator.get_layer("outputs").kernel.assign(np.full((16, 1), 0.5, np.float32))
        fit(game, images(32), 16)
    for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert any(
        not np.allclose(a, b, atol=1e-4)
        for a, b in zip(one.trainable_variables, local.trainable_variables, strict=True)
    )
