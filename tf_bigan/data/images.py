"""ImageData: labelled images with random access, and the batches made of them."""

import contextlib
import copy
import functools

import numpy as np
import tensorflow as tf

from tf_bigan.data import pixels
from tf_bigan.data.sources import open_source
from tf_bigan.errors import InputError, nearest

IN_MEMORY_BYTES = 2 << 30  # decoded data sets up to this size are kept in memory
BAD_IMAGES = ("refuse", "skip")

_READ_AT_ONCE = 32  # images that a check reads in one call of Python
_NAMED = 3  # images that a line of news names


def open_images(
    dataset,
    split="train",
    image_size=0,
    channels=0,
    data_dir=None,
    shorter_edge=0,
    bad_images="refuse",
    say=print,
    max_labels=0,
) -> "ImageData":
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
      bad_images: "skip" tries every image at once (see `ImageData.checked`) and leaves out those that cannot be
        decoded. "refuse": `ImageData.load` and `ImageData.check` raise InputError where there are any.
      say: called with a line of news if images are left out.
      max_labels: keep the images of the first so many classes; 0 = all. Every label is read for that, at once.

    Raises:
      InputError: no such data set or split, not on disk and no network, no images, fewer classes than `max_labels`,
        or images that need `image_size`.
    """
    if bad_images not in BAD_IMAGES:
        raise InputError(f"unknown bad_images {bad_images!r}.{nearest(bad_images, BAD_IMAGES)}")
    source = open_source(dataset, split, data_dir, max_labels)
    height, width, stored = source.stored_shape
    channels = channels or stored
    if channels not in (1, 3):
        raise InputError(f"{dataset} has images of {channels} channels; --channels=1 or 3 converts them")
    cropped = bool(image_size)
    if shorter_edge and shorter_edge < image_size:
        raise InputError(f"shorter_edge {shorter_edge} is less than the crops' {image_size} pixels")
    if not image_size:
        if height is None or width is None or height != width:
            found = "varying sizes" if height is None or width is None else f"{height}x{width} pixels"
            raise InputError(f"the images of {dataset} have {found}; give --image_size")
        image_size = height
    if not source.count:
        raise InputError(f"{dataset} split {split!r} is empty")
    data = ImageData(dataset, source, image_size, channels, cropped, shorter_edge or image_size)
    if bad_images == "skip":
        data, left_out = data.checked()
        if len(left_out):
            say(data.left_out_news(left_out))
    return data


class ImageData:
    """A split of labelled square images. Made by `open_images`.

    Attributes:
      name: what it was opened as.
      count: number of examples, without those left out.
      stored: number of examples, with those left out.
      origin: where they are read from.
      split: the TFDS split; empty for a folder.
      image_shape: (height, width, channels).
      class_names: the labels' names; empty without labels.
    """

    def __init__(self, name, source, image_size, channels, cropped=False, shorter_edge=0):
        self.name = name
        self.count = self.stored = source.count
        self.origin, self.split = source.origin, source.split
        self.image_shape = (image_size, image_size, channels)
        self.class_names = list(source.class_names)
        self._source = source
        self._shorter_edge = shorter_edge or image_size
        self._cropped = cropped  # to a size that was asked for; else all must be of the first one's
        self._resized = cropped and (source.varies or source.stored_shape[:2] != (self._shorter_edge,) * 2)
        # Memory has images as they are before they are cropped, if those are alike and fit; else their centres.
        height, width, _ = source.stored_shape
        whole = (self._shorter_edge, self._shorter_edge, channels)
        self._whole = cropped and not source.varies and height == width and _fit(source.count, whole)
        self._held_shape = whole if self._whole else self.image_shape
        self._memory = None
        self._tried = False  # whether every image was decoded once, if only by an earlier process
        self._kept = None  # int64 [count]: the examples' numbers in the source, where some are left out

    def load(self):
        """Decodes everything into memory if it fits there. Reads are gathers from then on.

        Raises:
          InputError: images that cannot be decoded; the message names the first.
        """
        if self.fits_memory():
            self.check()
        return self

    def fits_memory(self) -> bool:
        """Whether the decoded images are few enough for `load` to keep them."""
        return _fit(self.count, self._held_shape)

    def check(self):
        """Raises InputError unless every image can be decoded. Loads them if they fit into memory."""
        data, bad = self.checked()
        if len(bad):
            raise self.refusal(bad)
        self._memory, self._tried = data._memory, True

    def checked(self, load: bool = True) -> tuple["ImageData", np.ndarray]:
        """Decodes every image once, in parallel, to find those that cannot be used.

        Args:
          load: keep what is decoded, if it fits into memory.

        Returns:
          (the data without those images, int64 [k]: their numbers, from 0, in the stored data).

        Raises:
          InputError: no image can be used, or they vary in size and `image_size` was not given.
        """
        keep = load and self.fits_memory()
        if self._memory is not None or (self._tried and not keep):
            return self, np.zeros(0, np.int64)
        bad, memory = self._try_all(keep)
        if len(bad) == self.count:
            raise self.refusal(bad, "none is left")
        data = self.without(bad)
        data._memory = memory
        return data, bad

    def without(self, numbers) -> "ImageData":
        """The data without the images of these numbers, int64 [k]: all that a `checked` found, now or earlier."""
        data = copy.copy(self)
        data._tried = True
        if len(numbers):
            data._kept = np.setdiff1d(self._numbers_of(np.arange(self.count)), numbers)
            data.count, data._memory = len(data._kept), None
        return data

    def refusal(self, numbers, hint=None) -> InputError:
        """What to raise where the images of these numbers in the stored data cannot be used, but must."""
        if hint is None:
            leave_out = "--bad_images=skip leaves out what cannot be used"
            hint = "restore it, then start again" if self._tried else leave_out
        which = "The first is " if len(numbers) > 1 else "It is "
        return InputError(
            f"{len(numbers)} of {self.stored} images of {self.name} cannot be used: truncated, unreadable, no image, "
            f"over {pixels.LONGEST} times as long as wide, or pixels that are NaN or outside [0, 1].\n"
            f"{which}{self._source.describe(numbers[0])}; {hint}"
        )

    def left_out_news(self, numbers) -> str:
        """A line that says how many images are left out, and names the first few."""
        names = ", ".join(self._source.describe(number) for number in numbers[:_NAMED])
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        return f"{len(numbers)} of {self.stored} images of {self.name} cannot be used and are left out: {names}{more}"

    @contextlib.contextmanager
    def naming_damage(self):
        """Turns the error of a read within it into an InputError that names the images at fault."""
        try:
            yield
        except (tf.errors.InvalidArgumentError, tf.errors.UnknownError):
            bad, _ = self._try_all(keep=False)
            if not len(bad):
                raise  # it was not the images
            raise self.refusal(bad) from None

    def labelled(self) -> bool:
        """Whether every image has a label."""
        return bool(self.class_names) and self._source.labelled()

    def overlaps(self, other: "ImageData") -> bool:
        """Whether an image is in both."""
        ours, theirs = (data._source.identities(data._numbers_of(np.arange(data.count))) for data in (self, other))
        return any(np.intersect1d(ours[file], theirs[file]).size for file in ours.keys() & theirs.keys())

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
          crop: "centre", or "random": anywhere in the resized image, drawn from (seed, s). For those, images that are
            not in memory yet are decoded anew each time, in parallel.
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
            steps.map(batch, num_parallel_calls=2 if self._in_memory(crop == "centre") else tf.data.AUTOTUNE)
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
        if self._in_memory(places is None):
            images, labels = (tf.gather(column, indices) for column in self._memory)
            if self._whole:
                images = self._crops(images, places)
        else:
            images, labels = self._read_source(indices, places)
        return tf.cast(images, tf.float32) / 255.0, labels

    def arrays(self, limit=None):
        """The first `limit` examples (None = all) as numpy arrays: (float32 [n, H, W, C] in [0, 1], int64 [n])."""
        count = self.count if limit is None else min(limit, self.count)
        if limit is None:
            self.load()
        with self.naming_damage():
            images, labels = self.read(tf.range(count, dtype=tf.int64))
        return images.numpy(), labels.numpy()

    def as_stored(self) -> tuple[list, np.ndarray]:
        """Every image before it is resized or cropped, and the labels.

        Returns:
          (the images in order, each the bytes of a PNG, JPEG or other file, or, where they are stored in another way
          than as uint8 image files, all as uint8 [H, W, C]; int64 [count] labels, -1 = none).

        Raises:
          InputError: images that cannot be read.
        """
        with self.naming_damage():
            examples = self._source.read(self._numbers_of(np.arange(self.count)))
            encoded = [self._source.encoded(example) for example in examples]
            if any(image is None for image, _ in encoded):
                encoded = [[part.numpy() for part in self._pixels(tf.constant(example))] for example in examples]
        images, labels = zip(*encoded, strict=True)
        return list(images), np.array(labels, np.int64)

    def _in_memory(self, centred):
        """Whether memory has the images, of which the centres or any places are asked for."""
        return self._memory is not None and (self._whole or centred)

    def _numbers_of(self, indices):
        return indices if self._kept is None else self._kept[indices]

    def _try_all(self, keep):
        """(int64 [k]: numbers of the images that cannot be decoded; the others and their labels, or None)."""

        def read(indices):
            return np.array(
                [_example_or_empty(self._source, number) for number in self._numbers_of(indices)], dtype=object
            )

        def with_indices(indices):
            examples = tf.numpy_function(read, [indices], tf.string, stateful=False)
            return indices, tf.ensure_shape(examples, (None,))

        def decode(index, example):
            if keep:
                image, label = self._whole_image(example) if self._whole else self._decode(example)
                return index, tf.ensure_shape(image, self._held_shape), label
            image, _ = self._pixels(example)
            # A pixel is asked for, as a decoding that is for nothing is optimised away, control dependencies or not.
            return index, image[0, 0, 0]

        dataset = tf.data.Dataset.range(self.count).batch(_READ_AT_ONCE)
        dataset = dataset.map(with_indices, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
        # What fails is dropped here; the rest keeps its order.
        dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        parts = list(dataset.batch(512).as_numpy_iterator())
        good, *decoded = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else ([],)
        bad = self._numbers_of(np.setdiff1d(np.arange(self.count), good))
        self._refuse_other_sizes(bad)
        if not keep:
            return bad, None
        with tf.device("CPU"):  # gigabytes, perhaps; not on a GPU
            return bad, tuple(tf.constant(column) for column in decoded)

    def _refuse_other_sizes(self, numbers):
        """Raises InputError if one of these can be decoded: then its size is at fault, which no skipping mends."""
        if self._cropped or not self._source.varies:
            return
        for number in numbers:
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                image, _ = self._source.decode(
                    tf.constant(_example_or_empty(self._source, number)), self.image_shape[-1]
                )
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
        signature = (tf.uint8, tf.int64)
        if places is None:
            images, labels = tf.map_fn(self._decode, examples, fn_output_signature=signature)
        else:
            images, labels = tf.map_fn(lambda e: self._decode(*e), (examples, places), fn_output_signature=signature)
        images.set_shape((None, *self.image_shape))
        return images, labels

    def _crops(self, images, places):
        """Of images alike, uint8 [N, H, W, C]."""
        size = self.image_shape[0]
        if places is None:
            images = pixels.cropped(images, size)
        else:
            each = (images, places)
            images = tf.map_fn(lambda e: pixels.cropped(e[0], size, e[1]), each, fn_output_signature=tf.uint8)
        return tf.ensure_shape(images, (None, *self.image_shape))

    def _decode(self, example, place=None):
        image, label = self._whole_image(example)
        if self._cropped:
            image = pixels.cropped(image, self.image_shape[0], place)
        return tf.ensure_shape(image, self.image_shape), label

    def _whole_image(self, example):
        image, label = self._pixels(example)
        return pixels.resized(image, self._shorter_edge) if self._resized else image, label

    def _pixels(self, example):
        """The image of an example, uint8, before it is resized, and its label. All that can fail is in here."""
        channels = self.image_shape[-1]
        image, label = self._source.decode(example, channels)
        if image.dtype.is_floating:
            image = tf.cast(tf.round(pixels.in_range(image) * 255.0), tf.uint8)
        image = pixels.with_channels(image, channels)
        image = pixels.within_proportions(image) if self._resized else image
        return image if self._cropped else tf.ensure_shape(image, self.image_shape), label


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


def _fit(count, shape):
    return count * int(np.prod(shape)) <= IN_MEMORY_BYTES


def _pipeline(dataset):
    options = tf.data.Options()
    options.deterministic = True
    # Every worker of a cluster makes the same batches and keeps its part of each.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(4).with_options(options)


def _example_or_empty(source, number):
    """A serialised example; nothing, which cannot be decoded, where it cannot be read."""
    try:
        return source.read([number])[0]
    except OSError:
        return b""
