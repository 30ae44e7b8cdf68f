"""Makes the layers of ALI's networks from the tables in `ali_architectures.py`."""

import keras
from keras import layers

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.networks.ali_architectures import ARCHITECTURES, sizes_taken
from tf_bigan.networks.kernels import Convolution, TransposedConvolution
from tf_bigan.networks.layers import BatchNorm, Maxout, normal_initializer
from tf_bigan.networks.noise import Dropout

STDDEV = 0.01  # of the initial weights
EPSILON = 1e-4  # of the batch norms
MOMENTUM = 0.95  # of their running statistics


class Builder:
    """Makes the layers of one network; the arguments are as for `ALIEncoder`."""

    def __init__(self, architecture, image_shape, width, stddev, sync_batch_norm, seed, dtype, name):
        if architecture not in ARCHITECTURES:
            raise InputError(f"unknown architecture {architecture!r}.{did_you_mean(architecture, ARCHITECTURES)}")
        self.table = ARCHITECTURES[architecture]
        edge = self.table.edge
        if image_shape and tuple(image_shape[:2]) != (edge, edge):
            height, breadth, _ = image_shape
            raise InputError(
                f"the networks of {architecture} take images of {edge}x{edge}, not {height}x{breadth}; "
                f"--image_size={edge} resizes them.\nOf the ALI networks, {sizes_taken()}"
            )
        self._own_width = self.table.width
        if width % (unit := self.table.width_unit):
            raise InputError(f"width must be a multiple of {unit} for {architecture}, found {width}")
        self._width = width or self._own_width
        self.policy = keras.dtype_policies.get(dtype)
        self._stddev, self._sync, self._seed, self._network = stddev or STDDEV, sync_batch_norm, seed, name

    def _settings(self, name, zero=False, dtype=None):
        normal = normal_initializer(self._stddev, self._seed, f"{self._network}/{name}")
        return {
            "kernel_initializer": "zeros" if zero else normal,
            "name": f"{name}_linear",
            "dtype": dtype or self.policy,
        }

    def _channels(self, channels, scaled=True):
        return channels * self._width // self._own_width if scaled else channels

    @property
    def embedding_units(self):
        return self._channels(self.table.embedding)

    def embedding_input(self):
        return keras.Input((self.embedding_units,), name="embedding")

    def dense_settings(self, name):
        return {**self._settings(name, dtype="float32"), "name": name}

    def as_map(self, vectors, name):
        """Vectors [N, units] as maps of one pixel."""
        return layers.Reshape((1, 1, vectors.shape[-1]), name=name, dtype=self.policy)(vectors)

    def concatenate(self, maps, name):
        return layers.Concatenate(name=name, dtype=self.policy)(maps)

    def convolution(self, h, row, name, use_bias):
        kernel, stride, channels = row
        return Convolution(self._channels(channels), kernel, stride, use_bias=use_bias, **self._settings(name))(h)

    def deconvolution(self, h, row, name, scaled=True):
        kernel, stride, channels = row
        channels = self._channels(channels, scaled)
        return TransposedConvolution(channels, kernel, stride, use_bias=False, **self._settings(name))(h)

    def outputs(self, h, units, zero=False):
        """The output layer, applied to a map of one pixel: float32 [N, units]."""
        h = Convolution(units, 1, **self._settings("outputs", zero, "float32"))(h)
        return layers.Flatten(name="outputs", dtype="float32")(h)

    def norm(self, h, name):
        norm = BatchNorm(
            affine=True,
            epsilon=EPSILON,
            synchronized=self._sync,
            momentum=MOMENTUM,
            name=f"{name}_norm",
            dtype=self.policy,
        )
        return norm(h)

    def rectifier(self, h, name):
        return layers.LeakyReLU(self.table.slope, name=name, dtype=self.policy)(h)

    def activation(self, h, name):
        """The activation of D's layers: maxout or a leaky rectifier."""
        if self.table.pieces:
            return Maxout(self.table.pieces, name=name, dtype=self.policy)(h)
        return self.rectifier(h, name)

    def dropout(self, h, rate, name):
        if not rate:
            return h
        return Dropout(rate, f"{self._network}/{name.removesuffix('_dropout')}", name=name, dtype=self.policy)(h)
