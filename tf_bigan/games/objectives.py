"""The players' objectives: pure functions of logits, codes and images, in float32 whatever comes in.

Discriminator logits are [N, 1] or [N]; d(x, E(x)) is called `real`, d(G(z), z) `generated`. Each function
returns a float32 scalar, the mean over the batch. At chance (all logits 0) both sides of the joint game
are ln 2.
"""

import tensorflow as tf


def discriminate(real, generated):
    """D's loss: half of BCE(real, 1) plus half of BCE(generated, 0) (Donahue et al. 2017, eq. 2)."""
    return 0.5 * (_mean(tf.nn.softplus(-_float(real))) + _mean(tf.nn.softplus(_float(generated))))


def deceive(real, generated):
    """E's and G's joint loss: D's with the labels swapped, for strong gradients (ibid., section 3.4)."""
    return 0.5 * (_mean(tf.nn.softplus(_float(real))) + _mean(tf.nn.softplus(-_float(generated))))


def deceive_generated(generated):
    """G's loss in a plain GAN: BCE(generated, 1), not halved (Goodfellow et al. 2014, section 3)."""
    return _mean(tf.nn.softplus(-_float(generated)))


def reconstruction_l1(images, reconstructions):
    """Sum over pixels of |x - x'|, mean over the batch."""
    return _mean(_sum_pixels(tf.abs(_float(images) - _float(reconstructions))))


def reconstruction_l2(images, reconstructions):
    """Sum over pixels of (x - x')^2, mean over the batch."""
    return _mean(_sum_pixels(tf.square(_float(images) - _float(reconstructions))))


def _float(x):
    return tf.cast(x, tf.float32)


def _mean(x):
    return tf.reduce_mean(x)


def _sum_pixels(x):
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))
