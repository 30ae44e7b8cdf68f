"""Layers and helpers that the families of networks share."""

import contextlib
import functools
import inspect
import threading
import zlib

import keras
import numpy as np
from keras import ops

from tf_bigan.errors import InputError
from tf_bigan.networks.kernels import fused_batch_norm, maxout

_tracking = threading.local()


@contextlib.contextmanager
def tracking_statistics():
    """Within this context, in this thread, batch norms with a momentum update their statistics in training mode.

    A training step makes the calls of its own forward pass within this context, and any further calls (for example
    those of a gradient penalty) outside of it, so that these do not change the running statistics.
    """
    before = getattr(_tracking, "active", False)
    _tracking.active = True
    try:
        yield
    finally:
        _tracking.active = before


def settings_of(experiment, dtype) -> tuple:
    """The arguments that the networks of every family take from an experiment whose sizes are all set.

    Returns a tuple of:
      The shape of D's and G's examples: (height, width, channels) of images, (dimensions,) of points.
      The dimensions of the code.
      The number of E's outputs: one per dimension of the code, or two (mean and log standard deviation) for a Gaussian.
      The keyword arguments that all networks have in common.
    """
    gaussian = experiment.posterior == "gaussian"
    shared = {
        "width": experiment.width,
        "sync_batch_norm": experiment.sync_batch_norm,
        "seed": experiment.seed,
        "dtype": dtype,
    }
    return experiment.example_shape, experiment.latent_dim, experiment.latent_dim * (2 if gaussian else 1), shared


def outputs_of(experiment, system) -> int:
    """The number of D's outputs: the classes of the data where D learns labels, else 1.

    Raises:
      InputError: the number of classes is not known yet; training reads it from the data.
    """
    if not (system.supervised or experiment.label_weight):
        return 1
    if experiment.classes < 2:
        raise InputError(
            f"a D that learns labels needs at least 2 classes, found classes={experiment.classes}; training reads "
            "their number from the data"
        )
    return experiment.classes


def discriminator_settings(experiment, system) -> dict:
    """The arguments of a D of convolutions, beyond those that all networks have in common.

    Args:
      experiment: an `Experiment` whose sizes are all set.
      system: the game's class.

    Raises:
      InputError: as in `outputs_of`, or unary scores of a D that sees no codes or learns labels.
    """
    outputs = outputs_of(experiment, system)
    if experiment.unary_scores and (outputs > 1 or not system.sees_codes):
        what = "learns labels" if outputs > 1 else "sees no codes"
        raise InputError(f"unary_scores needs a D that scores pairs, and that of this experiment {what}")
    return {"outputs": outputs, "norm": experiment.discriminator_norm, "unary": experiment.unary_scores}


def normal_initializer(stddev: float, seed: int, name: str) -> keras.initializers.Initializer:
    """N(0, stddev^2), drawn from (seed, name) alone, so that no two layers of a network have the same values."""
    return keras.initializers.RandomNormal(0.0, stddev, seed=layer_seed(seed, name))


def layer_seed(seed: int, name: str) -> int:
    """The seed of the layer called `name`, from the network's seed, so that no two layers draw the same numbers."""
    return zlib.crc32(f"{seed}/{name}".encode())


class Network(keras.Model):
    """A functional model whose config is the arguments of its constructor, defaults included.

    Args:
      inputs, outputs: as for `keras.Model`.
      **resolved: the actual values of the subclass's arguments that were given as placeholders, such as None for the
        paper's value.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)

    def __init__(self, inputs, outputs, **resolved):
        config = {**self._arguments, **resolved}
        super().__init__(inputs=inputs, outputs=outputs, name=config["name"])
        shapes = {name: tuple(value) for name, value in config.items() if name.endswith("_shape")}
        self._config = {**config, **shapes, "dtype": keras.dtype_policies.get(config["dtype"]).name}

    def get_config(self):
        """The constructor's arguments and, if layers are not trainable, their names as "untrained"."""
        untrained = [layer.name for layer in self.layers if not layer.trainable]
        return {**self._config, **({"untrained": untrained} if untrained else {})}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        untrained = config.pop("untrained", ())
        network = cls(**config)
        for name in untrained:
            network.get_layer(name).trainable = False
        return network


def _recording(init):
    """The constructor of a network that first records its arguments, defaults included.

    Where a network is subclassed, the last constructor to record is that of the class which makes the layers.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def recorded(self, *args, **kwargs):
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        arguments = dict(given.arguments)
        del arguments["self"]
        object.__setattr__(self, "_arguments", arguments)  # Keras' __setattr__ requires that its __init__ has run
        init(self, *args, **kwargs)

    recorded.__signature__ = signature  # Keras' Operation reads it without following wrappers
    return recorded


@keras.saving.register_keras_serializable("tf_bigan")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation with inference statistics that are estimated after training or, with a momentum, tracked.

    In training mode it normalises with the batch's mean and biased variance, over all axes except the last,
    and gradients flow through both. In inference mode it uses stored statistics:

    * Without a momentum, these are `mean` and `variance`: the equal-weight averages of the batch mean and of the
      unbiased batch variance over the training-mode calls made while `estimating` is true (the "deploy" pass of Donahue
      et al.'s code). Before any such call they are 0 and 1.
    * With a momentum m, these are the running averages `mean` and `stdev`, which start at 0 and 1. Each training-mode
      call within `tracking_statistics()` multiplies them by m and adds 1 - m times the batch's mean and its
      sqrt(biased variance + epsilon), averaged over replicas (Dumoulin et al.'s code, with m = 0.95).

    Statistics, gain and bias are float32 whatever the layer's precision.

    Args:
      affine: whether a learned gain (init 1) and bias (init 0) follow the normalisation.
      epsilon: added to the variance under the root; Donahue et al.'s code uses 1e-8, Dumoulin et al.'s 1e-4.
      synchronized: under a distribution strategy, compute the training statistics over all replicas.
      momentum: share of the running statistics that a call keeps, from 0 to 1; None = estimate them after training.
    """

    def __init__(self, affine=False, epsilon=1e-8, synchronized=False, momentum=None, **kwargs):
        super().__init__(**kwargs)
        self.affine = affine
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.momentum = momentum
        self.estimating = False

    @property
    def estimated(self) -> bool:
        """Whether the inference statistics are estimated after training rather than tracked in it."""
        return self.momentum is None

    @property
    def inverse_stdev(self):
        """What inference mode multiplies the centred inputs by, before gain and bias: float32 [channels]."""
        return ops.rsqrt(self.variance + self.epsilon) if self.estimated else 1.0 / self.stdev

    def build(self, input_shape):
        # Half precision would round a gain near 1 by more than it changes in many steps of training.
        float32 = {"shape": (input_shape[-1],), "autocast": False, "dtype": "float32"}
        if self.affine:
            self.gain = self.add_weight(name="gain", initializer="ones", **float32)
            self.bias = self.add_weight(name="bias", initializer="zeros", **float32)
        statistic = {**float32, "trainable": False}
        if not self.estimated:
            self.mean = self.add_weight(name="mean", initializer="zeros", aggregation="mean", **statistic)
            self.stdev = self.add_weight(name="stdev", initializer="ones", aggregation="mean", **statistic)
            return
        self.mean = self.add_weight(name="mean", initializer="zeros", **statistic)
        self.variance = self.add_weight(name="variance", initializer="ones", **statistic)
        # The number of batches that the two statistics are averages of; 0 = none yet.
        self.batches = self.add_weight(name="batches", initializer="zeros", **statistic | {"shape": ()})

    def call(self, x, training=False):
        if training and len(x.shape) == 4 and not self.synchronized:
            return self._fused(x)
        x32 = ops.cast(x, "float32")
        if training:
            axes = list(range(len(x.shape) - 1))
            mean, variance = ops.moments(x32, axes=axes, synchronized=self.synchronized)
            if self._updates_statistics():
                count = _count(x)
                unbiased = variance * count / ops.maximum(count - 1.0, 1.0)  # of one value the variance is 0
                self._update_statistics(mean, variance, unbiased)
            inverse_stdev = ops.rsqrt(variance + self.epsilon)
        else:
            mean, inverse_stdev = self.mean, self.inverse_stdev
        x32 = (x32 - mean) * inverse_stdev
        if self.affine:
            x32 = x32 * self.gain + self.bias
        return ops.cast(x32, self.compute_dtype)

    def _fused(self, x):
        """`call` in training mode for maps, with TensorFlow's fused kernel."""
        channels = x.shape[-1]
        gain = self.gain if self.affine else ops.ones((channels,))
        bias = self.bias if self.affine else ops.zeros((channels,))
        y, mean, unbiased = fused_batch_norm(x, gain, bias, self.epsilon)
        if self._updates_statistics():
            count = _count(x)
            self._update_statistics(mean, unbiased * (count - 1.0) / count, unbiased)
        return y

    def _updates_statistics(self):
        """Whether this training-mode call updates the inference statistics."""
        return self.estimating if self.estimated else getattr(_tracking, "active", False)

    def _update_statistics(self, mean, biased, unbiased):
        if self.estimated:
            batches = self.batches + 1.0
            self.batches.assign(batches)
            self.mean.assign(self.mean + (mean - self.mean) / batches)
            self.variance.assign(self.variance + (unbiased - self.variance) / batches)
        else:
            stdev = ops.sqrt(biased + self.epsilon)
            self.mean.assign(self.momentum * self.mean + (1.0 - self.momentum) * mean)
            self.stdev.assign(self.momentum * self.stdev + (1.0 - self.momentum) * stdev)

    def reset_statistics(self):
        """Discards the estimated statistics, so that the next estimate starts anew. Running averages do not change."""
        if self.estimated:
            self.batches.assign(0.0)
            self.mean.assign(ops.zeros_like(self.mean))
            self.variance.assign(ops.ones_like(self.variance))

    def get_config(self):
        return {
            **super().get_config(),
            "affine": self.affine,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            "momentum": self.momentum,
        }


def _count(x):
    """How many values each channel of `x` has, as a float32 scalar."""
    return ops.cast(ops.prod(ops.shape(x)[:-1]), "float32")


@keras.saving.register_keras_serializable("tf_bigan")
class Maxout(keras.layers.Layer):
    """The maximum of several linear pieces, for each unit (Goodfellow et al. 2013).

    float [..., pieces * units] -> float [..., units]. Unit u is the maximum of the channels u, units + u, 2 units + u
    and so on: the input is `pieces` blocks of `units` channels. The papers' code takes the maximum of `pieces` adjacent
    channels: its channel `pieces * u + p` is channel `p * units + u` here, and `from_adjacent` reorders its weights.
    Initial weights are drawn independently, so the order does not change the distribution of fresh networks. On CPUs
    blocks are several times as fast as adjacent channels.

    Where several pieces are the largest, the gradient goes to the first of them. The gradient is itself differentiable,
    as gradient penalties require.

    Args:
      pieces: number of channels per unit.
    """

    def __init__(self, pieces, **kwargs):
        super().__init__(**kwargs)
        self.pieces = pieces

    def call(self, x):
        return maxout(x, self.pieces)

    def compute_output_shape(self, shape):
        return (*shape[:-1], shape[-1] // self.pieces)

    def get_config(self):
        return {**super().get_config(), "pieces": self.pieces}

    def from_adjacent(self, weights):
        """Reorders weights [..., channels] with adjacent pieces, as in the papers' code, to the order used here."""
        weights = np.asarray(weights)
        units = weights.shape[-1] // self.pieces
        return weights.reshape(*weights.shape[:-1], units, self.pieces).swapaxes(-1, -2).reshape(weights.shape)


@keras.saving.register_keras_serializable("tf_bigan")
class OutputBias(keras.layers.Layer):
    """Adds a bias to each value of an example: in ALI's decoder, one for each pixel and channel.

    float [N, ...] -> float of the same shape. The bias is float32 and starts at 0; `set_mean` sets it from the mean of
    the data, as Dumoulin et al.'s code does.
    """

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=input_shape[1:], initializer="zeros", dtype="float32")

    def call(self, x):
        return x + self.bias

    def compute_output_shape(self, shape):
        return shape

    def set_mean(self, images):
        """Sets the bias to the log-odds of the mean of each pixel, so that a sigmoid of the bias alone gives the mean.

        Args:
          images: float [N, ...] in [0, 1]; the authors take 500. Means are clipped to [1e-7, 1 - 1e-7].
        """
        mean = np.clip(np.mean(np.asarray(images, np.float64), axis=0), 1e-7, 1.0 - 1e-7)
        self.bias.assign(np.log(mean) - np.log1p(-mean))
