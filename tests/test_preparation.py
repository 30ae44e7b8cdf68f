"""A photo gives the same features on every path from its file to a network."""

import json

import numpy as np
import pytest
import tensorflow as tf
from helpers import run_tool, tiny_game
from PIL import Image

import tf_bigan
from tf_bigan import exporting, zoo
from tf_bigan.data import ArraySource, open_data, open_images, pixels
from tf_bigan.errors import InputError
from tf_bigan.games import BiGAN
from tf_bigan.preparation import Preparation
from tf_bigan.training.run_directory import RunDirectory

SHAPES = ((96, 200), (200, 96), (140, 140), (131, 173), (50, 41))  # heights and widths of photos

ENTRIES = [
    name
    for name in zoo.list_models()
    if RunDirectory(zoo.zoo_path() / name).experiment().networks == "conv"
    and RunDirectory(zoo.zoo_path() / name).has_weights()
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of JPEGs of smooth colours, one of each of SHAPES."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (height, width) in enumerate(SHAPES):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=95)
    return folder


def own_pixels(folder):
    """The photos at their stored sizes, each float32 [1, H, W, 3] in [0, 1]."""
    files = sorted(folder.glob("*.jpg"))
    return [np.asarray(Image.open(file))[None].astype(np.float32) / 255.0 for file in files]


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


def test_conv_entries_are_held():
    assert {"bigan_imagenet", "bigan_imagenet_112"} <= set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_models_and_its_modules_features_of_a_photo_agree(name, photos):
    model = tf_bigan.load(name)
    assert model.preparation == RunDirectory(zoo.zoo_path() / name).experiment().preparation
    images, _ = open_images(str(photos), like=model).arrays()
    features = model.features(images).reshape(len(images), -1)
    module, *_ = exporting._encoder_module(model, "penultimate", fold=True)
    assert Preparation.from_json(module.preparation().numpy().decode()) == model.preparation
    assert_close(module(images), features, 1e-5)
    of_files = np.concatenate([module(image).numpy() for image in own_pixels(photos)])
    for found, expected in zip(of_files, features, strict=True):
        assert np.linalg.norm(found - expected) <= 0.02 * np.linalg.norm(expected)


@pytest.mark.usefixtures("modules_checked_here")
def test_command_lines_give_the_same_features_from_a_model_and_its_module(photos, tmp_path):
    run, module = "bigan_imagenet", tmp_path / "module"
    model = tf_bigan.load(run)
    tf_bigan.export(model, module)
    found = {}
    for source in (f"--model={run}", f"--module={module}"):
        output = tmp_path / f"{len(found)}.npz"
        status, _, stderr = run_tool("extract_features.py", source, f"--dataset={photos}", f"--output={output}")
        assert status == 0, stderr
        with np.load(output) as file:
            found[source] = file["features"]
            assert "at 64 pixels of a shorter edge of 72" in str(file["description"])
    of_model, of_module = found.values()
    assert_close(of_module, of_model, 1e-5)
    images, _ = open_images(str(photos), like=model).arrays()
    assert_close(model.features(images).reshape(of_model.shape), of_model, 1e-5)
    status, _, stderr = run_tool(
        "extract_features.py", f"--module={module}", f"--dataset={photos}", "--image_size=64", f"--output={tmp_path}/x"
    )
    assert status == 2 and "error: --image_size does not go with" in stderr and "Traceback" not in stderr


def test_a_module_of_before_says_that_it_has_no_preparation(photos, tmp_path):
    """An older module resizes images without keeping their aspect ratio, and states only its channels."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
        def __call__(self, images):
            return tf.reduce_mean(tf.image.resize(images, (8, 8)), (1, 2))

        @tf.function(input_signature=())
        def input_channels(self):
            return tf.constant(3)

    module = Module()
    module.unused = tf.Variable(0.0)  # extraction names the weights that features are of
    tf.saved_model.save(module, str(tmp_path / "module"))
    arguments = [f"--module={tmp_path / 'module'}", f"--dataset={photos}", f"--output={tmp_path / 'f.npz'}"]
    status, _, stderr = run_tool("extract_features.py", *arguments, "--image_size=16")
    assert status == 0, stderr
    assert "does not say how its images are to be prepared" in stderr and "Images are taken at 16 pixels" in stderr
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].shape == (len(SHAPES), 3)


def test_pixels_in_memory_are_prepared_as_files_are():
    images = np.random.default_rng(0).integers(0, 256, (3, 30, 20, 3), dtype=np.uint8)
    expected, _ = open_images(ArraySource(images), image_size=8, shorter_edge=11).arrays()
    found = pixels.prepared(tf.constant(images / np.float32(255.0)), 8, 11)
    np.testing.assert_allclose(found, expected, atol=0.51 / 255.0)  # files' pixels are rounded
    same = tf.constant(images[:, :8, :8] / np.float32(255.0))
    np.testing.assert_array_equal(pixels.prepared(same, 8, 11), same)


def test_a_model_made_by_hand_has_the_preparation_of_its_shape():
    made = tiny_game()
    by_hand = BiGAN(made.networks, made.prior)
    assert by_hand.preparation == made.preparation == Preparation(8, 1)
    assert tf_bigan.load("ali_mixture").preparation == Preparation(dimensions=2)


def test_descriptions():
    assert str(Preparation(64, 3, 72)) == "64 pixels of a shorter edge of 72"
    assert str(Preparation(64, 3, 64)) == str(Preparation(64)) == "64 pixels"
    assert str(Preparation()) == "the stored size"
    preparation = Preparation(64, 3, 72)
    assert Preparation.from_json(preparation.to_json()) == preparation
    assert json.loads(preparation.to_json()) == {"image_size": 64, "channels": 3, "shorter_edge": 72, "dimensions": 0}
    assert str(Preparation(dimensions=2)) == "2 coordinates" and Preparation(dimensions=2).domain == "points"
    assert (Preparation(64).domain, Preparation().domain) == ("images", "")


def test_what_cannot_be_a_preparation_is_told(photos):
    with pytest.raises(InputError, match="shorter_edge 8 is less than the crops' 9 pixels"):
        Preparation(9, 3, 8)
    with pytest.raises(InputError, match="shorter_edge needs image_size"):
        open_images(str(photos), shorter_edge=8)
    with pytest.raises(InputError, match="this is no preparation of examples: 'x'"):
        Preparation.from_json("x")
    with pytest.raises(InputError, match="like must be a Preparation, or a model .* found str"):
        open_images(str(photos), like="bigan_imagenet")
    with pytest.raises(InputError, match="mixture has points, not images"):
        open_data("mixture", like=tiny_game())
    with pytest.raises(InputError, match="dimensions are of points"):
        Preparation(9, 3, dimensions=2)
    with pytest.raises(InputError, match="image_size does not go with like"):
        open_images(str(photos), image_size=9, like=tiny_game())
