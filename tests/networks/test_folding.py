import keras
import numpy as np
import pytest
from helpers import images, norms_of

from tf_bigan import zoo
from tf_bigan.networks import AlexNetDiscriminator, ConvEncoder, ConvGenerator, MLPEncoder
from tf_bigan.networks.folding import fold_batch_norms
from tf_bigan.networks.kernels import TransposedConvolution
from tf_bigan.networks.layers import BatchNorm

TINY = {"image_shape": (32, 32, 3), "width": 8}


def estimated(network):
    """The network with inference statistics, gains and biases that all differ from their initial values."""
    rng = np.random.default_rng(0)
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.3, norm.mean.shape))
        norm.variance.assign(rng.uniform(0.01, 2.0, norm.variance.shape))
        if norm.affine:
            norm.gain.assign(rng.uniform(0.5, 1.5, norm.gain.shape))
            norm.bias.assign(rng.normal(0.0, 0.3, norm.bias.shape))
    return network


@pytest.mark.parametrize(
    "network, folded",
    [
        (lambda: ConvEncoder(latent_dim=6, **TINY), [f"conv{n}_norm" for n in (2, 3, 4, 5)]),
        (lambda: AlexNetDiscriminator(**TINY), [f"conv{n}_norm" for n in (2, 3, 4, 5)]),
        (lambda: MLPEncoder((8, 8, 1), latent_dim=4, width=16), ["h2_norm"]),
    ],
    ids=["encoder", "alexnet_discriminator", "mlp"],
)
def test_every_layer_that_is_left_gives_what_it_gave(network, folded):
    network = estimated(network())
    twin = fold_batch_norms(network)
    assert not norms_of(twin)
    assert [layer.name for layer in twin.layers if layer.name.endswith("_norm")] == folded
    assert all(twin.get_layer(name).use_bias for name in folded)
    x = images(5, shape=network.input_shape[1:])
    for layer in twin.layers[1:]:
        found, expected = (keras.Model(n.inputs[0], n.get_layer(layer.name).output)(x) for n in (twin, network))
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=layer.name)


@pytest.mark.parametrize("name", ["bigan_imagenet", "bigan_imagenet_112"])
def test_every_layer_of_a_published_encoder(name):
    # Feature maps reach 6 and more, so layers are equal to within 1e-5 of their largest value, as `export` requires.
    published = zoo.load(name).encoder
    network = ConvEncoder(**{**published.get_config(), "dtype": "float32"})
    network.set_weights(published.get_weights())
    twin = fold_batch_norms(network)
    x = images(4, shape=network.input_shape[1:])
    names = [layer.name for layer in twin.layers[1:]]
    assert {"conv5", "outputs"} <= {*names}
    found, expected = (
        keras.Model(n.inputs[0], [n.get_layer(each).output for each in names])(x) for n in (twin, network)
    )
    for layer, ours, theirs in zip(names, found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=layer)


def test_norms_that_follow_a_sum_stay():
    generator = estimated(ConvGenerator(latent_dim=6, **TINY))
    twin = fold_batch_norms(generator)
    assert list(norms_of(twin)) == ["deconv1_norm", "deconv2_norm", "deconv3_norm"]  # fc's is folded
    z = np.random.default_rng(0).uniform(-1, 1, (4, 6)).astype(np.float32)
    np.testing.assert_allclose(twin(z), generator(z), atol=1e-5)


def test_worked_out_by_hand():
    x = keras.Input((2,))
    linear, norm = keras.layers.Dense(1, name="linear"), BatchNorm(affine=True, epsilon=0.0, name="norm")
    network = keras.Model(x, norm(linear(x)))
    linear.set_weights([np.array([[3.0], [4.0]]), np.array([5.0])])
    norm.mean.assign([1.0]), norm.variance.assign([4.0]), norm.gain.assign([10.0]), norm.bias.assign([7.0])
    kernel, bias = fold_batch_norms(network).get_layer("norm").get_weights()
    np.testing.assert_allclose(kernel, [[15.0], [20.0]])  # times 10 / 2
    np.testing.assert_allclose(bias, [27.0])  # (5 - 1) 10 / 2 + 7


@pytest.mark.parametrize("layer", [keras.layers.Conv2DTranspose, TransposedConvolution])
@pytest.mark.parametrize("biased", [False, True])
def test_transposed_convolutions_scale_their_output_channels(layer, biased):
    x = keras.Input((4, 4, 2))
    linear, norm = layer(3, 5, 2, use_bias=biased, bias_initializer="ones", name="linear"), BatchNorm(name="norm")
    network = estimated(keras.Model(x, norm(linear(x))))
    twin = fold_batch_norms(network)
    np.testing.assert_allclose(twin(images(2, shape=(4, 4, 2))), network(images(2, shape=(4, 4, 2))), atol=1e-5)
    assert not norms_of(twin)


def test_without_the_sum_all_norms_of_a_generator_go():
    generator = estimated(ConvGenerator(latent_dim=6, skip=False, **TINY))
    twin = fold_batch_norms(generator)
    assert not norms_of(twin)
    z = np.random.default_rng(0).uniform(-1, 1, (4, 6)).astype(np.float32)
    np.testing.assert_allclose(twin(z), generator(z), atol=1e-5)


def test_layers_in_several_places_are_left_alone():
    x = keras.Input((2,))
    twice, norm = keras.layers.Dense(2, name="twice"), BatchNorm(name="norm")
    shared, again = keras.layers.Dense(2, name="shared"), BatchNorm(name="again")
    h = norm(twice(keras.layers.Dense(2, name="below")(twice(x))))
    network = estimated(keras.Model(x, again(shared(again(h)))))
    twin = fold_batch_norms(network)
    assert list(norms_of(twin)) == ["norm", "again"]
    np.testing.assert_allclose(twin(images(4, shape=(2,))), network(images(4, shape=(2,))), atol=1e-5)


def test_a_reader_s_second_call_counts():
    x = keras.Input((2,))
    read_twice, norm, shared = keras.layers.Dense(2, name="read_twice"), BatchNorm(name="norm"), keras.layers.ReLU()
    h = read_twice(x)
    network = estimated(keras.Model(x, keras.layers.Add()([shared(x), norm(h), shared(h)])))
    twin = fold_batch_norms(network)
    assert list(norms_of(twin)) == ["norm"]
    np.testing.assert_allclose(twin(images(4, shape=(2,))), network(images(4, shape=(2,))), atol=1e-6)


def test_what_cannot_be_folded_is_left_alone():
    x = keras.Input((2,))
    h = keras.layers.Dense(3, name="read_twice")(x)
    a = BatchNorm(name="norm_a")(h)
    b = BatchNorm(name="norm_b")(keras.layers.Dense(3, activation="relu", name="active")(x))
    network = estimated(keras.Model(x, keras.layers.Add()([h, a, b])))
    twin = fold_batch_norms(network)
    assert list(norms_of(twin)) == ["norm_a", "norm_b"]
    np.testing.assert_allclose(twin(images(4, shape=(2,))), network(images(4, shape=(2,))), atol=1e-6)

    class Subclassed(keras.Model):
        pass

    model = Subclassed()
    assert fold_batch_norms(model) is model


def test_the_original_keeps_its_weights():
    network = estimated(ConvEncoder(latent_dim=6, **TINY))
    before = [w.copy() for w in network.get_weights()]
    fold_batch_norms(network).get_layer("conv2_norm").kernel.assign_add(keras.ops.ones((5, 5, 6, 32)))
    for a, b in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
