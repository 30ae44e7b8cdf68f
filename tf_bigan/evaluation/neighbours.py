"""Exact nearest-neighbour search by matrix products, in bounded memory."""

import contextlib

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, did_you_mean

DISTANCES = ("euclidean", "cosine")

_QUERIES = 1024  # the scores of one chunk are _QUERIES x _GALLERY floats, 32 MiB
_GALLERY = 8192


def nearest(queries, gallery, k=1, metric="euclidean"):
    """The k nearest rows of `gallery` to each row of `queries`, nearest first.

    Most of the cost is one matrix product, computed in chunks: only one chunk's scores are in memory at a time. Ties go
    to the lower index.

    Args:
      queries: float [Q, D].
      gallery: float [N, D], N >= k.
      k: number of neighbours of each query.
      metric: "euclidean", or "cosine" (1 - cosine of the angle; a row of zeros has distance 1 to every other row).

    Returns:
      (indices int64 [Q, k], distances float32 [Q, k]).

    Raises:
      InputError: an unknown metric, shapes that do not match, k below 1, or fewer than k rows in the gallery.
    """
    if metric not in DISTANCES:
        raise InputError(f"unknown metric {metric!r}.{did_you_mean(metric, DISTANCES)}")
    queries, gallery = np.asarray(queries, np.float32), np.asarray(gallery, np.float32)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise InputError(
            f"queries and gallery must be [Q, D] and [N, D], got {list(queries.shape)} and {list(gallery.shape)}"
        )
    if not 1 <= k <= len(gallery):
        raise InputError(f"k must lie in 1 ... {len(gallery)}, the gallery's size; found {k}")
    chunks = (gallery[start : start + _GALLERY] for start in range(0, len(gallery), _GALLERY))
    indices = _search(queries, chunks, k, metric, gallery.mean(axis=0))
    return indices, _distances(queries, gallery, indices, metric)


def nearest_in_stream(queries, chunks, k=1, metric="euclidean"):
    """The same search as `nearest`, for a gallery that need not fit in memory.

    Args:
      queries: float [Q, D].
      chunks: iterable of float [n, D] arrays with the gallery's rows in order, some thousands of rows each.
      k, metric: as in `nearest`.

    Returns:
      indices int64 [Q, min(k, N)] into the concatenation of all chunks.

    Raises:
      InputError: an unknown metric or an empty gallery.
    """
    if metric not in DISTANCES:
        raise InputError(f"unknown metric {metric!r}.{did_you_mean(metric, DISTANCES)}")
    queries = np.asarray(queries, np.float32)
    indices = _search(queries, chunks, k, metric, queries.mean(axis=0))
    if not indices.shape[1]:
        raise InputError("the gallery is empty")
    return indices


def vote(labels, indices, k=None):
    """The majority label among each query's k nearest neighbours; ties go to the nearer neighbour.

    Args:
      labels: labels of the gallery, int64 [N].
      indices: int64 [Q, K >= k], from `nearest`.
      k: how many neighbours vote; None = all K.

    Returns:
      int64 [Q].
    """
    votes = np.asarray(labels)[indices[:, :k]]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return votes[np.arange(len(votes)), counts.argmax(axis=1)]


@contextlib.contextmanager
def _full_precision():
    # TF32, the default for matrix products on NVIDIA GPUs, keeps only 10 bits of the mantissa.
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _search(queries, chunks, k, metric, centre):
    """Indices of the nearest rows, int64 [Q, min(k, N)]; Euclidean distances are taken relative to `centre`."""
    prepare = _unit_rows if metric == "cosine" else _centred(centre)
    best = np.zeros((len(queries), 0), np.float32)
    indices = np.zeros((len(queries), 0), np.int64)
    start = 0
    for rows in chunks:
        chunk = tf.constant(prepare(np.asarray(rows, np.float32)))
        # The g nearest to q maximises q.g - |g|^2 / 2. For cosine, rows have unit length, so the product is enough.
        half_norms = tf.zeros([1]) if metric == "cosine" else tf.reduce_sum(tf.square(chunk), axis=1) / 2.0
        parts = []
        with _full_precision():
            for row in range(0, len(queries), _QUERIES):
                found = _best_of_chunk(tf.constant(prepare(queries[row : row + _QUERIES])), chunk, half_norms, k)
                parts.append([column.numpy() for column in found])
        scores, places = (np.concatenate(column) for column in zip(*parts, strict=True))
        best = np.concatenate([best, scores], axis=1)
        indices = np.concatenate([indices, places.astype(np.int64) + start], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, indices = np.take_along_axis(best, order, 1), np.take_along_axis(indices, order, 1)
        start += len(rows)
    return indices


_ROWS = tf.TensorSpec((None, None), tf.float32)
_SPECS = [_ROWS, _ROWS, tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]


@tf.function(input_signature=_SPECS, autograph=False)
def _best_of_chunk(queries, gallery, half_norms, k):
    scores = tf.matmul(queries, gallery, transpose_b=True) - half_norms
    return tf.math.top_k(scores, k=tf.minimum(k, tf.shape(gallery)[0]))


def _centred(mean):
    # Centring does not change distances, and the products lose fewer digits to cancellation.
    return lambda rows: rows - mean


def _unit_rows(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _distances(queries, gallery, indices, metric):
    distances = np.empty(indices.shape, np.float32)
    for i in range(0, len(queries), _QUERIES):
        rows = slice(i, i + _QUERIES)
        for column in range(indices.shape[1]):
            q, g = queries[rows], gallery[indices[rows, column]]
            if metric == "cosine":
                distances[rows, column] = 1.0 - (_unit_rows(q) * _unit_rows(g)).sum(axis=1)
            else:
                distances[rows, column] = np.linalg.norm(q - g, axis=1)
    return distances
