"""BiGAN (Donahue, Krähenbühl, Darrell: Adversarial feature learning, ICLR 2017)."""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class BiGAN(Game):
    """E and G together against a D that sees pairs: (x, E(x)) or (G(z), z).

    D takes the two kinds of pairs in two calls, so that its batch norms keep separate statistics for them.

    E may take larger images than D and G (section 3.6's generalised BiGAN): D then sees (g_X(x), E(x)), where g_X
    reduces x to G's size.

    Args:
      encoder: E, images -> what `prior` turns into codes.
      generator: G, codes -> images.
      discriminator: D, [images, codes] -> logits.
      prior, seed: as for `Game`.
    """

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}

    two_sizes = True

    def __init__(self, encoder, generator, discriminator, prior, seed=0, name="bigan"):
        super().__init__(prior, encoder, generator, discriminator, seed, name)

    def play(self, x, z):
        x, reduced = x if self.reduces else (x, x)
        codes = self.prior.code(self.encoder(x, training=True))
        images = self.generator(z, training=True)
        real = self.discriminator([reduced, codes], training=True)
        generated = self.discriminator([images, z], training=True)
        return {
            "discriminator": objectives.discriminate(real, generated),
            "encoder_generator": objectives.deceive(real, generated),
        }

    def observe(self, x, z):
        x, reduced = x if self.reduces else (x, x)
        codes = self.prior.code(self.encoder(x, training=True))
        self.discriminator([reduced, codes], training=True)
        self.generator(z, training=True)
