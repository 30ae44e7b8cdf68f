"""Feature networks are found by what the flag --feature_network names."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import awake_game, images, tiny

from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.evaluation import feature_networks
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK
from tf_bigan.evaluation.classifiers import FEATURES, ImageClassifier
from tf_bigan.files import sha256
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import find_feature_network


class Means(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32)])
    def __call__(self, x):
        return tf.reduce_mean(x, axis=[1, 2])


@pytest.fixture
def run(tmp_path):
    run, game = RunDirectory(tmp_path / "run"), awake_game()
    run.write_experiment(tiny())
    run.save_weights(game.networks, 2, 2)
    return run, game


def test_a_run_and_its_layers(run):
    run, game = run
    x = images(3)
    for spec, layer in ((f"{run.path}", "penultimate"), (f"{run.path}:h1", "h1"), (f"{run.path}:code", "code")):
        network = find_feature_network(spec)
        np.testing.assert_allclose(network.features(x), game.features(x, layer=layer), atol=1e-6)
        assert (network.name, network.digest) == (f"{run.path}:{layer}", run.weights_digest())
    with pytest.raises(InputError, match="^unknown layer 'h9'"):
        find_feature_network(f"{run.path}:h9")


def test_a_published_model():
    network = find_feature_network("bigan_digits")
    assert network.name == "bigan_digits:penultimate" and network.features(images(2)).shape == (2, 1024)


def test_a_module_in_a_folder(tmp_path, monkeypatch):
    module = Means()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__.get_concrete_function())
    x = images(3)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for spec in (str(tmp_path), f"~/{tmp_path.name}"):
        network = find_feature_network(spec)
        np.testing.assert_allclose(network.features(x), x.mean(axis=(1, 2)), atol=1e-6)
        assert network.name == str(tmp_path)


def test_a_classifier_in_a_folder_and_in_the_zoo(tmp_path, monkeypatch):
    folder = tmp_path / "my_classifier"
    folder.mkdir()
    image = keras.Input((8, 8, 1))
    h = keras.layers.Dense(5, name=FEATURES)(keras.layers.Flatten()(image))
    keras.Model(image, keras.layers.Dense(3)(h)).save(folder / NETWORK)
    digest = sha256(folder / NETWORK)
    settings = {"architecture": "MobileNet", "input_size": 0, "seed": 0, "epochs": 1}
    data = {"dataset": "d", "split": "train", "examples": 3, "test_dataset": "d", "test_split": "test", "queries": 3}
    about = {**data, "class_names": ["a", "b", "c"], "settings": settings, "accuracy": 50.0, "sha256": digest}
    (folder / ABOUT).write_text(json.dumps(about))
    monkeypatch.setenv("TF_BIGAN_ZOO", str(tmp_path))
    x = images(3)
    expected = ImageClassifier.load(folder).outputs(x)
    for spec in (str(folder), "my_classifier"):
        network = find_feature_network(spec)
        assert (network.name, network.digest, network.classifies) == ("my_classifier", digest, True)
        for found, values in zip(network.outputs(x), expected, strict=True):
            np.testing.assert_array_equal(found, values)
    assert zoo.names_feature_network("my_classifier")
    with pytest.raises(InputError, match="The zoo's classifiers: classifier_cifar10, my_classifier$"):
        find_feature_network("my_clasifier")


def test_inception_and_keras(monkeypatch):
    for name in ("inception", "keras_application"):
        monkeypatch.setattr(feature_networks, name, lambda *given, name=name: (name, *given))
    assert find_feature_network("inception") == ("inception",)
    assert find_feature_network("inception:/tmp/graph") == ("inception", "/tmp/graph")
    monkeypatch.setenv("HOME", "/home/me")
    assert find_feature_network("inception:~/graph") == ("inception", "/home/me/graph")
    assert find_feature_network("keras:ResNet50") == ("keras_application", "ResNet50")


@pytest.mark.parametrize("spec", ["bigan_digit", "bigan_digit:h1", "./nowhere"])
def test_what_is_none(spec):
    name = spec.partition(":")[0]
    with pytest.raises(
        InputError, match=f"^unknown model '{name}'.*\nA feature network is inception, inception:FOLDER"
    ):
        find_feature_network(spec)


@pytest.mark.parametrize(
    "spec, there",
    [
        *[("inception", True), ("inception:/nowhere", True), ("keras:ResNet50", True), ("bigan_digits", True)],
        *[("bigan_digits:h1", True), ("classifier_cifar11", False), ("./nowhere:h1", False), ("inceptio", False)],
    ],
)
def test_what_a_name_means_is_known_without_opening_it(spec, there):
    assert zoo.names_feature_network(spec) == there


def test_folders_are_known_with_and_without_a_layer(run):
    run, _ = run
    assert zoo.names_feature_network(str(run.path)) and zoo.names_feature_network(f"{run.path}:h1")
