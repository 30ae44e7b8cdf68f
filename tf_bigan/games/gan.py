"""A plain GAN; the baseline "D" uses the features of its discriminator (Donahue et al. 2017, section 4)."""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class GAN(Game):
    """G plays against D, which sees examples alone. There is no encoder, so `features` returns D's features.

    The two parts of D's loss are halved, but G's loss is not (as in the authors' code).

    Networks: "generator" (codes -> examples) and "discriminator" (examples -> logits). Arguments as for `Game`.
    """

    roles = ("generator", "discriminator")
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    objective = objectives.PLAIN
    featured = True

    def forward(self, batch, z, draws):
        samples = self.run("generator", [z], batch, draws)
        return self.judged({"x": batch["x"], "samples": samples}, batch, z, draws)
