import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bigan.networks.layers import Maxout, OutputBias

SHAPES = {2: (7, 12 * 5), 4: (3, 4, 2, 12 * 5)}


def values(rank, seed=0):
    return np.random.default_rng(seed).normal(size=SHAPES[rank]).astype(np.float32)


def as_defined(x, pieces):
    """The maximum with TensorFlow's own gradient."""
    return tf.reduce_max(tf.reshape(x, (*x.shape[:-1], pieces, -1)), -2)


@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("rank", SHAPES)
def test_units_are_maxima_of_blocks(rank, pieces):
    x = values(rank)
    expected = x.reshape(*x.shape[:-1], pieces, -1).max(-2)
    np.testing.assert_array_equal(Maxout(pieces)(x), expected)
    assert Maxout(pieces).compute_output_shape(x.shape) == expected.shape
    assert Maxout(pieces)(keras.Input(x.shape[1:])).shape == (None, *expected.shape[1:])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("rank", SHAPES)
def test_gradients_and_those_of_a_penalty_are_tensorflows(rank, pieces, compiled):
    """A gradient penalty, as on D's inputs, is differentiated by weights before and after the maxout."""
    rng = np.random.default_rng(1)
    kernel = tf.Variable(rng.normal(size=(SHAPES[rank][-1],) * 2).astype(np.float32))
    behind = tf.Variable(rng.normal(size=(SHAPES[rank][-1] // pieces,)).astype(np.float32))

    def results(maxout):
        def run(x):
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    y = tf.reduce_sum(tf.tanh(maxout(tf.matmul(x, kernel)) * behind))
                gradient = inner.gradient(y, x)
                penalty = tf.reduce_sum(gradient**2)
            return y, gradient, *outer.gradient(penalty, [kernel, behind])

        return (tf.function(run) if compiled else run)(tf.constant(values(rank)))

    for found, expected in zip(results(Maxout(pieces)), results(lambda x: as_defined(x, pieces)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_gradient_goes_to_the_first_of_equals():
    x = tf.constant([[1.0, 5.0, 2.0, 5.0, 2.0, 4.0]])  # units: pieces (1, 2, 2) and (5, 5, 4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Maxout(3)(x)
        loss = tf.reduce_sum(y * [10.0, 7.0])
    np.testing.assert_array_equal(y, [[2.0, 5.0]])
    np.testing.assert_array_equal(tape.gradient(loss, x), [[0.0, 7.0, 10.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("pieces", [2, 5])
def test_weights_whose_pieces_are_adjacent_give_the_same_units(pieces):
    x, kernel = values(4), np.random.default_rng(1).normal(size=(60, 20)).astype(np.float32)
    adjacent = (x @ kernel).reshape(*x.shape[:-1], -1, pieces).max(-1)
    layer = Maxout(pieces)
    np.testing.assert_allclose(layer(x @ layer.from_adjacent(kernel)), adjacent, atol=1e-5)


def test_maxout_keeps_its_precision_and_is_made_again_from_its_config():
    layer = Maxout(2, dtype="mixed_bfloat16")
    assert layer(values(2)).dtype == tf.bfloat16
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.pieces == 2 and again.get_config() == layer.get_config()


def test_the_output_bias_becomes_the_log_odds_of_each_pixels_mean():
    layer = OutputBias()
    layer.build((None, 1, 2, 2))
    np.testing.assert_array_equal(layer.bias, np.zeros((1, 2, 2)))
    images = np.float32([[0.0, 1.0, 0.5, 0.2], [0.0, 1.0, 0.5, 0.4]]).reshape(2, 1, 2, 2)
    layer.set_mean(images)
    extreme = np.log((1 - 1e-7) / 1e-7)
    np.testing.assert_allclose(layer.bias.numpy().ravel(), [-extreme, extreme, 0.0, np.log(0.3 / 0.7)], atol=1e-5)
    x = np.random.default_rng(0).normal(size=(3, 1, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(layer(x), x + layer.bias, rtol=1e-6)
    np.testing.assert_allclose(tf.sigmoid(layer(np.zeros_like(x)))[0], images.mean(0), atol=1e-6)


def test_the_output_bias_is_made_again_from_its_config():
    layer = OutputBias(name="b")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
