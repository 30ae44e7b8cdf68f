import math

import keras
import pytest

from tf_bigan.networks import ALIEncoder
from tf_bigan.networks.costs import LayerCost, layer_costs
from tf_bigan.networks.kernels import Convolution, TransposedConvolution
from tf_bigan.networks.layers import BatchNorm


def costs_of(shape, *layers):
    return layer_costs(keras.Sequential([keras.Input(shape), *layers]))


@pytest.mark.parametrize(
    "shape, layer, expected",
    [
        # 5 * 5 * 3 * 16 = 1,200 weights, each used at 3 * 3 places; 16 biases.
        ((9, 9, 3), Convolution(16, 5, 2, name="a"), ((3, 3, 16), 1_216, 2 * 1_200 * 9)),
        ((9, 9, 3), keras.layers.Conv2D(16, 5, 2, name="a"), ((3, 3, 16), 1_216, 2 * 1_200 * 9)),
        # Two groups, each from 2 to 3 channels: 2 * 3 * 3 * 2 * 3 = 108 weights at 5 * 5 places.
        ((5, 5, 4), Convolution(6, 3, pad=1, groups=2, use_bias=False, name="a"), ((5, 5, 6), 108, 2 * 108 * 25)),
        # 4 * 4 * 8 * 6 = 768 weights; each of the 3 * 3 inputs is multiplied by all of them.
        ((3, 3, 8), TransposedConvolution(6, 4, 2, use_bias=False, name="a"), ((8, 8, 6), 768, 2 * 768 * 9)),
        ((10,), keras.layers.Dense(7, name="a"), ((7,), 77, 2 * 70)),
        ((2, 3, 10), keras.layers.Dense(7, name="a"), ((2, 3, 7), 77, 2 * 70 * 6)),
        ((4, 4, 5), BatchNorm(affine=True, name="a"), ((4, 4, 5), 10, 0)),
        ((4, 4, 5), BatchNorm(name="a"), ((4, 4, 5), 0, 0)),
        ((4, 4, 5), keras.layers.ReLU(name="a"), ((4, 4, 5), 0, 0)),
    ],
)
def test_costs_worked_out_by_hand(shape, layer, expected):
    assert costs_of(shape, layer) == [LayerCost("a", *expected)]


def test_a_network_is_listed_from_its_first_layer_to_its_output():
    network = ALIEncoder(width=4, latent_dim=6)
    costs = layer_costs(network)
    assert [cost.name for cost in costs[:4]] == ["conv1_linear", "conv1_norm", "conv1", "conv2_linear"]
    assert costs[-1][:2] == ("outputs", (12,))
    assert costs[0] == LayerCost("conv1_linear", (28, 28, 4), 300, 2 * 300 * 28 * 28)
    assert sum(cost.parameters for cost in costs) == sum(map(math.prod, (v.shape for v in network.trainable_variables)))
