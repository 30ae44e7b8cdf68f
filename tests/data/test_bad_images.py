"""Images that cannot be decoded are found, named, and refused or left out; unusual ones that can be are accepted."""

import io
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tf_bigan.data import images as images_module
from tf_bigan.data import open_images
from tf_bigan.errors import InputError


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height=12, width=10):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def deep(height=12, width=10):
    """16 bits a pixel."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 65536, (height, width)).astype(np.uint16))


USABLE = {
    "1x1.jpg": encoded(noise(1, 1), "JPEG"),
    "1x200.jpg": encoded(noise(1, 200), "JPEG"),
    "200x1.png": encoded(noise(200, 1)),
    "mislabelled.jpg": encoded(noise()),
    "tiff.jpg": encoded(noise(), "TIFF"),
    "grey.jpg": encoded(noise().convert("L"), "JPEG"),
    "cmyk.jpg": encoded(noise().convert("CMYK"), "JPEG"),
    "rgba.png": encoded(noise().convert("RGBA")),
    "grey_alpha.png": encoded(noise().convert("LA")),
    "palette.png": encoded(noise().convert("P")),
    "one_bit.png": encoded(noise().convert("1")),
    "16_bit.png": encoded(deep()),
    "animated.gif": encoded(noise().convert("P"), "GIF", save_all=True, append_images=[noise(12, 10).convert("P")]),
}
BAD = {
    "empty.png": b"",
    "text.jpg": b"no image at all",
    "truncated.jpg": encoded(noise(64, 64), "JPEG")[:-2],
    "truncated.png": encoded(noise())[:60],
    "truncated.gif": encoded(noise().convert("P"), "GIF")[:-40],
    "truncated.bmp": encoded(noise(), "BMP")[:20],
    "changed.png": encoded(noise())[:80] + b"\x00\x00" + encoded(noise())[82:],
    "strip.png": encoded(Image.new("L", (60000, 1))),
}


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def level(i):
    return encoded(Image.new("L", (4, 4), 10 * i))


def levels(folder, count, bad=()):
    """`count` 4x4 images in folder; the i-th has grey level 10 i, or cannot be decoded."""
    return write(folder, {f"{i:02}.png": b"no image" if i in bad else level(i) for i in range(count)})


def numbers(images):
    return [round(value) for value in np.asarray(images)[..., 0, 0, 0].ravel() * 25.5]


@pytest.fixture(params=[images_module.IN_MEMORY_BYTES, 0], ids=["in memory", "read anew"])
def memory(request, monkeypatch):
    """Both ways to hold the images."""
    monkeypatch.setattr(images_module, "IN_MEMORY_BYTES", request.param)


# -- what works and what does not


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("load", [True, False])
def test_every_bad_image_is_found_and_the_odd_ones_work(tmp_path, channels, load):
    names = sorted([*USABLE, *BAD])
    folder = write(tmp_path / "a", {**USABLE, **BAD})
    data = open_images(folder, image_size=8, channels=channels)
    usable, bad = data.checked(load)
    assert [names[i] for i in bad] == sorted(BAD)
    assert (usable.count, usable.stored, data.count) == (len(USABLE), len(names), len(names))
    count = len(USABLE)
    (batch,) = usable.training_batches(count, seed=0, crop="random", flip=True).take(1)
    for x in (batch["x"].numpy(), usable.arrays()[0]):
        assert x.shape == (count, 8, 8, channels) and 0.0 <= x.min() <= x.max() <= 1.0
        assert sum(image.std() > 0 for image in x) >= count - 1  # one is a single pixel


@pytest.mark.parametrize("name", ["empty.png", "text.jpg", "truncated.jpg"])
def test_a_bad_image_is_refused_by_name_even_if_it_is_the_first(name, tmp_path, memory):
    folder = write(tmp_path / "a", {f"0{name}": BAD[name], "1.png": level(1)})
    with pytest.raises(InputError, match="1 of 2 images of .* cannot be used") as caught:
        open_images(folder, image_size=4).check()
    message = str(caught.value)
    assert f"It is {folder}/0{name}; --bad_images=skip leaves out" in message and len(message.splitlines()) == 2


def test_a_refusal_says_how_many_and_names_the_first(tmp_path):
    data = open_images(levels(tmp_path / "a", 10, bad=(3, 7)))
    with pytest.raises(InputError, match=r"(?s)2 of 10 images of .*The first is .*/03\.png;"):
        data.load()
    with pytest.raises(InputError, match="2 of 10"):
        data.load()  # a second attempt is refused as well
    assert data.count == 10


def test_a_file_that_cannot_be_read_is_as_bad_as_a_damaged_one(tmp_path, memory):
    folder = levels(tmp_path / "a", 4)
    data = open_images(folder)
    os.remove(tmp_path / "a" / "02.png")
    with pytest.raises(InputError, match=r"(?s)1 of 4 images .*02\.png"):
        data.check()
    with pytest.raises(InputError, match=r"(?s)1 of 4 images .*02\.png"):
        data.arrays(limit=4)


# -- leaving them out


def test_what_is_left_out_is_no_longer_there(tmp_path, memory):
    said = []
    folder = levels(tmp_path / "a", 10, bad=(0, 3, 9))
    data = open_images(folder, bad_images="skip", say=said.append)
    good = [1, 2, 4, 5, 6, 7, 8]
    assert said == [
        f"3 of 10 images of {folder} cannot be used and are left out: {folder}/00.png, {folder}/03.png, {folder}/09.png"
    ]
    assert data.count == 7
    assert numbers(data.arrays()[0]) == good and numbers(data.arrays(limit=3)[0]) == good[:3]
    assert [numbers(images) for images, _ in data.batches(3, first=2)] == [[4, 5, 6], [7, 8]]
    assert numbers(data.read(tf.constant([6, 0], tf.int64))[0]) == [8, 1]
    for crop in ("centre", "random"):
        batches = data.training_batches(7, seed=0, crop=crop).take(6)
        seen = numbers(np.concatenate([record["x"] for record in batches]))
        epochs = np.reshape(seen, (6, 7))
        assert all(sorted(epoch) == good for epoch in epochs.tolist())
        assert len({tuple(epoch) for epoch in epochs}) == 6
    with pytest.raises(InputError, match="has 7 images, fewer than a batch of 8"):
        data.training_batches(8, seed=0)


def test_the_batches_are_those_of_a_folder_without_the_bad_ones(tmp_path, memory):
    skipping = open_images(levels(tmp_path / "a", 10, bad=(2, 5)), bad_images="skip", say=lambda line: None)
    whole = levels(tmp_path / "b", 10)
    for i in (2, 5):
        os.remove(tmp_path / "b" / f"{i:02}.png")
    for a, b in zip(
        skipping.training_batches(4, seed=1).take(8),
        open_images(whole).training_batches(4, seed=1).take(8),
        strict=True,
    ):
        np.testing.assert_array_equal(a["x"], b["x"])


def test_labels_stay_with_their_images(tmp_path, memory):
    for i, name in enumerate("abc"):
        levels(tmp_path / name, 4, bad=(i,))
    data = open_images(str(tmp_path), bad_images="skip", say=lambda line: None)
    images, labels = data.arrays()
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and numbers(images) == [1, 2, 3, 0, 2, 3, 0, 1, 3]


def test_only_the_first_few_are_named(tmp_path):
    said = []
    open_images(levels(tmp_path / "a", 20, bad=range(1, 12)), bad_images="skip", say=said.append)
    assert said[0].startswith("11 of 20 images") and said[0].endswith("/03.png and 8 more")


def test_nothing_is_said_or_held_where_all_are_good(tmp_path, memory):
    data = open_images(levels(tmp_path / "a", 10), bad_images="skip", say=pytest.fail)
    assert data.count == data.stored == 10 and data._kept is None


def test_what_was_left_out_once_can_be_left_out_again_without_a_look(tmp_path, memory):
    data = open_images(levels(tmp_path / "a", 10, bad=(2, 5)))
    again = data.without([2, 5])
    assert again.count == 8 and numbers(again.load().arrays()[0]) == [0, 1, 3, 4, 6, 7, 8, 9]
    (tmp_path / "a" / "07.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"(?s)1 of 10 images .*07\.png; restore it, then start again"):
        data.without([2, 5]).arrays()


@pytest.mark.parametrize("bad_images", ["refuse", "skip"])
def test_none_left_is_refused(tmp_path, bad_images):
    folder = levels(tmp_path / "a", 3, bad=range(3))
    with pytest.raises(InputError, match=r"none of the 3 images under .*00\.png, is truncated") as caught:
        open_images(folder, bad_images=bad_images)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("bad_images", ["refuse", "skip"])
def test_an_image_of_another_size_is_not_skipped(tmp_path, bad_images):
    folder = levels(tmp_path / "a", 6, bad=(1,))
    noise(5, 7).save(tmp_path / "a" / "04.png")
    with pytest.raises(InputError, match="04.png has 5x7 pixels, unlike the first; give --image_size"):
        open_images(folder, bad_images=bad_images).load()
    assert open_images(folder, image_size=4, bad_images="skip", say=lambda line: None).count == 5


def test_other_words_are_refused(tmp_path):
    with pytest.raises(InputError, match="unknown bad_images 'skipp'. Did you mean 'skip'"):
        open_images(levels(tmp_path / "a", 1), bad_images="skipp")


# -- TFDS


class Pixels(tfds.core.GeneratorBasedBuilder):
    """Four images of floats; the second has values above 1."""

    VERSION = tfds.core.Version("1.0.0")
    DTYPE = np.float32
    CHANNELS = 1

    def _info(self):
        images = {
            "image": tfds.features.Image(shape=(4, 4, self.CHANNELS), dtype=self.DTYPE),
            "label": tfds.features.ClassLabel(num_classes=4),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(images), disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(4):
            yield i, {"image": np.full((4, 4, self.CHANNELS), 1.5 if i == 1 else i / 25.5, self.DTYPE), "label": i}


def test_records_are_checked_too(tmp_path, memory):
    tfds.disable_progress_bar()
    Pixels(data_dir=tmp_path).download_and_prepare()
    said = []
    data = open_images("pixels", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"(?s)1 of 4 images of pixels .* outside \[0, 1\].*the record at byte [0-9]+"):
        data.check()
    data = open_images("pixels", data_dir=tmp_path, bad_images="skip", say=said.append)
    images, labels = data.arrays()
    assert labels.tolist() == [0, 2, 3] and numbers(images) == [0, 2, 3]
    assert said[0].startswith("1 of 4 images of pixels cannot be used and are left out: the record at byte ")


class Deep(Pixels):
    """The same with 16 bits a pixel."""

    DTYPE = np.uint16


def test_records_of_16_bits_are_refused_in_a_line(tmp_path):
    tfds.disable_progress_bar()
    Deep(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(InputError, match="^deep has uint16 pixels; uint8 or float in .0, 1. can be read$"):
        open_images("deep", data_dir=tmp_path)


class Transparent(Pixels):
    """The same with alpha channels."""

    DTYPE = np.uint8
    CHANNELS = 4


def test_what_has_neither_1_nor_3_channels_is_refused_until_it_is_converted(tmp_path):
    tfds.disable_progress_bar()
    Transparent(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(InputError, match="^transparent has images of 4 channels; --channels=1 or 3 converts them$"):
        open_images("transparent", data_dir=tmp_path)
    assert open_images("transparent", channels=3, data_dir=tmp_path).arrays()[0].shape == (4, 4, 4, 3)


class Sounds(tfds.core.GeneratorBasedBuilder):
    """A data set without images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"loudness": tfds.features.Scalar(np.float32), "pitch": tfds.features.Scalar(np.float32)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"loudness": 1.0, "pitch": 2.0}


def test_data_without_images_is_refused(tmp_path):
    tfds.disable_progress_bar()
    Sounds(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(InputError, match="^sounds has no image feature, only loudness, pitch$"):
        open_images("sounds", data_dir=tmp_path)


def test_files_of_another_format_are_refused(tmp_path):
    tfds.disable_progress_bar()
    Pixels(data_dir=tmp_path).download_and_prepare()
    info = tmp_path / "pixels" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"array_record"'))
    with pytest.raises(InputError, match="^pixels is stored as array_record; prepare it as tfrecord$"):
        open_images("pixels", data_dir=tmp_path)
