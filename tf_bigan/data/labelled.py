"""Which examples have labels that training or a classifier may use, or are shown: equally many of each class."""

import zlib

import numpy as np
import tensorflow as tf

from tf_bigan.data.order import Order
from tf_bigan.domains import NO_LABEL
from tf_bigan.errors import InputError


def members(labels, class_names, count, asked, where) -> list[np.ndarray]:
    """The examples of each class, if there are enough to draw `count` examples with equally many of each class.

    Args:
      labels: int64 [N], -1 = no label.
      class_names: names of the K labels.
      count: number of examples that are to be drawn.
      asked, where: what asks for the examples, and what they are drawn from, for messages.

    Returns:
      A list of K arrays int64 [N_k], the numbers of the examples of each class.

    Raises:
      InputError: K does not divide `count`, or a class has fewer than count / K examples.
    """
    classes = len(class_names)
    if count % classes:
        raise InputError(
            f"{asked}={count} labels cannot be equally many of each of {classes} classes; give a multiple of {classes}"
        )
    found = [np.flatnonzero(labels == label) for label in range(classes)]
    for name, each in zip(class_names, found, strict=True):
        if len(each) < count // classes:
            raise InputError(
                f"{asked}={count} takes {count // classes} labels of each class, and {where} has {len(each)} of class "
                f"{name!r}"
            )
    return found


def choose(data, count, seed) -> np.ndarray:
    """The examples whose labels training uses: int64 [count], equally many of each class, drawn from the seed.

    Those of a smaller count are among those of a larger one.

    Args:
      data: `Data`.
      count: number of labelled examples; 0 = all that have a label.
      seed: seed of the run.

    Raises:
      InputError: the data has no labels, or as for `members`.
    """
    labels = data.labels() if data.class_names else np.zeros(0, np.int64)
    if not (labels != NO_LABEL).any():
        raise InputError(f"no example of {data.name} has a label, so there is none to learn")
    if not count:
        return np.flatnonzero(labels != NO_LABEL)
    classes = members(labels, data.class_names, count, "labelled", f"{data.name} {data.split}".rstrip())
    seed, each = _seed(seed, "choice"), count // len(classes)
    drawn = [np.random.RandomState([seed, k]).permutation(numbers)[:each] for k, numbers in enumerate(classes)]
    return np.sort(np.concatenate(drawn))


def spread(labels, count, seed) -> np.ndarray:
    """Examples drawn over all classes from the seed: int64 [min(count, N)].

    Each class gives one example in turn, in an order of the classes that is drawn anew for each turn, until it has no
    more. Examples without a label count as a class.

    Args:
      labels: int64 [N], -1 = no label.
      count: number of examples.
      seed: any whole number.
    """
    drawn = np.random.RandomState(_seed(seed, "shown")).permutation(len(labels))
    turns = np.zeros(len(labels), np.int64)  # of the examples in the order in which they are drawn
    for label in np.unique(labels):
        places = np.flatnonzero(labels[drawn] == label)
        turns[places] = np.arange(len(places))
    return drawn[np.argsort(turns, kind="stable")[:count]].astype(np.int64)


def hidden(record, indices, labelled, count) -> dict:
    """A record of the examples `indices` of `count`, with -1 in place of the labels of all but the `labelled`."""
    known = np.zeros(count, bool)
    known[labelled] = True
    label = tf.where(tf.gather(known, indices), record["label"], tf.constant(NO_LABEL, tf.int64))
    return {**record, "label": label}


def beside_labelled(batches, read, labelled, batch_size, seed, first_step) -> tf.data.Dataset:
    """Training batches with a second batch of labelled examples in each record, as "labelled_x" and so on.

    The examples of step s follow from (seed, s), as those of the first batch do (see `Order`).

    Args:
      batches: a dataset of records; the first is that of `first_step`.
      read: function of (int64 [batch_size] numbers of examples, a seed, the step) that gives their record.
      labelled: int64 [n], the numbers of the labelled examples. n may be smaller than a batch.
      batch_size, seed, first_step: as for `Data.training_batches`.
    """
    seed = _seed(seed, "order")
    order = Order(len(labelled), batch_size, seed)

    def second(step):
        numbers = tf.numpy_function(lambda step: labelled[order.batch(step)], [step], tf.int64, stateful=False)
        record = read(tf.ensure_shape(numbers, (batch_size,)), seed, step)
        return {f"labelled_{name}": value for name, value in record.items()}

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    labelled_batches = steps.map(second, num_parallel_calls=tf.data.AUTOTUNE)
    return tf.data.Dataset.zip(batches, labelled_batches).map(lambda batch, second: {**batch, **second})


def _seed(seed, purpose):
    return zlib.crc32(f"{seed}/labelled/{purpose}".encode())
