"""Classifiers of images: trained, resumed, stored, read and refused."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, run_tool

from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation import classifier_training
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK
from tf_bigan.evaluation.classifier_training import ClassifierSettings, architectures, make_network, train_classifier
from tf_bigan.evaluation.classifiers import ImageClassifier

FAST = {"architecture": "MobileNet", "input_size": 32, "epochs": 2, "learning_rate": 0.05, "shift": 0, "flip": False}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A stand-in for keras.applications' networks that trains in a second, for all tests of this file."""

    def network(include_top, weights, pooling, input_shape):
        assert (include_top, weights, pooling) == (False, None, "avg")
        if min(input_shape[:2]) < 8:
            raise ValueError("Input size must be at least 8x8")
        h = keras.layers.Conv2D(8, 3, 2, activation="relu", name="conv")(image := keras.Input(input_shape))
        h = keras.layers.BatchNormalization(momentum=0.9)(h)
        return keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(16, 3, 2)(h)))

    patch = pytest.MonkeyPatch()
    patch.setattr(keras.applications, "MobileNet", network)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def digits():
    return open_images("digits", "train"), open_images("digits", "test")


@pytest.fixture(scope="module")
def trained(small, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers") / "digits_classifier"
    lines = []
    classifier = train_classifier(*digits, ClassifierSettings(**FAST | {"epochs": 6}), folder, lines.append)
    assert len(lines) == 6 and "epoch 6/6: loss" in lines[-1]
    return classifier, folder


def test_it_learns_and_tells_its_accuracy_on_the_test_images(trained, digits):
    classifier, folder = trained
    x, labels = digits[1].arrays()
    right = 100 * np.mean(classifier.class_probabilities(x).argmax(1) == labels)
    about = json.loads((folder / ABOUT).read_text())
    assert about["accuracy"] == pytest.approx(right) == pytest.approx(classifier.about["accuracy"])
    assert right > 25  # of 10 classes
    assert (about["queries"], about["test_split"], about["settings"]["epochs"]) == (360, "test", 6)
    assert classifier.class_names == [str(n) for n in range(10)] and classifier.name == "digits_classifier"


def test_features_are_the_layer_below_the_probabilities(trained):
    classifier, _ = trained
    features, probabilities = classifier.outputs(x := images(7))
    assert features.shape == (7, 16) and probabilities.shape == (7, 10)
    kernel, bias = classifier.network.get_layer("logits").get_weights()
    np.testing.assert_allclose(probabilities, tf.nn.softmax(features @ kernel + bias), atol=1e-6)
    np.testing.assert_array_equal(classifier.features(x), features)
    assert classifier.features(images(0)).shape == (0, 16) and classifier.example_shape == (8, 8, 1)


def test_an_interrupted_training_goes_on_to_the_same_network(small, digits, tmp_path):
    settings = ClassifierSettings(**FAST | {"shift": 1, "flip": True, "epochs": 3})
    whole = train_classifier(*digits, settings, tmp_path / "whole", lambda line: None)

    def stop(line):
        if line.startswith("epoch 2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_classifier(*digits, settings, tmp_path / "parts", stop)
    lines = []
    parts = train_classifier(*digits, settings, tmp_path / "parts", lines.append)
    assert [line.partition(":")[0] for line in lines] == ["epoch 2/3", "epoch 3/3"]
    for one, other in zip(whole.network.get_weights(), parts.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_finished_training_is_not_written_again(trained, digits):
    classifier, folder = trained
    lines = []
    again = train_classifier(*digits, ClassifierSettings(**FAST | {"epochs": 6}), folder, lines.append)
    assert (again.digest, lines) == (classifier.digest, [])


def test_the_learning_rate_rises_to_its_peak_and_falls_to_0(small, digits):
    rate = classifier_training._compiled(digits[0], ClassifierSettings(**FAST)).optimizer._learning_rate
    found = [float(rate(step)) for step in range(25)]  # 24 steps, of which 2 are the warm-up
    np.testing.assert_allclose(found[:3], [0.025, 0.0375, 0.05], rtol=1e-5)
    assert np.all(np.diff(found[2:]) < 0) and found[24] == pytest.approx(0.0, abs=1e-8)


def test_the_batches_of_a_step_follow_from_the_seed_and_are_shifted_and_mirrored(digits):
    plain = ClassifierSettings(**FAST)
    moved = ClassifierSettings(**FAST | {"shift": 2, "flip": True})

    def batch(settings, first, skipped=0):
        (found,) = classifier_training._batches(digits[0], settings, first).skip(skipped).take(1)
        return [each.numpy() for each in found]

    (x, labels), (shifted, same_labels) = batch(plain, 3), batch(moved, 3)
    np.testing.assert_array_equal(shifted, batch(moved, 1, skipped=2)[0])
    np.testing.assert_array_equal(labels, same_labels)
    assert np.abs(shifted - batch(moved, 4)[0]).max() > 0 and labels.shape == (128, 10)
    mirrored_at_border = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], "symmetric")
    found = set()
    for image, padded in zip(shifted, mirrored_at_border, strict=True):
        for mirrored in (False, True):
            for row in range(5):
                for column in range(5):
                    # The image is mirrored first, and then shifted.
                    whole = padded[:, ::-1] if mirrored else padded
                    if np.array_equal(whole[row : row + 8, column : column + 8], image):
                        found.add((mirrored, row, column))
                        break
    assert {row for _, row, _ in found} == set(range(5)) == {column for _, _, column in found}
    assert {mirrored for mirrored, _, _ in found} == {False, True}


def test_kernels_alone_decay_in_a_resumed_training_too(small, digits, tmp_path):
    model = classifier_training._compiled(digits[0], ClassifierSettings(**FAST))
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    for each in (model, classifier_training._decaying(keras.saving.load_model(tmp_path / "model.keras"))):
        assert {v.name for v in each.trainable_variables if each.optimizer._use_weight_decay(v)} == {"kernel"}
        assert {v.name for v in each.trainable_variables} == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architecture": "MobileNetV9"}, "unknown architecture 'MobileNetV9'. Did you mean 'MobileNetV"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, found nan"),
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to below 1, found 1.0"),
        ({"weight_decay": float("inf")}, "weight_decay must be finite, found inf"),
        ({"seed": 2**32}, "seed must be at most 4294967295, found 4294967296"),
        ({"precision": "float8"}, "precision must be float32 or mixed_bfloat16, found 'float8'"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        ClassifierSettings(**changes)


def test_every_architecture_makes_a_network_of_logits():
    assert {"DenseNet121", "MobileNetV2", "ResNet50V2", "VGG16"} <= set(architectures())
    assert not any(name.startswith(("EfficientNet", "ConvNeXt")) for name in architectures())
    network = make_network(ClassifierSettings("MobileNetV3Small", input_size=32), (8, 8, 1), 3)
    assert network.output_shape == (None, 3) and network.get_layer("features").output.shape == (None, 576)
    assert not [layer for layer in network._flatten_layers() if layer.name == "rescaling"]  # its own preprocessing


def test_images_that_are_too_small_are_refused(small, digits, tmp_path):
    with pytest.raises(InputError, match="MobileNet: Input size must be at least 8x8; set a larger input_size"):
        make_network(ClassifierSettings(**FAST | {"input_size": 4}), (8, 8, 1), 10)


def test_data_that_cannot_be_learned_is_refused(small, digits, tmp_path):
    training, test = digits
    settings = ClassifierSettings(**FAST)
    with pytest.raises(InputError, match="images of digits train are among those of digits train; give others with"):
        train_classifier(training, training, settings, tmp_path)
    one = [open_images("digits", split, max_labels=1) for split in ("train", "test")]
    with pytest.raises(InputError, match=r"a classifier takes at least 2 classes, found \['0'\] in digits train"):
        train_classifier(*one, settings, tmp_path)
    with pytest.raises(InputError, match="have other classes; they must be the same"):
        train_classifier(training, one[1], settings, tmp_path)
    with pytest.raises(InputError, match=r"images of \(8, 8, 1\) cannot be shifted by 9 pixels"):
        train_classifier(*digits, ClassifierSettings(**FAST | {"shift": 9}), tmp_path)


def test_folders_that_hold_something_else_are_refused(small, digits, tmp_path):
    settings = ClassifierSettings(**FAST)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.flags").touch()
    (tmp_path / "file").touch()
    for name, message in (("run", "run is the directory of a run; give another"), ("file", "file is no folder")):
        with pytest.raises(InputError, match=message):
            train_classifier(*digits, settings, tmp_path / name)


def test_a_damaged_training_is_refused(trained, digits, tmp_path):
    _, folder = trained
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = ClassifierSettings(**FAST | {"epochs": 6})
    (tmp_path / "training.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match="training.keras is damaged: .*; give another folder to train anew"):
        train_classifier(*digits, settings, tmp_path)
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(InputError, match="training.json is damaged: .*; give another folder to train anew"):
        train_classifier(*digits, settings, tmp_path)
    (tmp_path / "training.json").unlink()
    with pytest.raises(InputError, match="holds a classifier whose training cannot go on; give another folder"):
        train_classifier(*digits, settings, tmp_path)


def test_a_folder_with_another_training_is_refused(trained, digits):
    _, folder = trained
    settings = ClassifierSettings(**FAST | {"epochs": 6, "learning_rate": 0.5})
    with pytest.raises(InputError, match="holds a training with other learning_rate; give another folder"):
        train_classifier(*digits, settings, folder)


def test_damaged_classifiers_are_refused(trained, tmp_path):
    _, folder = trained
    for name in (NETWORK, ABOUT):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert ImageClassifier.load(tmp_path, "mine").name == "mine"
    (tmp_path / NETWORK).write_bytes((folder / NETWORK).read_bytes()[:-1])
    with pytest.raises(InputError, match="classifier.keras is damaged: its SHA-256 is not that in classifier.json"):
        ImageClassifier.load(tmp_path)
    (tmp_path / ABOUT).write_text("{")
    with pytest.raises(InputError, match="classifier.json is damaged"):
        ImageClassifier.load(tmp_path)
    (tmp_path / ABOUT).unlink()
    with pytest.raises(InputError, match="is no classifier: it has no classifier.keras and classifier.json"):
        ImageClassifier.load(tmp_path)


def test_the_command_line(tmp_path):
    arguments = ["--dataset=digits", "--architecture=MobileNet", "--input_size=32", "--epochs=1"]
    status, output, errors = run_tool(
        "train_classifier.py", *arguments, "--split=train[:128]", f"--workdir={tmp_path}/c"
    )
    assert status == 0, errors
    assert "% of 360 images of digits test right; the classifier is in" in output
    assert ImageClassifier.load(tmp_path / "c").class_probabilities(images(2)).shape == (2, 10)
    status, _, errors = run_tool(
        "train_classifier.py", "--dataset=digits", "--architecture=LeNet", f"--workdir={tmp_path}/c"
    )
    assert status == 2 and "unknown architecture 'LeNet'" in errors
