"""ImageData: labelled images, read and decoded one by one or held in memory."""

import contextlib

import numpy as np
import tensorflow as tf

from tf_bigan.data import pixels
from tf_bigan.data.base import Data
from tf_bigan.data.decoding import Decoding
from tf_bigan.errors import InputError
from tf_bigan.preparation import Preparation
from tf_bigan.progress import counted

IN_MEMORY_BYTES = 2 << 30  # decoded data sets up to this size are kept in memory

_READ_AT_ONCE = 32  # images that a check reads per call from TensorFlow into Python


class ImageData(Data):
    """A split of labelled square images. Made by `open_images`; see `Data`.

    Attributes:
      image_shape: (height, width, channels), another name for `example_shape`.
    """

    def __init__(self, name, source, image_size, channels, cropped=False, shorter_edge=0):
        super().__init__(name, source, (image_size, image_size, channels))
        self._shorter_edge = shorter_edge or image_size
        self.preparation = Preparation(image_size, channels, self._shorter_edge)
        self._cropped = cropped  # to a size that was asked for; if not, all images must have the size of the first
        self._decoding = Decoding(source, self.image_shape, self._shorter_edge, cropped)
        # Memory holds the images before they are cropped, if these have one size and fit. If not, it holds the central
        # crops.
        height, width, _ = source.stored_shape
        whole = (self._shorter_edge, self._shorter_edge, channels)
        self._whole = cropped and not source.varies and height == width and _fit(source.count, whole)
        self._held_shape = whole if self._whole else self.image_shape

    @property
    def image_shape(self):
        return self.example_shape

    @property
    def _unusable(self):
        of_files = f"of more than {self.preparation.max_pixels:,} pixels (see --max_pixels), "
        return (
            f"truncated, unreadable, not an image, {of_files if self._source.ordered else ''}over {pixels.LONGEST} "
            "times as long as wide, or with pixels that are NaN or outside [0, 1]"
        )

    def fits_memory(self) -> bool:
        """Whether the decoded images are few enough for `load` to keep them."""
        return _fit(self.count, self._held_shape)

    def read(self, indices, places=None):
        """The images `indices`, int64 [N], and their labels: (float32 [N, H, W, C] in [0, 1], int64 [N]).

        `places`, float32 [N, 2] in [0, 1), says where to crop each image, vertically and horizontally: 0 = at the top
        or left; None = in the centre.
        """
        return super().read(indices, places)

    def read_records(self, indices, places=None):
        """See `Data.read_records`; `places` is as in `read`."""
        if self._in_memory(places is None):
            record = {name: tf.gather(column, indices) for name, column in self._memory.items()}
            if self._whole:
                record["x"] = self._decoding.crops(record["x"], places)
        else:
            record = self._read_source(indices, places)
        return {**record, "x": tf.cast(record["x"], tf.float32) / 255.0}

    def _training_records(self, indices, seed, step, crop, flip):
        # The second number is negative, as the seeds (seed, 0), (seed, 1), ... are used for noise.
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
          (the images in order; labels, int64 [count], -1 = no label). Each image is the bytes of a PNG or JPEG file, or
          of whatever files a TFDS data set has. If the images are not stored as files with uint8 pixels, each is an
          array, uint8 [H, W, C], instead.

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
        """Whether crops need no decoding: crops from the centre if `centred`, else crops from anywhere."""
        return self._memory is not None and (self._whole or centred)

    @tf.autograph.experimental.do_not_convert
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
            # One pixel is returned, because TensorFlow removes a decoding whose result is not used, even if control
            # dependencies ask for it.
            return index, {"x": self._decoding.pixels(example)["x"][0, 0, 0]}

        dataset = tf.data.Dataset.range(self.count).batch(_READ_AT_ONCE)
        dataset = dataset.map(with_indices, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
        # Examples that fail to decode are dropped here; the others keep their order.
        dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        parts = dataset.batch(512).as_numpy_iterator()
        parts = list(counted(parts, f"decoding {self.name}", self.count, "images", lambda part: len(part[0])))
        good = np.concatenate([[], *(indices for indices, _ in parts)])
        bad = self._numbers_of(np.setdiff1d(np.arange(self.count), good))
        self._refuse_other_sizes(bad)
        if not load or not parts:
            return bad, None
        with tf.device("CPU"):  # may be gigabytes, which should not fill a GPU's memory
            return bad, {name: tf.constant(np.concatenate([part[name] for _, part in parts])) for name in parts[0][1]}

    def _refuse_other_sizes(self, numbers):
        """Raises InputError if one of the examples `numbers` can be decoded.

        It then failed only because of its size, for which the remedy is --image_size, not leaving it out.
        """
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
            except OSError as error:
                # In a graph, TensorFlow turns an OSError into an UnknownError. In eager mode it is raised here, as
                # `naming_damage` must not catch every OSError: some do not come from the images.
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
    """A serialised example, or an empty one, which cannot be decoded, if it cannot be read."""
    try:
        return source.read([number])[0]
    except OSError:
        return b""
