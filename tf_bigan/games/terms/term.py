"""What a term is."""

from collections.abc import Mapping

import keras

from tf_bigan.errors import InputError


class Term:
    """An addition to players' losses, which may bring networks and players of its own.

    A term does not know the system that it stands beside. It says which named tensors of `Game.forward` it needs and
    which networks' owners minimise what it adds. A game leaves out terms of weight 0.

    Args:
      weight: what the addition is multiplied with.

    Attributes:
      name: of the term, in logs and messages.
      needs: named tensors that the system must give.
      roles: networks that the system must have.
      through_discriminator: whether it adds, to any player's loss, something computed of D's outputs on the game's own
        pairs, such as "real" or "real_features". D's backward pass cannot serve both sides then.
      networks: role -> the networks that the term brings.
      players: player -> the roles of the networks that it brings and owns.
    """

    name = "term"
    needs: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    through_discriminator = False

    def __init__(self, weight):
        self.weight = weight
        self.networks: Mapping[str, keras.Model] = {}
        self.players: dict[str, tuple[str, ...]] = {}

    @classmethod
    def check_roles(cls, networks, name):
        """Raises InputError unless the system called `name` has the networks that the term needs."""
        if missing := [role for role in cls.roles if role not in networks]:
            raise InputError(f"{cls.name} needs a network called {missing[0]}, and {name} has none")

    @classmethod
    def of(cls, experiment, weight, dtype, networks):
        """The term of an experiment.

        Args:
          experiment: the `Experiment`, sized.
          weight: the value of the setting that turns the term on.
          dtype: the networks' dtype policy.
          networks: role -> those of the system, for their shapes.
        """
        del experiment, dtype, networks
        return cls(weight)

    def losses(self, game, tensors, batch, draws):
        """The additions, with the weight in them: roles -> float32 scalar, a mean over the batch.

        The owners of any of these networks minimise what stands under them, each once.

        Args:
          game: the `Game` that the term is attached to.
          tensors: what its `forward` gave.
          batch: the record: {"x": ..., "label": ...}.
          draws: the step's `Draws`.

        Returns:
          {(role, ...): float32 scalar}.
        """
        raise NotImplementedError

    def run_for_statistics(self, game, tensors, draws):
        """Runs the term's own networks in training mode on what their inference statistics are to describe.

        Args:
          game, draws: as for `losses`.
          tensors: what the game's `run_for_statistics` gave.
        """
        del game, tensors, draws  # AutoGraph warns of a body that is a docstring alone
