"""ImageData: labelled images, read and decoded one by one or held in memory."""

import contextlib

import numpy as np
import tensorflow as tf

from tf_bigan.data import pixels
from tf_bigan.data.base import Data
from tf_bigan.data.decoding import Decoding
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation

IN_MEMORY_BYTES = 2 << 30  # decoded data sets up to this size are kept in memory

_READ_AT_ONCE = 32  # images that a check reads in one call of Python


class ImageData(Data):
    """A split of labelled square images. Made by `open_images`; see `Data`.

    Attributes:
      image_shape: (height, width, channels), another name of `example_shape`.
    """

    _unusable = (
        f"truncated, unreadable, no image, over {pixels.LONGEST} times as long as wide, or pixels that are NaN or "
        "outside [0, 1]"
    )

    def __init__(self, name, source, image_size, channels, cropped=False, shorter_edge=0):
        super().__init__(name, source, (image_size, image_size, channels))
        self._shorter_edge = shorter_edge or image_size
        self.preparation = Preparation(image_size, channels, self._shorter_edge)
        self._cropped = cropped  # to a size that was asked for; else all must be of the first one's
        self._decoding = Decoding(source, self.image_shape, self._shorter_edge, cropped)
        # Memory has images as they are before they are cropped, if those are alike and fit; else their centres.
        height, width, _ = source.stored_shape
        whole = (self._shorter_edge, self._shorter_edge, channels)
        self._whole = cropped and not source.varies and height == width and _fit(source.count, whole)
        self._held_shape = whole if self._whole else self.image_shape

    @property
    def image_shape(self):
        return self.example_shape

    def fits_memory(self) -> bool:
        """Whether the decoded images are few enough for `load` to keep them."""
        return _fit(self.count, self._held_shape)

    def read(self, indices, places=None):
        """The images of these numbers, int64 [N], and their labels: (float32 [N, H, W, C] in [0, 1], int64 [N]).

        `places`, float32 [N, 2] in [0, 1), says where to crop: 0 = at the top or left; None = in the centre.
        """
        return super().read(indices, places)

    def read_records(self, indices, places=None):
        """As `Data` says; `places` as in `read`."""
        if self._in_memory(places is None):
            record = {name: tf.gather(column, indices) for name, column in self._memory.items()}
            if self._whole:
                record["x"] = self._decoding.crops(record["x"], places)
        else:
            record = self._read_source(indices, places)
        return {**record, "x": tf.cast(record["x"], tf.float32) / 255.0}

    def _training_records(self, indices, seed, step, crop, flip):
        # Negative, as the seeds (seed, 0), (seed, 1), ... are those that noise is drawn from.
        pair = tf.stack([tf.constant(seed, tf.int64), -1 - step])
        draws = tf.random.stateless_uniform((indices.shape[0], 3), pair, alg="philox")
        record = self.read_records(indices, draws[:, :2] if crop == "random" else None)
        if flip:
            images = record["x"]
            record["x"] = tf.where(draws[:, 2, None, None, None] < 0.5, images[:, :, ::-1], images)
        return record

    def as_stored(self) -> tuple[list, np.ndarray]:
        """Every image before it is resized or cropped, and the labels.

        Returns:
          (the images in order, each the bytes of a PNG, JPEG or other file, or, where they are stored in another way
          than as uint8 image files, all as uint8 [H, W, C]; int64 [count] labels, -1 = none).

        Raises:
          InputError: images that cannot be read.
        """
        numbers = self._numbers_of(np.arange(self.count))
        with self.naming_damage():
            examples = self._source.read(numbers)
            images = [self._source.encoded(example) for example in examples]
            if any(image is None for image in images):
                images = [self._decoding.pixels(tf.constant(example))["x"].numpy() for example in examples]
        return images, self._source.labels()[numbers]

    def _in_memory(self, centred):
        """Whether a crop needs no decoding: one from the centre (`centred`), or from anywhere."""
        return self._memory is not None and (self._whole or centred)

    def _try_all(self, load):
        def read(indices):
            return np.array(
                [_example_or_empty(self._source, number) for number in self._numbers_of(indices)], dtype=object
            )

        def with_indices(indices):
            examples = tf.numpy_function(read, [indices], tf.string, stateful=False)
            return indices, tf.ensure_shape(examples, (None,))

        def decode(index, example):
            if load:
                record = self._decoding.resized(example) if self._whole else self._decoding.cropped(example)
                return index, {**record, "x": tf.ensure_shape(record["x"], self._held_shape)}
            # A pixel is asked for, as a decoding that is for nothing is optimised away, control dependencies or not.
            return index, {"x": self._decoding.pixels(example)["x"][0, 0, 0]}

        dataset = tf.data.Dataset.range(self.count).batch(_READ_AT_ONCE)
        dataset = dataset.map(with_indices, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
        # What fails is dropped here; the rest keeps its order.
        dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        parts = list(dataset.batch(512).as_numpy_iterator())
        good = np.concatenate([[], *(indices for indices, _ in parts)])
        bad = self._numbers_of(np.setdiff1d(np.arange(self.count), good))
        self._refuse_other_sizes(bad)
        if not load or not parts:
            return bad, None
        with tf.device("CPU"):  # gigabytes, perhaps; not on a GPU
            return bad, {name: tf.constant(np.concatenate([part[name] for _, part in parts])) for name in parts[0][1]}

    def _refuse_other_sizes(self, numbers):
        """Raises InputError if one of these can be decoded: then its size is at fault, which no skipping mends."""
        if self._cropped or not self._source.varies:
            return
        for number in numbers:
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                example = tf.constant(_example_or_empty(self._source, number))
                image = self._source.decode(example, self.image_shape[-1])["x"]
                raise InputError(
                    f"{self._source.describe(number)} has {image.shape[0]}x{image.shape[1]} pixels, unlike the first; "
                    "give --image_size"
                )

    def _read_source(self, indices, places=None):
        def read(indices):
            try:
                return np.array(self._source.read(self._numbers_of(indices)), dtype=object)
            except OSError as error:  # in a graph it would be this one; another OSError is not of the images
                raise tf.errors.UnknownError(None, None, str(error)) from None

        examples = tf.ensure_shape(tf.numpy_function(read, [indices], tf.string, stateful=False), (None,))
        signature = {"x": tf.TensorSpec(self.image_shape, tf.uint8), "label": tf.TensorSpec((), tf.int64)}
        if self.attribute_names:
            signature["attributes"] = tf.TensorSpec((len(self.attribute_names),), tf.float32)
        if places is None:
            return tf.map_fn(self._decoding.cropped, examples, fn_output_signature=signature)
        return tf.map_fn(lambda e: self._decoding.cropped(*e), (examples, places), fn_output_signature=signature)


def _fit(count, shape):
    return count * int(np.prod(shape)) <= IN_MEMORY_BYTES


def _example_or_empty(source, number):
    """A serialised example; nothing, which cannot be decoded, where it cannot be read."""
    try:
        return source.read([number])[0]
    except OSError:
        return b""
