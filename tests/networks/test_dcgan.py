"""The DCGAN networks for small images, compared with the authors' tables."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, norms_of, tiny, values

from tf_bigan.errors import InputError
from tf_bigan.games import GAN, BiGAN, LatentRegressor, make_game
from tf_bigan.networks import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from tf_bigan.networks.dcgan import make

TINY = {"image_shape": (16, 16, 3), "width": 4}
MAKERS = {
    "encoder": lambda **settings: DCGANEncoder(latent_dim=6, **TINY, **settings),
    "generator": lambda **settings: DCGANGenerator(latent_dim=6, **TINY, **settings),
    "discriminator": lambda **settings: DCGANDiscriminator(**TINY, **settings),
    "joint discriminator": lambda **settings: DCGANDiscriminator(latent_dim=6, **TINY, **settings),
}


def inputs_of(role, count=3):
    x, z = images(count, shape=(16, 16, 3)), np.random.default_rng(0).uniform(-1, 1, (count, 6)).astype(np.float32)
    return {"generator": z, "joint discriminator": [x, z]}.get(role, x)


def kernels(network):
    return sum(math.prod(v.shape) for v in network.trainable_variables if v.name == "kernel")


def maps(network, prefix):
    """The (edge, channels) of each layer called `prefix` with a number, from input to output."""
    found = [layer for layer in network.layers if layer.name.startswith(prefix) and layer.name[len(prefix) :].isdigit()]
    return [(layer.output.shape[1], layer.output.shape[-1]) for layer in found]


def test_the_weights_are_as_many_as_in_the_papers_networks():
    # 1,554,112 is less than 40 % of the 4,924,800 weights of the CIFAR-10 generator of Salimans et al. 2016, as
    # Warde-Farley and Bengio say of theirs.
    assert kernels(DCGANGenerator()) == 1_554_112
    assert kernels(DCGANGenerator(latent_dim=256)) == 2_193_088
    sizes = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    assert kernels(DCGANDiscriminator()) == sum(9 * i * o for i, o in sizes) + 4096
    assert kernels(DCGANEncoder()) == sum(9 * i * o for i, o in sizes) + 4096 * 100


def test_the_authors_imagenet_networks_layer_by_layer():
    generator = DCGANGenerator(latent_dim=256, width=128)
    assert generator.get_layer("fc_map").output.shape[1:] == (4, 4, 512)
    assert maps(generator, "deconv") == [(8, 512), (8, 256), (16, 256), (16, 128), (32, 128)]
    assert generator.output_shape == (None, 32, 32, 3)
    discriminator = DCGANDiscriminator(width=128)
    assert maps(discriminator, "conv") == [(32, 128), (16, 128), (16, 256), (8, 256), (8, 512), (4, 512)]
    assert discriminator.get_layer("outputs").kernel.shape == (8192, 1)


def test_images_of_48_pixels_begin_with_maps_of_6():
    generator, discriminator = DCGANGenerator((48, 48, 3), width=4), DCGANDiscriminator((48, 48, 3), width=4)
    assert generator.get_layer("fc_map").output.shape[1:] == (6, 6, 16)
    assert generator.output_shape == (None, 48, 48, 3)
    assert maps(discriminator, "conv")[-1] == (6, 16)


@pytest.mark.parametrize(
    "role, norms",
    [
        ("encoder", [f"conv{n}_norm" for n in range(2, 7)]),
        ("generator", ["fc_norm", *(f"deconv{n}_norm" for n in range(1, 6))]),
        ("discriminator", [f"conv{n}_norm" for n in range(2, 7)]),
    ],
)
def test_batch_norms_stand_everywhere_but_at_gs_output_and_ds_first_layer(role, norms):
    found = norms_of(MAKERS[role]())
    assert list(found) == norms and all(norm.affine for norm in found.values())


def test_the_first_norm_of_g_has_statistics_for_each_unit():
    assert MAKERS["generator"]().get_layer("fc_norm").gain.shape == (2 * 2 * 16,)


def test_d_begins_with_logits_of_0_and_other_weights_are_normal():
    for role in ("discriminator", "joint discriminator"):
        np.testing.assert_array_equal(MAKERS[role]()(inputs_of(role)), np.zeros((3, 1)))
    np.testing.assert_array_equal(MAKERS["encoder"](zero_output=True)(inputs_of("encoder")), np.zeros((3, 6)))
    network = DCGANDiscriminator(latent_dim=100, seed=3)
    assert np.array(network.get_layer("conv5_linear").kernel).std() == pytest.approx(0.02, rel=0.01)
    assert np.array(network.get_layer("conv5_z").kernel).std() == pytest.approx(0.18, rel=0.02)  # 0.02 * 3 * 3


def test_images_are_in_0_to_1_at_the_border_and_centred_inside():
    network = MAKERS["generator"]()
    for variable in network.trainable_variables:
        variable.assign(10.0 * variable)
    z = inputs_of("generator")
    found = np.array(network(z))
    a = np.array(keras.Model(network.input, network.get_layer("outputs_linear").output)(z))
    np.testing.assert_allclose(found, (np.tanh(a) + 1.0) / 2.0, atol=1e-6)
    encoder = MAKERS["encoder"]()
    part = keras.Model(encoder.input, encoder.get_layer("centred").output)
    np.testing.assert_allclose(part(inputs_of("encoder")), 2.0 * inputs_of("encoder") - 1.0, atol=1e-6)


def test_a_deconvolution_is_the_gradient_of_ds_convolution():
    """Output pixel 2i of a 3x3 deconvolution with stride 2 sees input pixel i; pixel 2i + 1 sees pixels i and i + 1."""
    network = MAKERS["generator"]()
    layer = network.get_layer("deconv1_linear")
    kernel = np.zeros(layer.kernel.shape, np.float32)  # [3, 3, out, in]
    kernel[:, :, 0, 0] = np.arange(9.0).reshape(3, 3)
    layer.kernel.assign(kernel)
    x = np.zeros((1, 2, 2, 16), np.float32)
    x[0, 0, 0, 0] = 1.0
    expected = np.zeros((4, 4))
    expected[:2, :2] = [[4.0, 5.0], [7.0, 8.0]]
    np.testing.assert_array_equal(np.array(layer(x))[0, :, :, 0], expected)


@pytest.mark.parametrize("role", MAKERS)
def test_saved_networks_give_equal_outputs(role, tmp_path):
    network = MAKERS[role]()
    for i, variable in enumerate(network.trainable_variables):
        if variable.name == "kernel":
            fan_in = math.prod(variable.shape[:-1])
            variable.assign(np.random.default_rng(i).normal(0.0, 1.0 / math.sqrt(fan_in), variable.shape))
    expected = network(inputs_of(role))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert type(again) is type(network) and np.abs(expected).max() > 0
    np.testing.assert_array_equal(again(inputs_of(role)), expected)


@pytest.mark.parametrize("role", MAKERS)
def test_mixed_precision_keeps_float32_weights(role):
    network = MAKERS[role](dtype="mixed_bfloat16")
    outputs = network(inputs_of(role))
    assert outputs.dtype == (tf.float32 if "discriminator" in role else tf.bfloat16)
    assert {v.dtype for v in network.variables} == {"float32"}
    assert all(np.isfinite(value).all() for value in values(network).values())


def test_d_has_the_same_layers_in_games_with_and_without_codes():
    experiment = tiny(networks="dcgan", image_size=16, channels=3)
    alone, joint, features = (make(experiment, "float32", system) for system in (GAN, BiGAN, LatentRegressor))
    assert len(alone["discriminator"]().inputs) == 1 and len(joint["discriminator"]().inputs) == 2
    shared = {layer.name for layer in alone["discriminator"]().layers}
    added = {layer.name for layer in joint["discriminator"]().layers} - shared
    assert added == {"z"} | {f"conv{n}_{part}" for n in range(2, 7) for part in ("z", "z_map", "sum")}
    assert not np.any(features["encoder"]().get_layer("outputs").kernel)


def test_its_games_have_ds_last_maps_as_features():
    game = make_game(
        tiny(
            networks="dcgan",
            system="gan",
            image_size=16,
            channels=3,
            denoising_feature_matching=0.03,
            denoiser_layers=1,
        )
    )
    assert game.denoiser.input_shape == (None, 2 * 2 * 64)


def test_filters_are_images():
    for role in MAKERS:
        assert MAKERS[role]().image_filters().shape == (4, 3, 3, 3)
    generator = MAKERS["generator"]()
    kernel = np.array(generator.get_layer("outputs_linear").kernel)  # [3, 3, in, out]
    np.testing.assert_array_equal(generator.image_filters()[2, :, :, 1], kernel[:, :, 2, 1])


@pytest.mark.parametrize("shape", [(20, 20, 3), (16, 24, 3), (0, 0, 3)])
def test_images_of_other_sizes_are_refused(shape):
    for network in (DCGANEncoder, DCGANGenerator, DCGANDiscriminator):
        with pytest.raises(InputError, match="take square images of a multiple of 8 pixels, not"):
            network(shape)
