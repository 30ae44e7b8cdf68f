"""Linear SVMs that learn from few labels (Dumoulin et al. 2017, section 4.3 and code; Radford et al. 2016)."""

import warnings

import numpy as np

from tf_bigan.data.labelled import members
from tf_bigan.errors import InputError

C = tuple(float(c) for c in np.exp(np.linspace(-20.0, 20.0, 50)))  # the candidates for the loss's weight

_MOST_HELD_OUT = 10_000  # examples at the end of the gallery that C is chosen on: those of SVHN
_HELD_OUT = 7  # of smaller galleries, one in this many: the share of SVHN's


def pool_of(labels) -> tuple[np.ndarray, np.ndarray]:
    """(int64 [P] examples that labelled sets are drawn from, int64 [V] examples that C is chosen on).

    The second are the last 10,000 examples, or the last seventh if that is less. Examples that are sorted by class, as
    those of folders are, are put into a random order before.

    Args:
      labels: int64 [N].
    """
    order = np.arange(len(labels))
    if (np.diff(labels) >= 0).all():
        order = np.random.RandomState(0).permutation(order)
    held = min(_MOST_HELD_OUT, len(labels) // _HELD_OUT)
    return order[: len(order) - held], order[len(order) - held :]


def pool_members(labels, class_names, count) -> list[np.ndarray]:
    """The examples of each class in the pool, a list of K arrays int64 [N_k].

    Raises:
      InputError: labelled sets of `count` examples, balanced over the classes, cannot be drawn from it.
    """
    pool, _ = pool_of(labels)
    found = members(labels[pool], class_names, count, "svm_labels", f"the pool of {len(pool)} examples")
    return [pool[each] for each in found]


def svm_errors(gallery, gallery_labels, queries, query_labels, labels=1000, draws=100, seed=0) -> dict:
    """The errors of L2-SVMs that learn from random labelled sets with equally many examples of each class.

    The SVMs are scikit-learn's LinearSVC with its defaults: squared hinge loss, L2 regularisation, one against the
    rest. C is that of `C` with the smallest error, on the last part of the gallery, of an SVM that learned a first
    labelled set; of equal errors, the smallest C. Labelled sets are drawn from the rest of the gallery.

    Args:
      gallery, queries: float32 [N, D] and [Q, D]; they are neither scaled nor centred.
      gallery_labels, query_labels: int64 [N] and [Q].
      labels: size of a labelled set.
      draws: number of SVMs, each with a labelled set of its own.
      seed: seed of the labelled sets.

    Returns:
      {"error": mean error on the queries in percent, "deviation": its standard deviation over the draws, "c": the
      chosen C, "validation_error": the error in percent by which it was chosen}.

    Raises:
      InputError: features that are not finite, or too few examples of a class.
    """
    if not all(np.isfinite(part.mean(axis=0, dtype=np.float64)).all() for part in (gallery, queries)):
        raise InputError("the features are not finite numbers, so no SVM can learn them")
    names, y = np.unique(gallery_labels, return_inverse=True)
    classes = pool_members(gallery_labels, [str(name) for name in names], labels)

    def labelled_set(number):
        random = np.random.RandomState([seed, number])
        return np.concatenate([random.choice(each, labels // len(classes), replace=False) for each in classes])

    held_out = pool_of(gallery_labels)[1]
    first, validation = _LabelledSet(gallery, y, labelled_set(0)), gallery[held_out]
    found = [first.predictions(c, validation) for c in C]
    errors = [100.0 * float(np.mean(each != y[held_out])) for each in found]
    best = int(np.argmin(errors))
    tested = []
    for number in range(1, draws + 1):
        predicted = names[_LabelledSet(gallery, y, labelled_set(number)).predictions(C[best], queries)]
        tested.append(100.0 * float(np.mean(predicted != query_labels)))
    return {
        "error": float(np.mean(tested)),
        "deviation": float(np.std(tested, ddof=1)),
        "c": C[best],
        "validation_error": errors[best],
    }


class _LabelledSet:
    """Examples that SVMs learn.

    The weights of an SVM lie in the span of its examples. So with n < D examples it learns n coordinates instead of D
    features: the rows of L in x x' = L L', which have the inner products of the examples. The classifier is the same,
    and at D = 5,000 and n = 1,000 it is found a hundred times faster.
    """

    def __init__(self, features, labels, numbers):
        from scipy.linalg import LinAlgError, cholesky

        self._x, self._y, self._root = features[numbers].astype(np.float64), labels[numbers], None
        if self._x.shape[0] < self._x.shape[1]:
            try:
                self._root = cholesky(self._x @ self._x.T, lower=True, check_finite=False)
            except LinAlgError:  # dependent examples, such as two that are equal: the features are learned themselves
                self._root = None

    def predictions(self, c, queries):
        """The classes, int64 [Q], that an SVM with this C gives to features float32 [Q, D]."""
        from scipy.linalg import solve_triangular
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        svm = LinearSVC(C=c, random_state=0)
        with warnings.catch_warnings():
            # The largest C reach the limit of iterations. The protocol has them, and validation does not choose them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm.fit(self._x if self._root is None else self._root, self._y)
        weights = svm.coef_
        if self._root is not None:
            weights = solve_triangular(self._root, weights.T, lower=True, trans="T", check_finite=False).T @ self._x
        scores = queries @ weights.T.astype(np.float32) + svm.intercept_
        return np.argmax(scores, axis=1) if len(weights) > 1 else (scores[:, 0] > 0).astype(np.int64)
