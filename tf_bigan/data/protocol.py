"""What every source of examples offers: the class `Source`."""

import numpy as np

from tf_bigan.domains import NO_LABEL

__all__ = ["NO_LABEL", "Source"]


class Source:
    """Examples that can be read one by one, in any order. Reading the last costs as much as reading the first.

    A source of images has `read` and `decode`. A source of points has `columns` instead, as points are few numbers
    each and are always held in memory.

    Attributes:
      count: number of examples.
      class_names: what the labels 0, 1, ... are called; empty without labels.
      attribute_names: what the columns of "attributes" are called; empty without attributes.
      stored_shape: (height, width, channels) of the stored images, None where unknown or varying; (d,) of points.
      varies: whether images may differ in size from `stored_shape`.
      split: the split's name; empty where there are none.
      origin: a text that says what is read.
    """

    class_names = ()
    attribute_names = ()
    varies = False
    split = ""

    def read(self, indices) -> list[bytes]:
        """The serialised examples of these numbers, int64 [N]."""
        raise NotImplementedError

    def decode(self, example, channels: int) -> dict:
        """One serialised example as a record, within a TensorFlow graph.

        Returns:
          {"x": uint8 image, or float image in [0, 1], [height, width, channels or as stored],
          "label": int64, `NO_LABEL` for none}, and {"attributes": float32 [k]} where `attribute_names` has k names.
        """
        raise NotImplementedError

    def encoded(self, example) -> bytes | None:
        """The image file in a serialised example; None where images are stored in another way."""
        del example

    def columns(self) -> dict[str, np.ndarray]:
        """All points and what belongs to them: the record of `decode` with each field stacked, "x" being float32."""
        raise NotImplementedError

    def labelled(self) -> bool:
        """Whether every example has a label."""
        raise NotImplementedError

    def labels(self) -> np.ndarray:
        """The labels of all, int64 [count]; `NO_LABEL` for none."""
        raise NotImplementedError

    def describe(self, i) -> str:
        """Names the i-th example for a person."""
        raise NotImplementedError

    def identities(self, indices) -> dict:
        """Which examples these are, as {place: identities there}. Two sources share those that are equal in both."""
        raise NotImplementedError
