"""Layers that draw random numbers. They keep no state: `tf_bigan.draws` derives the numbers from the training step."""

import math

import keras
import tensorflow as tf

from tf_bigan import draws
from tf_bigan.networks.kernels import masked

# Number of random bits per value -> dtype of the integers that these bits form. A layer uses the first entry with which
# its rate is exact, or else the last.
_NUMBERS = {8: tf.uint8, 16: tf.uint16}


@keras.saving.register_keras_serializable("tf_bigan")
class Dropout(keras.layers.Layer):
    """Sets values to 0 at random in training mode, and scales the others so that the expectation stays the same.

    float [N, ...] -> float of the same shape. In inference mode it is the identity. Each example's mask is drawn from
    `draws.current()`, that is from (seed, step, place in the global batch, stream); a second call in the same step
    draws another mask. So replicas draw different masks, and a resumed run draws the masks of an uninterrupted one.
    Outside of a step, a call in training mode raises InputError.

    A mask takes 8 random bits per value if the rate is a multiple of 2^-8, as 0.5 is. Otherwise it takes 16, and the
    rate is rounded to a multiple of 2^-16 (0.2 to 0.199997); the scale follows the rounded rate.

    Args:
      rate: the share of values that are dropped, 0 <= rate < 1.
      stream: the name of the random numbers, "<network>/<layer>", unique in a game. None = the layer's name.
    """

    def __init__(self, rate, stream=None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be at least 0 and less than 1, found {rate}")
        self.rate = rate
        self.stream = stream or self.name
        self._bits = next((bits for bits in _NUMBERS if rate * 2**bits % 1 == 0), max(_NUMBERS))
        self._dropped = round(rate * 2**self._bits)  # integers below this one drop their value

    def call(self, x, training=False):
        if not training or not self._dropped:
            return x
        drawn = draws.current()
        size = math.prod(x.shape[1:])
        words = -(-size * self._bits // 32)  # of 32 bits, per example
        drawn_bits = drawn.bits(drawn.once(self.stream), (words,))
        numbers = tf.bitcast(drawn_bits, _NUMBERS[self._bits])
        numbers = tf.reshape(numbers, (-1, words * 32 // self._bits))[:, :size]
        kept = tf.reshape(numbers >= self._dropped, (-1, *x.shape[1:]))
        return masked(x, tf.cast(kept, x.dtype) * tf.cast(1.0 / (1.0 - self._dropped / 2**self._bits), x.dtype))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "stream": self.stream}
