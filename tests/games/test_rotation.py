"""Rotation as a task of E and of D."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import awake_game, fit, images, tiny, tiny_game

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import make_game
from tf_bigan.games.terms.rotation import turn

TERMS = {"rotation_encoder": "encoder", "rotation_discriminator": "discriminator"}


def test_images_are_turned_by_each_angle():
    x = np.arange(2 * 2 * 2, dtype=np.float32).reshape(2, 2, 2, 1)
    x = np.concatenate([x, x + 100, x + 200, x + 300])  # 8 images, of which the first two are turned
    turned, turns = turn(tf.constant(x))
    np.testing.assert_array_equal(turns, [0, 1, 2, 3] * 2)
    np.testing.assert_array_equal(
        turned[:4, :, :, 0], [[[0, 1], [2, 3]], [[1, 3], [0, 2]], [[3, 2], [1, 0]], [[2, 0], [3, 1]]]
    )
    np.testing.assert_array_equal(turned[4, :, :, 0], [[4, 5], [6, 7]])


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_there_are_as_many_turned_images_as_images(count):
    turned, turns = turn(tf.constant(images(count)))
    assert turned.shape == (count, 8, 8, 1)
    np.testing.assert_array_equal(turns, np.arange(count) % 4)


@pytest.mark.parametrize("setting, role", TERMS.items())
def test_the_loss_is_the_head_s_cross_entropy(setting, role):
    game = awake_game("bigan", **{setting: 0.5})
    x, z = tf.constant(images(8)), tf.constant(np.random.default_rng(1).uniform(-1, 1, (8, 4)), tf.float32)
    losses, added, sums, tensors = game._play({"x": x}, z, Draws(0, 0, 8))
    network, head = game.networks[role], game.networks[f"{role}_rotation"]

    def error(of):
        turned, turns = turn(of)
        inputs = [turned, tf.zeros((8, 4))] if role == "discriminator" else turned
        h = keras.Model(network.inputs, network.get_layer("h2").output)(inputs, training=True)
        return float(keras.ops.mean(keras.losses.sparse_categorical_crossentropy(turns, head(h), from_logits=True)))

    np.testing.assert_allclose(losses[f"{role}_rotation"], error(x), rtol=1e-5)
    if role == "encoder":
        np.testing.assert_allclose(added["encoder_generator"], [0.5 * error(x)], rtol=1e-5)
        assert added["discriminator"] == []
    else:
        np.testing.assert_allclose(added["discriminator"], [0.5 * error(x)], rtol=1e-5)
        np.testing.assert_allclose(added["encoder_generator"], [0.1 * error(tensors["samples"])], rtol=1e-5)


@pytest.mark.parametrize("setting, role", TERMS.items())
def test_a_step_moves_the_head_by_its_own_loss(setting, role):
    """The head learns whatever the weight: its loss is the cross-entropy itself."""
    moved = []
    for weight in (0.01, 1.0):
        game = tiny_game("bigan", **{setting: weight})
        game.compile(keras.optimizers.SGD(0.1))
        fit(game, images(16), 16)
        moved.append(game.networks[f"{role}_rotation"].get_weights()[0])
    assert np.abs(moved[0]).max() > 0
    np.testing.assert_array_equal(*moved)  # one step from 0


def test_an_encoder_that_trains_with_it_tells_angles():
    """Images that are bright at the top: after some steps the head is right about every turned one."""
    x = np.zeros((256, 8, 8, 1), np.float32)
    x[:, :2] = np.random.default_rng(0).uniform(0.5, 1.0, (256, 2, 8, 1))
    game = tiny_game("bigan", rotation_encoder=1.0)
    game.compile(keras.optimizers.Adam(5e-3))
    for _ in range(8):
        history = fit(game, x, 32).history
    assert history["rotation_encoder_loss"][-1] < 0.3


@pytest.mark.parametrize("system", ["gan", "ali", "latent_regressor"])
def test_other_systems(system):
    for setting, role in TERMS.items():
        if system == "gan" and role == "encoder":
            continue
        changes = {"prior": "normal", "posterior": "gaussian"} if system == "ali" else {}
        game = tiny_game(system, **{setting: 1.0}, **changes)
        game.compile()
        history = fit(game, images(32), 16).history
        assert all(np.isfinite(value).all() for value in history.values())
        assert f"{role}_rotation" in game.networks


def test_what_it_needs():
    with pytest.raises(InputError, match="rotation_encoder needs a network called encoder, and gan has none"):
        tiny_game("gan", rotation_encoder=1.0)
    points = {"dataset": "mixture", "networks": "mixture", "dimensions": 2, "image_size": 0, "channels": 0}
    with pytest.raises(InputError, match=r"rotation_encoder needs square images, found examples of shape \[2\]"):
        make_game(tiny(rotation_encoder=1.0, prior="normal", posterior="implicit", **points))
