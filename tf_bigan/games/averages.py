"""Running averages of the weights that a game trains, which are used in place of the weights themselves."""

import contextlib
import numbers

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, shown
from tf_bigan.games.system import System

_WARM_UP = 9.0  # the first averages are of about a tenth of the steps done


class Averaging(System):
    """A system that keeps running averages of its weights (Yazici et al. 2019).

    Every step trains the weights, and then moves their averages by

        average <- d * average + (1 - d) * weight,    d = min(average_decay, n / (9 + n))

    where n is the number of steps that are averaged already. So the first average is the first step's weight, and the
    initial weights have no part in it. From then on, d is that of TensorFlow's `ExponentialMovingAverage` with
    `num_updates` = n - 1. It reaches average_decay after 9 / (1 - average_decay) steps.

    The networks have either the weights as they are trained or, after `use_averages`, their averages. The game keeps
    the others, exchanges both to the last bit, and saves both. It puts the weights as they are trained into the
    networks before it trains further. So weights that are meant to be trained further, such as those of another file,
    must be read after `use_averages(False)`. Statistics of batch norms, and other variables that no gradient changes,
    are not averaged; each of the two sets of weights has its own.

    Args:
      *arguments: as for `System`.
      average_decay: the share of an average that a step keeps, from 0 to below 1; 0 = there are no averages.

    Raises:
      InputError: average_decay is out of its range, or weights to average are in half precision.
    """

    def __init__(self, *arguments, average_decay=0.0):
        super().__init__(*arguments)
        self.average_decay = _checked(average_decay)
        self._averages = _Averages(self) if self.average_decay else None

    @property
    def averages_in_use(self) -> bool:
        """Whether the networks have the averages of their weights, rather than the weights as they are trained."""
        return self._averages is not None and bool(self._averages.in_use.value.numpy())

    def use_averages(self, averages=True):
        """Puts the averages of the weights into the networks or, if `averages` is False, the weights that are trained.

        `fit` does this by itself. Nothing happens if there are no averages, as before the first step. Inference
        statistics of batch norms are those of the weights as they are trained until they are estimated again, by
        `estimate_statistics`.
        """
        if self._averages is not None and bool(averages) != self.averages_in_use:
            self._averages.exchange()

    @contextlib.contextmanager
    def averaged(self):
        """Within this context, the networks have the averages of their weights; see `use_averages`.

        Afterwards they have the same weights and statistics as before.
        """
        before = self.averages_in_use
        self.use_averages()
        try:
            yield
        finally:
            self.use_averages(before)

    def average_variables(self) -> dict:
        """All that the averages consist of, by name, for files and checkpoints; {} if there are none."""
        return {} if self._averages is None else self._averages.variables

    def update_averages(self):
        """Part of a training step: moves the averages towards the weights that the step has changed."""
        if self._averages is not None:
            self._averages.update()

    def check_averages(self):
        """Raises InputError if a weight that is trained has no average."""
        if self._averages is None:
            return
        known = {id(weight) for weight, _ in self._averages.averaged}
        for player in self.players:
            for weight in self.player_variables(player):
                if id(weight) not in known:
                    raise InputError(
                        f"{weight.path} of {self.name} became trainable after the game was made, so it has no average; "
                        "make layers trainable before the game"
                    )


class _Averages:
    """The variables of a game's averages, and what is done with them.

    Attributes:
      averaged: pairs (weight, its average).
      variables: all variables by name. Those of a weight hold its average, or the weight as it is trained while the
        average is in the network; those of other variables hold what they had before the averages came into use.
      in_use: whether the networks have the averages; bool scalar.
    """

    def __init__(self, game):
        self._decay = game.average_decay
        self.variables, self.averaged, self._others = {}, [], []
        self.in_use = self._add(game, "averages_in_use", (), "bool")
        self._count = self._add(game, "averaged_steps", (), "int64")
        for role, network in game.networks.items():
            if role in game.frozen:
                continue
            trained = {id(variable) for variable in network.trainable_variables}
            for index, variable in enumerate(network.variables):
                if id(variable) in trained and variable.dtype not in ("float32", "float64"):
                    raise InputError(
                        f"averages need float32 weights, and those of the {role} are {variable.dtype}; use a mixed "
                        "dtype policy, such as mixed_bfloat16"
                    )
                kept = self._add(game, f"average_{role}_{index}", variable.shape, variable.dtype)
                (self.averaged if id(variable) in trained else self._others).append((variable, kept))

    def _add(self, game, name, shape, dtype):
        # Every replica changes its own copy, by the same numbers; no aggregation is needed.
        options = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.variables[name] = game.add_weight(name=name, shape=shape, dtype=dtype, **options)
        return self.variables[name]

    def update(self):
        count = tf.cast(tf.convert_to_tensor(self._count.value), tf.float32)
        rate = tf.maximum(1.0 - self._decay, _WARM_UP / (_WARM_UP + count))
        for weight, average in self.averaged:
            # One kernel multiplies and subtracts. Averages begin at 0, so the first one is the weight exactly.
            difference = tf.convert_to_tensor(average.value) - tf.convert_to_tensor(weight.value)
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.value.handle, alpha=tf.cast(rate, difference.dtype), delta=difference
            )
        tf.raw_ops.AssignAddVariableOp(resource=self._count.value.handle, value=tf.ones((), tf.int64))

    def exchange(self):
        """Exchanges the networks' weights with those that are kept here."""
        if not self._count.value.numpy():
            return  # there are no averages yet
        in_use = bool(self.in_use.value.numpy())
        for variable, kept in self.averaged:
            value = np.array(variable)
            variable.assign(kept.value)
            kept.assign(value)
        for variable, kept in self._others:
            if in_use:
                variable.assign(kept.value)
            else:
                kept.assign(variable.value)
        self.in_use.assign(not in_use)


def _checked(decay):
    """The decay as a float. Raises InputError unless it is a number from 0 to below 1."""
    if not isinstance(decay, numbers.Real) or not 0.0 <= decay < 1.0:
        raise InputError(f"average_decay must be a number of at least 0 and below 1, found {shown(decay)}")
    return float(decay)
