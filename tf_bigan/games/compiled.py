"""Functions of tensors, compiled once and run over arrays."""

import numpy as np
import tensorflow as tf


def traced_once(function, *examples, batches=False):
    """Compiles `function`, of tensors or of dictionaries of tensors, for inputs with the shapes of `examples`.

    The result has a single trace: TensorFlow would count the traces of several models' functions as those of one
    function, and warn that it is traced too often. With `batches`, the first axis of each input may have any length.
    """

    def spec(each):
        return tf.TensorSpec((None, *each.shape[1:]) if batches else each.shape, each.dtype)

    return tf.function(function, tf.nest.map_structure(spec, list(examples)), autograph=False).get_concrete_function()


def in_batches(function, inputs, batch_size):
    """The results of `function` on `inputs`, arrays with equally many rows, batch by batch, as one numpy array."""
    if not len(inputs[0]):  # not every kernel accepts empty tensors
        return function(*(tf.zeros((1, *each.shape[1:]), each.dtype) for each in inputs)).numpy()[:0]
    parts = ([tf.constant(each[i : i + batch_size]) for each in inputs] for i in range(0, len(inputs[0]), batch_size))
    return np.concatenate([function(*part).numpy() for part in parts])
