"""Convolutions as fast on CPUs as their arithmetic allows.

Three things are slow in Keras' layers there. It compiles convolutions in groups with XLA, whatever the device. Padding
is a pass of its own, which TensorFlow's forward convolution takes on the way (its gradients do not: with explicit
padding they leave oneDNN and take 30 times as long). And the gradient of a kernel with many channels takes
TensorFlow's kernel for it two to three times as long as the same products as a forward convolution, of the images by
the output's gradient with channels and batch in each other's place.
"""

import keras
import tensorflow as tf
from keras import ops

_MANY_CHANNELS = 128  # of the input, from which on the forward convolution is the faster


@keras.saving.register_keras_serializable("tf_bigan")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` behind a frame of zeros, its groups as convolutions side by side.

    Args:
      filters, kernel_size: as of Conv2D.
      strides: one number.
      pad: width of the frame, in pixels.
      **kwargs: as of Conv2D, without dilation and another padding.
    """

    def __init__(self, filters, kernel_size, strides=1, pad=0, **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.pad = pad

    def convolution_op(self, inputs, kernel):
        kernel = ops.convert_to_tensor(kernel, dtype=self.compute_dtype)
        parts, kernels = (ops.split(tensor, self.groups, axis=-1) for tensor in (inputs, kernel))
        pairs = zip(parts, kernels, strict=True)
        outputs = [_convolution(*pair, self.strides[0], (self.pad, self.pad)) for pair in pairs]
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
      filters, kernel_size: as of Conv2DTranspose.
      strides: one number.
      trim: how many are dropped in front and behind.
      **kwargs: as of Conv2DTranspose, without dilation and another padding.
    """

    def __init__(self, filters, kernel_size, strides=1, trim=(0, 0), **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.trim = tuple(trim)

    def call(self, inputs):
        # A tensor, not the variable: custom gradients want to know of every variable they meet.
        kernel = tf.convert_to_tensor(ops.convert_to_tensor(self.kernel, dtype=self.compute_dtype))
        edges = self.compute_output_shape(inputs.shape)[1:3]
        outputs = _transposed_convolution(inputs, kernel, self.strides[0], self.trim, edges)
        return self.activation(outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs)

    def compute_output_shape(self, shape):
        shape = super().compute_output_shape(shape)
        return (shape[0], *(n - sum(self.trim) for n in shape[1:3]), shape[3])

    def get_config(self):
        return {**super().get_config(), "trim": self.trim}


def _convolution(x, kernel, stride, pad):
    @tf.custom_gradient
    def convolution(x, kernel):
        def gradients(dy):
            return _transpose(dy, kernel, stride, pad, x.shape[1:3]), kernel_gradient(x, dy, kernel.shape, stride, pad)

        return _convolve(x, kernel, stride, pad), gradients

    return convolution(x, kernel)


def _transposed_convolution(x, kernel, stride, trim, edges):
    @tf.custom_gradient
    def transposed(x, kernel):
        def gradients(dy):
            return _convolve(dy, kernel, stride, trim), kernel_gradient(dy, x, kernel.shape, stride, trim)

        return _transpose(x, kernel, stride, trim, edges), gradients

    return transposed(x, kernel)


def _convolve(x, kernel, stride, pad):
    return tf.nn.conv2d(x, kernel, stride, _frame(pad, pad))


def _transpose(x, kernel, stride, trim, edges):
    """The gradient of `_convolve` in its input, of `edges` (height, width), from that of its output."""
    full = [stride * (n - 1) + k for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]
    # Where the last window ends before the images do.
    missing = [max(edge + trim[0] - n, 0) for n, edge in zip(full, edges, strict=True)]
    shape = (tf.shape(x)[0], full[0] + missing[0], full[1] + missing[1], kernel.shape[2])
    y = tf.nn.conv2d_transpose(x, kernel, shape, stride, "VALID")
    y = tf.slice(y, (0, trim[0], trim[0], 0), (-1, *edges, -1))
    return tf.ensure_shape(y, (x.shape[0], *edges, kernel.shape[2]))


def kernel_gradient(x, dy, kernel_shape, stride, pad):
    """The gradient of a convolution's kernel.

    Args:
      x: float [N, H, W, I], what was convolved.
      dy: float [N, h, w, O], the gradient of the output.
      kernel_shape: (a, b, I, O).
      stride: of the convolution.
      pad: rows and columns of zeros before the first of x, and behind the last.

    Returns:
      float [a, b, I, O]: the sum over n, y, x of x[n, stride y + i - pad[0], stride x + j - pad[0]] dy[n, y, x].
    """
    if kernel_shape[2] < _MANY_CHANNELS or tf.config.get_visible_devices("GPU"):
        padded = tf.pad(x, _frame(pad, pad)) if any(pad) else x
        strides = [1, stride, stride, 1]
        return tf.raw_ops.Conv2DBackpropFilter(
            input=padded, filter_sizes=kernel_shape, out_backprop=dy, strides=strides, padding="VALID"
        )
    # As many zeros behind the last row and column as the windows reach over it, or fewer rows and columns.
    over = [
        stride * (n - 1) + k - pad[0] - edge
        for n, k, edge in zip(dy.shape[1:3], kernel_shape[:2], x.shape[1:3], strict=True)
    ]
    x = x[:, : x.shape[1] + min(over[0], 0), : x.shape[2] + min(over[1], 0)]
    frame = _frame(*((pad[0], max(behind, 0)) for behind in over))
    by_channel, as_kernel = tf.transpose(x, (3, 1, 2, 0)), tf.transpose(dy, (1, 2, 0, 3))
    return tf.transpose(tf.nn.conv2d(by_channel, as_kernel, 1, frame, dilations=stride), (1, 2, 0, 3))


def _frame(rows, columns):
    return [[0, 0], list(rows), list(columns), [0, 0]]
