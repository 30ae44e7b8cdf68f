import math

import numpy as np
import pytest
import tensorflow as tf

from tf_bigan import priors
from tf_bigan.errors import InputError
from tf_bigan.priors import Gaussian, Implicit, Linear, Normal, Squashed, Uniform, make_posterior, make_prior

SEED = tf.constant([3, 5], tf.int64)


def test_uniform_fills_its_range_evenly():
    z = Uniform(50).sample(2000, SEED).numpy()
    assert z.shape == (2000, 50) and z.dtype == np.float32
    assert z.min() >= -1.0 and z.max() < 1.0
    assert z.min() < -0.999 and z.max() > 0.999
    # A uniform on (-1, 1) has mean 0 and variance 1/3; 100,000 draws estimate them to about 0.002.
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


def test_a_squashed_code_is_2_sigmoid_minus_1():
    # 2 sigmoid(a) - 1 = tanh(a / 2); a = ln 3 gives 2 * 3/4 - 1.
    codes = Squashed().mean(tf.constant([[0.0, math.log(3.0), -math.log(3.0), 2.0]]))
    np.testing.assert_allclose(codes, [[0.0, 0.5, -0.5, math.tanh(1.0)]], atol=1e-6)
    assert codes.dtype == tf.float32


@pytest.mark.parametrize("posterior", [Linear(), Implicit()])
def test_a_linear_and_an_implicit_code_is_the_output(posterior):
    outputs = tf.constant([[0.0, -7.5]])
    np.testing.assert_array_equal(posterior.mean(outputs), outputs)
    np.testing.assert_array_equal(posterior.sample(outputs, tf.ones((1, 2))), outputs)


def test_a_gaussian_code_is_drawn_around_its_mean():
    outputs = tf.constant([[1.0, -2.0, math.log(3.0), math.log(0.5)]])
    posterior = Gaussian()
    assert posterior.units(2) == 4
    np.testing.assert_array_equal(posterior.mean(outputs), [[1.0, -2.0]])
    np.testing.assert_allclose(posterior.sample(outputs, tf.constant([[2.0, -1.0]])), [[7.0, -2.5]], rtol=1e-6)


def test_only_gaussian_and_implicit_codes_are_drawn():
    stochastic = {name: make_posterior(name).stochastic for name in ("squashed", "linear", "gaussian", "implicit")}
    assert stochastic == {"squashed": False, "linear": False, "gaussian": True, "implicit": True}
    assert all(make_posterior(name).units(3) == 3 for name in ("squashed", "linear", "implicit"))


@pytest.mark.parametrize("posterior", [Squashed(), Linear(), Gaussian(), Implicit()])
@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_codes_and_losses_of_half_precision_outputs_are_float32(posterior, dtype):
    outputs = tf.zeros((3, posterior.units(2)), dtype)
    for codes in (posterior.mean(outputs), posterior.sample(outputs, tf.zeros((3, 2)))):
        assert codes.dtype == tf.float32 and codes.shape == (3, 2)
    assert posterior.regression_loss(outputs, tf.zeros((3, 2))).dtype == tf.float32


def test_squashed_regression_loss_by_hand():
    # sigmoid(ln 3) = 3/4. Targets (z + 1) / 2 are 1, 0, 1/2.
    outputs = tf.constant([[math.log(3.0)] * 3, [0.0] * 3])
    z = tf.constant([[1.0, -1.0, 0.0], [0.3, -0.9, 1.0]])
    right, wrong = -math.log(0.75), -math.log(0.25)
    expected = [(right + wrong + (right + wrong) / 2) / 3, math.log(2.0)]
    np.testing.assert_allclose(Squashed().regression_loss(outputs, z), expected, rtol=1e-6)


def test_linear_regression_loss_by_hand():
    outputs, z = tf.constant([[1.0, 2.0], [0.0, 0.0]]), tf.constant([[0.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(Linear().regression_loss(outputs, z), [0.5 * (1 + 9) / 2, 0.0], rtol=1e-6)


def test_gaussian_regression_loss_by_hand():
    # The standard deviations are 2 and 1/2, so residuals of 1 and 3 are 1/2 and 6 standard deviations.
    outputs = tf.constant([[1.0, 2.0, math.log(2.0), math.log(0.5)]])
    z = tf.constant([[0.0, -1.0]])
    expected = (0.5 * 0.25 + math.log(2.0) + 0.5 * 36.0 - math.log(2.0)) / 2
    np.testing.assert_allclose(Gaussian().regression_loss(outputs, z), [expected], rtol=1e-6)


def test_priors_are_made_by_name():
    assert isinstance(make_prior("uniform", 3), Uniform)
    assert isinstance(make_prior("normal", 3), Normal)
    assert make_prior("normal", 3).latent_dim == 3
    # The default posterior of each prior.
    assert (Uniform.posterior, Normal.posterior) == ("squashed", "linear")
    assert type(make_posterior("squashed")) is Squashed and type(make_posterior("linear")) is Linear


@pytest.mark.parametrize("prior", [Uniform, Normal])
def test_a_prior_has_dimensions(prior):
    with pytest.raises(InputError, match="latent_dim must be at least 1, found -1"):
        prior(-1)


@pytest.mark.parametrize("latent_dim", ["5", 2.5, None])
def test_dimensions_are_whole_numbers(latent_dim):
    with pytest.raises(InputError, match=f"^latent_dim must be a whole number, found {latent_dim!r}$"):
        Normal(latent_dim)


@pytest.mark.parametrize("make, kind", [(lambda name: make_prior(name, 3), "prior"), (make_posterior, "posterior")])
def test_names_of_another_type_are_refused(make, kind):
    for name in (3, None, ["normal"]):
        with pytest.raises(InputError, match=f"^unknown {kind} "):
            make(name)


def test_unknown_prior_names_the_nearest():
    with pytest.raises(InputError, match="unknown prior 'unifrom'. Did you mean 'uniform'"):
        make_prior("unifrom", 3)


def test_unknown_posterior_names_the_nearest():
    with pytest.raises(InputError, match="unknown posterior 'gausian'. Did you mean 'gaussian'"):
        make_posterior("gausian")
