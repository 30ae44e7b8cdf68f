"""A plain GAN; the baseline "D" takes the features of its discriminator (Donahue et al. 2017, section 4)."""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class GAN(Game):
    """G against a D that sees images alone. It has no encoder: `features` are D's.

    G's loss is not halved as D's terms are (the authors' code).

    Args:
      generator: G, codes -> images.
      discriminator: D, images -> logits.
      prior, seed: as for `Game`.
    """

    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def __init__(self, generator, discriminator, prior, seed=0, name="gan"):
        super().__init__(prior, None, generator, discriminator, seed, name)

    def play(self, x, z):
        images = self.generator(z, training=True)
        real = self.discriminator(x, training=True)
        generated = self.discriminator(images, training=True)
        return {
            "discriminator": objectives.discriminate(real, generated),
            "generator": objectives.deceive_generated(generated),
        }

    def observe(self, x, z):
        self.discriminator(x, training=True)
        self.generator(z, training=True)
