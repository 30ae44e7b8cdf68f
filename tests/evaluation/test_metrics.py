import dataclasses
import os

import numpy as np
import pytest
from helpers import tiny, tiny_game

from tf_bigan.data import open_images
from tf_bigan.domains import domain_of
from tf_bigan.errors import InputError
from tf_bigan.evaluation import metrics
from tf_bigan.evaluation.evaluate import evaluate, open_evaluation_data
from tf_bigan.evaluation.report import describe_dataset, table, values


class ConstantModel:
    """Generates the images it is given, and reconstructs every image as its own negative."""

    encoder_is_larger = False

    def __init__(self, samples):
        self.samples, self.domain = samples, domain_of(samples.shape[1:])

    def generate(self, count, seed):
        return np.resize(self.samples, (count, *self.samples.shape[1:])).astype(np.float32)

    def reconstruct(self, images):
        return 1.0 - images

    def reduced(self, images):
        return images


def test_reconstruction_errors_by_hand():
    # Two images of four pixels. |x - (1 - x)| is 1 a pixel for black or white: distance 2.
    images = np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))]).astype(np.float32)
    errors = metrics.reconstruction(ConstantModel(np.full((1, 2, 2, 1), 0.25)), images)
    assert errors["EGr"] == pytest.approx(2.0)
    assert errors["EGr_b"] == pytest.approx(0.0)  # the other image's reconstruction is the image itself
    # 0.25 becomes 64/255 when rounded to 8 bits; its reconstruction is 1 - 64/255.
    assert errors["EGg"] == pytest.approx(2 * (1 - 128 / 255), rel=1e-6)


def test_samples_of_points_are_not_rounded():
    points, samples = np.float32([[0.0, 0.0], [1.0, 1.0]]), np.float32([[3.001, 4.001]])
    errors = metrics.reconstruction(ConstantModel(samples), points)
    assert errors["EGr"] == pytest.approx(np.sqrt(2))
    # To 1 - x: twice the distance from (0.5, 0.5).
    assert errors["EGg"] == pytest.approx(2 * np.hypot(2.501, 3.501), rel=1e-6)


def test_nearest_samples_by_hand(monkeypatch):
    monkeypatch.setattr(metrics, "SAMPLES", (1, 2, 4))
    monkeypatch.setattr(metrics, "_SAMPLES_AT_ONCE", 2)
    drawn = iter([0.5, 0.75, 1.0])

    class Sampler:
        def reduced(self, images):
            return images

        def generate(self, count, seed):
            return np.full((count, 1, 1, 1), next(drawn), np.float32)

    found = metrics.nearest_samples(Sampler(), np.ones((3, 1, 1, 1), np.float32))
    assert found == {"NND/100": 0.5, "NND/10": 0.25, "NND": 0.0}


def test_knn_on_separable_features():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] * 10 + rng.normal(size=(60, 3))
    split = (features[:45], labels[:45], features[45:], labels[45:])
    rows = metrics.knn(*split)
    assert {(row["metric"], row["k"]) for row in rows} == {(m, k) for m in ("euclidean", "cosine") for k in (1, 5)}
    assert all(row["accuracy"] == 100.0 for row in rows)


def test_knn_counts_wrong_labels():
    features = np.array([[0.0], [1.0], [2.0], [3.0]])
    rows = metrics.knn(features, np.array([0, 0, 1, 1]), features, np.array([0, 0, 1, 0]))
    assert rows[0]["accuracy"] == 75.0


@pytest.fixture(scope="module")
def report(digits_dir):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game()
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    return evaluate(game, experiment, data, names=("knn", "reconstruction"), say=lambda line: None)


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
    # scikit-learn's own 1-NN on the same split.
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


def test_an_interrupted_evaluation_goes_on_after_its_last_result(digits_dir):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game()
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    settings = {"names": ("linear", "knn", "reconstruction"), "layers": ("penultimate",)}
    kept, said = [], []

    def until_untrained(line):
        if "untrained" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(game, experiment, data, **settings, say=until_untrained, keep=kept.append)
    assert [row["encoder"] for row in kept[-1]["results"]["linear"]] == ["trained"]
    whole = evaluate(game, experiment, data, **settings, earlier=kept[-1], keep=kept.append, say=said.append)
    assert said == ["features: penultimate of untrained (42)", "features: raw pixels", "reconstruction"]
    assert kept[-1] == whole
    said.clear()
    assert evaluate(game, experiment, data, **settings, earlier=whole, say=said.append) == whole and not said

    # Other features, of another setting or data, are measured anew.
    evaluate(game, experiment, data, ("knn",), ("penultimate",), pool=2, earlier=whole, say=said.append)
    assert said == ["features: penultimate of trained (42)", "features: penultimate of untrained (42)"]
    said.clear()
    evaluate(game, experiment, data, ("knn",), ("penultimate",), seed=1, earlier=whole, say=said.append)
    assert len(said) == 3
    said.clear()
    of_old = whole | {"protocols": whole["protocols"] | {"knn": "another"}}
    evaluate(game, experiment, data, ("knn", "reconstruction"), ("penultimate",), earlier=of_old, say=said.append)
    assert len(said) == 3 and "reconstruction" not in said


def test_the_layers_of_a_network_are_one_pass_over_the_images(digits_dir, monkeypatch):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    game = tiny_game()
    game.estimate_statistics(data.gallery.training_batches(128, 0), 2)
    alone = evaluate(game, experiment, data, ("knn",), ("h1",), untrained=0, say=lambda line: None)
    said, passes = [], []
    for split in (data.gallery, data.queries):
        batches = split.batches
        monkeypatch.setattr(split, "batches", lambda size, batches=batches: passes.append(size) or batches(size))
    settings = {"names": ("knn",), "layers": ("h1", "code", "penultimate"), "say": said.append}
    report = evaluate(game, experiment, data, **settings, earlier=alone)
    of_pixels = values(report, "knn", "pixels", "pixels", metric="euclidean", k=1)
    assert said == ["features: code, penultimate of trained (42)", "features: h1, code, penultimate of untrained (42)"]
    assert len(passes) == 4 and len(of_pixels) == 1
    whole = evaluate(game, experiment, data, **settings)
    assert len(passes) == 10 and whole == report


def test_larger_maps_are_averaged_down(digits_dir, monkeypatch):
    conv = {"networks": "conv", "width": 8, "image_size": 32, "channels": 3}
    experiment, game = tiny(**conv), tiny_game(**conv)
    splits = {"gallery_split": "train[:64]", "query_split": "test[:8]"}
    data = open_evaluation_data(experiment, **splits, data_dir=str(digits_dir))
    game.estimate_statistics(data.gallery.training_batches(32, 0), 2)
    measured = []
    monkeypatch.setattr(metrics, "knn", lambda *features: measured.append(features) or [{"accuracy": 0.0}])
    settings = {"untrained": 0, "say": lambda line: None}
    report = evaluate(game, experiment, data, ("knn",), ("conv2", "conv5", "penultimate"), pool=2, **settings)
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
    report = evaluate(game, experiment, data, ("knn",), ("h1",), untrained=0, say=lambda line: None)
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
    # Other data has its own classes, and that is said.
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
    told = (
        "features of each of 1437 images take 0 GB.*\n--gallery_split=train.:{}., fewer --layers and --pool take less"
    )
    with pytest.raises(InputError, match=f"80 {told.format(576)}"):  # of two layers together
        evaluate(tiny_game(), experiment, data, ("knn",), ("h1", "flat"), say=lambda line: None)
    swapped = open_evaluation_data(experiment, data_dir=str(digits_dir), gallery_split="test", query_split="train")
    with pytest.raises(InputError, match=f"80 {told.replace('gallery', 'query').format(576)}"):
        evaluate(tiny_game(), experiment, swapped, ("knn",), ("h1", "flat"), say=lambda line: None)
    pages["SC_PHYS_PAGES"] = 89
    with pytest.raises(InputError, match=f"64 {told.format(712)}"):  # of raw pixels, at once
        evaluate(tiny_game(), experiment, data, ("knn",), ("h1",), say=pytest.fail)


def test_what_cannot_be_measured_is_said(digits_dir, tmp_path):
    from PIL import Image

    experiment = tiny(system="gan")
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    with pytest.raises(InputError, match="Did you mean 'knn'"):
        evaluate(tiny_game("gan"), experiment, data, names=("kn",))
    with pytest.raises(InputError, match="gan has no encoder"):
        evaluate(tiny_game("gan"), experiment, data, names=("reconstruction",))
    with pytest.raises(InputError, match="unknown layer 'h9'"):
        evaluate(tiny_game("gan"), experiment, data, names=("knn",), layers=("h9",))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    unlabelled = open_evaluation_data(experiment, dataset=str(tmp_path))
    with pytest.raises(InputError, match="no labels"):
        evaluate(tiny_game("gan"), experiment, unlabelled, names=("knn",))
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
            evaluate(tiny_game(), experiment, data, names=("knn",), say=lambda line: None)
