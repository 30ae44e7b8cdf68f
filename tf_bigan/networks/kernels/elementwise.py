"""Elementwise functions whose gradients TensorFlow derives at a higher cost than they need."""

import tensorflow as tf


def maxout(x, pieces):
    """The largest of `pieces` blocks of channels, unit by unit: float [..., pieces * units] -> float [..., units].

    The gradient goes to the first of several largest pieces. It is differentiable itself, as gradient penalties need.
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
                # Products and differences with 0 and 1 are exact, and faster than selecting.
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
