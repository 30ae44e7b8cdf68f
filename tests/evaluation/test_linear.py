import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tf_bigan.errors import InputError
from tf_bigan.evaluation import linear


def clusters(count, noise, dimensions=0, seed=0):
    """(features [count, 3 + dimensions], labels): the first three features are the label's one-hot code plus noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    telling = np.eye(3)[labels] + noise * rng.normal(size=(count, 3))
    return np.concatenate([telling, rng.normal(size=(count, dimensions))], 1).astype(np.float32), labels


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_the_solver_finds_scikit_learns_optimum(l2, scaled):
    x, y = clusters(300, 0.4, 5)
    x -= x.mean(0)
    x[:, 4] += 3 * x[:, 3]  # features of different scales that are strongly correlated
    products = x.T @ x if scaled else None
    weights, converged = linear._Problem(x, y, 3, products).solve(l2)
    expected = LogisticRegression(C=1 / (300 * l2), tol=1e-8, max_iter=5000).fit(x.astype(np.float64), y)
    assert converged

    def loss(w, b):
        logits = x @ w + b
        likely = logits[np.arange(300), y] - np.log(np.exp(logits).sum(1))
        return l2 / 2 * np.sum(w**2) - likely.mean()

    best = loss(expected.coef_.T, expected.intercept_)
    assert best - 1e-6 < loss(weights[:-1], weights[-1]) < best + 1e-3


def test_a_start_elsewhere_ends_at_the_same_weights():
    x, y = clusters(300, 0.4)
    problem = linear._Problem(x, y, 3, x.T @ x)
    first, _ = problem.solve(0.1)
    second, _ = problem.solve(0.1, first + np.float32(1.0))
    np.testing.assert_allclose(second[:-1], first[:-1], atol=0.02)


def test_separable_features_are_told_apart():
    (x, y), (queries, labels) = clusters(60, 0.02), clusters(30, 0.02, seed=1)
    found = linear.linear_probe(x, y, queries, labels)
    assert found["accuracy"] == 100.0 and found["converged"] and found["l2"] in linear.L2


def test_labels_need_not_be_numbers_in_a_row():
    (x, y), (queries, labels) = clusters(60, 0.02), clusters(30, 0.02, seed=1)
    assert linear.linear_probe(x, 7 * y + 5, queries, 7 * labels + 5)["accuracy"] == 100.0
    assert linear.linear_probe(x, 7 * y + 5, queries, labels)["accuracy"] == 0.0


def test_the_weight_is_chosen_without_the_queries():
    """For features without information a strong L2 weight is best, whatever the labels of the queries are."""
    x, y = clusters(1000, 0.7, 400)
    queries, labels = clusters(600, 0.7, 400, seed=1)
    found = linear.linear_probe(x, y, queries, labels)
    other = linear.linear_probe(x, y, queries, (labels + 1) % 3)
    assert found["l2"] == other["l2"] >= 0.1
    assert other["accuracy"] < 34.0 < 45.0 < found["accuracy"]


def test_the_best_weight_is_found_behind_a_dip(monkeypatch):
    tried = []

    def solve(self, l2, weights=None):
        tried.append(l2)
        return l2, True

    held_out = dict(zip(linear.L2, (90, 88, 91, 89, 80, 100), strict=True))  # correct among 100; a standard error is 3
    monkeypatch.setattr(linear._Problem, "solve", solve)
    monkeypatch.setattr(linear, "_predicted", lambda l2, x: (np.arange(len(x)) >= held_out[l2]).astype(int))
    labels = np.zeros(500, int)
    labels[np.random.RandomState(0).permutation(500)[0]] = 1  # not held out
    found = linear.linear_probe(np.eye(500, 4, dtype=np.float32), labels, np.ones((100, 4)), np.zeros(100))
    assert found["l2"] == linear.L2[2] and tried == [*linear.L2[:5], linear.L2[2]]


def test_without_scaling_the_probe_is_the_same(monkeypatch):
    data = (*clusters(300, 0.5, 20), *clusters(300, 0.5, 20, seed=1))
    whole = linear.linear_probe(*data)
    monkeypatch.setattr(linear, "_MOST_SCALED", 10)
    assert linear.linear_probe(*data) == whole | {"accuracy": pytest.approx(whole["accuracy"], abs=0.7)}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_images_are_enough(count):
    x, y = np.arange(count, dtype=np.float32)[:, None] // 2, np.arange(count) // 2
    assert linear.linear_probe(x, y, x, y)["accuracy"] == 100.0


def test_constant_features_say_nothing():
    x, y = np.full((30, 4), 0.1, np.float32), np.arange(30) % 3
    assert linear.linear_probe(x, y, x, y)["accuracy"] == pytest.approx(100 / 3)


def test_a_matrix_that_rounding_left_indefinite_has_a_root():
    matrix = np.ones((6, 6), np.float32)
    matrix[np.diag_indices(6)] -= np.float32(1e-4)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(matrix)
    root = linear._root(matrix.copy)
    np.testing.assert_allclose(root @ root.T, matrix, atol=2e-3)
    np.testing.assert_array_equal(root, np.tril(root))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("queries", [False, True])
def test_features_that_are_not_finite_are_refused(bad, queries):
    x, labels = clusters(20, 0.3)
    damaged = x.copy()
    damaged[3, 1] = bad
    gallery, judged = (x, damaged) if queries else (damaged, x)
    with pytest.raises(InputError, match="the features are not finite numbers"):
        linear.linear_probe(gallery, labels, judged, labels)


def test_fewer_images_than_features_that_are_nearly_the_same():
    x, labels = clusters(60, 0.3)
    x = np.repeat(x, 100, axis=1) + 1e-6 * np.random.default_rng(1).normal(size=(60, 300)).astype(np.float32)
    found = linear.linear_probe(x, labels, x, labels)
    assert found["accuracy"] > 90.0


@pytest.mark.parametrize("l2", [1.0, 1e-3])
def test_the_space_that_few_images_span_holds_the_regression(l2, monkeypatch):
    monkeypatch.setattr(linear, "_TOLERANCE", 1e-9)
    rng = np.random.default_rng(0)
    x, queries = (rng.normal(size=(count, 50)).astype(np.float32) for count in (20, 7))
    y = np.arange(20) % 3
    weights, _ = linear._Problem(x, y, 3, x.T @ x).solve(l2)
    inside, of_queries = linear._within_span(x, queries)
    assert inside.shape == (20, 20) and of_queries.shape == (7, 20)
    found, _ = linear._Problem(inside, y, 3, inside.T @ inside).solve(l2)
    np.testing.assert_allclose(of_queries @ found[:-1] + found[-1], queries @ weights[:-1] + weights[-1], atol=2e-2)


def test_few_images_of_many_features_take_no_matrix_of_the_features(monkeypatch):
    sizes = []
    monkeypatch.setattr(linear, "_root", lambda make, root=linear._root: sizes.append(len(make())) or root(make))
    x, labels = clusters(60, 0.3)
    x = np.repeat(x, 1000, axis=1) + 1e-3 * np.random.default_rng(1).normal(size=(60, 3000)).astype(np.float32)
    assert linear.linear_probe(x, labels, x, labels)["accuracy"] > 90.0 and set(sizes) == {60}
