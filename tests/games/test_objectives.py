import math

import numpy as np
import pytest
import tensorflow as tf

from tf_bigan.games import objectives


def log1p_exp(a):
    return math.log(1.0 + math.exp(a))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_at_chance_both_sides_of_the_joint_game_are_ln_2(shape):
    zeros = tf.zeros(shape)
    np.testing.assert_allclose(objectives.discriminate(zeros, zeros), math.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive(zeros, zeros), math.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive_generated(zeros), math.log(2.0), rtol=1e-6)


# Logits of ln 3 mean a probability of 3/4, of -ln 3 one of 1/4, of 0 one of 1/2.
REAL = np.float32([math.log(3.0), -math.log(3.0)])
GENERATED = np.float32([math.log(3.0), 0.0])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_losses_are_cross_entropies_worked_out_by_hand(shape):
    real, generated = tf.reshape(REAL, shape), tf.reshape(GENERATED, shape)
    # BCE(real, 1) is the mean of -ln 3/4 and -ln 1/4, BCE(generated, 0) of -ln 1/4 and -ln 1/2.
    real_1 = (-math.log(0.75) - math.log(0.25)) / 2
    generated_0 = (-math.log(0.25) - math.log(0.5)) / 2
    np.testing.assert_allclose(objectives.discriminate(real, generated), (real_1 + generated_0) / 2, rtol=1e-6)
    # With swapped labels, BCE(real, 0) equals BCE(-real, 1), which here is the same number.
    real_0 = (-math.log(0.25) - math.log(0.75)) / 2
    generated_1 = (-math.log(0.75) - math.log(0.5)) / 2
    np.testing.assert_allclose(objectives.deceive(real, generated), (real_0 + generated_1) / 2, rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive_generated(generated), generated_1, rtol=1e-6)


def test_real_and_generated_are_told_apart():
    # D is right about all pairs, so its loss is small and its opponents' is large. Each term is half of ln(1 + e^a).
    real, generated = tf.constant([[3.0]]), tf.constant([[-5.0]])
    np.testing.assert_allclose(
        objectives.discriminate(real, generated), (log1p_exp(-3.0) + log1p_exp(-5.0)) / 2, rtol=1e-5
    )
    np.testing.assert_allclose(objectives.deceive(real, generated), (log1p_exp(3.0) + log1p_exp(5.0)) / 2, rtol=1e-5)
    np.testing.assert_allclose(objectives.deceive_generated(generated), log1p_exp(5.0), rtol=1e-5)


def test_batches_of_different_sizes_weigh_the_same():
    real, generated = tf.zeros((1, 1)), tf.constant([[math.log(3.0)]] * 3)
    expected = (math.log(2.0) - math.log(0.25)) / 2
    np.testing.assert_allclose(objectives.discriminate(real, generated), expected, rtol=1e-6)


def test_a_discriminator_that_is_sure_and_wrong_costs_a_finite_loss():
    sure = tf.constant([[1e4]])
    np.testing.assert_allclose(objectives.discriminate(-sure, sure), 1e4, rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive(sure, -sure), 1e4, rtol=1e-6)
    np.testing.assert_allclose(objectives.discriminate(sure, -sure), 0.0, atol=1e-6)


def test_gradients_of_the_logits_by_hand():
    # d softplus(-r) / dr = sigmoid(r) - 1, halved and averaged over two.
    real, generated = tf.constant(REAL), tf.constant(GENERATED)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, generated])
        d, eg = objectives.discriminate(real, generated), objectives.deceive(real, generated)
    np.testing.assert_allclose(tape.gradient(d, real), [(0.75 - 1) / 4, (0.25 - 1) / 4], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(d, generated), [0.75 / 4, 0.5 / 4], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(eg, real), [0.75 / 4, 0.25 / 4], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(eg, generated), [(0.75 - 1) / 4, (0.5 - 1) / 4], rtol=1e-5)


def test_reconstruction_errors_are_summed_over_pixels_and_averaged_over_images():
    x = np.zeros((2, 2, 1, 3), np.float32)
    y = x.copy()
    y[0, 0, 0] = [1.0, -2.0, 0.5]
    y[1, 1, 0, 2] = 3.0
    np.testing.assert_allclose(objectives.reconstruction_l1(x, y), (3.5 + 3.0) / 2, rtol=1e-6)
    np.testing.assert_allclose(objectives.reconstruction_l2(x, y), (5.25 + 9.0) / 2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_losses_of_half_precision_inputs_are_computed_in_float32(dtype):
    real, generated = tf.cast(REAL, dtype), tf.cast(GENERATED, dtype)
    for loss in (
        objectives.discriminate(real, generated),
        objectives.deceive(real, generated),
        objectives.deceive_generated(generated),
    ):
        assert loss.dtype == tf.float32 and loss.shape == ()
    exact = objectives.discriminate(tf.cast(real, tf.float32), tf.cast(generated, tf.float32))
    np.testing.assert_allclose(objectives.discriminate(real, generated), exact, rtol=1e-6)

    # 784 times 256 overflows float16, and bfloat16 cannot represent the sum.
    x = tf.zeros((1, 28, 28, 1))
    for reconstruct, expected in ((objectives.reconstruction_l1, 784 * 16), (objectives.reconstruction_l2, 784 * 256)):
        loss = reconstruct(x, tf.fill((1, 28, 28, 1), tf.cast(16.0, dtype)))
        assert loss.dtype == tf.float32 and float(loss) == expected


def test_hinge_losses_by_hand():
    real, generated = tf.constant([[2.0], [0.5]]), tf.constant([[-3.0], [0.25]])
    # max(0, 1 - real) is 0 and 0.5; max(0, 1 + generated) is 0 and 1.25.
    np.testing.assert_allclose(objectives.discriminate_hinge(real, generated), 0.25 + 0.625, rtol=1e-6)
    np.testing.assert_allclose(objectives.deceive_hinge(real, generated), 1.25 + 1.375, rtol=1e-6)


def test_the_losses_of_several_scores_of_a_pair_are_summed():
    rng = np.random.default_rng(0)
    real, generated = (tf.constant(rng.normal(0, 2, (5, 3, 1)), tf.float32) for _ in range(2))
    for objective in (objectives.HALVED, objectives.SUMMED, objectives.RELATIVISTIC, objectives.HINGE):
        for loss in (objective.discriminate, objective.deceive):
            parts = [loss(real[:, n], generated[:, n]) for n in range(3)]
            np.testing.assert_allclose(loss(real, generated), np.sum(parts), rtol=1e-5)
