"""Linear probe: multinomial logistic regression on features, with its L2 weight chosen on held-out examples.

A layer has thousands of features, and many of them are strongly correlated, so steps along the gradient converge
slowly. L-BFGS therefore runs in scaled coordinates, in which the curvature of the loss is about the same in all
directions. The scaling follows the bound on the Hessian of Böhning 1992, "Multinomial logistic regression algorithm".
"""

import functools

import numpy as np

from tf_bigan.errors import InputError

L2 = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # tried in order; the mean loss gains l2 / 2 times the squared weights

_HELD_OUT = 5  # one gallery example in this many is held out to choose the L2 weight
_ITERATIONS = 200
_TOLERANCE = 1e-5
_COLUMNS = 512  # features that are standardised at a time
_MOST_SCALED = 16_384  # features; for more, the [D, D] matrix that scales them would not fit in memory beside them


def linear_probe(gallery, gallery_labels, queries, query_labels, overwrite=False):
    """Accuracy of multinomial logistic regression on standardised features.

    The L2 weight is the one in `L2` with the best accuracy on a random fifth of the gallery, which is held out. Weights
    are tried from the strongest to the weakest, until the accuracy is more than two standard errors below the best. The
    classifier with the chosen weight is then trained on the whole gallery.

    Args:
      gallery, queries: float32 [N, ...] and [Q, ...] features, which are flattened here.
      gallery_labels, query_labels: int64 [N] and [Q].
      overwrite: whether `gallery` and `queries` may be overwritten, which saves the memory of a copy.

    Returns:
      {"accuracy": percent, "l2": the chosen L2 weight, "converged": whether the solver met its tolerance within 200
      iterations}.

    Raises:
      InputError: features that are not finite.
    """
    from sklearn.preprocessing import StandardScaler

    gallery, queries = gallery.reshape(len(gallery), -1), queries.reshape(len(queries), -1)
    # A column's mean is finite only if its values are, and takes less memory than a test of each.
    if not all(np.isfinite(features.mean(axis=0, dtype=np.float64)).all() for features in (gallery, queries)):
        raise InputError("the features are not finite numbers, so no linear probe can be made of them")
    order = np.random.RandomState(0).permutation(len(gallery))  # NumPy guarantees this generator's stream
    x, queries = (gallery, queries) if overwrite else (gallery.copy(), queries.copy())
    for first in range(0, x.shape[1], _COLUMNS):  # in parts, because the scaler takes a float64 copy
        columns, scaler = slice(first, first + _COLUMNS), StandardScaler()
        x[:, columns] = scaler.fit_transform(x[:, columns][order])
        queries[:, columns] = scaler.transform(queries[:, columns])
    if len(x) < min(x.shape[1], _MOST_SCALED):
        x, queries = _within_span(x, queries)
    classes, y = np.unique(gallery_labels[order], return_inverse=True)

    kept = len(x) - len(x) // _HELD_OUT
    scaled = x.shape[1] <= _MOST_SCALED
    products = x[:kept].T @ x[:kept] if scaled else None
    some = _Problem(x[:kept], y[:kept], len(classes), products)
    held, weights, tried = len(x) - kept, None, []
    for l2 in L2:
        weights, _ = some.solve(l2, weights)
        right = float(np.mean(_predicted(weights, x[kept:]) == y[kept:])) if held else 0.0
        tried.append((right, l2, weights))
        best, l2_best, start = max(tried, key=lambda one: one[0])  # of equal accuracies, the strongest L2 weight
        if right < best - 2 * (best * (1 - best) / max(held, 1)) ** 0.5:
            break
    if scaled:
        products += x[kept:].T @ x[kept:]
    weights, converged = _Problem(x, y, len(classes), products).solve(l2_best, start)
    right = classes[_predicted(weights, queries)] == query_labels
    return {"accuracy": 100.0 * float(np.mean(right)), "l2": l2_best, "converged": converged}


class _Problem:
    """The regression of labels `y`, int [N] in 0 ... classes - 1, on `x`, float32 [N, D] of about zero mean.

    `products` is x.T @ x, float32 [D, D], which scales the coordinates; None = no scaling.
    """

    def __init__(self, x, y, classes, products):
        self._x, self._y, self._classes, self._products = x, y, classes, products

    def _bound(self, l2):
        """A block of a block-diagonal bound of the Hessian at uniform class probabilities: all blocks are the same."""
        size = len(self._products)
        bound = self._products / (self._x.shape[0] * self._classes)
        bound[np.diag_indices(size)] += l2
        return bound

    def solve(self, l2, weights=None):
        """Returns (float32 [D + 1, classes] weights, the biases in the last row; whether the tolerance was met)."""
        from scipy.linalg import solve_triangular
        from scipy.optimize import minimize

        count, size = self._x.shape
        root = None
        if self._products is not None:
            root = _root(functools.partial(self._bound, l2))
        solve_root = functools.partial(solve_triangular, root, lower=True, check_finite=False)
        bias = np.float32(self._classes**-0.5)  # the same scaling for the biases

        def scaled(weights):
            w = weights[:-1] if root is None else root.T @ weights[:-1]
            return np.concatenate([w, weights[-1:] * bias]).ravel().astype(np.float64)

        def unscaled(v):
            v = v.reshape(size + 1, self._classes).astype(np.float32)
            w = v[:-1] if root is None else solve_root(v[:-1], trans="T")
            return np.concatenate([w, v[-1:] / bias])

        def loss(v):
            weights = unscaled(v)
            likely = self._x @ weights[:-1] + weights[-1]
            likely -= likely.max(1, keepdims=True)
            of_label = likely[np.arange(count), self._y]
            np.exp(likely, out=likely)
            total = likely.sum(1, keepdims=True)
            value = np.mean(np.log(total[:, 0]) - of_label, dtype=np.float64)
            value += l2 / 2 * np.sum(np.square(weights[:-1]), dtype=np.float64)
            likely /= total * count
            likely[np.arange(count), self._y] -= 1 / count
            slope = self._x.T @ likely + l2 * weights[:-1]
            slope = slope if root is None else solve_root(slope)
            return value, np.concatenate([slope, likely.sum(0)[None] / bias]).ravel().astype(np.float64)

        start = np.zeros((size + 1, self._classes), np.float32) if weights is None else weights
        options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE, "gtol": _TOLERANCE}
        found = minimize(loss, scaled(start), jac=True, method="L-BFGS-B", options=options)
        return unscaled(found.x), bool(found.success)


def _within_span(x, queries):
    """Coordinates [N, N] of the gallery and [Q, N] of the queries in the span of the gallery.

    This makes problems with fewer examples than features smaller. It does not change the regression, whose weights lie
    in the same span.
    """
    from scipy.linalg import qr

    basis, coordinates = qr(x.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(coordinates.T), queries @ basis


def _root(make):
    """The lower Cholesky factor of a symmetric matrix, whose diagonal is raised if rounding has made it indefinite.

    The factor only scales coordinates, so the solution of the regression does not depend on it. It takes the memory of
    the matrix, which `make` makes anew if need be.
    """
    from scipy.linalg import LinAlgError, cholesky

    raised = 0.0
    while True:
        matrix = make()
        diagonal = np.diag_indices(len(matrix))
        least = 1e-6 * float(np.mean(matrix[diagonal]))
        if not np.isfinite(least):
            raise InputError("the features are too large numbers, so no linear probe can be made of them")
        matrix[diagonal] += np.float32(raised)
        try:
            return cholesky(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            raised = 10.0 * raised + least


def _predicted(weights, x):
    return np.argmax(x @ weights[:-1] + weights[-1], axis=1)
