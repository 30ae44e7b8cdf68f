import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import awake_game, images, tiny_game

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games import VAE, objectives
from tf_bigan.networks import MLPEncoder, MLPGenerator
from tf_bigan.priors import Gaussian, Normal

GIVEN = {"prior": "normal", "posterior": "gaussian"}


def test_the_divergence_from_the_standard_normal_by_hand():
    """KL(N(1, e^2) || N(0, 1)) = (1 + e^2 - 1) / 2 - 1, and that of N(0, 1) is 0."""
    outputs = tf.constant([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [3.0, -2.0, 0.0, 0.0]])
    expected = [math.e**2 / 2 - 1, 0.0, (9 + 4) / 2]
    np.testing.assert_allclose(Gaussian().divergence(outputs), expected, rtol=1e-6, atol=1e-7)


def test_the_negative_log_likelihood_by_hand():
    x, means = tf.constant([[0.0, 1.0], [2.0, 0.0]]), tf.constant([[0.0, 0.0], [0.0, 0.0]])
    # Squared distances 1 and 4, over 2 * 0.5^2: 2 and 8; log(2 pi 0.25) for two coordinates.
    expected = 5.0 + math.log(2 * math.pi * 0.25)
    np.testing.assert_allclose(objectives.negative_log_likelihood(x, means, 0.5), expected, rtol=1e-6)
    whole = images(3)
    of_images = objectives.negative_log_likelihood(whole, whole, 1.0)
    np.testing.assert_allclose(of_images, 32 * math.log(2 * math.pi), rtol=1e-6)  # half of 64 pixels


def test_the_loss_is_the_negative_lower_bound_by_hand():
    game = awake_game("vae", likelihood_stddev=0.25, **GIVEN)
    x, z = images(6), np.array(game.noise(6, 0))
    outputs = np.array(game.encoder(x, training=True), np.float64)
    mean, log_stddev = outputs[:, :4], outputs[:, 4:]
    codes = mean + np.exp(log_stddev) * np.array(Draws(42, 0, 6).normal("encoder/posterior", (4,)))
    made = np.array(game.generator(codes.astype(np.float32), training=True))
    squares = ((x - made) ** 2).sum((1, 2, 3)) / (2 * 0.25**2)
    constant = 32 * math.log(2 * math.pi * 0.25**2)
    divergence = (0.5 * (mean**2 + np.exp(2 * log_stddev) - 1) - log_stddev).sum(1)
    (loss,) = game.play(x, z).values()
    np.testing.assert_allclose(loss, (squares + constant + divergence).mean(), rtol=1e-5)


def test_with_the_true_posterior_the_loss_is_the_negative_log_likelihood():
    """G(z) = 0.8 z and stddev 0.6 make x ~ N(0, 1), and the posterior is N(0.8 x, 0.6^2)."""
    x = keras.Input((1,), name="points")
    encoder = keras.Model(x, keras.layers.Dense(2)(x), name="encoder")
    encoder.set_weights([np.array([[0.8, 0.0]]), np.array([0.0, math.log(0.6)])])
    z = keras.Input((1,), name="z")
    generator = keras.Model(z, keras.layers.Dense(1, use_bias=False)(z), name="generator")
    generator.set_weights([np.array([[0.8]])])
    game = VAE({"encoder": encoder, "generator": generator}, Normal(1), likelihood_stddev=0.6, posterior="gaussian")
    points = np.random.default_rng(0).normal(size=(20_000, 1)).astype(np.float32)
    (loss,) = game.play(points, np.zeros((20_000, 1), np.float32)).values()
    expected = np.mean(points**2 / 2 + math.log(2 * math.pi) / 2)
    np.testing.assert_allclose(loss, expected, atol=0.02)  # from one code for each point, so not exact


@pytest.mark.parametrize("given", [{"prior": "normal"}, {"prior": "uniform", "posterior": "gaussian"}])
def test_a_divergence_without_a_closed_form_is_refused(given):
    with pytest.raises(InputError, match="closed form; give --prior=normal --posterior=gaussian$"):
        tiny_game("vae", **given)


def test_a_likelihood_without_width_is_refused():
    networks = {"encoder": MLPEncoder((8, 8, 1), 8, 4), "generator": MLPGenerator((8, 8, 1), 4, 4)}
    with pytest.raises(InputError, match="likelihood_stddev must be above 0, found 0"):
        VAE(networks, Normal(4), likelihood_stddev=0, posterior="gaussian")
    with pytest.raises(InputError, match="likelihood_stddev must be at least 0.001, found 0.0"):
        tiny_game("vae", likelihood_stddev=0.0, **GIVEN)
