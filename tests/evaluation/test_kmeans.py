"""The baseline of K-means on patches (Coates et al. 2011)."""

import numpy as np
import pytest
from helpers import run_tool, tiny, tiny_game

from tf_bigan.errors import InputError
from tf_bigan.evaluation import kmeans
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.kmeans import PatchFeatures
from tf_bigan.evaluation.settings import EvaluationSettings, KMeansSettings
from tf_bigan.evaluation.table import table

SMALL = KMeansSettings(centroids=8, edge=3)


def drawn_images(count, shape=(12, 10, 3), seed=0):
    return np.random.default_rng(seed).uniform(size=(count, *shape)).astype(np.float32)


def test_features_are_each_quadrants_patches_by_the_triangle_of_distances(monkeypatch):
    """The same number, patch by patch, in plain loops."""
    monkeypatch.setattr(kmeans, "PATCHES", 500)
    images = drawn_images(20)
    features = PatchFeatures(KMeansSettings(4, edge=3, stride=2), [images[:15], images[15:]], 20, seed=1)
    found = features(images[:2])
    rows, columns = 5, 4  # 12 and 10 pixels, patches of 3 pixels, 2 apart
    expected = np.zeros((2, 2, 2, 4))
    for n in range(2):
        for row in range(rows):
            for column in range(columns):
                patch = 255.0 * images[n, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].transpose(2, 0, 1).ravel()
                patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
                white = (patch - features._mean) @ features._whitening
                distances = np.linalg.norm(white - features._centroids, axis=1)
                expected[n, int(row >= 2), int(column >= 2)] += np.maximum(0, distances.mean() - distances)
    assert found.shape == (2, 16) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected.reshape(2, 16), rtol=1e-3, atol=1e-3)


def test_patches_are_whitened_and_the_same_seed_gives_the_same_features(monkeypatch):
    monkeypatch.setattr(kmeans, "PATCHES", 2000)
    images = drawn_images(50)
    one, same, other = (PatchFeatures(SMALL, [images], 50, seed)(images[:3]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_brightness_and_contrast_of_an_image_do_not_matter_beyond_the_constant(monkeypatch):
    monkeypatch.setattr(kmeans, "PATCHES", 2000)
    images = drawn_images(30)
    features = PatchFeatures(SMALL, [images], 30, seed=0)
    np.testing.assert_allclose(features(0.5 * images + 0.25), features(images), rtol=0.02, atol=0.5)
    assert features(images[:0]).shape == (0, 32)


@pytest.mark.parametrize(
    "settings, shape, message",
    [
        (KMeansSettings(8), (6, 9, 1), "patches of 6x6 pixels, 1 apart, and images of 6x9 pixels have fewer than two"),
        (KMeansSettings(8, stride=4), (9, 9, 1), "6x6 pixels, 4 apart, and images of 9x9 pixels"),
        (KMeansSettings(10**6, edge=3), (8, 8, 1), "patches, fewer than 1000000 centroids"),
    ],
)
def test_images_without_enough_patches_are_refused(settings, shape, message):
    with pytest.raises(InputError, match=message):
        PatchFeatures(settings, [drawn_images(3, shape)], 3, seed=0)


@pytest.mark.parametrize("change", [{"centroids": 1}, {"edge": 1}, {"stride": 0}])
def test_settings_have_borders(change):
    with pytest.raises(InputError, match="K-means wants"):
        KMeansSettings(**change)


def test_it_stands_beside_the_pixels_in_every_measure_of_features(digits_dir, monkeypatch):
    monkeypatch.setattr(kmeans, "PATCHES", 5000)
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=digits_dir)
    settings = EvaluationSettings(untrained=0, kmeans=KMeansSettings(centroids=16, edge=4))
    said = []
    report = evaluate(tiny_game(), experiment, data, ["knn", "linear"], settings, say=said.append)
    for rows in report["results"].values():
        made = [row for row in rows if row["encoder"] == "kmeans"]
        assert made and all(row["layer"] == "16 of 4x4/1" and row["dimensions"] == 64 for row in made)
        assert all(row["accuracy"] > 80 for row in made)  # chance: 10
    assert table(report).count("kmeans 16 of 4x4/1 (64)") == 2
    assert sum("K-means: 16 centroids" in line for line in said) == 1  # learned once for both measures
    again = []
    evaluate(tiny_game(), experiment, data, ["knn"], settings, earlier=report, say=again.append)
    assert not any("K-means" in line for line in again)
    other = EvaluationSettings(untrained=0, kmeans=KMeansSettings(centroids=17, edge=4))
    evaluate(tiny_game(), experiment, data, ["knn"], other, earlier=report, say=again.append)
    assert any("K-means: 17 centroids" in line for line in again)


def test_measures_without_features_refuse_the_flag():
    status, _, stderr = run_tool("evaluate.py", "--model=bigan_digits", "--metrics=reconstruction", "--kmeans=8")
    assert status == 2 and "--kmeans is for --metrics=knn,linear,svm; other metrics do not use it" in stderr
