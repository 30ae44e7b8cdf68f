"""Convolutions with fewer multiplications than their definition has (Winograd 1980; Lavin & Gray 2016).

Along an axis, four outputs of a kernel of three taps see six inputs x. As two polynomials can be multiplied at points
instead of by coefficients, the outputs can be had as A (B x * C w), * by entries: with six multiplications instead of
twelve, the fixed matrices A, B, C apart. In two dimensions the axes go one after the other, and what is multiplied at
an entry is a matrix over the channels. Under a stride, the inputs of each remainder and the taps that meet them are a
convolution of stride 1, and the outputs the sum of these: for a pair of channels, 16 outputs of a 5x5 kernel of stride
2 take (6 + 5)^2 = 121 multiplications instead of 400.

The transposed convolution is the same sum read from the outputs to the inputs: A and B are transposed and exchanged.
TensorFlow derives the gradients, which are of this form as well.

In float32 alone: half precision has no digits to spare for the transforms, so that bf16 convolutions stay as they are.
Small batches, large maps and few channels win nothing either (benchmarks/README.md has the measurements).
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_TILE = 4  # outputs along an axis that share multiplications
# Next to infinity. Of those tried they round least for four outputs, as Barabasz et al. (2018) found, too.
_POINTS = (0, 1, -1, 1 / 2, -2)
_TAPS = (2, 3)  # of the remainder with the most: one saves nothing, and for more these points are too few
# Where the transforms cost less than they save: up to this edge of a map, from so many pairs of channels and tiles on.
_LARGEST_MAP, _MANY_PAIRS, _MANY_TILES = 8, 2**14, 64


def pays(images, kernel_shape, stride, edges, dtype):
    """Whether a convolution is faster in this way, on a CPU.

    Args:
      images: how many there are, None where that is unknown and may be few: the kernel is transformed for all at once.
      kernel_shape: (a, b, I, O).
      stride: of the convolution.
      edges: height and width of its output, which is a transposed one's input; None where unknown.
      dtype: of maps and kernel.
    """
    if dtype != tf.float32 or images is None or any(n is None or n % _TILE or not 0 < n <= _LARGEST_MAP for n in edges):
        return False
    size, tiles = kernel_shape[:2], images * math.prod(edges) // _TILE**2
    has_points = stride <= min(size) and math.ceil(max(size) / stride) in _TAPS
    return has_points and math.prod(kernel_shape[2:]) >= _MANY_PAIRS and tiles >= _MANY_TILES


def convolve(x, kernel, stride, pad, edges):
    """A convolution behind a frame of zeros.

    Args:
      x: float32 [N, H, W, I], of known shape.
      kernel: float32 [a, b, I, O].
      stride: at least a third of the kernel's longer edge, at most its shorter.
      pad: rows and columns of zeros in front of x; behind it are as many as the outputs see.
      edges: height and width of the output, multiples of 4.

    Returns:
      float32 [N, *edges, O], typically to within 2e-6 to 7e-6 of the largest, the more the more channels there are.
    """
    axes = [_axis(n, k, stride, pad, edge) for n, k, edge in zip(x.shape[1:3], kernel.shape, edges, strict=False)]
    return _filter(x, kernel, [a.inputs for a in axes], [a.taps for a in axes], [a.outputs for a in axes])


def transpose(x, kernel, stride, pad, edges):
    """The gradient of `convolve` in its input, of `edges` (height, width), from that of its output, [N, h, w, O]."""
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
    """[a, b, c, d] -> [A, B, c, d] by two matrices, [A, a] and [B, b]."""
    rows, columns = (tf.constant(matrix, tf.float32) for matrix in matrices)
    a, b, c, d = x.shape
    x = tf.reshape(tf.matmul(rows, tf.reshape(x, (a, -1))), (-1, b, c * d))
    return tf.reshape(tf.matmul(columns, x), (*x.shape[:1], -1, c, d))


class _Axis(NamedTuple):
    """An axis' transforms. Multiplication m of tile t has row or column `m * tiles + t` of A and B."""

    outputs: np.ndarray  # A: [outputs, p tiles]
    inputs: np.ndarray  # B: [p tiles, inputs]
    taps: np.ndarray  # C: [p, taps]


@functools.cache
def _axis(inputs, taps, stride, pad, outputs):
    remainders = [_remainder(inputs, taps, stride, pad, outputs, first) for first in range(stride)]
    a, b, c = zip(*remainders, strict=True)
    return _Axis(np.concatenate(a, axis=1), np.concatenate(b), np.concatenate(c))


def _remainder(inputs, taps, stride, pad, outputs, first):
    """The part of `_axis` of every stride-th tap from the first on."""
    own = range(first, taps, stride)
    a, b, c = _minimal(len(own))
    tiles = np.eye(outputs // _TILE)
    a = np.einsum("mp,st->smpt", a, tiles).reshape(outputs, -1)
    seen = stride * (_TILE * np.arange(len(tiles))[:, None] + np.arange(len(b))) + first - pad
    b = np.einsum("pj,tjn->ptn", b, seen[:, :, None] == np.arange(inputs)).reshape(-1, inputs)
    return a, b, c @ np.eye(taps)[own]


def _minimal(taps):
    """A [4, p], B [p, p] and C [p, taps]: output i, the sum over k of x[i + k] w[k], is entry i of A (B x * C w)."""
    points = np.array(_POINTS[: _TILE + taps - 2])[:, None]

    def values(coefficients):
        """A polynomial's at the points; its last coefficient for that at infinity."""
        return np.vstack([points ** np.arange(coefficients), np.eye(coefficients)[-1]])

    # The product of the polynomials with coefficients w and y, four of them, is interpolated from the products of their
    # values. The sum of its coefficients, each times x, is the sum of y times the outputs, for every y.
    return values(_TILE).T, np.linalg.inv(values(len(points) + 1)).T, values(taps)
