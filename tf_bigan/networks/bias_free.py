"""Layers of Donahue et al.'s networks and of DCGAN: weights N(0, 0.02^2), no biases but those of batch norms.

A network without batch norms has biases, and weights with the variance of He et al. 2015, as theirs would be too small.
"""

import math

import keras
from keras import layers

from tf_bigan.networks.kernels import Convolution, TransposedConvolution
from tf_bigan.networks.layers import BatchNorm, normal_initializer

STDDEV = 0.02  # of the initial weights; those that add z to hidden layers have STDDEV times the kernel's area
SLOPE = 0.2  # of the leaky rectifiers in D and E


class Builder:
    """Makes the layers of one network.

    Args:
      network: the network's name, from which, with the seed and a layer's name, the initial weights are drawn.
      sync_batch_norm: compute batch statistics over all replicas.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.
      normed: whether the network has batch norms.
    """

    def __init__(self, network, sync_batch_norm, seed, dtype, normed=True):
        self.policy = keras.dtype_policies.get(dtype)
        self._network, self._sync, self._seed, self._normed = network, sync_batch_norm, seed, normed

    def _settings(self, name, stddev=STDDEV, inputs=0):
        """Arguments of a layer; `inputs`, of each of its units, if the layer has a bias where there are no norms."""
        biased = bool(inputs) and not self._normed
        if biased:
            stddev = math.sqrt(2.0 / ((1.0 + SLOPE**2) * inputs))  # He et al. 2015, eq. 15, for leaky rectifiers
        initializer = normal_initializer(stddev, self._seed, f"{self._network}/{name}")
        return {"use_bias": biased, "kernel_initializer": initializer, "dtype": self.policy}

    def centred(self, images):
        """Images in [0, 1] as images in [-1, 1]."""
        return layers.Rescaling(2.0, -1.0, name="centred", dtype=self.policy)(images)

    def convolution(self, h, channels, kernel, stride, name, pad=None, groups=1):
        """A convolution called "<name>_linear", padded by `pad` pixels on every side; None = half the kernel."""
        # The padding is explicit: Keras' "same" pads strided convolutions with one pixel less in front.
        pad = kernel // 2 if pad is None else pad
        inputs = kernel * kernel * h.shape[-1] // groups
        settings = {"pad": pad, "groups": groups, "name": f"{name}_linear", **self._settings(name, inputs=inputs)}
        return Convolution(channels, kernel, stride, **settings)(h)

    def deconvolution(self, h, channels, kernel, name):
        """Doubles the edge: the gradient of a convolution with stride 2, padded by half the kernel on every side."""
        # The trim is explicit: Keras' "same" drops one pixel less in front.
        trim = (kernel // 2, kernel // 2 - 1)
        settings = {"trim": trim, "name": f"{name}_linear", **self._settings(name)}
        return TransposedConvolution(channels, kernel, 2, **settings)(h)

    def dense(self, h, units, name, stddev=STDDEV, zero=False, scaled=False):
        """A dense layer; `scaled` = with a bias and weights of He et al.'s variance if there are no norms."""
        settings = self._settings(name, stddev, inputs=h.shape[-1] if scaled else 0)
        if zero:
            settings["kernel_initializer"] = "zeros"
        return layers.Dense(units, name=name, **settings)(h)

    def add_code(self, h, z, kernel, name):
        """Adds W z to every pixel of `h`, a map made by a convolution with this edge of its kernel."""
        channels = h.shape[-1]
        code = self.dense(z, channels, f"{name}_z", stddev=STDDEV * kernel * kernel)
        code = layers.Reshape((1, 1, channels), name=f"{name}_z_map", dtype=self.policy)(code)
        return layers.Add(name=f"{name}_sum", dtype=self.policy)([h, code])

    def norm(self, h, name):
        """A batch norm with gain and bias, called "<name>_norm", if the network has batch norms."""
        if not self._normed:
            return h
        return BatchNorm(affine=True, synchronized=self._sync, name=f"{name}_norm", dtype=self.policy)(h)

    def rectifier(self, h, name):
        return layers.ReLU(name=name, dtype=self.policy)(h)

    def leaky_rectifier(self, h, name):
        return layers.LeakyReLU(SLOPE, name=name, dtype=self.policy)(h)

    def flat(self, h):
        return layers.Flatten(name="flat", dtype=self.policy)(h)

    def first_map(self, z, edge, channels):
        """The first hidden layer of G: codes -> rectified maps float [N, edge, edge, channels], called "fc_map".

        As in the authors' codes, the norm precedes the reshaping, so that each unit has statistics of its own.
        """
        h = self.dense(z, edge * edge * channels, "fc_linear")
        h = self.rectifier(self.norm(h, "fc"), "fc")
        return layers.Reshape((edge, edge, channels), name="fc_map", dtype=self.policy)(h)

    def logits(self, h, outputs, name="outputs"):
        """An output layer of D, float32 [N, outputs], which starts at 0."""
        settings = {"use_bias": False, "kernel_initializer": "zeros", "name": name, "dtype": "float32"}
        return layers.Dense(outputs, **settings)(h)


def kernels_as_images(layer):
    """A convolution's weights as images: float32 [channels out, height, width, channels in]."""
    return layer.kernel.numpy().transpose(3, 0, 1, 2)
