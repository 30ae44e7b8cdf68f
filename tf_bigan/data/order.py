"""In which order training visits the examples."""

import functools

import numpy as np


class Order:
    """Which examples the batch of a step holds, as a function of (seed, step).

    The permutations of all epochs are thought of as written one after another, and the batch of step s has positions
    s * batch_size ... of that. So every batch is full, and any step can come first without a replay of those before.
    """

    def __init__(self, count, batch_size, seed):
        self._count, self._batch_size, self._seed = count, batch_size, seed
        # Batches are made in parallel, but neighbours: at most a few epochs apart.
        self._permutation = functools.lru_cache(maxsize=4)(self._draw)

    def batch(self, step, steps=1):
        """The numbers of the step's examples, int64 [batch_size]; of several `steps`, one after another."""
        size, first = steps * self._batch_size, int(step) * self._batch_size
        epoch, place = divmod(first, self._count)
        if place + size <= self._count:  # nearly always, and the fastest
            return self._permutation(epoch)[place : place + size].copy()
        epochs, places = np.divmod(first + np.arange(size), self._count)
        indices = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            indices[epochs == epoch] = self._permutation(int(epoch))[places[epochs == epoch]]
        return indices

    def _draw(self, epoch):
        # RandomState: NumPy has frozen its stream. (TF's RandomIndexShuffle correlates epochs by up to 0.9.)
        permutation = np.random.RandomState([self._seed, epoch % 2**32, epoch >> 32]).permutation(self._count)
        return permutation.astype(np.int64, copy=False)
