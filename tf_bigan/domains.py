"""What an example is: an image or a point, with a shape, a range of values, a label and attributes.

Labels are whole numbers of at least 0, and `NO_LABEL` for an example without one. Booleans stand for the labels 0 and
1, and floats with whole values, as tables have them, are accepted, too. Attributes are finite numbers or booleans.
"""

import numpy as np

from tf_bigan.errors import InputError

NO_LABEL = -1  # the label of an example that has none


class Images:
    """Images of one shape: float32 [N, height, width, channels] in [0, 1].

    Attributes:
      name: "images".
      shape: (height, width, channels).
    """

    name = "images"
    rank = 3

    def __init__(self, shape):
        self.shape = _whole_shape(shape, self)

    def check(self, x):
        """Raises InputError unless `x` holds finite floats [N, height, width, channels] in [0, 1] of this shape."""
        images = numbers(x, "images")
        self.check_form(images)
        if not images.size:
            return
        low, high = images.min(), images.max()  # NaN if any pixel is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("images contain NaN or infinite pixels")
        if low < 0 or high > 1:
            raise InputError(f"image values must lie in [0, 1], got [{low:.6g}, {high:.6g}]")

    def check_form(self, x):
        """Raises InputError unless `x`, an array or a tensor, has the shape and a dtype of images; see `check`."""
        _check_shape(self, x)
        if not _is_float(x):
            raise InputError(f"images must be float in [0, 1], got {_dtype(x)}; divide uint8 by 255")

    def __eq__(self, other):
        return type(self) is type(other) and self.shape == other.shape

    def __hash__(self):
        return hash((self.name, self.shape))

    def __repr__(self):
        return f"{type(self).__name__}({self.shape})"


class Points:
    """Points of a space: float32 [N, d], finite but without bounds.

    Attributes:
      name: "points".
      shape: (d,).
    """

    name = "points"
    rank = 1

    def __init__(self, shape):
        self.shape = _whole_shape(shape, self)

    def check(self, x):
        """Raises InputError unless `x` holds finite floats [N, d] of this shape."""
        points = numbers(x, "points")
        self.check_form(points)
        if not np.isfinite(points).all():
            raise InputError("points contain NaN or infinite values")

    def check_form(self, x):
        """Raises InputError unless `x`, an array or a tensor, has the shape and a dtype of points; see `check`."""
        _check_shape(self, x)
        if not _is_float(x):
            raise InputError(f"points must be float, got {_dtype(x)}")

    __eq__ = Images.__eq__
    __hash__ = Images.__hash__
    __repr__ = Images.__repr__


DOMAINS = {domain.name: domain for domain in (Images, Points)}


def domain_of(shape) -> Images | Points:
    """The domain of examples of this shape: (height, width, channels) for images, (d,) for points.

    Raises:
      InputError: a shape of another rank, or one with unknown (None), zero or negative dimensions.
    """
    shape = tuple(shape)
    for domain in DOMAINS.values():
        if len(shape) == domain.rank:
            return domain(shape)
    raise InputError(f"examples of shape {shape} are neither images (height, width, channels) nor points (d,)")


def numbers(values, what) -> np.ndarray:
    """`values` as an array. Raises InputError, which calls them `what`, unless they are numbers or booleans."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind in "biuf" or array.dtype.name == "bfloat16":
        return array
    strings = array.dtype.kind in "US" or array.size and isinstance(array.flat[0], str | bytes)
    found = type(values).__name__ + (" of strings" if strings and array.ndim else "")
    raise InputError(f"{what} must be an array of numbers, found {found}")


def checked_labels(labels, what="labels", least=None) -> np.ndarray:
    """Labels as int64, in the same shape.

    Args:
      labels: an array of whole numbers or booleans.
      what: what messages call the labels.
      least: the smallest label that is allowed; None = any.

    Raises:
      InputError: the labels are not numbers, not whole, too small, or too large for int64.
    """
    labels = numbers(labels, what)
    if not labels.size:
        return labels.astype(np.int64)
    if labels.dtype.kind not in "biu":
        labels = labels.astype(np.float64)
        whole = np.isfinite(labels) & (labels == np.round(labels))
        if not whole.all():
            raise InputError(f"{what} must be whole numbers, found {labels[~whole][0]:g}")
    low, high = int(labels.min()), int(labels.max())
    if least is not None and low < least:
        none = " or -1 (none)" if least == NO_LABEL else ""
        raise InputError(f"{what} must be at least 0{none}, found {low}")
    if high > np.iinfo(np.int64).max:
        raise InputError(f"{what} must be less than 2^63, found {high}")
    return labels.astype(np.int64)


def checked_attributes(attributes, what="attributes") -> np.ndarray:
    """Attributes as float32, in the same shape. Raises InputError unless they are finite numbers."""
    attributes = numbers(attributes, what)
    with np.errstate(over="ignore"):
        attributes = attributes.astype(np.float32)
    if not np.isfinite(attributes).all():
        raise InputError(f"{what} contain NaN or infinite values")
    return attributes


def _whole_shape(shape, domain):
    shape = tuple(shape)
    if len(shape) != domain.rank or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise InputError(f"{domain.name} cannot have shape {shape}; it takes {domain.rank} positive whole number(s)")
    return tuple(map(int, shape))


def _is_float(x):
    return _dtype(x).lstrip("b").startswith("float")


def _dtype(x):
    """The name of the dtype of an array or a tensor, such as "bfloat16"."""
    return getattr(x.dtype, "name", None) or str(x.dtype)


def _check_shape(domain, x):
    shape = tuple(x.shape)
    # In a graph, sizes may be unknown.
    if len(shape) == domain.rank + 1 and all(
        size in (None, wanted) for size, wanted in zip(shape[1:], domain.shape, strict=True)
    ):
        return
    want = ", ".join(map(str, domain.shape))
    others = [other.name for other in DOMAINS.values() if other is not type(domain) and len(shape) == other.rank + 1]
    # Rows with as many values as an example are more likely flattened examples than examples of another domain.
    flattened = None not in shape and np.prod(shape[1:]) == np.prod(domain.shape)
    hint = f"; these look like {others[0]}" if others and not flattened else ""
    if shape == domain.shape:
        hint = "; a single one is given as x[None]"
    raise InputError(f"{domain.name} must have shape [N, {want}], got {list(shape)}{hint}")
