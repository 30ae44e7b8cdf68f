"""ArraySource: examples that are arrays in memory."""

import hashlib

import numpy as np
import tensorflow as tf

from tf_bigan.data.protocol import NO_LABEL, Source
from tf_bigan.domains import checked_attributes, checked_labels, domain_of, numbers
from tf_bigan.errors import InputError, shown

_CLASSES = 1_000_000  # labels from here on, without class names, are more likely times or identities than classes


class ArraySource(Source):
    """Images or points in memory, with labels and attributes where they have them.

    Args:
      x: images, uint8 or float in [0, 1], [N, height, width, channels]; or points, float [N, d]. Float images are
        rounded to 256 levels when they are read, as all images are.
      labels: whole numbers [N], -1 for an example without a label; None = no labels. Booleans count as 0 and 1.
      class_names: names of the labels 0, 1, ...; empty = each class is named by its number, and every label must be
        less than a million.
      attributes: numbers or booleans [N, k]; None = no attributes.
      attribute_names: names of the k attributes; empty = each attribute is named by its number.
      name: name of the data in messages.

    Raises:
      InputError: there are no examples, shapes or lengths do not fit, or values cannot be labels or attributes.
        `Data.check` finds pixels out of range and points that are not finite later.
    """

    def __init__(self, x, labels=None, class_names=(), attributes=None, attribute_names=(), name="arrays"):
        self.name = self.origin = name
        x = numbers(x, f"the x of {name}")
        if not x.size:
            raise InputError(f"{name} is empty: x has shape {list(x.shape)}")
        kind = domain_of(x.shape[1:]).name
        floating = np.issubdtype(x.dtype, np.floating)
        if not floating and (kind == "points" or x.dtype != np.uint8):
            wanted = "uint8 or float in [0, 1]" if kind == "images" else "float"
            raise InputError(f"{name} has {kind} of {x.dtype}; they must be {wanted}")
        self._x = x.astype(np.float32, copy=False) if floating else x
        self.count, self.stored_shape = len(x), x.shape[1:]
        self._labels, self.class_names = _checked_labels(labels, class_names, self.count, name)
        self._attributes, self.attribute_names = _checked_attributes(attributes, attribute_names, self.count, name)

    def columns(self):
        """The record of all examples, with images as they were given."""
        columns = {"x": self._x, "label": self._labels}
        return columns if self._attributes is None else {**columns, "attributes": self._attributes}

    def read(self, indices):
        """int64 [N] -> N byte strings: the label (8 bytes), the attributes (4 bytes each), then the pixels."""
        before = [self._labels] if self._attributes is None else [self._labels, self._attributes]
        return [b"".join(column[i].tobytes() for column in (*before, self._x)) for i in indices]

    def decode(self, example, channels: int):
        """A byte string of `read` -> its record."""
        del channels  # the array's shape gives them
        record = {"label": tf.io.decode_raw(tf.strings.substr(example, 0, 8), tf.int64)[0]}
        size = 4 * len(self.attribute_names)
        if size:
            record["attributes"] = tf.io.decode_raw(tf.strings.substr(example, 8, size), tf.float32)
        pixels = tf.io.decode_raw(tf.strings.substr(example, 8 + size, -1), tf.as_dtype(self._x.dtype))
        return {"x": tf.reshape(pixels, self.stored_shape), **record}

    def labelled(self):
        """Whether every example has a label."""
        return bool((self._labels != NO_LABEL).all())

    def labels(self):
        """The labels, int64 [count]; -1 = no label."""
        return self._labels

    def describe(self, i):
        """The example's number."""
        return f"example {i} of {self.name}"

    def identities(self, indices):
        """{type and shape: hashes of the examples}; the hashes show that examples in different arrays are equal."""
        hashes = [hashlib.blake2b(self._x[i].tobytes(), digest_size=8).digest() for i in indices]
        return {f"memory {self._x.dtype} {self.stored_shape}": np.frombuffer(b"".join(hashes), np.uint64)}


def _names(names, what, name):
    try:
        return list(names)
    except TypeError:
        raise InputError(f"{what} of {name} must be a list of names, found {shown(names)}") from None


def _checked_labels(labels, class_names, count, name):
    """(labels, int64 [count]; class names)."""
    names = _names(class_names, "class_names", name)
    if labels is None:
        return np.full(count, NO_LABEL, np.int64), names
    labels = checked_labels(labels, f"the labels of {name}")
    if labels.shape != (count,):
        raise InputError(f"{name} has {count} examples, but labels of shape {list(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if not names and high >= _CLASSES:
        raise InputError(f"the labels of {name} go up to {high}; number its classes from 0 on, less than {_CLASSES:,}")
    names = names or [str(i) for i in range(high + 1)]
    if low < NO_LABEL or high >= len(names):
        raise InputError(f"the labels of {name} must lie between -1 (none) and {len(names) - 1}, found {low} to {high}")
    return labels, names


def _checked_attributes(attributes, attribute_names, count, name):
    """(attributes, float32 [count, k] or None; attribute names)."""
    names = _names(attribute_names, "attribute_names", name)
    if attributes is None:
        if names:
            raise InputError(f"{name} has attribute_names, but no attributes")
        return None, []
    attributes = checked_attributes(attributes, f"the attributes of {name}")
    if attributes.ndim != 2 or len(attributes) != count or not attributes.size:
        raise InputError(f"the attributes of {name} must have shape [{count}, k], got {list(attributes.shape)}")
    names = names or [str(i) for i in range(attributes.shape[1])]
    if len(names) != attributes.shape[1]:
        raise InputError(f"{name} has {attributes.shape[1]} attributes, but {len(names)} attribute_names")
    return attributes, names
