"""Batches as records: {"x": examples, "label": int64 [N], "attributes": float32 [N, k], ...}."""

import itertools

import keras
import tensorflow as tf

from tf_bigan.errors import InputError

_CALLED = {"image": "x", "images": "x", "points": "x", "labels": "label"}  # as TFDS and others have it


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


def as_dataset(x, y, batch_size, shuffle, seed):
    """What `fit` was given as batches, and the first of them as a record of arrays.

    Args:
      x: an array, a dictionary of arrays, a `tf.data.Dataset`, a distributed one, a generator of batches or a
        `keras.utils.PyDataset`.
      y: the labels of an array; else None.
      batch_size: examples a batch of an array.
      shuffle: whether arrays are shuffled in each epoch.
      seed: of the shuffling.

    Returns:
      (what Keras' `fit` takes, the first record; None where it cannot be looked at).

    Raises:
      InputError: x is none of these, empty, or has fewer examples than a batch; labels of another length.
    """
    if y is not None and (isinstance(x, dict) or not hasattr(x, "shape")):
        raise InputError(
            "labels are given apart only with an array; put them into the batches, or as 'label' beside 'x'"
        )
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
        x = _of_arrays(x, y, batch_size, shuffle, seed)
    first = next(iter(x), None)
    if first is None:
        raise InputError("x is empty")
    return x, tf.nest.map_structure(lambda tensor: tensor.numpy(), record_of(first))


def _chained(first, rest):
    """A generator of tuples, as Keras asks for, each of one record."""
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
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"x, labels and attributes must be as many, found {counts}")
    if counts["x"] < batch_size:
        raise InputError(f"x has {counts['x']} examples, fewer than a batch of {batch_size}")
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if shuffle:
        dataset = dataset.shuffle(counts["x"], seed=seed)
    return dataset.batch(batch_size, drop_remainder=True)
