"""BiGAN (Donahue, Krähenbühl, Darrell: Adversarial feature learning, ICLR 2017)."""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class BiGAN(Game):
    """E and G play together against D, which sees pairs: (x, E(x)) or (G(z), z).

    D takes the two kinds of pairs in two calls, so that its batch norms keep separate statistics for them.

    E may take larger images than D and G (section 3.6's generalised BiGAN): D then sees (g_X(x), E(x)), where g_X
    reduces x to G's size.

    Networks: "encoder" (examples -> outputs that the posterior turns into codes), "generator" (codes -> examples) and
    "discriminator" ([examples, codes] -> logits). Arguments as for `Game`.
    """

    roles = ("encoder", "generator", "discriminator")
    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}
    objective = objectives.HALVED
    sees_codes = True
    two_sizes = True

    def forward(self, batch, z, draws):
        tensors = self.inferred(batch, draws)
        tensors["samples"] = self.run("generator", [z], batch, draws)
        return self.judged(tensors, batch, z, draws)
