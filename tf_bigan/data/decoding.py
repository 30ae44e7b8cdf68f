"""Turns a stored example into an image of the shape that networks take, in a TensorFlow graph."""

import tensorflow as tf

from tf_bigan.data import pixels


class Decoding:
    """Decodes, resizes and crops the images of a source, one at a time.

    Args:
      source: a `Source` of images.
      image_shape: (height, width, channels) of the images that come out.
      shorter_edge: length of the shorter edge after resizing and before the crop, in pixels.
      cropped: whether a size was asked for, to which images are cropped. If not, all stored images must have the
        shape `image_shape`.
    """

    def __init__(self, source, image_shape, shorter_edge, cropped):
        self._source, self._image_shape, self._shorter_edge = source, image_shape, shorter_edge
        self._cropped = cropped
        self._resized = cropped and (source.varies or source.stored_shape[:2] != (shorter_edge,) * 2)

    def pixels(self, example):
        """The record of an example; the image is uint8, not resized yet. Every step that can fail is in here."""
        channels = self._image_shape[-1]
        record = self._source.decode(example, channels)
        image = record["x"]
        if image.dtype.is_floating:
            image = tf.cast(tf.round(pixels.in_range(image) * 255.0), tf.uint8)
        image = pixels.with_channels(image, channels)
        image = pixels.within_proportions(image) if self._resized else image
        return {**record, "x": image if self._cropped else tf.ensure_shape(image, self._image_shape)}

    def resized(self, example):
        """The record of an example; the image is uint8, resized but not cropped yet."""
        record = self.pixels(example)
        return {**record, "x": pixels.resized(record["x"], self._shorter_edge)} if self._resized else record

    def cropped(self, example, place=None):
        """The record of an example; the image is uint8, resized and cropped at `place` (see `pixels.cropped`)."""
        record = self.resized(example)
        image = record["x"]
        if self._cropped:
            image = pixels.cropped(image, self._image_shape[0], place)
        return {**record, "x": tf.ensure_shape(image, self._image_shape)}

    def crops(self, images, places):
        """Crops resized images of one size, uint8 [N, H, W, C], at `places`, float32 [N, 2]; None = the centres."""
        size = self._image_shape[0]
        if places is None:
            images = pixels.cropped(images, size)
        else:
            each = (images, places)
            images = tf.map_fn(lambda e: pixels.cropped(e[0], size, e[1]), each, fn_output_signature=tf.uint8)
        return tf.ensure_shape(images, (None, *self._image_shape))
