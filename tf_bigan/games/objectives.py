"""The players' objectives: pure functions of logits, features, codes and examples, in float32 whatever comes in.

Discriminator logits are [N, 1] or [N]; d(x, E(x)) is called `real`, d(G(z), z) `generated`. A D with several scores
for each pair gives [N, scores, 1], and the losses of an example's scores are summed. Each function returns a float32
scalar, the mean over the batch. An `Objective` is what D and its opponents minimise.
"""

import dataclasses
import math
from collections.abc import Callable

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


def discriminate_summed(real, generated):
    """D's loss of ALI: BCE(real, 1) plus BCE(generated, 0) (Dumoulin et al. 2017, algorithm 1)."""
    return _mean(tf.nn.softplus(-_float(real)) + tf.nn.softplus(_float(generated)))


def deceive_summed(real, generated):
    """E's and G's joint loss of ALI: D's with the labels swapped (ibid.)."""
    return _mean(tf.nn.softplus(_float(real)) + tf.nn.softplus(-_float(generated)))


def discriminate_relativistic(real, generated):
    """D's relativistic loss, softplus(-(real - generated)) pair by pair (Jolicoeur-Martineau 2019)."""
    return _mean(tf.nn.softplus(_float(generated) - _float(real)))


def deceive_relativistic(real, generated):
    """The opponents' relativistic loss: D's with the signs swapped (ibid.)."""
    return _mean(tf.nn.softplus(_float(real) - _float(generated)))


def discriminate_hinge(real, generated):
    """D's hinge loss, max(0, 1 - real) + max(0, 1 + generated) (Lim and Ye 2017; Donahue and Simonyan 2019, eq. 5)."""
    return _mean(tf.nn.relu(1.0 - _float(real)) + tf.nn.relu(1.0 + _float(generated)))


def deceive_hinge(real, generated):
    """The opponents' loss beside a hinge, real - generated (Donahue and Simonyan 2019, eq. 6)."""
    return _mean(_float(real) - _float(generated))


def reconstruction_l1(images, reconstructions):
    """Sum over pixels, coordinates or dimensions of |x - x'|, mean over the batch."""
    return _mean(_sum_example(tf.abs(_float(images) - _float(reconstructions))))


def reconstruction_l2(images, reconstructions):
    """Sum over pixels, coordinates or dimensions of (x - x')^2, mean over the batch."""
    return _mean(_sum_example(tf.square(_float(images) - _float(reconstructions))))


def negative_log_likelihood(examples, means, stddev):
    """-log N(x; mean, stddev^2 I) in nats, summed over pixels or coordinates, mean over the batch."""
    x = _float(examples)
    squares = _sum_example(tf.square((x - _float(means)) / stddev))
    return 0.5 * _mean(squares) + math.prod(x.shape[1:]) * math.log(stddev * math.sqrt(2.0 * math.pi))


def squared_norm(gradients):
    """Sum of the squares of all entries of an example's gradients, mean over the batch.

    Args:
      gradients: a list of float [N, ...], the gradients with respect to each of D's inputs.
    """
    return _mean(tf.add_n([_sum_example(tf.square(_float(gradient))) for gradient in gradients]))


def joint_logit(logits):
    """D's logit that a pair is real: its output, or log(sum of exp) of its K outputs.

    With K logits of classes and an implied logit of 0 for generated pairs, this is the logit of the probability that
    the pair is of any class (Salimans et al. 2016, section 5). float [N, K], K > 1 -> float32 [N, 1]; outputs of other
    shapes, such as [N, 1] and [N], are logits already and are returned as they are.
    """
    if logits.shape.rank != 2 or logits.shape[-1] == 1:
        return logits
    return tf.reduce_logsumexp(_float(logits), axis=-1, keepdims=True)


def label_errors(logits, labels):
    """The cross-entropy of the labels, log(sum of exp(logits)) - logits[label]: float32 [N].

    Args:
      logits: D's outputs, float [N, K].
      labels: int [N], 0 ... K - 1; of other values, such as -1, the result is 0.
    """
    logits, wanted = _float(logits), tf.one_hot(labels, logits.shape[-1])
    known = tf.reduce_sum(wanted, axis=-1)
    return known * tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_sum(wanted * logits, axis=-1)


@dataclasses.dataclass(frozen=True)
class Objective:
    """The losses that D and its opponents minimise.

    Attributes:
      discriminate, deceive: D's loss and its opponents', functions of the logits of real and of generated pairs, float
        [N, 1] each.
      ratio: function of the same logits. It returns two float32 [N, 1], for the real and the generated logits: the
        derivative of `deceive` with respect to each logit, divided by that of `discriminate`; None = the
        latter may be 0.
      margins: function of the same logits, as arrays. It returns by how much D is right about the real and about the
        generated pairs, in logits: a margin above 0 is a pair that D judges correctly.
    """

    discriminate: Callable
    deceive: Callable
    ratio: Callable | None
    margins: Callable = lambda real, generated: (real, -generated)


def _logistic_ratio(real, generated):
    return -_exp(_float(real)), -_exp(-_float(generated))


def _generated_ratio(real, generated):
    return tf.zeros_like(_float(real)), -2.0 * _exp(-_float(generated))


def _relativistic_ratio(real, generated):
    ratio = -_exp(_float(real) - _float(generated))
    return ratio, ratio


def _exp(x):
    """exp(x), clipped to stay finite. Beyond 80, D's own gradient, which this is multiplied with, is 0 in float32."""
    return tf.exp(tf.clip_by_value(x, -80.0, 80.0))


HALVED = Objective(discriminate, deceive, _logistic_ratio)  # BiGAN
SUMMED = Objective(discriminate_summed, deceive_summed, _logistic_ratio)  # ALI
PLAIN = Objective(discriminate, lambda real, generated: deceive_generated(generated), _generated_ratio)  # GAN
RELATIVISTIC = Objective(
    *(discriminate_relativistic, deceive_relativistic, _relativistic_ratio),
    margins=lambda real, generated: (real - generated, real - generated),
)
HINGE = Objective(discriminate_hinge, deceive_hinge, None)


def _float(x):
    return tf.cast(x, tf.float32)


def _mean(x):
    return tf.reduce_mean(_sum_example(x) if x.shape.rank == 3 else x)


def _sum_example(x):
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))
