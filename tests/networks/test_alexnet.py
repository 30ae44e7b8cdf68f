import math

import keras
import numpy as np
import pytest
from helpers import images

from tf_bigan.errors import InputError
from tf_bigan.networks.alexnet import LAYERS, AlexNet, CeilMaxPool

TINY = {"width": 8, "units": 12}


def test_the_papers_size():
    network = AlexNet()
    assert network.count_params() == 60_965_224  # as in Caffe's reference model of AlexNet
    shapes = {name: network.get_layer(name).output.shape[1:3] for name in ("conv1", "pool1", "pool2", "pool5")}
    assert shapes == {"conv1": (55, 55), "pool1": (27, 27), "pool2": (13, 13), "pool5": (6, 6)}


@pytest.mark.parametrize("size, flat", [(39, 1), (64, 1), (112, 9)])
def test_smaller_images(size, flat):
    network = AlexNet((size, size, 3), classes=7, **TINY)
    assert network.get_layer("flat").output.shape[1] == flat * 32
    assert network(images(2, shape=(size, size, 3))).shape == (2, 7)


def test_images_that_the_pools_leave_nothing_of():
    with pytest.raises(InputError, match="AlexNet takes images of at least 39x39, not 38x64"):
        AlexNet((38, 64, 3))


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7, 8])
def test_pools_round_up(size):
    x = -images(1, shape=(size, size, 2)) - 1.0  # all negative: padding must not win
    starts = range(0, 2 * math.ceil((size - 3) / 2) + 1, 2)
    expected = [[x[0, a : a + 3, b : b + 3].max(axis=(0, 1)) for b in starts] for a in starts]
    found = CeilMaxPool()(x)
    np.testing.assert_array_equal(found[0], expected)
    assert CeilMaxPool().compute_output_shape((1, size, size, 2)) == found.shape


def test_weight_decay_is_half_of_l2_times_the_squared_weights():
    network = AlexNet((39, 39, 3), classes=2, l2=0.5, **TINY)
    weights = [network.get_layer(f"{name}_linear").kernel for name in LAYERS]
    expected = sum(0.25 * np.sum(np.square(w)) for w in weights)
    assert float(sum(network.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_layers_drop_different_units():
    network = AlexNet((39, 39, 3), classes=2, width=8, units=64)
    fc6, fc7 = (network.get_layer(f"{name}_dropout")(np.ones((1, 64)), training=True) for name in ("fc6", "fc7"))
    assert 0 < np.mean(np.array(fc6) == np.array(fc7)) < 1
    assert set(np.unique(fc6)) == {0.0, 2.0}


def test_it_is_saved_and_made_again(tmp_path):
    network = AlexNet((39, 39, 3), classes=2, seed=3, **TINY)
    network.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    x = images(2, shape=(39, 39, 3))
    np.testing.assert_allclose(again(x), network(x), atol=1e-6)
    assert type(again) is AlexNet
