"""The variational autoencoder (Kingma and Welling: Auto-encoding variational Bayes, ICLR 2014)."""

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games import objectives
from tf_bigan.games.game import Game
from tf_bigan.priors import Gaussian, Normal


class VAE(Game):
    """E and G minimise the negative evidence lower bound, in nats: -log p(x | z) + KL(q(z | x) || N(0, I)).

    p(x | z) = N(G(z), likelihood_stddev^2 I), with its constant, and z is one sample of q(z | x) for each example.
    There is no discriminator. G's batch norms see codes of data, in training and for their inference statistics.

    Dumoulin et al. 2017 compare ALI with such a model (section 4.1), and do not specify it further.

    Networks: "encoder" (whose outputs are means and log standard deviations) and "generator".

    Args:
      likelihood_stddev: standard deviation of each pixel, in a range of 1, or of each coordinate around G's output. The
        smaller it is, the more the reconstruction counts beside the divergence.
      **arguments: as for `Game`.

    Raises:
      InputError: the prior is not normal or the posterior not Gaussian, so that their divergence is not known.
    """

    roles = ("encoder", "generator")
    players = {"encoder_generator": ("encoder", "generator")}

    def __init__(self, networks, prior, likelihood_stddev=0.1, **arguments):
        super().__init__(networks, prior, **arguments)
        if not (isinstance(self.prior, Normal) and isinstance(self.posterior, Gaussian)):
            raise InputError(
                "a VAE needs the normal prior and a Gaussian posterior, whose divergence has a closed form; give "
                "--prior=normal --posterior=gaussian"
            )
        if not likelihood_stddev > 0:
            raise InputError(f"likelihood_stddev must be above 0, found {likelihood_stddev}")
        self.likelihood_stddev = float(likelihood_stddev)

    @classmethod
    def settings(cls, experiment):
        return {"likelihood_stddev": experiment.likelihood_stddev}

    def forward(self, batch, z, draws):
        tensors = self.inferred(batch, draws)
        return {
            **tensors,
            "divergence": tf.reduce_mean(self.posterior.divergence(tensors["outputs"])),
            "reconstructions": self.run("generator", [tensors["codes"]], batch, draws),
        }

    def player_losses(self, tensors):
        found = objectives.negative_log_likelihood(tensors["x"], tensors["reconstructions"], self.likelihood_stddev)
        return {"encoder_generator": found + tensors["divergence"]}

    def run_for_statistics(self, batch, z, draws):
        return self.forward(batch, z, draws)
