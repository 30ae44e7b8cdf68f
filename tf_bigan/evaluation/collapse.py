"""Numbers that tell whether samples or codes have collapsed: pure functions of arrays, computed in float64.

All of them compare rows: an example, its features or its code is one row, float [N, D]. Rows must be finite.
"""

import numpy as np

# Products of rows cancel to about this share of the distances, so smaller distances are not told from 0.
_ROUNDING = 1e-6


def distances(rows, others=None) -> np.ndarray:
    """The Euclidean distances between rows: float64 [N, M].

    Args:
      rows: float [N, D].
      others: float [M, D]; None = `rows`, whose distances to themselves are exactly 0.
    """
    rows = np.asarray(rows, np.float64)
    centre = rows.mean(axis=0)  # distances do not depend on it, and the products then lose fewer digits
    rows = rows - centre
    targets = rows if others is None else np.asarray(others, np.float64) - centre
    squares = (rows**2).sum(axis=1)[:, None] + (targets**2).sum(axis=1) - 2.0 * rows @ targets.T
    if others is None:
        np.fill_diagonal(squares, 0.0)
    return np.sqrt(np.maximum(squares, 0.0))


def mean_distance(between) -> float:
    """The mean distance of pairs of different rows, from the distances [N, N] between N >= 2 rows."""
    count = len(between)
    return float(between.sum() / (count * (count - 1)))  # the diagonal is 0


def nearest_distances(between) -> np.ndarray:
    """The distance of each row to the nearest other row, from the distances [N, N]: float64 [N]."""
    return (between + np.diag(np.full(len(between), np.inf))).min(axis=1)


def near_duplicates(between, radius) -> float:
    """The share of rows that have another row within `radius`, from 0 to 1.

    Args:
      between: the distances between N >= 2 rows, float64 [N, N].
      radius: a distance. Rows that are equal up to rounding count, even if it is 0.
    """
    return float((nearest_distances(between) <= max(radius, _ROUNDING * mean_distance(between))).mean())


def effective_rank(rows) -> float:
    """The effective rank of the rows' covariance: exp(entropy of its eigenvalues, normalised to the sum 1).

    It is k for k equal eigenvalues and zeros beside them, and D at most; 0 if all rows are equal. Of N rows that fill
    all dimensions evenly, it falls below D by about D^2 / 2N, as eigenvalues of a sample scatter.

    The definition is that of Roy and Vetterli 2007 (The effective rank, EUSIPCO), for singular values.

    Args:
      rows: float [N, D], N >= 2.
    """
    rows = np.asarray(rows, np.float64)
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(rows, rowvar=False)))
    # A column of equal numbers has a variance of rounding errors, not of 0.
    largest = values.max()
    if not largest > (_ROUNDING * np.abs(rows).max()) ** 2:
        return 0.0
    shares = values[values > largest * 1e-15] / values[values > largest * 1e-15].sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def energy_distance(rows, others) -> tuple[float, float]:
    """The energy distance of two distributions, from samples of them.

    It is 2 E|X - Y| - E|X - X'| - E|Y - Y'|, which is 0 if and only if the distributions are equal (Székely and Rizzo
    2013, Energy statistics: a class of statistics based on distances). Pairs of different rows estimate each mean, so
    the estimate has no bias: for samples of one distribution it is 0 on average, and negative in half of the draws.

    Args:
      rows, others: float [N, D] and [M, D], N and M >= 2, drawn independently.

    Returns:
      (the estimate, the estimate divided by that of 2 E|X - Y|). The quotient has no unit: for distributions, it lies
      between 0 and 1, where it is 1 for two different points. It is 0 if all rows are equal.
    """
    across = 2.0 * float(distances(rows, others).mean())
    found = across - mean_distance(distances(rows)) - mean_distance(distances(others))
    return found, found / across if across > 0.0 else 0.0
