"""The autoencoder baselines, with l1 or l2 reconstruction (Donahue et al. 2017, Table 1).

Neither the paper nor its code specifies them. Here they have BiGAN's E and G, its posterior, which squashes E's output,
its optimizer and its schedule. The reconstruction error is summed over pixels.
"""

from tf_bigan.games import objectives
from tf_bigan.games.game import Game


class AutoencoderL2(Game):
    """E and G minimise the squared error of G(E(x)). There is no discriminator, and z is not used in training.

    In training G receives codes of data, so its batch norms' inference statistics describe codes of data, too.

    Networks: "encoder" and "generator". Arguments as for `Game`.
    """

    roles = ("encoder", "generator")
    players = {"encoder_generator": ("encoder", "generator")}
    generates = False
    error = staticmethod(objectives.reconstruction_l2)

    def forward(self, batch, z, draws):
        tensors = self.inferred(batch, draws)
        return {**tensors, "reconstructions": self.run("generator", [tensors["codes"]], batch, draws)}

    def player_losses(self, tensors):
        return {"encoder_generator": self.error(tensors["x"], tensors["reconstructions"])}

    def run_for_statistics(self, batch, z, draws):
        return self.forward(batch, z, draws)


class AutoencoderL1(AutoencoderL2):
    """As `AutoencoderL2`, with absolute errors."""

    error = staticmethod(objectives.reconstruction_l1)
