"""Classifiers, modules and extracted features that are damaged, or that declare more than they hold."""

import hashlib
import json
import os
import shutil
import zipfile

import keras
import numpy as np
import pytest
from helpers import tiny

from tf_bigan import zoo
from tf_bigan.data import open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation.classifiers import ImageClassifier
from tf_bigan.evaluation.extract import extract
from tf_bigan.evaluation.kept_features import KeptFeatures
from tf_bigan.training.run_directory import RunDirectory


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a small classifier of digits."""
    folder = tmp_path_factory.mktemp("classifier")
    h = keras.layers.Flatten()(image := keras.Input((8, 8, 1)))
    h = keras.layers.Dense(8, "relu", name="features")(h)
    keras.Model(image, keras.layers.Dense(10, name="logits")(h)).save(folder / "classifier.keras")
    about = {"dataset": "digits", "split": "train", "examples": 9, "test_dataset": "digits", "test_split": "test"}
    about |= {"queries": 9, "image_shape": [8, 8, 1], "class_names": [str(n) for n in range(10)], "accuracy": 91.5}
    about["settings"] = {"architecture": "MobileNet", "input_size": 0, "seed": 0, "epochs": 2}
    (folder / "classifier.json").write_text(json.dumps(about))
    make_right(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "classifier")


def make_right(folder):
    """Writes the SHA-256 of the network into classifier.json."""
    about = json.loads((folder / "classifier.json").read_text())
    digest = hashlib.sha256((folder / "classifier.keras").read_bytes()).hexdigest()
    (folder / "classifier.json").write_text(json.dumps({**about, "sha256": digest}))


def rewrite(folder, change, compression=zipfile.ZIP_STORED):
    """Writes the network's file anew, with `change(name, content)` of each entry."""
    path = folder / "classifier.keras"
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, change(name, content))
    make_right(folder)


def test_a_classifier_is_read(folder):
    found = ImageClassifier.load(folder)
    assert found.class_probabilities(np.zeros((2, 8, 8, 1))).shape == (2, 10)


def test_layers_with_more_weights_than_the_file_holds_are_refused(folder):
    def wider(name, content):
        wide = content.replace(b'"units": 8', b'"units": 90000000').replace(b"[null, 8]", b"[null, 90000000]")
        return wide if name == "config.json" else content

    rewrite(folder, wider)
    with pytest.raises(InputError, match="classifier.keras is damaged: its layers have more weights than it holds"):
        ImageClassifier.load(folder)


def test_compressed_networks_are_refused(folder):
    rewrite(folder, lambda name, content: content + bytes(10**6), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="classifier.keras is damaged: what it holds is larger than the file"):
        ImageClassifier.load(folder)


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_damage_within_the_file_is_told_in_a_line(part, folder):
    rewrite(folder, lambda name, content: b"{" + bytes(100) if name == part else content)
    with pytest.raises(InputError, match="classifier.keras is damaged: ") as caught:
        ImageClassifier.load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"class_names": ["0"]}, "classifier.keras is of other images or classes than classifier.json says"),
        ({"image_shape": [9, 9, 1]}, "classifier.keras is of other images or classes than classifier.json says"),
        ({"class_names": None}, "classifier.json is damaged: the entry 'class_names' is null, not a list"),
        ({"settings": []}, "classifier.json is damaged: the entry 'settings' is a list, not an object"),
        ({"accuracy": "high"}, "classifier.json is damaged: the entry 'accuracy' is text, not a number"),
    ],
    ids=str,
)
def test_what_is_told_of_a_classifier_is_checked(changes, why, folder):
    about = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps({**about, **changes}))
    with pytest.raises(InputError, match=why):
        ImageClassifier.load(folder)


def test_a_module_with_a_fifo_is_not_waited_for(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    os.mkfifo(tmp_path / "variables" / "variables.index")
    with pytest.raises(InputError, match="variables.index is no file, but a FIFO"):
        zoo.find_feature_network(str(tmp_path))


def test_kept_features_that_are_no_file_are_not_used(tmp_path):
    said, kept = [], KeptFeatures(tmp_path, lambda line: said.append(line))
    os.mkfifo(kept.path({"a": 1}))
    assert kept.load({"a": 1}) is None and len(said) == 1 and "is damaged and is not used" in said[0]


@pytest.mark.parametrize("damage", ["emptied", "cut", "FIFO"])
def test_damaged_shards_of_features_are_named(damage, tmp_path):
    data, arguments = open_data("mixture", "train[:10]"), (tmp_path / "out", "points")
    extract(lambda points: points, data, *arguments, shard=5)
    shard = tmp_path / "out-00000-of-00002"
    if damage == "FIFO":
        shard.unlink(), os.mkfifo(shard)
    else:
        os.truncate(shard, 0 if damage == "emptied" else 20)
    with pytest.raises(InputError, match="out-00000-of-00002 is (damaged; delete it|a FIFO, and no file)"):
        extract(lambda points: points, data, *arguments, shard=5)


def test_a_lock_that_is_a_fifo_is_not_waited_for(tmp_path):
    RunDirectory(tmp_path).write_experiment(tiny())
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(InputError, match="cannot write in"), RunDirectory(tmp_path).lock():
        pass
