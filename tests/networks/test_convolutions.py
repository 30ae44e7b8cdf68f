import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images

from tf_bigan.networks import convolutions
from tf_bigan.networks.convolutions import Convolution, TransposedConvolution, kernel_gradient


@pytest.fixture(params=["few channels", "many channels"])
def channels(request, monkeypatch):
    """Both ways that the kernel's gradient is computed in."""
    monkeypatch.setattr(convolutions, "_MANY_CHANNELS", 1 if request.param == "many channels" else 10**9)


def results(layer, x, weights):
    """Outputs, and the gradients of a weighted sum of them in x and the kernel; compiled, as in training."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
        return y, *tape.gradient(loss, [x, *layer.trainable_variables])

    return [np.array(tf.cast(value, tf.float32)) for value in run(tf.constant(x))]


def assert_same(ours, theirs, x, tolerance=1e-5):
    ours.build(x.shape), theirs.build(x.shape)
    ours.set_weights(theirs.get_weights())
    weights = np.random.default_rng(1).normal(size=theirs.compute_output_shape(x.shape)).astype(np.float32)
    for found, expected in zip(results(ours, x, weights), results(theirs, x, weights), strict=True):
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"groups": 2},
        {"groups": 3, "strides": 2},
        {"strides": 2, "use_bias": True},
        {"strides": 4, "kernel_size": 5},
        {"padding": "same", "strides": 2},
        {"dilation_rate": 2},
    ],
    ids=str,
)
def test_convolutions_are_keras_own(channels, settings):
    settings = {"filters": 12, "kernel_size": 3, "use_bias": False, **settings}
    x = images(2, shape=(10, 11, 6))
    assert_same(Convolution(**settings), keras.layers.Conv2D(**settings), x)


@pytest.mark.parametrize(
    "settings", [{"strides": 2}, {}, {"strides": 2, "padding": "same"}, {"use_bias": True}], ids=str
)
def test_transposed_convolutions_are_keras_own(channels, settings):
    settings = {"filters": 4, "kernel_size": 5, "use_bias": False, **settings}
    x = images(2, shape=(3, 4, 6))
    assert_same(TransposedConvolution(**settings), keras.layers.Conv2DTranspose(**settings), x)


@pytest.mark.parametrize("ours, theirs", [(Convolution, "Conv2D"), (TransposedConvolution, "Conv2DTranspose")])
def test_in_bfloat16(channels, ours, theirs):
    settings = {"filters": 8, "kernel_size": 5, "strides": 2, "use_bias": False, "dtype": "mixed_bfloat16"}
    layer = ours(**settings)
    assert_same(layer, getattr(keras.layers, theirs)(**settings), images(4, shape=(9, 9, 6)), tolerance=0.02)
    assert layer(images(1, shape=(9, 9, 6))).dtype == "bfloat16" and layer.kernel.dtype == "float32"


def test_the_kernel_s_gradient_by_hand():
    # One image of one channel, a 2x2 kernel of stride 2: each entry sums x at its place in every window.
    x = np.arange(1.0, 17.0, dtype=np.float32).reshape(1, 4, 4, 1)
    dy = np.float32([[1.0, 10.0], [100.0, 1000.0]]).reshape(1, 2, 2, 1)
    found = kernel_gradient(x, dy, (2, 2, 1, 1), 2)[:, :, 0, 0]
    expected = [[x[0, i::2, j::2, 0].ravel() @ dy.ravel() for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_allclose(found, expected)
    assert found[0, 0] == 1 * 1 + 3 * 10 + 9 * 100 + 11 * 1000


def test_shapes_are_known_for_unknown_batches(monkeypatch):
    monkeypatch.setattr(convolutions, "_MANY_CHANNELS", 1)
    inputs = keras.Input((9, 9, 4))
    h = Convolution(6, 3, 2)(inputs)
    outputs = TransposedConvolution(3, 5, 2, use_bias=False)(h)
    assert h.shape == (None, 4, 4, 6) and outputs.shape == (None, 11, 11, 3)
    model = keras.Model(inputs, outputs)
    assert model.predict(images(3, shape=(9, 9, 4)), verbose=0).shape == (3, 11, 11, 3)
