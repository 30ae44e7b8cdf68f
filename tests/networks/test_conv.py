"""The structure of the convolutional networks; tests/conversion/test_original_weights.py tests their exact geometry."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, norms_of, tiny, values

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.games import GAN, BiGAN, LatentRegressor
from tf_bigan.networks import AlexNetDiscriminator, ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.conv import PaddedMaxPool, make

TINY = {"image_shape": (32, 32, 3), "width": 4}
MAKERS = {
    "encoder": lambda **settings: ConvEncoder(latent_dim=6, **TINY, **settings),
    "generator": lambda **settings: ConvGenerator(latent_dim=6, **TINY, **settings),
    "discriminator": lambda **settings: ConvDiscriminator(latent_dim=6, **TINY, **settings),
    "alexnet_discriminator": lambda **settings: AlexNetDiscriminator(**TINY, **settings),
}


def inputs_of(role, count=3):
    x, z = images(count, shape=(32, 32, 3)), np.random.default_rng(0).uniform(-1, 1, (count, 6)).astype(np.float32)
    return {"generator": z, "discriminator": [x, z]}.get(role, x)


def randomised(network):
    """The network with signals of order 1 at every layer, and inference statistics to match."""
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        if variable.name == "kernel":
            fan_in = math.prod(variable.shape[:-1])
            variable.assign(rng.normal(0.0, 1.0 / math.sqrt(fan_in), variable.shape))
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.variance.assign(rng.uniform(0.5, 1.5, norm.variance.shape))
    return network


@pytest.mark.parametrize(
    "network, parameters",
    [
        (ConvGenerator, 6_050_880),
        (ConvDiscriminator, 4_494_784),
        (ConvEncoder, 3_154_464),
        (lambda: ConvEncoder((112, 112, 3)), 4_844_064),
    ],
    ids=["G", "D", "E", "E 112"],
)
def test_the_papers_networks_have_their_parameter_counts(network, parameters):
    assert sum(math.prod(v.shape) for v in network().trainable_variables) == parameters


@pytest.mark.parametrize(
    "role, norms",
    [
        ("encoder", [f"conv{n}_norm" for n in (2, 3, 4, 5)]),
        ("alexnet_discriminator", [f"conv{n}_norm" for n in (2, 3, 4, 5)]),
        ("generator", ["fc_norm", "deconv1_norm", "deconv2_norm", "deconv3_norm"]),
        ("discriminator", [f"conv{n}_norm" for n in (2, 3, 4)]),
    ],
)
def test_batch_norm_with_gain_and_bias_stands_where_the_paper_has_it(role, norms):
    network = MAKERS[role]()
    found = norms_of(network)
    assert list(found) == norms and all(norm.affine and norm.epsilon == 1e-8 for norm in found.values())
    assert {v.name for v in network.trainable_variables} == {"kernel", "gain", "bias"}
    assert sum(v.name != "kernel" for v in network.trainable_variables) == 2 * len(norms)


def test_initial_values():
    network = ConvDiscriminator(seed=3)
    assert np.array(network.get_layer("conv3_linear").kernel).std() == pytest.approx(0.02, rel=0.01)
    assert np.array(network.get_layer("conv3_z").kernel).std() == pytest.approx(0.5, rel=0.01)  # 0.02 * 5 * 5
    assert np.array(ConvGenerator().get_layer("deconv1_z").kernel).std() == pytest.approx(0.5, rel=0.01)
    assert np.array(ConvGenerator().get_layer("fc_linear").kernel).std() == pytest.approx(0.02, rel=0.01)
    for role in ("discriminator", "alexnet_discriminator"):
        np.testing.assert_array_equal(MAKERS[role]()(inputs_of(role)), np.zeros((3, 1)))
    np.testing.assert_array_equal(MAKERS["encoder"](zero_output=True)(inputs_of("encoder")), np.zeros((3, 6)))
    assert np.abs(MAKERS["encoder"]()(inputs_of("encoder"))).max() > 0


def test_pools_let_negative_values_win_over_their_padding():
    x = -1.0 - np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    # Windows start at row and column -1 and 1.
    np.testing.assert_array_equal(PaddedMaxPool()(x)[0, :, :, 0], [[-1.0, -2.0], [-5.0, -6.0]])


def test_every_convolution_is_a_layer_before_and_after_its_nonlinearity():
    network = MAKERS["encoder"]()
    names = {layer.name for layer in network.layers}
    assert {f"conv{n}{suffix}" for n in (1, 2, 3, 4, 5) for suffix in ("", "_linear")} <= names
    assert {"conv2_norm", "conv5_norm", "pool1", "pool2"} <= names and "conv1_norm" not in names
    before, after = (
        keras.Model(network.input, network.get_layer(name).output)(inputs_of("encoder"))
        for name in ("conv4_norm", "conv4")
    )
    np.testing.assert_allclose(after, np.where(np.array(before) > 0, before, 0.2 * np.array(before)), rtol=1e-6)


@pytest.mark.parametrize("role", MAKERS)
def test_saved_networks_give_equal_outputs(role, tmp_path):
    network = randomised(MAKERS[role]())
    expected = network(inputs_of(role))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert type(again) is type(network)
    np.testing.assert_array_equal(again(inputs_of(role)), expected)
    network.save_weights(tmp_path / "network.weights.h5")
    again = MAKERS[role](seed=7)
    again.load_weights(tmp_path / "network.weights.h5")
    np.testing.assert_array_equal(again(inputs_of(role)), expected)


@pytest.mark.parametrize("role", MAKERS)
def test_mixed_precision_computes_in_half_and_keeps_float32_weights(role):
    network = randomised(MAKERS[role](dtype="mixed_bfloat16"))
    outputs = network(inputs_of(role))
    assert outputs.dtype == (tf.float32 if "discriminator" in role else tf.bfloat16)
    assert {v.dtype for v in network.variables} == {"float32"}
    twin = MAKERS[role]()
    for a, b in zip(twin.variables, values(network).values(), strict=True):
        a.assign(b)
    np.testing.assert_allclose(np.asarray(outputs, np.float32), twin(inputs_of(role)), atol=0.1)


def test_z_reaches_every_hidden_layer_of_g_and_d_but_d_s_first():
    generator, discriminator = MAKERS["generator"](), MAKERS["discriminator"]()
    assert [layer.name for layer in generator.layers if layer.name.endswith("_z")] == [
        f"deconv{n}_z" for n in (1, 2, 3)
    ]
    assert [layer.name for layer in discriminator.layers if layer.name.endswith("_z")] == [
        f"conv{n}_z" for n in (2, 3, 4)
    ]
    assert not [layer for layer in MAKERS["generator"](skip=False).layers if layer.name.endswith("_z")]
    alone = ConvDiscriminator(latent_dim=0, **TINY)
    assert len(alone.inputs) == 1 and not [layer for layer in alone.layers if layer.name.endswith("_z")]


def test_filters_are_images():
    assert MAKERS["encoder"]().image_filters().shape == (6, 11, 11, 3)
    assert MAKERS["discriminator"]().image_filters().shape == (4, 5, 5, 3)
    generator = MAKERS["generator"]()
    kernel = np.array(generator.get_layer("outputs_linear").kernel)  # [5, 5, out, in]
    assert generator.image_filters().shape == (4, 5, 5, 3)
    np.testing.assert_array_equal(generator.image_filters()[2], kernel[:, :, :, 2])


def test_sizes_that_the_networks_cannot_take_are_refused():
    with pytest.raises(InputError, match="square images of a multiple of 16 pixels, not 40x40"):
        ConvGenerator((40, 40, 3))
    with pytest.raises(InputError, match="square images of a multiple of 16 pixels, not 32x64"):
        ConvDiscriminator((32, 64, 3))
    with pytest.raises(InputError, match="takes images of at least 16x16, not 8x64"):
        ConvEncoder((8, 64, 3))
    with pytest.raises(InputError, match="width must be a multiple of 4 for the convolutional networks, found 5"):
        ConvEncoder(width=5)


def test_the_family_follows_the_experiment():
    assert Experiment(image_size=64, encoder_size=112, channels=3).encoder_shape == (112, 112, 3)
    experiment = tiny(networks="conv", image_size=32, encoder_size=48, channels=3, width=4, latent_dim=6)
    makers = make(experiment, "float32", BiGAN)
    assert makers["encoder"]().input_shape == (None, 48, 48, 3)
    assert makers["generator"]().output_shape == (None, 32, 32, 3)
    assert [tuple(i.shape) for i in makers["discriminator"]().inputs] == [(None, 32, 32, 3), (None, 6)]
    assert not makers["encoder"]().get_config()["zero_output"]
    makers = make(experiment, "float32", GAN)
    assert isinstance(makers["discriminator"](), AlexNetDiscriminator)
    makers = make(experiment, "float32", LatentRegressor)
    assert makers["encoder"]().get_config()["zero_output"]
    discriminator = makers["discriminator"]()
    assert isinstance(discriminator, ConvDiscriminator) and discriminator.input_shape == (None, 32, 32, 3)
    gaussian = make(dataclasses.replace(experiment, posterior="gaussian"), "float32", BiGAN)
    assert gaussian["encoder"]().output_shape == (None, 12) and gaussian["generator"]().input_shape == (None, 6)
