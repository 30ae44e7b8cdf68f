"""Read-outs [ReLU(h), ReLU(-h)] of a layer h, named crelu(LAYER) wherever a layer's name is taken."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny, tiny_game

import tf_bigan
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.settings import EvaluationSettings, SVMSettings
from tf_bigan.games.inspection import read_out
from tf_bigan.modules.loading import Module


def crelu(h):
    return np.concatenate([np.maximum(h, 0), np.maximum(-h, 0)], axis=-1)


@pytest.fixture(scope="module")
def game():
    return tiny_game()


def test_by_hand():
    h = tf.constant([[[1.0, -2.0], [0.0, 3.0]]])
    assert read_out("crelu(h)", h).numpy().tolist() == [[[1, 0, 0, 2], [0, 3, 0, 0]]]
    assert read_out("h", h) is h


@pytest.mark.parametrize("layer", ["h2_norm", "penultimate", "outputs", "code"])
def test_features_are_both_signs_of_the_layer_side_by_side(game, layer):
    x = images(5, shape=game.example_shape)
    h = game.features(x, layer=layer)
    assert layer != "code" or (h < 0).any()
    found = game.features(x, layer=f"crelu({layer})")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, crelu(h), atol=1e-6)


def test_several_layers_of_one_pass_and_no_example(game):
    x = tf.constant(images(3, shape=game.example_shape))
    plain, both, code = game.feature_function(["h2_norm", "crelu(h2_norm)", "crelu(code)"])(x)
    np.testing.assert_array_equal(both, crelu(plain.numpy()))
    assert code.shape == (3, 2 * game.prior.latent_dim)
    assert game.features(x.numpy()[:0], layer="crelu(h2_norm)").shape == (0, 2 * plain.shape[1])


def test_of_maps_channels_are_doubled():
    game = tiny_game(networks="dcgan", image_size=32, width=4)
    x = images(2, shape=game.example_shape)
    h = game.features(x, layer="conv1")
    assert h.ndim == 4
    np.testing.assert_allclose(game.features(x, layer="crelu(conv1)"), crelu(h), atol=1e-6)


@pytest.mark.parametrize(
    "layer, message",
    [
        ("crelu(h9)", "unknown layer 'h9'. Did you mean 'h"),
        ("crelu()", "unknown layer ''"),
        ("crelu(crelu(h2))", r"unknown layer 'crelu\(crelu\(h2\)\)'"),
        ("crelu(h2", r"unknown layer 'crelu\(h2'"),
        ("CReLU(h2)", r"unknown layer 'CReLU\(h2\)'"),
    ],
)
def test_other_names_are_unknown(game, layer, message):
    with pytest.raises(InputError, match=message):
        game.features(images(2, shape=game.example_shape), layer=layer)


def test_a_model_without_an_encoder_has_no_read_out_of_the_code():
    with pytest.raises(InputError, match="has no encoder"):
        tiny_game(system="gan").feature_function("crelu(code)")


def test_measures_take_them_alone_and_joined(game, digits_dir):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=digits_dir, gallery_split="train[:300]", query_split="test[:50]")
    layers = ("crelu(h2_norm)", "crelu(h2_norm)+code", "h2_norm")
    settings = EvaluationSettings(layers=layers, untrained=0, svm=SVMSettings(100, 2))
    found = evaluate(game, experiment, data, ["knn", "svm"], settings, say=lambda line: None)["results"]
    width, codes = game.features(images(1, shape=game.example_shape), layer="h2_norm").shape[1], game.prior.latent_dim
    for rows in found.values():
        widths = {row["layer"]: row["dimensions"] for row in rows if row["encoder"] == "trained"}
        assert widths == dict(zip(layers, (2 * width, 2 * width + codes, width), strict=True))


@pytest.mark.usefixtures("modules_checked_here")
def test_modules_give_them(game, tmp_path):
    path = tf_bigan.export(game, tmp_path / "module", layer="crelu(code)")
    x = images(3, shape=game.example_shape)
    np.testing.assert_allclose(Module(path).function()(x), game.features(x, layer="crelu(code)"), atol=1e-5)
    named = Module(path).function("crelu(h2_norm)")(x)
    np.testing.assert_allclose(named, game.features(x, layer="crelu(h2_norm)"), atol=1e-5)
    with pytest.raises(InputError, match="has no layer 'h9'"):
        Module(path).function("crelu(h9)")
