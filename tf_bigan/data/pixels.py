"""What is done to the pixels of one image, in a TensorFlow graph."""

import tensorflow as tf

# Resized to 256, as for AlexNet, one of these takes 200 MB on the way; a strip of 60,000 pixels would take all memory.
LONGEST = 256


def in_range(image):
    """A float image as it is; InvalidArgumentError when run on pixels that are NaN or outside [0, 1]."""
    fine = tf.reduce_all(tf.math.is_finite(image) & (image >= 0.0) & (image <= 1.0))
    with tf.control_dependencies([tf.debugging.Assert(fine, ["pixels are NaN or outside [0, 1]"])]):
        return tf.identity(image)


def within_proportions(image):
    """[H, W, C] as it is; InvalidArgumentError when run on an edge more than `LONGEST` times as long as the other."""
    edges = tf.shape(image)[:2]
    fine = tf.reduce_max(edges) <= LONGEST * tf.reduce_min(edges)
    with tf.control_dependencies([tf.debugging.Assert(fine, ["an edge is too long for the other"])]):
        return tf.identity(image)


def with_channels(image, channels):
    """[H, W, C] -> [H, W, channels], for 1 or 3 channels; a fourth, transparency, is dropped."""
    found = image.shape[-1]
    if found == channels:
        return image
    if channels == 1:
        return tf.image.rgb_to_grayscale(image[..., :3])
    return tf.image.grayscale_to_rgb(image[..., :1]) if found < 3 else image[..., :3]


def _shape_of_resized(shape, shorter_edge):
    """(height, width) with the shorter one made `shorter_edge`."""
    shape = tf.cast(shape, tf.float32)
    return tf.maximum(tf.cast(tf.round(shape * (shorter_edge / tf.reduce_min(shape))), tf.int32), shorter_edge)


def resized(image, shorter_edge):
    """uint8 [H, W, C] -> the same with its shorter edge resized by Lanczos' filter, antialiased."""
    image = tf.image.resize(image, _shape_of_resized(tf.shape(image)[:2], shorter_edge), "lanczos3", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def prepared(images, size, shorter_edge):
    """Images, float [N, H, W, C] in [0, 1] -> [N, size, size, C], resized and cropped as `Preparation` says.

    Images of `size` x `size` already are taken for prepared ones and stay as they are. Unlike images that are read from
    files, these are not rounded to 256 levels, so that gradients reach the pixels.
    """

    def resized_and_cropped():
        shape = _shape_of_resized(tf.shape(images)[1:3], shorter_edge)
        return cropped(tf.clip_by_value(tf.image.resize(images, shape, "lanczos3", antialias=True), 0.0, 1.0), size)

    same = tf.reduce_all(tf.equal(tf.shape(images)[1:3], size))
    return tf.ensure_shape(tf.cond(same, lambda: images, resized_and_cropped), (None, size, size, images.shape[-1]))


def cropped(images, size, place=None):
    """[..., H, W, C] -> [..., size, size, C] at one `place` of all.

    `place`, float32 [2] in [0, 1), has 0 at the top or left; None = in the centre.
    """
    room = tf.shape(images)[-3:-1] - size
    if place is None:
        top, left = room[0] // 2, room[1] // 2
    else:
        top, left = tf.unstack(tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32))
    return images[..., top : top + size, left : left + size, :]
