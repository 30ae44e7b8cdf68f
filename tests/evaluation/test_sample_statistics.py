"""Statistics of features, against closed forms and sums worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tf_bigan.errors import InputError
from tf_bigan.evaluation.sample_statistics import Moments, class_score, frechet_distance, kernel_distance


def with_moments(count, mean, covariance, seed=0):
    """Features float64 [count, d] whose sample mean and covariance are exactly those given."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x -= x.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x, rowvar=False)), x.T).T
    values, vectors = np.linalg.eigh(covariance)
    return white @ (vectors * np.sqrt(np.maximum(values, 0.0))).T + mean


def distance(a, b):
    return frechet_distance(Moments.of(a), Moments.of(b))


def rotation(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def test_moments_of_a_stream_are_those_of_the_whole():
    x = np.random.default_rng(0).normal(1e6, [1.0, 1e-3, 10.0], (5000, 3)) @ rotation(3)
    moments = Moments(3)
    for part in np.split(x, [1, 3, 1500, 3000]):
        assert moments.add(part) is moments
    assert moments.count == 5000
    assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-13)
    centred = x - x.mean(axis=0)  # the mean is 1e6 times the smallest deviation: its square would cancel it
    assert_allclose(moments.covariance(), centred.T @ centred / 4999, rtol=1e-6, atol=1e-9)
    assert_allclose(Moments.of(x).covariance(), moments.covariance(), rtol=1e-6, atol=1e-9)
    again = Moments.from_state(**moments.state())
    assert again.count == 5000 and frechet_distance(again, moments) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_array_equal(again.covariance(), moments.covariance())
    np.testing.assert_array_equal(again.add(x).covariance(), moments.add(x).covariance())


def test_covariances_with_the_same_eigenvectors():
    q = rotation(5)
    a, b = np.array([0.0, 0.5, 1.0, 4.0, 9.0]), np.array([1.0, 2.0, 0.0, 1.0, 4.0])
    shift = np.array([1.0, -2.0, 0.0, 3.0, 0.5])
    x = with_moments(50, 1e3 * np.ones(5), q * a @ q.T)
    y = with_moments(70, 1e3 + shift, q * b @ q.T, seed=1)
    expected = np.square(shift).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert_allclose([distance(x, y), distance(y, x)], expected, rtol=1e-6)


def test_covariances_of_two_dimensions():
    # For 2x2 matrices, tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det A det B)).
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    x, y = with_moments(9, np.zeros(2), a), with_moments(8, np.zeros(2), b, seed=1)
    assert_allclose(distance(x, y), np.trace(a + b) - 2 * trace, rtol=1e-10)


@pytest.mark.parametrize("count", [2, 7, 64, 300])
def test_equal_sets_have_distance_0_even_with_fewer_examples_than_dimensions(count):
    x = np.random.default_rng(count).normal(5.0, 1.0, (count, 64)).astype(np.float32)
    assert abs(distance(x, x[::-1])) < 1e-10
    assert distance(x, x + np.float32(2.0)) == pytest.approx(4.0 * 64, rel=1e-5)


def test_rounding_takes_the_distance_of_equal_sets_no_lower_than_is_said():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1000, 256)) * np.logspace(0, -6, 256)) @ np.linalg.qr(rng.normal(size=(256, 256)))[0]
    found = distance(x, x) / np.trace(np.cov(x, rowvar=False))  # eigenvalues over 12 decades
    assert -1e-7 < found < 1e-7


def test_fewer_examples_than_dimensions():
    # Two examples each, so that each covariance has rank 1: u u^T / 2, with u the difference of the two.
    x, y = np.zeros((2, 6)), np.zeros((2, 6))
    x[0, :2], y[0, :2] = [2.0, 0.0], [1.0, 1.0]
    u, v = x[0], y[0]
    expected = np.square((u - v) / 2).sum() + (u @ u + v @ v) / 2 - 2 * abs(u @ v) / 2
    assert distance(x, y) == pytest.approx(expected, rel=1e-12)
    many = np.random.default_rng(0).normal(size=(500, 6))
    assert distance(x, many) == pytest.approx(distance(many, x), rel=1e-10)


def test_constant_features():
    ones = np.ones((5, 3))
    assert distance(ones, ones + [1.0, 2.0, 0.0]) == 5.0
    x = np.random.default_rng(0).normal(size=(40, 4))
    x[:, 2] = 7.0
    y = x.copy()
    y[:, 2] = 4.0
    assert distance(x, y) == pytest.approx(9.0, rel=1e-12)
    assert distance(x, ones[:, [0, 0, 0, 0]]) == pytest.approx(
        np.trace(np.cov(x, rowvar=False)) + np.square(x.mean(0) - 1).sum(), rel=1e-12
    )


def test_the_kernel_distance_of_two_pairs():
    x, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 1.0], [2.0, -2.0]])

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    within = k(x[0], x[1]) + k(y[0], y[1])  # the mean over the two orders of each pair
    between = sum(k(a, b) for a in x for b in y) / 4
    mean, deviation = kernel_distance(x, y, subsets=3, subset_size=2)
    assert mean == pytest.approx(within - 2 * between, rel=1e-12)
    assert deviation == pytest.approx(0.0, abs=1e-12)  # each subset is the whole set


def test_the_kernel_distance_is_unbiased():
    # Over all pairs of distinct examples, the estimates have the mean that the definition gives: the mean of k over all
    # different pairs within each set and over all pairs between them.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(0.5, 1.0, (4, 3))

    def k(a, b):
        return (a @ b.T / 3 + 1) ** 3

    def off(kernel):
        return (kernel.sum() - np.trace(kernel)) / 12

    exact = off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean()
    pairs = [[i, j] for i in range(4) for j in range(i)]
    found = [kernel_distance(x[p], y[q], subsets=1, subset_size=2)[0] for p in pairs for q in pairs]
    assert np.mean(found) == pytest.approx(exact, rel=1e-10)
    assert min(found) < 0  # though it estimates a square
    mean, deviation = kernel_distance(x, y, subsets=400, subset_size=2, seed=3)
    assert abs(mean - exact) < 4 * deviation / 20
    assert kernel_distance(x, y, 20, 2, seed=3) == kernel_distance(x, y, 20, 2, seed=3)
    assert kernel_distance(x, y, 20, 2, seed=3) != kernel_distance(x, y, 20, 2, seed=4)


def test_the_score_of_a_classifier():
    # In the first group, two sure classes of equal share: exp(log 2). In the second, p(y|x) = p(y): exp(0).
    sure, even = np.eye(2), np.full((2, 2), 0.5)
    assert_allclose(class_score(np.concatenate([sure, even]), groups=2), (1.5, 0.5), rtol=1e-12)
    assert class_score(np.concatenate([sure, even]), groups=1)[0] < 1.5  # one mean for all would not do
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    mean = p.mean(axis=0)
    expected = np.exp(np.mean([(row * np.log(row / mean)).sum() for row in p]))
    assert class_score(p, groups=1) == (pytest.approx(expected, rel=1e-12), 0.0)
    classes = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    assert_allclose(class_score(classes), (10.0, 0.0), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: distance(x[:1], x), "^a covariance takes at least 2 examples, found 1$"),
        (lambda x: distance(x, x[:, :2]), "^features have 3 and 2 dimensions; they must be of the same network$"),
        (lambda x: Moments(2).add(x), "^features have 3 dimensions, and those before 2$"),
        (lambda x: Moments.of(x[0]), r"^features must have shape \[N, d\], got \[3\]$"),
        (lambda x: Moments.of(x * np.nan), "^features of example 0 are NaN or infinite$"),
        (lambda x: Moments.of(["a"]), "^features must be an array of numbers, found list of strings$"),
        (
            lambda x: kernel_distance(np.tile(x, (300, 1)), np.tile(x, (200, 1))),
            "^the kernel distance takes subsets of 1,000: it wants at least 1,000 samples and as many real examples, "
            "found 800$",
        ),
        (lambda x: kernel_distance(x, x[:, :2]), "^features have 3 and 2 dimensions"),
        (lambda x: kernel_distance(x, x, subset_size=1), "^the kernel distance takes subsets of at least 2, found"),
        (
            lambda x: class_score(np.ones((19, 1))),
            "^a classifier's score takes 10 groups: it wants at least 20 samples, found 19$",
        ),
        (lambda x: class_score(x, groups=1), "^probabilities must be at least 0, and their sums 1; are these logits"),
        (lambda x: class_score(np.full((20, 2), np.nan)), "^probabilities of example 0 are NaN or infinite$"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(np.arange(12.0).reshape(4, 3))
