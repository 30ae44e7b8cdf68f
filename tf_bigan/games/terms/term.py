"""The base class of terms."""

import math
from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.saving import Configured


class Term(Configured):
    """An addition to players' losses, which may bring networks and players of its own.

    A term does not know the system to which it is attached. It declares which named tensors of `Game.forward` it needs,
    and which networks' owners minimise the losses that it adds. A game leaves out terms of weight 0.

    Args:
      weight: factor of the losses that the term adds.

    Attributes:
      name: name of the term in logs and messages.
      needs: named tensors that the system's forward pass must return.
      reads: roles of the networks whose features the term computes, by `System.run_to_features`.
      adds_losses: whether `losses` returns any.
      roles: roles of the networks that the system must have.
      through_discriminator: whether the term adds, to any player's loss, a value computed from D's outputs on the
        game's own pairs, such as "real" or "real_features". If so, one backward pass through D cannot serve both sides.
      networks: role -> the networks that the term brings.
      players: players that the term brings -> the roles of the networks that they own.
    """

    name = "term"
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    adds_losses = True
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
        """Makes the term from an experiment.

        Args:
          experiment: the `Experiment`, sized.
          weight: the value of the setting that turns the term on.
          dtype: the networks' dtype policy.
          networks: role -> the networks of the system, whose shapes the term may need.
        """
        del experiment, dtype, networks
        return cls(weight)

    def losses(self, game, tensors, batch, draws):
        """The losses that the term adds, already multiplied by its weight.

        Args:
          game: the `Game` that the term is attached to.
          tensors: the named tensors that the game's `forward` returned.
          batch: the record: {"x": ..., "label": ...}.
          draws: the step's `Draws`.

        Returns:
          {(role, ...): float32 scalar, a mean over the batch}. Every player that owns any of the networks of a key's
          roles minimises the loss, counted once.
        """
        raise NotImplementedError

    def augment(self, images, draws):
        """D's images of one kind in a training step, which a term may change; real and generated ones alike.

        Args:
          images: float [N, ...] examples.
          draws: the step's `Draws`.

        Returns:
          float of the same shape, through which gradients flow.
        """
        del draws
        return images

    def run_for_statistics(self, game, tensors, draws):
        """Runs the term's own networks in training mode on the data that their inference statistics are to describe.

        Args:
          game, draws: as for `losses`.
          tensors: the named tensors that the game's `run_for_statistics` returned.
        """
        del game, tensors, draws  # AutoGraph warns of a function whose body is only a docstring


def rows(features):
    """Features, float [N, ...], as float32 rows [N, n]."""
    return tf.reshape(tf.cast(features, tf.float32), (tf.shape(features)[0], math.prod(features.shape[1:])))
