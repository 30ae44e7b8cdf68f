"""Priors, p(z), and posteriors, which turn an encoder's output into a code.

A prior has `sample`, which draws z, and `posterior`, the name of the posterior that is used by default. A posterior has
`units`, the number of outputs that the encoder needs for a code; `mean` and `sample`, which make codes from these
outputs; and `regression_loss`, which scores the outputs against the z that they should describe.
"""

import tensorflow as tf

from tf_bigan.errors import InputError, did_you_mean, whole_number
from tf_bigan.saving import Configured


def _integers(count, latent_dim, seed, bits):
    """Uniformly drawn integers in [0, 2^bits), bits <= 24, exact as floats: float32 [count, latent_dim].

    From a seed, XLA and TensorFlow's kernels draw the same bits but turn them into floats differently. So this function
    converts the bits itself.
    """
    drawn = tf.random.stateless_uniform((count, latent_dim), seed, None, None, tf.uint32, alg="philox")
    return tf.cast(tf.bitwise.right_shift(drawn, tf.constant(32 - bits, tf.uint32)), tf.float32)


class _Prior(Configured):
    def __init__(self, latent_dim: int):
        self.latent_dim = whole_number(latent_dim, "latent_dim", 1)


class Uniform(_Prior):
    """z ~ U(-1, 1)^k: BiGAN's prior in all its experiments (Donahue et al. 2017, section 4)."""

    posterior = "squashed"

    def sample(self, count, seed):
        """Draws codes.

        Args:
          count: number of codes, an int or a scalar int32 tensor.
          seed: int64 [2]. The same seed gives the same codes, whether XLA compiles the draw or not.

        Returns:
          float32 [count, latent_dim] in [-1, 1).
        """
        return _integers(count, self.latent_dim, seed, bits=24) * 2.0**-23 - 1.0


class Normal(_Prior):
    """z ~ N(0, I_k): ALI's prior in all its experiments (Dumoulin et al. 2017, section 4)."""

    posterior = "linear"

    def sample(self, count, seed):
        """Draws codes: float32 [count, latent_dim]; see `Uniform.sample`."""
        return tf.math.ndtri((_integers(count, self.latent_dim, seed, bits=23) + 0.5) * 2.0**-23)


class Linear(Configured):
    """The encoder's output is the code itself.

    Attributes:
      stochastic: whether `sample` differs from `mean`.
    """

    stochastic = False

    def units(self, latent_dim: int) -> int:
        """How many outputs the encoder has for a code of `latent_dim` dimensions."""
        return latent_dim

    def mean(self, outputs):
        """Float [N, units] encoder outputs -> float32 [N, latent_dim] codes."""
        return tf.cast(outputs, tf.float32)

    def sample(self, outputs, noise):
        """Codes drawn with `noise`, float32 [N, latent_dim] from N(0, 1)."""
        del noise
        return self.mean(outputs)

    def regression_loss(self, outputs, z):
        """Half the mean squared error, a unit Gaussian's negative log-likelihood: float32 [N]."""
        return 0.5 * tf.reduce_mean(tf.square(tf.cast(outputs, tf.float32) - z), axis=1)


class Squashed(Linear):
    """The encoder's output a is a logit, and its code is 2 sigmoid(a) - 1, in (-1, 1) (Donahue et al.'s code)."""

    def mean(self, outputs):
        """Float [N, latent_dim] encoder outputs -> float32 [N, latent_dim] codes in (-1, 1), up to rounding."""
        return 2.0 * tf.sigmoid(tf.cast(outputs, tf.float32)) - 1.0

    def regression_loss(self, outputs, z):
        """Mean over dimensions of the cross-entropy between sigmoid(a) and (z + 1) / 2: float32 [N]."""
        outputs = tf.cast(outputs, tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits((z + 1.0) / 2.0, outputs), axis=1)


class Gaussian(Linear):
    """The encoder's outputs are the mean and then the logarithm of the standard deviation of q(z | x).

    A code is drawn as mean + standard deviation * noise (Dumoulin et al. 2017, section 2.2).
    """

    stochastic = True

    def units(self, latent_dim):
        """Two outputs for each dimension."""
        return 2 * latent_dim

    def mean(self, outputs):
        """Float [N, 2 * latent_dim] encoder outputs -> the means, float32 [N, latent_dim]."""
        return tf.split(tf.cast(outputs, tf.float32), 2, axis=1)[0]

    def log_stddev(self, outputs):
        """Float [N, 2 * latent_dim] encoder outputs -> logarithms of standard deviations, float32 [N, latent_dim]."""
        return tf.split(tf.cast(outputs, tf.float32), 2, axis=1)[1]

    def sample(self, outputs, noise):
        """Codes drawn with `noise`, float32 [N, latent_dim] from N(0, 1)."""
        mean, log_stddev = tf.split(tf.cast(outputs, tf.float32), 2, axis=1)
        return mean + tf.exp(log_stddev) * noise

    def regression_loss(self, outputs, z):
        """Mean over dimensions of the negative log-likelihood of z, without its constant: float32 [N]."""
        mean, log_stddev = tf.split(tf.cast(outputs, tf.float32), 2, axis=1)
        return tf.reduce_mean(0.5 * tf.square((z - mean) * tf.exp(-log_stddev)) + log_stddev, axis=1)

    def divergence(self, outputs):
        """Kullback-Leibler divergence of q(z | x) from N(0, I), summed over dimensions, in nats: float32 [N].

        Kingma and Welling 2014 (Auto-encoding variational Bayes), appendix B.
        """
        mean, log_stddev = tf.split(tf.cast(outputs, tf.float32), 2, axis=1)
        return tf.reduce_sum(0.5 * (tf.square(mean) + tf.exp(2.0 * log_stddev) - 1.0) - log_stddev, axis=1)


class Implicit(Linear):
    """The encoder's output is the code, and noise is its second input (Dumoulin et al. 2017, section 5.1, code).

    Such an encoder has an input called "noise". The distribution has no mean in closed form; the code at noise 0 is
    used in its place.
    """

    stochastic = True


PRIORS = {"uniform": Uniform, "normal": Normal}
POSTERIORS = {"squashed": Squashed, "linear": Linear, "gaussian": Gaussian, "implicit": Implicit}


def make_prior(name: str, latent_dim: int):
    """The prior called `name` over `latent_dim` dimensions. Raises InputError for an unknown name."""
    if not isinstance(name, str) or name not in PRIORS:
        raise InputError(f"unknown prior {name!r}.{did_you_mean(str(name), PRIORS)}")
    return PRIORS[name](latent_dim)


def make_posterior(name: str):
    """The posterior called `name`. Raises InputError for an unknown name."""
    if not isinstance(name, str) or name not in POSTERIORS:
        raise InputError(f"unknown posterior {name!r}.{did_you_mean(str(name), POSTERIORS)}")
    return POSTERIORS[name]()
