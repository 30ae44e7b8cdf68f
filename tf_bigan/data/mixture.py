"""The 25 Gaussians of Dumoulin et al. (2017, Adversarially learned inference): points in the plane, drawn on opening.

Every component has the same weight and the covariance SIGMA^2 I. The authors' script trains and evaluates on the same
points, drawn from one seed; here each split has its own seed.
"""

import re

import numpy as np

from tf_bigan.data.arrays import ArraySource
from tf_bigan.errors import InputError, did_you_mean

NAME = "mixture"
SIGMA = 0.05  # standard deviation of a component in each direction
SPLITS = {"train": (1, 100_000), "test": (2, 10_000)}  # name: (seed, number of points)

_LEVELS = (-4, -2, 0, 2, 4)  # the values of the means' coordinates
_SLICE = re.compile(r"(?P<split>\w+)(\[(?P<first>-?\d+%?)?:(?P<end>-?\d+%?)?\])?")


def means() -> np.ndarray:
    """The components' means, float32 [25, 2]; row i is the mean of the component with label i.

    They are sorted by the first coordinate, then by the second: (-4, -4), (-4, -2), ... (4, 4).
    """
    return np.array([(a, b) for a in _LEVELS for b in _LEVELS], np.float32)


def open_mixture(split: str = "train") -> ArraySource:
    """The points of a split, each labelled with its component, 0 ... 24, in the order of `means`.

    Args:
      split: "train", "test", or a part of one as TFDS writes it: "train[:5000]", "test[20%:]", "train[-100:]".

    Raises:
      InputError: there is no such split, or the part is empty.
    """
    found = _SLICE.fullmatch(split)
    if not found or found["split"] not in SPLITS:
        name = split.split("[")[0]
        parts = " Parts are written as 'train[:5000]' or 'train[:50%]'."
        hint = parts if name in SPLITS else did_you_mean(name, SPLITS)
        raise InputError(f"{NAME} has no split {split!r}.{hint}")
    seed, count = SPLITS[found["split"]]
    part = slice(_place(found["first"], count), _place(found["end"], count))
    points, labels = _draw(seed, count)
    if not len(labels[part]):
        raise InputError(f"{NAME} split {split!r} is empty")
    names = [f"({a:g}, {b:g})" for a, b in means()]
    source = ArraySource(points[part], labels[part], names, name=NAME)
    source.split, source.origin = split, f"{NAME} {split}"
    return source


def _draw(seed, count):
    """(float32 [count, 2] points, int64 [count] labels)."""
    rng = np.random.RandomState(seed)  # NumPy has frozen its stream, so the points are the same everywhere
    labels = rng.randint(len(_LEVELS) ** 2, size=count, dtype=np.int64)
    points = means()[labels] + SIGMA * rng.randn(count, 2)
    return points.astype(np.float32), labels


def _place(text, count):
    """The index where a slice begins or ends. Percentages are rounded to the nearest example, as in TFDS."""
    if text is None or not text.endswith("%"):
        return text and int(text)
    return round(int(text[:-1]) * count / 100)
