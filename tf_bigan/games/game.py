"""The one train step of every system: several players, one forward pass, one simultaneous update."""

import contextlib

import keras
import tensorflow as tf

from tf_bigan.domains import whole_number
from tf_bigan.draws import STATISTICS, TRAINING, Draws
from tf_bigan.errors import InputError
from tf_bigan.games.optimizer import Adam
from tf_bigan.games.pair_model import asked_inputs, fits
from tf_bigan.games.records import CONDITIONS, as_dataset, checked_condition, record_of
from tf_bigan.games.statistics import estimate_statistics, estimated_norms, follow_statistics
from tf_bigan.games.system import System
from tf_bigan.networks.layers import tracking_statistics

# Under these, whatever their number of replicas, Keras runs single steps without XLA.
MIRRORED = tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy


class Game(System):
    """A system in training.

    A training step draws z and runs one shared forward pass (`forward`), which gives named tensors. Each player has a
    loss of those (`player_losses`, and what terms add) and its gradient in that player's own variables. All updates are
    applied at once, at the old parameter values. Everything random in step s is drawn from (seed, s) for the whole
    batch, and every replica takes its own part of it: two replicas never draw the same, and a resumed run draws what it
    would have drawn.

    Args:
      networks: role -> network, made in the scope of the distribution strategy they will train under, as the game
        itself. Terms bring theirs.
      prior: p(z), from `tf_bigan.priors`.
      terms: what else players minimise, from `tf_bigan.games.terms`; those of weight 0 are left out.
      posterior: how E's output becomes a code, from `tf_bigan.priors`, or its name; None = the prior's own.
      objective: of D and its opponents, from `tf_bigan.games.objectives`, or "relativistic"; None or "paper" = the
        system's own.
      seed: of everything random.

    Raises:
      InputError: networks that are missing or do not fit, terms that do not go with the system, or arguments of another
        type.
    """

    def __init__(self, networks, prior, terms=(), posterior=None, objective=None, seed=0, name=None):
        super().__init__(networks, prior, terms, posterior, objective, seed, name)
        counter = {"shape": (), "dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        # Training steps done: the position in the data and in the noise.
        self.step = self.add_weight(name="step", initializer="zeros", **counter)
        # Per player, the first step whose loss was not finite; -1 = none so far.
        self.first_bad_step = {
            player: self.add_weight(
                name=f"{player}_first_bad_step", initializer=keras.initializers.Constant(-1), **counter
            )
            for player in self.players
        }
        recorded = [*self.players, *(term.name for term in self.terms)]
        self._means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in recorded}
        self.built = True

    @property
    def steps_done(self) -> int:
        """Training steps done."""
        return int(self.step.value.numpy())  # int(step) fails for a mirrored variable

    @property
    def bad_steps(self) -> dict[str, int]:
        """Player -> the first step at which its loss was not finite, for players with one."""
        steps = {player: int(first.value.numpy()) for player, first in self.first_bad_step.items()}
        return {player: step for player, step in steps.items() if step >= 0}

    @property
    def metrics(self):
        return list(self._means.values())

    # -- training

    def compile(self, optimizer=None, *, steps_per_execution=1, jit_compile=False, **kwargs):
        """Prepares for `fit` and `evaluate`.

        Args:
          optimizer: one Keras optimizer for all players; None = the papers' Adam with L2. float16 networks
            get it wrapped in a loss scale.
          steps_per_execution: training steps per call of the compiled function; 1 under mirrored strategies and
            with several replicas.
          jit_compile: compile the whole step with XLA (one device only).
          **kwargs: as for `keras.Model.compile`, without losses and metrics, which are the game's own.

        Raises:
          InputError: an optimizer that accumulates gradients, with several replicas.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 or isinstance(self.distribute_strategy, MIRRORED):
            # keras#19246 and keras#18145: neither works in fit under MirroredStrategy.
            steps_per_execution, jit_compile = 1, False
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer) if optimizer is not None else Adam()
            if tf.distribute.has_strategy() and not optimizer.built:
                # One that was made outside of the strategy's scope has variables that cannot be used within.
                optimizer = type(optimizer).from_config(optimizer.get_config())
            accumulates = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps or 1
            if replicas > 1 and accumulates > 1:
                raise InputError(
                    "gradient_accumulation_steps does not work with several replicas (keras#20582); "
                    "use a larger batch or one replica"
                )
            half = any(
                layer.compute_dtype == "float16"
                for network in self.networks.values()
                for layer in network._flatten_layers(include_self=False)
            )
            if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            super().compile(
                optimizer=optimizer,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=False,
                **kwargs,
            )
            # keras#20164: with a custom train_step the optimizer must be built before fit.
            self.optimizer.build([v for player in self.players for v in self.player_variables(player)])

    def fit(self, x=None, y=None, batch_size=None, epochs=1, *, statistics_steps=100, **kwargs):
        """Trains, then estimates the inference statistics of the batch norms.

        Args:
          x: examples in the model's domain, as images float32 [N, H, W, C] in [0, 1]: an array, a dictionary of arrays
            as {"x": ..., "label": ..., "attributes": ...}, or batches of examples, of (examples, labels) or of such
            dictionaries, as a `tf.data.Dataset`, a generator or a `keras.utils.PyDataset`. With several replicas, a
            dataset's batches that they cannot share equally are left out.
          y: int [N] labels, if x is an array; -1 = none. Truth values and floats that are whole are labels, too.
          batch_size: examples a step, over all replicas, if x is an array; None = 32.
          epochs: passes over x.
          statistics_steps: batches to estimate the statistics from; 0 = leave them as they are. A generator's are not
            estimated, as what it gave is gone.
          **kwargs: as for `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History`.

        Raises:
          InputError: x is none of these or empty, labels come with anything but an array, examples have the wrong
            shape or range, an array has fewer of them than a batch, batches do not divide by the replicas, or labels
            or attributes are missing, do not fit or are none. Of batches only the first is looked at.
        """
        if "validation_split" in kwargs:
            raise InputError("validation_split is not supported; give validation_data")
        replicas = self.distribute_strategy.num_replicas_in_sync
        batch_size = 32 if batch_size is None else whole_number(batch_size, "batch_size", 1)
        statistics_steps = whole_number(statistics_steps, "statistics_steps", 0)
        x, first = as_dataset(x, y, batch_size, kwargs.pop("shuffle", True), self.seed)
        if first is not None:
            self.check_record(first)
        if isinstance(x, tf.data.Dataset):
            size = record_of(x.element_spec)["x"].shape[0]
            if size is None and replicas > 1:
                # Keras splits a remainder so that a replica can get no examples, and its loss is NaN.
                x = x.filter(lambda *batch: tf.shape(_examples(batch))[0] % replicas == 0)
            elif size is not None and size % replicas:
                raise InputError(f"batches of {size} examples cannot be shared equally by {replicas} replicas")
            # In the input pipeline, beside the steps.
            x = x.map(lambda *batch: self.record(batch[0] if len(batch) == 1 else batch), tf.data.AUTOTUNE)
        again = isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset | keras.utils.PyDataset)
        if not isinstance(x, keras.utils.PyDataset):
            kwargs["shuffle"] = False  # what comes in batches is in its own order; Keras warns of anything else
        history = super().fit(x, epochs=epochs, **kwargs)
        if statistics_steps and again:
            batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
            self.estimate_statistics(batches, statistics_steps)
        return history

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: all is built. Keras' own averages a batch over replicas, which a record over workers cannot be."""

    def record(self, batch) -> dict:
        """A batch in any form that `fit` takes as a record, with "reduced" images where E takes larger ones than D."""
        record = record_of(batch)
        if self.reduces and "reduced" not in record:
            record["reduced"] = self.reduced(record["x"])
        return record

    def check_record(self, record):
        """Raises InputError unless a record of arrays has all that training needs, in the right shapes."""
        self.domain.check(record["x"])
        for name in dict.fromkeys((*self.needs, *self.conditions)):
            if record.get(name) is None:
                raise InputError(
                    f"{self.name} needs {name if name == 'attributes' else 'labels'}, and the data has none; "
                    "give fit(x, labels), or batches that are dictionaries"
                )
        for name in CONDITIONS:
            if record.get(name) is not None:
                self._check_condition(name, record[name], len(record["x"]))

    def _check_condition(self, name, values, count):
        """Raises InputError unless `values` are a label or attributes of `count` examples, as networks take them."""
        called = "labels" if name == "label" else name
        taken = [(network.name, asked_inputs(network).get(name)) for network in self.networks.values()]
        shapes = [(network, tuple(tensor.shape[1:])) for network, tensor in taken if tensor is not None]
        shape = shapes[0][1] if shapes else None
        found = checked_condition(name, values, shape, needed=name in self.needs or bool(shapes)).shape
        if not found or found[0] != count:
            raise InputError(f"{count} examples came with {called} of shape {list(found)}")
        for network, wanted in shapes:
            if not fits(found[1:], wanted):
                raise InputError(
                    f"the {network} takes {name} of shape {list(wanted)} an example, got {list(found[1:])}"
                )
        if not shapes and len(found) != (1 if name == "label" else 2):
            wanted = "[N]" if name == "label" else "[N, k]"
            raise InputError(f"{called} must have shape {wanted}, got {list(found)}")

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
            losses, added, _ = self._play(batch, z, draws)
        return {player: loss + sum(added[player]) for player, loss in losses.items()}

    def _play(self, batch, z, draws):
        """({player: loss before terms of others}, {player: [what terms add to it]}, {term: its sum})."""
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
                for player in self.owners(roles):
                    if player in losses:
                        added[player].append(loss)
                    else:
                        losses[player] = loss
            sums[term.name] = sum(loss for roles, loss in found.items() if not set(roles) & set(term.networks))
        return losses, added, sums

    def train_step(self, data):
        batch = self.record(data)
        draws = self._draws(batch, tracks=True)
        z = draws.codes(self.prior)
        replicas = self.distribute_strategy.num_replicas_in_sync
        with draws.active(), tf.GradientTape(persistent=True) as tape:
            # Optimizers sum gradients over replicas; each replica's share of the mean is a 1/replicas of it.
            losses, added, sums = self._play(batch, z, draws)
            whole = {player: (loss + sum(added[player])) / replicas for player, loss in losses.items()}
            # What each tuple of players takes its gradients of.
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
        self._record(whole, {name: loss / replicas for name, loss in sums.items()}, self.step)
        # A data set's end is found inside the step: without this the counters would run ahead of the failed read.
        with tf.control_dependencies(tf.nest.flatten(batch)):
            self.optimizer.apply(*map(list, zip(*updates, strict=True)))
            self.step.assign_add(1)
        return self._logs()

    def test_step(self, data):
        """The players' losses on a batch, as in training but without a step."""
        batch = self.record(data)
        draws = self._draws(batch, STATISTICS)
        replicas = self.distribute_strategy.num_replicas_in_sync
        with draws.active():
            losses, added, sums = self._play(batch, draws.codes(self.prior), draws)
        whole = {player: (loss + sum(added[player])) / replicas for player, loss in losses.items()}
        self._record(whole, {name: loss / replicas for name, loss in sums.items()})
        return self._logs()

    def _draws(self, batch, purpose=TRAINING, tracks=False):
        """This replica's draws of the step to come."""
        context = tf.distribute.get_replica_context()
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        draws = Draws(self.seed, self.step, tf.shape(batch["x"])[0], purpose, replica, replicas)
        draws.tracks = tracks
        return draws

    def _record(self, losses, sums, step=None):
        """Adds this replica's shares of the losses to their means; notes bad ones of a training step."""
        values = tf.stack([losses[player] for player in self.players] + [sums[term.name] for term in self.terms])
        if self.distribute_strategy.num_replicas_in_sync > 1:
            values = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
        for name, value in zip(self._means, tf.unstack(values), strict=True):
            self._means[name].update_state(value)
            if step is not None and name in self.first_bad_step:
                first = self.first_bad_step[name]
                fine = tf.math.is_finite(value) | (tf.convert_to_tensor(first) >= 0)
                first.assign(tf.where(fine, tf.convert_to_tensor(first), tf.convert_to_tensor(step)))

    def _logs(self):
        logs = {metric.name: metric.result() for metric in self.metrics}
        if self.distribute_strategy.extended._in_multi_worker_mode():
            # keras#20585: with several workers fit reduces logs along axis 0, which a scalar lacks.
            logs = {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs

    # -- inference statistics

    @property
    def estimates_statistics(self) -> bool:
        """Whether a network has batch norms whose inference statistics are estimated after training."""
        return bool(estimated_norms(self.networks.values()))

    def follow_statistics(self, dataset, steps):
        """Lets the running averages of batch norms follow `steps` training-mode batches, without training.

        Args:
          dataset: batches as for `fit`.
          steps: how many; fewer if the dataset ends.
        """
        follow_statistics(self, dataset, steps)

    def estimate_statistics(self, dataset, steps=1000, networks=None):
        """Re-estimates the batch norms' inference statistics from training-mode batches.

        Batch norms that keep running averages are left as they are.

        Args:
          dataset: batches as for `fit`; a `tf.data.Dataset`, distributed or not, or any iterable.
          steps: how many batches to average over (the papers' code: 1000); fewer if the dataset ends.
          networks: those of the game's whose norms are meant; None = all.

        Returns:
          `steps`; 0 where no batch norm is estimated.
        """
        networks = list(networks or self.networks.values())
        if not estimated_norms(networks):
            return 0
        estimate_statistics(self, dataset, steps, networks)
        return steps


def _examples(batch):
    return record_of(batch[0] if len(batch) == 1 else batch)["x"]


def _agree_on_overflow(updates):
    """Makes every replica skip the step when one replica's float16 gradients overflowed.

    Keras decides before the gradients are summed, and replica 0's verdict wins: an overflow elsewhere
    would reach the variables. No upstream report was found; keras#18666 is its neighbour.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in updates])
    context = tf.distribute.get_replica_context()
    overflows = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
    factor = tf.where(overflows > 0, float("nan"), 1.0)
    return [(gradient * tf.cast(factor, gradient.dtype), variable) for gradient, variable in updates]
