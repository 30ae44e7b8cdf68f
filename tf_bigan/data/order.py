"""The order in which training visits the examples."""

import functools

import numpy as np


class Order:
    """The examples in the batch of each step, as a function of (seed, step).

    An epoch is a permutation of all examples, drawn from (seed, epoch). The batches are consecutive pieces of the
    concatenated permutations: the batch of step s begins at position s * batch_size. So every batch is full, and
    training can begin at any step without replaying the steps before it.
    """

    def __init__(self, count, batch_size, seed):
        self._count, self._batch_size, self._seed = count, batch_size, seed
        # Batches are made in parallel, but for steps that lie close together: few epochs are needed at a time.
        self._permutation = functools.lru_cache(maxsize=4)(self._draw)

    def batch(self, step, steps=1):
        """The numbers of the step's examples, int64 [batch_size]. Those of several `steps` are concatenated."""
        size, first = steps * self._batch_size, int(step) * self._batch_size
        epoch, place = divmod(first, self._count)
        if place + size <= self._count:  # the usual case, within one epoch, takes no search for the epochs
            return self._permutation(epoch)[place : place + size].copy()
        epochs, places = np.divmod(first + np.arange(size), self._count)
        indices = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            indices[epochs == epoch] = self._permutation(int(epoch))[places[epochs == epoch]]
        return indices

    def _draw(self, epoch):
        # NumPy has frozen the stream of RandomState. TF's RandomIndexShuffle is no alternative: its permutations of
        # different epochs correlate by up to 0.9.
        permutation = np.random.RandomState([self._seed, epoch % 2**32, epoch >> 32]).permutation(self._count)
        return permutation.astype(np.int64, copy=False)
