"""Runs that begin with the weights of another run."""

from tf_bigan.errors import InputError
from tf_bigan.training import devices

# Settings that may give an encoder or a discriminator other shapes, but not a generator.
_OF_ENCODERS = ("posterior", "encoder_size", "denoiser_layers", "denoiser_width")


def begin(experiment, game, run, initial, strategy):
    """Fills the networks with the weights of `initial`, a `RunDirectory`, if there is one.

    A system that inherits some networks only is given these; its others are fresh.

    Returns:
      The lineage of the weights (see `RunDirectory.lineage`); [] for fresh weights. None if `initial` is missing but
      the run here did not begin from fresh weights.
    """
    lineage = [] if initial is None else initial.lineage()
    digest = lineage[-1]["weights"] if lineage else ""
    different = "the workers begin with different weights; give all the same ones"
    devices.require_agreement(strategy, digest.encode(), different)
    if initial is None:
        if game.inherits and not run.initial():
            raise InputError(
                f"system={experiment.system} takes its {game.inherits[0]} from another run and does not train it.\n"
                "Give --initial_weights=RUN, a run directory or a zoo model, such as a run of system=gan"
            )
        return None if run.initial() else []
    roles = game.inherits or tuple(game.networks)
    earlier = initial.experiment()
    if missing := [role for role in roles if not initial.weights_path(role).exists()]:
        raise InputError(f"{initial.path} has no {missing[0]} to begin with")
    if game.inherits and earlier.prior != experiment.prior:
        raise InputError(
            f"the {roles[0]} of {initial.path} takes codes of the {earlier.prior} prior; give --prior={earlier.prior}"
        )
    try:
        initial.load_all_weights({role: game.networks[role] for role in roles})
    except InputError as error:
        other = experiment.other_networks(earlier)
        if game.inherits:
            other = {name: values for name, values in other.items() if name not in _OF_ENCODERS}
        if not other:
            raise
        told = ", ".join(f"{name} {theirs} there and {ours} here" for name, (ours, theirs) in other.items())
        raise InputError(f"{initial.path} has other networks: {told}") from error
    if initial.weights_digest() != digest:
        raise InputError(f"{initial.path} wrote new weights meanwhile; start again")
    return lineage
