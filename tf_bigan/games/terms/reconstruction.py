"""Reconstruction errors in addition to the game's losses (Li et al.: ALICE, NeurIPS 2017, section 3)."""

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.games import objectives
from tf_bigan.games.terms.term import Term

ERRORS = {"l1": objectives.reconstruction_l1, "l2": objectives.reconstruction_l2}


class _Reconstruction(Term):
    """The base class of both reconstruction terms.

    Args:
      weight: weight of the error, which is summed over an example's entries and averaged over the batch.
      error: "l2" (squared) or "l1" (absolute).

    Raises:
      InputError: the error is unknown.
    """

    roles = ("encoder", "generator")

    def __init__(self, weight, error="l2"):
        super().__init__(weight)
        if error not in ERRORS:
            raise InputError(f"unknown error {error!r}.{did_you_mean(error, ERRORS)}")
        self.error = ERRORS[error]

    @classmethod
    def of(cls, experiment, weight, dtype, networks):
        return cls(weight, experiment.reconstruction_error)


class ReconstructionX(_Reconstruction):
    """E and G minimise the error of G(E(x)) against x, with G in training mode.

    Where E takes larger images than G gives, x is reduced to G's size.
    """

    name = "reconstruction_x"
    needs = ("codes", "reduced")

    def losses(self, game, tensors, batch, draws):
        made = game.run("generator", [tensors["codes"]], batch, draws)
        return {self.roles: self.weight * self.error(tensors["reduced"], made)}


class ReconstructionZ(_Reconstruction):
    """E and G minimise the error of the code of G(z) against z, with E in training mode."""

    name = "reconstruction_z"
    needs = ("samples", "z")

    def losses(self, game, tensors, batch, draws):
        codes = game.infer(tensors["samples"], batch, draws)["codes"]
        return {self.roles: self.weight * self.error(tensors["z"], codes)}
