"""Keras' convolution and transposed convolution layers, computed by the functions of `convolutions`."""

import keras
import tensorflow as tf
from keras import ops

from tf_bigan.networks.kernels.convolutions import convolution, transposed_convolution


@keras.saving.register_keras_serializable("tf_bigan")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with explicit zero padding. Each group is computed as a convolution of its own.

    Args:
      filters, kernel_size: as for Conv2D.
      strides: one number.
      pad: pixels of zeros on every side.
      **kwargs: as for Conv2D, without dilation and padding.
    """

    def __init__(self, filters, kernel_size, strides=1, pad=0, **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.pad = pad

    def convolution_op(self, inputs, kernel):
        kernel = ops.convert_to_tensor(kernel, dtype=self.compute_dtype)
        parts, kernels = (ops.split(tensor, self.groups, axis=-1) for tensor in (inputs, kernel))
        pairs = zip(parts, kernels, strict=True)
        outputs = [convolution(*pair, self.strides[0], (self.pad, self.pad)) for pair in pairs]
        return ops.concatenate(outputs, axis=-1) if self.groups > 1 else outputs[0]

    def compute_output_shape(self, shape):
        edges = (None if n is None else n + 2 * self.pad for n in shape[1:3])
        return super().compute_output_shape((shape[0], *edges, shape[3]))

    def get_config(self):
        return {**super().get_config(), "pad": self.pad}


@keras.saving.register_keras_serializable("tf_bigan")
class TransposedConvolution(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with rows and columns dropped at its edges.

    Args:
      filters, kernel_size: as for Conv2DTranspose.
      strides: one number.
      trim: (before, after): the number of rows, and of columns, that are dropped at the start and at the end.
      **kwargs: as for Conv2DTranspose, without dilation and padding.
    """

    def __init__(self, filters, kernel_size, strides=1, trim=(0, 0), **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.trim = tuple(trim)

    def call(self, inputs):
        # The kernel becomes a tensor because custom gradients must declare every variable that they use.
        kernel = tf.convert_to_tensor(ops.convert_to_tensor(self.kernel, dtype=self.compute_dtype))
        edges = self.compute_output_shape(inputs.shape)[1:3]
        outputs = transposed_convolution(inputs, kernel, self.strides[0], self.trim, edges)
        return self.activation(outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs)

    def compute_output_shape(self, shape):
        shape = super().compute_output_shape(shape)
        return (shape[0], *(n - sum(self.trim) for n in shape[1:3]), shape[3])

    def get_config(self):
        return {**super().get_config(), "trim": self.trim}
