"""Classifiers of the zoo: published, found, and used by the tools."""

import json

import keras
import numpy as np
import pytest
from helpers import images, run_tool

from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK
from tf_bigan.evaluation.classifier_training import ClassifierSettings
from tf_bigan.evaluation.classifiers import FEATURES
from tf_bigan.files import sha256, verify_checksums


@pytest.fixture
def folder(tmp_path):
    """The folder of a classifier of digits."""
    place = tmp_path / "classifier"
    place.mkdir()
    image = keras.Input((8, 8, 1))
    h = keras.layers.Dense(5, name=FEATURES)(keras.layers.Flatten()(image))
    keras.Model(image, keras.layers.Dense(10, name="logits")(h)).save(place / NETWORK)
    settings = vars(ClassifierSettings("MobileNetV2", input_size=64, epochs=7, flip=False))
    about = {"dataset": "digits", "split": "train", "examples": 1437, "test_dataset": "digits", "test_split": "test"}
    about |= {"queries": 360, "accuracy": 91.25, "class_names": [str(n) for n in range(10)], "settings": settings}
    (place / ABOUT).write_text(json.dumps({**about, "sha256": sha256(place / NETWORK)}))
    return place


def test_a_classifier_is_published_with_a_card_and_found(folder, tmp_path, monkeypatch):
    terms = "--terms=Digits: CC BY 4.0."
    place = f"--zoo={tmp_path / 'zoo'}"
    status, output, errors = run_tool("publish.py", f"--run={folder}", "--name=classifier_digits", terms, place)
    assert status == 0, errors
    entry = tmp_path / "zoo" / "classifier_digits"
    assert f"published {entry}" in output
    verify_checksums(entry)
    card = (entry / "README.md").read_text()
    assert "**91.25 %** of the 360 images of\ndigits test rightly" in card and "Digits: CC BY 4.0." in card
    command = "--dataset=digits --split=train --test_dataset=digits --test_split=test --image_size=8 --input_size=64"
    assert f"python tools/train_classifier.py {command} --epochs=7 --flip=false --workdir=DIR" in card
    monkeypatch.setenv("TF_BIGAN_ZOO", str(tmp_path / "zoo"))
    assert zoo.list_classifiers() == ["classifier_cifar10", "classifier_digits"]
    found, again = zoo.find_classifier("classifier_digits"), zoo.find_classifier(str(folder))
    assert found.weights == again.weights == sha256(folder / NETWORK)
    x = images(3)
    np.testing.assert_array_equal(found.model.class_probabilities(x), again.model.class_probabilities(x))


def test_a_classifier_judges_a_models_samples(folder, tmp_path):
    arguments = ["--system=bigan", "--dataset=digits", "--latent_dim=4", "--width=8", "--constant_epochs=1"]
    more = ["--decay_epochs=0", "--images_every=0", "--statistics_steps=2", f"--workdir={tmp_path / 'run'}"]
    status, _, errors = run_tool("train.py", *arguments, *more)
    assert status == 0, errors
    of_samples = ["--metrics=fid,class_score", f"--feature_network={folder}", "--samples=100", "--statistics="]
    status, output, errors = run_tool("evaluate.py", f"--model={tmp_path / 'run'}", *of_samples)
    assert status == 0, errors
    assert "FID in classifier (" in output and "classifier score of classifier (" in output


def test_names_that_are_no_classifiers(folder):
    with pytest.raises(InputError, match="^unknown classifier 'bigan_mnst'. Did you mean 'bigan_mnist'"):
        zoo.find_classifier("bigan_mnst")
    with pytest.raises(InputError, match="lower-case letters, digits and _ only, found 'My classifier'"):
        zoo.publish_classifier(folder, "My classifier", "none")
    with pytest.raises(InputError, match="^classifier is a classifier of the zoo; give another name"):
        zoo.publish(zoo.run_path("bigan_digits"), "classifier", "none", zoo=folder.parent)
    with pytest.raises(InputError, match="bigan_mnist is an entry of a model; give another name"):
        zoo.publish_classifier(folder, "bigan_mnist", "none")
    status, _, errors = run_tool("publish.py", f"--run={folder}", "--name=c", "--terms=none", "--interim")
    assert status == 2 and "a classifier is published whole" in errors
