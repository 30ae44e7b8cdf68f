"""`Source`: the interface of every source of examples."""

import numpy as np

from tf_bigan.domains import NO_LABEL

__all__ = ["NO_LABEL", "Source"]


class Source:
    """Examples with random access: they can be read one by one, in any order, and each at the same cost.

    A source of images has `read` and `decode`. A source of points has `columns` instead, as a point is only a few
    numbers, and all points are held in memory.

    Attributes:
      count: number of examples.
      class_names: names of the labels 0, 1, ...; empty without labels.
      attribute_names: names of the columns of "attributes"; empty without attributes.
      stored_shape: (height, width, channels) of the stored images, None where unknown or varying; (d,) of points.
      varies: whether images may differ in size from `stored_shape`.
      split: name of the split; empty if there are no splits.
      origin: a text that says where the examples are read from.
      ordered: whether the examples lie in an order that is not random, such as by class.
      unread: descriptions of what lies beside the examples but is not read, each one line.
    """

    class_names = ()
    attribute_names = ()
    varies = False
    split = ""
    ordered = False
    unread = ()

    def read(self, indices) -> list[bytes]:
        """The serialised examples with the numbers `indices`, int64 [N]."""
        raise NotImplementedError

    def decode(self, example, channels: int) -> dict:
        """One serialised example as a record, within a TensorFlow graph.

        Returns:
          {"x": uint8 image, or float image in [0, 1], [height, width, `channels` or as many as stored],
          "label": int64, `NO_LABEL` = no label}, and {"attributes": float32 [k]} if `attribute_names` has k names.
        """
        raise NotImplementedError

    def encoded(self, example) -> bytes | None:
        """The content of an image file that holds the image of `decode`; None if images are not stored as files."""
        del example

    def columns(self) -> dict[str, np.ndarray]:
        """All points with their labels and attributes: the fields of `decode`, each stacked; "x" is float32."""
        raise NotImplementedError

    def labelled(self) -> bool:
        """Whether every example has a label."""
        raise NotImplementedError

    def labels(self) -> np.ndarray:
        """The labels of all examples, int64 [count]; `NO_LABEL` = no label."""
        raise NotImplementedError

    def describe(self, i) -> str:
        """A text that tells a user which example is the i-th."""
        raise NotImplementedError

    def names(self, indices) -> list[str]:
        """What the examples are called in their data set; by default, their numbers."""
        return [str(i) for i in indices]

    def files(self, indices) -> list[list] | None:
        """[name, size in bytes, time of modification in ns] of each example's file; None if examples have no files.

        It is told without reading the examples. A file that is missing has size -1.
        """
        del indices

    def identities(self, indices) -> dict:
        """What identifies the examples, as {place: identities in it}.

        An example is in two sources if both give its identity for the same place.
        """
        raise NotImplementedError

    def state(self, indices) -> str:
        """A text that changes if the files of the examples are replaced; empty for a source that does not look at any.

        It is told without reading the examples.
        """
        del indices
        return ""
