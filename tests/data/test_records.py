"""Batches as records: no field is lost between a data set and the game, and each stays with its example."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_bigan.data import ArraySource, open_images
from tf_bigan.data import images as images_module
from tf_bigan.data.order import Order

COUNT = 12
NAMES = ["Bald", "Eyeglasses", "Young"]  # sorted


def attributes_of(i):
    """An example's three attributes, its number in binary."""
    return [bool(i & 4), bool(i & 2), bool(i & 1)]


class Faces(tfds.core.GeneratorBasedBuilder):
    """Twelve grey images with truth values as celeb_a stores them; the i-th has grey level 10 i."""

    VERSION = tfds.core.Version("1.0.0")
    # Deliberately not in alphabetical order.
    ATTRIBUTES = {name: np.bool_ for name in ("Young", "Bald", "Eyeglasses")}

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(6, 5, 3)),
            "landmarks": {"lefteye_x": np.int64},
            "attributes": self.ATTRIBUTES,
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _attributes(self, i):
        return dict(zip(NAMES, attributes_of(i), strict=True))

    def _generate_examples(self):
        for i in range(COUNT):
            image = np.full((6, 5, 3), 10 * i, np.uint8)
            yield i, {"image": image, "landmarks": {"lefteye_x": 1}, "attributes": self._attributes(i), "label": i % 3}


class Vectors(Faces):
    """`Faces` with the attributes in one vector."""

    ATTRIBUTES = tfds.features.Tensor(shape=(3,), dtype=np.float32)

    def _attributes(self, i):
        return np.array(attributes_of(i), np.float32)


class Captions(Faces):
    """`Faces` with attributes that are not numbers."""

    ATTRIBUTES = {"caption": tfds.features.Text()}

    def _attributes(self, i):
        return {"caption": "a face"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The TFDS directory with the data sets above in it."""
    folder = tmp_path_factory.mktemp("faces")
    tfds.disable_progress_bar()
    for builder in (Faces, Vectors, Captions):
        builder(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(params=[images_module.IN_MEMORY_BYTES, 0], ids=["in memory", "read anew"])
def memory(request, monkeypatch):
    """Both ways to hold the images."""
    monkeypatch.setattr(images_module, "IN_MEMORY_BYTES", request.param)


def numbers(images):
    """The numbers of these examples in `Faces`."""
    return np.round(np.asarray(images)[:, 0, 0, 0] * 25.5).astype(int)


def assert_together(record, expected):
    """Every field of the record belongs to the expected examples, in this order."""
    assert record["x"].dtype == np.float32 and record["label"].dtype == np.int64
    assert record["attributes"].dtype == np.float32
    assert numbers(record["x"]).tolist() == list(expected)
    assert np.asarray(record["label"]).tolist() == [i % 3 for i in expected]
    assert np.asarray(record["attributes"]).tolist() == [attributes_of(i) for i in expected]


@pytest.mark.parametrize("name", ["faces", "vectors"])
def test_attributes_stay_with_their_images(name, prepared, memory):
    data = open_images(name, image_size=4, data_dir=prepared)
    assert data.attribute_names == (NAMES if name == "faces" else ["0", "1", "2"])
    assert_together(data.records(limit=5), range(5))
    assert_together(data.records(), range(COUNT))
    assert_together(data.read_records([7, 0]), [7, 0])
    order = Order(COUNT, 5, seed=3)
    for crop in ("centre", "random"):
        batches = data.training_batches(5, 3, first_step=2, crop=crop, flip=True).take(4)
        for step, record in enumerate(batches, 2):
            assert [(key, tuple(value.shape)) for key, value in record.items()] == [
                ("x", (5, 4, 4, 3)),
                ("label", (5,)),
                ("attributes", (5, 3)),
            ]
            assert_together(record, order.batch(step))


def test_attributes_stay_with_their_images_where_others_are_left_out(prepared, memory):
    data = open_images("faces", image_size=4, data_dir=prepared).without([0, 5])
    assert_together(data.records(), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
    data = open_images("faces", image_size=4, data_dir=prepared, max_labels=2)
    assert data.attribute_names == NAMES
    assert_together(data.records(), [0, 1, 3, 4, 6, 7, 9, 10])


def test_attributes_that_are_no_numbers_are_not_read(prepared):
    data = open_images("captions", image_size=4, data_dir=prepared)
    assert data.attribute_names == [] and list(data.records(2)) == ["x", "label"]


def test_records_have_the_labels_of_the_images(digits_dir, memory):
    data = open_images("digits", "train[:200]", data_dir=digits_dir)
    images, labels = data.arrays()
    record = data.records(limit=30)
    assert list(record) == ["x", "label"] and set(labels) == set(range(10))
    np.testing.assert_array_equal(record["x"], images[:30])
    np.testing.assert_array_equal(record["label"], labels[:30])
    order = Order(data.count, 70, seed=7)
    for step, batch in enumerate(data.training_batches(70, 7, first_step=13).take(3), 13):
        np.testing.assert_array_equal(batch["x"], images[order.batch(step)])
        np.testing.assert_array_equal(batch["label"], labels[order.batch(step)])


def test_images_without_labels_have_the_label_minus_1(tmp_path):
    from PIL import Image

    for i in range(3):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    (record,) = open_images(str(tmp_path)).training_batches(3, 0).take(1)
    assert list(record) == ["x", "label"] and record["label"].numpy().tolist() == [-1, -1, -1]


def test_the_order_never_changes():
    """The order follows from NumPy's random stream, which NumPy guarantees not to change."""
    epochs = np.concatenate([np.random.RandomState([5, epoch, 0]).permutation(7) for epoch in range(6)])
    order = Order(7, 3, seed=5)
    for step in range(14):
        np.testing.assert_array_equal(order.batch(step), epochs[3 * step : 3 * step + 3])
    for step, steps in ((0, 14), (2, 5), (7, 1)):
        np.testing.assert_array_equal(order.batch(step, steps), epochs[3 * step : 3 * (step + steps)])
    np.testing.assert_array_equal(
        Order(2, 5, seed=0).batch(1), np.concatenate([Order(2, 1, 0).batch(s) for s in range(5, 10)])
    )


def test_crops_and_flips_never_change():
    """Crops and flips follow from TensorFlow's stateless generator with the seed (seed, -1 - step)."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 1), np.uint8)
    data = open_images(ArraySource(pixels), image_size=4, shorter_edge=9)
    for step, record in enumerate(data.training_batches(3, 11, crop="random", flip=True).take(4)):
        draws = tf.random.stateless_uniform((3, 3), tf.constant([11, -1 - step], tf.int64), alg="philox").numpy()
        for i, number in enumerate(Order(3, 3, seed=11).batch(step)):
            top, left = (draws[i, :2] * np.float32(6)).astype(int)
            crop = pixels[number, top : top + 4, left : left + 4]
            crop = crop[:, ::-1] if draws[i, 2] < 0.5 else crop
            np.testing.assert_allclose(record["x"][i], crop / 255.0, atol=1e-7)
