"""The one train step of every system: several players, one forward pass, one simultaneous update."""

import contextlib
import itertools

import keras
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.games.optimizer import Adam
from tf_bigan.games.pair_model import PairModel, Stream
from tf_bigan.networks.layers import BatchNorm

# Under these, whatever their number of replicas, Keras runs single steps without XLA.
MIRRORED = tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy


class Game(PairModel):
    """A model in training: networks, a prior, and the players' losses; subclasses say what the losses are.

    A training step draws z, runs one shared forward pass (`play`), takes each player's gradient with
    respect to that player's own variables, and applies all updates at once, at the old parameter values.
    z at step s is drawn from (seed, s) for the whole batch, and every replica takes its own part of it: two
    replicas never see the same z, and a resumed run draws what it would have drawn.

    Subclasses define `players`, `play` and `observe`.

    Args:
      prior: p(z), from `tf_bigan.priors`.
      encoder, generator, discriminator: the networks, those that the system has. Made in the scope of the
        distribution strategy they will train under, as the game itself.
      seed: of the noise.
    """

    # Player -> the names of the networks whose variables it moves.
    players: dict[str, tuple[str, ...]] = {}

    def __init__(self, prior, encoder=None, generator=None, discriminator=None, seed=0, name=None):
        super().__init__(prior, encoder, generator, discriminator, seed, name)
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
        self._loss_means = {player: keras.metrics.Mean(name=f"{player}_loss") for player in self.players}
        self.built = True

    # -- what a system defines

    def play(self, x, z):
        """One shared forward pass in training mode.

        Args:
          x: float32 [N, H, W, C] images in [0, 1]; where `reduces`, a pair: E's, and the smaller ones of D and G.
          z: float32 [N, latent_dim] prior samples.

        Returns:
          {player: its float32 scalar loss, a mean over the N}.
        """
        raise NotImplementedError

    def observe(self, x, z):
        """Runs each network in training mode on what its inference statistics are to describe.

        That is the real data for E and D and the prior for G, whatever they see in training
        (Donahue et al.'s code). Arguments as for `play`.
        """
        raise NotImplementedError

    # -- structure

    def player_variables(self, player: str):
        """The trainable variables that `player` owns."""
        return [v for role in self.players[player] for v in self.networks[role].trainable_variables]

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
        return list(self._loss_means.values())

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
          x: images, float32 [N, H, W, C] in [0, 1], as an array or a `tf.data.Dataset` of batches of images, of
            (images, labels) or of {"image": images, ...}. With several replicas, batches that they cannot share
            equally are left out.
          y: labels; ignored.
          batch_size: images a step, over all replicas, if x is an array; None = 32.
          epochs: passes over x.
          statistics_steps: batches to estimate the statistics from; 0 = leave them as they are.
          **kwargs: as for `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History`.

        Raises:
          InputError: x is neither or empty, its first batch's images have the wrong shape or values outside [0, 1], an
            array has fewer of them than a batch, or batches do not divide by the replicas.
        """
        if "validation_split" in kwargs:
            raise InputError("validation_split is not supported; give validation_data")
        replicas = self.distribute_strategy.num_replicas_in_sync
        batch_size = batch_size or 32
        if not isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset):
            if not hasattr(x, "shape"):
                raise InputError(f"x must be an array of images or a tf.data.Dataset, found {type(x).__name__}")
            x = tf.data.Dataset.from_tensor_slices(x)
            if x.cardinality() < batch_size:
                raise InputError(f"x has {int(x.cardinality())} images, fewer than a batch of {batch_size}")
            if kwargs.pop("shuffle", True):
                x = x.shuffle(x.cardinality(), seed=self.seed)
            x = x.batch(batch_size, drop_remainder=True)
        kwargs["shuffle"] = False  # a Dataset is in its own order; Keras warns of anything else
        if isinstance(x, tf.data.Dataset):
            first = next(iter(x), None)
            if first is None:
                raise InputError("x is empty")
            self.check_images(_images(first).numpy())
            size = _images(x.element_spec).shape[0]
            if size is None and replicas > 1:
                # Keras splits a remainder so that a replica can get no images, and its loss is NaN.
                x = x.filter(lambda *batch: tf.shape(_images(batch[0]))[0] % replicas == 0)
            elif size is not None and size % replicas:
                raise InputError(f"batches of {size} images cannot be shared equally by {replicas} replicas")
            if self.reduces:  # in the input pipeline, beside the steps
                x = x.map(lambda *batch: dict(zip(_VIEWS, self.views(batch[0]), strict=True)), tf.data.AUTOTUNE)
        history = super().fit(x, epochs=epochs, **kwargs)
        if statistics_steps:
            self.estimate_statistics(x, statistics_steps)
        return history

    def views(self, batch):
        """What `play` and `observe` get of a batch: its images, or (images, reduced) where `reduces`."""
        if self.reduces and isinstance(batch, dict) and "reduced" in batch:
            return tuple(batch[name] for name in _VIEWS)
        x = _images(batch)
        return (x, self.reduced(x)) if self.reduces else x

    def train_step(self, data):
        x = self.views(data)
        z = self._replica_noise(_count(x))
        replicas = self.distribute_strategy.num_replicas_in_sync
        with tf.GradientTape(persistent=True) as tape:
            # Optimizers sum gradients over replicas; each replica's share of the mean is a 1/replicas of it.
            losses = {player: loss / replicas for player, loss in self.play(x, z).items()}
            scaled = {player: self.optimizer.scale_loss(loss) for player, loss in losses.items()}
        updates = []
        for player in self.players:
            variables = self.player_variables(player)
            updates += zip(tape.gradient(scaled[player], variables), variables, strict=True)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and replicas > 1:
            updates = _agree_on_overflow(updates)
        self._record(losses, self.step)
        # A data set's end is found inside the step: without this the counters would run ahead of the failed read.
        with tf.control_dependencies(tf.nest.flatten(x)):
            self.optimizer.apply(*map(list, zip(*updates, strict=True)))
            self.step.assign_add(1)
        return self._logs()

    def test_step(self, data):
        """The players' losses on a batch, as in training but without a step."""
        x = self.views(data)
        z = self._replica_noise(_count(x), Stream.STATISTICS)
        replicas = self.distribute_strategy.num_replicas_in_sync
        self._record({player: loss / replicas for player, loss in self.play(x, z).items()})
        return self._logs()

    def _replica_noise(self, count, stream=Stream.TRAINING):
        """This replica's part of the z drawn for the whole batch of this step."""
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        z = self.noise(count * context.num_replicas_in_sync, self.step, stream)
        return z[replica * count : (replica + 1) * count]

    def _record(self, losses, step=None):
        """Adds this replica's shares of the losses to their means; notes bad ones of a training step."""
        values = tf.stack([losses[player] for player in self.players])
        if self.distribute_strategy.num_replicas_in_sync > 1:
            values = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
        for player, value in zip(self.players, tf.unstack(values), strict=True):
            self._loss_means[player].update_state(value)
            if step is not None:
                first = self.first_bad_step[player]
                fine = tf.math.is_finite(value) | (tf.convert_to_tensor(first) >= 0)
                first.assign(tf.where(fine, tf.convert_to_tensor(first), tf.convert_to_tensor(step)))

    def _logs(self):
        logs = {metric.name: metric.result() for metric in self.metrics}
        if self.distribute_strategy.extended._in_multi_worker_mode():
            # keras#20585: with several workers fit reduces logs along axis 0, which a scalar lacks.
            logs = {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs

    # -- inference statistics

    def estimate_statistics(self, dataset, steps=1000, networks=None):
        """Re-estimates the batch norms' inference statistics from training-mode batches.

        Args:
          dataset: `tf.data.Dataset`, distributed or not, of batches as for `fit`.
          steps: how many batches to average over (the papers' code: 1000); fewer if the dataset ends.
          networks: those of the game's whose norms are meant; None = all.
        """
        norms = [
            layer
            for network in networks or self.networks.values()
            for layer in network._flatten_layers()
            if isinstance(layer, BatchNorm)
        ]
        for norm in norms:
            norm.reset_statistics()

        @tf.function
        def estimate(images, step):
            self.observe(self.views(images), self.noise(tf.shape(images)[0], step, Stream.STATISTICS))

        with contextlib.ExitStack() as stack:
            for norm in norms:
                stack.enter_context(_estimating(norm))
            for step, batch in enumerate(itertools.islice(dataset, steps)):
                parts = self.distribute_strategy.experimental_local_results(_images(batch))
                estimate(tf.concat(parts, axis=0), tf.constant(step, tf.int64))


_VIEWS = ("image", "reduced")


def _count(x):
    return tf.shape(tf.nest.flatten(x)[0])[0]


def _images(batch):
    if isinstance(batch, dict):  # as TFDS has it
        return batch["image"]
    return batch[0] if isinstance(batch, tuple | list) else batch


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


@contextlib.contextmanager
def _estimating(norm):
    norm.estimating = True
    try:
        yield
    finally:
        norm.estimating = False
