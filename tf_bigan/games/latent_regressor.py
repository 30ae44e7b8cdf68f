"""Encoders that learn to recover z from G(z): the baselines LR and JLR (Donahue et al. 2017, section 3.5)."""

import tensorflow as tf

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class LatentRegressor(Game):
    """LR: a plain GAN, and an encoder that regresses z from G(z) without any influence on G.

    The encoder trains concurrently with the GAN, as in the authors' code; their paper describes it as trained
    afterwards. It sees generated images only, while its inference statistics are those of real ones.

    Args:
      encoder: E; its output layer starts at 0.
      generator: G, codes -> images.
      discriminator: D, images -> logits.
      prior, seed: as for `Game`.
    """

    players = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
        "encoder": ("encoder",),
    }

    def __init__(self, encoder, generator, discriminator, prior, seed=0, name="latent_regressor"):
        super().__init__(prior, encoder, generator, discriminator, seed, name)

    def play(self, x, z):
        discriminator, generator, encoder = self._losses_of_each(x, z)
        return {"discriminator": discriminator, "generator": generator, "encoder": encoder}

    def observe(self, x, z):
        self.encoder(x, training=True)
        self.discriminator(x, training=True)
        self.generator(z, training=True)

    def _losses_of_each(self, x, z):
        images = self.generator(z, training=True)
        real = self.discriminator(x, training=True)
        generated = self.discriminator(images, training=True)
        outputs = self.encoder(images, training=True)
        return (
            objectives.discriminate(real, generated),
            objectives.deceive_generated(generated),
            tf.reduce_mean(self.prior.regression_loss(outputs, z)),
        )


class JointLatentRegressor(LatentRegressor):
    """JLR: as LR, but G shares the encoder's objective: both minimise BCE(D(G(z)), 1) + weight * L_z.

    Args:
      latent_weight: of the latent loss L_z; the authors use 0.25 and call 1 degenerate.
    """

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}

    def __init__(
        self,
        encoder,
        generator,
        discriminator,
        prior,
        seed=0,
        latent_weight=0.25,
        name="joint_latent_regressor",
    ):
        super().__init__(encoder, generator, discriminator, prior, seed, name)
        self.latent_weight = latent_weight

    def play(self, x, z):
        discriminator, generator, encoder = self._losses_of_each(x, z)
        return {
            "discriminator": discriminator,
            "encoder_generator": generator + self.latent_weight * encoder,
        }
