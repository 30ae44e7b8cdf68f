"""The autoencoder baselines, with l1 or l2 reconstruction (Donahue et al. 2017, Table 1).

Neither the paper nor its code specifies them. Here: the same E and G, E's code through the prior's squashing,
the same optimizer and schedule, and the reconstruction error summed over pixels.
"""

from tf_bigan.errors import InputError, nearest
from tf_bigan.games import objectives
from tf_bigan.games.game import Game

_RECONSTRUCTION = {"l1": objectives.reconstruction_l1, "l2": objectives.reconstruction_l2}


class Autoencoder(Game):
    """E and G minimise the error of G(E(x)). There is no discriminator, and z is not used in training.

    G's batch norms, in training fed with codes of data, are described by those for inference, too.

    Args:
      encoder: E, images -> what `prior` turns into codes.
      generator: G, codes -> images.
      error: "l1" or "l2".
      prior, seed: as for `Game`.
    """

    players = {"encoder_generator": ("encoder", "generator")}

    def __init__(self, encoder, generator, prior, seed=0, error="l2", name="autoencoder"):
        if error not in _RECONSTRUCTION:
            raise InputError(f"unknown error {error!r}.{nearest(error, _RECONSTRUCTION)}")
        super().__init__(prior, encoder, generator, None, seed, name)
        self.error = error

    def play(self, x, z):
        return {"encoder_generator": _RECONSTRUCTION[self.error](x, self._reconstruct(x))}

    def observe(self, x, z):
        self._reconstruct(x)

    def _reconstruct(self, x):
        return self.generator(self.prior.code(self.encoder(x, training=True)), training=True)
