"""FirstClasses: the examples of a source that belong to its first classes."""

import numpy as np

from tf_bigan.data.protocol import Source
from tf_bigan.errors import InputError


class FirstClasses(Source):
    """The examples of another source that belong to its first `max_labels` classes."""

    def __init__(self, dataset: str, source, max_labels: int):
        if max_labels > len(source.class_names):
            raise InputError(f"{dataset} has {len(source.class_names)} classes, fewer than max_labels {max_labels}")
        labels = source.labels()
        self._source, self._numbers = source, np.flatnonzero((labels >= 0) & (labels < max_labels))
        self.count = len(self._numbers)
        self.class_names = source.class_names[:max_labels]
        self.attribute_names = source.attribute_names
        self.stored_shape, self.varies = source.stored_shape, source.varies
        self.decode, self.encoded = source.decode, source.encoded
        self.ordered, self.unread = source.ordered, source.unread
        self.split, self.origin = source.split, f"{source.origin}, {max_labels} classes"

    def read(self, indices):
        """int64 [N] -> N serialised examples."""
        return self._source.read(self._numbers[np.asarray(indices)])

    def columns(self):
        """The points of these classes, with their labels and attributes."""
        return {name: column[self._numbers] for name, column in self._source.columns().items()}

    def labels(self):
        """The labels, int64 [count]."""
        return self._source.labels()[self._numbers]

    def labelled(self):
        """True: examples without a label belong to no class, so they are left out."""
        return True

    def describe(self, i):
        """The other source's description of the example."""
        return self._source.describe(self._numbers[i])

    def names(self, indices):
        """The other source's names of the examples."""
        return self._source.names(self._numbers[np.asarray(indices, np.int64)])

    def files(self, indices):
        """The other source's files of the examples."""
        return self._source.files(self._numbers[np.asarray(indices, np.int64)])

    def identities(self, indices):
        """The other source's identities of the examples."""
        return self._source.identities(self._numbers[np.asarray(indices)])

    def state(self, indices):
        """The other source's state of the examples."""
        return self._source.state(self._numbers[np.asarray(indices)])
