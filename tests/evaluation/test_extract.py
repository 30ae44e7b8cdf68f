import csv
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import run_tool
from PIL import Image

import tf_bigan
from tf_bigan.data import open_data, open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation.extract import extract
from tf_bigan.evaluation.names import check_table, write_table


@pytest.fixture(scope="module")
def data(digits_dir):
    return open_images("digits", "test", data_dir=str(digits_dir))


def double(images):
    return tf.reshape(images, (len(images), -1)) * 2.0


class Interrupted(Exception):
    pass


def stopping_after(calls):
    def network(images):
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise Interrupted
        return double(images)

    return network


def test_npz_holds_every_example_in_order(data, tmp_path):
    count, shape = extract(double, data, tmp_path / "f.npz", "double", shard=100, batch_size=64)
    images, labels = data.arrays()
    written = np.load(tmp_path / "f.npz")
    np.testing.assert_allclose(written["features"], images.reshape(360, -1) * 2.0)
    np.testing.assert_array_equal(written["labels"], labels)
    assert (count, shape) == (360, (64,))
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


@pytest.fixture
def photos(tmp_path):
    """Three photos of two classes and one of none; one of the classes has a file that is cut short, and a text."""
    folder = tmp_path / "photos"
    for name in ("cats/1.png", "cats/2.webp", "dogs/a\nb.png", "c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(folder / name)
    (folder / "cats" / "3.png").write_bytes(b"no image")
    (folder / "cats" / "notes.txt").write_text("no image")
    return open_images(str(folder), bad_images="skip", say=lambda line: None)


NAMES, LABELS = ["c.png", "cats/1.png", "cats/2.webp", "dogs/a\nb.png"], [-1, 0, 0, 1]


def test_rows_have_names_and_classes_in_npz(photos, tmp_path):
    extract(double, photos, tmp_path / "f.npz", "double", shard=3)
    with np.load(tmp_path / "f.npz") as found:
        assert found["names"].tolist() == NAMES and found["labels"].tolist() == LABELS
        assert found["class_names"].tolist() == ["cats", "dogs"]
        notes = f"{photos.origin}/cats/notes.txt (no kind of image that Pillow reads)"
        assert found["left_out"].tolist() == ["cats/3.png", notes]
        np.testing.assert_allclose(found["features"][:, 0] * 127.5, list(map(len, NAMES)), atol=0.01)


def test_rows_have_names_and_classes_in_records(photos, tmp_path):
    extract(double, photos, tmp_path / "f", "double", shard=3)
    found = []
    for record in tf.data.TFRecordDataset(sorted(map(str, tmp_path.glob("f-*")))).as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        found.append((example["name"].bytes_list.value[0].decode(), list(example["class_name"].bytes_list.value)))
    assert found == list(zip(NAMES, ([], [b"cats"], [b"cats"], [b"dogs"]), strict=True))
    told = json.loads((tmp_path / "f.json").read_text())
    assert told["class_names"] == ["cats", "dogs"] and told["left_out"] == photos.left_out()


def test_names_as_tables(photos, tmp_path, monkeypatch):
    rows = [(0, "c.png", -1, ""), (1, "cats/1.png", 0, "cats"), (2, "cats/2.webp", 0, "cats")]
    rows.append((3, "dogs/a\\nb.png", 1, "dogs"))
    write_table(tmp_path / "n.csv", photos)
    with open(tmp_path / "n.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["row", "name", "label", "class_name"], *[list(map(str, r)) for r in rows]]
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "n.parquet", photos)
    assert [tuple(row.values()) for row in parquet.read_table(tmp_path / "n.parquet").to_pylist()] == rows
    with pytest.raises(InputError, match="ends in .csv or .parquet, found n.txt"):
        check_table("n.txt")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="a .parquet file needs pyarrow: pip install pyarrow; or give a .csv"):
        check_table("n.parquet")


def test_npz_goes_on_where_it_stopped(data, tmp_path):
    with pytest.raises(Interrupted):
        extract(stopping_after(3), data, tmp_path / "f.npz", "double", shard=100, batch_size=50)
    # The first three batches of 50 filled one whole shard, so 260 examples are left: six batches.
    extract(stopping_after(6), data, tmp_path / "f.npz", "double", shard=100, batch_size=50)
    np.testing.assert_allclose(np.load(tmp_path / "f.npz")["features"], data.arrays()[0].reshape(360, -1) * 2.0)


def test_records_hold_every_example_in_order(data, tmp_path):
    extract(double, data, tmp_path / "f", "double", shard=100, batch_size=64)
    files = sorted(map(str, tmp_path.glob("f-*")))
    assert [file[-14:] for file in files] == [f"0000{i}-of-00004" for i in range(4)]
    features, labels = [], []
    for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        features.append(example["features"].float_list.value)
        labels.append(example["label"].int64_list.value[0])
    np.testing.assert_allclose(features, data.arrays()[0].reshape(360, -1) * 2.0, rtol=1e-6)
    np.testing.assert_array_equal(labels, data.arrays()[1])
    assert json.loads((tmp_path / "f.json").read_text())["description"] == "double"


def test_another_extraction_in_the_same_place_is_refused(data, tmp_path):
    extract(double, data, tmp_path / "f", "double")
    extract(stopping_after(0), data, tmp_path / "f", "double")  # complete: nothing is run again
    with pytest.raises(InputError, match="belongs to another extraction: double"):
        extract(double, data, tmp_path / "f", "treble")


def test_a_file_of_something_else_is_not_overwritten(data, tmp_path):
    file = tmp_path / "f.npz"
    for _ in range(2):
        extract(double, data, file, "double")
    with pytest.raises(InputError, match="f.npz holds double"):
        extract(double, data, file, "treble")
    for save in (np.save, np.savez, lambda f, _: f.write(b"PK\3\4"), lambda f, _: f.write(b"notes")):
        with open(file, "wb") as opened:
            save(opened, np.zeros(3))
        with pytest.raises(InputError, match="f.npz holds something else"):
            extract(double, data, file, "double")


def test_a_plan_of_something_else_is_not_taken_for_one(data, tmp_path):
    for content in ("{}", "[1]", "", '{"results": 1}'):
        (tmp_path / "f.json").write_text(content)
        with pytest.raises(InputError, match="f.json is damaged: .*. Delete it, or give another"):
            extract(double, data, tmp_path / "f", "double")


def test_more_shards_than_files_can_be_open(data, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, before[1]))
    try:
        extract(double, data, tmp_path / "f.npz", "double", shard=2, batch_size=64)  # 180 shards
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert np.load(tmp_path / "f.npz")["features"].shape == (360, 64)


def test_a_full_disk_is_one_line(data, tmp_path, monkeypatch):
    def full(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", full)
    with pytest.raises(InputError, match="cannot write .*f-00000-of-00001: No space left on device"):
        extract(double, data, tmp_path / "f", "double", shard=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


@pytest.mark.usefixtures("modules_checked_here")
def test_features_of_points_from_a_model_and_from_its_module(tmp_path):
    model, files = tf_bigan.load("ali_mixture"), [tmp_path / "a.npz", tmp_path / "b.npz"]
    module = tf_bigan.export(model, tmp_path / "module")
    for file, asked in zip(files, (["--model=ali_mixture"], [f"--module={module}", "--dataset=mixture"]), strict=True):
        status, stdout, stderr = run_tool("extract_features.py", *asked, "--split=test[:50]", f"--output={file}")
        assert status == 0, stderr
        assert "50 examples, features [400]" in stdout
    points, labels = open_data("mixture", "test[:50]").arrays()
    for file in files:
        with np.load(file) as found:
            np.testing.assert_allclose(found["features"], model.features(points), atol=1e-4)
            np.testing.assert_array_equal(found["labels"], labels)
            assert " of mixture test[:50] at 2 coordinates, weights " in str(found["description"])


@pytest.mark.usefixtures("modules_checked_here")
def test_what_points_cannot_have_is_said_in_a_line(tmp_path, digits_dir):
    generator = tf_bigan.export(tf_bigan.load("ali_mixture"), tmp_path / "generator", role="generator")
    module = tf_bigan.export(tf_bigan.load("ali_mixture"), tmp_path / "module")
    for asked, message in (
        (["--model=ali_mixture", "--dataset=digits"], "digits has images, not points"),
        (["--model=bigan_digits", "--dataset=mixture"], "mixture has points, not images"),
        ([f"--module={module}", "--dataset=mixture", "--image_size=8"], "which takes examples at 2 coordinates"),
        ([f"--module={generator}", "--dataset=mixture"], "is no exported encoder"),
    ):
        status, _, stderr = run_tool(
            "extract_features.py", *asked, f"--data_dir={digits_dir}", f"--output={tmp_path / 'f.npz'}"
        )
        assert status == 2 and message in stderr and len(stderr.splitlines()) == 1, stderr
