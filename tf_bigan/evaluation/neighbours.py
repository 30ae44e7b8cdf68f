"""Exact nearest neighbours by matrix products, in bounded memory."""

import contextlib

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.errors import nearest as nearest_names

METRICS = ("euclidean", "cosine")

_QUERIES = 1024  # a chunk's scores are _QUERIES x _GALLERY floats, 32 MiB
_GALLERY = 8192


def nearest(queries, gallery, k=1, metric="euclidean"):
    """The k nearest rows of `gallery` to each row of `queries`, nearest first.

    The search costs its matrix product; scores are kept for a chunk of pairs only. Ties go to the lower index.

    Args:
      queries: float [Q, D].
      gallery: float [N, D], N >= k.
      k: neighbours of each query.
      metric: "euclidean", or "cosine" (1 - cosine of the angle; a zero row is at distance 1 from all).

    Returns:
      (indices int64 [Q, k], distances float32 [Q, k]).

    Raises:
      InputError: an unknown metric, shapes that do not fit, or fewer than k rows in the gallery.
    """
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}.{nearest_names(metric, METRICS)}")
    queries, gallery = np.asarray(queries, np.float32), np.asarray(gallery, np.float32)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise InputError(
            f"queries and gallery must be [Q, D] and [N, D], got {list(queries.shape)} and {list(gallery.shape)}"
        )
    if not 1 <= k <= len(gallery):
        raise InputError(f"k must lie in 1 ... {len(gallery)}, the gallery's size; found {k}")
    with _full_precision():
        indices = _search(queries, gallery, k, metric)
    return indices, _distances(queries, gallery, indices, metric)


def vote(labels, indices, k=None):
    """The majority label among each query's k nearest neighbours; ties go to the nearer neighbour.

    Args:
      labels: int64 [N], of the gallery.
      indices: int64 [Q, K >= k], from `nearest`.
      k: how many vote; None = all K.

    Returns:
      int64 [Q].
    """
    votes = np.asarray(labels)[indices[:, :k]]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return votes[np.arange(len(votes)), counts.argmax(axis=1)]


@contextlib.contextmanager
def _full_precision():
    # TF32, the default for products on NVIDIA GPUs, keeps 10 bits.
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _search(queries, gallery, k, metric):
    prepare = _unit_rows if metric == "cosine" else _centred(gallery.mean(axis=0))
    best = np.full((len(queries), k), -np.inf, np.float32)
    indices = np.zeros((len(queries), k), np.int64)
    for start in range(0, len(gallery), _GALLERY):
        chunk = tf.constant(prepare(gallery[start : start + _GALLERY]))
        # The nearest g to q has the largest q.g - |g|^2 / 2; the largest cosine needs no second term.
        half_norms = 0.0 if metric == "cosine" else tf.reduce_sum(tf.square(chunk), axis=1) / 2.0
        for row in range(0, len(queries), _QUERIES):
            rows = slice(row, row + _QUERIES)
            found = _best_of_chunk(tf.constant(prepare(queries[rows])), chunk, half_norms, k)
            scores = np.concatenate([best[rows], found[0].numpy()], axis=1)
            places = np.concatenate([indices[rows], found[1].numpy().astype(np.int64) + start], axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            best[rows], indices[rows] = np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)
    return indices


@tf.function(reduce_retracing=True)
def _best_of_chunk(queries, gallery, half_norms, k):
    scores = tf.matmul(queries, gallery, transpose_b=True) - half_norms
    return tf.math.top_k(scores, k=tf.minimum(k, tf.shape(gallery)[0]))


def _centred(mean):
    # Distances do not change, and the products lose fewer digits to cancellation.
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
