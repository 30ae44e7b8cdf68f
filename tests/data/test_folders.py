"""Which files of a folder are read, what is named instead, and how files and classes are called."""

import os

import numpy as np
import pytest
from PIL import Image

from tf_bigan.data import open_images
from tf_bigan.data.folder import order_news
from tf_bigan.data.labelled import spread
from tf_bigan.errors import on_one_line


def image(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), level).save(path, "PNG")


def opened(folder, **options):
    """(the data, what was said)."""
    said = []
    return open_images(str(folder), say=said.append, **options), said


def test_what_is_not_read_is_counted_and_named(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing")
    (tmp_path / "folder.jpg").mkdir()
    image(tmp_path / "folder.jpg" / "c.png")
    data, said = opened(tmp_path)
    assert data.count == 2 and data.class_names == ["folder.jpg"]
    unread, where = "no kind of image that Pillow reads", f"{tmp_path}/"
    assert said == [
        f"4 files or links under {tmp_path} are not read as images: {where}b.heic ({unread}), {where}notes.txt "
        f"({unread}), {where}nowhere.png (a broken link), {where}pipe.png (no regular file)"
    ]
    for i in range(20):
        (tmp_path / f"z{i}.txt").write_text("no image")
    assert opened(tmp_path)[1][0].endswith(" and 14 more")
    assert data.left_out()[-1] == f"{tmp_path}/pipe.png (no regular file)"


@pytest.mark.parametrize("count", [2, 3])
def test_folders_that_lead_into_each_other_are_listed_once(tmp_path, count):
    for a in range(count):
        image(tmp_path / f"{a}" / "a.png")
        for b in range(count):
            (tmp_path / f"{a}" / f"to_{b}").symlink_to(tmp_path / f"{b}")
    data, said = opened(tmp_path)
    assert data.names() == [f"{a}/a.png" for a in range(count)]
    assert said[0].startswith(f"{count * count} files or links under")


def test_a_folder_is_listed_at_its_own_place_if_it_is_there(tmp_path):
    image(tmp_path / "photos" / "z" / "a.png")
    image(tmp_path / "far" / "sub" / "b.png")
    for name, target in (("a", "photos/z"), ("b", "far/sub"), ("c", "far"), ("d", "far"), ("up", ".")):
        (tmp_path / "photos" / name).symlink_to(tmp_path / target)
    data, said = opened(tmp_path / "photos")
    assert data.names() == ["b/b.png", "z/a.png"] and data.class_names == ["b", "z"]
    told = data.left_out()
    assert f"{tmp_path}/photos/a (a link to a folder that is listed already)" in told
    assert f"{tmp_path}/photos/c/sub (a folder that is listed already)" in told
    assert f"{tmp_path}/photos/up (a link to a folder that contains it)" in told and len(told) == 4 and len(said) == 1


STRANGE = [b"\xff\xfe.png", b"two\nlines.png", b"bell\x07.png", "\u202egnp.exe.png".encode(), "naïve ☃.png".encode()]
SAFE = ["\\xff\\xfe.png", "two\\nlines.png", "bell\\x07.png", "\\u202egnp.exe.png", "naïve ☃.png"]


def test_strange_names_are_one_safe_line_each(tmp_path):
    assert [on_one_line(os.fsdecode(name)) for name in STRANGE] == SAFE
    for name in STRANGE:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"no image")
    folder = os.path.join(os.fsencode(tmp_path), b"class\n\xff")
    os.mkdir(folder)
    Image.new("L", (4, 4)).save(os.path.join(folder, b"a\xff.png"))
    data, said = opened(tmp_path, bad_images="skip")
    assert data.class_names == ["class\\n\\xff"] and data.names() == [os.fsdecode(b"class\n\xff/a\xff.png")]
    for line in (*said, *data.left_out(), *data.described([0])):
        assert line.isprintable() and line.encode()
    assert sorted(SAFE) == sorted(data.left_out())


def test_the_order_of_numeric_classes_is_told(tmp_path):
    for name in ("1", "2", "10"):
        image(tmp_path / name / "a.png")
    data, said = opened(tmp_path)
    assert data.class_names == ["1", "10", "2"]
    assert said == [
        f"the classes of {tmp_path} are numbered in the order of text, not of numbers: 0 = '1', 1 = '10', 2 = '2'"
    ]
    assert order_news("x", ["1", "2", "3"]) == order_news("x", ["cat", "dog"]) == order_news("x", []) == ""
    assert order_news("x", ["class10", "class9"]) and order_news("x", ["01", "02", "10"]) == ""
    assert order_news("x", sorted(map(str, range(100)))).endswith(" and 80 more")


def test_pictures_are_drawn_over_all_classes_from_the_seed(tmp_path):
    labels = np.repeat([0, 1, 2], [50, 3, 10])
    for count in (3, 9, 12):
        assert np.ptp(np.bincount(labels[spread(labels, count, 0)], minlength=3)[[0, 2]]) <= 1
        assert set(labels[spread(labels, count, 0)]) == {0, 1, 2}
    assert sorted(spread(labels, 100, 5)) == list(range(63))
    assert spread(labels, 20, 1).tolist() == spread(labels, 20, 1).tolist() != spread(labels, 20, 2).tolist()
    for i in range(12):
        image(tmp_path / f"{i // 4}" / f"{i}.png", i)
    data, _ = opened(tmp_path)
    assert sorted(data.records_of(data.shown(3, seed=0))["label"]) == [0, 1, 2]
    assert len(data.shown(50, seed=0)) == 12


def test_the_first_examples_of_shuffled_data_are_shown(digits_dir):
    data = open_images("digits", "test[5:20]", data_dir=digits_dir)
    assert data.shown(4, seed=3).tolist() == [0, 1, 2, 3]


def test_names_of_tfds_are_its_own_ids(digits_dir):
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(add_tfds_id=True)
    split = "test[350:]+test[3:5]"
    found = tfds.load("digits", split=split, data_dir=digits_dir, read_config=config).as_numpy_iterator()
    assert open_images("digits", split, data_dir=digits_dir).names() == [each["tfds_id"].decode() for each in found]
    some = open_images("digits", "test[:30]", data_dir=digits_dir, max_labels=3)
    everything = open_images("digits", "test[:30]", data_dir=digits_dir)
    chosen = everything.labels() < 3
    assert some.names() == [name for name, kept in zip(everything.names(), chosen, strict=True) if kept]
