"""Feature networks: what happens to images before them, what they give, and what they refuse."""

import dataclasses
import hashlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, awake_game, images

from tf_bigan.errors import InputError
from tf_bigan.evaluation import feature_networks as networks
from tf_bigan.experiment import Experiment
from tf_bigan.exporting import export
from tf_bigan.files import sha256
from tf_bigan.games import make_game


class Graph(tf.Module):
    """A stand-in for the Inception graph: "pool_3" has an image's first 2,048 values, "logits" its first 1,008."""

    def __init__(self, pool=2048):
        super().__init__()
        self.factor, self.pool = tf.Variable(1.0), pool

    @tf.function(input_signature=[tf.TensorSpec((None, 299, 299, 3), tf.float32)])
    def __call__(self, x):
        flat = self.factor * tf.reshape(x, (tf.shape(x)[0], 299 * 299 * 3))
        return {"pool_3": flat[:, None, None, : self.pool], "logits": flat[:, :1008]}


class Vector(tf.Module):
    """A stand-in for an image feature vector of TF-Hub: the means over the pixels."""

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 3), tf.float32)])
    def __call__(self, x):
        return tf.reduce_mean(x, axis=[1, 2])


def saved(module, path):
    signature = module.__call__.get_concrete_function()
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return path


def resized_from_corners(x, edge):
    """Bilinear interpolation of [N, H, W, C] whose pixel i lies at the input's i * size / edge."""
    for axis in (1, 2):
        at = np.arange(edge) * x.shape[axis] / edge
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (at - low).reshape((-1, *[1] * (3 - axis)))
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return saved(Graph(), tmp_path_factory.mktemp("inception"))


def test_the_graph_of_2015_sees_images_as_in_tf_gan(graph):
    network = networks.inception(graph)
    assert (network.name, network.classifies, network.shape) == ("inception", True, (299, 299, 3))
    assert network.preparation == (
        "resized to 299x299 by bilinear interpolation without antialiasing or half-pixel centres, grey images repeated "
        "to three channels"
    )
    large = images(3, shape=(600, 700, 3))
    features, probabilities = network.outputs(large)
    seen = 2.0 * resized_from_corners(large, 299).reshape(3, -1) - 1.0
    np.testing.assert_allclose(features, seen[:, :2048], atol=2e-4)  # TensorFlow computes positions in float32
    exponentials = np.exp(seen[:, :1008])
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True), rtol=5e-4)
    grey = images(2, shape=(299, 299, 1))
    np.testing.assert_array_equal(network.features(grey), network.features(np.repeat(grey, 3, axis=-1)))
    assert network.features(np.zeros((1, 299, 299, 3), np.float32)).min() == -1.0
    files = ["saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
    told = "\n".join(f"{sha256(graph / file)}  {file.rpartition('/')[2]}" for file in files)
    assert network.digest == hashlib.sha256(told.encode()).hexdigest()


def test_the_graph_of_2015_has_the_resizing_of_tensorflow_1(graph):
    x = np.array([[0.0, 0.4], [0.2, 1.0]], np.float32)[None, :, :, None]
    # The output's pixels lie at 0, 1/2, 1 and 3/2 of the input's, and the last at its border.
    expected = [[0.0, 0.2, 0.4, 0.4], [0.1, 0.4, 0.7, 0.7], [0.2, 0.6, 1.0, 1.0], [0.2, 0.6, 1.0, 1.0]]
    network = networks.inception(graph)
    np.testing.assert_allclose(network.resized(x, (4, 4))[0, :, :, 0], expected, atol=1e-6)
    np.testing.assert_allclose(resized_from_corners(x, 4)[0, :, :, 0], expected, atol=1e-6)


def test_another_module_is_not_the_graph_of_2015(tmp_path):
    path = saved(Vector(), tmp_path / "vector")
    with pytest.raises(InputError, match=r"vector is not https://.*inception/1, which gives pool_3 \[N, 2048\] and lo"):
        networks.inception(path).features(images(1, shape=(299, 299, 3)))
    network = networks.inception(saved(Graph(pool=100), tmp_path / "small"))
    with pytest.raises(InputError, match=r"small is not https://.*inception/1, which gives pool_3 \[N, 2048\] and log"):
        network.features(images(1, shape=(299, 299, 3)))
    with pytest.raises(InputError, match=r"^\S*nowhere cannot be loaded: .*give --feature_network=inception:FOLDER$"):
        networks.inception(tmp_path / "nowhere")


def test_a_network_of_keras_applications():
    keras.utils.set_random_seed(0)
    network = networks.keras_application("MobileNet", weights=None)
    assert (network.name, network.shape, network.classifies) == ("keras:MobileNet", (224, 224, 3), True)
    assert "224x224 by bilinear interpolation with antialiasing, grey images repeated" in network.preparation
    x = images(2, shape=(40, 40, 3))
    features, probabilities = network.outputs(x)
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(weights=None)
    seen = tf.image.resize(x, (224, 224), "bilinear", antialias=True) * 2.0 - 1.0  # MobileNet's own range
    np.testing.assert_allclose(probabilities, model(seen, training=False), atol=1e-6)
    below = keras.Model(model.inputs, model.get_layer("dropout").input)
    np.testing.assert_allclose(features, np.reshape(below(seen, training=False), (2, 1024)), rtol=1e-3, atol=1e-5)
    assert networks.keras_application("MobileNet", weights=None).digest != network.digest
    with pytest.raises(InputError, match="keras.applications has no 'MobilNet'. Did you mean 'MobileNet"):
        networks.keras_application("MobilNet")
    with pytest.raises(InputError, match=r"^keras.applications.MobileNet: The `weights` argument should be"):
        networks.keras_application("MobileNet", weights="no such file")


def test_every_network_of_keras_applications_has_its_preprocessing():
    models = [name for name, made in vars(keras.applications).items() if name[0].isupper() and callable(made)]
    assert {"MobileNetV3Small", "ResNet50", "EfficientNetV2S"} < set(models)
    for name in models:
        found = networks._preprocessing(name)(np.full((1, 2, 2, 3), 255.0))
        assert found.shape == (1, 2, 2, 3)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("MobileNet", [1.0, 0.0, -0.6]),  # x / 127.5 - 1
        ("ResNet50", [51.0 - 103.939, 127.5 - 116.779, 255.0 - 123.68]),  # BGR less the means of ImageNet
        ("VGG16", [51.0 - 103.939, 127.5 - 116.779, 255.0 - 123.68]),
        ("DenseNet121", [(1.0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]),  # standardised RGB
        ("EfficientNetB0", [255.0, 127.5, 51.0]),  # the network scales for itself
        ("ConvNeXtTiny", [255.0, 127.5, 51.0]),
    ],
)
def test_each_kind_of_preprocessing_has_its_values(name, seen):
    pixel = np.array([255.0, 127.5, 51.0], np.float32)[None, None, None]
    np.testing.assert_allclose(np.ravel(networks._preprocessing(name)(pixel)), seen, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("modules_checked_here")
def test_an_exported_module_gives_what_the_model_gives(tmp_path):
    game = awake_game()
    network = networks.module(export(game, tmp_path / "module"))
    x = images(5)
    np.testing.assert_allclose(network.features(x), game.features(x), atol=1e-5)
    assert network.probabilities(x) is None and network.preparation == "images of any size"
    assert network.name == str(tmp_path / "module")
    with pytest.raises(InputError, match="module takes images of 1 channels, and these have 3$"):
        network.features(images(1, shape=(8, 8, 3)))


def test_a_module_from_elsewhere_has_a_size_of_its_own(tmp_path):
    network = networks.module(saved(Vector(), tmp_path / "vector"))
    x = images(3, shape=(8, 8, 3))
    small = np.clip(tf.image.resize(x, (4, 4), "lanczos3", antialias=True), 0, 1)
    np.testing.assert_allclose(network.features(x), small.mean(axis=(1, 2)), atol=1e-6)
    assert network.preparation == "resized to 4x4 by Lanczos filter with antialiasing"
    with pytest.raises(InputError, match="gives logits, pool_3 instead of features"):
        networks.module(saved(Graph(), tmp_path / "graph")).features(images(1, shape=(299, 299, 3)))


def test_a_layer_of_a_model():
    game = awake_game()
    network = networks.layer_of(game, "abc", "mine", "h1")
    x = images(4)
    np.testing.assert_allclose(network.features(x), game.features(x, layer="h1").reshape(4, -1), atol=1e-6)
    assert (network.name, network.digest, network.classifies) == ("mine:h1", "abc", False)
    gan = awake_game("gan")
    of_d = networks.layer_of(gan, "abc", "mine")
    np.testing.assert_allclose(of_d.features(x), gan.features(x), atol=1e-6)
    with pytest.raises(InputError, match="^unknown layer 'h7'"):
        networks.layer_of(game, "abc", "mine", "h7")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ali_mixture", "^mine is a model of points; measures of samples take features of images$"),
        ("ali_cifar10_conditional", "^layer 'code' of mine depends on attributes, and features are of images alone$"),
    ],
)
def test_a_layer_that_is_none_of_images_alone_is_refused(name, message):
    flags = Experiment.from_flagfile(ROOT / "zoo" / name / "train.flags")
    game = make_game(dataclasses.replace(flags, width=2, latent_dim=2, attributes=3 if flags.image_size else 0))
    with pytest.raises(InputError, match=message):
        networks.layer_of(game, "abc", "mine", "code")


def test_a_model_with_classes_is_a_classifier():
    game = awake_game("supervised", classes=3)
    network = networks.layer_of(game, "abc", "judge")
    x = images(4)
    assert network.classifies
    np.testing.assert_allclose(network.probabilities(x), game.class_probabilities(x), atol=1e-6)


def judge(**changes):
    """A classifier whose features are the pixels."""
    told = {
        "name": "judge",
        "digest": "abc",
        "example_shape": (8, 8, 1),
        "features": lambda x: x,
        "class_probabilities": lambda x: np.full((len(x), 4), 0.25),
    }
    told |= changes
    return types.SimpleNamespace(**{name: value for name, value in told.items() if value is not None})


def test_any_classifier_is_a_feature_network():
    network = networks.as_feature_network(judge())
    assert networks.as_feature_network(network) is network
    x = images(3)
    np.testing.assert_array_equal(network.features(x), x.reshape(3, 64))
    assert network.features(images(2, shape=(20, 30, 1))).shape == (2, 64)
    assert network.probabilities(x).shape == (3, 4) and network.features(x).dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": None}, "^a feature network has name, digest, example_shape, .*SimpleNamespace has no digest$"),
        ({"name": "inception"}, "^the name 'inception' is kept for the graph of 2015; give the classifier another"),
        ({"value_range": (-1, 1)}, r"^judge takes values in \[-1, 1\]; feature networks take images in \[0, 1\]$"),
        ({"example_shape": (2,)}, "^judge classifies points; measures of samples take features of images$"),
    ],
)
def test_what_is_no_feature_network(changes, message):
    with pytest.raises(InputError, match=message):
        networks.as_feature_network(judge(**changes))


def test_images_that_do_not_fit_are_refused():
    network, x = networks.as_feature_network(judge()), images(2)
    for given, message in (
        (images(2, shape=(8, 8, 3)), "^judge takes images of 1 channels, and these have 3$"),
        (255 * x, r"^image values must lie in \[0, 1\], got"),
        (2 * x - 1, r"^image values must lie in \[0, 1\], got"),
        (x * np.nan, "^images contain NaN or infinite pixels$"),
        (x.reshape(2, 64), "^judge takes images, found points$"),
        (x[:0], r"^judge takes at least one image, found shape \[0, 8, 8, 1\]$"),
    ):
        with pytest.raises(InputError, match=message):
            network.features(given)
    broken = networks.as_feature_network(judge(features=lambda x: x / 0.0))
    with pytest.raises(InputError, match="^features of judge are NaN or infinite$"), np.errstate(all="ignore"):
        broken.features(x)
