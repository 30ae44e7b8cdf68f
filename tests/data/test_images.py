import os
import pathlib
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT
from PIL import Image

from tf_bigan.data import images as images_module
from tf_bigan.data import open_images
from tf_bigan.data.protocol import NO_LABEL, Source
from tf_bigan.errors import InputError


def save(path, pixels):
    """Writes uint8 [H, W], [H, W, 3] or [H, W, 4]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def flat(value, *shape):
    return np.full(shape, value, np.uint8)


def take(dataset, count):
    """The images of the first `count` training batches."""
    return np.stack([record["x"].numpy() for record in dataset.take(count)])


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """A folder of ten 4x4 images; the i-th has grey level 10 i, so that it can be recognised by its level."""
    folder = tmp_path_factory.mktemp("levels")
    for i in range(10):
        save(folder / f"{i}.png", flat(10 * i, 4, 4))
    return folder


def numbers(batches):
    """The numbers of these images in `levels`."""
    return np.round(np.asarray(batches)[..., 0, 0, 0] * 25.5).astype(int)


@pytest.fixture(scope="module")
def digits(digits_dir):
    return open_images("digits", data_dir=digits_dir)


@pytest.fixture(scope="module")
def sklearn_digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8, 1) / 16.0, labels


# -- training batches


def test_batches_are_full_float32_images_in_0_to_1(digits):
    batches = take(digits.training_batches(128, seed=0), 30)
    assert batches.shape == (30, 128, 8, 8, 1) and batches.dtype == np.float32
    assert batches.min() == 0.0 and batches.max() == 1.0


def test_every_epoch_visits_every_image_once(levels):
    seen = numbers(take(open_images(str(levels)).training_batches(4, seed=0), 25)).reshape(10, 10)
    # Batches of 4 span the ends of epochs of 10.
    assert all(sorted(epoch) == list(range(10)) for epoch in seen)
    assert len({tuple(epoch) for epoch in seen}) == 10
    assert tuple(range(10)) not in {tuple(epoch) for epoch in seen}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_tiny_data_sets_are_shuffled_too(count, tmp_path):
    for i in range(count):
        save(tmp_path / f"{i}.png", flat(10 * i, 4, 4))
    seen = numbers(take(open_images(str(tmp_path)).training_batches(1, seed=0), 20 * count)).reshape(20, count)
    assert all(sorted(epoch) == list(range(count)) for epoch in seen)
    assert count == 1 or len({tuple(epoch) for epoch in seen}) > 1


def test_every_image_comes_first_about_as_often(levels):
    data = open_images(str(levels))
    first = numbers(take(data.training_batches(10, seed=3), 600))[:, 0]
    counts = np.bincount(first, minlength=10)
    assert counts.sum() == 600 and counts.min() > 30 and counts.max() < 95  # 60 expected, deviation 7.3


class Counted(Source):
    """A source of 1x1 images that hold their own number in two of their channels."""

    origin = "numbers"
    stored_shape = (1, 1, 3)

    def __init__(self, count):
        self.count = count

    def read(self, indices):
        return [struct.pack("<HB", i, 0) for i in indices]

    def decode(self, example, channels):
        image = tf.reshape(tf.io.decode_raw(example, tf.uint8), (1, 1, 3))
        return {"x": image, "label": tf.constant(NO_LABEL, tf.int64)}


@pytest.mark.parametrize("count", [2000, 50000, 60000])
def test_the_orders_of_different_epochs_are_unrelated(count, monkeypatch):
    monkeypatch.setattr(images_module, "IN_MEMORY_BYTES", 0)
    data = images_module.ImageData("counted", Counted(count), 1, 3)

    def start(epoch, seed):
        """The numbers of the first 2000 images of an epoch."""
        batch = np.round(take(data.training_batches(2000, seed, first_step=epoch * count // 2000), 1)[0] * 255)
        return batch[:, 0, 0, 0] + 256 * batch[:, 0, 0, 1]

    orders = [np.arange(2000.0), start(0, 1), start(1, 1), start(2, 1), start(3, 1), start(0, 2)]
    assert all(len(np.unique(order)) == 2000 for order in orders)
    correlations = np.corrcoef(orders) - np.eye(len(orders))
    assert np.abs(correlations).max() < 0.1  # deviation 0.022
    for order in orders[1:]:
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.1


def test_batch_depends_on_seed_and_step_alone(digits, digits_dir):
    whole = take(digits.training_batches(100, seed=7), 20)
    for first in (1, 14, 19):
        again = open_images("digits", data_dir=digits_dir)
        np.testing.assert_array_equal(take(again.training_batches(100, seed=7, first_step=first), 1)[0], whole[first])
    assert not np.any(np.all(whole == take(digits.training_batches(100, seed=8), 20), axis=(2, 3, 4)).all(axis=1))


def test_far_steps_cost_no_more_than_the_first(levels):
    data = open_images(str(levels))
    for first in (10**12, 2**55):
        seen = numbers(take(data.training_batches(10, seed=0, first_step=first), 2))
        assert [sorted(epoch) for epoch in seen] == [list(range(10))] * 2


def test_a_data_set_of_exactly_one_batch_is_enough_and_a_smaller_one_is_refused(levels):
    data = open_images(str(levels))
    assert sorted(numbers(take(data.training_batches(10, seed=0), 1))[0]) == list(range(10))
    with pytest.raises(InputError, match="has 10 images, fewer than a batch of 11; lower --batch_size"):
        data.training_batches(11, seed=0)


def test_data_that_does_not_fit_into_memory_gives_the_same_batches(digits, digits_dir, levels, monkeypatch):
    in_memory = open_images(str(levels)).load()
    monkeypatch.setattr(images_module, "IN_MEMORY_BYTES", 0)
    for expected, name, seed in ((digits.load(), "digits", 7), (in_memory, str(levels), 3)):
        read = open_images(name, data_dir=digits_dir)
        size = min(100, read.count)
        np.testing.assert_array_equal(
            take(read.training_batches(size, seed, first_step=3), 4),
            take(expected.training_batches(size, seed, first_step=3), 4),
        )
        assert read._memory is None and expected._memory is not None
        for a, b in zip(read.arrays(limit=5), expected.arrays(limit=5), strict=True):
            np.testing.assert_array_equal(a, b)


def test_crops_of_images_in_memory_are_those_of_images_read_anew(digits_dir, monkeypatch):
    def opened():
        return open_images("digits", image_size=8, shorter_edge=12, data_dir=digits_dir)

    def looked_at(data):
        random = data.training_batches(100, seed=7, first_step=13, crop="random", flip=True)
        return [*take(random, 3), data.read([3, 1])[0], data.read([5, 2], tf.constant([[0.99, 0.0], [0.4, 0.7]]))[0]]

    anew = looked_at(opened())
    loaded = opened().load()
    monkeypatch.setattr(type(loaded._source), "read", lambda self, indices: pytest.fail("read from disk"))
    for a, b in zip(looked_at(loaded), anew, strict=True):
        np.testing.assert_array_equal(a, b)
    first, last = anew[0], anew[4]
    assert np.unique(first.reshape(100, -1), axis=0).shape[0] > 90 and not np.array_equal(last[0], last[1])


def test_random_crops_of_images_of_many_sizes_are_never_from_memory(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        save(tmp_path / f"{i}.png", rng.integers(0, 256, (20 + i, 30)))
    places = tf.constant([[0.0, 0.0], [0.99, 0.99], [0.2, 0.6]])

    def opened():
        return open_images(str(tmp_path), image_size=8, shorter_edge=12)

    loaded = opened().load()
    np.testing.assert_array_equal(loaded.read([0, 5, 2], places)[0], opened().read([0, 5, 2], places)[0])
    np.testing.assert_array_equal(loaded.read([0, 5, 2])[0], opened().read([0, 5, 2])[0])


# -- in order


def test_digits_are_scikit_learns(digits_dir, sklearn_digits):
    images, labels = sklearn_digits
    parts = [open_images("digits", split, data_dir=digits_dir) for split in ("train", "test")]
    assert [part.count for part in parts] == [1437, 360]
    assert parts[0].image_shape == (8, 8, 1) and parts[0].class_names == [str(i) for i in range(10)]

    def rows(images, labels):
        table = np.concatenate([np.round(images.reshape(len(images), 64) * 255), labels[:, None]], axis=1)
        return table[np.lexsort(table.T)]

    # TFDS shuffles a split when it prepares it, so the parts are compared as sets.
    for part, slice_ in zip(parts, (slice(0, 1437), slice(1437, None)), strict=True):
        np.testing.assert_allclose(rows(*part.arrays()), rows(images[slice_], labels[slice_]), atol=1)


def test_examples_are_read_in_order_from_any_place(digits):
    images, labels = digits.arrays()
    assert images.shape == (1437, 8, 8, 1) and labels.shape == (1437,) and labels.dtype == np.int64
    parts = list(digits.batches(500).as_numpy_iterator())
    assert [len(part) for part, _ in parts] == [500, 500, 437]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), images)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), labels)
    rest = list(digits.batches(100, first=1400).as_numpy_iterator())
    np.testing.assert_array_equal(rest[0][0], images[1400:])
    np.testing.assert_array_equal(digits.read(tf.constant([5, 3, 5], tf.int64))[0], images[[5, 3, 5]])
    for limit in (0, 10, 5000):
        np.testing.assert_array_equal(digits.arrays(limit)[0], images[:limit])


@pytest.mark.parametrize(
    "split, expected",
    [
        ("train[:50]", slice(0, 50)),
        ("train[100:150]", slice(100, 150)),
        ("train[-37:]", slice(1400, 1437)),
        ("train[:50%]", slice(0, 718)),
    ],
)
def test_splits_can_be_sliced(digits, digits_dir, split, expected):
    part = open_images("digits", split, data_dir=digits_dir)
    for a, b in zip(part.arrays(), digits.arrays(), strict=True):
        np.testing.assert_array_equal(a, b[expected])


def test_splits_can_be_joined(digits, digits_dir):
    both = open_images("digits", "test[:20]+train[5:15]", data_dir=digits_dir)
    test = open_images("digits", "test", data_dir=digits_dir)
    np.testing.assert_array_equal(both.arrays()[0], np.concatenate([test.arrays(20)[0], digits.arrays(15)[0][5:]]))


# -- what cannot be opened


@pytest.mark.parametrize(
    "name, split, message",
    [
        ("digits", "tran", "digits has no split 'tran'. Did you mean 'train'"),
        ("digits", "valid[:10]", r"digits has no split 'valid\[:10\]'.* Known: test, train"),
        ("digits", "train[:10", r"digits has no split 'train\[:10'"),
        ("digits", "train[:0]", r"digits split 'train\[:0\]' is empty"),
        ("digitz", "train", "unknown data set 'digitz'. Did you mean 'digits'"),
        (
            "no_such_thing_at_all",
            "train",
            "unknown data set 'no_such_thing_at_all'. Any TFDS name, 'digits', 'mixture' or a folder",
        ),
        ("digits:7.0.0", "train", "data set 'digits:7.0.0' cannot be opened"),
        ("", "train", "data set ''"),
    ],
)
def test_names_that_do_not_exist_are_refused(digits_dir, name, split, message):
    with pytest.raises(InputError, match=message) as caught:
        open_images(name, split, data_dir=digits_dir)
    assert len(str(caught.value).splitlines()) <= 2


def test_digits_are_prepared_on_first_use_without_a_network(tmp_path):
    assert open_images("digits", "test", data_dir=tmp_path / "new").count == 360


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="file"):
        open_images("digits", data_dir=tmp_path / "file" / "tfds")


@pytest.mark.parametrize("cut", [1, 30, 2000])
def test_a_truncated_file_is_named(digits_dir, tmp_path, cut):
    shutil.copytree(digits_dir / "digits", tmp_path / "digits")
    file = next((tmp_path / "digits").rglob("*train.tfrecord*"))
    os.truncate(file, file.stat().st_size - cut)
    with pytest.raises(InputError, match=f"{file} is truncated at byte [0-9]+; prepare the data set again"):
        open_images("digits", data_dir=tmp_path)
    assert open_images("digits", "test", data_dir=tmp_path).count == 360


def test_a_missing_file_is_named(digits_dir, tmp_path):
    shutil.copytree(digits_dir / "digits", tmp_path / "digits")
    file = next((tmp_path / "digits").rglob("*train.tfrecord*"))
    file.unlink()
    with pytest.raises(InputError, match=file.name):
        open_images("digits", data_dir=tmp_path)


# -- folders


def test_sub_folders_are_classes(tmp_path):
    save(tmp_path / "dogs" / "b.png", flat(30, 4, 4))
    save(tmp_path / "cats" / "a.png", flat(10, 4, 4))
    save(tmp_path / "cats" / "deeper" / "c.PNG", flat(20, 4, 4))
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    data = open_images(str(tmp_path))
    assert data.class_names == ["cats", "dogs"] and data.count == 3 and data.image_shape == (4, 4, 1)
    images, labels = data.arrays()
    assert list(labels) == [0, 0, 1] and list(numbers(images)) == [1, 2, 3]


def test_images_without_sub_folders_have_no_labels(levels):
    data = open_images(str(levels))
    images, labels = data.arrays()
    assert data.class_names == [] and list(labels) == [-1] * 10 and list(numbers(images)) == list(range(10))


def test_a_relative_folder_is_written_with_a_dot(levels, monkeypatch):
    monkeypatch.chdir(levels.parent)
    assert open_images(f"./{levels.name}").count == 10
    with pytest.raises(InputError, match=f"For a folder of images write ./{levels.name}"):
        open_images(levels.name)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=f"no images under {tmp_path}; looked for .png"):
        open_images(str(tmp_path))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=f"there is no folder {tmp_path}/nowhere"):
        open_images(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("L", 3), ("RGB", 1)])
def test_files_of_every_kind_become_images_of_the_channels_asked_for(tmp_path, suffix, mode, channels):
    for i in range(2):
        Image.fromarray(flat(100, 4, 4)).convert(mode).save(tmp_path / f"{i}.{suffix}")
    images, _ = open_images(str(tmp_path), channels=channels).arrays()
    assert images.shape == (2, 4, 4, channels)
    np.testing.assert_allclose(images, 100 / 255, atol=0.01)


def test_channels_are_those_of_the_files_unless_asked_for(tmp_path):
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0], colours[..., 2] = 255, 51
    save(tmp_path / "a.png", colours)
    np.testing.assert_allclose(open_images(str(tmp_path)).arrays()[0][0, 0, 0], [1.0, 0.0, 0.2])
    # Luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    grey, _ = open_images(str(tmp_path), channels=1).arrays()
    np.testing.assert_allclose(grey[0, 0, 0], [0.299 + 0.114 * 0.2], atol=1 / 255)


def test_a_grey_first_file_does_not_take_the_others_colours(tmp_path):
    save(tmp_path / "a.png", flat(0, 4, 4))
    save(tmp_path / "b.png", flat(9, 4, 4, 3))
    assert open_images(str(tmp_path)).image_shape == (4, 4, 3)


def test_linked_folders_are_classes_and_loops_end(tmp_path):
    save(tmp_path / "far" / "a.png", flat(0, 4, 4))
    save(tmp_path / "photos" / "near" / "b.png", flat(0, 4, 4))
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "far")
    (tmp_path / "photos" / "near" / "loop").symlink_to(tmp_path / "photos")
    data = open_images(str(tmp_path / "photos"))
    assert data.class_names == ["linked", "near"] and data.count == 2


def test_hidden_files_and_folders_are_not_looked_at(tmp_path):
    for path in ("a/1.png", "a/._1.png", ".thumbnails/1.png", ".2.png"):
        save(tmp_path / path, flat(0, 4, 4))
    data = open_images(str(tmp_path))
    assert data.class_names == ["a"] and data.count == 1 and data.labelled()


@pytest.mark.parametrize("split", ["train", "test[100:200]"])
def test_the_first_classes_can_be_had_alone(digits_dir, split):
    whole, some = (open_images("digits", split, data_dir=digits_dir, max_labels=n) for n in (0, 3))
    images, labels = whole.arrays()
    found, found_labels = some.arrays()
    np.testing.assert_array_equal(found, images[labels < 3])
    np.testing.assert_array_equal(found_labels, labels[labels < 3])
    assert some.class_names == ["0", "1", "2"] and some.labelled() and whole.overlaps(some) and some.overlaps(whole)
    assert some.origin == f"digits {split}, 3 classes"


def test_the_first_folders_can_be_had_alone(tmp_path):
    for place, level in (("a/1", 10), ("b/2", 20), ("c/3", 30), ("4", 40)):
        save(tmp_path / f"{place}.png", flat(level, 4, 4))
    (tmp_path / "b" / "0.png").write_bytes(b"no image")
    data = open_images(str(tmp_path), max_labels=2, bad_images="skip")
    images, labels = data.arrays()
    assert list(labels) == [0, 1] and list(numbers(images)) == [1, 2] and data.stored == 3
    with pytest.raises(InputError, match=f"(?s)1 of 3 images .*It is {tmp_path / 'b' / '0.png'}"):
        open_images(str(tmp_path), max_labels=2).load()


def test_more_classes_than_there_are_cannot_be_had(digits_dir, levels):
    with pytest.raises(InputError, match="digits has 10 classes, fewer than max_labels 11"):
        open_images("digits", data_dir=digits_dir, max_labels=11)
    with pytest.raises(InputError, match="has 0 classes, fewer than max_labels 1"):
        open_images(str(levels), max_labels=1)


def test_overlaps_are_of_examples_not_of_names(digits, digits_dir, tmp_path):
    def split(text):
        return open_images("digits", text, data_dir=digits_dir)

    assert digits.overlaps(split("train[1400:]")) and split("train[:9]").overlaps(split("train[8:10]"))
    assert not split("train[:9]").overlaps(split("train[9:]")) and not digits.overlaps(split("test"))
    for name in ("a", "b"):
        save(tmp_path / name / "1.png", flat(0, 8, 8))
    (tmp_path / "c").symlink_to(tmp_path / "a")
    whole, a, b, c = (open_images(str(path)) for path in (tmp_path, *(tmp_path / name for name in "abc")))
    assert whole.overlaps(a) and a.overlaps(whole) and a.overlaps(c)
    assert not a.overlaps(b) and not a.overlaps(digits)
    assert not whole.without([0, 2]).overlaps(a)


def test_tfds_images_change_channels(digits, digits_dir):
    images, _ = open_images("digits", data_dir=digits_dir, channels=3).arrays(limit=4)
    np.testing.assert_array_equal(images, np.repeat(digits.arrays(limit=4)[0], 3, axis=-1))


def test_images_that_are_not_square_need_a_size(tmp_path):
    save(tmp_path / "a.png", flat(0, 4, 6))
    with pytest.raises(InputError, match="have 4x6 pixels; give --image_size"):
        open_images(str(tmp_path))
    assert open_images(str(tmp_path), image_size=4).arrays()[0].shape == (1, 4, 4, 1)


@pytest.mark.parametrize("first, second", [((4, 4), (6, 4)), ((4, 4), (5, 5)), ((6, 4), (4, 4))], ids=str)
def test_images_of_varying_sizes_need_a_size(tmp_path, first, second):
    save(tmp_path / "a.png", flat(0, *first))
    save(tmp_path / "b.png", flat(255, *second))
    with pytest.raises(InputError, match="give --image_size"):
        open_images(str(tmp_path)).load()
    for size in (4, 3):
        images, _ = open_images(str(tmp_path), image_size=size).arrays()
        np.testing.assert_allclose(images, [np.zeros((size, size, 1)), np.ones((size, size, 1))], atol=1e-6)


def test_the_shorter_edge_is_resized_and_the_centre_cropped(tmp_path):
    # 8 rows of 16: black, then 8 white columns in the middle, then black; the crop keeps the middle.
    wide = flat(0, 8, 16)
    wide[:, 4:12] = 255
    save(tmp_path / "wide.png", wide)
    save(tmp_path / "wide_too.png", wide)
    images, _ = open_images(str(tmp_path), image_size=8).arrays()
    np.testing.assert_array_equal(images, np.ones((2, 8, 8, 1)))
    images, _ = open_images(str(tmp_path), image_size=4).arrays()
    assert images.shape == (2, 4, 4, 1)
    np.testing.assert_allclose(images[:, :, 1:3], 1.0, atol=0.1)


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """Six 10x14 images whose pixels encode their place: red is the row, green the column, blue the image's number."""
    folder = tmp_path_factory.mktemp("ramps")
    rows, columns = np.indices((10, 14))
    for i in range(6):
        save(
            folder / f"{i}.png",
            np.stack([rows * 10, columns * 10, np.full((10, 14), i * 10)], axis=-1).astype(np.uint8),
        )
    return open_images(str(folder), image_size=8, shorter_edge=10)


def places_of(batches):
    """(top, left, mirrored) of every crop of `ramps`."""
    pixels = np.round(np.concatenate(batches) * 25.5).astype(int)
    mirrored = pixels[:, 0, 0, 1] > pixels[:, 0, -1, 1]
    left = np.minimum(pixels[:, 0, 0, 1], pixels[:, 0, -1, 1])
    return list(zip(pixels[:, 0, 0, 0], left, mirrored, strict=True))


def test_images_stored_at_the_shorter_edge_are_cropped(digits, digits_dir):
    # Nothing is resized here, so crops are parts of the stored 8x8 pixels.
    cropped = open_images("digits", data_dir=digits_dir, image_size=6, shorter_edge=8)
    stored, _ = digits.arrays(limit=9)
    np.testing.assert_array_equal(cropped.arrays(limit=9)[0], stored[:, 1:7, 1:7])
    everywhere = take(cropped.training_batches(128, 1, crop="random"), 1)[0]
    found = np.lib.stride_tricks.sliding_window_view(digits.arrays()[0][..., 0], (6, 6), (1, 2)).reshape(-1, 36)
    found = {window.tobytes() for window in found}
    assert all(crop.tobytes() in found for crop in everywhere.reshape(-1, 36))


def test_random_crops_lie_anywhere_and_flips_are_every_other(ramps):
    found = places_of(take(ramps.training_batches(6, 1, crop="random", flip=True), 100))
    assert {place[:2] for place in found} == {(top, left) for top in range(3) for left in range(7)}
    assert 0.4 < np.mean([mirrored for *_, mirrored in found]) < 0.6
    # A crop is a contiguous part of its image: no pixel comes from elsewhere.
    crop = np.round(take(ramps.training_batches(6, 1, crop="random"), 1)[0] * 25.5)
    assert np.all(np.diff(crop[..., 0], axis=1) == 1) and np.all(np.diff(crop[..., 1], axis=2) == 1)
    assert set(places_of(take(ramps.training_batches(6, 1), 3))) == {(1, 3, False)}


def test_augmentation_follows_from_seed_and_step_alone(ramps):
    whole = take(ramps.training_batches(4, 5, crop="random", flip=True), 6)
    later = take(ramps.training_batches(4, 5, first_step=3, crop="random", flip=True), 3)
    np.testing.assert_array_equal(whole[3:], later)
    assert places_of(whole) != places_of(take(ramps.training_batches(4, 6, crop="random", flip=True), 6))
    assert len({tuple(places_of([batch])) for batch in whole}) == 6


def test_a_shorter_edge_below_the_crop_is_refused(tmp_path):
    save(tmp_path / "a.png", flat(0, 9, 9))
    with pytest.raises(InputError, match="shorter_edge 7 is less than the crops' 8 pixels"):
        open_images(str(tmp_path), image_size=8, shorter_edge=7)


def test_shrinking_is_antialiased(tmp_path):
    board = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "a.png", board)
    images, _ = open_images(str(tmp_path), image_size=4).arrays()
    np.testing.assert_allclose(images, 0.5, atol=0.05)


def test_an_image_of_the_size_asked_for_is_left_as_it_is(digits, digits_dir):
    np.testing.assert_array_equal(
        open_images("digits", data_dir=digits_dir, image_size=8).arrays(limit=9)[0], digits.arrays(limit=9)[0]
    )
    images, _ = open_images("digits", data_dir=digits_dir, image_size=16).arrays(limit=9)
    assert images.shape == (9, 16, 16, 1) and images.min() >= 0.0 and images.max() <= 1.0


@pytest.mark.parametrize("position", ["first", "other"])
@pytest.mark.parametrize("content", [b"", b"no image at all", None], ids=["empty", "text", "cut short"])
def test_a_damaged_image_file_is_named(tmp_path, position, content):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / name, np.random.default_rng(0).integers(0, 256, (8, 8)))
    damaged = tmp_path / ("a.png" if position == "first" else "b.png")
    damaged.write_bytes(damaged.read_bytes()[:60] if content is None else content)
    with pytest.raises(InputError, match=damaged.name) as caught:
        open_images(str(tmp_path)).load()
    assert len(str(caught.value).splitlines()) <= 2


# -- real data


@pytest.fixture(scope="module")
def real_data():
    """Prepared MNIST, or a skip that says where it was looked for."""
    found = [os.environ.get("TFDS_DATA_DIR"), ROOT.parent / "shared" / "tfds"]
    for folder in filter(None, found):
        if (pathlib.Path(folder) / "mnist").is_dir():
            return folder
    pytest.skip("no prepared mnist in TFDS_DATA_DIR or ../shared/tfds")


def test_mnist_is_whole(real_data):
    train, test = (open_images("mnist", split, data_dir=real_data) for split in ("train", "test"))
    assert (train.count, test.count, train.image_shape) == (60000, 10000, (28, 28, 1))
    images, labels = test.arrays()
    # The known mean pixel and class counts of the test set.
    assert abs(images.mean() - 0.1325) < 5e-4
    assert list(np.bincount(labels)) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
