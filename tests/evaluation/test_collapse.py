"""The numbers of collapse against values worked out by hand."""

import numpy as np
import pytest

from tf_bigan.evaluation import collapse


def drawn(seed, shape, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=shape)


def test_distances_of_a_right_triangle():
    between = collapse.distances([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(between, [[0, 3, 4], [3, 0, 5], [4, 5, 0]], atol=1e-12)
    assert collapse.mean_distance(between) == pytest.approx(4.0)
    np.testing.assert_allclose(collapse.nearest_distances(between), [3, 3, 4])
    others = collapse.distances([[0.0, 0.0], [3.0, 0.0]], [[3.0, 4.0]])
    np.testing.assert_allclose(others, [[5], [4]])


def test_distances_far_from_the_origin_keep_their_digits():
    rows = drawn(0, (20, 3))
    np.testing.assert_allclose(collapse.distances(rows + 1e6), collapse.distances(rows), rtol=1e-6)


def test_near_duplicates_are_rows_with_another_row_within_the_radius():
    between = collapse.distances([[0.0], [1.0], [3.0], [10.0]])
    assert collapse.near_duplicates(between, 0.5) == 0.0
    assert collapse.near_duplicates(between, 1.0) == 0.5
    assert collapse.near_duplicates(between, 2.0) == 0.75
    assert collapse.near_duplicates(between, 7.0) == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_are_duplicates_of_each_other_even_at_radius_0(dtype):
    rows = np.concatenate([np.repeat(drawn(1, (1, 50)), 3, 0), drawn(2, (5, 50))]).astype(dtype)
    assert collapse.near_duplicates(collapse.distances(rows), 0.0) == 3 / 8
    assert collapse.near_duplicates(collapse.distances(np.full((4, 7), 0.3, dtype)), 0.0) == 1.0


@pytest.mark.parametrize("k", [1, 2, 5])
def test_k_equal_eigenvalues_have_an_effective_rank_of_k(k):
    rows = np.zeros((2 * k, 6))
    rows[:k, :k], rows[k:, :k] = np.eye(k), -np.eye(k)  # the covariance is a multiple of the identity, then zeros
    assert collapse.effective_rank(7.0 * rows + 3.0) == pytest.approx(k)


def test_the_effective_rank_of_unequal_eigenvalues():
    # Eigenvalues 3 : 1, so shares of 3/4 and 1/4.
    rows = np.array([[np.sqrt(3), 0], [-np.sqrt(3), 0], [0, 1], [0, -1]])
    wanted = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert collapse.effective_rank(rows) == pytest.approx(wanted)


def test_the_effective_rank_of_equal_rows_is_0_and_of_a_column_1():
    assert collapse.effective_rank(np.full((10, 4), 0.1, np.float32)) == 0.0
    assert collapse.effective_rank(np.zeros((10, 4))) == 0.0
    assert collapse.effective_rank(drawn(0, (10, 1))) == pytest.approx(1.0)


def test_a_sample_that_fills_all_dimensions_falls_short_by_what_is_stated():
    assert collapse.effective_rank(drawn(0, (1000, 50))) == pytest.approx(50 - 50**2 / 2000, abs=0.3)


def test_the_energy_distance_of_two_points_is_its_largest():
    found, share = collapse.energy_distance(np.zeros((3, 2)), np.tile([[3.0, 4.0]], (5, 1)))
    assert found == pytest.approx(10.0) and share == pytest.approx(1.0)


def test_the_energy_distance_by_hand():
    # 2 E|X - Y| = 2 (1 + 3 + 1 + 1) / 4 = 3, E|X - X'| = 2, E|Y - Y'| = 2
    found, share = collapse.energy_distance([[0.0], [2.0]], [[1.0], [3.0]])
    assert found == pytest.approx(-1.0) and share == pytest.approx(-1 / 3)


def test_the_energy_distance_of_one_distribution_is_0_on_average():
    found = [collapse.energy_distance(drawn([1, n], (20, 3)), drawn([2, n], (20, 3)))[0] for n in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert 0.2 < np.mean(np.array(found) < 0.0) < 0.8  # a biased estimate is never below 0


def test_the_energy_distance_sees_other_means_and_other_spreads():
    x = drawn(0, (500, 3))
    near = collapse.energy_distance(x, drawn(1, (500, 3)))[1]
    assert abs(near) < 0.005
    assert collapse.energy_distance(x, drawn(1, (500, 3)) + 0.5)[1] > 0.02
    assert collapse.energy_distance(x, drawn(1, (500, 3), 0.5))[1] > 0.02
    assert collapse.energy_distance(np.ones((3, 2)), np.ones((4, 2))) == (0.0, 0.0)
