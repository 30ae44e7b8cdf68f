"""Elementwise functions with cheaper gradients than those that TensorFlow derives."""

import tensorflow as tf


def maxout(x, pieces):
    """The maximum over `pieces` blocks of channels, for each unit: float [..., pieces * units] -> float [..., units].

    Where several pieces are the largest, the gradient goes to the first of them. The gradient is itself differentiable,
    as gradient penalties require.
    """

    @tf.custom_gradient
    def largest_piece(x):
        parts = tf.split(x, pieces, axis=-1)
        largest = parts[0]
        for part in parts[1:]:
            largest = tf.maximum(largest, part)

        def gradient(dy):
            gradients, rest = [], dy  # `rest`: the gradient where no piece has been the largest yet, else 0
            for part in parts[:-1]:
                # Multiplying by 0 or 1 and subtracting are exact here, and faster than `tf.where`.
                gradients.append(rest * tf.cast(part >= largest, dy.dtype))
                rest = rest - gradients[-1]
            return tf.concat([*gradients, rest], -1)

        return largest, gradient

    return largest_piece(x)


def masked(x, mask):
    """The product, with a gradient in x alone. TensorFlow's own costs more, as it allows for shapes that differ."""

    @tf.custom_gradient
    def product(x):
        return x * mask, lambda dy: masked(dy, mask)

    return product(x)
