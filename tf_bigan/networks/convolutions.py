"""Convolutions as fast on CPUs as their arithmetic allows; on other devices, Keras' own.

Their weights and outputs are those of the Keras layers. Two things are slow on CPUs and done otherwise here: Keras
compiles convolutions in groups with XLA, whatever the device; and the gradient of a kernel with many channels takes
TensorFlow's kernel for it two to three times as long as the same products as a forward convolution, of the images by
the output's gradient with channels and batch in each other's place.
"""

import functools

import keras
import tensorflow as tf
from keras import ops

_MANY_CHANNELS = 128  # of the input, from which on the forward convolution is the faster


@keras.saving.register_keras_serializable("tf_bigan")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, its groups as convolutions side by side."""

    def convolution_op(self, inputs, kernel):
        kernel = ops.convert_to_tensor(kernel, dtype=self.compute_dtype)
        parts, kernels = (ops.split(tensor, self.groups, axis=-1) for tensor in (inputs, kernel))
        settings = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        convolve = functools.partial(ops.conv, **settings)
        if _is_slow(self, channels=kernels[0].shape[2]):
            convolve = functools.partial(_convolve, stride=self.strides[0])
        outputs = [convolve(*pair) for pair in zip(parts, kernels, strict=True)]
        return ops.concatenate(outputs, axis=-1) if self.groups > 1 else outputs[0]


@keras.saving.register_keras_serializable("tf_bigan")
class TransposedConvolution(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`."""

    def call(self, inputs):
        if self.use_bias or not _is_slow(self, channels=self.kernel.shape[2]):
            return super().call(inputs)
        # A tensor, not the variable: custom gradients want to know of every variable they meet.
        kernel = tf.convert_to_tensor(ops.convert_to_tensor(self.kernel, dtype=self.compute_dtype))
        return _convolve_transposed(inputs, kernel, self.strides[0])


def _is_slow(layer, channels):
    """Whether the kernel's gradient is, and can be had by `kernel_gradient`."""
    plain = layer.padding == "valid" and layer.dilation_rate == (1, 1) and len(set(layer.strides)) == 1
    return plain and channels >= _MANY_CHANNELS and not tf.config.get_visible_devices("GPU")


def _convolve(x, kernel, stride):
    @tf.custom_gradient
    def convolve(x, kernel):
        def gradients(dy):
            dx = tf.nn.conv2d_transpose(dy, kernel, tf.shape(x), stride, "VALID")
            return dx, kernel_gradient(x, dy, kernel.shape, stride)

        return tf.nn.conv2d(x, kernel, stride, "VALID"), gradients

    return convolve(x, kernel)


def _convolve_transposed(x, kernel, stride):
    @tf.custom_gradient
    def convolve(x, kernel):
        def gradients(dy):
            return tf.nn.conv2d(dy, kernel, stride, "VALID"), kernel_gradient(dy, x, kernel.shape, stride)

        height, width = (stride * (n - 1) + k for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
        shape = (tf.shape(x)[0], height, width, kernel.shape[2])
        y = tf.nn.conv2d_transpose(x, kernel, shape, stride, "VALID")
        return tf.ensure_shape(y, (x.shape[0], height, width, kernel.shape[2])), gradients

    return convolve(x, kernel)


def kernel_gradient(x, dy, kernel_shape, stride):
    """The gradient of the kernel of an unpadded convolution.

    Args:
      x: float [N, H, W, I], what was convolved.
      dy: float [N, h, w, O], the gradient of the output.
      kernel_shape: (a, b, I, O).
      stride: of the convolution.

    Returns:
      float [a, b, I, O]: the sum over n, y, x of x[n, stride y + i, stride x + j] dy[n, y, x].
    """
    height, width = (stride * (n - 1) + k for n, k in zip(dy.shape[1:3], kernel_shape[:2], strict=True))
    by_channel = tf.transpose(x[:, :height, :width], (3, 1, 2, 0))
    gradient = tf.nn.conv2d(by_channel, tf.transpose(dy, (1, 2, 0, 3)), 1, "VALID", dilations=stride)
    return tf.transpose(gradient, (1, 2, 0, 3))
