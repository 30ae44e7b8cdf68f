import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, norms_of

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.networks import ALIDiscriminator, ALIEncoder, ALIGenerator
from tf_bigan.networks.ali_architectures import ARCHITECTURES
from tf_bigan.networks.layers import Maxout, tracking_statistics
from tf_bigan.networks.noise import Dropout

MAKERS = {"encoder": ALIEncoder, "generator": ALIGenerator, "discriminator": ALIDiscriminator}
SMALL = {"width": 4, "latent_dim": 6}
COMMON = {
    **{"image_shape": (32, 32, 1), "architecture": "ali_svhn", "latent_dim": 5, "width": 3, "stddev": 0.03},
    **{"sync_batch_norm": True, "seed": 9, "conditional": True},
}
CHANGED = {
    "encoder": {"gaussian": False, "zero_output": True},
    "generator": {},
    "discriminator": {"dropout": "as_coded", "outputs": 3},
}


def pictures(count, seed=0):
    return images(count, seed, (32, 32, 3))


def codes(count, seed=0, latent_dim=6):
    return np.random.default_rng(seed).normal(size=(count, latent_dim)).astype(np.float32)


def inputs_of(role, count=4):
    x, z = pictures(count), codes(count)
    return {"encoder": x, "generator": z, "discriminator": [x, z]}[role]


def randomised(network, seed=0):
    """The network with signals of order 1 at every layer, and with its own inference statistics."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        if variable.name == "kernel":
            inputs = math.prod(variable.shape[:-1]) if "deconv" not in variable.path else variable.shape[-1]
            variable.assign(rng.normal(0.0, 1.0 / math.sqrt(inputs), variable.shape))
        else:
            variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.stdev.assign(rng.uniform(0.5, 1.5, norm.stdev.shape))
    return network


def in_step(network, inputs, count=4, parts=1, step=0):
    """The network's output in training mode, in a step of a game."""
    draws = Draws(1, step, count)
    with draws.active(), draws.parts(parts):
        return np.array(network(inputs, training=True))


@pytest.mark.parametrize(
    "architecture, parameters",
    [
        ("ali_cifar10", (3_118_496, 981_152, 2_611_009)),
        ("ali_svhn", (3_315_488, 1_767_584, 5_283_073)),
        ("ali_celeba", (6_794_880, 11_811_392, 15_189_057)),
        ("ali_tiny_imagenet", (7_812_352, 3_164_224, 32_985_793)),
    ],
)
def test_the_papers_networks_have_their_parameter_counts(architecture, parameters):
    edge = ARCHITECTURES[architecture].edge
    networks = [maker((edge, edge, 3), architecture=architecture) for maker in MAKERS.values()]
    assert tuple(sum(math.prod(v.shape) for v in n.trainable_variables) for n in networks) == parameters
    encoder, generator, discriminator = networks
    latent_dim = ARCHITECTURES[architecture].latent_dim
    assert encoder.output_shape == (None, 2 * latent_dim)
    assert generator.input_shape == (None, latent_dim) and generator.output_shape == (None, edge, edge, 3)
    assert discriminator.output_shape == (None, 1)


def test_the_maps_of_the_cifar10_networks():
    def edges(network, layers):
        return [network.get_layer(name).output.shape[1] for name in layers]

    assert edges(ALIEncoder(**SMALL), [f"conv{n}" for n in range(1, 7)]) == [28, 13, 10, 4, 1, 1]
    assert edges(ALIGenerator(**SMALL), [f"deconv{n}" for n in range(1, 7)]) == [4, 10, 13, 28, 32, 32]
    discriminator = ALIDiscriminator()
    channels = [discriminator.get_layer(f"x_conv{n}").output.shape[-1] for n in range(1, 6)]
    assert channels == [16, 32, 64, 128, 256]
    assert discriminator.get_layer("joint_inputs").output.shape == (None, 1, 1, 512)
    assert discriminator.get_layer("joint2").output.shape == (None, 1, 1, 512)


@pytest.mark.parametrize(
    "architecture, edges, decoded, joint",
    [
        ("ali_svhn", [28, 13, 10, 4, 1, 1], [4, 10, 13, 28, 32, 32], 1024),
        ("ali_celeba", [63, 29, 13, 4, 1], [4, 13, 29, 63, 64], 1536),
        ("ali_tiny_imagenet", [31, 28, 13, 10, 4, 1, 1, 1], [1, 1, 4, 10, 13, 28, 31, 64], 2304),
    ],
)
def test_the_maps_of_the_other_networks(architecture, edges, decoded, joint):
    edge = ARCHITECTURES[architecture].edge
    encoder, generator, discriminator = (maker((edge, edge, 3), architecture=architecture) for maker in MAKERS.values())
    assert [encoder.get_layer(f"conv{n}").output.shape[1] for n in range(1, len(edges) + 1)] == edges
    assert [generator.get_layer(f"deconv{n}").output.shape[1] for n in range(1, len(decoded) + 1)] == decoded
    assert discriminator.get_layer("joint_inputs").output.shape == (None, 1, 1, joint)
    assert "x_conv1_norm" not in norms_of(discriminator) and discriminator.get_layer("x_conv1_linear").use_bias
    assert "x_conv2_norm" in norms_of(discriminator) and not discriminator.get_layer("x_conv2_linear").use_bias
    assert discriminator.get_layer("z_conv1_linear").use_bias == (architecture == "ali_tiny_imagenet")
    # The authors' code drops inputs in all parts of D; the paper's table has no dropout in CelebA's D(x).
    assert {name.rstrip("0123456789") for name in dropouts(discriminator)} == {"x_conv", "z_conv", "joint", "outputs"}
    assert set(dropouts(discriminator).values()) == {0.2}


def test_initial_values():
    for maker in MAKERS.values():
        for variable in maker(width=8).trainable_variables:
            value = np.array(variable)
            if variable.name == "kernel":
                assert abs(value.mean()) < 5 * 0.01 / math.sqrt(value.size)
                assert abs(value.std() / 0.01 - 1.0) < 5 / math.sqrt(2 * value.size)
            else:
                np.testing.assert_array_equal(value, np.full(value.shape, 1.0 if variable.name == "gain" else 0.0))
    starts = [
        tuple(np.array(v).ravel()[:8])
        for maker in MAKERS.values()
        for v in maker(**SMALL).trainable_variables
        if v.name == "kernel"
    ]
    assert len(set(starts)) == len(starts) == 7 + 7 + 10
    np.testing.assert_allclose(
        ALIEncoder(width=8, stddev=0.05).get_layer("conv5_linear").kernel.numpy().std(), 0.05, rtol=0.02
    )
    assert not np.any(ALIEncoder(zero_output=True, **SMALL)(pictures(2)))


def test_batch_norms_stand_in_the_encoder_and_generator_alone():
    for role, names in (("encoder", "conv"), ("generator", "deconv")):
        norms = norms_of(MAKERS[role](**SMALL))
        assert list(norms) == [f"{names}{n}_norm" for n in range(1, 7)]
        assert {(n.epsilon, n.momentum, n.affine, n.synchronized) for n in norms.values()} == {
            (1e-4, 0.95, True, False)
        }
    assert norms_of(ALIDiscriminator(**SMALL)) == {}
    assert list(norms_of(ALIDiscriminator(architecture="ali_svhn", **SMALL))) == [
        f"x_conv{n}_norm" for n in range(2, 6)
    ]
    assert all(norm.synchronized for norm in norms_of(ALIEncoder(sync_batch_norm=True, **SMALL)).values())


def dropouts(network):
    """Dropout rates by the names of the layers, without the suffix "_dropout"."""
    return {x.name.removesuffix("_dropout"): x.rate for x in network.layers if isinstance(x, Dropout)}


def test_dropout_stands_where_the_paper_means_it():
    network = ALIDiscriminator(**SMALL)
    rest = ["x_conv2", "x_conv3", "x_conv4", "x_conv5", "z_conv2", "joint1", "joint2", "outputs"]
    assert dropouts(network) == {"x_conv1": 0.2, "z_conv1": 0.2, **dict.fromkeys(rest, 0.5)}
    for name in dropouts(network):  # on the inputs of the layer
        assert network.get_layer(f"{name}_linear").input is network.get_layer(f"{name}_dropout").output
    streams = [layer.stream for layer in network.layers if isinstance(layer, Dropout)]
    assert len(set(streams)) == 10 and "discriminator/x_conv2" in streams
    assert set(dropouts(ALIDiscriminator(architecture="ali_svhn", **SMALL)).values()) == {0.2}


def test_dropout_as_the_code_has_it():
    network = ALIDiscriminator(dropout="as_coded", **SMALL)
    rest = ["x_conv2", "x_conv3_linear", "x_conv5", "z_conv2", "joint1", "joint2", "outputs"]
    assert dropouts(network) == {"x_conv1": 0.2, "z_conv1": 0.2, **dict.fromkeys(rest, 0.5)}
    assert network.get_layer("x_conv3_linear_dropout").input is network.get_layer("x_conv3_linear").output
    assert network.get_layer("x_conv3").input is network.get_layer("x_conv3_linear_dropout").output
    svhn = {"architecture": "ali_svhn", **SMALL}
    assert dropouts(ALIDiscriminator(dropout="as_coded", **svhn)) == dropouts(ALIDiscriminator(**svhn))


def test_without_dropout_training_needs_no_draws():
    network = randomised(ALIDiscriminator(dropout=False, **SMALL))
    assert dropouts(network) == {}
    np.testing.assert_array_equal(
        network(inputs_of("discriminator"), training=True), network(inputs_of("discriminator"))
    )


def test_dropout_masks_differ_by_example_step_and_half_of_a_joint_batch():
    network = randomised(ALIDiscriminator(**SMALL))
    same = [np.repeat(array[:1], 4, axis=0) for array in inputs_of("discriminator")]
    assert len(np.unique(in_step(network, same))) == 4
    assert not np.any(in_step(network, same) == in_step(network, same, step=1))
    joint = in_step(network, [np.concatenate([array, array]) for array in same], parts=2)
    assert len(np.unique(joint)) == 8
    np.testing.assert_allclose(joint[:4], in_step(network, same), atol=1e-4)
    assert np.ptp(network(same)) < 1e-4


def leaky(x, slope=0.1):
    return np.where(x > 0, x, slope * x)


def test_the_encoder_computes_what_the_paper_says():
    network, x = randomised(ALIEncoder(**SMALL)), pictures(4)
    w = {v.path: np.array(v) for v in network.trainable_variables}
    h = x
    for n, stride in enumerate((1, 2, 1, 2, 1, 1), start=1):
        h = np.array(tf.nn.conv2d(h, w[f"conv{n}_linear/kernel"], stride, "VALID"))
        h = (h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + 1e-4)
        h = leaky(h * w[f"conv{n}_norm/gain"] + w[f"conv{n}_norm/bias"])
    expected = h[:, 0, 0] @ w["outputs_linear/kernel"][0, 0] + w["outputs_linear/bias"]
    np.testing.assert_allclose(network(x, training=True), expected, atol=2e-4)


def test_the_generator_computes_what_the_paper_says():
    network, z = randomised(ALIGenerator(**SMALL)), codes(4)
    w = {v.path: np.array(v) for v in network.trainable_variables}
    h = z[:, None, None]
    for n, stride in enumerate((1, 2, 1, 2, 1, 1), start=1):
        kernel = w[f"deconv{n}_linear/kernel"]
        edge = stride * (h.shape[1] - 1) + kernel.shape[0]
        h = np.array(tf.nn.conv2d_transpose(h, kernel, (4, edge, edge, kernel.shape[2]), stride, "VALID"))
        h = (h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + 1e-4)
        h = leaky(h * w[f"deconv{n}_norm/gain"] + w[f"deconv{n}_norm/bias"])
    expected = 1.0 / (1.0 + np.exp(-(h @ w["outputs_linear/kernel"][0, 0].T + w["outputs/bias"])))
    np.testing.assert_allclose(network(z, training=True), expected, atol=2e-4)


@pytest.mark.parametrize("latent_dim", [6, 0])
def test_the_discriminator_computes_what_the_paper_says(latent_dim):
    network = randomised(ALIDiscriminator(width=4, latent_dim=latent_dim))
    w = {v.path.replace("_linear", ""): np.array(v) for v in network.trainable_variables}
    h = x = pictures(4)
    z = codes(4)

    def maxout(h):
        return np.maximum(*np.split(h, 2, axis=-1))

    for n, stride in enumerate((1, 2, 1, 2, 1), start=1):
        h = np.array(tf.nn.conv2d(h, w[f"x_conv{n}/kernel"], stride, "VALID"))
        h = maxout(h + w[f"x_conv{n}/bias"])
    h = h[:, 0, 0]
    if latent_dim:
        g = maxout(maxout(z @ w["z_conv1/kernel"][0, 0]) @ w["z_conv2/kernel"][0, 0])
        h = np.concatenate([h, g], axis=1)
    for name in ("joint1", "joint2"):
        h = maxout(h @ w[f"{name}/kernel"][0, 0] + w[f"{name}/bias"])
    expected = h @ w["outputs/kernel"][0, 0] + w["outputs/bias"]
    np.testing.assert_allclose(network([x, z] if latent_dim else x), expected, atol=2e-4)
    assert [layer.pieces for layer in network.layers if isinstance(layer, Maxout)] == [2] * (9 if latent_dim else 7)


def test_batch_norms_of_a_discriminator_see_the_joint_batch():
    network = randomised(ALIDiscriminator(architecture="ali_svhn", dropout=False, **SMALL))
    (x, z), (y, u) = inputs_of("discriminator"), (0.3 * pictures(4, 1), codes(4, 1))
    both = [np.concatenate(pair) for pair in ((x, y), (z, u))]
    norm = network.get_layer("x_conv2_norm")
    with tracking_statistics():
        norm.mean.assign(np.zeros(norm.mean.shape))
        joint = np.array(network(both, training=True))
    before = np.array(keras.Model(network.inputs, network.get_layer("x_conv2_linear").output)(both))
    np.testing.assert_allclose(norm.mean, 0.05 * before.mean((0, 1, 2)), atol=1e-5)
    assert not np.allclose(joint[:4], network([x, z], training=True), atol=1e-2)
    # In inference mode an example's logit does not depend on the others.
    np.testing.assert_allclose(network(both)[:4], network([x, z]), atol=1e-5)


@pytest.mark.parametrize("role", ["encoder", "generator"])
def test_running_statistics_come_to_normalise_as_training_does(role):
    network, inputs = randomised(MAKERS[role](**SMALL)), inputs_of(role)
    assert not np.allclose(network(inputs), network(inputs, training=True), atol=0.05)

    @tf.function
    def step():
        with tracking_statistics():
            return network(inputs, training=True)

    for _ in range(200):  # 0.95^200 = 4e-5
        expected = step()
    np.testing.assert_allclose(network(inputs), expected, atol=2e-3)


def test_the_generator_can_start_at_the_mean_of_the_data():
    network, x = ALIGenerator(**SMALL), pictures(10)
    network.set_mean(x)
    np.testing.assert_allclose(network(codes(2)), np.stack([x.mean(0)] * 2), atol=0.03)


@pytest.mark.parametrize("role", MAKERS)
def test_networks_are_made_again_from_their_configs(role):
    network = MAKERS[role](**COMMON, **CHANGED[role], dtype="mixed_bfloat16", name="other")
    config = network.get_config()
    assert config == {**COMMON, **CHANGED[role], "dtype": "mixed_bfloat16", "name": "other"}
    again = MAKERS[role].from_config(config)
    assert again.get_config() == config
    assert [v.path for v in again.variables] == [v.path for v in network.variables]
    for a, b in zip(network.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("role", MAKERS)
def test_saved_and_cloned_networks_give_equal_outputs(role, tmp_path):
    network = randomised(MAKERS[role](**SMALL))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert type(again) is type(network) and again.penultimate == network.penultimate if role != "generator" else True
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    for other in (again, clone):
        np.testing.assert_array_equal(other(inputs_of(role)), network(inputs_of(role)))
    if role == "discriminator":
        np.testing.assert_array_equal(in_step(again, inputs_of(role)), in_step(network, inputs_of(role)))


@pytest.mark.parametrize("role", MAKERS)
def test_mixed_precision_computes_in_half_and_gives_float32(role):
    network, twin = MAKERS[role](dtype="mixed_bfloat16", **SMALL), randomised(MAKERS[role](**SMALL))
    network.set_weights(twin.get_weights())
    assert {v.dtype for v in network.variables} == {"float32"}
    assert {layer.compute_dtype for layer in network.layers if layer.name.startswith("outputs")} >= {"float32"}
    hidden = {"encoder": "conv3", "generator": "deconv3", "discriminator": "x_conv3"}[role]
    assert network.get_layer(hidden).output.dtype == "bfloat16"
    outputs = network(inputs_of(role))
    assert outputs.dtype == tf.float32
    np.testing.assert_allclose(outputs, twin(inputs_of(role)), atol=0.2)
    assert np.all(np.isfinite(in_step(network, inputs_of(role))))


@pytest.mark.parametrize("role", MAKERS)
def test_image_filters_are_the_weights_next_to_the_images(role):
    network = MAKERS[role](**SMALL)
    assert network.image_filters().shape == {"generator": (4, 1, 1, 3)}.get(role, (4, 5, 5, 3))


def test_features():
    encoder, discriminator = ALIEncoder(), ALIDiscriminator()
    assert encoder.get_layer(encoder.penultimate).output.shape == (None, 1, 1, 512)
    assert discriminator.get_layer(discriminator.penultimate).output.shape == (None, 1, 1, 512)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError) as caught:
        ALIEncoder((28, 28, 1))
    assert str(caught.value) == (
        "the networks of ali_cifar10 take images of 32x32, not 28x28; --image_size=32 resizes them.\n"
        "Of the ALI networks, ali_cifar10 and ali_svhn take 32x32; ali_celeba and ali_tiny_imagenet take 64x64"
    )
    for maker in MAKERS.values():
        with pytest.raises(InputError, match="ali_celeba take images of 64x64, not 32x32; --image_size=64 resizes"):
            maker((32, 32, 3), architecture="ali_celeba")
    with pytest.raises(InputError, match="unknown architecture 'ali_cifar'"):
        ALIGenerator(architecture="ali_cifar")
    for width in (1, 3):  # half a maxout unit in D(x)'s first layer
        for maker in MAKERS.values():
            with pytest.raises(InputError, match=f"^width must be a multiple of 2 for ali_cifar10, found {width}$"):
                maker(width=width)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_narrowest_networks_have_every_layer(architecture):
    table = ARCHITECTURES[architecture]
    for width in (table.width_unit, 3 * table.width_unit):
        shared = {"architecture": architecture, "image_shape": (table.edge, table.edge, 3), "latent_dim": 1}
        networks = {role: maker(width=width, **shared) for role, maker in MAKERS.items()}
        assert networks["encoder"].get_layer("conv1").output.shape[-1] == width
        assert networks["generator"].output_shape == (None, table.edge, table.edge, 3)
        assert networks["discriminator"].output_shape == (None, 1)
        joint = networks["discriminator"].get_layer("joint1").output.shape[-1]
        assert joint == table.joint[0][2] * width // table.width // (table.pieces or 1)
