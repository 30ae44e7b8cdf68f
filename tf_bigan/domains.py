"""What an example is: an image or a point, of which shape, and with values in which range."""

import numpy as np

from tf_bigan.errors import InputError


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
        images = np.asarray(x)
        _check_shape(self, images)
        if not np.issubdtype(images.dtype, np.floating):
            raise InputError(f"images must be float in [0, 1], got {images.dtype}; divide uint8 by 255")
        if not images.size:
            return
        low, high = images.min(), images.max()  # NaN if any is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("images contain NaN or infinite pixels")
        if low < 0 or high > 1:
            raise InputError(f"image values must lie in [0, 1], got [{low:.6g}, {high:.6g}]")

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
        points = np.asarray(x)
        _check_shape(self, points)
        if not np.issubdtype(points.dtype, np.floating):
            raise InputError(f"points must be float, got {points.dtype}")
        if not np.isfinite(points).all():
            raise InputError("points contain NaN or infinite values")

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


def _whole_shape(shape, domain):
    shape = tuple(shape)
    if len(shape) != domain.rank or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise InputError(f"{domain.name} cannot have shape {shape}; it takes {domain.rank} positive whole number(s)")
    return tuple(map(int, shape))


def _check_shape(domain, x):
    if x.shape[1:] == domain.shape and x.ndim == domain.rank + 1:
        return
    want = ", ".join(map(str, domain.shape))
    others = [other.name for other in DOMAINS.values() if other is not type(domain) and x.ndim == other.rank + 1]
    # Rows as long as an example are more likely flattened examples than those of another domain.
    flattened = np.prod(x.shape[1:]) == np.prod(domain.shape)
    hint = f"; these look like {others[0]}" if others and not flattened else ""
    raise InputError(f"{domain.name} must have shape [N, {want}], got {list(x.shape)}{hint}")
