"""Encoders that learn to recover z from G(z): the baselines LR and JLR (Donahue et al. 2017, section 3.5)."""

import tensorflow as tf

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class LatentRegressor(Game):
    """LR: a plain GAN, and an encoder that regresses z from G(z) without any influence on G.

    The encoder trains concurrently with the GAN, as in the authors' code; their paper describes it as trained
    afterwards. In training it sees generated examples only, but its inference statistics are those of real examples.

    Networks: "encoder" (whose output layer starts at 0), "generator" (codes -> examples) and "discriminator"
    (examples -> logits). Arguments as for `Game`.
    """

    roles = ("encoder", "generator", "discriminator")
    players = {"discriminator": ("discriminator",), "generator": ("generator",), "encoder": ("encoder",)}
    objective = objectives.PLAIN
    zero_encoder = True
    inverts_stddev = True

    def forward(self, batch, z, draws):
        samples = self.run("generator", [z], batch, draws)
        tensors = self.judged({"x": batch["x"], "samples": samples}, batch, z, draws)
        outputs = self.run("encoder", [samples], batch, draws)
        return {**tensors, "outputs": outputs, "regression": tf.reduce_mean(self.posterior.regression_loss(outputs, z))}

    def player_losses(self, tensors):
        real, generated = tensors["real"], tensors["generated"]
        return {
            "discriminator": self.objective.discriminate(real, generated),
            "generator": self.objective.deceive(real, generated),
            "encoder": tensors["regression"],
        }


class JointLatentRegressor(LatentRegressor):
    """JLR: as LR, but G shares the encoder's objective: both minimise BCE(D(G(z)), 1) + weight * L_z.

    Args:
      latent_weight: weight of the latent loss L_z; the authors use 0.25 and call 1 degenerate.
      **arguments: as for `Game`.
    """

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}

    def __init__(self, networks, prior, latent_weight=0.25, **arguments):
        super().__init__(networks, prior, **arguments)
        self.latent_weight = latent_weight

    @classmethod
    def settings(cls, experiment):
        return {"latent_weight": experiment.latent_weight}

    def player_losses(self, tensors):
        losses = super().player_losses(tensors)
        return {
            "discriminator": losses["discriminator"],
            "encoder_generator": losses["generator"] + self.latent_weight * losses["encoder"],
        }
