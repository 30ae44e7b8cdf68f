"""What is done to the pixels of one image, in a TensorFlow graph."""

import tensorflow as tf

# The largest ratio of an image's edges. Resizing such an image to a shorter edge of 256 pixels, as for AlexNet, takes
# 200 MB; resizing a strip of 60,000 pixels would take all memory.
LONGEST = 256


def in_range(image):
    """Returns a float image unchanged. The graph raises InvalidArgumentError for pixels NaN or outside [0, 1]."""
    fine = tf.reduce_all(tf.math.is_finite(image) & (image >= 0.0) & (image <= 1.0))
    with tf.control_dependencies([tf.debugging.Assert(fine, ["pixels are NaN or outside [0, 1]"])]):
        return tf.identity(image)


def within_proportions(image):
    """Returns an image [H, W, C] unchanged.

    The graph raises InvalidArgumentError if one edge is more than `LONGEST` times as long as the other.
    """
    edges = tf.shape(image)[:2]
    fine = tf.reduce_max(edges) <= LONGEST * tf.reduce_min(edges)
    with tf.control_dependencies([tf.debugging.Assert(fine, ["one edge is too long for the other"])]):
        return tf.identity(image)


def with_channels(image, channels):
    """uint8 [H, W, C] -> [H, W, channels], for C = 1, 3 or 4 and 1 or 3 channels.

    A fourth channel is the pixels' opacity: they are laid over white.
    """
    if image.shape[-1] == 4:
        colours, opacity = (tf.cast(part, tf.int32) for part in tf.split(image, [3, 1], axis=-1))
        image = tf.cast((colours * opacity + 255 * (255 - opacity) + 127) // 255, tf.uint8)
    if image.shape[-1] == channels:
        return image
    return tf.image.rgb_to_grayscale(image) if channels == 1 else tf.image.grayscale_to_rgb(image)


def _shape_of_resized(shape, shorter_edge):
    """(height, width), scaled so that the shorter one is `shorter_edge`."""
    shape = tf.cast(shape, tf.float32)
    return tf.maximum(tf.cast(tf.round(shape * (shorter_edge / tf.reduce_min(shape))), tf.int32), shorter_edge)


def resized(image, shorter_edge):
    """Resizes an image, uint8 [H, W, C], to a shorter edge of `shorter_edge`, by Lanczos' filter with antialiasing."""
    image = tf.image.resize(image, _shape_of_resized(tf.shape(image)[:2], shorter_edge), "lanczos3", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def prepared(images, size, shorter_edge):
    """Images, float [N, H, W, C] in [0, 1] -> [N, size, size, C], resized and cropped as `Preparation` says.

    Images that already have `size` x `size` pixels count as prepared and stay unchanged. Unlike images that are read
    from files, the results are not rounded to 256 levels, so that gradients reach the pixels.
    """

    def resized_and_cropped():
        shape = _shape_of_resized(tf.shape(images)[1:3], shorter_edge)
        return cropped(tf.clip_by_value(tf.image.resize(images, shape, "lanczos3", antialias=True), 0.0, 1.0), size)

    same = tf.reduce_all(tf.equal(tf.shape(images)[1:3], size))
    return tf.ensure_shape(tf.cond(same, lambda: images, resized_and_cropped), (None, size, size, images.shape[-1]))


def cropped(images, size, place=None):
    """Crops all images at the same `place`: [..., H, W, C] -> [..., size, size, C].

    `place` is float32 [2] in [0, 1), vertical and horizontal: 0 = at the top or left; None = in the centre.
    """
    room = tf.shape(images)[-3:-1] - size
    if place is None:
        top, left = room[0] // 2, room[1] // 2
    else:
        top, left = tf.unstack(tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32))
    return images[..., top : top + size, left : left + size, :]
