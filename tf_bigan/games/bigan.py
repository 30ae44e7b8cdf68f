"""BiGAN (Donahue, Krähenbühl, Darrell: Adversarial feature learning, ICLR 2017)."""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class BiGAN(Game):
    """E and G together against a D that sees pairs: (x, E(x)) or (G(z), z).

    D takes the two kinds of pairs in two calls, so that its batch norms keep separate statistics for them.

    Args:
      encoder: E, images -> what `prior` turns into codes.
      generator: G, codes -> images.
      discriminator: D, [images, codes] -> logits.
      prior, seed: as for `Game`.
    """

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}

    def __init__(self, encoder, generator, discriminator, prior, seed=0, name="bigan"):
        super().__init__(prior, encoder, generator, discriminator, seed, name)

    def play(self, x, z):
        codes = self.prior.code(self.encoder(x, training=True))
        images = self.generator(z, training=True)
        real = self.discriminator([x, codes], training=True)
        generated = self.discriminator([images, z], training=True)
        return {
            "discriminator": objectives.discriminate(real, generated),
            "encoder_generator": objectives.deceive(real, generated),
        }

    def observe(self, x, z):
        codes = self.prior.code(self.encoder(x, training=True))
        self.discriminator([x, codes], training=True)
        self.generator(z, training=True)
