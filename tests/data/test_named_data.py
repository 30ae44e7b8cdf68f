"""The data sets of natural images that flagfiles name, stored as TFDS stores them, with a few made-up images each."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tf_bigan.data import default_query_split, open_images

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
