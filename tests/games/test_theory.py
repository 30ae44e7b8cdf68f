"""The papers' theorems, in games that can be computed completely; and the page of docs/ that shows them."""

import itertools
import re
import sys

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from helpers import ROOT
from PIL import Image

from tf_bigan.games import ALI, BiGAN

sys.path.insert(0, str(ROOT / "docs"))
import small_games
import what_the_game_converges_to as page

LOG_4 = np.log(4.0)
BOTH = pytest.mark.parametrize("system", [BiGAN, ALI])

# Distributions on three points, as counts, and how many of the 729 pairs of maps are optimal.
DISTRIBUTIONS = [
    ((1, 1, 1), (1, 1, 1), 6),
    ((2, 1, 1), (1, 1, 2), 2),
    # There are two ways to join two points with two; E has 3 choices at the third example, and G at the third code.
    ((2, 2, 0), (0, 2, 2), 2 * 3 * 3),
    ((2, 1, 1), (2, 2, 0), 0),  # no map carries one to the other
]
INVERSE = {"encoder": (1, 2, 0), "generator": (2, 0, 1)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page's results, report and figure: (pairs, line, plane), text and path."""
    path = tmp_path_factory.mktemp("docs") / "figure.png"
    return *page.make(path), path


# -- D's optimum


@BOTH
@pytest.mark.parametrize(
    "games",
    [
        ({"x_counts": (1, 1, 1), "z_counts": (1, 1, 1), **INVERSE}, -LOG_4),
        ({"x_counts": (1, 1, 1), "z_counts": (1, 1, 1), "encoder": (1, 2, 0), "generator": (1, 2, 0)}, 0.0),
        # Pairs 00 and 11 have q = 1/2, 1/4 and p = 1/4, 1/2. Pair 21 has q = 1/4 alone, and 22 has p = 1/4 alone.
        (page.UNEVEN, np.log(2 / 3) + np.log(1 / 3) / 2),
    ],
)
def test_the_value_at_the_optimal_discriminator_by_hand(system, games):
    game, by_hand = games
    found, expected = page.at_the_optimal_discriminator(system, **game)
    assert found == pytest.approx(by_hand, abs=1e-6)
    assert expected == pytest.approx(by_hand, abs=1e-12)


@BOTH
def test_no_other_discriminator_has_a_larger_value(system):
    x_counts, z_counts = page.UNEVEN["x_counts"], page.UNEVEN["z_counts"]
    maps = {name: page.UNEVEN[name] for name in ("encoder", "generator")}
    game = small_games.finite_game(system, x_counts, z_counts)
    small_games.set_maps(game, **maps)
    optimal = small_games.optimal_table(*small_games.finite_joints(x_counts, z_counts, **maps))
    largest = page.at_the_optimal_discriminator(system, **page.UNEVEN)[1]
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 10.0):
        small_games.set_table(game, optimal + rng.normal(0.0, size, optimal.shape))
        rows = small_games.one_hot_rows(x_counts), small_games.one_hot_rows(z_counts)
        assert small_games.value(game, *rows) < largest - 1e-4


def test_a_table_that_is_trained_alone_becomes_the_optimal_discriminator():
    found, optimal = page.trained_table(**page.UNEVEN)
    finite = np.abs(optimal) < small_games.SURE
    np.testing.assert_allclose(np.diag(found)[:2], [np.log(2), -np.log(2)], atol=1e-3)
    np.testing.assert_allclose(found[finite], optimal[finite], atol=1e-3)
    assert np.sum(~finite) == 2
    assert (found[~finite] * np.sign(optimal[~finite]) > 5).all()  # on its way to infinity


def test_quadratic_weights_are_the_log_ratio_of_the_densities():
    joints = small_games.gaussian_joints(small_games.gaussian_game(ALI), 1.0, 1.3)
    u = np.random.default_rng(0).normal(size=(50, 2))
    q, p = (scipy.stats.multivariate_normal(*joint).logpdf(u) for joint in joints)
    discriminator = small_games.quadratic_discriminator(1, 1)
    discriminator.set_weights(small_games.log_ratio(*joints))
    logits = discriminator([tf.constant(u[:, :1], tf.float32), tf.constant(u[:, 1:], tf.float32)])
    np.testing.assert_allclose(logits[:, 0], q - p, rtol=1e-4, atol=1e-4)


def test_the_joints_of_the_line_are_those_of_the_pairs_that_the_discriminator_sees():
    game = small_games.gaussian_game(ALI)
    game.encoder.get_layer("mean").bias.assign([0.5])
    game.encoder.get_layer("log_stddev").bias.assign([-0.5])
    game.generator.get_layer("mean").bias.assign([-0.3])
    x = page.quantiles(1.0, 1.3, 100_000)
    draws = game._draws({"x": x})
    tensors = game.forward({"x": x}, draws.codes(game.prior), draws)
    joints = small_games.gaussian_joints(game, 1.0, 1.3)
    for (mean, covariance), pairs in zip(joints, (tensors["real_inputs"], tensors["generated_inputs"]), strict=True):
        u = np.concatenate(pairs, axis=1)
        np.testing.assert_allclose(u.mean(axis=0), mean, atol=0.02)
        np.testing.assert_allclose(np.cov(u.T), covariance, atol=0.03)


@BOTH
def test_the_value_at_the_optimal_discriminator_of_gaussians(system):
    game = small_games.gaussian_game(system, noise=0.8, slopes=(0.5, 0.5))
    q, p = small_games.gaussian_joints(game, 1.0, 1.0)
    weights = small_games.log_ratio(q, p)
    game.discriminator.set_weights(weights)
    x = page.quantiles(1.0, 1.0, 100_000)
    found = small_games.value(game, x, game.noise(len(x), 0))
    # 2 JSD - log 4, summed over a grid
    line = np.linspace(-7.0, 9.0, 400)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    densities = [scipy.stats.multivariate_normal(*joint).pdf(grid) for joint in (q, p)]
    expected = 2 * small_games.jensen_shannon(*(density / density.sum() for density in densities)) - LOG_4
    assert -LOG_4 + 0.1 < expected < -0.1
    assert found == pytest.approx(expected, abs=0.01)
    assert small_games.quadratic_value(q, p, weights) == pytest.approx(expected, abs=1e-4)


def test_a_quadratic_that_is_trained_alone_becomes_the_optimal_discriminator():
    found, optimal = page.trained_quadratic()
    assert np.abs(optimal[0]).max() > 0.5
    for one, other in zip(found, optimal, strict=True):
        np.testing.assert_allclose(one.ravel(), other.ravel(), atol=0.05)


# -- E's and G's optimum


def reconstructed(counts, others, there, back):
    """The points of positive probability that the maps `there` and `back` reconstruct by way of one of `others`."""
    return tuple(k for k in range(3) if counts[k] and others[there[k]] and back[there[k]] == k)


@pytest.mark.parametrize(("x_counts", "z_counts", "count"), DISTRIBUTIONS)
def test_every_pair_of_maps(x_counts, z_counts, count):
    game, divergence, autoencoder = page.every_pair(x_counts, z_counts)
    np.testing.assert_allclose(game, divergence, atol=1e-6)
    # Theorem 3
    np.testing.assert_allclose(autoencoder, divergence, atol=1e-12)
    # Theorem 2: the optimum is where E and G carry the distributions to each other and are inverse almost everywhere.
    optimal = np.zeros((27, 27), bool)
    by_points = {}
    for (i, encoder), (j, generator) in itertools.product(enumerate(page.EVERY_MAP), repeat=2):
        of_x = reconstructed(x_counts, z_counts, encoder, generator)
        of_z = reconstructed(z_counts, x_counts, generator, encoder)
        carried = all(x_counts[x] == z_counts[encoder[x]] for x in of_x)
        whole = len(of_x) == np.count_nonzero(x_counts) and len(of_z) == np.count_nonzero(z_counts)
        optimal[i, j] = carried and whole
        by_points.setdefault(tuple((x, encoder[x]) for x in of_x), set()).add(round(divergence[i, j], 9))
    assert np.sum(optimal) == count
    np.testing.assert_allclose(divergence[optimal], -LOG_4, atol=1e-12)
    assert (divergence[~optimal] > -LOG_4 + 0.01).all()
    # Points that are not reconstructed contribute nothing, wherever E and G take them.
    assert all(len(values) == 1 for values in by_points.values())
    assert by_points[()] == {0.0}


def test_with_uniform_distributions_the_value_counts_the_points_that_are_reconstructed(made):
    (pairs, _, _), _, _ = made
    for (i, encoder), (j, generator) in itertools.product(enumerate(page.EVERY_MAP), repeat=2):
        count = sum(generator[encoder[x]] == x for x in range(3))
        assert pairs[0, i, j] == pytest.approx(-LOG_4 * count / 3, abs=1e-6)


def test_the_loss_with_swapped_labels_at_the_optimal_discriminator():
    # Both have mass on the diagonal alone: q = 4/8, 2/8, 2/8 and p = 5/8, 1/8, 2/8.
    found, expected = page.swapped_labels((4, 2, 2), (5, 1, 2), (0, 1, 2), (0, 1, 2))
    of_q = np.log(9 / 5) / 2 + np.log(3) / 4 + np.log(2) / 4  # the mean of -log(1 - D) over real pairs
    of_p = np.log(9 / 4) * 5 / 8 + np.log(3 / 2) / 8 + np.log(2) / 4  # the mean of -log D over generated pairs
    assert expected == pytest.approx(of_q + of_p, abs=1e-6)
    assert found == pytest.approx(expected, abs=1e-6)


@BOTH
@pytest.mark.parametrize("generator", [(2, 0, 1), (2, 0, 0)])
def test_only_the_global_optimum_is_a_fixed_point_of_the_step(system, generator):
    counts = (1, 1, 1)
    game = small_games.finite_game(system, counts, counts)
    small_games.set_maps(game, (1, 2, 0), generator)
    q, p = small_games.finite_joints(counts, counts, (1, 2, 0), generator)
    small_games.set_table(game, np.clip(small_games.optimal_table(q, p), -3, 3))
    before = [np.array(variable) for variable in game.trainable_variables]
    game.compile(keras.optimizers.SGD(1.0))
    game.fit(tf.data.Dataset.from_tensors(small_games.one_hot_rows(counts)), statistics_steps=0, verbose=0)
    moved = max(np.abs(np.array(v) - old).max() for v, old in zip(game.trainable_variables, before, strict=True))
    assert (moved < 1e-7) == (generator == (2, 0, 1))
    assert moved < 1e-7 or moved > 0.01


# -- training


def test_ali_on_the_line_nears_the_optimum(made):
    (_, (game, history), _), _, _ = made
    optimal = history[:, 2]
    assert (optimal >= -LOG_4 - 1e-6).all()
    assert (history[:, 1] <= optimal + 1e-6).all()  # the optimal D has the largest value
    assert optimal[0] > -1.0
    assert optimal[-1] < -LOG_4 + 0.04
    a, c, s, b, d = small_games.line_parameters(game)
    root = np.sqrt(0.75)
    np.testing.assert_allclose([abs(a), abs(b), d, s], [root, root, 1.0, 0.5], atol=0.15)
    assert a * b > 0
    assert c == pytest.approx(-a, abs=0.15)


def test_bigan_in_the_plane_nears_inverse_maps(made):
    (_, _, (game, history)), _, _ = made
    assert history[0, 2] > 0.8
    assert history[-1, 2] < 0.15
    encoder, generator = (network.get_weights()[0] for network in (game.encoder, game.generator))
    np.testing.assert_allclose(generator @ encoder, np.eye(2), atol=0.25)


# -- the page

TEXT = (ROOT / "docs/what_the_game_converges_to.md").read_text()


def numbers(text):
    return [float(number) for number in re.findall(r"(?<![\w.])[-+]?\d+\.?\d*(?:e-?\d+)?", text)]


def test_the_page_shows_the_code_that_is_tested():
    code = "".join((ROOT / "docs" / name).read_text() for name in ("small_games.py", "what_the_game_converges_to.py"))
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    assert all(block in code for block in blocks)


def test_the_page_has_the_numbers_that_the_script_prints(made):
    _, report, _ = made
    (block,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    words = [re.sub(r"[-+]?\d+\.?\d*(e-?\d+)?", "#", text) for text in (block.strip(), report)]
    assert words[0] == words[1]
    for line, other in zip(block.strip().splitlines(), report.splitlines(), strict=True):
        # Trainings differ between processors: rounding adds up over the steps.
        trained = line.startswith(("line:", "plane:", "D trained"))
        np.testing.assert_allclose(numbers(line), numbers(other), atol=0.1 if trained else 1e-5)


def test_the_page_shows_the_figure_that_the_script_draws(made):
    _, _, path = made
    assert "](what_the_game_converges_to.png)" in TEXT
    kept, drawn = Image.open(ROOT / "docs/what_the_game_converges_to.png"), Image.open(path)
    assert kept.size == drawn.size
    # The heat map does not depend on training.
    left, top, edge = 60, 416, 27 * 11
    np.testing.assert_array_equal(*(np.array(i)[top : top + edge, left : left + edge] for i in (kept, drawn)))
