"""Shared helpers of the tests: a tiny experiment, a tiny game, images, and running the command-line tools."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import h5py
import keras
import numpy as np
import tensorflow as tf
import warm_tools

from tf_bigan import exporting
from tf_bigan.experiment import Experiment
from tf_bigan.games import make_game
from tf_bigan.networks import ConvEncoder
from tf_bigan.networks.layers import BatchNorm

ROOT = pathlib.Path(__file__).resolve().parents[1]
SYSTEMS = ("bigan", "gan", "latent_regressor", "joint_latent_regressor", "autoencoder_l1", "autoencoder_l2")


def tiny(**changes) -> Experiment:
    """An experiment that trains in seconds: 8x8 digits, 16 units, 4 latent dimensions."""
    settings = {
        "dataset": "digits",
        "image_size": 8,
        "channels": 1,
        "width": 16,
        "latent_dim": 4,
        "batch_size": 128,
        "constant_epochs": 1,
        "decay_epochs": 1,
        "statistics_steps": 3,
        "precision": "float32",
        "xla": "off",
        "images_every": 0,
    }
    return Experiment(**{**settings, **changes})


def tiny_game(system="bigan", dtype="float32", **changes):
    """The freshly initialised game of a tiny experiment."""
    return make_game(tiny(system=system, **changes), dtype)


def awake_game(system="bigan", dtype="float32", seed=1, **changes):
    """A tiny game in which no layer is 0 and signals are of order 1, unlike at the start of training."""
    game = tiny_game(system, dtype, **changes)
    for role, network in game.networks.items():
        rng = np.random.default_rng([seed, *role.encode()])
        for variable in network.trainable_variables:
            variable.assign(rng.normal(0.0, 1.0 / np.sqrt(variable.shape[0]), variable.shape))
    return game


def small_encoder():
    """A ConvEncoder of 48x48 images, an eighth as wide as the paper's, with inference statistics of its own."""
    network = ConvEncoder((48, 48, 3), latent_dim=4, width=8)
    rng = np.random.default_rng(0)
    for norm in norms_of(network).values():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.variance.assign(rng.uniform(0.0005, 0.002, norm.variance.shape))
    return network


def images(count, seed=0, shape=(8, 8, 1)):
    """Random float32 [count, *shape] in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=(count, *shape)).astype(np.float32)


def batches(x, batch_size):
    """A tf.data.Dataset of `x` in order, in full batches."""
    return tf.data.Dataset.from_tensor_slices(x).batch(batch_size, drop_remainder=True)


def fit(game, x, batch_size, statistics_steps=0):
    """Trains quietly for one pass over `x`, in order."""
    return game.fit(batches(x, batch_size), statistics_steps=statistics_steps, verbose=0)


def values(network):
    """Copies of all of a network's variables, by path."""
    return {variable.path: np.array(variable) for variable in network.variables}


def scalar(variable):
    """A scalar variable as a Python number, under a distribution strategy, too."""
    return np.array(variable).item()


def norms_of(network: keras.Model):
    """The batch norms of a network, by name."""
    return {layer.name: layer for layer in network.layers if isinstance(layer, BatchNorm)}


def read_h5(path):
    """Every array in a .weights.h5 file, by its place in it."""
    arrays = {}

    def visit(name, entry):
        if isinstance(entry, h5py.Dataset):
            arrays[name] = entry[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return arrays


def read_records(path):
    """The records of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_checks(patch):
    """Has `export` not compare modules with their models in a fresh process, with a `pytest.MonkeyPatch`."""
    patch.setattr(exporting, "_fresh_process", contextlib.nullcontext)
    patch.setattr(exporting, "_reload_error", lambda *_: 0.0)


def start_tool(tool, *arguments, cold=False, **environment):
    """Starts tools/`tool`: a process with `poll`, `send_signal`, `kill`, `communicate` and `returncode`.

    Args:
      tool: the script's name.
      arguments: of the command line.
      cold: start it as a user does, a `subprocess.Popen`, rather than in a copy of a process with the tools' libraries.
      environment: variables beside those of this process.
    """
    command = [str(ROOT / "tools" / tool), *map(str, arguments)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment}
    if not cold and warm_tools.can_start(environment):
        return warm_tools.start(command, environment)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, **pipes)


def finish(process, timeout=120):
    """Waits for a started tool: (exit status, stdout, stderr)."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, stdout, stderr


def run_tool(tool, *arguments, timeout=120, **environment):
    """Runs tools/`tool` to its end: (exit status, stdout, stderr); see `start_tool`."""
    return finish(start_tool(tool, *arguments, **environment), timeout)


def start_training(experiment, workdir, data_dir, **environment):
    """Starts tools/train.py; see `start_tool`."""
    flags = [*flags_of(experiment), f"--workdir={workdir}", f"--data_dir={data_dir}"]
    return start_tool("train.py", *flags, **environment)


def flags_of(experiment):
    """The command-line flags that give `experiment`."""
    return experiment.to_flagfile().splitlines()


def _results(layer, x, weights):
    """The outputs, and the gradients of their weighted sum by x and by the kernel; compiled, as in training."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
        return y, *tape.gradient(loss, [x, *layer.trainable_variables])

    return [np.array(tf.cast(value, tf.float32)) for value in run(tf.constant(x))]


def assert_same_layer(ours, theirs, x, tolerance=1e-5):
    """Two layers with equal weights give equal outputs and gradients, to within `tolerance` of the largest value."""
    ours.build(x.shape), theirs.build(x.shape)
    ours.set_weights(theirs.get_weights())
    weights = np.random.default_rng(1).normal(size=theirs.compute_output_shape(x.shape)).astype(np.float32)
    for found, expected in zip(_results(ours, x, weights), _results(theirs, x, weights), strict=True):
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def padded(layer, pad):
    return keras.Sequential([keras.layers.ZeroPadding2D(pad), layer])


def trimmed(layer, trim):
    return keras.Sequential([layer, keras.layers.Cropping2D((trim, trim))])
