"""Precision, recall, density and coverage of points whose balls are known."""

import numpy as np
import pytest

from tf_bigan.errors import InputError
from tf_bigan.evaluation import manifolds
from tf_bigan.evaluation.manifolds import precision_recall

ONE = {"precision": 1, "recall": 1, "density": 1, "coverage": 1}


def line(*values):
    return np.array(values, np.float32)[:, None]


def test_points_on_a_line():
    real = line(0.0, 1.0, 2.0, 10.0)  # balls with k = 1: from -1 to 1, 0 to 2, 1 to 3, and 2 to 18
    made = line(0.5, 0.75, 29.0)  # from 0.25 to 0.75, 0.5 to 1, and 0.75 to 57.25
    found = precision_recall(made, real, ONE)
    # 0.5 and 0.75 lie in the balls of 0 and 1, and 29 lies in none.
    assert found["precision"] == pytest.approx(2 / 3) and found["density"] == pytest.approx(4 / 3)
    assert found["coverage"] == 0.5
    assert found["recall"] == 0.75  # all but 0 lie in the ball of 29


def test_it_is_what_the_definitions_say_across_chunks(monkeypatch):
    monkeypatch.setattr(manifolds, "_SAMPLES", 7)
    monkeypatch.setattr(manifolds, "_REFERENCE", 16)
    rng = np.random.default_rng(0)
    made, real = rng.normal(100.5, 1.3, (60, 4)), rng.normal(100.0, 1.0, (50, 4))

    def distances(a, b):
        return np.linalg.norm(a[:, None] - b, axis=2)

    def radii(points, k):
        return np.sort(distances(points, points), axis=1)[:, k]

    d = distances(made, real)
    assert precision_recall(made, real) == {
        "precision": np.mean((d <= radii(real, 3)).any(axis=1)),
        "recall": np.mean((d <= radii(made, 3)[:, None]).any(axis=0)),
        "density": pytest.approx((d <= radii(real, 5)).sum() / (5 * 60)),
        "coverage": np.mean((d <= radii(real, 5)).any(axis=0)),
    }


def test_equal_sets_are_covered_and_distant_ones_are_not():
    x = np.random.default_rng(0).normal(size=(100, 8))
    same, apart = precision_recall(x, x), precision_recall(x + 100, x)
    assert [same[name] for name in ("precision", "recall", "coverage")] == [1, 1, 1] and same["density"] >= 1
    assert set(apart.values()) == {0.0}


@pytest.mark.parametrize("dimensions", [3, 64, 2048])
def test_copies_lie_in_balls_of_radius_0(dimensions):
    distinct = np.random.default_rng(0).normal(size=(300, dimensions))
    x = np.repeat(distinct, 10, axis=0)  # the 3 and the 5 nearest others of each row are its copies
    found = precision_recall(x, x[::-1])
    assert [found[name] for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert found["density"] == pytest.approx(10 / 5)  # each row lies in the balls of its 10 copies
    moved = precision_recall(x + 0.01 * distinct.std(), x)  # far beyond rounding
    assert moved["precision"] < 0.2 and moved["coverage"] < 0.2


def test_samples_of_one_mode_are_precise_without_recall():
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(size=(200, 2)), rng.normal(50.0, 1.0, (200, 2))])
    found = precision_recall(rng.normal(size=(400, 2)) * 0.5, real)
    assert found["precision"] > 0.95 and found["recall"] < 0.5 and found["coverage"] <= 0.5


def test_what_is_refused():
    x = np.zeros((6, 2))
    with pytest.raises(InputError, match="take 5 neighbours: they want at least 6 samples and real examples, found 5$"):
        precision_recall(x[:5], x)
    with pytest.raises(InputError, match="^features have 2 and 1 dimensions"):
        precision_recall(x, x[:, :1])
    with pytest.raises(InputError, match="^features of example 0 are NaN or infinite$"):
        precision_recall(x, x * np.nan)
