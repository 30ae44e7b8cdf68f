"""Functions of tensors, compiled once and run over arrays."""

import numpy as np
import tensorflow as tf


def traced_once(function, *examples, batches=False):
    """`function` of tensors, or of dictionaries of them, compiled for inputs of the shapes of `examples`.

    TensorFlow takes the functions of several models for one that is traced too often; this one has a single trace.
    With `batches`, the first axis of each input may have any length.
    """

    def spec(each):
        return tf.TensorSpec((None, *each.shape[1:]) if batches else each.shape, each.dtype)

    return tf.function(function, input_signature=tf.nest.map_structure(spec, list(examples))).get_concrete_function()


def in_batches(function, inputs, batch_size):
    """`function` over `inputs`, arrays of as many rows, a batch at a time, as one numpy array."""
    if not len(inputs[0]):  # which not every kernel takes
        return function(*(tf.zeros((1, *each.shape[1:]), each.dtype) for each in inputs)).numpy()[:0]
    parts = ([tf.constant(each[i : i + batch_size]) for each in inputs] for i in range(0, len(inputs[0]), batch_size))
    return np.concatenate([function(*part).numpy() for part in parts])
