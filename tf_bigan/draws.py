"""Everything random in a step is drawn from (seed, step, replica, name) and nothing else.

A `Draws` belongs to one step. Each kind of draw has a name, and the name is hashed into the random key, so that a
draw that is added later changes no other. The numbers of an example depend on its place in the global batch: two
replicas of n examples draw the numbers that one replica of 2n examples draws, and no two replicas draw the same
numbers.

Layers that draw, such as dropout, get the `Draws` of the step that is being traced from `current()`.
"""

import contextlib
import hashlib
import math
import threading

import tensorflow as tf

from tf_bigan.errors import InputError

TRAINING, STATISTICS, GENERATION = "training", "statistics", "generation"

# Published runs drew their codes from (seed, 3 * step + number), before draws had names. Codes are still drawn in this
# way, so that those runs can be repeated.
_NUMBERED = {TRAINING: 0, STATISTICS: 1, GENERATION: 2}
_NUMBERS = 3  # fixed by those runs, however many purposes there are now

_PHILOX = 1  # TensorFlow's number for the algorithm
_BLOCK = 4  # numbers of 32 bits that Philox gives per value of its counter

_active = threading.local()


class Draws:
    """The random numbers of one step of one replica.

    Args:
      seed: seed of the run, 0 ... 2^32 - 1.
      step: training step, an int or an int64 scalar.
      count: number of this replica's examples, an int or an int32 scalar.
      purpose: `TRAINING`, `STATISTICS` or `GENERATION`; each draws numbers of its own.
      replica, replicas: this replica's number, and the number of replicas, which all have `count` examples.
    """

    def __init__(self, seed, step, count, purpose=TRAINING, replica=0, replicas=1):
        self.seed, self.step, self.count, self.purpose = seed, tf.cast(step, tf.int64), count, purpose
        self.replica, self.replicas = replica, replicas
        self.tracks = False  # whether this step updates running statistics
        self._parts = 1
        self._scope = ""
        self._used = {}

    def codes(self, prior):
        """This replica's part of the z of the global batch: float32 [count, latent_dim] from `prior`."""
        pair = tf.stack([tf.constant(self.seed, tf.int64), self.step * _NUMBERS + _NUMBERED[self.purpose]])
        drawn = prior.sample(self.count * self.replicas, pair)
        return drawn[self.replica * self.count : (self.replica + 1) * self.count]

    def bits(self, name, shape):
        """Random bits: uint32 [count, *shape], the same whether XLA compiles the draw or not.

        Within `parts(k)` they are [k * count, *shape].
        """
        parts = [self._bits(f"{name}/{part}" if part else name, shape) for part in range(self._parts)]
        return parts[0] if len(parts) == 1 else tf.concat(parts, 0)

    def uniform(self, name, shape):
        """Numbers drawn uniformly from [0, 1), multiples of 2^-24: float32 [count, *shape]."""
        return tf.cast(tf.bitwise.right_shift(self.bits(name, shape), tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24

    def normal(self, name, shape):
        """Numbers from N(0, 1): float32 [count, *shape]."""
        drawn = tf.cast(tf.bitwise.right_shift(self.bits(name, shape), tf.constant(9, tf.uint32)), tf.float32)
        return tf.math.ndtri((drawn + 0.5) * 2.0**-23)

    def once(self, name):
        """A distinct name for each use of `name` in this step, for layers that run several times in a step.

        Within a scope the uses are counted separately, and the names begin with the scope's name.
        """
        name = self._scope + name
        self._used[name] = self._used.get(name, 0) + 1
        return name if self._used[name] == 1 else f"{name}#{self._used[name]}"

    @contextlib.contextmanager
    def scope(self, name):
        """Within this context, `once` gives names that begin with `name`, so that terms do not affect others' draws."""
        self._scope, before = f"{name}/", self._scope
        try:
            yield
        finally:
            self._scope = before

    @contextlib.contextmanager
    def parts(self, number):
        """Within this context, layers get `number` batches of `count` examples, concatenated along the batch axis."""
        self._parts, before = number, self._parts
        try:
            yield
        finally:
            self._parts = before

    @contextlib.contextmanager
    def active(self):
        """Within this context, in this thread, `current()` returns this `Draws`."""
        before = getattr(_active, "draws", None)
        _active.draws = self
        try:
            yield self
        finally:
            _active.draws = before

    def _bits(self, name, shape):
        size = math.prod(shape)
        blocks = -(-size // _BLOCK)  # per example; whole blocks, so that each example begins at a known counter
        first = tf.cast(self.replica, tf.int64) * tf.cast(self.count, tf.int64) * blocks
        drawn = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=tf.stack([self.count, blocks * _BLOCK]),
            key=tf.constant([_key(self.seed, self.purpose, name)], tf.uint64),
            counter=tf.cast(tf.stack([first, self.step]), tf.uint64),
            alg=_PHILOX,
            dtype=tf.uint32,
        )
        return tf.reshape(drawn[:, :size], tf.concat([[self.count], tf.constant(shape, tf.int32)], 0))


def current() -> Draws:
    """The `Draws` of the step that is running. Raises InputError outside of a step."""
    draws = getattr(_active, "draws", None)
    if draws is None:
        raise InputError(
            "a layer with random numbers ran in training mode outside of a game's step; "
            "wrap the call: with tf_bigan.draws.Draws(seed, step, count).active(): ..."
        )
    return draws


def _key(seed, purpose, name) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()[:8], "little")
