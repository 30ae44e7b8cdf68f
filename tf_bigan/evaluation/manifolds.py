"""Precision, recall, density and coverage of samples, from balls around the nearest neighbours of their features."""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.neighbours import nearest
from tf_bigan.evaluation.sample_statistics import NEIGHBOURS, checked_pair

_SAMPLES = 1024  # a chunk of squared distances is _SAMPLES x _REFERENCE floats, 32 MiB
_REFERENCE = 8192


def precision_recall(features, reference, neighbours=NEIGHBOURS) -> dict:
    """How much of the samples lies near real examples, and how much of these near samples.

    The ball of an example reaches to its k-th nearest neighbour in its own set. Precision is the share of samples in
    any ball of the real examples, and recall the share of real examples in any ball of the samples (Kynkäänniemi et al.
    2019, equations 1 to 3). Density is the mean number of real balls that hold a sample, over k, and coverage the share
    of real balls that hold a sample (Naeem et al. 2020, equations 4 and 5). Density can exceed 1. Balls include their
    border.

    Distances are float32, and come from matrix products of features that are centred on their mean. A distance within
    the rounding of such a product counts as one on the border, as the copy of a row must lie in a ball of radius 0.

    Args:
      features: float [N, d], of samples.
      reference: float [M, d], of real examples. The papers take as many as samples.
      neighbours: the k of each of "precision", "recall", "density" and "coverage".

    Returns:
      {"precision", "recall", "density", "coverage"}: numbers; all but density lie in [0, 1].

    Raises:
      InputError: not more than k examples, different dimensions, or features that are not finite.
    """
    features, reference = checked_pair(features, reference)
    k = max(neighbours.values())
    if (least := min(len(features), len(reference))) <= k:
        raise InputError(
            f"precision and recall take {k} neighbours: they want at least {k + 1} samples and real examples, found "
            f"{least}"
        )
    centre = reference.mean(axis=0, dtype=np.float64)
    features, reference = ((rows - centre).astype(np.float32) for rows in (features, reference))
    real = _squared_radii(reference, [neighbours[name] for name in ("precision", "density", "coverage")])
    (made,) = _squared_radii(features, [neighbours["recall"]])
    precise, dense = np.zeros(len(features), bool), 0
    recalled, covered = np.zeros(len(reference), bool), np.zeros(len(reference), bool)
    for rows in _slices(len(features), _SAMPLES):
        for columns in _slices(len(reference), _REFERENCE):
            squares = _least_squared_distances(features[rows], reference[columns])
            precise[rows] |= (squares <= real[0][columns]).any(axis=1)
            dense += np.count_nonzero(squares <= real[1][columns])
            covered[columns] |= (squares <= real[2][columns]).any(axis=0)
            recalled[columns] |= (squares <= made[rows, None]).any(axis=0)
    return {
        "precision": float(precise.mean()),
        "recall": float(recalled.mean()),
        "density": float(dense / (neighbours["density"] * len(features))),
        "coverage": float(covered.mean()),
    }


def _squared_radii(rows, ks):
    """For each k, the squared distances from each row to its k-th nearest other row: a list of float32 [N]."""
    # A row is among its own neighbours, at distance 0.
    _, distances = nearest(rows, rows, max(ks) + 1)
    return [np.square(distances[:, k]) for k in ks]


def _least_squared_distances(rows, others):
    """|a - b|^2 = |a|^2 + |b|^2 - 2 a.b less what rounding may have added to it: float32 [N, M], which can be negative.

    The rounding of the product grows about as the square root of the number of its terms.
    """
    kept = 1.0 - max(8.0, rows.shape[1] ** 0.5) * float(np.finfo(np.float32).eps)
    squares = rows @ others.T
    squares *= -2.0
    squares += np.square(rows).sum(axis=1)[:, None] * kept
    squares += np.square(others).sum(axis=1) * kept
    return squares


def _slices(count, size):
    return [slice(start, start + size) for start in range(0, count, size)]
