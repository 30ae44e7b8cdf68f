"""Disks that become full while a run writes. RLIMIT_FSIZE, the largest size of a file, stands for the disk's size."""

import contextlib
import resource

import numpy as np
import pytest
import tensorflow as tf
from helpers import images, read_h5, read_records, tiny

from tf_bigan import figures
from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError, reason
from tf_bigan.evaluation.extract import extract
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train


@contextlib.contextmanager
def full_disk(size):
    """Within this context, no file can become larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal that comes with it
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def unfinished(folder):
    return [path for path in folder.rglob(".*") if path.name != ".lock"]


def test_a_run_on_a_full_disk_ends_with_an_error_and_is_resumed_when_there_is_room(tmp_path, digits_dir):
    experiment, run = tiny(checkpoint_every=5), RunDirectory(tmp_path)
    with full_disk(8000), pytest.raises(InputError, match="cannot write .*step-000000006: File too large$"):
        train(experiment, tmp_path, digits_dir, say=lambda line: None)
    train(experiment, tmp_path, digits_dir, say=lambda line: None)
    weights = {path.name: read_h5(path) for path in run.weight_files()}

    for path in run.weight_files():
        path.unlink()
    with full_disk(8000), pytest.raises(InputError, match="cannot write .*encoder.weights.h5: File too large$"):
        train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert not run.weight_files() and not unfinished(tmp_path)
    train(experiment, tmp_path, digits_dir, say=(said := []).append)
    assert "finished: 24 steps" in said[-1]
    assert [record["epoch"] for record in read_records(run.log)] == [1, 2]
    for path in run.weight_files():
        for name, array in read_h5(path).items():
            np.testing.assert_array_equal(array, weights[path.name][name])


def test_events_for_tensorboard_on_a_full_disk_end_the_run_with_an_error(tmp_path, digits_dir, monkeypatch):
    append = RunDirectory.append_log
    with contextlib.ExitStack() as until_the_end:

        def fill(run, record):
            append(run, record)
            until_the_end.enter_context(full_disk(60))

        monkeypatch.setattr(RunDirectory, "append_log", fill)
        with pytest.raises(InputError, match="cannot write in .*tensorboard: File too large$"):
            train(tiny(), tmp_path, digits_dir, say=lambda line: None)


@pytest.mark.parametrize("name", ["features.npz", "features"])
def test_features_on_a_full_disk_end_with_an_error_and_are_completed_when_there_is_room(name, tmp_path):
    data = open_data(ArraySource(images(100), np.arange(100) % 10), image_size=8, channels=1)
    with full_disk(8000), pytest.raises(InputError, match="cannot write .*: File too large$"):
        extract(lambda x: x, data, tmp_path / name, "pixels", shard=50)
    assert not unfinished(tmp_path / f".{name}.parts") or name == "features"
    assert extract(lambda x: x, data, tmp_path / name, "pixels", shard=50) == (100, (64,))


def test_pictures_on_a_full_disk_end_with_an_error(tmp_path):
    sheet = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    with full_disk(8000), pytest.raises(InputError, match="cannot write .*a.png: File too large$"):
        figures.save_png(tmp_path / "a.png", sheet)
    assert not list(tmp_path.iterdir())


def test_reasons_of_tensorflow_are_one_short_line():
    try:
        tf.io.write_file("/dev/full", tf.constant("x"))
        tf.io.write_file("/nowhere/file", tf.constant("x"))
    except tf.errors.OpError as error:
        assert reason(error.message) in ("No space left on device", "/nowhere/file; No such file or directory")
    assert reason("{{function_node x}} /a/b; No space left on device [Op:SaveV2] name: ") == "No space left on device"
    assert reason("") == "no message" and len(reason("x" * 1000 + "\n")) == 200
