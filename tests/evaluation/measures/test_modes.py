"""Coverage of the 25 Gaussians, tested with samples whose counts are known."""

import dataclasses

import numpy as np
import pytest
from helpers import tiny

from tf_bigan import figures
from tf_bigan.data import ArraySource, open_data
from tf_bigan.data.mixture import SIGMA, means
from tf_bigan.domains import Points
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import EvaluationData, open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measures.modes import SAMPLES, modes
from tf_bigan.evaluation.report import values
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.evaluation.table import table
from tf_bigan.games import make_game


class Known:
    """A model with given samples, whose reconstructions are shifted from the originals."""

    domain, encoder = Points((2,)), "there is one"

    def __init__(self, samples):
        self.samples = samples

    def generate(self, count, seed=0):
        return self.samples[:count]

    def reconstruct(self, points):
        return points + np.float32([0.3, 0.4])


def test_what_samples_cover():
    """20 samples on the first mean, 19 on the second, one just outside the third mode, the rest on the fourth mean."""
    centres = means()
    samples = np.repeat(centres[3][None], SAMPLES, 0)
    samples[:20], samples[20:39], samples[39] = centres[0], centres[1], centres[2] + [3.1 * SIGMA, 0.0]
    points = np.float32([[0.0, 0.0], [3.0, 4.0]])
    row = modes(Known(samples), points)
    shares = np.array([20, 19, 1, SAMPLES - 40]) / SAMPLES
    assert (row["samples"], row["modes"], row["modes_near"], row["modes_covered"]) == (SAMPLES, 4, 3, 2)
    assert row["high_quality"] == pytest.approx(1 - 1 / SAMPLES)
    assert row["kl"] == pytest.approx((shares * np.log(shares * 25)).sum())
    assert row["reconstruction"] == pytest.approx(0.5)
    # Distances to the next point's reconstruction: |(0, 0) - (3.3, 4.4)| = 5.5 and |(3, 4) - (0.3, 0.4)| = 4.5.
    assert row["reconstruction_b"] == pytest.approx(5.0)


def test_the_data_itself_is_nearly_perfect():
    rng = np.random.default_rng(0)
    samples = means()[np.arange(SAMPLES) % 25] + SIGMA * rng.normal(size=(SAMPLES, 2))
    row = modes(Known(samples.astype(np.float32)), np.zeros((1, 2), np.float32))
    assert row["modes"] == row["modes_near"] == row["modes_covered"] == 25
    # A share of 1 - exp(-9 / 2) of a Gaussian in the plane lies within 3 standard deviations.
    assert row["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.005) and row["kl"] == pytest.approx(0, abs=1e-6)


def points_experiment(system):
    settings = {"dataset": "mixture", "networks": "mixture", "prior": "normal", "posterior": "implicit", "width": 16}
    settings |= {"dimensions": 2, "image_size": 0, "channels": 0, "latent_dim": 2}
    return tiny(system=system, **settings)


@pytest.mark.parametrize("system", ["ali", "gan"])
def test_modes_are_a_metric_of_evaluate(system):
    experiment = points_experiment(system)
    data = open_evaluation_data(experiment, query_split="test[:100]")
    model = make_game(experiment)
    report = evaluate(model, experiment, data, ["modes"], say=lambda line: None)
    text = table(report)
    assert ("reconstruction" in report["results"]["modes"]) == (system == "ali")
    assert "modes with 20 within 3 sigma" in text and "10000 samples" in text
    model.generate = None  # what an earlier report holds is not measured again
    again = evaluate(model, experiment, data, ["modes"], earlier=report, say=lambda line: None)
    assert again["results"] == report["results"]


def test_modes_of_other_data_are_refused(digits_dir):
    experiment = dataclasses.replace(tiny(), dataset="digits")
    data = open_evaluation_data(experiment, data_dir=digits_dir)
    with pytest.raises(InputError, match="modes needs the data set 'mixture', whose components are known, not"):
        evaluate(make_game(experiment), experiment, data, ["modes"])


@pytest.mark.parametrize("system", ["ali", "gan"])
def test_every_measure_of_points_is_told_as_of_points(system):
    experiment = points_experiment(system)
    data = open_evaluation_data(experiment, gallery_split="train[:500]", query_split="test[:100]")
    names = ["knn", "linear", "nnd", *(["reconstruction"] if system == "ali" else [])]
    layers = ("penultimate", "code") if system == "ali" else ("penultimate",)
    model, settings = make_game(experiment), EvaluationSettings(layers=layers)
    report = evaluate(model, experiment, data, names, settings, say=lambda line: None)
    assert list(report["results"]) == names and report["examples"] == "points"
    # The components lie far apart, so the nearest point is of the same component.
    assert values(report, "knn", "coordinates", "coordinates", metric="euclidean", k=1) == [100.0]
    assert values(report, "linear", "coordinates", "coordinates")[0] > 50.0
    for layer in layers:
        assert len(values(report, "knn", "trained", layer, metric="euclidean", k=1)) == 1
        assert len(values(report, "linear", "untrained", layer)) == 1
    told = table(report) + " ".join(report["protocols"].values())
    assert "coordinates (2)" in told and "pixel" not in told and "image" not in told
    assert ("points (EGr, EGr_b)" in told) == (system == "ali")
    model.feature_function = None  # what an earlier report holds is not measured again
    assert evaluate(model, experiment, data, names, settings, earlier=report)["results"] == report["results"]


def test_what_points_cannot_have_is_said(digits_dir):
    points = points_experiment("ali")
    data = open_evaluation_data(points, gallery_split="train[:50]", query_split="test[:50]")
    with pytest.raises(InputError, match="^networks of points have no maps that --pool could average$"):
        evaluate(make_game(points), points, data, ["knn"], EvaluationSettings(pool=4))
    with pytest.raises(InputError, match="^digits has images, not points$"):
        open_evaluation_data(points, "digits", data_dir=digits_dir)
    with pytest.raises(InputError, match="^mixture has points, not images$"):
        open_evaluation_data(tiny(), "mixture")
    with pytest.raises(InputError, match="^mixture has points of 2 coordinates, not of 3$"):
        open_evaluation_data(dataclasses.replace(points, dimensions=3), "mixture")
    with pytest.raises(InputError, match="every point would be its own nearest neighbour"):
        evaluate(make_game(points), points, dataclasses.replace(data, queries=data.gallery), ["knn"])
    some = open_data(ArraySource(np.ones((5, 2)), [0, 0, 0, 0, -1], name="mine"))
    with pytest.raises(InputError, match="^points of mine have no labels, which knn needs$"):
        evaluate(make_game(points), points, EvaluationData("mine", "mine", some, some), ["knn"])


def test_a_scatter_plot_has_a_dot_where_a_point_lies():
    sheet = figures.scatter(np.float32([[0.5, 0.5], [-0.5, -0.5], [-0.5, -0.5]]), extent=1.0, edge=8)
    dark = np.argwhere(sheet[..., 0] < 255)
    assert sheet.shape == (8, 8, 1) and dark.tolist() == [[1, 6], [5, 2]]
    assert sheet[5, 2, 0] < sheet[1, 6, 0]
    with pytest.raises(InputError, match="at least one point"):
        figures.scatter(np.zeros((0, 2)))
