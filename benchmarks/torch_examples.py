"""Examples on the device. They are read once and kept as uint8; batches are cropped, mirrored and scaled there."""

import functools

import numpy as np
import torch
from torch_decoding import decoded, lanczos_matrix

from tf_bigan.errors import InputError
from tf_bigan.pieces import read_pieces


class Order:
    """The images in the batch of each step. As in tf_bigan, each epoch is a permutation drawn from (seed, epoch).

    Args:
      count: number of images.
      batch_size: images per batch; every batch is full, so an epoch may end within a batch.
      seed: seed of the permutations.
    """

    def __init__(self, count, batch_size, seed):
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self._permutation = functools.lru_cache(maxsize=4)(self._draw)

    def batch(self, step: int) -> np.ndarray:
        """int64 [batch_size]: the numbers of the step's images."""
        positions = step * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(positions, self.count)
        numbers = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs):
            numbers[epochs == epoch] = self._permutation(int(epoch))[places[epochs == epoch]]
        return numbers

    def _draw(self, epoch):
        return np.random.RandomState([self.seed, epoch % 2**32, epoch >> 32]).permutation(self.count)


class Examples:
    """The training images of an experiment.

    Args:
      arrays, told: as `read_examples` returns them.
      experiment: says how images are prepared; its image_size and channels are set.
      resize: whether the flags gave an image_size, to which images are then resized and cropped.
    """

    def __init__(self, arrays, told, experiment, resize=True):
        size, channels = experiment.crop_size, experiment.channels
        pixels, edges = decoded(arrays, channels, (experiment.shorter_edge or size) if resize else 0)
        if edges.min() < size or (not resize and edges.max() != size):
            raise InputError(f"the examples have images that are not of {size}x{size} pixels; give --image_size")
        starts = np.concatenate([[0], np.cumsum(edges.prod(axis=1) * channels)[:-1]])
        self.count = len(edges)
        self._pixels = torch.from_numpy(pixels)
        # For each image: the offset of its pixels, its width, and the numbers of places for a crop's top and left edge.
        table = np.stack([starts, edges[:, 1], edges[:, 0] - size + 1, edges[:, 1] - size + 1], axis=1)
        self._table = torch.from_numpy(table)
        self._size, self._channels = size, channels
        self._random, self._flip = experiment.crop == "random", experiment.flip
        self._along = torch.arange(size)
        self._colours = torch.arange(channels)
        self._smaller = None
        if experiment.image_size != size:
            self._smaller = torch.from_numpy(lanczos_matrix(size, experiment.image_size))

    def to(self, device):
        """Moves the images to a device; returns self."""
        for name in ("_pixels", "_table", "_along", "_colours", "_smaller"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name).to(device))
        return self

    def first(self, count, seed):
        """Images at the size of D and G, in an order drawn from the seed, cropped in their centres.

        Returns float32 [count, C, H, W], or fewer if there are fewer images.
        """
        numbers = torch.from_numpy(Order(self.count, min(count, self.count), seed).batch(0)).to(self._pixels.device)
        draws = torch.full((len(numbers), 3), 0.5, device=self._pixels.device)
        return self.images(numbers, draws)[1]

    def images(self, numbers, draws):
        """A batch, made on the device.

        Args:
          numbers: int64 [N], which images.
          draws: float32 [N, 3] in [0, 1): a crop's place from the top, its place from the left, and whether the image
            is mirrored.

        Returns:
          (float32 [N, C, H, W] in [0, 1], channels last: E's images; the same at the size of D and G).
        """
        start, width, rows, columns = self._table[numbers].unbind(1)
        if self._random:
            top, left = (draws[:, 0] * rows).long(), (draws[:, 1] * columns).long()
        else:
            top, left = (rows - 1) // 2, (columns - 1) // 2
        along = self._along.expand(len(numbers), -1)
        across = along
        if self._flip:
            across = torch.where(draws[:, 2, None] < 0.5, self._size - 1 - along, along)
        pixels = start[:, None, None] + (top[:, None, None] + along[:, :, None]) * width[:, None, None] * self._channels
        pixels = pixels + (left[:, None, None] + across[:, None, :]) * self._channels
        places = pixels[..., None] + self._colours
        x = torch.take(self._pixels, places).float().div_(255.0)
        reduced = x
        if self._smaller is not None:
            reduced = torch.einsum("oh,nhwc->nowc", self._smaller, x)
            reduced = torch.einsum("pw,nowc->nopc", self._smaller, reduced).clamp_(0.0, 1.0)
            reduced = reduced.contiguous().permute(0, 3, 1, 2)
        x = x.permute(0, 3, 1, 2)
        return x, (x if self._smaller is None else reduced)


def read_examples(folder, experiment):
    """The examples that tools/pack_examples.py wrote for an experiment: (arrays, a dict that describes them).

    Raises:
      InputError: files are missing, damaged or of other data than the experiment's, or there is less than a batch.
    """
    arrays, told = read_pieces(folder)
    try:
        theirs = {"dataset": told["dataset"], "max_labels": told["max_labels"]}
        if told["split"]:  # a folder of images has none
            theirs["split"] = told["split"]
        count = int(told["count"])
        int(told["image_size"]), int(told["channels"])
        whole = "images" in arrays or ("encoded" in arrays and "offsets" in arrays)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{folder} holds no examples of tools/pack_examples.py") from None
    if not whole:
        raise InputError(f"{folder} holds no examples of tools/pack_examples.py")
    other = {name: value for name, value in theirs.items() if value != getattr(experiment, name)}
    if other:
        found = ", ".join(f"--{name}={value}" for name, value in other.items())
        raise InputError(f"{folder} holds the examples of {found}, which the flags do not ask for")
    if count < experiment.batch_size:
        raise InputError(f"{folder} has {count} images, fewer than a batch of {experiment.batch_size}")
    return arrays, told
