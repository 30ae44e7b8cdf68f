"""LabelAttributes: the examples of a source, with the one-hot vectors of their labels as attributes."""

import numpy as np
import tensorflow as tf

from tf_bigan.data.protocol import Source
from tf_bigan.errors import InputError


class LabelAttributes(Source):
    """The examples of another source. The attributes of each are the one-hot vector of its label.

    Attributes that the other source has are left out. An attribute has the name of its class.

    Raises:
      InputError: the source has no classes, or an example without a label.
    """

    def __init__(self, dataset: str, source):
        if not (source.class_names and source.labelled()):
            raise InputError(f"{dataset} has examples without a label, of which attributes_from=label makes attributes")
        self._source = source
        self.class_names = self.attribute_names = source.class_names
        self.count, self.split, self.origin = source.count, source.split, source.origin
        self.stored_shape, self.varies = source.stored_shape, source.varies
        self.read, self.encoded, self.labels = source.read, source.encoded, source.labels
        self.describe, self.identities, self.state = source.describe, source.identities, source.state
        self.names, self.files = source.names, source.files
        self.ordered, self.unread = source.ordered, source.unread

    def decode(self, example, channels: int):
        """The record of an example, with the one-hot vector of its label."""
        record = self._source.decode(example, channels)
        return {**record, "attributes": tf.one_hot(record["label"], len(self.class_names))}

    def columns(self):
        """All points, with their labels and the one-hot vectors of these."""
        columns = self._source.columns()
        one_hot = np.eye(len(self.class_names), dtype=np.float32)[columns["label"]]
        return {**columns, "attributes": one_hot}

    def labelled(self):
        """True: a source with an example that has no label is refused."""
        return True
