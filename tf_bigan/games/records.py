"""Batches as records: {"x": examples, "label": int64 [N], "attributes": float32 [N, k], ...}."""

import itertools

import keras
import tensorflow as tf

from tf_bigan.domains import NO_LABEL, checked_attributes, checked_labels, numbers
from tf_bigan.errors import InputError

# Fields of an example that a network may take beside its first inputs, by the names of these inputs.
CONDITIONS = ("label", "attributes")

# What the names of a second batch, of labelled examples, begin with.
_LABELLED = "labelled_"

_CALLED = {"image": "x", "images": "x", "points": "x", "labels": "label"}  # names that TFDS and others use
_PLURAL = {"label": "labels"}


def record_of(batch) -> dict:
    """A batch as a record.

    Args:
      batch: examples, (examples,), (examples, labels), or a dictionary with the examples as "x" or "image".

    Returns:
      A dictionary with "x" and whatever else came with it.

    Raises:
      InputError: a dictionary without examples.
    """
    if isinstance(batch, dict):
        record = {_CALLED.get(name, name): value for name, value in batch.items()}
        if "x" not in record:
            raise InputError(f"a batch needs its examples as 'x' or 'image', found {', '.join(map(str, batch))}")
        return record
    if isinstance(batch, tuple | list) and not batch:
        raise InputError("a batch is empty")
    if isinstance(batch, tuple | list) and isinstance(batch[0], dict):
        return record_of(batch[0])
    if isinstance(batch, tuple | list):
        return {"x": batch[0], **({"label": batch[1]} if len(batch) > 1 and batch[1] is not None else {})}
    return {"x": batch}


def labelled_part(record) -> dict:
    """The second batch, of labelled examples, in a record, as a record of its own; empty if there is none.

    Its fields are those of the record whose names begin with "labelled_", without this beginning.
    """
    return {name.removeprefix(_LABELLED): value for name, value in record.items() if name.startswith(_LABELLED)}


def checked_condition(name, values, shape=None, needed=True):
    """The labels or attributes of examples as an array: int64 or float32 [N, ...].

    Args:
      name: "label" or "attributes".
      values: for labels, whole numbers or booleans; for attributes, any finite numbers or booleans.
      shape: the shape that a network takes for each example, with None for any size; None = no network takes it.
        Labels with several entries per example, such as one-hot vectors, may be any finite numbers.
      needed: whether each example must have a label, so that -1 (none) is refused.

    Raises:
      InputError: the values are none of these.
    """
    if name == "label" and (shape is None or all(size == 1 for size in shape)):
        return checked_labels(values, "labels", 0 if needed else NO_LABEL)
    return checked_attributes(values, name)


def as_dataset(x, y, batch_size, shuffle, seed):
    """The data that `fit` was given as batches, with a record to check: all examples of arrays, else the first batch.

    Args:
      x: an array, a dictionary of arrays, a `tf.data.Dataset`, a distributed one, a generator of batches or a
        `keras.utils.PyDataset`.
      y: the labels, if x is an array; else None.
      batch_size: examples per batch, if x is an array or a dictionary of arrays.
      shuffle: whether arrays are shuffled in each epoch.
      seed: seed of the shuffling.

    Returns:
      (data for Keras' `fit`, a record of arrays to check or None if no batch can be looked at).

    Raises:
      InputError: x is none of these, is empty or has fewer examples than a batch, or the labels have another length.
    """
    if y is not None and (isinstance(x, dict) or not hasattr(x, "shape")):
        raise InputError("y can be given only if x is an array; put labels into the batches, or beside 'x' as 'label'")
    if isinstance(x, tf.distribute.DistributedDataset):
        return x, None
    if isinstance(x, keras.utils.PyDataset):
        if not len(x):
            raise InputError("x is empty")
        return x, record_of(x[0])
    if hasattr(x, "__next__"):
        first = next(x, None)
        if first is None:
            raise InputError("x is empty")
        return _chained(first, x), record_of(first)
    if not isinstance(x, tf.data.Dataset):
        return _of_arrays(x, y, batch_size, shuffle, seed)
    first = next(iter(x), None)
    if first is None:
        raise InputError("x is empty")
    return x, tf.nest.map_structure(lambda tensor: tensor.numpy(), record_of(first))


def _chained(first, rest):
    """Yields tuples of one record each, as Keras requires."""
    for batch in itertools.chain([first], rest):
        yield (record_of(batch),)


def _of_arrays(x, y, batch_size, shuffle, seed):
    arrays = record_of(x if isinstance(x, dict) or y is None else (x, y))
    for name, array in arrays.items():
        if not hasattr(array, "shape") or not len(array.shape):
            raise InputError(
                f"{name} must be an array, or x a tf.data.Dataset, a generator or a PyDataset, "
                f"found {type(array).__name__}"
            )
        if name in ("x", *CONDITIONS):
            numbers(array, _PLURAL.get(name, name))
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"x, labels and attributes must have the same length, found {counts}")
    if counts["x"] < batch_size:
        raise InputError(f"x has {counts['x']} examples, fewer than a batch of {batch_size}")
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if shuffle:
        dataset = dataset.shuffle(counts["x"], seed=seed)
    return dataset.batch(batch_size, drop_remainder=True), arrays
