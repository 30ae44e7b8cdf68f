"""tiny_imagenet_80 and tiny_imagenet_120, built from a small archive with the classes and the layout of the real one.

Where TFDS_DATA_DIR has the prepared tiny_imagenet_80 that published models saw, it is compared with the same rules.
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from helpers import ROOT
from PIL import Image

from tf_bigan.data import default_query_split, open_images, tiny_imagenet
from tf_bigan.data.builders import find_builder
from tf_bigan.errors import InputError

WNIDS = (ROOT / "tests" / "fixtures" / "tiny_imagenet_wnids.txt").read_text().split()  # wnids.txt of the archive
EVEN = sorted(WNIDS)[0:160:2]
PREPARED = pathlib.Path(os.environ.get("TFDS_DATA_DIR", ""), "tiny_imagenet_80", "1.0.0")
OF_CLASS = 2  # training images of each class; one to validate with


def jpeg(mark):
    """A 64x64 JPEG with its own bytes: `mark`, behind the end of the image, where decoders do not look."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG")
    return file.getvalue() + mark.encode()


def files():
    """Contents of the archive: name -> bytes. Members are in no order that a data set could take over."""
    found = {"wnids.txt": "\n".join(WNIDS).encode()}
    for wnid in reversed(WNIDS):
        for i in reversed(range(OF_CLASS)):
            found[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = jpeg(f"{wnid} {i}")
    lines = [f"val_{i}.JPEG\t{wnid}\t0\t0\t63\t63" for i, wnid in enumerate(WNIDS)]
    found["val/val_annotations.txt"] = "\n".join(lines[::-1]).encode()
    found |= {f"val/images/val_{i}.JPEG": jpeg(f"val {i}") for i in range(len(WNIDS))}
    return found


def put(data_dir, contents):
    """Writes the archive where TFDS looks for manual downloads."""
    path = data_dir / "downloads" / "manual" / "tiny-imagenet-200.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"tiny-imagenet-200/{name}", content)
    return path


def shuffled(items):
    return [items[i] for i in np.random.RandomState(0).permutation(len(items))]


def expected(classes, of_class):
    """{split: [(name, label, path in the archive)]} by the documented rule, written a second time."""
    ordered = [wnid for wnid in WNIDS if wnid in classes]
    train = [(f"{wnid}_{i}.JPEG", wnid, f"train/{wnid}/images/") for wnid in ordered for i in range(of_class)]
    val = [(f"val_{i}.JPEG", wnid, "val/images/") for i, wnid in enumerate(WNIDS) if wnid in classes]
    return {
        split: [(name, sorted(classes).index(wnid), folder + name) for name, wnid, folder in shuffled(found)]
        for split, found in (("train", train), ("validation", val))
    }


def stored(folder, name, split):
    """[(id, label, bytes of the JPEG)] as the TFRecord files have them, in their order."""
    files = sorted(map(str, folder.glob(f"{name}-{split}.tfrecord-*")))
    records = (tf.train.Example.FromString(record) for record in tf.data.TFRecordDataset(files).as_numpy_iterator())
    for record in records:
        of = record.features.feature
        yield of["id"].bytes_list.value[0].decode(), of["label"].int64_list.value[0], of["image"].bytes_list.value[0]


def digest(examples):
    """SHA-256 of (name, label, JPEG) in order, as `tiny_imagenet._PUBLISHED` has them."""
    total = hashlib.sha256()
    for name, label, image in examples:
        total.update(f"{name} {label}\n{len(image)}\n".encode() + image)
    return total.hexdigest()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A TFDS directory with both parts, built from the archive."""
    folder = tmp_path_factory.mktemp("tfds")
    put(folder, files())
    with pytest.warns(UserWarning, match="are not the ones of tiny_imagenet_80 that published models saw"):
        open_images("tiny_imagenet_80", data_dir=folder)
    open_images("tiny_imagenet_120", data_dir=folder)
    return folder


@pytest.mark.parametrize("name, classes", [("tiny_imagenet_80", EVEN), ("tiny_imagenet_120", {*WNIDS} - {*EVEN})])
def test_examples_labels_and_order_are_the_rule_s(built, name, classes):
    source = files()
    for split, rows in expected(classes, OF_CLASS).items():
        found = list(stored(built / name / "1.0.0", name, split))
        assert digest(found) == digest((name, label, source[path]) for name, label, path in rows)
        assert len(found) == len(classes) * {"train": OF_CLASS, "validation": 1}[split]
    data = open_images(name, "validation", data_dir=built)
    assert data.class_names == sorted(classes) and data.labelled()
    assert data.arrays()[1].tolist() == [label for _, label, _ in expected(classes, OF_CLASS)["validation"]]
    assert default_query_split(name, built) == "validation"


def test_the_two_parts_share_no_class_and_have_all():
    builders = [tfds.builder_cls(name) for name in ("tiny_imagenet_80", "tiny_imagenet_120")]
    one, other = (cls.chosen(None, sorted(WNIDS)) for cls in builders)
    assert (len(one), len(other)) == (80, 120) and sorted(one + other) == sorted(WNIDS)
    assert one == EVEN


def test_a_classs_number_of_the_published_data_is_its_place_among_the_sorted(built):
    data = open_images("tiny_imagenet_80", "train", data_dir=built, max_labels=2)
    assert data.class_names == ["n01443537", "n01641577"] and data.count == 2 * OF_CLASS


@pytest.mark.skipif(not PREPARED.is_dir(), reason="TFDS_DATA_DIR has no tiny_imagenet_80")
def test_the_prepared_data_has_the_classes_features_and_order_of_the_rule(built):
    assert (PREPARED / "label.labels.txt").read_text().split() == EVEN
    made = built / "tiny_imagenet_80" / "1.0.0"
    features = [json.loads((folder / "features.json").read_text()) for folder in (PREPARED, made)]
    assert features[0] == features[1]
    rows = expected(EVEN, 500)
    found = {split: list(stored(PREPARED, "tiny_imagenet_80", split)) for split in ("train", "validation")}
    assert [row[:2] for row in found["train"]] == [row[:2] for row in rows["train"]]
    # Which validation images a class has is known to the archive alone; their order is that of their numbers, shuffled.
    numbered = sorted((name for name, _, _ in found["validation"]), key=lambda name: int(name[4:-5]))
    assert [name for name, _, _ in found["validation"]] == shuffled(numbered)
    for split, examples in found.items():
        assert digest(examples) == tiny_imagenet.TinyImagenet80.PUBLISHED[split]


@pytest.mark.skipif(not PREPARED.is_dir(), reason="TFDS_DATA_DIR has no tiny_imagenet_80")
def test_the_prepared_data_is_read_as_it_is():
    data = open_images("tiny_imagenet_80", "validation[:3]", data_dir=PREPARED.parents[1])
    assert find_builder("tiny_imagenet_80", PREPARED.parents[1]).info.splits["train"].num_examples == 40_000
    assert data.names() == [f"tiny_imagenet_80-validation.tfrecord-00000-of-00001__{i}" for i in range(3)]


def test_examples_that_published_models_saw_need_no_warning(tmp_path, monkeypatch, recwarn):
    contents = files()
    put(tmp_path, contents)
    rows = expected(EVEN, OF_CLASS)
    told = {
        split: digest((name, label, contents[path]) for name, label, path in found) for split, found in rows.items()
    }
    monkeypatch.setattr(tiny_imagenet.TinyImagenet80, "PUBLISHED", told)
    open_images("tiny_imagenet_80", data_dir=tmp_path)
    assert not [warning for warning in recwarn if "published models" in str(warning.message)]


def test_without_archive_or_network_the_data_set_and_the_place_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "look_up_hosts", lambda urls: (_ for _ in ()).throw(InputError("no network")))
    with pytest.raises(InputError, match="tiny_imagenet_120 cannot be downloaded from cs231n.stanford.edu: no network"):
        open_images("tiny_imagenet_120", data_dir=tmp_path)


@pytest.mark.filterwarnings("ignore:.* that published models saw")
@pytest.mark.parametrize(
    "name, content, message",
    [
        ("val/val_annotations.txt", b"val_0.JPEG\tn99\t0\t0\t63\t63", "val_0.JPEG is of class 'n99', which is not in"),
        (f"train/{EVEN[0]}/images/{EVEN[0]}_x.JPEG", b"", f"{EVEN[0]}_x.JPEG has no number"),
    ],
)
def test_damage_is_named(tmp_path, name, content, message):
    put(tmp_path, files() | {name: content})
    with pytest.raises(InputError, match=message):
        open_images("tiny_imagenet_80", data_dir=tmp_path)
