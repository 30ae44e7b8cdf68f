import numpy as np
import pytest

from tf_bigan.errors import InputError
from tf_bigan.evaluation import neighbours
from tf_bigan.evaluation.neighbours import nearest, vote


def brute_force(queries, gallery, k, metric):
    if metric == "cosine":
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
        distances = 1.0 - unit[0] @ unit[1].T
    else:
        distances = np.linalg.norm(queries[:, None].astype(np.float64) - gallery[None], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, 1)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 3])
def test_agrees_with_brute_force_across_chunks(monkeypatch, metric, k):
    monkeypatch.setattr(neighbours, "_QUERIES", 7)
    monkeypatch.setattr(neighbours, "_GALLERY", 16)
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(3.0, 1.0, (20, 5)), rng.normal(3.0, 1.0, (50, 5))
    indices, distances = nearest(queries, gallery, k, metric)
    expected_indices, expected_distances = brute_force(queries, gallery, k, metric)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, atol=1e-5)
    assert indices.dtype == np.int64 and distances.dtype == np.float32


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_stream_of_chunks_finds_the_same(metric):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(3.0, 1.0, (20, 5)), rng.normal(3.0, 1.0, (50, 5))
    chunks = (part for part in np.split(gallery, [1, 20, 33]))  # the first is smaller than k
    found = neighbours.nearest_in_stream(queries, chunks, 3, metric)
    np.testing.assert_array_equal(found, nearest(queries, gallery, 3, metric)[0])
    assert neighbours.nearest_in_stream(queries, [gallery[:2]], 3, metric).shape == (20, 2)
    with pytest.raises(InputError, match="the gallery is empty"):
        neighbours.nearest_in_stream(queries, [], 3, metric)
    with pytest.raises(InputError, match="unknown metric 'cosin'. Did you mean 'cosine'"):
        neighbours.nearest_in_stream(queries, [gallery], 3, "cosin")


def test_worked_example():
    gallery = [[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]]
    indices, distances = nearest([[0.0, 1.0], [9.0, 0.0]], gallery, 2)
    np.testing.assert_array_equal(indices, [[0, 1], [2, 1]])
    np.testing.assert_allclose(distances, [[1.0, np.sqrt(18.0)], [1.0, np.sqrt(52.0)]], rtol=1e-6)


def test_the_two_metrics_differ_where_lengths_do():
    gallery = [[10.0, 0.0], [1.0, 1.0]]
    assert nearest([[1.0, 0.0]], gallery)[0][0, 0] == 1
    assert nearest([[1.0, 0.0]], gallery, metric="cosine")[0][0, 0] == 0


def test_a_zero_row_is_at_cosine_distance_1():
    indices, distances = nearest([[1.0, 0.0]], [[0.0, 0.0], [0.3, 1.0], [-1.0, 0.1]], 3, "cosine")
    np.testing.assert_array_equal(indices, [[1, 0, 2]])
    np.testing.assert_allclose(distances, [[1 - 0.3 / np.sqrt(1.09), 1.0, 1 + 1 / np.sqrt(1.01)]], rtol=1e-5)


def test_distances_keep_their_digits_far_from_the_origin():
    gallery = np.array([[1000.0, 1000.0], [1000.0, 1000.1]])
    indices, distances = nearest([[1000.0, 1000.09]], gallery)
    assert indices[0, 0] == 1
    assert distances[0, 0] == pytest.approx(0.01, abs=1e-4)


def test_equal_distances_go_to_the_lower_index():
    assert nearest([[0.0]], [[1.0], [-1.0], [1.0]])[0][0, 0] == 0


def test_vote_takes_the_majority_and_then_the_nearer():
    labels = np.array([0, 1, 1, 2])
    indices = np.array([[0, 1, 2], [3, 0, 1]])
    np.testing.assert_array_equal(vote(labels, indices), [1, 2])
    np.testing.assert_array_equal(vote(labels, indices, k=1), [0, 2])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([[0.0]], [[0.0]], 1, "euclidian"), "Did you mean 'euclidean'"),
        (([[0.0]], [[0.0, 1.0]], 1), r"\[1, 1\] and \[1, 2\]"),
        (([[0.0]], [[0.0]], 2), "found 2"),
        (([[0.0]], [[0.0]], 0), "found 0"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        nearest(*arguments)
