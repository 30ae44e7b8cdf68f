import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, norms_of, tiny, values

from tf_bigan.games import GAN, BiGAN, LatentRegressor
from tf_bigan.networks import MLPDiscriminator, MLPEncoder, MLPGenerator
from tf_bigan.networks.mlp import make

TINY = {"image_shape": (8, 8, 1), "latent_dim": 4, "width": 16}
MAKERS = {"encoder": MLPEncoder, "generator": MLPGenerator, "discriminator": MLPDiscriminator}
# Every argument differs from its default.
CHANGED = {
    "encoder": {"zero_output": True},
    "generator": {"skip": False},
    "discriminator": {},
}
COMMON = {"image_shape": (6, 8, 3), "latent_dim": 3, "width": 5, "sync_batch_norm": True, "seed": 9}


def codes(count, seed=0, latent_dim=4):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (count, latent_dim)).astype(np.float32)


def inputs_of(role, count=6):
    return {"encoder": images(count), "generator": codes(count), "discriminator": [images(count), codes(count)]}[role]


def randomised(network, seed=0):
    """The network with weights of order 1 everywhere, none at 0, and inference statistics to match."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        variable.assign(rng.normal(0.0, 1.0 / math.sqrt(variable.shape[0]), variable.shape))
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.variance.assign(rng.uniform(0.5, 1.5, norm.variance.shape))
    return network


@pytest.mark.parametrize(
    "maker, parameters",
    [(MLPGenerator, 1_953_792), (MLPDiscriminator, 1_903_616), (MLPEncoder, 1_902_592)],
)
def test_the_papers_networks_have_their_parameter_counts(maker, parameters):
    assert sum(math.prod(v.shape) for v in maker().trainable_variables) == parameters


@pytest.mark.parametrize("role", MAKERS)
def test_there_are_no_biases_and_no_gains(role):
    variables = MAKERS[role](**TINY).trainable_variables
    assert {v.name for v in variables} == {"kernel"} and {len(v.shape) for v in variables} == {2}


@pytest.mark.parametrize(
    "role, norms", [("encoder", ["h2_norm"]), ("generator", ["h1_norm", "h2_norm"]), ("discriminator", ["h2_norm"])]
)
def test_batch_norm_stands_where_the_paper_has_it(role, norms):
    found = norms_of(MAKERS[role](**TINY))
    assert list(found) == norms
    assert all(norm.epsilon == 1e-8 and not norm.affine and not norm.synchronized for norm in found.values())


@pytest.mark.parametrize("role", MAKERS)
def test_batch_norms_are_synchronised_on_request(role):
    assert all(norm.synchronized for norm in norms_of(MAKERS[role](sync_batch_norm=True, **TINY)).values())


def test_encoder_computes_what_the_paper_says():
    network = randomised(MLPEncoder(**TINY))
    w1, w2, w3 = (np.array(v) for v in network.trainable_variables)
    h = images(6).reshape(6, 64) @ w1
    h = np.where(h > 0, h, 0.2 * h) @ w2
    h = (h - h.mean(0)) / h.std(0)
    h = np.where(h > 0, h, 0.2 * h)
    np.testing.assert_allclose(network(images(6), training=True), h @ w3, atol=1e-4)


@pytest.mark.parametrize("skip", [True, False])
def test_generator_computes_what_the_paper_says(skip):
    network = randomised(MLPGenerator(skip=skip, **TINY))
    w = {v.path.split("/")[-2]: np.array(v) for v in network.trainable_variables}
    z = codes(6)
    h = z @ w["h1_linear"]
    h = np.maximum((h - h.mean(0)) / h.std(0), 0.0) @ w["h2_linear"]
    h = h + z @ w["h2_z"] if skip else h
    h = np.maximum((h - h.mean(0)) / h.std(0), 0.0) @ w["outputs"]
    expected = 1.0 / (1.0 + np.exp(-h.reshape(6, 8, 8, 1)))
    np.testing.assert_allclose(network(z, training=True), expected, atol=1e-4)


@pytest.mark.parametrize("latent_dim", [4, 0])
def test_discriminator_computes_what_the_paper_says(latent_dim):
    network = randomised(MLPDiscriminator(**{**TINY, "latent_dim": latent_dim}))
    w = {v.path.split("/")[-2]: np.array(v) for v in network.trainable_variables}
    x, z = images(6), codes(6)
    h = x.reshape(6, 64) @ w["h1_linear"]
    h = np.where(h > 0, h, 0.2 * h) @ w["h2_linear"]
    h = h + z @ w["h2_z"] if latent_dim else h
    h = (h - h.mean(0)) / h.std(0)
    expected = np.where(h > 0, h, 0.2 * h) @ w["outputs"]
    np.testing.assert_allclose(network([x, z] if latent_dim else x, training=True), expected, atol=1e-4)


def test_codes_enter_the_second_hidden_layers_of_generator_and_discriminator():
    discriminator = randomised(MLPDiscriminator(**TINY))
    x = images(6)
    assert not np.allclose(discriminator([x, codes(6, 1)]), discriminator([x, codes(6, 2)]), atol=1e-2)
    generator = randomised(MLPGenerator(**TINY))
    generator.get_layer("h1_linear").kernel.assign(np.zeros((4, 16)))
    assert not np.allclose(generator(codes(6, 1)), generator(codes(6, 2)), atol=1e-2)


def test_without_the_skip_codes_enter_the_generator_at_its_input_alone():
    with_skip, without = MLPGenerator(**TINY), MLPGenerator(skip=False, **TINY)
    assert with_skip.count_params() - without.count_params() == 4 * 16
    without = randomised(without)
    without.get_layer("h1_linear").kernel.assign(np.zeros((4, 16)))
    np.testing.assert_array_equal(without(codes(6, 1)), without(codes(6, 2)))


def test_discriminator_of_a_plain_gan_takes_images_alone():
    network = MLPDiscriminator(image_shape=(8, 8, 1), latent_dim=0, width=16)
    assert len(network.inputs) == 1
    assert network(images(3)).shape == (3, 1)
    assert network.count_params() == MLPDiscriminator(**TINY).count_params() - 4 * 16


@pytest.mark.parametrize("latent_dim", [4, 0])
@pytest.mark.parametrize("training", [True, False])
def test_discriminator_starts_undecided(latent_dim, training):
    network = MLPDiscriminator(image_shape=(8, 8, 1), latent_dim=latent_dim, width=16)
    inputs = [images(5), codes(5)] if latent_dim else images(5)
    np.testing.assert_array_equal(network(inputs, training=training), np.zeros((5, 1)))


def test_encoder_of_a_latent_regressor_starts_at_zero():
    np.testing.assert_array_equal(MLPEncoder(zero_output=True, **TINY)(images(5)), np.zeros((5, 4)))
    assert np.all(np.array(MLPEncoder(**TINY)(images(5))) != 0.0)


def test_generator_makes_pixels_between_0_and_1():
    pixels = np.array(randomised(MLPGenerator(**TINY))(10.0 * codes(50)))
    assert pixels.shape == (50, 8, 8, 1) and pixels.min() >= 0.0 and pixels.max() <= 1.0
    assert pixels.min() < 0.1 and pixels.max() > 0.9


def test_no_two_layers_share_initial_values():
    # Shapes differ between layers, but a shared random stream would give equal first values.
    starts = {
        f"{role}/{v.path}": np.array(v).ravel()[:64]
        for role, maker in MAKERS.items()
        for v in maker(**TINY).trainable_variables
        if np.any(v)
    }
    assert len(starts) == 3 + 4 + 3
    paths = sorted(starts)
    for i, a in enumerate(paths):
        for b in paths[:i]:
            assert not np.any(starts[a] == starts[b]), (a, b)


def test_initial_weights_are_normal_with_the_papers_deviation():
    kernels = [np.array(v) for maker in MAKERS.values() for v in maker().trainable_variables if np.any(v)]
    for kernel in kernels:
        assert abs(kernel.std() / 0.02 - 1.0) < 0.02 and abs(kernel.mean()) < 5e-4
        assert np.abs(kernel).max() > 0.06  # no truncation at two deviations


@pytest.mark.parametrize("role", MAKERS)
def test_the_seed_decides_the_weights(role):
    first, again, other = (MAKERS[role](seed=seed, **TINY) for seed in (1, 1, 2))
    for a, b, c in zip(first.trainable_variables, again.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.any(a) or not np.any(np.array(a) == np.array(c))


@pytest.mark.parametrize("role", MAKERS)
def test_config_round_trips_twice(role):
    network = MAKERS[role](**COMMON, **CHANGED[role], dtype="mixed_bfloat16", name="other")
    config = network.get_config()
    assert config.items() >= {**COMMON, **CHANGED[role], "dtype": "mixed_bfloat16", "name": "other"}.items()
    once = MAKERS[role].from_config(config)
    twice = MAKERS[role].from_config(once.get_config())
    assert once.get_config() == config and twice.get_config() == config
    assert [v.path for v in twice.variables] == [v.path for v in network.variables]
    for a, b in zip(network.variables, twice.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("role", MAKERS)
def test_saved_networks_give_equal_outputs(role, tmp_path):
    network = randomised(MAKERS[role](**TINY))
    expected = network(inputs_of(role))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert type(again) is type(network)
    np.testing.assert_array_equal(again(inputs_of(role)), expected)

    network.save_weights(tmp_path / "network.weights.h5")
    again = MAKERS[role](seed=7, **TINY)
    again.load_weights(tmp_path / "network.weights.h5")
    np.testing.assert_array_equal(again(inputs_of(role)), expected)


@pytest.mark.parametrize("role", MAKERS)
@pytest.mark.parametrize("policy, half", [("mixed_bfloat16", tf.bfloat16), ("mixed_float16", tf.float16)])
def test_mixed_precision_computes_in_half_and_keeps_float32_weights(role, policy, half, tmp_path):
    network = randomised(MAKERS[role](dtype=policy, **TINY))
    outputs = network(inputs_of(role))
    assert outputs.dtype == (tf.float32 if role == "discriminator" else half)
    assert network.get_layer("h2_linear").compute_dtype == half.name
    assert {v.dtype for v in network.variables} == {"float32"}

    # A float32 network with the same weights has the same outputs, except for rounding.
    network.save_weights(tmp_path / "half.weights.h5")
    twin = MAKERS[role](**TINY)
    twin.load_weights(tmp_path / "half.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(values(network).values(), values(twin).values(), strict=True))
    np.testing.assert_allclose(np.asarray(outputs, np.float32), twin(inputs_of(role)), atol=0.1)


def test_global_policy_is_the_default():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = MLPEncoder(**TINY)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network(images(2)).dtype == tf.bfloat16 and network.get_config()["dtype"] == "mixed_bfloat16"


@pytest.mark.parametrize("role", ["encoder", "discriminator"])
def test_penultimate_layer_is_the_one_before_the_output(role):
    network = MAKERS[role](**TINY)
    assert network.penultimate == network.layers[-2].name == "h2"
    assert network.layers[-1].name == "outputs"


@pytest.mark.parametrize("role", MAKERS)
def test_image_filters_are_the_weights_next_to_the_images(role):
    network = MAKERS[role](**TINY)
    kernel = np.array(network.get_layer("outputs" if role == "generator" else "h1_linear").kernel)
    filters = network.image_filters()
    assert filters.shape == (16, 8, 8, 1)
    row = kernel[3] if role == "generator" else kernel[:, 3]
    np.testing.assert_array_equal(filters[3], row.reshape(8, 8, 1))


def test_families_make_networks_from_an_experiment():
    experiment = tiny(latent_dim=3, width=5, generator_skip=False, sync_batch_norm=True, seed=6)
    makers = make(experiment, "mixed_bfloat16", BiGAN)
    configs = {role: maker().get_config() for role, maker in makers.items()}
    shared = {
        "image_shape": (8, 8, 1),
        "latent_dim": 3,
        "width": 5,
        "sync_batch_norm": True,
        "seed": 6,
        "dtype": "mixed_bfloat16",
    }
    assert configs == {
        "encoder": {**shared, "zero_output": False, "name": "encoder"},
        "generator": {**shared, "skip": False, "name": "generator"},
        "discriminator": {**shared, "outputs": 1, "norm": True, "name": "discriminator"},
    }
    assert make(experiment, "float32", GAN)["discriminator"]().get_config()["latent_dim"] == 0
    makers = make(experiment, "float32", LatentRegressor)
    assert makers["discriminator"]().get_config()["latent_dim"] == 0
    assert makers["encoder"]().get_config()["zero_output"]
