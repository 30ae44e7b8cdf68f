"""Compares an exported encoder with the Keras model that it was exported from: images per second of inference.

python benchmarks/exported_encoder.py

keras               model.feature_function(), the compiled function behind `model.features`, of one batch
module              tf_bigan.export(model), loaded by hub.load
module, unfolded    the same module, exported with fold=False, which keeps its batch norms

All contenders have the published weights, and compute penultimate features in float32. They run in one process, in
rounds, and the outputs of each call are fetched. Before that, it is checked that the outputs agree.
"""

import argparse
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
from timing import calls_per_second, note, print_table, write_json

import tf_bigan
from tf_bigan.exporting import TOLERANCE

EXPORTS = {"module": {}, "module, unfolded": {"fold": False}}  # contender -> its arguments for `tf_bigan.export`


def contenders(name, batch_size, folder):
    """Name -> function of no arguments that returns a batch's features as an array."""
    model = tf_bigan.load(name)
    images = tf.constant(np.random.default_rng(0).random((batch_size, *model.example_shape), np.float32))
    functions = {"keras": model.feature_function()}
    for count, (variant, arguments) in enumerate(EXPORTS.items()):
        functions[variant] = hub.load(tf_bigan.export(model, f"{folder}/{count}", **arguments))
    calls = {
        variant: lambda f=function: tf.reshape(f(images), (batch_size, -1)).numpy()
        for variant, function in functions.items()
    }
    expected = calls["keras"]()
    for call in calls.values():
        np.testing.assert_allclose(call(), expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))
    return calls


def main():
    """Runs all contenders in rounds, and prints a table of rates and one of ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", default="bigan_imagenet", help="a zoo model's name or a run directory")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5, help="seconds measured per contender and round")
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        calls = contenders(options.model, options.batch_size, folder)
        rates = {name: [] for name in calls}
        for count in range(options.rounds):
            for name, call in calls.items():
                rates[name].append(options.batch_size * calls_per_second(call, options.seconds, warmup=2))
            note(f"round {count + 1} of {options.rounds}")
    quotients = {
        f"{name} / keras": [rate / base for rate, base in zip(rates[name], rates["keras"], strict=True)]
        for name in rates
        if name != "keras"
    }
    pairs = zip(rates["module"], rates["module, unfolded"], strict=True)
    quotients["module / module, unfolded"] = [folded / unfolded for folded, unfolded in pairs]
    print_table("inference", "images/s", rates)
    print_table("ratios", "quotient", quotients, digits=2)
    write_json(options.json, {"model": options.model, "batch_size": options.batch_size, "images_per_second": rates})


if __name__ == "__main__":
    main()
