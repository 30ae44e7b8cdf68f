"""Convolutions with fewer multiplications than their definition has (Winograd 1980; Lavin & Gray 2016).

Along an axis, four neighbouring outputs of a kernel of three taps w depend on six inputs x. Polynomials can be
multiplied through their values at some points instead of through their coefficients. In the same way, the outputs are
A (B x * C w), where * multiplies entry by entry and A, B and C are fixed matrices. Apart from these matrices, this
takes six multiplications instead of twelve. In two dimensions, the matrices are applied along one axis after the other,
and each entry's multiplication is a matrix product over the channels.

With a stride, the inputs of each remainder modulo the stride, with the taps that they meet, form a convolution of
stride 1, and the outputs are the sum of these convolutions. For a pair of an input and an output channel, 16 outputs of
a 5x5 kernel with stride 2 then take (6 + 5)^2 = 121 multiplications instead of 400.

The transposed convolution is the same sum in the direction from outputs to inputs: A and B are transposed and
exchanged. TensorFlow derives the gradients, which have this form as well.

Only float32 is supported: half precision has no digits to spare for the transforms, so bfloat16 convolutions are
computed otherwise. Small batches, large maps and few channels gain nothing either (benchmarks/README.md has the
measurements).
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_TILE = 4  # outputs along an axis that share multiplications
# The interpolation points, beside the point at infinity. Of the points tried, these give the smallest rounding errors
# for four outputs, as Barabasz et al. (2018) also found.
_POINTS = (0, 1, -1, 1 / 2, -2)
# The remainder with the most taps must have this many: one tap saves nothing, and more than three need more points.
_TAPS = (2, 3)
# The transforms cost less than they save for output maps with edges of at most _LARGEST_MAP, at least _MANY_PAIRS pairs
# of channels and at least _MANY_TILES tiles.
_LARGEST_MAP, _MANY_PAIRS, _MANY_TILES = 8, 2**14, 64


def pays(images, kernel_shape, stride, edges, dtype):
    """Whether a convolution is faster with this method, on a CPU.

    Args:
      images: the number of images that share the cost of transforming the kernel. None = unknown, so possibly few.
      kernel_shape: (a, b, I, O).
      stride: stride of the convolution.
      edges: (height, width) of the convolution's output, or of a transposed one's input; None where unknown.
      dtype: dtype of the maps and the kernel.
    """
    if dtype != tf.float32 or images is None or any(n is None or n % _TILE or not 0 < n <= _LARGEST_MAP for n in edges):
        return False
    size, tiles = kernel_shape[:2], images * math.prod(edges) // _TILE**2
    has_points = stride <= min(size) and math.ceil(max(size) / stride) in _TAPS
    return has_points and math.prod(kernel_shape[2:]) >= _MANY_PAIRS and tiles >= _MANY_TILES


def convolve(x, kernel, stride, pad, edges):
    """A convolution with explicit zero padding.

    Args:
      x: float32 [N, H, W, I], of known shape.
      kernel: float32 [a, b, I, O].
      stride: at least a third of the kernel's longer edge, at most its shorter edge.
      pad: the number of rows, and of columns, of zeros before those of x; after them there are as many as the outputs
        need.
      edges: (height, width) of the output, multiples of 4.

    Returns:
      float32 [N, *edges, O]. The error is typically 2e-6 to 7e-6 of the largest output and grows with the number of
      channels.
    """
    axes = [_axis(n, k, stride, pad, edge) for n, k, edge in zip(x.shape[1:3], kernel.shape, edges, strict=False)]
    return _filter(x, kernel, [a.inputs for a in axes], [a.taps for a in axes], [a.outputs for a in axes])


def transpose(x, kernel, stride, pad, edges):
    """The gradient of `convolve` with respect to its input, of `edges` (height, width).

    `x` is the gradient with respect to its output, [N, h, w, O]; the other arguments are as for `convolve`.
    """
    axes = [_axis(edge, k, stride, pad, n) for n, k, edge in zip(x.shape[1:3], kernel.shape, edges, strict=False)]
    kernel = tf.transpose(kernel, (0, 1, 3, 2))
    return _filter(x, kernel, [a.outputs.T for a in axes], [a.taps for a in axes], [a.inputs.T for a in axes])


def _filter(x, kernel, into, taps, out_of):
    x = _transform(tf.transpose(x, (1, 2, 0, 3)), into)
    kernel = _transform(kernel, taps)
    (*edges, images, _), (rows, columns, channels, filters) = x.shape, kernel.shape
    y = tf.matmul(tf.reshape(x, (rows, edges[0] // rows, columns, -1, channels)), tf.expand_dims(kernel, 1))
    y = _transform(tf.reshape(y, (*edges, images, filters)), out_of)
    return tf.transpose(y, (2, 0, 1, 3))


def _transform(x, matrices):
    """Applies two matrices, [A, a] and [B, b], to the first two axes: [a, b, c, d] -> [A, B, c, d]."""
    rows, columns = (tf.constant(matrix, tf.float32) for matrix in matrices)
    a, b, c, d = x.shape
    x = tf.reshape(tf.matmul(rows, tf.reshape(x, (a, -1))), (-1, b, c * d))
    return tf.reshape(tf.matmul(columns, x), (*x.shape[:1], -1, c, d))


class _Axis(NamedTuple):
    """The transforms along one axis. Multiplication m of tile t uses column `m * tiles + t` of A and that row of B."""

    outputs: np.ndarray  # A: [outputs, p * tiles]
    inputs: np.ndarray  # B: [p * tiles, inputs]
    taps: np.ndarray  # C: [p, taps]


@functools.cache
def _axis(inputs, taps, stride, pad, outputs):
    remainders = [_remainder(inputs, taps, stride, pad, outputs, first) for first in range(stride)]
    a, b, c = zip(*remainders, strict=True)
    return _Axis(np.concatenate(a, axis=1), np.concatenate(b), np.concatenate(c))


def _remainder(inputs, taps, stride, pad, outputs, first):
    """The part of `_axis` for every stride-th tap, beginning with tap `first`."""
    own = range(first, taps, stride)
    a, b, c = _minimal(len(own))
    tiles = np.eye(outputs // _TILE)
    a = np.einsum("mp,st->smpt", a, tiles).reshape(outputs, -1)
    seen = stride * (_TILE * np.arange(len(tiles))[:, None] + np.arange(len(b))) + first - pad
    b = np.einsum("pj,tjn->ptn", b, seen[:, :, None] == np.arange(inputs)).reshape(-1, inputs)
    return a, b, c @ np.eye(taps)[own]


def _minimal(taps):
    """A [4, p], B [p, p] and C [p, taps]: entry i of A (B x * C w) is output i, the sum of x[i + k] w[k] over k."""
    points = np.array(_POINTS[: _TILE + taps - 2])[:, None]

    def values(coefficients):
        """The matrix from a polynomial's coefficients to its values; at infinity this is its last coefficient."""
        return np.vstack([points ** np.arange(coefficients), np.eye(coefficients)[-1]])

    # The product of two polynomials, with coefficients w and four coefficients y, is interpolated from the products of
    # their values. The sum of x times the coefficients of this product equals the sum of y times the outputs. This
    # holds for every y, so it gives the outputs.
    return values(_TILE).T, np.linalg.inv(values(len(points) + 1)).T, values(taps)
