"""The networks of conditional ALI: their inputs and parameters, and what depends on the embedding."""

import math

import keras
import numpy as np
import pytest
from helpers import images

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.games.inspection import conditions_of, depends_on_conditions
from tf_bigan.networks import ALIDiscriminator, ALIEmbedding, ALIEncoder, ALIGenerator

MAKERS = {"encoder": ALIEncoder, "generator": ALIGenerator, "discriminator": ALIDiscriminator}
SMALL = {"width": 4, "latent_dim": 6, "conditional": True}  # the embedding has 4 / 32 of 256 units
FIRST = {
    "encoder": [images(3, shape=(32, 32, 3))],
    "generator": [np.ones((3, 6), np.float32)],
    "discriminator": [images(3, shape=(32, 32, 3)), np.ones((3, 6), np.float32)],
}


def count(network):
    return sum(math.prod(v.shape) for v in network.trainable_variables)


@pytest.mark.parametrize("architecture", ["ali_cifar10", "ali_svhn", "ali_celeba", "ali_tiny_imagenet"])
def test_the_embedding_adds_its_256_units_to_the_inputs_of_three_layers(architecture):
    edge = 32 if architecture in ("ali_cifar10", "ali_svhn") else 64
    layers = {"encoder": "outputs_linear", "generator": "deconv1_linear", "discriminator": "joint1_linear"}
    small = {"image_shape": (edge, edge, 3), "architecture": architecture, "width": 4}
    units = ALIEmbedding(attributes=5, architecture=architecture, width=4).output_shape[-1]
    assert units == 256 * 4 // (32 if edge == 32 else 64)
    for role, layer in layers.items():
        plain, conditional = MAKERS[role](**small), MAKERS[role](**small, conditional=True)
        assert conditional.inputs[-1].name == "embedding" and conditional.inputs[-1].shape == (None, units)
        kernel, wider = plain.get_layer(layer).kernel.shape, conditional.get_layer(layer).kernel.shape
        added = [there - here for here, there in zip(kernel, wider, strict=True)]
        assert sorted(added) == [0, 0, 0, units]
        assert count(conditional) - count(plain) == math.prod(wider) - math.prod(kernel)


def test_the_embedding_is_linear_with_a_bias_of_0_and_float32():
    network = ALIEmbedding(attributes=40, dtype="mixed_bfloat16")
    kernel, bias = network.get_weights()
    assert kernel.shape == (40, 256) and not bias.any() and count(network) == 10_496
    assert abs(kernel.std() / 0.01 - 1) < 5 / math.sqrt(2 * kernel.size)
    attributes = np.random.default_rng(0).integers(0, 2, (4, 40)).astype(np.float32)
    found = network(attributes)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, attributes @ kernel, atol=1e-6)


@pytest.mark.parametrize("role", MAKERS)
def test_a_conditional_network_is_saved_and_depends_on_its_embedding(role, tmp_path):
    network = MAKERS[role](**SMALL, stddev=0.3)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    zeros, ones = np.zeros((3, 32), np.float32), np.ones((3, 32), np.float32)
    found = network([*FIRST[role], ones])
    np.testing.assert_array_equal(again([*FIRST[role], ones]), found)
    assert np.abs(found - network([*FIRST[role], zeros])).max() > 1e-6
    assert conditions_of(network) == ["attributes"]


def test_only_the_encoders_last_layer_depends_on_the_embedding():
    network = ALIEncoder(**SMALL)
    told = {layer.name: depends_on_conditions(network, layer.name) for layer in network.layers}
    dependent = {"embedding", "embedding_map", "outputs_inputs", "outputs_linear", "outputs"}
    assert {name for name, depends in told.items() if depends} == dependent
    assert depends_on_conditions(network, "code")
    assert not depends_on_conditions(ALIEncoder(width=4), "code")


def test_a_discriminator_of_images_alone_can_be_conditional():
    network = ALIDiscriminator(width=4, latent_dim=0, conditional=True)
    assert [tensor.name for tensor in network.inputs] == ["images", "embedding"]
    with Draws(1, 0, 3).active():
        x = images(3, shape=(32, 32, 3))
        assert network([x, np.ones((3, 32), np.float32)], training=True).shape == (3, 1)


def test_the_embedding_refuses_what_the_other_networks_refuse():
    with pytest.raises(InputError, match="unknown architecture 'ali_cifar'"):
        ALIEmbedding(architecture="ali_cifar")
    with pytest.raises(InputError, match="width must be a multiple of 2"):
        ALIEmbedding(width=3)
