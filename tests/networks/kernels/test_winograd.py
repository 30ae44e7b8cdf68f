import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_layer, images, padded, trimmed

from tf_bigan.networks.kernels import Convolution, TransposedConvolution, convolutions, winograd


@pytest.fixture
def used(monkeypatch):
    """Which of the two functions ran, for any number of images and channels."""
    calls = []

    def spied(name):
        function = getattr(winograd, name)
        return lambda *args: calls.append(name) or function(*args)

    monkeypatch.setattr(winograd, "_MANY_PAIRS", 1)
    monkeypatch.setattr(winograd, "_MANY_TILES", 1)
    for name in ("convolve", "transpose"):
        monkeypatch.setattr(winograd, name, spied(name))
    return calls


def test_an_axis_by_hand():
    # One row of the image is 1 ... 6, the others are 0. Only the kernel's first row is not 0: it reads three digits.
    x = np.zeros((1, 6, 6, 1), np.float32)
    x[0, 2, :, 0] = np.arange(1, 7)
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[0, :, 0, 0] = 1, 10, 100
    y = np.array(winograd.convolve(tf.constant(x), tf.constant(kernel), 1, 0, (4, 4)))[0, :, :, 0]
    expected = np.zeros((4, 4))
    expected[2] = 321, 432, 543, 654
    np.testing.assert_allclose(y, expected, atol=1e-2)


@pytest.mark.parametrize(
    "settings, shape",
    [
        ({"pad": 1}, (4, 8)),
        ({"pad": 1, "groups": 2, "use_bias": True}, (8, 4)),
        ({"kernel_size": 2}, (5, 9)),
        ({"kernel_size": 5, "strides": 2, "pad": 2}, (8, 16)),
        ({"kernel_size": (5, 3), "strides": 2, "pad": 2}, (8, 6)),
        ({"kernel_size": 7, "strides": 3}, (18, 16)),
    ],
    ids=str,
)
def test_convolutions_are_keras_own(used, settings, shape):
    settings = {"filters": 12, "kernel_size": 3, "use_bias": False, **settings}
    ours = Convolution(**settings)
    pad = settings.pop("pad", 0)
    assert_same_layer(ours, padded(keras.layers.Conv2D(**settings), pad), images(2, shape=(*shape, 6)))
    assert set(used) == {"convolve"}


@pytest.mark.parametrize(
    "settings, shape",
    [
        ({"kernel_size": 3}, (4, 8)),
        ({"trim": (2, 1)}, (4, 8)),
        ({"trim": (0, 2), "use_bias": True, "activation": "relu"}, (8, 4)),
        ({"strides": 3}, (4, 4)),
    ],
    ids=str,
)
def test_transposed_convolutions_are_keras_own(used, settings, shape):
    settings = {"filters": 4, "kernel_size": 5, "strides": 1 if "kernel_size" in settings else 2, **settings}
    settings = {"use_bias": False, **settings}
    ours = TransposedConvolution(**settings)
    trim = settings.pop("trim", (0, 0))
    assert_same_layer(ours, trimmed(keras.layers.Conv2DTranspose(**settings), trim), images(2, shape=(*shape, 6)))
    assert set(used) == {"transpose"}


def test_rounding_at_the_width_of_the_networks():
    # D's conv4, whose transpose is G's deconv1: outputs and gradients are compared with those in float64.
    rng = np.random.default_rng(0)
    x, kernel, dy = (rng.normal(size=size) for size in ((64, 8, 8, 256), (5, 5, 256, 512), (64, 4, 4, 512)))

    def all_of(dtype, convolve, transpose):
        maps, weights, gradient = (tf.constant(value.astype(np.float32), dtype) for value in (x, kernel, dy))
        with tf.GradientTape() as tape:
            tape.watch([maps, weights])
            y = convolve(maps, weights)
        return [y, *tape.gradient(y, [maps, weights], gradient), transpose(gradient, weights)]

    frame = [[0, 0], [2, 2], [2, 2], [0, 0]]
    exact = all_of(
        tf.float64,
        lambda x, w: tf.nn.conv2d(x, w, 2, frame),
        lambda y, w: tf.nn.conv2d_transpose(y, w, (64, 8, 8, 256), 2, frame),
    )
    found = all_of(
        tf.float32,
        lambda x, w: winograd.convolve(x, w, 2, 2, (4, 4)),
        lambda y, w: winograd.transpose(y, w, 2, 2, (8, 8)),
    )
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=7e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("layer", [Convolution(512, 5, 2, pad=2), TransposedConvolution(256, 5, 2, trim=(2, 1))])
def test_channels_that_the_input_does_not_tell(layer):
    x = images(128, shape=(4, 4, 256))
    layer.build(x.shape)
    untold = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec((128, 4, 4, None))])
    expected = layer(x)
    np.testing.assert_allclose(untold(x), expected, atol=1e-5 * np.abs(expected).max())


def test_where_it_pays(monkeypatch):
    def pays(images=128, kernel=(5, 5, 256, 512), stride=2, edges=(4, 4), dtype=tf.float32):
        return winograd.pays(images, kernel, stride, edges, dtype)

    assert pays() and pays(kernel=(3, 3, 192, 128), stride=1) and pays(images=16, edges=(8, 8))
    assert not pays(images=16) and not pays(images=None)  # the kernel's transform
    assert not pays(edges=(4, 5)) and not pays(edges=(4, None)) and not pays(edges=(16, 16))
    assert not pays(edges=(-4, -4))  # a kernel larger than its map
    assert not pays(stride=1) and not pays(stride=5) and not pays(stride=6)  # five taps of a remainder, one and none
    assert not pays(kernel=(5, 5, 64, 128)) and not pays(dtype=tf.bfloat16)
    layer = Convolution(512, 5, 2, pad=2, use_bias=False)
    layer.build((None, 8, 8, 256))
    monkeypatch.setattr(winograd, "convolve", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        layer(np.zeros((128, 8, 8, 256), np.float32))
    monkeypatch.setattr(convolutions, "_on_gpu", lambda: True)
    assert layer(np.zeros((128, 8, 8, 256), np.float32)).shape == (128, 4, 4, 512)
