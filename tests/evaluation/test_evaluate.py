import dataclasses
import itertools
import os
import time

import numpy as np
import pytest
from helpers import tiny, tiny_game

from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation.context import Context
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measure import find_measure
from tf_bigan.evaluation.measures import knn
from tf_bigan.evaluation.report import describe_dataset, values
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.evaluation.table import table


@pytest.fixture(scope="module")
def report(digits_dir):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game()
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    return evaluate(game, experiment, data, ("knn", "reconstruction"), say=lambda line: None)


def test_every_feature_metric_stands_beside_untrained_and_pixels(report):
    spaces = {(row["encoder"], row["layer"], row["dimensions"]) for row in report["results"]["knn"]}
    assert spaces == {
        ("trained", "penultimate", 16),
        ("trained", "outputs", 4),
        ("untrained", "penultimate", 16),
        ("untrained", "outputs", 4),
        ("pixels", "pixels", 64),
    }
    assert report["results"]["reconstruction"].keys() == {"EGr", "EGr_b", "EGg", "EGg_b"}


def test_report_states_data_protocol_and_seed(report):
    assert report["gallery"] == {"split": "train", "images": 1437}
    assert report["queries"] == {"dataset": "digits", "split": "test", "images": 360}
    assert report["training_seed"] == 42 and report["evaluation_seed"] == 0
    assert report["protocols"].keys() == {"knn", "reconstruction"}


def test_pixels_reach_their_known_accuracy(report):
    # The reference is scikit-learn's 1-NN on the same split.
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    images, labels = load_digits(return_X_y=True)
    expected = KNeighborsClassifier(1).fit(images[:1437], labels[:1437]).score(images[1437:], labels[1437:])
    found = values(report, "knn", "pixels", "pixels", metric="euclidean", k=1)
    assert found == [pytest.approx(100 * expected, abs=0.3)]


def test_the_paper_s_number_is_found_and_printed(report):
    rows = [
        row
        for row in report["results"]["knn"]
        if (row["encoder"], row["layer"], row["metric"], row["k"]) == ("trained", "penultimate", "euclidean", 1)
    ]
    assert values(report, "knn", "trained", "penultimate", metric="euclidean", k=1) == [rows[0]["accuracy"]]
    assert f"{rows[0]['accuracy']:.2f}" in table(report)


def ready(digits_dir, **changes):
    """(game, experiment, its data) of the digits."""
    experiment, game = tiny(**changes), tiny_game(**changes)
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    return game, experiment, data


def test_an_interrupted_evaluation_goes_on_after_its_last_result(digits_dir):
    model = ready(digits_dir)
    names = ("linear", "knn", "reconstruction")
    settings = EvaluationSettings(layers=("penultimate",))
    kept, said = [], []

    def until_untrained(line):
        if "untrained" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(*model, names, settings, say=until_untrained, on_result=kept.append)
    assert [row["encoder"] for row in kept[-1]["results"]["linear"]] == ["trained"]
    whole = evaluate(*model, names, settings, kept[-1], kept.append, said.append)
    assert [line.partition(" (")[0] for line in said] == [
        "linear: penultimate of untrained",
        "features: penultimate of untrained",
        "knn: penultimate of untrained",
        "linear: raw pixels",
        "features: raw pixels",
        "knn: raw pixels",
        "reconstruction",
    ]
    assert kept[-1] == whole and list(whole["results"]) == list(names)
    said.clear()
    assert evaluate(*model, names, settings, whole, say=said.append) == whole and not said

    # Features with another setting or of other data are measured anew.
    changed = EvaluationSettings(layers=("penultimate",), pool=2)
    evaluate(*model, ("knn",), changed, whole, say=said.append)
    assert passes(said) == ["penultimate of trained (42)", "penultimate of untrained (42)"]
    said.clear()
    evaluate(*model, ("knn",), EvaluationSettings(layers=("penultimate",), seed=1), whole, say=said.append)
    assert len(passes(said)) == 3
    said.clear()
    of_old = whole | {"protocols": whole["protocols"] | {"knn": "another"}}
    evaluate(*model, ("knn", "reconstruction"), settings, of_old, say=said.append)
    assert len(passes(said)) == 3 and "reconstruction" not in said


def passes(said):
    """The features that passes over the data computed, taken from the lines of progress."""
    return [line.removeprefix("features: ") for line in said if line.startswith("features: ")]


def test_progress_says_how_many_and_how_long(digits_dir, monkeypatch):
    clock = itertools.count(0.0, 60.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    said = []
    evaluate(*ready(digits_dir), ("knn",), EvaluationSettings(layers=("h1",), untrained=0), say=said.append)
    assert [line for line in said if line.startswith("knn")] == [
        "knn: h1 of trained (42) (1 of 2)",
        "knn: raw pixels (2 of 2, time left: about 2:00)",
    ]


def test_the_layers_of_a_network_are_one_pass_over_the_images(digits_dir, monkeypatch):
    game, experiment, data = ready(digits_dir)
    alone = evaluate(
        game, experiment, data, ("knn",), EvaluationSettings(layers=("h1",), untrained=0), say=lambda line: None
    )
    said, read = [], []
    for split in (data.gallery, data.queries):
        monkeypatch.setattr(split, "batches", lambda size, batches=split.batches: read.append(size) or batches(size))
    settings = EvaluationSettings(layers=("h1", "code", "penultimate"))
    report = evaluate(game, experiment, data, ("knn", "linear"), settings, alone, say=said.append)
    # linear still lacks h1 of the trained encoder, and both lack all others.
    assert passes(said) == [
        "h1, code, penultimate of trained (42)",
        "h1, code, penultimate of untrained (42)",
        "raw pixels",
    ]
    assert len(read) == 2 * 3
    # Neither measure has changed the other's features.
    whole = evaluate(game, experiment, data, ("knn",), settings, say=lambda line: None)
    assert whole["results"]["knn"] == report["results"]["knn"]


def test_larger_maps_are_averaged_down(digits_dir, monkeypatch):
    conv = {"networks": "conv", "width": 8, "image_size": 32, "channels": 3}
    experiment, game = tiny(**conv), tiny_game(**conv)
    splits = {"gallery_split": "train[:64]", "query_split": "test[:8]"}
    data = open_evaluation_data(experiment, **splits, data_dir=str(digits_dir))
    game.estimate_statistics(data.gallery.training_batches(32, 0), 2)
    measured = []
    monkeypatch.setattr(knn, "knn", lambda *features: measured.append(features) or [{"accuracy": 0.0}])
    settings = EvaluationSettings(layers=("conv2", "conv5", "penultimate"), pool=2, untrained=0)
    report = evaluate(game, experiment, data, ("knn",), settings, say=lambda line: None)
    assert [row["dimensions"] for row in report["results"]["knn"]] == [128, 128, 128, 3072]
    images, labels = data.queries.arrays()
    maps = game.features(images, layer="conv2")  # 4x4 of 32 channels
    averages = maps.reshape(8, 2, 2, 2, 2, 32).mean(axis=(2, 4)).reshape(8, 128)
    np.testing.assert_allclose(measured[0][2], averages, atol=1e-5)
    np.testing.assert_array_equal(measured[0][3], labels)
    small = game.features(images, layer="conv5")  # 2x2 already
    np.testing.assert_allclose(measured[1][2], small.reshape(8, 128), atol=1e-5)


def test_raw_pixels_are_of_the_size_of_the_generator_s(digits_dir):
    experiment = tiny(encoder_size=16)
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game(encoder_size=16)
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    report = evaluate(
        game, experiment, data, ("knn",), EvaluationSettings(layers=("h1",), untrained=0), say=lambda line: None
    )
    dimensions = {row["encoder"]: row["dimensions"] for row in report["results"]["knn"]}
    assert dimensions == {"trained": 16, "pixels": 64} and data.gallery.image_shape == (16, 16, 1)


def test_some_classes_are_evaluated_on_the_same_classes(digits_dir):
    experiment = tiny(max_labels=3)
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game()
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    report = evaluate(game, experiment, data, ("knn",), say=lambda line: None)
    assert report["gallery"]["images"] == data.gallery.count < 500 and set(data.queries.arrays()[1]) == {0, 1, 2}
    assert describe_dataset(report) == "digits (first 3 classes)"
    assert values(report, "knn", "pixels", "pixels", metric="euclidean", k=1) > [90.0]
    # Other data is not limited to the classes of the training, and a line of text says so.
    said = []
    trained = dataclasses.replace(experiment, dataset="mnist")
    other = open_evaluation_data(trained, "digits", data_dir=str(digits_dir), say=said.append)
    assert other.gallery.count == 1437 and other.max_labels == 0
    assert said == ["using all classes of digits; the model was trained on the first 3 of mnist"]


def test_features_that_memory_cannot_take_are_refused(digits_dir, monkeypatch):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 90}  # 1,437 images of 64 pixels are 367,872 bytes
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    told = "features of each of 1437 images take 0 GB.*\n--{}_split=train.:{}. and --pool take less"
    game = tiny_game()
    wide = game.feature_function

    def wider(layers):  # 80 features of a layer that has 64
        return lambda images: [np.pad(np.array(found), ((0, 0), (0, 16))) for found in wide(layers)(images)]

    monkeypatch.setattr(game, "feature_function", wider)
    settings = EvaluationSettings(layers=("flat",))
    with pytest.raises(InputError, match=f"80 {told.format('gallery', 576)}"):
        evaluate(game, experiment, data, ("knn",), settings, say=lambda line: None)
    swapped = open_evaluation_data(experiment, data_dir=str(digits_dir), gallery_split="test", query_split="train")
    with pytest.raises(InputError, match=f"80 {told.format('query', 576)}"):
        evaluate(game, experiment, swapped, ("knn",), settings, say=lambda line: None)
    pages["SC_PHYS_PAGES"] = 89
    with pytest.raises(InputError, match=f"64 {told.format('gallery', 712)}"):  # of raw pixels, at once
        evaluate(game, experiment, data, ("knn",), settings, say=pytest.fail)


def test_an_untrained_encoder_that_learns_from_samples_sees_those_of_the_same_g(digits_dir):
    inverse = {"system": "learned_inverse", "statistics_steps": 2}
    model, experiment, data = ready(digits_dir, **inverse)
    for weight in model.generator.trainable_variables:
        weight.assign(weight + 0.1)  # as another run trained them
    context = Context(model, experiment, data, EvaluationSettings(), lambda line: None, ("penultimate",))
    untrained = context.encoders[1].game()
    for role, same in (("generator", model), ("encoder", tiny_game(**inverse))):
        for ours, theirs in zip(untrained.networks[role].weights, same.networks[role].weights, strict=True):
            if role == "generator" or ours.trainable:
                np.testing.assert_array_equal(ours, theirs)


def test_a_model_without_a_layer_outputs_is_measured_at_given_layers(digits_dir):
    game, experiment, data = ready(digits_dir)
    settings = EvaluationSettings(layers=("h1",), untrained=0)

    def unknown(layer):
        raise InputError(f"unknown layer {layer}")

    game.conditions_of_layer, asked = unknown, find_measure("knn")
    assert asked.feature_layers(game, experiment, settings) == ["h1"]
    with pytest.raises(InputError, match="unknown layer penultimate"):
        asked.feature_layers(game, experiment, EvaluationSettings())


def test_what_cannot_be_measured_is_said(digits_dir, tmp_path):
    from PIL import Image

    experiment = tiny(system="gan")
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    with pytest.raises(InputError, match="Did you mean 'knn'"):
        evaluate(tiny_game("gan"), experiment, data, ("kn",))
    with pytest.raises(InputError, match="gan has no encoder"):
        evaluate(tiny_game("gan"), experiment, data, ("reconstruction",))
    with pytest.raises(InputError, match="gan has no encoder, so it has no layer 'code'"):
        evaluate(tiny_game("gan"), experiment, data, ("knn",), EvaluationSettings(layers=("code",)))
    with pytest.raises(InputError, match="unknown layer 'h9'"):
        evaluate(tiny_game("gan"), experiment, data, ("knn",), EvaluationSettings(layers=("h9",)))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    unlabelled = open_evaluation_data(experiment, dataset=str(tmp_path))
    with pytest.raises(InputError, match="no labels"):
        evaluate(tiny_game("gan"), experiment, unlabelled, ("knn",))
    assert open_images(str(tmp_path)).count == 1


def test_images_are_not_looked_up_among_themselves(digits_dir, tmp_path):
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "1.png")
    experiment = tiny()
    for data in (
        open_evaluation_data(experiment, query_split="train", data_dir=str(digits_dir)),
        open_evaluation_data(experiment, dataset=str(tmp_path)),
    ):
        with pytest.raises(InputError, match="every image would be its own nearest neighbour"):
            evaluate(tiny_game(), experiment, data, ("knn",), say=lambda line: None)
