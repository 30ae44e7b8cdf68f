"""The one train step of every system: several players, one forward pass, one simultaneous update."""

import contextlib
import enum
import itertools

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, nearest
from tf_bigan.games.optimizer import Adam
from tf_bigan.networks.layers import BatchNorm


class Stream(enum.IntEnum):
    """What noise is drawn for; each stream is independent of the others."""

    TRAINING = 0
    STATISTICS = 1
    GENERATE = 2


class Game(keras.Model):
    """Networks, a prior, and the players' losses; subclasses say what the losses are.

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
        super().__init__(name=name)
        self.prior = prior
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator
        self.seed = seed
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
        self._compiled = {}
        self._losses = {player: keras.metrics.Mean(name=f"{player}_loss") for player in self.players}
        self.built = True

    # -- what a system defines

    def play(self, x, z):
        """One shared forward pass in training mode.

        Args:
          x: float32 [N, H, W, C] images in [0, 1].
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

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The networks this system has, by role."""
        roles = {"encoder": self.encoder, "generator": self.generator, "discriminator": self.discriminator}
        return {role: network for role, network in roles.items() if network is not None}

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
    def image_shape(self):
        """(height, width, channels) of the images."""
        if self.encoder is not None:
            return tuple(self.encoder.input_shape[1:])
        return tuple(self.generator.output_shape[1:])

    @property
    def metrics(self):
        return list(self._losses.values())

    # -- training

    def compile(self, optimizer=None, steps_per_execution=1, jit_compile=False, **kwargs):
        """Prepares for `fit`.

        Args:
          optimizer: one Keras optimizer for all players; None = the papers' Adam with L2. float16 networks
            get it wrapped in a loss scale.
          steps_per_execution: training steps per call of the compiled function; 1 under a strategy with
            several replicas.
          jit_compile: compile the whole step with XLA (one device only).
          **kwargs: as for `keras.Model.compile`; losses and metrics are the game's own.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1:
            # keras#19246 and keras#18145: neither works in fit under MirroredStrategy.
            steps_per_execution, jit_compile = 1, False
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer) if optimizer is not None else Adam()
            half = any(
                layer.compute_dtype == "float16"
                for network in self.networks.values()
                for layer in network._flatten_layers(include_self=False)
            )
            if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            if replicas > 1 and (optimizer.gradient_accumulation_steps or 1) > 1:
                raise InputError(
                    "gradient_accumulation_steps does not work with several replicas (keras#20582); "
                    "use a larger batch or one replica"
                )
            super().compile(
                optimizer=optimizer,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=False,
                **kwargs,
            )
            # keras#20164: with a custom train_step the optimizer must be built before fit.
            self.optimizer.build([v for player in self.players for v in self.player_variables(player)])

    def fit(self, x=None, *args, statistics_steps=100, **kwargs):
        """Trains, then estimates the inference statistics of the batch norms.

        Args:
          x: images, float32 [N, H, W, C] in [0, 1], as an array or a `tf.data.Dataset` of full batches of
            images or of (images, labels); labels are ignored.
          statistics_steps: batches to estimate the statistics from; 0 = leave them as they are.
          *args, **kwargs: as for `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History`.

        Raises:
          InputError: the first batch's images have the wrong shape or values outside [0, 1], or an array has
            fewer of them than a batch.
        """
        if not isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset):
            batch_size = kwargs.pop("batch_size", None) or 32
            x = tf.data.Dataset.from_tensor_slices(x)
            if x.cardinality() < batch_size:
                raise InputError(f"x has {int(x.cardinality())} images, fewer than a batch of {batch_size}")
            if kwargs.pop("shuffle", True):
                x = x.shuffle(x.cardinality(), seed=self.seed)
            # A remainder split over replicas can leave one without images, and its loss NaN.
            x = x.batch(batch_size, drop_remainder=True)
        kwargs["shuffle"] = False  # a Dataset is in its own order; Keras warns of anything else
        if isinstance(x, tf.data.Dataset):
            for batch in x.take(1):
                self.check_images(_images(batch).numpy())
        history = super().fit(x, *args, **kwargs)
        if statistics_steps:
            self.estimate_statistics(x, statistics_steps)
        return history

    def train_step(self, data):
        x = _images(data)
        z = self._replica_noise(tf.shape(x)[0])
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
        self._record(losses, replicas)
        # A data set's end is found inside the step: without this the counters would run ahead of the failed read.
        with tf.control_dependencies([x]):
            self.optimizer.apply(*map(list, zip(*updates, strict=True)))
            self.step.assign_add(1)
        return self._logs()

    def _replica_noise(self, count):
        """This replica's part of the z drawn for the whole batch of this step."""
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        z = self.noise(count * context.num_replicas_in_sync, self.step)
        return z[replica * count : (replica + 1) * count]

    def noise(self, count, step, stream=Stream.TRAINING):
        """The z of a step: float32 [count, latent_dim], from (seed, stream, step) alone."""
        step = tf.cast(step, tf.int64) * len(Stream) + stream
        return self.prior.sample(count, tf.stack([tf.constant(self.seed, tf.int64), step]))

    def _record(self, losses, replicas):
        values = tf.stack([losses[player] for player in self.players])
        if replicas > 1:
            values = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
        for player, value in zip(self.players, tf.unstack(values), strict=True):
            self._losses[player].update_state(value)
            first = self.first_bad_step[player]
            fine = tf.math.is_finite(value) | (tf.convert_to_tensor(first) >= 0)
            first.assign(tf.where(fine, tf.convert_to_tensor(first), tf.convert_to_tensor(self.step)))

    def _logs(self):
        logs = {metric.name: metric.result() for metric in self.metrics}
        if self.distribute_strategy.extended._in_multi_worker_mode():
            # keras#20585: with several workers fit reduces logs along axis 0, which a scalar lacks.
            logs = {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs

    # -- inference statistics

    def estimate_statistics(self, dataset, steps=1000):
        """Re-estimates the batch norms' inference statistics from training-mode batches.

        Args:
          dataset: `tf.data.Dataset`, distributed or not, of batches as for `fit`.
          steps: how many batches to average over (the papers' code: 1000); fewer if the dataset ends.
        """
        norms = [
            layer
            for network in self.networks.values()
            for layer in network._flatten_layers()
            if isinstance(layer, BatchNorm)
        ]
        for norm in norms:
            norm.reset_statistics()

        @tf.function
        def estimate(x, step):
            self.observe(x, self.noise(tf.shape(x)[0], step, Stream.STATISTICS))

        with contextlib.ExitStack() as stack:
            for norm in norms:
                stack.enter_context(_estimating(norm))
            for step, batch in enumerate(itertools.islice(dataset, steps)):
                parts = self.distribute_strategy.experimental_local_results(_images(batch))
                estimate(tf.concat(parts, axis=0), tf.constant(step, tf.int64))

    # -- use

    def call(self, images, training=False):
        """The game as a Keras layer is its encoder, or the network that stands in for one."""
        return self.feature_network(images, training=training)

    @property
    def feature_network(self) -> keras.Model:
        """The network whose layers `features` returns: the encoder; without one, the discriminator."""
        return self.discriminator if self.encoder is None else self.encoder

    def encode(self, images, batch_size=512):
        """E(x): float [N, H, W, C] in [0, 1] -> float32 [N, latent_dim] codes in the prior's support.

        Raises:
          InputError: images of the wrong shape or range, or a system without an encoder.
        """
        return self.features(images, "code", batch_size)

    def features(self, images, layer="penultimate", batch_size=512):
        """A layer's activations in inference mode.

        Args:
          images: float [N, H, W, C] in [0, 1].
          layer: "penultimate" (the one before the output: the paper's features), "code" (what `encode`
            returns), or a layer's name, as listed by `layer_names`.
          batch_size: images at a time.

        Returns:
          float32 [N, ...].

        Raises:
          InputError: images of the wrong shape or range, or an unknown layer.
        """
        function = self.feature_function(layer)
        self.check_images(images)
        return self._batched(function, images, batch_size)

    def feature_function(self, layer="penultimate"):
        """`features` as a compiled function of one batch: float32 tensor [N, H, W, C] -> float32 [N, ...]."""
        if layer == "code":
            self._require("encoder", "encode")
            return self._compile("code", lambda x: self.prior.code(self.encoder(x, training=False)), self.image_shape)
        network = self.feature_model(layer)
        return self._compile(layer, lambda x: tf.cast(network(x, training=False), tf.float32), self.image_shape)

    def feature_model(self, layer="penultimate") -> keras.Model:
        """The part of the feature network up to `layer`, sharing its weights: images -> activations."""
        network = self.feature_network
        name = network.penultimate if layer == "penultimate" else layer
        if name not in self.layer_names:
            raise InputError(f"unknown layer {layer!r}.{nearest(layer, ['penultimate', 'code', *self.layer_names])}")
        inputs = network.inputs[0] if len(network.inputs) > 1 else network.input
        return keras.Model(inputs, network.get_layer(name).output, name=f"{network.name}_{name}")

    @property
    def layer_names(self) -> list[str]:
        """The layers that `features` can return, from the images up."""
        return [layer.name for layer in self.feature_network.layers[1:]]

    def generate(self, count=None, seed=0, z=None, batch_size=512):
        """G(z): float32 images [N, H, W, C] in [0, 1].

        Args:
          count: how many to draw from the prior, from `seed`; or
          z: float [N, latent_dim], the codes to decode.
          seed: the same seed gives the same images.
          batch_size: images at a time.

        Raises:
          InputError: neither or both of count and z, or z of the wrong shape.
        """
        if (count is None) == (z is None):
            raise InputError("generate takes either a count or z")
        if z is None:
            if count < 0:
                raise InputError(f"count must be at least 0, found {count}")
            z = self.noise(count, seed, Stream.GENERATE)
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.prior.latent_dim:
            raise InputError(f"z must have shape [N, {self.prior.latent_dim}], got {list(z.shape)}")
        decode = self._compile(
            "generate", lambda z: tf.cast(self.generator(z, training=False), tf.float32), (self.prior.latent_dim,)
        )
        return self._batched(decode, z, batch_size)

    def reconstruct(self, images, batch_size=512):
        """G(E(x)): float [N, H, W, C] in [0, 1] -> float32 of the same shape and range.

        Raises:
          InputError: as `encode`.
        """
        return self.generate(z=self.encode(images, batch_size), batch_size=batch_size)

    def _compile(self, key, function, shape):
        """`function` of a float32 batch of `shape`, traced once per key."""
        if key not in self._compiled:
            signature = [tf.TensorSpec((None, *shape), tf.float32)]
            self._compiled[key] = tf.function(function, input_signature=signature)
        return self._compiled[key]

    def _batched(self, function, inputs, batch_size):
        """`function` over `inputs`, a batch at a time, as one numpy array."""
        inputs = np.asarray(inputs, np.float32)
        starts = range(0, max(len(inputs), 1), batch_size)
        return np.concatenate([function(inputs[i : i + batch_size]).numpy() for i in starts])

    def _require(self, role, what):
        if role not in self.networks:
            raise InputError(f"{self.name} has no {role}, so it cannot {what}")

    def check_images(self, images):
        """Raises InputError unless `images` are finite numbers [N, H, W, C] in [0, 1] of this game's shape."""
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            want = ", ".join(map(str, self.image_shape))
            raise InputError(f"images must have shape [N, {want}], got {list(images.shape)}")
        if not np.issubdtype(images.dtype, np.floating):
            raise InputError(f"images must be float in [0, 1], got {images.dtype}; divide uint8 by 255")
        if not images.size:
            return
        low, high = images.min(), images.max()  # NaN if any is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError("images contain NaN or infinite pixels")
        if low < 0 or high > 1:
            raise InputError(f"image values must lie in [0, 1], got [{low:.6g}, {high:.6g}]")


def _images(batch):
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
