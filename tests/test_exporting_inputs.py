"""What modules of every family take: empty batches, single examples and other dtypes; and what they say of others."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, images, tiny_game, without_checks

from tf_bigan.experiment import Experiment
from tf_bigan.exporting import export
from tf_bigan.files import verify_checksums
from tf_bigan.games import make_game
from tf_bigan.modules.operations import check_operations

COLOUR = {"image_size": 16, "channels": 3, "width": 4}
FAMILIES = {
    "mlp": {},
    "conv": {"networks": "conv", **COLOUR},
    "dcgan": {"networks": "dcgan", **COLOUR},
    "ali": {
        "networks": "ali_cifar10",
        **COLOUR,
        "image_size": 32,
        "width": 2,
        "system": "ali",
        "posterior": "gaussian",
    },
    "mixture": {
        **{"networks": "mixture", "dataset": "mixture", "image_size": 0, "channels": 0, "dimensions": 2},
        **{"latent_dim": 2, "width": 8, "prior": "normal", "posterior": "implicit", "system": "ali"},
    },
}


@pytest.fixture(scope="module", autouse=True)
def without_a_fresh_process():
    """Other tests hold that a fresh process checks modules."""
    with pytest.MonkeyPatch.context() as patch:
        without_checks(patch)
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_takes_any_number_of_examples_and_other_dtypes(family, tmp_path):
    game = tiny_game(**FAMILIES[family])
    module = tf.saved_model.load(export(game, tmp_path / "module"))
    check_operations((tmp_path / "module" / "saved_model.pb").read_bytes(), family)  # a layer of it loads in safe mode
    x = np.round(images(3, shape=game.example_shape) * 255.0) / np.float32(255.0)
    units = int(np.prod(game.features(x).shape[1:]))
    functions = {"features": module, "code": module.encode, **module.layers}
    for name, function in functions.items():
        expected = function(x)
        shape = (0, units) if name == "features" else (0, *game.features(x[:0], name).shape[1:])
        wanted = game.features(x, "penultimate" if name == "features" else name).reshape(expected.shape)
        np.testing.assert_allclose(expected, wanted, atol=1e-5 * max(1.0, np.abs(wanted).max()))
        assert function(x[:0]).shape == shape, name
        if name in ("features", "code"):
            np.testing.assert_array_equal(function(x.astype(np.float64)), expected)
            np.testing.assert_allclose(function(x[0])[0], expected[0], atol=1e-5)
            assert function(x.tolist()).dtype == tf.float32
    if game.domain.name == "images":
        levels = np.round(x * 255.0).astype(np.uint8)
        np.testing.assert_allclose(module(levels), module(x), atol=1e-5)
        np.testing.assert_allclose(module.encode(levels[0]), module.encode(x[:1]), atol=1e-5)
        assert module(np.zeros((0, 40, 20, x.shape[-1]), np.float32)).shape == (0, units)
        assert module(np.zeros((0, 0, 0, x.shape[-1]), np.uint8)).shape == (0, units)
    for signature in ("serving_default", "encode"):
        (served,) = module.signatures[signature](**{game.domain.name: tf.constant(x[:0])}).values()
        assert served.shape[0] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generator_takes_any_number_of_codes_and_float64(family, tmp_path):
    game = tiny_game(**FAMILIES[family])
    module = tf.saved_model.load(export(game, tmp_path / "module", role="generator"))
    check_operations((tmp_path / "module" / "saved_model.pb").read_bytes(), family)
    z = game.noise(3, 1).numpy()
    np.testing.assert_allclose(module(z), game.generate(z=z), atol=1e-5)
    np.testing.assert_array_equal(module(z.astype(np.float64)), module(z))
    assert module(z[:0]).shape == (0, *game.generate(z=z).shape[1:])


def test_conditional_modules_take_empty_batches_and_float64(tmp_path):
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    game = make_game(dataclasses.replace(experiment, width=2, latent_dim=4, attributes=3))
    x, attributes = images(3, shape=(32, 32, 3)), np.eye(3)
    encoder = tf.saved_model.load(export(game, tmp_path / "encoder"))
    assert encoder.encode(x[:0], attributes[:0]).shape == (0, 4)
    codes = encoder.encode(x, attributes.astype(np.float32))
    np.testing.assert_array_equal(encoder.encode(x.astype(np.float64), attributes), codes)
    generator = tf.saved_model.load(export(game, tmp_path / "generator", role="generator"))
    assert generator({"z": codes[:0], "attributes": attributes[:0]}).shape == (0, 32, 32, 3)
    made = game.generate(z=codes.numpy(), attributes=attributes)
    np.testing.assert_allclose(generator({"z": codes, "attributes": attributes}), made, atol=1e-5)


def test_frozen_networks_are_trainable_in_their_modules(tmp_path):
    game = tiny_game()
    game.encoder.trainable = False
    module = tf.saved_model.load(export(game, tmp_path / "module"))
    assert len(module.trainable_variables) == 3 and all(each.trainable for each in module.trainable_variables)


def test_checksums_and_lines_to_start_from_go_with_a_module(tmp_path, monkeypatch):
    path, game = tmp_path / "module", tiny_game()
    export(game, path)
    verify_checksums(path)
    listed = [line[66:] for line in (path / "SHA256SUMS").read_text().splitlines()]
    there = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    assert sorted(listed) == sorted(set(there) - {"SHA256SUMS", "README.md"})
    for role in ("encoder", "generator"):
        monkeypatch.chdir(path)
        text = (path / "README.md").read_text()
        assert ("float32 [N, 8, 8, 1] in [0, 1] to" in text) == (role == "encoder") and "{" not in text
        names = {}
        for block in text.split("```python\n")[1:]:
            exec(block.split("```")[0], names)
        assert names["layer"](names["images" if role == "encoder" else "z"]).shape[0] == 2
        export(game, path, role="generator")
