"""What the convolutional networks' layers and their input cost on this machine.

TFDS_DATA_DIR=/path/to/tfds python benchmarks/convolutions.py --dataset=cifar10

gradient            one training-mode forward and backward pass of the paper's E, G and D at 64 pixels
keras / ours        E's conv2 in two groups: Keras' layer against networks.convolutions.Convolution; and batch norm of a
                    [batch, 32, 32, 64] map: Keras' operations against the fused kernel. Forward and backward
pipeline            training batches from encoded images: decode, resize to 72, random crop of 64, flip
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from timing import best_seconds, note, print_table, write_json

from tf_bigan.data import open_images
from tf_bigan.networks import ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.convolutions import Convolution
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
    maps = {shape: tf.cast(tf.random.normal((batch_size, *shape)), dtype) for shape in ((8, 8, 96), (32, 32, 64))}
    settings = {"padding": "same", "groups": 2, "use_bias": False, "dtype": policy}
    found = {
        "gradient of E": gradient_of(ConvEncoder(dtype=policy), x),
        "gradient of G": gradient_of(ConvGenerator(dtype=policy), z),
        "gradient of D": gradient_of(ConvDiscriminator(dtype=policy), [x, z]),
    }
    layers = {
        "conv2 in groups, keras": (keras.layers.Conv2D(256, 5, **settings), (8, 8, 96)),
        "conv2 in groups, ours": (Convolution(256, 5, **settings), (8, 8, 96)),
        # Synchronised statistics take the formula in Keras' operations.
        "batch norm, keras": (BatchNorm(affine=True, synchronized=True, dtype=policy), (32, 32, 64)),
        "batch norm, ours": (BatchNorm(affine=True, dtype=policy), (32, 32, 64)),
    }
    for name, (layer, shape) in layers.items():
        layer.build((None, *shape))
        found[name] = gradient_of(layer, maps[shape], watched=True)
    return found


def pipeline_rate(dataset, batch_size, batches=20):
    """Images a second of the training pipeline alone."""
    data = open_images(dataset, image_size=64, channels=3, shorter_edge=72)
    stream = iter(data.training_batches(batch_size, seed=0, crop="random", flip=True))
    next(stream)
    start = time.perf_counter()
    for _ in range(batches):
        next(stream)
    return batches * batch_size / (time.perf_counter() - start)


def main():
    """Runs all in rounds and prints a table a precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--dataset", help="a TFDS name or folder for the pipeline; none = without it")
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
    if options.dataset:
        record["pipeline"] = [pipeline_rate(options.dataset, options.batch_size) for _ in range(options.rounds)]
        print_table("pipeline", "images/s", {options.dataset: record["pipeline"]})
    write_json(options.json, record)


if __name__ == "__main__":
    main()
