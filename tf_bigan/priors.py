"""p(z), and how an encoder's output becomes a code in the prior's support.

A prior has three operations: `sample` draws z, `code` maps the encoder's raw output a to a code, and
`regression_loss` scores a against the z it should have been (used by the latent regressors).
"""

import tensorflow as tf

from tf_bigan.errors import InputError, nearest


def _integers(count, latent_dim, seed, bits):
    """Evenly drawn integers in [0, 2^bits), bits <= 24, exact as floats: float32 [count, latent_dim].

    XLA and TensorFlow's kernels draw the same bits from a seed but turn them into floats differently; hence ours.
    """
    drawn = tf.random.stateless_uniform((count, latent_dim), seed, None, None, tf.uint32, alg="philox")
    return tf.cast(tf.bitwise.right_shift(drawn, tf.constant(32 - bits, tf.uint32)), tf.float32)


class _Prior:
    def __init__(self, latent_dim: int):
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, found {latent_dim}")
        self.latent_dim = latent_dim


class Uniform(_Prior):
    """z ~ U(-1, 1)^k. The encoder's output a is a logit: its code is 2 sigmoid(a) - 1.

    BiGAN's prior in all its experiments (Donahue et al. 2017, section 4; the squashing is their code's).
    """

    def sample(self, count, seed):
        """Draws codes.

        Args:
          count: number of codes, an int or a scalar int32 tensor.
          seed: int64 [2]. The same seed gives the same codes, whether XLA compiles the draw or not.

        Returns:
          float32 [count, latent_dim] in [-1, 1).
        """
        return _integers(count, self.latent_dim, seed, bits=24) * 2.0**-23 - 1.0

    def code(self, outputs):
        """Float [N, latent_dim] encoder outputs -> float32 [N, latent_dim] codes in (-1, 1), to rounding."""
        return 2.0 * tf.sigmoid(tf.cast(outputs, tf.float32)) - 1.0

    def regression_loss(self, outputs, z):
        """Mean over dimensions of the cross-entropy between sigmoid(a) and (z + 1) / 2: float32 [N]."""
        outputs = tf.cast(outputs, tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits((z + 1.0) / 2.0, outputs), axis=1)


class Normal(_Prior):
    """z ~ N(0, I_k). The encoder's output is the code itself."""

    def sample(self, count, seed):
        """Draws codes: float32 [count, latent_dim]; see `Uniform.sample`."""
        return tf.math.ndtri((_integers(count, self.latent_dim, seed, bits=23) + 0.5) * 2.0**-23)

    def code(self, outputs):
        """Float [N, latent_dim] encoder outputs -> the same numbers as float32."""
        return tf.cast(outputs, tf.float32)

    def regression_loss(self, outputs, z):
        """Half the mean squared error, a unit Gaussian's negative log-likelihood: float32 [N]."""
        return 0.5 * tf.reduce_mean(tf.square(tf.cast(outputs, tf.float32) - z), axis=1)


PRIORS = {"uniform": Uniform, "normal": Normal}


def make_prior(name: str, latent_dim: int):
    """The prior called `name` over `latent_dim` dimensions. Raises InputError for an unknown name."""
    if name not in PRIORS:
        raise InputError(f"unknown prior {name!r}.{nearest(name, PRIORS)}")
    return PRIORS[name](latent_dim)
