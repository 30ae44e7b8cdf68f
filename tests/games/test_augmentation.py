"""Differentiable augmentation of D's images, compared with values that are worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import fit, images, tiny, tiny_game

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import make_game
from tf_bigan.games.terms.augmentation import Augmentation

COLOURED = images(64, shape=(16, 16, 3))


class Fixed(Draws):
    """Draws of which some are given: {name: number in [0, 1)}; all others are 1/2, which changes nothing."""

    def __init__(self, count, **given):
        super().__init__(0, 0, count)
        self.given = {"row": 0.999, **given}

    def uniform(self, name, shape):
        return tf.fill((self.count, *shape), self.given.get(name.removeprefix("augmentation/"), 0.5))


def augmented(x, **given):
    """Augmented images, with the square that becomes grey only at the last rows, where these draws put it."""
    return Augmentation(1.0).augment(tf.constant(x), Fixed(len(x), **given)).numpy()


def test_draws_in_the_middle_change_nothing_but_a_square():
    found = augmented(COLOURED)  # a square of 8 pixels around row 16 and column 8
    np.testing.assert_allclose(found[:, :12], COLOURED[:, :12], atol=1e-6)
    np.testing.assert_array_equal(found[:, 12:, 4:12], 0.5)
    np.testing.assert_allclose(found[:, 12:, :4], COLOURED[:, 12:, :4], atol=1e-6)


def test_colours_by_hand():
    x = np.tile(np.float32([0.2, 0.4, 0.9]), (1, 16, 16, 1))
    above = slice(None), slice(0, 12)
    # Half of [-1, 1] times half of the range: 0.5 * 0.5 in [-1, 1] is 0.125 in [0, 1].
    np.testing.assert_allclose(augmented(x, brightness=0.75)[above], x[above] + 0.125, atol=1e-6)
    # Without saturation each pixel is the mean of its channels, with all of it twice as far from the mean.
    np.testing.assert_allclose(augmented(x, saturation=0.0)[above], 0.5, atol=1e-6)
    np.testing.assert_allclose(augmented(x, saturation=1.0)[above], 2 * x[above] - 0.5, atol=1e-6)
    # The image's mean is 0.5, too; contrast changes the distance by up to a half.
    np.testing.assert_allclose(augmented(x, contrast=0.0)[above], 0.25 + x[above] / 2, atol=1e-6)


@pytest.mark.parametrize("drawn, shift", [(0.0, -2), (0.5, 0), (0.99, 2)])
def test_shifts_of_an_eighth_of_the_edge_fill_in_grey(drawn, shift):
    found = augmented(COLOURED, horizontal=drawn)[:, :12]
    expected = np.full_like(COLOURED, 0.5)
    source, target = slice(max(-shift, 0), 16 - max(shift, 0)), slice(max(shift, 0), 16 - max(-shift, 0))
    expected[:, :, target] = COLOURED[:, :, source]
    np.testing.assert_allclose(found, expected[:, :12], atol=1e-6)
    found = augmented(COLOURED, vertical=drawn)[:, :12]
    expected = np.full_like(COLOURED, 0.5)
    expected[:, target] = COLOURED[:, source]
    np.testing.assert_allclose(found, expected[:, :12], atol=1e-6)


def test_the_square_covers_at_most_half_of_the_edge_anywhere():
    x = np.ones((512, 16, 16, 1), np.float32)
    term = Augmentation(1.0)
    covered = term._covered(16, "row", Draws(0, 3, 512)).numpy()
    counts = covered.sum(axis=1)
    assert counts.min() == 4 and counts.max() == 8  # at the edge half of the square is outside
    assert covered.any(axis=0).all()
    assert term.augment(tf.constant(x), Draws(0, 3, 512)).shape == x.shape


def test_real_and_generated_images_share_their_draws_and_steps_do_not():
    game = tiny_game("bigan", augmentation=1.0)
    (term,) = game.terms
    x = tf.constant(images(6))
    one, two = (term.augment(x, Draws(1, step, 6)) for step in (0, 1))
    np.testing.assert_array_equal(one, term.augment(x, Draws(1, 0, 6)))
    assert not np.allclose(one, two)
    tensors = game.forward({"x": x}, tf.zeros((6, 4)), Draws(1, 0, 6))
    np.testing.assert_array_equal(tensors["real_inputs"][0], one)
    np.testing.assert_array_equal(tensors["x"], x)  # what E sees
    np.testing.assert_array_equal(tensors["generated_inputs"][0], term.augment(tensors["samples"], Draws(1, 0, 6)))


def test_gradients_reach_the_image():
    x = tf.constant(COLOURED)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(Augmentation(1.0).augment(x, Draws(0, 0, 64)))
    gradient = tape.gradient(y, x).numpy()
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(axis=(1, 2, 3)) > 0).all()


def test_a_strength_of_0_is_the_game_without_it_to_the_bit():
    weights = []
    for settings in ({}, {"augmentation": 0.0}):
        made = tiny_game("bigan", **settings)
        made.compile()
        fit(made, images(32), 16)
        weights.append([w for network in made.networks.values() for w in network.get_weights()])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_it_logs_no_loss_and_trains_every_system_with_a_d():
    for system in ("bigan", "gan", "latent_regressor", "joint_latent_regressor"):
        made = tiny_game(system, augmentation=0.5)
        made.compile()
        history = fit(made, images(32), 16).history
        assert "augmentation_loss" not in history
        assert all(np.isfinite(value).all() for value in history.values())


def test_points_and_systems_without_d_are_refused():
    with pytest.raises(InputError, match="augmentation needs a network called discriminator, and autoencoder_l2 has"):
        tiny_game("autoencoder_l2", augmentation=1.0)
    points = {"dataset": "mixture", "networks": "mixture", "dimensions": 2, "image_size": 0, "channels": 0}
    with pytest.raises(InputError, match="augmentation is for images, and the data has points"):
        make_game(tiny(augmentation=1.0, prior="normal", posterior="implicit", **points))


def test_it_is_saved_with_the_game(tmp_path):
    made = tiny_game("bigan", augmentation=0.5)
    made.save(tmp_path / "game.keras")
    assert [term.weight for term in keras.models.load_model(tmp_path / "game.keras").terms] == [0.5]
