"""The one train step of every system: several players, one forward pass, one simultaneous update."""

import contextlib
import math

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.draws import STATISTICS, TRAINING, Draws
from tf_bigan.errors import InputError
from tf_bigan.games.fitting import Fitting
from tf_bigan.games.saved_game import SavedGame
from tf_bigan.networks.layers import tracking_statistics


class Game(SavedGame, Fitting):
    """A system in training.

    A training step draws z and runs one shared forward pass (`forward`), which gives named tensors. Each player's loss
    is a function of these tensors (`player_losses`, plus what terms add), and its gradient is taken with respect to the
    player's own variables. All updates are computed at the old parameter values and applied at once. Everything random
    in step s is drawn from (seed, s) for the whole batch, and every replica takes its own part of it. So two replicas
    never draw the same numbers, and a resumed run draws the numbers of an uninterrupted one.

    Args:
      networks: role -> network. Like the game itself, they are made in the scope of the distribution strategy under
        which they will train. Networks of terms are not among them; the terms bring these.
      prior: p(z), from `tf_bigan.priors`.
      terms: additional losses of players, from `tf_bigan.games.terms`; terms of weight 0 are left out.
      posterior: how E's output becomes a code, from `tf_bigan.priors`, or its name; None = the prior's own.
      objective: the objective of D and its opponents, from `tf_bigan.games.objectives`, or "relativistic" or
        "hinge"; None or "paper" = the system's own.
      seed: seed of everything random.
      average_decay: keep running averages of the weights with this decay, such as 0.999, and use them in place of the
        weights; see `tf_bigan.games.averages`. 0 = no averages.

    Raises:
      InputError: networks are missing or do not fit each other, terms do not go with the system, or an argument has
        another type or is out of its range.
    """

    def __init__(self, networks, prior, terms=(), posterior=None, objective=None, seed=0, name=None, average_decay=0.0):
        super().__init__(networks, prior, terms, posterior, objective, seed, name, average_decay=average_decay)
        counter = {"shape": (), "dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        # The number of training steps done, which is also the position in the data and in the noise.
        self.step = self.add_weight(name="step", initializer="zeros", **counter)
        # Per player, the first step whose loss was not finite; -1 = none so far.
        self.first_bad_step = {
            player: self.add_weight(
                name=f"{player}_first_bad_step", initializer=keras.initializers.Constant(-1), **counter
            )
            for player in self.players
        }
        # The largest log standard deviation of a code (if its inverse is what the losses take, the largest value of
        # minus the logarithm) until a loss was not finite, and the step that it was at.
        self._largest_log_stddev = None
        if self.encoder is not None and hasattr(self.posterior, "log_stddev"):
            lowest = keras.initializers.Constant(-math.inf)
            self._largest_log_stddev = (
                self.add_weight(name="largest_log_stddev", initializer=lowest, **counter | {"dtype": "float32"}),
                self.add_weight(name="largest_log_stddev_step", initializer="zeros", **counter),
            )
        recorded = [*self.players, *(term.name for term in self.terms if term.adds_losses)]
        self._means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in recorded}
        self.built = True

    def counters(self) -> dict:
        """The game's own variables by name: the number of steps done, and which of them went wrong."""
        found = {self.step.name: self.step, **{each.name: each for each in self.first_bad_step.values()}}
        return found | {each.name: each for each in self._largest_log_stddev or ()}

    @property
    def steps_done(self) -> int:
        """Training steps done."""
        return int(self.step.value.numpy())  # int(step) fails for a mirrored variable

    @property
    def bad_steps(self) -> dict[str, int]:
        """Player -> the first step at which its loss was not finite, for the players that have had such a step."""
        steps = {player: int(first.value.numpy()) for player, first in self.first_bad_step.items()}
        return {player: step for player, step in steps.items() if step >= 0}

    @property
    def overflowing_log_stddev(self) -> tuple[float, int] | None:
        """(The largest log standard deviation that E gave a code, the step at which it did), if it was too large.

        Latent regressors divide by the standard deviation, so there it is the smallest, if it was too small. None if
        the squares of such codes, or of such quotients, still fit into the floats that they are computed in, or if the
        posterior is no Gaussian. It covers the steps that this process trained, up to the first whose loss was not
        finite.
        """
        if self._largest_log_stddev is None:
            return None
        # Codes enter networks, whose floats may be half as wide; the quotients enter a float32 loss.
        half = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and not self.inverts_stddev
        value, step = (variable.value.numpy().item() for variable in self._largest_log_stddev)
        if value <= math.log(np.finfo(np.float16 if half else np.float32).max) / 2:
            return None
        return -value if self.inverts_stddev else value, step

    @property
    def metrics(self):
        return list(self._means.values())

    def play(self, batch, z, draws=None):
        """The losses of a batch in training mode, before any update: {player: float32 scalar}.

        Args:
          batch: examples, or a record.
          z: float32 [N, latent_dim] prior samples.
          draws: the step's `Draws`; None = those of the game's next step.
        """
        batch = self.record(batch)
        draws = draws or self._draws(batch)
        with draws.active():
            losses, added, *_ = self._play(batch, z, draws)
        return {player: loss + sum(added[player]) for player, loss in losses.items()}

    def _play(self, batch, z, draws):
        """Runs the forward pass and computes the losses.

        Returns:
          {player: its own loss}, {player: [losses that terms add]}, {term: sum of what it adds}, and the tensors of
          `forward`.
        """
        with tracking_statistics() if draws.tracks else contextlib.nullcontext():
            tensors = self.forward(batch, z, draws)
        losses = self.player_losses(tensors)
        added = {player: [] for player in self.players}
        sums = {}
        for term in self.terms:
            if missing := [name for name in term.needs if name not in tensors]:
                raise InputError(f"{term.name} needs {missing[0]}, which the forward pass of {self.name} does not give")
            with draws.scope(term.name):
                found = term.losses(self, tensors, batch, draws)
            for roles, loss in found.items():
                if not (owners := self.owners(roles)):
                    raise InputError(f"{term.name} is for the {roles[0]}, which no player of {self.name} trains")
                for player in owners:
                    if player in losses:
                        added[player].append(loss)
                    else:
                        losses[player] = loss
            if term.adds_losses:
                sums[term.name] = sum(loss for roles, loss in found.items() if not set(roles) & set(term.networks))
        return losses, added, sums, tensors

    def train_step(self, data):
        batch = self.record(data)
        draws = self._draws(batch, tracks=True)
        z = draws.codes(self.prior)
        replicas = self.distribute_strategy.num_replicas_in_sync
        with draws.active(), tf.GradientTape(persistent=True) as tape:
            # Optimizers sum gradients over replicas, so each replica contributes 1/replicas of its mean.
            losses, added, sums, tensors = self._play(batch, z, draws)
            whole = {player: (loss + sum(added[player])) / replicas for player, loss in losses.items()}
            # Players -> the loss whose gradients their variables take.
            targets = {(player,): self.optimizer.scale_loss(loss) for player, loss in whole.items()}
            if self.shares_gradient:
                (opponent,) = type(self).players.keys() - {"discriminator"}
                of_terms = self.optimizer.scale_loss(sum(added[opponent], tf.zeros(())) / replicas)
                targets["discriminator", opponent] = targets.pop(("discriminator",)) + of_terms
                del targets[opponent,]
        updates = []
        for players, target in targets.items():
            variables = [variable for player in players for variable in self.player_variables(player)]
            updates += zip(tape.gradient(target, variables), variables, strict=True)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and replicas > 1:
            updates = _agree_on_overflow(updates)
        if self._largest_log_stddev is not None and "outputs" in tensors:
            found = self.posterior.log_stddev(tensors["outputs"])
            self._record_log_stddev(-found if self.inverts_stddev else found)
        self._record(whole, {name: loss / replicas for name, loss in sums.items()}, self.step)
        # The end of a data set is found inside the step: without this dependency the counters would advance although
        # reading the batch fails.
        with tf.control_dependencies(tf.nest.flatten(batch)):
            self.optimizer.apply(*map(list, zip(*updates, strict=True)))
            self.update_averages()
            self.step.assign_add(1)
        return self._logs()

    def test_step(self, data):
        """The players' losses on a batch, as in training but without a step."""
        batch = self.record(data)
        draws = self._draws(batch, STATISTICS)
        replicas = self.distribute_strategy.num_replicas_in_sync
        with draws.active():
            losses, added, sums, _ = self._play(batch, draws.codes(self.prior), draws)
        whole = {player: (loss + sum(added[player])) / replicas for player, loss in losses.items()}
        self._record(whole, {name: loss / replicas for name, loss in sums.items()})
        return self._logs()

    def _draws(self, batch, purpose=TRAINING, tracks=False):
        """This replica's draws of the next step."""
        context = tf.distribute.get_replica_context()
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        draws = Draws(self.seed, self.step, tf.shape(batch["x"])[0], purpose, replica, replicas)
        draws.tracks = tracks
        return draws

    def _record(self, losses, sums, step=None):
        """Adds the losses, summed over the replicas' shares, to their means; records losses that are not finite."""
        values = tf.stack([losses[player] for player in self.players] + list(sums.values()))
        if self.distribute_strategy.num_replicas_in_sync > 1:
            values = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
        for name, value in zip(self._means, tf.unstack(values), strict=True):
            self._means[name].update_state(value)
            if step is not None and name in self.first_bad_step:
                first = self.first_bad_step[name]
                fine = tf.math.is_finite(value) | (tf.convert_to_tensor(first) >= 0)
                first.assign(tf.where(fine, tf.convert_to_tensor(first), tf.convert_to_tensor(step)))

    def _record_log_stddev(self, found):
        """Records the largest of the log standard deviations `found` if it exceeds those of all earlier steps."""
        context = tf.distribute.get_replica_context()
        largest, replicas = tf.reduce_max(found), context.num_replicas_in_sync
        if replicas > 1:  # replicas can only be summed
            mine = tf.range(replicas) == context.replica_id_in_sync_group
            largest = tf.reduce_max(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(mine, largest, 0.0)))
        value, step = self._largest_log_stddev
        fine = tf.reduce_all([tf.convert_to_tensor(first) < 0 for first in self.first_bad_step.values()])
        grows = fine & (largest > tf.convert_to_tensor(value))
        step.assign(tf.where(grows, tf.convert_to_tensor(self.step), tf.convert_to_tensor(step)))
        value.assign(tf.where(grows, largest, tf.convert_to_tensor(value)))

    def _logs(self):
        logs = {metric.name: metric.result() for metric in self.metrics}
        if self.distribute_strategy.extended._in_multi_worker_mode():
            # keras#20585: with several workers fit reduces logs along axis 0, which a scalar lacks.
            logs = {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs


def _agree_on_overflow(updates):
    """Makes every replica skip the step when one replica's float16 gradients overflowed.

    Keras decides before the gradients are summed, and replica 0's decision applies to all: an overflow on another
    replica would reach the variables. No upstream report was found; keras#18666 is related.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in updates])
    context = tf.distribute.get_replica_context()
    overflows = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
    factor = tf.where(overflows > 0, float("nan"), 1.0)
    return [(gradient * tf.cast(factor, gradient.dtype), variable) for gradient, variable in updates]
