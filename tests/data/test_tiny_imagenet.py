"""Tiny ImageNet, read from a small archive with the layout of the real one."""

import functools
import http.server
import io
import socket
import threading
import urllib.request
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tf_bigan.data import default_query_split, open_images, tiny_imagenet
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.experiment import Experiment

CLASSES = ["n02", "n01", "n03"]  # not sorted: labels follow wnids.txt
ARCHIVE = "tiny-imagenet-200.zip"


def jpeg(level, mode="RGB"):
    """A 64x64 JPEG of one grey level."""
    file = io.BytesIO()
    Image.new("L", (64, 64), level).convert(mode).save(file, "JPEG")
    return file.getvalue()


def files():
    """Contents of the archive: name -> bytes. Training images have grey levels 10, 20 ..., others 200 and up."""
    found = {"wnids.txt": "\n".join(CLASSES).encode() + b"\n", "words.txt": b"n01\tgoldfish\nn02\tshark\n"}
    for number, name in enumerate(CLASSES):
        found[f"train/{name}/{name}_boxes.txt"] = f"{name}_0.JPEG\t0\t0\t63\t63\n".encode()
        for i in range(2):
            mode = "L" if (number, i) == (1, 1) else "RGB"
            found[f"train/{name}/images/{name}_{i}.JPEG"] = jpeg(10 * (2 * number + i + 1), mode)
    lines = [f"val_{i}.JPEG\t{name}\t0\t0\t63\t63\n" for i, name in enumerate(["n03", "n02", "n03"])]
    found["val/val_annotations.txt"] = "".join(lines).encode()
    for i in range(3):
        found[f"val/images/val_{i}.JPEG"] = jpeg(200 + 10 * i)
    for i in range(2):
        found[f"test/images/test_{i}.JPEG"] = jpeg(240 + 10 * i)
    return found


def put(data_dir, contents):
    """Writes the archive where TFDS looks for manual downloads."""
    path = data_dir / "downloads" / "manual" / ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/", "")
        for name, content in contents.items():
            archive.writestr(f"tiny-imagenet-200/{name}", content)
    return path


def levels(images):
    return [round(level / 10) * 10 for level in images[:, 32, 32, 0] * 255]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Simulates a machine without a network: no host name resolves, and there is no proxy."""

    def unknown(host, *_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(urllib.request, "getproxies", dict)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    put(folder, files())
    open_images("tiny_imagenet", data_dir=folder)
    return folder


@pytest.mark.parametrize(
    "split, expected",
    [
        ("train", {10: "n02", 20: "n02", 30: "n01", 40: "n01", 50: "n03", 60: "n03"}),
        ("validation", {200: "n03", 210: "n02", 220: "n03"}),
        ("test", {240: None, 250: None}),
    ],
)
def test_images_and_classes_are_the_archives(data_dir, split, expected):
    data = open_images("tiny_imagenet", split, data_dir=data_dir)
    assert data.image_shape == (64, 64, 3) and data.class_names == CLASSES
    images, labels = data.arrays()
    names = [CLASSES[label] if label >= 0 else None for label in labels]
    assert dict(zip(levels(images), names, strict=True)) == expected
    # A grey JPEG has the same three channels as others.
    np.testing.assert_allclose(images, np.broadcast_to(images[..., :1], images.shape), atol=2 / 255)


def test_the_archive_is_downloaded_where_there_is_a_network(tmp_path, monkeypatch):
    monkeypatch.undo()
    archive = put(tmp_path / "served", files())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=archive.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(tiny_imagenet, "_URL", f"http://127.0.0.1:{server.server_port}/{ARCHIVE}")
        try:
            data = open_images("tiny_imagenet", "validation", data_dir=tmp_path / "tfds")
        finally:
            server.shutdown()
    assert sorted(levels(data.arrays()[0])) == [200, 210, 220]
    assert not (tmp_path / "tfds" / "downloads" / "manual").exists()


def test_queries_are_of_the_split_with_labels(data_dir, digits_dir):
    assert default_query_split("tiny_imagenet", data_dir) == "validation"
    assert default_query_split("digits", digits_dir) == "test"
    experiment = Experiment(dataset="tiny_imagenet", max_labels=2, image_size=64, channels=3)
    data = open_evaluation_data(experiment, data_dir=data_dir)
    assert [(d.split, d.count) for d in (data.gallery, data.queries)] == [("train", 4), ("validation", 1)]


def test_labels_that_some_images_lack_are_no_labels(data_dir):
    assert open_images("tiny_imagenet", "train+validation", data_dir=data_dir).labelled()
    assert not open_images("tiny_imagenet", "train+test", data_dir=data_dir).labelled()


def test_a_split_without_images_is_named(data_dir):
    with pytest.raises(InputError, match=r"tiny_imagenet split 'train\[:0\]' is empty"):
        open_images("tiny_imagenet", "train[:0]", data_dir=data_dir, max_labels=2)


def test_the_jpegs_are_stored_as_they_are(data_dir):
    dataset = tfds.load(
        "tiny_imagenet", split="train", data_dir=data_dir, decoders={"image": tfds.decode.SkipDecoding()}
    )
    stored = {name.decode(): image for name, image in ((e["file_name"], e["image"]) for e in tfds.as_numpy(dataset))}
    archived = {name.split("/")[-1]: data for name, data in files().items() if "/images/n" in name}
    assert stored == archived


def test_the_order_is_the_same_wherever_it_is_prepared(data_dir, tmp_path):
    contents = files()
    put(tmp_path, dict(reversed(contents.items())))
    first, second = (open_images("tiny_imagenet", data_dir=folder).arrays() for folder in (data_dir, tmp_path))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_without_archive_or_network_the_place_for_the_archive_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be downloaded from cs231n.stanford.edu: no network: ") as caught:
        open_images("tiny_imagenet", data_dir=tmp_path)
    message = str(caught.value)
    assert f"Put {ARCHIVE} into {tmp_path / 'downloads' / 'manual'}" in message
    assert len(message.splitlines()) == 2


def test_other_files_in_the_manual_directory_are_no_archive(tmp_path):
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "other.zip").write_bytes(b"")
    with pytest.raises(InputError, match=f"Put {ARCHIVE} into {tmp_path}"):
        open_images("tiny_imagenet", data_dir=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "changed byte", "another archive"])
def test_a_damaged_archive_is_named(tmp_path, damage):
    contents = files()
    path = put(tmp_path, {"readme.txt": b""} if damage == "another archive" else contents)
    content = bytearray(path.read_bytes())
    if damage == "changed byte":
        content[content.index(contents["train/n03/images/n03_1.JPEG"]) + 300] ^= 1
    path.write_bytes({"cut": content[:-100], "text": b"<html>404</html>"}.get(damage, content))
    with pytest.raises(InputError, match=f"{path} is damaged or not Tiny ImageNet: ") as caught:
        open_images("tiny_imagenet", data_dir=tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    path.unlink()
    put(tmp_path, contents)
    assert open_images("tiny_imagenet", data_dir=tmp_path).count == 6  # nothing half-done was left


def test_an_annotation_of_an_unknown_class_is_named(tmp_path):
    contents = files()
    contents["val/val_annotations.txt"] += b"val_0.JPEG\tn99\t0\t0\t63\t63\n"
    put(tmp_path, contents)
    with pytest.raises(InputError, match="val_0.JPEG is of class 'n99', which is not in wnids.txt") as caught:
        open_images("tiny_imagenet", "validation", data_dir=tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_it_trains_as_any_other(data_dir):
    data = open_images("tiny_imagenet", image_size=8, data_dir=data_dir, shorter_edge=9)
    (record,) = data.training_batches(4, seed=0, crop="random", flip=True).take(1)
    batch = record["x"]
    assert batch.shape == (4, 8, 8, 3) and float(tf.reduce_max(batch)) < 0.3
