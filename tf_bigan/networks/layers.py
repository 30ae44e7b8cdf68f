"""What the network families share."""

import zlib

import keras
import tensorflow as tf
from keras import ops


def normal_initializer(stddev: float, seed: int, name: str) -> keras.initializers.Initializer:
    """N(0, stddev^2), drawn from (seed, name) alone: no two layers of a network share their values."""
    return keras.initializers.RandomNormal(0.0, stddev, seed=layer_seed(seed, name))


def layer_seed(seed: int, name: str) -> int:
    """The seed of a layer called `name`, of the network's: no two layers draw alike."""
    return zlib.crc32(f"{seed}/{name}".encode())


class Network(keras.Model):
    """A functional model that the arguments it was made with describe.

    Args:
      inputs, outputs: as of `keras.Model`.
      **config: what `get_config` returns; "name" among it.
    """

    def __init__(self, inputs, outputs, **config):
        super().__init__(inputs=inputs, outputs=outputs, name=config["name"])
        self._config = config

    def get_config(self):
        return dict(self._config)


@keras.saving.register_keras_serializable("tf_bigan")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation whose inference statistics are estimated afterwards, not tracked while training.

    In training mode it normalises with the batch's mean and biased variance, over all axes but the last,
    and gradients flow through both. In inference mode it uses `mean` and `variance`. They are the
    equal-weight averages, over the training-mode calls made while `estimating` is true, of the batch mean
    and the unbiased batch variance (the "deploy" pass of Donahue et al.'s code). Until then they are 0 and 1.

    Statistics, gain and bias are float32 whatever the layer's precision.

    Args:
      affine: whether a learned gain (init 1) and bias (init 0) follow.
      epsilon: added to the variance under the root; the paper's code uses 1e-8.
      synchronized: under a distribution strategy, take the training statistics over all replicas.
    """

    def __init__(self, affine=False, epsilon=1e-8, synchronized=False, **kwargs):
        super().__init__(**kwargs)
        self.affine = affine
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.estimating = False

    def build(self, input_shape):
        # Half precision would round a gain near 1 by more than many steps of training change it.
        float32 = {"shape": (input_shape[-1],), "autocast": False, "dtype": "float32"}
        if self.affine:
            self.gain = self.add_weight(name="gain", initializer="ones", **float32)
            self.bias = self.add_weight(name="bias", initializer="zeros", **float32)
        statistic = {**float32, "trainable": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **statistic)
        self.variance = self.add_weight(name="variance", initializer="ones", **statistic)
        # How many batches the two statistics average; 0 = none yet.
        self.batches = self.add_weight(name="batches", initializer="zeros", **statistic | {"shape": ()})

    def call(self, x, training=False):
        if training and len(x.shape) == 4 and not self.synchronized:
            return self._fused(x)
        x32 = ops.cast(x, "float32")
        if training:
            axes = list(range(len(x.shape) - 1))
            mean, variance = ops.moments(x32, axes=axes, synchronized=self.synchronized)
            if self.estimating:
                count = ops.cast(ops.prod(ops.shape(x)[:-1]), "float32")
                unbiased = variance * count / ops.maximum(count - 1.0, 1.0)  # a lone image has variance 0
                self._accumulate(mean, unbiased)
        else:
            mean, variance = self.mean, self.variance
        x32 = (x32 - mean) * ops.rsqrt(variance + self.epsilon)
        if self.affine:
            x32 = x32 * self.gain + self.bias
        return ops.cast(x32, self.compute_dtype)

    def _fused(self, x):
        """For maps in training mode: TensorFlow's fused kernel, 4 times as fast, for which Keras has no name."""
        channels = x.shape[-1]
        gain = self.gain if self.affine else ops.ones((channels,))
        bias = self.bias if self.affine else ops.zeros((channels,))
        y, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gain, offset=bias, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        if self.estimating:
            self._accumulate(mean, unbiased)
        return y

    def _accumulate(self, mean, unbiased):
        batches = self.batches + 1.0
        self.batches.assign(batches)
        self.mean.assign(self.mean + (mean - self.mean) / batches)
        self.variance.assign(self.variance + (unbiased - self.variance) / batches)

    def reset_statistics(self):
        """Forgets the estimate; the next one starts from nothing."""
        self.batches.assign(0.0)
        self.mean.assign(ops.zeros_like(self.mean))
        self.variance.assign(ops.ones_like(self.variance))

    def get_config(self):
        return {
            **super().get_config(),
            "affine": self.affine,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
        }
