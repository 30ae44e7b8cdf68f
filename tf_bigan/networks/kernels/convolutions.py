"""Convolutions that run as fast on CPUs as their arithmetic allows.

In float32, convolutions with many images and channels are computed by `winograd`. All others avoid four things that are
slow in Keras' layers or in TensorFlow's kernels:

* Keras compiles grouped convolutions with XLA on every device. Here, each group is a convolution of its own.
* Padding the input first takes a separate pass. TensorFlow's forward convolution pads as it goes, so it is given the
  padding. Its gradients are not: with explicit padding they leave oneDNN and take 30 times as long.
* Transposed convolutions, and so the gradients with respect to images, take up to twice as long as forward convolutions
  with as many multiplications. They are computed as forward convolutions: with the whole kernel if the stride is 1, and
  otherwise with a part of the kernel for each phase of the outputs.
* For a large kernel on a small map, a matrix product of the outputs' receptive fields and the kernel is faster. The
  same holds for the gradient of a kernel with many channels.

On GPUs only the first applies; the rest is left to the GPU libraries.

These methods also help in bfloat16, which `winograd` does not support (benchmarks/README.md has the measurements).

On every device, some convolutions are plain matrix products and are computed as such, as are their gradients: those
with a 1x1 kernel or a kernel as large as the map, and transposed ones with a 1x1 kernel or an input map of one pixel.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_bigan.networks.kernels import winograd

# The phases of a transposed convolution with at most this many output channels share one convolution.
_FEW_CHANNELS = 16
# A convolution is a matrix product if its output map has at most _SMALL_MAP pixels and its kernel at least
# _LARGE_KERNEL weights.
_SMALL_MAP, _LARGE_KERNEL = 4 * 4, 2**18
# A kernel's gradient is a matrix product if the output map has at most _MEDIUM_MAP pixels and the input at least
# _MANY_CHANNELS channels. For output maps of at most _SMALL_MAP pixels, _SOME_CHANNELS channels are enough.
_MEDIUM_MAP, _MANY_CHANNELS, _SOME_CHANNELS = 8 * 8, 128, 64


def _saves(x, kernel, stride, edges):
    return winograd.pays(x.shape[0], kernel.shape, stride, edges, x.dtype) and not _on_gpu()


def _of_channels(x, channels):
    """`x` with the number of channels in its static shape."""
    return x if x.shape[3] else tf.ensure_shape(x, (*x.shape[:3], channels))


def _product(x, kernel):
    """The matrix product of `x`, reshaped to as many columns as `kernel` has rows, and `kernel`, [k, channels out]."""
    return tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel)


def convolution(x, kernel, stride, pad):
    """A convolution with explicit zero padding.

    Args:
      x: float [N, H, W, I].
      kernel: float [a, b, I, O].
      stride: the stride of both rows and columns.
      pad: (before, after): the number of rows, and of columns, of zeros that are added before and after those of x.

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
            of_x = transposed_convolution(dy, kernel, stride, pad, x.shape[1:3])
            return of_x, kernel_gradient(x, dy, kernel.shape, stride, pad)

        return _convolve(x, kernel, stride, pad, pad), gradients

    return plain(x, kernel)


def transposed_convolution(x, kernel, stride, trim, edges):
    """The gradient of a convolution with respect to its input, which has the size `edges`.

    Args:
      x: float [N, h, w, O].
      kernel: float [a, b, I, O].
      stride: stride of the convolution.
      trim: (before, after): the number of rows, and of columns, that are dropped at the start and at the end.
      edges: (height, width) of the output; None where unknown.

    Returns:
      float [N, *edges, I].
    """
    x = _of_channels(x, kernel.shape[3])
    pointwise = kernel.shape[:2] == (1, 1) and stride == 1
    from_a_pixel = x.shape[1:3] == (1, 1) and kernel.shape[:2] == tuple(edges)  # a larger stride makes Keras add zeros
    if not any(trim) and None not in edges and (pointwise or from_a_pixel):
        matrix = tf.transpose(tf.reshape(kernel, (-1, kernel.shape[3])))
        return tf.reshape(_product(x, matrix), (-1, *edges, kernel.shape[2]))
    if _saves(x, kernel, stride, x.shape[1:3]):
        return winograd.transpose(x, kernel, stride, trim[0], edges)

    @tf.custom_gradient
    def plain(x, kernel):
        def gradients(dy):
            return convolution(dy, kernel, stride, trim), kernel_gradient(dy, x, kernel.shape, stride, trim)

        return _transpose(x, kernel, stride, trim, edges), gradients

    return plain(x, kernel)


def _convolve(x, kernel, stride, rows, columns):
    """The convolution of x with zero padding (before, after) of rows and columns. Negative padding crops x instead."""
    if None in x.shape[1:3] or _on_gpu():  # the padding is never negative here
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
    """The receptive field of each output: [N, outputs * taps, channels], with the taps varying fastest."""
    x = tf.pad(x, frame)
    rows, columns = ((stride * np.arange(n)[:, None] + np.arange(k)) for n, k in zip(outputs, size, strict=True))
    pixels = rows[:, None, :, None] * x.shape[2] + columns[:, None, :]
    return tf.gather(tf.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])), pixels.ravel(), axis=1)


def _transpose(x, kernel, stride, trim, edges):
    """The gradient of `_convolve` with respect to its input, of `edges` (height, width).

    `x` is the gradient with respect to its output. Along each axis, output p of this function is the sum of
    x[q] kernel[k] over all q and k with p + trim[0] = stride * q + k. So the outputs with the same remainder of
    p + trim[0] modulo the stride, called a phase, are a convolution of x with every stride-th tap.
    """
    if stride > min(kernel.shape[:2]) or _on_gpu():
        return _transpose_at_once(x, kernel, stride, trim, edges)
    sizes = zip(x.shape[1:3], kernel.shape[:2], edges, strict=True)
    axes = [[_phase(remainder, stride, trim[0], *size) for remainder in range(stride)] for size in sizes]
    phases = list(itertools.product(*axes))
    kernels = _take(tf.transpose(kernel, (0, 1, 3, 2)), [(rows.taps, columns.taps) for rows, columns in phases])
    frames = np.array([(rows.frame, columns.frame) for rows, columns in phases])
    if kernel.shape[2] <= _FEW_CHANNELS:  # one convolution for the channels of all phases, to fill SIMD vectors
        widest = frames.max(axis=0)
        padded = [tf.pad(k, np.pad(widest - frame, [(0, 2), (0, 0)])) for k, frame in zip(kernels, frames, strict=True)]
        kernels, frames = [tf.concat(padded, -1)], [widest]
    y = tf.concat([_convolve(x, k, 1, *frame) for k, frame in zip(kernels, frames, strict=True)], -1)
    y = tf.nn.depth_to_space(y, stride) if stride > 1 else y
    return y[:, : edges[0], : edges[1]]


class _Phase(NamedTuple):
    """A phase along one axis: the taps that its outputs use, last first, and the inputs' padding (before, after)."""

    taps: range
    frame: tuple


def _phase(remainder, stride, trim, inputs, taps, outputs):
    offset, first = divmod(remainder + trim, stride)
    seen = range(first, taps, stride)[::-1]
    return _Phase(seen, (len(seen) - 1 - offset, -(-outputs // stride) + offset - inputs))


def _take(kernel, taps):
    """The parts of a kernel that consist of the given taps: a list of kernels for a list of (rows, columns)."""
    flat = [[i * kernel.shape[1] + j for i in rows for j in columns] for rows, columns in taps]
    kernel = tf.gather(tf.reshape(kernel, (-1, *kernel.shape[2:])), sum(flat, []))
    parts = tf.split(kernel, [len(each) for each in flat])
    return [tf.reshape(part, (*map(len, each), *kernel.shape[1:])) for part, each in zip(parts, taps, strict=True)]


def _transpose_at_once(x, kernel, stride, trim, edges):
    full = [stride * (n - 1) + k for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]
    # Rows and columns of the output that follow the last window.
    missing = [max(edge + trim[0] - n, 0) for n, edge in zip(full, edges, strict=True)]
    shape = (tf.shape(x)[0], full[0] + missing[0], full[1] + missing[1], kernel.shape[2])
    y = tf.nn.conv2d_transpose(x, kernel, shape, stride, "VALID")
    y = tf.slice(y, (0, trim[0], trim[0], 0), (-1, *edges, -1))
    return tf.ensure_shape(y, (x.shape[0], *edges, kernel.shape[2]))


def kernel_gradient(x, dy, kernel_shape, stride, pad):
    """The gradient of a convolution with respect to its kernel.

    Args:
      x: float [N, H, W, I], the input of the convolution.
      dy: float [N, h, w, O], the gradient with respect to its output.
      kernel_shape: (a, b, I, O).
      stride: stride of the convolution.
      pad: (before, after), as for `convolution`.

    Returns:
      float [a, b, I, O]. Entry [i, j, k, l] is the sum over n, r and c of
      x[n, stride * r + i - pad[0], stride * c + j - pad[0], k] * dy[n, r, c, l].
    """

    @tf.custom_gradient
    def of_kernel(x, dy):
        def gradients(dk):  # as gradient penalties need
            return transposed_convolution(dy, dk, stride, pad, x.shape[1:3]), convolution(x, dk, stride, pad)

        return _kernel_gradient(x, dy, kernel_shape, stride, pad), gradients

    return of_kernel(x, dy)


def _kernel_gradient(x, dy, kernel_shape, stride, pad):
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
