"""ImageData: labelled images with random access, and the batches made of them."""

import functools

import numpy as np
import tensorflow as tf

from tf_bigan.data.sources import open_source
from tf_bigan.errors import InputError

IN_MEMORY_BYTES = 2 << 30  # decoded data sets up to this size are kept in memory

_READ_AHEAD = 64  # batches that may be in the making behind the one in use, and more


def open_images(dataset, split="train", image_size=0, channels=0, data_dir=None, shorter_edge=0) -> "ImageData":
    """Opens a data set of images.

    Args:
      dataset: a TFDS name (as "mnist", "cifar10:3.0.2"), "digits", or a folder of images written as a
        path ("./photos", one sub-folder a class).
      split: the TFDS split, as "train" or "train[:50000]".
      image_size: edge of the square crops in pixels; 0 = as stored.
      channels: 1 or 3; 0 = as stored.
      data_dir: the TFDS directory; None = TFDS_DATA_DIR or TFDS's default.
      shorter_edge: what an image's shorter edge is resized to, with Lanczos' filter, before the centre is cropped;
        0 = image_size. The authors of BiGAN: 72 for crops of 64, 128 for 112.

    Raises:
      InputError: no such data set or split, not on disk and no network, no images, or images that need
        `image_size`.
    """
    source = open_source(dataset, split, data_dir)
    height, width, stored = source.stored_shape
    channels = channels or stored
    if channels not in (1, 3):
        raise InputError(f"{dataset} has images of {channels} channels; --channels=1 or 3 converts them")
    resize = bool(image_size)
    if shorter_edge and shorter_edge < image_size:
        raise InputError(f"shorter_edge {shorter_edge} is less than the crops' {image_size} pixels")
    if not image_size:
        if height is None or width is None or height != width:
            found = "varying sizes" if height is None or width is None else f"{height}x{width} pixels"
            raise InputError(f"the images of {dataset} have {found}; give --image_size")
        image_size = height
    if not source.count:
        raise InputError(f"{dataset} split {split!r} is empty")
    return ImageData(dataset, source, image_size, channels, resize, shorter_edge or image_size)


class ImageData:
    """A split of labelled square images. Made by `open_images`.

    Attributes:
      name: what it was opened as.
      count: number of examples.
      image_shape: (height, width, channels).
      class_names: the labels' names; empty without labels.
    """

    def __init__(self, name, source, image_size, channels, resize=False, shorter_edge=0):
        self.name = name
        self.count = source.count
        self.origin = source.origin
        self.image_shape = (image_size, image_size, channels)
        self.class_names = list(source.class_names)
        self._source = source
        # A folder's files may differ in size even where the first has the one asked for.
        self._shorter_edge = shorter_edge or image_size
        self._resize = resize and (source.varies or source.stored_shape[:2] != (self._shorter_edge,) * 2)
        self._memory = None

    def load(self):
        """Decodes everything into memory if it fits there. Reads are gathers from then on.

        Raises:
          InputError: an image that cannot be decoded; the message names it.
        """
        if self._memory is None and self.count * int(np.prod(self.image_shape)) <= IN_MEMORY_BYTES:
            batches = tf.data.Dataset.range(self.count).batch(512)
            batches = batches.map(self._read_source, num_parallel_calls=tf.data.AUTOTUNE)
            try:
                parts = list(batches.as_numpy_iterator())
            except tf.errors.InvalidArgumentError:
                raise self._undecodable(range(self.count)) or InputError(f"{self.name} cannot be decoded") from None
            images, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
            with tf.device("CPU"):  # gigabytes, perhaps; not on a GPU
                self._memory = tf.constant(images), tf.constant(labels)
        return self

    def check_batch(self, batch_size: int):
        """Raises InputError if the data set is smaller than a batch."""
        if self.count < batch_size:
            raise InputError(
                f"{self.name} has {self.count} images, fewer than a batch of {batch_size}; lower --batch_size"
            )

    def training_batches(
        self,
        batch_size: int,
        seed: int,
        first_step: int = 0,
        crop: str = "centre",
        flip: bool = False,
        labels: bool = False,
    ) -> tf.data.Dataset:
        """Endless shuffled batches, float32 [batch_size, H, W, C] in [0, 1], from the one of `first_step` on.

        The batch of step s is a function of (seed, s): positions s * batch_size ... of the epochs' permutations
        written one after another, each drawn from (seed, epoch). So every batch is full, and any step can come first
        without a replay of those before it. Held are the permutations in use, 8 bytes an image.

        Args:
          batch_size: images a batch.
          seed, first_step: see above.
          crop: "centre", or "random": anywhere in the resized image, drawn from (seed, s). Those are decoded anew
            each time, in parallel, rather than kept in memory.
          flip: mirror each image with probability 1/2, drawn from (seed, s).
          labels: give (images, int64 [batch_size] labels) instead.

        Raises:
          InputError: as `check_batch` and `load`.
        """
        self.check_batch(batch_size)
        if crop == "centre":
            self.load()

        order = _Order(self.count, batch_size, seed)

        def batch(step):
            indices = tf.numpy_function(order.batch, [step], tf.int64, stateful=False)
            indices = tf.ensure_shape(indices, (batch_size,))
            # The codes' noise has the pairs with steps from 0 on.
            pair = tf.stack([tf.constant(seed, tf.int64), -1 - step])
            draws = tf.random.stateless_uniform((batch_size, 3), pair, alg="philox")
            images, found = self.read(indices, draws[:, :2] if crop == "random" else None)
            if flip:
                images = tf.where(draws[:, 2, None, None, None] < 0.5, images[:, :, ::-1], images)
            return (images, found) if labels else images

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        return _pipeline(
            steps.map(batch, num_parallel_calls=2 if self._memory and crop == "centre" else tf.data.AUTOTUNE)
        )

    def batches(self, batch_size: int, first: int = 0) -> tf.data.Dataset:
        """Every example from the `first` on once, in order: (float32 [n, H, W, C] in [0, 1], int64 [n])."""
        self.load()
        indices = tf.data.Dataset.range(first, self.count).batch(batch_size)
        return _pipeline(indices.map(self.read, num_parallel_calls=tf.data.AUTOTUNE))

    def read(self, indices, places=None):
        """int64 [N] -> (float32 [N, H, W, C] in [0, 1], int64 [N] labels; -1 = none).

        `places`, float32 [N, 2] in [0, 1), says where to crop: 0 = at the top or left; None = in the centre.
        """
        if self._memory is None or places is not None:
            images, labels = self._read_source(indices, places)
        else:
            images, labels = (tf.gather(column, indices) for column in self._memory)
        return tf.cast(images, tf.float32) / 255.0, labels

    def arrays(self, limit=None):
        """The first `limit` examples (None = all) as numpy arrays: (float32 [n, H, W, C] in [0, 1], int64 [n])."""
        count = self.count if limit is None else min(limit, self.count)
        if limit is None:
            self.load()
        images, labels = self.read(tf.range(count, dtype=tf.int64))
        return images.numpy(), labels.numpy()

    def undecodable_near(self, batch_size: int, seed: int, step: int):
        """After a training batch could not be read: the InputError that names the image, or None.

        Looks through the batches of `step` and those that are read ahead of it.
        """
        order = _Order(self.count, batch_size, seed)
        return self._undecodable(np.concatenate([order.batch(step + ahead) for ahead in range(_READ_AHEAD)]))

    def _undecodable(self, indices):
        """The InputError that names the first of the examples that cannot be decoded; None if all can."""
        for i in indices:
            try:
                image, _ = self._source.decode(tf.constant(self._source.read([i])[0]), self.image_shape[-1])
                if not self._resize and tuple(image.shape[:2]) != self.image_shape[:2]:
                    height, width = image.shape[:2]
                    return InputError(
                        f"{self._source.describe(i)} has {height}x{width} pixels, unlike the first; give --image_size"
                    )
                self._decode(tf.constant(self._source.read([i])[0]))
            except tf.errors.InvalidArgumentError:
                return InputError(
                    f"{self._source.describe(i)} cannot be used: it is truncated, no image, or has pixels that are "
                    "NaN or outside [0, 1]"
                )
        return None

    def _read_source(self, indices, places=None):
        def read(indices):
            return np.array(self._source.read(indices), dtype=object)

        examples = tf.ensure_shape(tf.numpy_function(read, [indices], tf.string, stateful=False), (None,))
        signature = (tf.uint8, tf.int64)
        if places is None:
            images, labels = tf.map_fn(self._decode, examples, fn_output_signature=signature)
        else:
            images, labels = tf.map_fn(lambda e: self._decode(*e), (examples, places), fn_output_signature=signature)
        images.set_shape((None, *self.image_shape))
        return images, labels

    def _decode(self, example, place=None):
        size, _, channels = self.image_shape
        image, label = self._source.decode(example, channels)
        if image.dtype.is_floating:
            image = tf.cast(tf.round(_in_range(image) * 255.0), tf.uint8)
        elif image.dtype != tf.uint8:
            raise InputError(f"{self.name} has {image.dtype.name} pixels; uint8 or float in [0, 1] can be read")
        image = _with_channels(image, channels)
        if self._resize:
            image = _resized(image, self._shorter_edge)
            image = _cropped(image, size, place)
        return tf.ensure_shape(image, self.image_shape), label


class _Order:
    """Which images the batch of a step holds."""

    def __init__(self, count, batch_size, seed):
        self._count, self._batch_size, self._seed = count, batch_size, seed
        # Batches are made in parallel: neighbours, at most a few epochs apart.
        self._permutation = functools.lru_cache(maxsize=4)(self._draw)

    def batch(self, step):
        """int64 [batch_size]: the indices of step's images."""
        positions = step * self._batch_size + np.arange(self._batch_size)
        epochs, places = np.divmod(positions, self._count)
        indices = np.empty(self._batch_size, np.int64)
        for epoch in np.unique(epochs):
            indices[epochs == epoch] = self._permutation(int(epoch))[places[epochs == epoch]]
        return indices

    def _draw(self, epoch):
        # RandomState: NumPy has frozen its stream. (TF's RandomIndexShuffle correlates epochs by up to 0.9.)
        return np.random.RandomState([self._seed, epoch % 2**32, epoch >> 32]).permutation(self._count)


def _pipeline(dataset):
    options = tf.data.Options()
    options.deterministic = True
    # Every worker of a cluster makes the same batches and keeps its part of each.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(4).with_options(options)


def _in_range(image):
    fine = tf.reduce_all(tf.math.is_finite(image) & (image >= 0.0) & (image <= 1.0))
    with tf.control_dependencies([tf.debugging.Assert(fine, ["pixels are NaN or outside [0, 1]"])]):
        return tf.identity(image)


def _with_channels(image, channels):
    found = image.shape[-1]
    if found == channels:
        return image
    if channels == 1:
        return tf.image.rgb_to_grayscale(image[..., :3])
    return tf.image.grayscale_to_rgb(image[..., :1]) if found < 3 else image[..., :3]


def _resized(image, shorter_edge):
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    shape = tf.maximum(tf.cast(tf.round(shape * (shorter_edge / tf.reduce_min(shape))), tf.int32), shorter_edge)
    image = tf.image.resize(image, shape, "lanczos3", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def _cropped(image, size, place):
    room = tf.shape(image)[:2] - size
    if place is None:
        top, left = room[0] // 2, room[1] // 2
    else:
        top, left = tf.unstack(tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32))
    return image[top : top + size, left : left + size]
