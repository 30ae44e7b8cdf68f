"""Data: a split of examples with random access, and the batches made of them. It serves images and points alike."""

import contextlib
import copy

import numpy as np
import tensorflow as tf

from tf_bigan.data.labelled import beside_labelled, hidden, spread
from tf_bigan.data.order import Order
from tf_bigan.domains import domain_of
from tf_bigan.errors import InputError, on_one_line

_NAMED = 3  # at most so many bad examples are named in a message


class Data:
    """A split of labelled examples. Made by `open_data`; its subclasses are `ImageData` and `PointData`.

    A record is one example with its label and attributes: {"x", "label"}, and "attributes" if the data set has them.
    A batch is a record whose fields are stacked: "x" float32 [N, *example_shape], "label" int64 [N], with -1 for an
    example without a label, "attributes" float32 [N, k].

    Attributes:
      name: the name under which the data was opened.
      count: number of examples, excluding those left out.
      stored: number of examples, including those left out.
      origin: a text that says where the examples are read from.
      split: name of the split; empty for a folder.
      example_shape: the shape of "x" of one record: (height, width, channels) or (d,).
      preparation: the `Preparation` of the stored examples.
      domain: `Images` or `Points` of shape `example_shape` (see `tf_bigan.domains`).
      class_names: names of the labels; empty without labels.
      attribute_names: the names of the k attributes; empty without attributes.
    """

    # For messages: the reasons why an example cannot be used.
    _unusable = ""

    def __init__(self, name, source, example_shape):
        self.name = name
        self.count = self.stored = source.count
        self.origin, self.split = source.origin, source.split
        self.example_shape = tuple(example_shape)
        self.domain = domain_of(example_shape)
        self.class_names = list(source.class_names)
        self.attribute_names = list(source.attribute_names)
        self._source = source
        self._memory = None  # the record of all examples, once they are in memory
        self._tried = False  # whether every example was checked, by this process or an earlier one
        self._labelled = None  # int64 [n]: the examples whose labels training uses; None = all
        self._kept = None  # int64 [count]: the examples' numbers in the source; None if none is left out
        self._bad = np.zeros(0, np.int64)  # the source's numbers of the examples that are left out

    def fits_memory(self) -> bool:
        """Whether the decoded examples are few enough for `load` to keep them."""
        raise NotImplementedError

    def _try_all(self, load):
        """(int64 [k]: source numbers of the examples that cannot be used; the record of all others, or None)."""
        raise NotImplementedError

    def read_records(self, indices, places=None):
        """The batch of the examples `indices`, int64 [N], as tensors. `ImageData.read` explains `places`."""
        raise NotImplementedError

    def _training_records(self, indices, seed, step, crop, flip):
        """The batch of a training step."""
        raise NotImplementedError

    def load(self):
        """Decodes all examples into memory if they fit. Later reads then only gather from memory.

        Raises:
          InputError: some examples cannot be used; the message names the first.
        """
        if self.fits_memory():
            self.check()
        return self

    def check(self):
        """Raises InputError unless every example can be used. Loads the examples if they fit into memory."""
        data, bad = self.checked()
        if len(bad):
            raise self.refusal(bad)
        self._memory, self._tried = data._memory, True

    def checked(self, load: bool = True) -> tuple["Data", np.ndarray]:
        """Looks at every example once, decoding images in parallel, to find those that cannot be used.

        Args:
          load: keep the decoded examples, if they fit into memory.

        Returns:
          (the data without the examples that cannot be used; int64 [k]: the numbers of those examples in the stored
          data, from 0).

        Raises:
          InputError: no example can be used, or images vary in size and `image_size` was not given.
        """
        load = load and self.fits_memory()
        if self._memory is not None or (self._tried and not load):
            return self, np.zeros(0, np.int64)
        bad, memory = self._try_all(load)
        if len(bad) == self.count:
            raise self.refusal(bad, "none is left")
        data = self.without(bad)
        data._memory = memory
        return data, bad

    def without(self, numbers) -> "Data":
        """The data without the examples `numbers`, int64 [k]: all that `checked` found, now or in an earlier run."""
        data = copy.copy(self)
        data._tried = True
        if len(numbers):
            data._bad = np.union1d(self._bad, np.asarray(numbers, np.int64))
            data._kept = np.setdiff1d(self._numbers_of(np.arange(self.count)), numbers)
            data.count, data._memory = len(data._kept), None
        return data

    def refusal(self, numbers, hint=None) -> InputError:
        """The error to raise if the stored examples `numbers` are needed but cannot be used."""
        if hint is None:
            leave_out = "--bad_images=skip leaves out what cannot be used"
            hint = "restore it, then start again" if self._tried else leave_out
        which = "The first is " if len(numbers) > 1 else "It is "
        return InputError(
            f"{len(numbers)} of {self.stored} {self.domain.name} of {self.name} cannot be used: {self._unusable}.\n"
            f"{which}{self._source.describe(numbers[0])}; {hint}"
        )

    def left_out_news(self, numbers) -> str:
        """A line that says how many examples are left out, and names the first few."""
        names = ", ".join(self._source.describe(number) for number in numbers[:_NAMED])
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        which = f"{len(numbers)} of {self.stored} {self.domain.name} of {self.name}"
        return f"{which} cannot be used and are left out: {names}{more}"

    def names(self) -> list[str]:
        """What the examples are called in their data set: paths relative to a folder, TFDS' ids, or numbers."""
        return self._source.names(self._numbers_of(np.arange(self.count)))

    def described(self, indices) -> list[str]:
        """Texts that tell a user which examples the `indices` are, each on one line."""
        return [self._source.describe(number) for number in self._numbers_of(np.asarray(indices, np.int64))]

    def left_out(self) -> list[str]:
        """What is left out, each on one line: the names of bad examples; then a folder's files that are not read."""
        return [*map(on_one_line, self._source.names(self._bad)), *self._source.unread]

    def files(self) -> list[list] | None:
        """The files of all stored examples, those left out included, as `Source.files` tells them; None without."""
        return self._source.files(np.arange(self.stored))

    @contextlib.contextmanager
    def naming_damage(self):
        """Within this context, a read that fails raises an InputError that names the examples at fault."""
        try:
            yield
        except (tf.errors.InvalidArgumentError, tf.errors.UnknownError):
            bad, _ = self._try_all(load=False)
            if not len(bad):
                raise  # the examples were not at fault
            raise self.refusal(bad) from None

    def labelled(self) -> bool:
        """Whether every example has a label."""
        return bool(self.class_names) and self._source.labelled()

    def labels(self) -> np.ndarray:
        """The labels of all examples, int64 [count]; -1 = no label."""
        return self._source.labels()[self._numbers_of(np.arange(self.count))]

    def with_labels_of(self, numbers) -> "Data":
        """The data whose training uses the labels of `numbers` alone, int64 [n] examples; see `training_batches`."""
        data = copy.copy(self)
        data._labelled = np.asarray(numbers, np.int64)
        return data

    def overlaps(self, other: "Data") -> bool:
        """Whether any example is in both data sets."""
        ours, theirs = (data._source.identities(data._numbers_of(np.arange(data.count))) for data in (self, other))
        return any(np.intersect1d(ours[place], theirs[place]).size for place in ours.keys() & theirs.keys())

    def state(self) -> str:
        """A text that changes if the files of the examples are replaced; empty unless the data is a folder."""
        return self._source.state(self._numbers_of(np.arange(self.count)))

    def check_batch(self, batch_size: int):
        """Raises InputError if the data set is smaller than a batch."""
        if self.count < batch_size:
            raise InputError(
                f"{self.name} has {self.count} {self.domain.name}, fewer than a batch of {batch_size}; "
                "lower --batch_size"
            )

    def check_changes(self, crop: str, flip: bool):
        """Raises InputError if `training_batches` cannot crop or flip such examples as asked."""

    @tf.autograph.experimental.do_not_convert
    def training_batches(
        self, batch_size: int, seed: int, first_step: int = 0, crop: str = "centre", flip: bool = False
    ) -> tf.data.Dataset:
        """Endless shuffled batches of `batch_size` examples, as records. The first is the batch of `first_step`.

        The batch of step s is a function of (seed, s), and any step can come first (see `Order`). Every batch is full.
        Shuffling holds the permutations of the current epochs in memory, 8 bytes per example.

        In data that `with_labels_of` returned, the label of every other example is -1, and each record has a second
        batch of labelled examples alone, "labelled_x" and "labelled_label", in an order of their own.

        Args:
          batch_size: examples per batch.
          seed, first_step: see above.
          crop: "centre", or "random": anywhere in the resized image, drawn from (seed, s). For random crops, images
            that are not in memory yet are decoded again at each use, in parallel. Images only.
          flip: mirror each image with probability 1/2, drawn from (seed, s). Images only.

        Raises:
          InputError: for the reasons of `check_batch` and `load`, or for a crop or flip of points.
        """
        self.check_batch(batch_size)
        if crop == "centre":
            self.load()
        order = Order(self.count, batch_size, seed)

        def batch(step):
            indices = tf.numpy_function(order.batch, [step], tf.int64, stateful=False)
            indices = tf.ensure_shape(indices, (batch_size,))
            return self._hiding(self._training_records(indices, seed, step, crop, flip), indices)

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        calls = 2 if self._in_memory(crop == "centre") else tf.data.AUTOTUNE
        batches = steps.map(batch, num_parallel_calls=calls)
        return pipeline(self._beside_labelled(batches, batch_size, seed, first_step, crop, flip))

    @tf.autograph.experimental.do_not_convert
    def batches(self, batch_size: int, first: int = 0) -> tf.data.Dataset:
        """All examples from number `first` on, once and in order: batches ("x" float32 [n, ...], "label" int64 [n])."""
        self.load()
        indices = tf.data.Dataset.range(first, self.count).batch(batch_size)
        return pipeline(indices.map(self.read, num_parallel_calls=tf.data.AUTOTUNE))

    def read(self, indices, places=None):
        """Like `read_records`, but returns only ("x", "label")."""
        record = self.read_records(indices, places)
        return record["x"], record["label"]

    def records(self, limit=None) -> dict[str, np.ndarray]:
        """The batch of the first `limit` examples (None = all), as numpy arrays."""
        if limit is None:
            self.load()
        return self.records_of(np.arange(self.count if limit is None else min(limit, self.count)))

    def records_of(self, indices) -> dict[str, np.ndarray]:
        """The batch of the examples `indices`, int64 [N], as numpy arrays."""
        with self.naming_damage():
            record = self.read_records(tf.constant(indices, tf.int64))
        return {name: column.numpy() for name, column in record.items()}

    def shown(self, count: int, seed: int) -> np.ndarray:
        """The examples for pictures: int64 [N], at most `count`.

        They are the first ones. Of a folder, whose order is that of the classes, they are drawn from the seed, equally
        many of each class if there are enough; the first ones are of different classes.
        """
        if not self._source.ordered:
            return np.arange(min(count, self.count))
        return spread(self.labels(), count, seed)

    def arrays(self, limit=None) -> tuple[np.ndarray, np.ndarray]:
        """Like `records`, but returns only ("x", "label")."""
        record = self.records(limit)
        return record["x"], record["label"]

    def _hiding(self, record, indices):
        """A training record without the labels that training does not use; see `with_labels_of`."""
        return record if self._labelled is None else hidden(record, indices, self._labelled, self.count)

    def _beside_labelled(self, batches, batch_size, seed, first_step, crop, flip):
        """`batches` with labelled ones beside them, if training uses the labels of some examples only."""
        if self._labelled is None:
            return batches

        def read(indices, seed, step):
            return self._training_records(indices, seed, step, crop, flip)

        return beside_labelled(batches, read, self._labelled, batch_size, seed, first_step)

    def _in_memory(self, centred):
        """Whether examples need no decoding; `centred` says whether images are to be cropped from their centres."""
        return self._memory is not None

    def _numbers_of(self, indices):
        return indices if self._kept is None else self._kept[indices]


def pipeline(dataset):
    """The last stage of every pipeline of batches: order, sharding and prefetching."""
    options = tf.data.Options()
    options.deterministic = True
    # Every worker of a cluster makes the same batches and keeps its part of each.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(4).with_options(options)
