"""Two logical CPU devices for every test, and the data that several tests share."""

import contextlib
import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.pop("TF_BIGAN_ZOO", None)  # tests see the project's own zoo alone

import numpy as np
import pytest
import tensorflow as tf

# The same devices on every machine. This must come before TensorFlow runs anything.
tf.config.set_visible_devices([], "GPU")
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_collection_finish():
    """Has Python's garbage collector leave out the libraries, which live as long as the tests, and run less often."""
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    """A TFDS directory with the digits in it."""
    import tensorflow_datasets as tfds

    import tf_bigan.data.digits  # noqa: F401  (registers the builder)

    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    tfds.builder("digits", data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="session")
def mirrored():
    """Two replicas, on the two logical CPUs."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def modules_checked_here(monkeypatch):
    """`export` checks modules in this process, as a fresh one takes seconds to import TensorFlow.

    It is for tests of something else: others hold that `export` starts a fresh process, and what it does there.
    """
    from tf_bigan import exporting

    def error(_, path, inputs, expected):
        module, tensors = tf.saved_model.load(str(path)), {name: tf.constant(each) for name, each in inputs.items()}
        found = module(tensors if len(tensors) > 1 else next(iter(tensors.values()))).numpy()
        return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))

    monkeypatch.setattr(exporting, "_fresh_process", contextlib.nullcontext)
    monkeypatch.setattr(exporting, "_reload_error", error)
