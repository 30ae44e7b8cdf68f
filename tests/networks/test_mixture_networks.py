import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import norms_of

from tf_bigan.networks import MixtureDiscriminator, MixtureEncoder, MixtureGenerator
from tf_bigan.networks.layers import tracking_statistics
from tf_bigan.networks.mixture import make

MAKERS = {"encoder": MixtureEncoder, "generator": MixtureGenerator, "discriminator": MixtureDiscriminator}
SMALL = {"width": 16}
COMMON = {"point_shape": (3,), "latent_dim": 4, "width": 5, "stddev": 0.05, "seed": 9}
CHANGED = {
    "encoder": {"noise": False, "gaussian": True, "zero_output": True, "sync_batch_norm": True},
    "generator": {"depth": 2, "sync_batch_norm": True},
    "discriminator": {"outputs": 3},
}


def pairs(count=8, seed=0):
    return list(np.random.default_rng(seed).normal(size=(2, count, 2)).astype(np.float32))


def inputs_of(role):
    return pairs()[0] if role == "generator" else pairs()


def randomised(network, seed=0):
    """The network with signals of order 1 at every layer, and with its own inference statistics."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        scale = 1.0 / math.sqrt(variable.shape[0]) if variable.name == "kernel" else 0.1
        offset = 1.0 if variable.name == "gain" else 0.0
        variable.assign(offset + rng.normal(0.0, scale, variable.shape))
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.stdev.assign(rng.uniform(0.5, 1.5, norm.stdev.shape))
    return network


def names(network):
    """The names of the network's inputs."""
    return [tensor.name for tensor in network.inputs]


def weights_of(network):
    return {v.path: np.array(v) for v in network.trainable_variables}


@pytest.mark.parametrize(
    "maker, parameters",
    [
        (MixtureEncoder, 164_002),
        (MixtureGenerator, 484_802),
        (MixtureDiscriminator, 407_201),
        (lambda: MixtureDiscriminator(latent_dim=0), 405_201),
    ],
    ids=["E", "G", "D", "D of a GAN"],
)
def test_the_papers_networks_have_their_parameter_counts(maker, parameters):
    assert sum(math.prod(v.shape) for v in maker().trainable_variables) == parameters


def test_inputs_by_name():
    assert names(MixtureEncoder(**SMALL)) == ["points", "noise"]
    assert names(MixtureEncoder(noise=False, **SMALL)) == ["points"]
    assert names(MixtureGenerator(**SMALL)) == ["z"]
    assert names(MixtureDiscriminator(**SMALL)) == ["points", "z"]
    assert names(MixtureDiscriminator(latent_dim=0, **SMALL)) == ["points"]
    other = {"point_shape": (3,), "latent_dim": 4, **SMALL}
    assert MixtureEncoder(**other).input_shape == [(None, 3), (None, 4)]
    assert MixtureEncoder(**other).output_shape == (None, 4)
    assert MixtureEncoder(gaussian=True, **other).output_shape == (None, 8)
    assert MixtureGenerator(**other).output_shape == (None, 3)


@pytest.mark.parametrize("role, depth", [("encoder", 2), ("generator", 4), ("generator", 1)])
def test_encoder_and_generator_compute_what_the_paper_says(role, depth):
    network = randomised(MAKERS[role](**SMALL, **({"depth": depth} if role == "generator" else {})))
    w, inputs = weights_of(network), inputs_of(role)
    h = inputs if role == "generator" else np.concatenate(inputs, axis=1)
    for n in range(1, depth + 1):
        h = h @ w[f"h{n}_linear/kernel"]
        h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-4)
        h = np.maximum(h * w[f"h{n}_norm/gain"] + w[f"h{n}_norm/bias"], 0.0)
    expected = h @ w["outputs/kernel"] + w["outputs/bias"]
    np.testing.assert_allclose(network(inputs, training=True), expected, atol=1e-4)

    @tf.function
    def step():
        with tracking_statistics():
            network(inputs, training=True)

    for _ in range(200):  # 0.95^200 = 4e-5
        step()
    np.testing.assert_allclose(network(inputs), expected, atol=1e-2)


@pytest.mark.parametrize("latent_dim", [2, 0])
def test_the_discriminator_computes_what_the_paper_says(latent_dim):
    network = randomised(MixtureDiscriminator(latent_dim=latent_dim, **SMALL))
    w, inputs = weights_of(network), pairs()
    h = np.concatenate(inputs, axis=1) if latent_dim else inputs[0]
    for n in (1, 2, 3):
        h = (h @ w[f"h{n}_linear/kernel"] + w[f"h{n}_linear/bias"]).reshape(8, 5, 16).max(1)
    expected = h @ w["outputs/kernel"] + w["outputs/bias"]
    for training in (False, True):
        found = network(inputs if latent_dim else inputs[0], training=training)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_initial_values():
    for maker in MAKERS.values():
        for stddev in (0.0, 0.05):
            for variable in maker(stddev=stddev).trainable_variables:
                value = np.array(variable)
                if variable.name == "kernel":
                    expected = stddev or 0.02
                    assert abs(value.std() / expected - 1.0) < 5 / math.sqrt(2 * value.size)
                else:
                    assert np.all(value == (1.0 if variable.name == "gain" else 0.0))
    assert not np.any(MixtureEncoder(zero_output=True, **SMALL)(pairs()))
    assert not np.array_equal(*(MixtureGenerator(seed=s, **SMALL).get_weights()[0] for s in (1, 2)))


def test_batch_norms():
    for role, depth in (("encoder", 2), ("generator", 4)):
        norms = norms_of(MAKERS[role](**SMALL))
        assert list(norms) == [f"h{n}_norm" for n in range(1, depth + 1)]
        assert {(n.epsilon, n.momentum, n.affine, n.synchronized) for n in norms.values()} == {
            (1e-4, 0.95, True, False)
        }
        assert all(n.synchronized for n in norms_of(MAKERS[role](sync_batch_norm=True, **SMALL)).values())
    assert norms_of(MixtureDiscriminator(**SMALL)) == {}


@pytest.mark.parametrize("role", MAKERS)
def test_coordinates_stay_float32_under_mixed_precision(role):
    network, twin = MAKERS[role](dtype="mixed_bfloat16", **SMALL), randomised(MAKERS[role](**SMALL))
    network.set_weights(twin.get_weights())
    assert network.get_layer("h1_linear").compute_dtype == network.get_layer("outputs").compute_dtype == "float32"
    assert network.get_layer("h2_linear").compute_dtype == "bfloat16"
    outputs = network(inputs_of(role))
    assert outputs.dtype == tf.float32 and {v.dtype for v in network.variables} == {"float32"}
    np.testing.assert_allclose(outputs, twin(inputs_of(role)), atol=0.1)
    # These points are closer than bfloat16 can resolve: it has no number between 4 and 4.03.
    near = [np.float32([[4.0, 0.0], [4.01, 0.0]])] * (1 if role == "generator" else 2)
    h = keras.Model(network.inputs, network.get_layer("h1_linear").output)(near)
    assert np.all(h[0] != h[1])


@pytest.mark.parametrize("role", MAKERS)
def test_networks_are_made_again_saved_and_cloned(role, tmp_path):
    network = MAKERS[role](**COMMON, **CHANGED[role], dtype="mixed_bfloat16", name="other")
    config = network.get_config()
    assert config == {**COMMON, **CHANGED[role], "dtype": "mixed_bfloat16", "name": "other"}
    assert MAKERS[role].from_config(config).get_config() == config

    network = randomised(MAKERS[role](**SMALL))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    assert type(again) is type(network)
    for other in (again, clone):
        np.testing.assert_array_equal(other(inputs_of(role)), network(inputs_of(role)))


class Settings:
    """The settings of an experiment that `make` reads."""

    example_shape = encoder_shape = (3,)
    networks, posterior, latent_dim, width, seed, sync_batch_norm = "mixture", "implicit", 4, 10, 6, True
    init_stddev, label_weight = 0.05, 0.0


class System:
    sees_codes, zero_encoder, featured, supervised = True, False, False, False


def test_networks_of_an_experiment():
    configs = {role: maker().get_config() for role, maker in make(Settings(), "float32", System).items()}
    shared = {"point_shape": (3,), "latent_dim": 4, "stddev": 0.05, "seed": 6, "dtype": "float32"}
    normed = {**shared, "width": 10, "sync_batch_norm": True}
    assert configs == {
        "encoder": {**normed, "noise": True, "gaussian": False, "zero_output": False, "name": "encoder"},
        "generator": {**normed, "depth": 4, "name": "generator"},
        "discriminator": {**shared, "width": 5, "outputs": 1, "name": "discriminator"},
    }


@pytest.mark.parametrize(
    "posterior, noise, units", [("linear", False, 4), ("gaussian", False, 8), ("implicit", True, 4)]
)
def test_the_posterior_decides_the_encoders_inputs_and_outputs(posterior, noise, units):
    class Other(Settings):
        pass

    Other.posterior = posterior
    encoder = make(Other(), "float32", System)["encoder"]()
    assert names(encoder) == (["points", "noise"] if noise else ["points"])
    assert encoder.output_shape == (None, units)


def test_the_discriminator_of_a_plain_gan_takes_points_alone():
    class GAN(System):
        sees_codes = False

    assert names(make(Settings(), "float32", GAN)["discriminator"]()) == ["points"]
