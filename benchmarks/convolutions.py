"""Measures the cost of the convolutional networks' layers on this machine.

python benchmarks/convolutions.py

gradient            one training-mode forward and backward pass of the paper's E, G and D at 64 pixels
keras / ours        E's conv2 in two groups, D's conv4 and G's deconv1: Keras' layers against networks.kernels; and
                    batch norm of a [batch, 32, 32, 64] map: Keras' operations against the fused kernel. Each is timed
                    for a forward and a backward pass
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf
from timing import best_seconds, note, print_table, write_json

from tf_bigan.networks import ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.kernels import Convolution, TransposedConvolution
from tf_bigan.networks.layers import BatchNorm


def gradient_of(layer, inputs, watched=False):
    """A compiled function of no arguments: the layer's forward and backward pass in training mode."""
    takes_training = isinstance(layer, keras.Model | BatchNorm)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            if watched:
                tape.watch(inputs)
            outputs = layer(inputs, training=True) if takes_training else layer(inputs)
            loss = tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32)))
        sources = [*layer.trainable_variables, *([inputs] if watched else [])]
        return [tf.reduce_sum(g) for g in tape.gradient(loss, sources)]

    return gradient


def contenders(batch_size, policy):
    """Name -> function to time."""
    x, z = tf.random.uniform((batch_size, 64, 64, 3)), tf.random.uniform((batch_size, 200))
    dtype = keras.dtype_policies.get(policy).compute_dtype
    settings = {"use_bias": False, "dtype": policy}
    strided = {"filters": 512, "kernel_size": 5, "strides": 2, **settings}
    doubling = {**strided, "filters": 256}
    found = {
        "gradient of E": gradient_of(ConvEncoder(dtype=policy), x),
        "gradient of G": gradient_of(ConvGenerator(dtype=policy), z),
        "gradient of D": gradient_of(ConvDiscriminator(dtype=policy), [x, z]),
    }
    layers = {
        "conv2 in groups, keras": (keras.layers.Conv2D(256, 5, padding="same", groups=2, **settings), (8, 8, 96)),
        "conv2 in groups, ours": (Convolution(256, 5, pad=2, groups=2, **settings), (8, 8, 96)),
        "conv4, keras": (keras.layers.Conv2D(padding="same", **strided), (8, 8, 256)),
        "conv4, ours": (Convolution(pad=2, **strided), (8, 8, 256)),
        "deconv1, keras": (keras.layers.Conv2DTranspose(padding="same", **doubling), (4, 4, 512)),
        "deconv1, ours": (TransposedConvolution(trim=(2, 1), **doubling), (4, 4, 512)),
        # With synchronised statistics, BatchNorm computes with Keras' operations.
        "batch norm, keras": (BatchNorm(affine=True, synchronized=True, dtype=policy), (32, 32, 64)),
        "batch norm, ours": (BatchNorm(affine=True, dtype=policy), (32, 32, 64)),
    }
    for name, (layer, shape) in layers.items():
        layer.build((None, *shape))
        found[name] = gradient_of(layer, tf.cast(tf.random.normal((batch_size, *shape)), dtype), watched=True)
    return found


def main():
    """Runs all contenders in rounds and prints a table per precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    options = parser.parse_args()

    record = {}
    for policy in ("float32", "mixed_bfloat16"):
        functions = contenders(options.batch_size, policy)
        results = {name: [] for name in functions}
        for function in functions.values():
            function()
        for count in range(options.rounds):
            for name, function in functions.items():
                results[name].append(best_seconds(lambda f=function: np.array(f()[0]), repeats=2) * 1e3)
            note(f"{policy}, round {count + 1} of {options.rounds}")
        print_table(policy, "milliseconds", results)
        record[policy] = results
    write_json(options.json, record)


if __name__ == "__main__":
    main()
