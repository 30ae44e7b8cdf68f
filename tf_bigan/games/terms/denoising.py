"""Denoising feature matching (Warde-Farley and Bengio, ICLR 2017)."""

import math

import tensorflow as tf

from tf_bigan.games.inspection import penultimate
from tf_bigan.games.terms.term import Term, rows
from tf_bigan.networks.denoiser import Denoiser

CORRUPTION = 1.0  # standard deviation of the noise on real features (section 3)


class DenoisingFeatureMatching(Term):
    """G moves D's features of its samples towards the output that a denoiser gives for them (section 3).

    The denoiser r is a player of its own. It minimises |f(x) - r(f(x) + n)|^2, n ~ N(0, I), on D's features f of real
    pairs, which it treats as constants. G minimises weight / n_h * |f(G(z)) - r(f(G(z)))|^2, where n_h is the number of
    features and r's output is treated as a constant. The features of samples are not corrupted. Neither loss trains D.

    The denoiser takes data and samples in separate calls, so that its batch norms have separate statistics for them.
    Whether D takes them in separate calls is up to the system. The denoiser's inference statistics are those of real
    data.

    Args:
      weight: lambda_denoise times n_h; the paper's is 0.03.
      denoiser: the network r, float [N, n_h] -> float [N, n_h].
    """

    name = "denoising_feature_matching"
    needs = ("real_features", "generated_features")
    roles = ("generator", "discriminator")
    through_discriminator = True

    def __init__(self, weight, denoiser):
        super().__init__(weight)
        self.networks = {"denoiser": denoiser}
        self.players = {"denoiser": ("denoiser",)}

    @classmethod
    def of(cls, experiment, weight, dtype, networks):
        discriminator = networks["discriminator"]
        features = math.prod(discriminator.get_layer(penultimate(discriminator)).output.shape[1:])
        denoiser = Denoiser(
            features, experiment.denoiser_layers, experiment.denoiser_width, seed=experiment.seed, dtype=dtype
        )
        return cls(weight, denoiser)

    def losses(self, game, tensors, batch, draws):
        real = tf.stop_gradient(rows(tensors["real_features"]))
        generated = rows(tensors["generated_features"])
        target = tf.stop_gradient(rows(game.denoiser(generated, training=True)))
        return {
            ("denoiser",): _distance(real, self._denoised(game, real, draws)),
            ("generator",): self.weight / generated.shape[1] * _distance(generated, target),
        }

    def run_for_statistics(self, game, tensors, draws):
        self._denoised(game, rows(tensors["real_features"]), draws)

    def _denoised(self, game, real, draws):
        noise = CORRUPTION * draws.normal("denoiser/corruption", (real.shape[1],))
        return rows(game.denoiser(real + noise, training=True))


def _distance(first, second):
    """Squared distance of rows, mean over the batch."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(first - second), axis=1))
