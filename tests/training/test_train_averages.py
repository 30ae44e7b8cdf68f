"""Runs that average their weights, through the command line: what is written, and exact resume."""

import signal

import numpy as np
import pytest
import tensorflow as tf
from helpers import finish, flags_of, read_h5, read_records, run_tool, start_tool, tiny

from tf_bigan.training.dry_run import dry_run
from tf_bigan.training.estimate import estimate
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import load
from tf_bigan.zoo.describing import describe

ROLES = ("encoder", "generator", "discriminator")
STEPS = 24  # of two epochs


class Runs:
    """A run with averages; the same, killed after the first epoch's pictures and resumed; the same without averages."""

    def __init__(self, folder, digits_dir):
        self.plain, self.whole, self.broken = (folder / name for name in ("plain", "whole", "broken"))
        self.data = f"--data_dir={digits_dir}"
        self.experiment = tiny(average_decay=0.9, deterministic=True, images_every=1, learning_rate=0.01)
        started = self.start(self.whole)
        # Killed as it draws the second epoch's pictures, when the last checkpoint is that of the first epoch's.
        self.killed = finish(self.start(self.broken, kill_at=(1, "images/samples_0002.png")), timeout=300)
        self.averaged = finish(started, timeout=300)
        started = self.start(self.plain, "--average_decay=0")
        self.resumed = finish(self.start(self.broken), timeout=300)
        self.alone = finish(started, timeout=300)

    def start(self, workdir, *more, kill_at=None):
        tool = ["train.py"]
        if kill_at:
            tool = ["../benchmarks/killed_at.py", kill_at[0], workdir / kill_at[1], "tools/train.py"]
        return start_tool(*tool, *flags_of(self.experiment), *more, f"--workdir={workdir}", self.data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits_dir):
    return Runs(tmp_path_factory.mktemp("runs"), digits_dir)


def written(run, role):
    return read_h5(run / f"{role}.weights.h5")


def trained(arrays):
    """The kernels of a weight file."""
    return {path: array for path, array in arrays.items() if array.ndim > 1}


def test_the_runs_end_as_they_should(runs):
    assert runs.killed[0] == -signal.SIGKILL, runs.killed[2]
    for status, stdout, stderr in (runs.alone, runs.averaged, runs.resumed):
        assert status == 0, stderr
        assert f"finished: {STEPS} steps" in stdout
    assert "resuming after step 12 of 24" in runs.resumed[1]
    assert "; weights are averaged with decay 0.9\n" in runs.averaged[1] and "averaged" not in runs.alone[1]


def test_a_resumed_run_ends_with_identical_weights(runs):
    for role in ROLES:
        whole, broken = written(runs.whole, role), written(runs.broken, role)
        assert whole.keys() == broken.keys()
        for path in whole:
            assert whole[path].tobytes() == broken[path].tobytes(), f"{role} {path}"


def test_the_weights_that_are_written_are_averages_of_those_in_training(runs):
    checkpoint = runs.whole / "checkpoints" / f"step-{STEPS:09d}" / "state"
    reader = tf.train.load_checkpoint(str(checkpoint))
    # The game was trained as without averages; the checkpoint has its weights and their averages.
    held = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map()]

    def holds(array):
        return any(np.array_equal(array, each) for each in held)

    for role in ROLES:
        plain, averaged = trained(written(runs.plain, role)), trained(written(runs.whole, role))
        assert plain.keys() == averaged.keys() and plain
        for path, array in averaged.items():
            assert holds(array) and holds(plain[path]) and not np.array_equal(plain[path], array), path
    logs = [read_records(run / "metrics.jsonl") for run in (runs.plain, runs.whole)]
    plain, averaged = ([record["encoder_generator_loss"] for record in log] for log in logs)
    assert averaged == plain


def test_pictures_and_the_watch_are_of_the_averages(runs):
    for name in ("samples_0001.png", "samples_0002.png"):
        assert (runs.plain / "images" / name).read_bytes() != (runs.whole / "images" / name).read_bytes()
    numbers = [read_records(run / "metrics.jsonl")[-1]["watch/sample_distance"] for run in (runs.plain, runs.whole)]
    assert numbers[0] != numbers[1]


def test_a_loaded_run_has_the_averages_and_keeps_no_others(runs, capsys):
    model = load(runs.whole)
    assert not model.average_variables()
    kernels = list(trained(written(runs.whole, "encoder")).values())
    for variable in model.encoder.trainable_variables:
        assert variable.shape.rank < 2 or any(np.array_equal(variable, each) for each in kernels)
    describe(runs.whole)
    assert "  averages    the weights are running averages of those in training, decay 0.9\n" in capsys.readouterr().out
    describe(runs.plain)
    assert "averages" not in capsys.readouterr().out


def test_another_decay_is_another_run(runs):
    flags = [*flags_of(runs.experiment), "--average_decay=0.99", f"--workdir={runs.whole}", runs.data]
    status, _, stderr = run_tool("train.py", *flags)
    assert status == 2 and "holds another experiment. It was started with --average_decay=0.9 (now 0.99)" in stderr


def test_averages_take_memory_like_the_weights(monkeypatch):
    from tf_bigan.games import make_game
    from tf_bigan.training import devices

    monkeypatch.setattr(devices, "product_rate", lambda policy: 1e9)
    plain, averaged = tiny(), tiny(average_decay=0.9)
    states = [estimate(each, make_game(each), 1).state for each in (plain, averaged)]
    assert states[1] * 4 == states[0] * 5
    assert "Memory: about" in dry_run(averaged)


def test_digests_do_not_depend_on_averages(runs):
    assert tiny(average_decay=0.9).fresh_digest() == tiny().fresh_digest()
    assert RunDirectory(runs.whole).is_finished() and RunDirectory(runs.broken).is_finished()
