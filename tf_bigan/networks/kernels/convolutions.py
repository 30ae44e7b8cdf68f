"""Convolutions as fast on CPUs as their arithmetic allows.

In float32, where there are many images and channels, they are computed as `winograd` has it. Elsewhere four things are
slow, in Keras' layers or in TensorFlow's kernels:

* Keras compiles convolutions in groups with XLA, whatever the device.
* Padding is a pass of its own, which TensorFlow's forward convolution takes on the way (its gradients do not: with
  explicit padding they leave oneDNN and take 30 times as long).
* Transposed convolutions, and so the gradients in images, take up to twice as long as forward convolutions of as many
  products: of the whole kernel where the stride is 1, of a part of it for each phase of the outputs otherwise.
* Where a large kernel meets few pixels a product of matrices is faster, of what each output sees and the kernel; and
  so it is for the gradient of a kernel with many channels.

On GPUs, where these are the libraries' business, all but the first is left to them.

In bf16 these gain, too; `winograd` leaves half precision alone (benchmarks/README.md has the measurements).

Everywhere, a convolution with 1x1 kernels or with a kernel as large as its map, and a transposed one with 1x1 kernels
or from a map of one pixel, is computed as the product of matrices that it is, and so are its gradients.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_bigan.networks.kernels import winograd

_FEW_CHANNELS = 16  # of the output, up to which a transposed convolution's phases share one convolution
_SMALL_MAP, _LARGE_KERNEL = 4 * 4, 2**18  # outputs an image up to which, and weights from which, it is a matrix product
# The same for a kernel's gradient, by outputs and channels of the input; for small maps fewer channels are enough.
_MEDIUM_MAP, _MANY_CHANNELS, _SOME_CHANNELS = 8 * 8, 128, 64


def _saves(x, kernel, stride, edges):
    return winograd.pays(x.shape[0], kernel.shape, stride, edges, x.dtype) and not _on_gpu()


def _of_channels(x, channels):
    """Maps whose shape tells how many channels they have."""
    return x if x.shape[3] else tf.ensure_shape(x, (*x.shape[:3], channels))


def _product(x, kernel):
    """[N, ..., channels in] and a kernel [channels in, channels out] -> [rows, channels out], a product of matrices."""
    return tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel)


def convolution(x, kernel, stride, pad):
    """A convolution behind a frame of zeros.

    Args:
      x: float [N, H, W, I].
      kernel: float [a, b, I, O].
      stride: of rows and columns.
      pad: rows and columns of zeros before the first of x, and behind the last.

    Returns:
      float [N, h, w, O].
    """
    x = _of_channels(x, kernel.shape[2])
    edges = [n and (n + sum(pad) - k) // stride + 1 for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]
    pointwise = kernel.shape[:2] == (1, 1) and stride == 1
    if not any(pad) and None not in edges and (pointwise or x.shape[1:3] == kernel.shape[:2]):
        return tf.reshape(_product(x, tf.reshape(kernel, (-1, kernel.shape[3]))), (-1, *edges, kernel.shape[3]))
    if _saves(x, kernel, stride, edges):
        return winograd.convolve(x, kernel, stride, pad[0], edges)

    @tf.custom_gradient
    def plain(x, kernel):
        def gradients(dy):
            return _transpose(dy, kernel, stride, pad, x.shape[1:3]), kernel_gradient(x, dy, kernel.shape, stride, pad)

        return _convolve(x, kernel, stride, pad, pad), gradients

    return plain(x, kernel)


def transposed_convolution(x, kernel, stride, trim, edges):
    """The gradient of a convolution in its input, of `edges` (height, width).

    Args:
      x: float [N, h, w, O].
      kernel: float [a, b, I, O].
      stride: of the convolution.
      trim: rows and columns that are dropped in front and behind.
      edges: of the output; None where unknown.

    Returns:
      float [N, *edges, I].
    """
    x = _of_channels(x, kernel.shape[3])
    pointwise = kernel.shape[:2] == (1, 1) and stride == 1
    from_a_pixel = x.shape[1:3] == (1, 1) and kernel.shape[:2] == tuple(edges)  # Keras fills up to the stride
    if not any(trim) and None not in edges and (pointwise or from_a_pixel):
        matrix = tf.transpose(tf.reshape(kernel, (-1, kernel.shape[3])))
        return tf.reshape(_product(x, matrix), (-1, *edges, kernel.shape[2]))
    if _saves(x, kernel, stride, x.shape[1:3]):
        return winograd.transpose(x, kernel, stride, trim[0], edges)

    @tf.custom_gradient
    def plain(x, kernel):
        def gradients(dy):
            return _convolve(dy, kernel, stride, trim, trim), kernel_gradient(dy, x, kernel.shape, stride, trim)

        return _transpose(x, kernel, stride, trim, edges), gradients

    return plain(x, kernel)


def _convolve(x, kernel, stride, rows, columns):
    """The convolution of x behind a frame of zeros, or without the rows and columns of which there are less than 0."""
    if None in x.shape[1:3] or _on_gpu():  # where there are never less than 0
        return tf.nn.conv2d(x, kernel, stride, _frame(rows, columns))
    x = x[:, max(-rows[0], 0) : x.shape[1] + min(rows[1], 0), max(-columns[0], 0) : x.shape[2] + min(columns[1], 0)]
    frame = _frame(*([max(n, 0) for n in axis] for axis in (rows, columns)))
    outputs = [
        (n + sum(edges) - k) // stride + 1
        for n, edges, k in zip(x.shape[1:3], frame[1:3], kernel.shape[:2], strict=True)
    ]
    if math.prod(outputs) > _SMALL_MAP or kernel.shape.num_elements() < _LARGE_KERNEL:
        return tf.nn.conv2d(x, kernel, stride, frame)
    seen = _windows(x, kernel.shape[:2], stride, frame, outputs)
    y = tf.matmul(tf.reshape(seen, (-1, math.prod(kernel.shape[:3]))), tf.reshape(kernel, (-1, kernel.shape[3])))
    return tf.reshape(y, (-1, *outputs, kernel.shape[3]))


def _windows(x, size, stride, frame, outputs):
    """What each output sees: [N, outputs and taps, channels], the taps counted fastest."""
    x = tf.pad(x, frame)
    rows, columns = ((stride * np.arange(n)[:, None] + np.arange(k)) for n, k in zip(outputs, size, strict=True))
    pixels = rows[:, None, :, None] * x.shape[2] + columns[:, None, :]
    return tf.gather(tf.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])), pixels.ravel(), axis=1)


def _transpose(x, kernel, stride, trim, edges):
    """The gradient of `_convolve` in its input, of `edges` (height, width), from that of its output.

    Output p is the sum over q and k with p + trim[0] = stride q + k of x[q] kernel[k]: the outputs of one remainder
    mod stride, a phase, are a convolution of x with every stride-th tap.
    """
    if stride > min(kernel.shape[:2]) or _on_gpu():
        return _transpose_at_once(x, kernel, stride, trim, edges)
    sizes = zip(x.shape[1:3], kernel.shape[:2], edges, strict=True)
    axes = [[_phase(remainder, stride, trim[0], *size) for remainder in range(stride)] for size in sizes]
    phases = list(itertools.product(*axes))
    kernels = _take(tf.transpose(kernel, (0, 1, 3, 2)), [(rows.taps, columns.taps) for rows, columns in phases])
    frames = np.array([(rows.frame, columns.frame) for rows, columns in phases])
    if kernel.shape[2] <= _FEW_CHANNELS:  # one convolution with all phases' channels, so that they fill a vector
        widest = frames.max(axis=0)
        padded = [tf.pad(k, np.pad(widest - frame, [(0, 2), (0, 0)])) for k, frame in zip(kernels, frames, strict=True)]
        kernels, frames = [tf.concat(padded, -1)], [widest]
    y = tf.concat([_convolve(x, k, 1, *frame) for k, frame in zip(kernels, frames, strict=True)], -1)
    y = tf.nn.depth_to_space(y, stride) if stride > 1 else y
    return y[:, : edges[0], : edges[1]]


class _Phase(NamedTuple):
    """Along an axis: the taps that outputs of one remainder see, last first, and zeros before and behind the inputs."""

    taps: range
    frame: tuple


def _phase(remainder, stride, trim, inputs, taps, outputs):
    offset, first = divmod(remainder + trim, stride)
    seen = range(first, taps, stride)[::-1]
    return _Phase(seen, (len(seen) - 1 - offset, -(-outputs // stride) + offset - inputs))


def _take(kernel, taps):
    """The kernels of these (rows, columns)."""
    flat = [[i * kernel.shape[1] + j for i in rows for j in columns] for rows, columns in taps]
    kernel = tf.gather(tf.reshape(kernel, (-1, *kernel.shape[2:])), sum(flat, []))
    parts = tf.split(kernel, [len(each) for each in flat])
    return [tf.reshape(part, (*map(len, each), *kernel.shape[1:])) for part, each in zip(parts, taps, strict=True)]


def _transpose_at_once(x, kernel, stride, trim, edges):
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
    outputs = dy.shape[1:3]
    enough = _SOME_CHANNELS if math.prod(outputs) <= _SMALL_MAP else _MANY_CHANNELS
    if kernel_shape[2] < enough or math.prod(outputs) > _MEDIUM_MAP or _on_gpu():
        padded = tf.pad(x, _frame(pad, pad)) if any(pad) else x
        strides = [1, stride, stride, 1]
        return tf.raw_ops.Conv2DBackpropFilter(
            input=padded, filter_sizes=kernel_shape, out_backprop=dy, strides=strides, padding="VALID"
        )
    seen = _windows(x, kernel_shape[:2], stride, _frame(pad, pad), outputs)
    seen, dy = tf.reshape(seen, (-1, math.prod(kernel_shape[:3]))), tf.reshape(dy, (-1, kernel_shape[3]))
    return tf.reshape(tf.matmul(seen, dy, transpose_a=True), kernel_shape)


def _frame(rows, columns):
    return [[0, 0], list(rows), list(columns), [0, 0]]


def _on_gpu():
    return bool(tf.config.get_visible_devices("GPU"))
