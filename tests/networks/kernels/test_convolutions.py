import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_layer, images, padded, trimmed

from tf_bigan.networks.kernels import Convolution, TransposedConvolution, convolutions
from tf_bigan.networks.kernels.convolutions import kernel_gradient


@pytest.fixture(params=["as convolutions", "as matrix products", "as TensorFlow has it"])
def way(request, monkeypatch):
    """The ways to compute a convolution, its transpose and its kernel's gradient."""
    never, always = {"_SMALL_MAP": 0, "_MEDIUM_MAP": 0}, {"_LARGE_KERNEL": 1, "_MANY_CHANNELS": 1, "_SOME_CHANNELS": 1}
    limits = {"as convolutions": never | {"_FEW_CHANNELS": 0}, "as matrix products": always}
    for name, value in limits.get(request.param, {}).items():
        monkeypatch.setattr(convolutions, name, value)
    if request.param == "as TensorFlow has it":
        monkeypatch.setattr(convolutions, "_on_gpu", lambda: True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"groups": 2},
        {"groups": 3, "strides": 2},
        {"strides": 2, "use_bias": True},
        {"strides": 4, "kernel_size": 5},
        {"strides": 2, "kernel_size": 5, "pad": 2},
        {"strides": 4, "kernel_size": 5, "pad": 3},
        {"pad": 1, "groups": 2},
        {"kernel_size": 1, "strides": 3, "pad": 1},
        {"kernel_size": 1, "use_bias": True},
        {"kernel_size": 1, "strides": 2},
        {"kernel_size": (10, 11), "groups": 2},
        {"kernel_size": (10, 11), "strides": 2, "use_bias": True},
    ],
    ids=str,
)
def test_convolutions_are_keras_own(way, settings):
    settings = {"filters": 12, "kernel_size": 3, "use_bias": False, **settings}
    ours = Convolution(**settings)
    pad = settings.pop("pad", 0)
    assert_same_layer(ours, padded(keras.layers.Conv2D(**settings), pad), images(2, shape=(10, 11, 6)))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"strides": 2},
        {"strides": 2, "trim": (2, 1)},
        {"strides": 3, "trim": (0, 3)},
        {"strides": 3, "trim": (4, 4), "kernel_size": 5},
        {"strides": 3, "kernel_size": 2},
        {"strides": 2, "trim": (2, 1), "filters": 20},
        {"use_bias": True, "activation": "relu"},
        {"kernel_size": 1, "use_bias": True},
        {"kernel_size": 1, "strides": 2},
    ],
    ids=str,
)
def test_transposed_convolutions_are_keras_own(way, settings):
    settings = {"filters": 4, "kernel_size": 5, "use_bias": False, **settings}
    ours = TransposedConvolution(**settings)
    trim = settings.pop("trim", (0, 0))
    assert_same_layer(ours, trimmed(keras.layers.Conv2DTranspose(**settings), trim), images(2, shape=(3, 4, 6)))


@pytest.mark.parametrize("kernel_size, strides", [(5, 1), (4, 2), (2, 3), (1, 1)])
def test_transposed_convolutions_from_a_map_of_one_pixel(way, kernel_size, strides):
    settings = {"filters": 4, "kernel_size": kernel_size, "strides": strides, "use_bias": True}
    layers = TransposedConvolution(**settings), keras.layers.Conv2DTranspose(**settings)
    assert_same_layer(*layers, images(3, shape=(1, 1, 6)))


def test_they_are_made_again_from_their_configs():
    for layer in (Convolution(4, 3, 2, pad=1, groups=2), TransposedConvolution(4, 5, 2, trim=(2, 1))):
        again = type(layer).from_config(layer.get_config())
        layer.build((None, 8, 8, 6)), again.build((None, 8, 8, 6))
        again.set_weights(layer.get_weights())
        x = images(2, shape=(8, 8, 6))
        np.testing.assert_array_equal(again(x), layer(x))
        assert tuple(again(x).shape) == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("ours, theirs", [(Convolution, "Conv2D"), (TransposedConvolution, "Conv2DTranspose")])
def test_in_bfloat16(way, ours, theirs):
    settings = {"filters": 8, "kernel_size": 5, "strides": 2, "use_bias": False, "dtype": "mixed_bfloat16"}
    layer = ours(**settings)
    assert_same_layer(layer, getattr(keras.layers, theirs)(**settings), images(4, shape=(9, 9, 6)), tolerance=0.02)
    assert layer(images(1, shape=(9, 9, 6))).dtype == "bfloat16" and layer.kernel.dtype == "float32"


def test_the_kernel_s_gradient_by_hand(way):
    # One image of one channel, a 2x2 kernel of stride 2: each entry sums x at its place in every window.
    x = np.arange(1.0, 17.0, dtype=np.float32).reshape(1, 4, 4, 1)
    dy = np.float32([[1.0, 10.0], [100.0, 1000.0]]).reshape(1, 2, 2, 1)
    found = np.array(kernel_gradient(x, dy, (2, 2, 1, 1), 2, (0, 0)))[:, :, 0, 0]
    corners = np.array([[1, 3], [9, 11]])  # the windows' first entries, and what lies beside and below them
    expected = [[np.sum((corners + 4 * i + j) * [[1, 10], [100, 1000]]) for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_allclose(found, expected)
    # With one row and column of zeros in front, the windows do not reach the last row and column.
    found = np.array(kernel_gradient(x, dy, (2, 2, 1, 1), 2, (1, 0)))[:, :, 0, 0]
    assert found[0, 0] == 6 * 1000 and found[1, 1] == 1 * 1 + 3 * 10 + 9 * 100 + 11 * 1000


@pytest.mark.parametrize("kind, strides", [(Convolution, 1), (Convolution, 2), (TransposedConvolution, 2)])
def test_second_derivatives_are_keras_own(way, kind, strides):
    """Of the squared norm of the gradient with respect to the input, as a gradient penalty has it."""
    settings = {"filters": 5, "kernel_size": 3, "strides": strides, "use_bias": False}
    keras_kind = keras.layers.Conv2D if kind is Convolution else keras.layers.Conv2DTranspose
    x, found = tf.constant(images(2, shape=(6, 7, 4))), []
    kernel = None
    for layer in (kind(**settings), keras_kind(**settings)):
        layer.build(x.shape)
        kernel = layer.kernel.numpy() if kernel is None else kernel
        layer.kernel.assign(kernel)
        with tf.GradientTape() as outer:
            outer.watch([x, layer.kernel.value])
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x)))
            norm = tf.reduce_sum(tf.square(inner.gradient(y, x)))
        found.append(outer.gradient(norm, [x, layer.kernel.value]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_shapes_are_known_for_unknown_batches(way):
    inputs = keras.Input((9, 9, 4))
    h = Convolution(6, 3, 2, pad=1)(inputs)
    outputs = TransposedConvolution(3, 5, 2, trim=(2, 1))(h)
    assert h.shape == (None, 5, 5, 6) and outputs.shape == (None, 10, 10, 3)
    model = keras.Model(inputs, outputs)
    assert model.predict(images(3, shape=(9, 9, 4)), verbose=0).shape == (3, 10, 10, 3)


def test_images_of_unknown_size(way):
    layer = Convolution(6, 3, 2, pad=1)
    model = keras.Sequential([keras.Input((None, None, 4)), layer])
    x = images(3, shape=(9, 7, 4))
    assert model.output_shape == (None, None, None, 6)
    np.testing.assert_allclose(model.predict(x, verbose=0), layer(x), atol=1e-6)
