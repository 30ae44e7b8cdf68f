"""Statistics of samples' features: the Fréchet distance, the kernel distance and the score of a classifier.

They are functions of arrays, computed in float64, and know nothing of images or networks. Imports no TensorFlow.
"""

import numpy as np
from scipy.linalg import blas, eigh

from tf_bigan.domains import numbers
from tf_bigan.errors import InputError

SUBSETS = 100  # of the kernel distance
SUBSET_SIZE = 1000
GROUPS = 10  # of the classifier's score
NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}  # the papers' k; see `manifolds`

_ROWS = 1024  # rows that are converted to float64 at a time
_COLUMNS = 128  # columns of a product that are replaced at a time


class Moments:
    """Mean and covariance of features that come in blocks.

    Each block is centred on its own mean, and the means are combined as by Chan, Golub and LeVeque (1983, "Algorithms
    for computing the sample variance", equation 2.1). So nothing cancels, however far the features are from 0. Memory
    is d^2 doubles and a block of 1024 rows.

    Args:
      dimensions: d, the number of features.

    Attributes:
      count: number of examples so far.
      mean: float64 [d].
    """

    def __init__(self, dimensions):
        self.count, self.mean = 0, np.zeros(dimensions)
        # Fortran's order lets BLAS add to it in place. Only the upper triangle is kept up to date.
        self._scatter = np.zeros((dimensions, dimensions), order="F")

    @classmethod
    def of(cls, features) -> "Moments":
        """The moments of float [N, d] features. Raises InputError as `add` does."""
        features = _matrix(features)
        return cls(features.shape[1]).add(features)

    @classmethod
    def from_state(cls, count, mean, scatter) -> "Moments":
        """The inverse of `state`."""
        moments = cls(0)
        moments.count, moments.mean = int(count), np.array(mean, np.float64)
        moments._scatter = np.array(scatter, np.float64, order="F")
        return moments

    def state(self) -> dict:
        """Arrays to keep: "count"; "mean", float64 [d]; "scatter", float64 [d, d], whose upper triangle is used."""
        return {"count": np.array(self.count), "mean": self.mean, "scatter": self._scatter}

    def add(self, features) -> "Moments":
        """Takes float [n, d] features into account, and returns itself.

        Raises:
          InputError: features that are no matrix, have another number of dimensions, or are not finite.
        """
        features = checked_features(features)
        if features.shape[1] != len(self.mean):
            raise InputError(f"features have {features.shape[1]} dimensions, and those before {len(self.mean)}")
        for start in range(0, len(features), _ROWS):
            self._add_block(features[start : start + _ROWS])
        return self

    def covariance(self) -> np.ndarray:
        """The unbiased covariance, float64 [d, d], in a new array. Raises InputError for fewer than 2 examples."""
        self._check_count()
        covariance = np.triu(self._scatter) / (self.count - 1)
        return covariance + np.triu(covariance, 1).T

    def _check_count(self):
        if self.count < 2:
            raise InputError(f"a covariance takes at least 2 examples, found {self.count}")

    def _add_block(self, rows):
        count = len(rows)
        block = np.empty((count + 1, len(self.mean)))
        block[:count] = rows
        mean = block[:count].mean(axis=0)
        block[:count] -= mean
        # One more row adds what lies between the means: n m / (n + m) times the square of their difference.
        total = self.count + count
        block[count] = (mean - self.mean) * np.sqrt(self.count * count / total)
        self._scatter = blas.dsyrk(1.0, block.T, beta=1.0, c=self._scatter, overwrite_c=True)
        self.mean += (mean - self.mean) * (count / total)
        self.count = total


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet distance of the Gaussians with the moments of two sets of features.

    |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2) (Dowson and Landau 1982; Heusel et al. 2017, equation 6). The
    last trace is the sum of the square roots of the eigenvalues of F^T C_b F, a symmetric matrix, where C_a = F F^T.
    F holds the eigenvectors of C_a whose eigenvalues are not 0 within rounding. So covariances need not have full
    rank, and no square root of an asymmetric matrix is taken. The distance is symmetric within rounding.

    Memory is 2 d^2 doubles beyond the moments.

    Args:
      a, b: `Moments` of at least 2 examples each, of the same d dimensions.

    Returns:
      The distance, in squared units of the features. Rounding can make it as low as about -1e-7 tr C.

    Raises:
      InputError: different dimensions, or fewer than 2 examples.
    """
    if len(a.mean) != len(b.mean):
        raise InputError(f"features have {len(a.mean)} and {len(b.mean)} dimensions; they must be of the same network")
    a._check_count(), b._check_count()
    if a.count > b.count:  # the smaller set has the lower rank
        a, b = b, a
    covariance = a._scatter / (a.count - 1)
    traces = np.trace(covariance) + np.trace(b._scatter) / (b.count - 1)
    values, factor = eigh(covariance, lower=False, overwrite_a=True, driver="evr", check_finite=False)
    del covariance
    first = np.searchsorted(values, len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0), side="right")
    factor = factor[:, first:]  # the eigenvalues ascend
    factor *= np.sqrt(values[first:])
    roots = np.sqrt(np.maximum(_eigenvalues_between(factor, b), 0.0)).sum()
    return float(np.square(a.mean - b.mean).sum() + traces - 2.0 * roots)


def kernel_distance(features, reference, subsets=SUBSETS, subset_size=SUBSET_SIZE, seed=0) -> tuple[float, float]:
    """The squared maximum mean discrepancy of features by a cubic kernel (Bińkowski et al. 2018, section 4).

    k(x, y) = (x . y / d + 1)^3. Each of the `subsets` is drawn from both sets without replacement, and gives an
    unbiased estimate, which can be negative. The order of the draws is that of torch-fidelity, so the same features and
    seed give the same subsets there.

    Args:
      features, reference: float [N, d] and [M, d].
      subsets: number of subsets.
      subset_size: examples that each subset takes from both sets, at least 2.
      seed: seed of the subsets.

    Returns:
      (mean over the subsets, standard deviation over the subsets).

    Raises:
      InputError: fewer than `subset_size` examples, different dimensions, or features that are not finite.
    """
    features, reference = checked_pair(features, reference)
    if subset_size < 2 or subsets < 1:
        raise InputError(f"the kernel distance takes subsets of at least 2, found {subsets} of {subset_size}")
    if (least := min(len(features), len(reference))) < subset_size:
        raise InputError(
            f"the kernel distance takes subsets of {subset_size:,}: it wants at least {subset_size:,} samples and as "
            f"many real examples, found {least:,}"
        )
    random = np.random.RandomState(seed)  # NumPy guarantees this generator's stream
    # Allocated once, as new memory costs as much as the sums.
    x, y = np.empty((2, subset_size, features.shape[1] + 1))
    kernels = np.empty((2, subset_size, subset_size))
    found = np.empty(subsets)
    for each in range(subsets):
        _fill_with_ones(x, features[random.choice(len(features), subset_size, replace=False)])
        _fill_with_ones(y, reference[random.choice(len(reference), subset_size, replace=False)])
        within = sum(_sum_of_cubes(rows, rows, kernels) - _own_cubes(rows) for rows in (x, y))
        between = _sum_of_cubes(x, y, kernels)
        found[each] = within / (subset_size * (subset_size - 1)) - 2.0 * between / subset_size**2
    return float(found.mean()), float(found.std())


def class_score(probabilities, groups=GROUPS) -> tuple[float, float]:
    """The exponential of the mean KL divergence of p(y|x) from its mean p(y) (Salimans et al. 2016, section 4).

    It is computed for each of `groups` contiguous groups of (nearly) equal size, with the p(y) of the group, as by the
    authors' code. It lies between 1 and the number of classes. It grows with the size of the groups, so only scores of
    groups of one size compare.

    Args:
      probabilities: float [N, classes], rows that sum to 1.
      groups: number of groups.

    Returns:
      (mean over the groups, standard deviation over the groups).

    Raises:
      InputError: fewer than 2 examples for each group, or rows that are no probabilities.
    """
    probabilities = checked_features(probabilities, "probabilities")
    if len(probabilities) < 2 * groups:
        raise InputError(
            f"a classifier's score takes {groups} groups: it wants at least {2 * groups} samples, found "
            f"{len(probabilities)}"
        )
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1.0).max() > 1e-3:
        raise InputError("probabilities must be at least 0, and their sums 1; are these logits?")
    edges = [each * len(probabilities) // groups for each in range(groups + 1)]
    scores = []
    for first, last in zip(edges, edges[1:], strict=False):
        group = probabilities[first:last].astype(np.float64)
        # p log p is 0 where p is. Where a class' mean is 0, all of its probabilities are.
        own, mean = (np.log(p, where=p > 0, out=np.zeros_like(p)) for p in (group, group.mean(axis=0)))
        scores.append(np.exp((group * (own - mean)).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def checked_pair(features, reference):
    """Two sets of features as arrays. Raises InputError unless both are finite and of the same dimensions."""
    features, reference = checked_features(features), checked_features(reference)
    if features.shape[1] != reference.shape[1]:
        raise InputError(
            f"features have {features.shape[1]} and {reference.shape[1]} dimensions; they must be of the same network"
        )
    return features, reference


def checked_features(features, what="features") -> np.ndarray:
    """Features as an array [N, d]. Raises InputError, which calls them `what`, unless they are finite numbers."""
    features = _matrix(features, what)
    for start in range(0, len(features), _ROWS):
        if not (finite := np.isfinite(features[start : start + _ROWS]).all(axis=1)).all():
            raise InputError(f"{what} of example {start + int(np.argmin(finite))} are NaN or infinite")
    return features


def _eigenvalues_between(factor, moments):
    """The eigenvalues of F^T C F, ascending, for a factor F, [d, r], and the covariance C of `moments`."""
    rank = factor.shape[1]
    if not rank:
        return np.zeros(0)
    product = blas.dsymm(1.0 / (moments.count - 1), moments._scatter, factor)
    for start in range(0, rank, _COLUMNS):  # F^T C F takes the place of C F, a few columns at a time
        columns = slice(start, start + _COLUMNS)
        product[:rank, columns] = factor.T @ product[:, columns]
    return eigh(product[:rank], overwrite_a=True, driver="evr", check_finite=False, eigvals_only=True)


def _matrix(features, what="features"):
    features = numbers(features, what)
    if features.ndim != 2 or not features.size:
        raise InputError(f"{what} must have shape [N, d], got {list(features.shape)}")
    return features


def _fill_with_ones(target, rows):
    """Fills `target` with rows whose inner products are x . y / d + 1."""
    target[:, 0] = 1.0
    np.multiply(rows, 1.0 / np.sqrt(rows.shape[1]), out=target[:, 1:], dtype=np.float64)


def _sum_of_cubes(x, y, buffers):
    """The sum of (x_i . y_j)^3 over all i and j."""
    inner, squares = buffers
    np.matmul(x, y.T, out=inner)  # BLAS computes half of it if y is x
    np.multiply(inner, inner, out=squares)
    return np.vdot(squares, inner)


def _own_cubes(x):
    """The sum of (x_i . x_i)^3."""
    return (np.einsum("ij,ij->i", x, x) ** 3).sum()
