"""The data sets of natural images that flagfiles name, stored as TFDS stores them, with a few made-up images each."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers import ROOT
from PIL import Image

from tf_bigan.data import default_query_split, open_images
from tf_bigan.experiment import Experiment

SIZES = {"train": 6, "validation": 4, "test": 3}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A function that prepares the TFDS data set of a name in a folder, and returns the folder."""

    def prepare(name, splits):
        folder = tmp_path_factory.mktemp("tfds")
        builder = tfds.builder(name, data_dir=folder)

        def examples(split):
            rng = np.random.default_rng(SIZES[split])
            for i in range(SIZES[split]):
                stored = builder.info.features["image"].shape
                shape = [80 + 7 * i if n is None else n for n in stored[:1]] + [n or 90 for n in stored[1:]]
                example = {"image": rng.integers(0, 256, shape, np.uint8), "label": -1 if split == "test" else i}
                if "file_name" in builder.info.features:
                    example["file_name"] = f"{i}.JPEG"
                yield i, example

        builder._split_generators = lambda downloads: {split: examples(split) for split in splits}
        builder.download_and_prepare()
        return folder

    return prepare


@pytest.mark.parametrize(
    "name, splits, classes",
    [
        ("imagenet2012", ("train", "validation", "test"), 1000),
        ("imagenet_resized/64x64", ("train", "validation"), 1000),
        ("imagenette", ("train", "validation"), 10),
    ],
)
def test_named_data_is_read_cropped_and_judged(prepared, name, splits, classes):
    folder = prepared(name, splits)
    data = open_images(name, "train", 64, channels=3, data_dir=folder, shorter_edge=72)
    assert (data.count, len(data.class_names), data.labelled()) == (6, classes, True)
    (record,) = data.training_batches(4, seed=0, crop="random", flip=True).take(1)
    batch = record["x"]
    assert batch.shape == (4, 64, 64, 3) and 0 <= batch.numpy().min() < batch.numpy().max() <= 1
    # ImageNet's test images have no labels, so queries come from the validation split.
    assert default_query_split(name, folder) == "validation"
    images, labels = open_images(name, "validation", 112, channels=3, data_dir=folder, shorter_edge=128).arrays()
    assert images.shape == (4, 112, 112, 3) and sorted(labels) == [0, 1, 2, 3]


def prepared_as(name, folder, examples):
    """Prepares the TFDS data set `name` in `folder`, with its own features and splits, from {split: [examples]}."""
    builder = tfds.builder(name, data_dir=folder)
    builder._split_generators = lambda downloads: {split: enumerate(found) for split, found in examples.items()}
    builder.download_and_prepare()
    return folder


def stored_images(name, split, folder):
    """The images as TFDS decodes them, uint8 [height, width, channels], in the order of the split."""
    return [example["image"] for example in tfds.as_numpy(tfds.load(name, split=split, data_dir=folder))]


def smooth(height, width, seed):
    """An image without hard edges, which JPEG hardly changes: uint8 [height, width, 3]."""
    rows, columns = np.indices((height, width))
    waves = [np.sin(rows / (9 + 3 * c + seed)) + np.cos(columns / (7 + 4 * c)) for c in range(3)]
    return np.round(127.5 + 60.0 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    """CelebA as TFDS stores it, with six faces; (its folder, the attributes as an array [6, 40])."""
    name, folder = "celeb_a", tmp_path_factory.mktemp("celeba")
    features = tfds.builder(name, data_dir=folder).info.features
    drawn = np.random.default_rng(0).integers(0, 2, (6, 40)).astype(bool)
    faces = [
        {
            "image": smooth(218, 178, i),
            "attributes": dict(zip(sorted(features["attributes"]), map(bool, drawn[i]), strict=True)),
            **{kind: {key: 0 for key in features[kind]} for kind in ("landmarks", "identity") if kind in features},
        }
        for i in range(6)
    ]
    return prepared_as(name, folder, {"train": faces[:3], "validation": faces[3:5], "test": faces[5:]}), drawn


def test_celeba_is_resized_and_cropped_as_the_authors_do(celeba):
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_celeba" / "train.flags")
    assert default_query_split("celeb_a", celeba[0]) == "validation"
    for split in ("train", "validation"):
        data = open_images("celeb_a", split, data_dir=celeba[0], like=experiment.preparation)
        stored = np.stack(stored_images("celeb_a", split, celeba[0]))
        assert stored.shape[1:] == (218, 178, 3)
        found, _ = data.arrays()
        small = [Image.fromarray(image).resize((64, 78), Image.Resampling.LANCZOS) for image in stored]
        expected = np.stack([np.asarray(image)[7:71] for image in small]) / 255.0
        assert found.shape == expected.shape
        # Pillow rounds the filter's weights and the rows between its two passes.
        np.testing.assert_allclose(found, expected, atol=1.01 / 255)
        shifted = np.stack([np.asarray(image)[8:72] for image in small]) / 255.0
        assert np.abs(found - expected).mean() < 0.1 * np.abs(found - shifted).mean()


def test_celebas_forty_attributes_are_zeros_and_ones_in_records(celeba):
    folder, drawn = celeba
    data = open_images("celeb_a", "train", 64, data_dir=folder)
    assert len(data.attribute_names) == 40 and data.attribute_names == sorted(data.attribute_names)
    assert data.class_names == [] and {"Bald", "Eyeglasses", "Male", "Young"} <= set(data.attribute_names)
    record = data.records()
    assert record["attributes"].dtype == np.float32 and set(np.unique(record["attributes"])) == {0.0, 1.0}
    assert sorted(map(tuple, record["attributes"])) == sorted(map(tuple, drawn[:3].astype(np.float32)))
    (batch,) = data.training_batches(3, seed=0).take(1)
    assert batch["attributes"].shape == (3, 40) and batch["label"].numpy().tolist() == [-1] * 3


def test_svhn_has_the_split_extra_and_is_judged_on_its_test_images(tmp_path):
    digits = [{"image": smooth(32, 32, i), "label": i % 10, "id": f"{i}"} for i in range(6)]
    folder = prepared_as("svhn_cropped", tmp_path, {"train": digits[:2], "test": digits[2:4], "extra": digits[4:]})
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_svhn" / "train.flags")
    data = open_images("svhn_cropped", experiment.split, data_dir=folder, like=experiment.preparation)
    images, labels = data.arrays()
    assert sorted(labels) == [4, 5] and len(data.class_names) == 10
    for image, label in zip(images, labels, strict=True):  # as they are stored
        np.testing.assert_array_equal(np.round(image * 255), digits[label]["image"])
    assert default_query_split("svhn_cropped", folder) == "test"


def test_stl10s_images_without_labels_are_halved(tmp_path):
    pictures = [{"image": smooth(96, 96, i), "label": -1} for i in range(3)]
    labelled = [{"image": smooth(96, 96, i), "label": i % 10} for i in range(3, 5)]
    folder = prepared_as("stl10", tmp_path, {"train": labelled, "test": labelled, "unlabelled": pictures})
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "dfm_stl10" / "train.flags")
    data = open_images("stl10", experiment.split, data_dir=folder, like=experiment.preparation)
    assert (data.count, len(data.class_names), data.labelled()) == (3, 10, False)
    found, labels = data.arrays()
    assert found.shape == (3, 48, 48, 3) and labels.tolist() == [-1, -1, -1]
    stored = stored_images("stl10", "unlabelled", folder)
    expected = [np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.LANCZOS)) for image in stored]
    # Pillow rounds the filter's weights and the rows between its two passes.
    np.testing.assert_allclose(found, np.stack(expected) / 255.0, atol=1.01 / 255)
    (record,) = data.training_batches(2, seed=0).take(1)
    assert record["x"].shape == (2, 48, 48, 3) and record["label"].numpy().tolist() == [-1, -1]
    assert default_query_split("stl10", folder) == "test"


def test_imagenet_at_32_pixels_is_its_central_crop(tmp_path):
    pictures = [{"image": smooth(80, 120, i), "label": i, "file_name": f"{i}.JPEG"} for i in range(3)]
    folder = prepared_as("imagenet2012", tmp_path, {"train": pictures})
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "dfm_imagenet32" / "train.flags")
    data = open_images("imagenet2012", experiment.split, data_dir=folder, like=experiment.preparation)
    stored = stored_images("imagenet2012", "train", folder)
    small = [np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.LANCZOS)) for image in stored]
    np.testing.assert_allclose(data.arrays()[0], np.stack(small)[:, :, 8:40] / 255.0, atol=1.01 / 255)


def test_downsampled_imagenet_has_images_alone(tmp_path):
    pictures = [{"image": smooth(64, 64, i)} for i in range(4)]
    name = "downsampled_imagenet/64x64"
    folder = prepared_as(name, tmp_path, {"train": pictures[:3], "validation": pictures[3:]})
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_tiny_imagenet" / "train.flags")
    assert experiment.dataset == name
    data = open_images(name, experiment.split, data_dir=folder, like=experiment.preparation)
    assert data.class_names == [] and not data.labelled() and data.attribute_names == []
    stored = sorted(stored_images(name, "train", folder), key=lambda image: image.sum())
    found = sorted(np.round(data.arrays()[0] * 255), key=lambda image: image.sum())
    np.testing.assert_array_equal(found, stored)  # an image of 64x64 pixels is not resized
    assert default_query_split(name, folder) == "validation"
