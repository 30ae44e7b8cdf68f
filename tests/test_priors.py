import math

import numpy as np
import pytest
import tensorflow as tf

from tf_bigan import priors
from tf_bigan.errors import InputError
from tf_bigan.priors import Normal, Uniform, make_prior

SEED = tf.constant([3, 5], tf.int64)


def test_uniform_fills_its_range_evenly():
    z = Uniform(50).sample(2000, SEED).numpy()
    assert z.shape == (2000, 50) and z.dtype == np.float32
    assert z.min() >= -1.0 and z.max() < 1.0
    assert z.min() < -0.999 and z.max() > 0.999
    # A uniform on (-1, 1) has mean 0 and variance 1/3; 100,000 draws know them to about 0.002.
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1 / 3) < 0.005


def test_normal_has_unit_moments():
    z = Normal(50).sample(2000, SEED).numpy()
    assert z.shape == (2000, 50) and z.dtype == np.float32
    assert abs(z.mean()) < 0.02 and abs(z.var() - 1.0) < 0.02
    assert np.abs(z).max() > 3.0


@pytest.mark.parametrize("prior", [Uniform(7), Normal(7)])
def test_same_seed_gives_same_codes_and_other_seeds_others(prior):
    z = prior.sample(33, SEED)
    np.testing.assert_array_equal(z, prior.sample(tf.constant(33), SEED))
    np.testing.assert_array_equal(z, prior.sample(33, tf.constant([3, 5], tf.int32)))
    for other in ([3, 6], [4, 5], [5, 3]):
        assert not np.any(np.isclose(z, prior.sample(33, other)).all(axis=1))


@pytest.mark.parametrize("prior, tolerance", [(Uniform(50), 0.0), (Normal(50), 1e-5)])
def test_a_compiled_draw_gives_the_same_codes(prior, tolerance):
    compiled = tf.function(lambda: prior.sample(640, SEED), jit_compile=True)()
    np.testing.assert_allclose(compiled, prior.sample(640, SEED), rtol=tolerance, atol=tolerance)


def test_the_rarest_draws_stay_in_range(monkeypatch):
    def extremes(count, latent_dim, seed, bits):
        return tf.constant([[0.0, 2.0**bits - 1]])

    monkeypatch.setattr(priors, "_integers", extremes)
    np.testing.assert_array_equal(Uniform(2).sample(1, SEED), [[-1.0, 1 - 2.0**-23]])
    # The quantile function of the normal distribution at 2^-24.
    np.testing.assert_allclose(Normal(2).sample(1, SEED), [[-5.294704, 5.294704]], rtol=1e-5)


def test_rows_of_one_draw_differ():
    z = Uniform(4).sample(64, SEED).numpy()
    assert len(np.unique(z, axis=0)) == 64


@pytest.mark.parametrize("prior", [Uniform(3), Normal(3)])
def test_no_codes_can_be_drawn(prior):
    assert prior.sample(0, SEED).shape == (0, 3)


def test_uniform_code_is_the_squashed_logit():
    # 2 sigmoid(a) - 1 = tanh(a / 2); a = ln 3 gives 2 * 3/4 - 1.
    codes = Uniform(4).code(tf.constant([[0.0, math.log(3.0), -math.log(3.0), 2.0]]))
    np.testing.assert_allclose(codes, [[0.0, 0.5, -0.5, math.tanh(1.0)]], atol=1e-6)
    assert codes.dtype == tf.float32


def test_normal_code_is_the_output():
    outputs = tf.constant([[0.0, -7.5]])
    np.testing.assert_array_equal(Normal(2).code(outputs), outputs)


@pytest.mark.parametrize("prior", [Uniform(2), Normal(2)])
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_codes_and_losses_of_half_precision_outputs_are_float32(prior, dtype):
    outputs = tf.zeros((3, 2), dtype)
    assert prior.code(outputs).dtype == tf.float32
    assert prior.regression_loss(outputs, tf.zeros((3, 2))).dtype == tf.float32


def test_uniform_regression_loss_by_hand():
    # sigmoid(ln 3) = 3/4. Targets (z + 1) / 2 are 1, 0, 1/2.
    outputs = tf.constant([[math.log(3.0)] * 3, [0.0] * 3])
    z = tf.constant([[1.0, -1.0, 0.0], [0.3, -0.9, 1.0]])
    right, wrong = -math.log(0.75), -math.log(0.25)
    expected = [(right + wrong + (right + wrong) / 2) / 3, math.log(2.0)]
    np.testing.assert_allclose(Uniform(3).regression_loss(outputs, z), expected, rtol=1e-6)


def test_normal_regression_loss_by_hand():
    outputs, z = tf.constant([[1.0, 2.0], [0.0, 0.0]]), tf.constant([[0.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(Normal(2).regression_loss(outputs, z), [0.5 * (1 + 9) / 2, 0.0], rtol=1e-6)


def test_priors_are_made_by_name():
    assert isinstance(make_prior("uniform", 3), Uniform)
    assert isinstance(make_prior("normal", 3), Normal)
    assert make_prior("normal", 3).latent_dim == 3


@pytest.mark.parametrize("prior", [Uniform, Normal])
def test_a_prior_has_dimensions(prior):
    with pytest.raises(InputError, match="latent_dim must be at least 1, found -1"):
        prior(-1)


def test_unknown_prior_names_the_nearest():
    with pytest.raises(InputError, match="unknown prior 'unifrom'. Did you mean 'uniform'"):
        make_prior("unifrom", 3)
