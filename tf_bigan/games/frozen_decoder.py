"""Encoders for a decoder that another run trained, such as a GAN's (Dumoulin et al. 2017, section 4.1).

The decoder stays as it is: it runs in inference mode, and neither its weights nor its batch norms' statistics change.
So E learns to invert the function that `generate` computes. Both systems show what inference that is learned afterwards
does, beside inference that is learned jointly.
"""

from tf_bigan.games import objectives
from tf_bigan.games.ali import ALI
from tf_bigan.games.game import Game


class LearnedInverse(Game):
    """E minimises |z - E(G(z))|^2 over prior samples z, for a given decoder G.

    The error is summed over dimensions and averaged over the batch. Codes of a stochastic posterior are sampled. E sees
    generated examples alone, and its batch norms' inference statistics describe these, too.

    Networks: "encoder" and "generator", which another run gives. Arguments as for `Game`.
    """

    roles = ("encoder", "generator")
    players = {"encoder": ("encoder",)}
    frozen = inherits = ("generator",)

    def forward(self, batch, z, draws):
        samples = self.run("generator", [z], batch, draws)
        return {"x": batch["x"], "z": z, "samples": samples, **self.infer(samples, batch, draws)}

    def player_losses(self, tensors):
        return {"encoder": objectives.reconstruction_l2(tensors["z"], tensors["codes"])}

    def run_for_statistics(self, batch, z, draws):
        return self.forward(batch, z, draws)


class PostHoc(ALI):
    """E plays ALI's game against a new D, for a given decoder G.

    Networks and arguments as for `ALI`; another run gives the generator.
    """

    players = {"discriminator": ("discriminator",), "encoder": ("encoder",)}
    frozen = inherits = ("generator",)

    def prepare(self, examples):
        """Does nothing, as the generator is given."""
