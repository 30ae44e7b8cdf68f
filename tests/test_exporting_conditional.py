"""Modules of conditional networks: what takes attributes, and what does not."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, images

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.exporting import export
from tf_bigan.games import make_game

X = images(4, shape=(32, 32, 3))
ATTRIBUTES = np.random.default_rng(0).integers(0, 2, (4, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def game():
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    experiment = dataclasses.replace(experiment, width=2, latent_dim=4, attributes=3, init_stddev=0.3)
    return make_game(experiment)


@pytest.mark.usefixtures("modules_checked_here")
def test_an_encoders_module_takes_images_and_its_encode_attributes_too(game, tmp_path):
    module = tf.saved_model.load(export(game, tmp_path / "module"))
    features = game.features(X).reshape(4, -1)
    np.testing.assert_allclose(module(X), features, atol=1e-5 * np.abs(features).max())
    codes = game.encode(X, attributes=ATTRIBUTES)
    np.testing.assert_allclose(module.encode(X, ATTRIBUTES), codes, atol=1e-5 * np.abs(codes).max())
    (served,) = module.signatures["encode"](images=tf.constant(X), attributes=tf.constant(ATTRIBUTES)).values()
    np.testing.assert_allclose(served, codes, atol=1e-5 * np.abs(codes).max())
    assert np.abs(module.encode(X, 1 - ATTRIBUTES) - codes).max() > 1e-3
    assert "conv6" in module.layers and "outputs" not in module.layers


def test_a_generators_module_takes_codes_and_attributes(game, tmp_path):
    module = tf.saved_model.load(export(game, tmp_path / "module", role="generator"))
    z = game.noise(4, 1).numpy()
    made = module({"z": z, "attributes": ATTRIBUTES})
    np.testing.assert_allclose(made, game.generate(z=z, attributes=ATTRIBUTES), atol=1e-5)
    shapes = [tuple(variable.shape) for variable in module.trainable_variables]
    assert shapes[-2:] == [(3, 16), (16,)]  # those of the embedding, which 2 / 32 of the paper's width gives 16 units


@pytest.mark.parametrize("layer", ["code", "outputs"])
def test_features_that_depend_on_attributes_are_refused(game, layer, tmp_path):
    message = (
        f"^{layer} of conditional_ali depends on attributes, and modules give features of images; conv6 does not, and "
        "its module's encode takes attributes, too$"
    )
    with pytest.raises(InputError, match=message):
        export(game, tmp_path / "module", layer=layer)
    assert not (tmp_path / "module").exists()
