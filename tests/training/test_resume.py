"""Interrupting and resuming runs, and damage that a run directory and its checkpoints survive."""

import dataclasses
import errno
import gc
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from helpers import finish, fit, flags_of, images, read_h5, read_records, scalar, start_tool, tiny, tiny_game
from tensorflow.python.data.ops.iterator_ops import OwnedIterator

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.files import write_checksums
from tf_bigan.training import train as train_module
from tf_bigan.training.callbacks import Progress
from tf_bigan.training.checkpoints import Checkpoints
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import Terminated, train

ROLES = ("encoder", "generator", "discriminator")


def steps_kept(workdir):
    return sorted(int(path.name.removeprefix("step-")) for path in (workdir / "checkpoints").glob("step-*"))


def largest_file(folder):
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


# -- exact resume, as a user meets it


class Interrupted:
    """A run that is killed, terminated, damaged and killed at file writes; and a run that is not interrupted."""

    def __init__(self, folder, digits_dir):
        # With 23 steps an epoch, each call makes a single step, and checkpoints can fall anywhere within an epoch.
        self.experiment = tiny(batch_size=64, constant_epochs=30, decay_epochs=30, deterministic=True)
        self.total = 60 * 23
        self.data = f"--data_dir={digits_dir}"
        self.whole, self.broken = folder / "whole", folder / "broken"

        alone = self.start(self.whole, checkpoint_every=10000)

        process = self.start(self.broken, checkpoint_every=17)
        self.wait_for_checkpoint_after(0, process)
        process.send_signal(signal.SIGKILL)
        self.killed = finish(process)
        self.after_kill = steps_kept(self.broken)

        process = self.start(self.broken, checkpoint_every=20)
        self.wait_for_checkpoint_after(self.after_kill[-1], process)
        process.send_signal(signal.SIGTERM)
        self.terminated = finish(process)
        self.after_termination = steps_kept(self.broken)

        self.damaged = self.broken / "checkpoints" / f"step-{self.after_termination[-1]:09d}"
        file = largest_file(self.damaged)
        os.truncate(file, file.stat().st_size // 2)
        # Killed before a record is written at the end of an epoch, where a checkpoint is due, too.
        self.killed_at_record = finish(self.start(self.broken, 23, kill_at=(4, "metrics.jsonl")))
        # Killed when a part of the last weights is written.
        self.killed_at_weights = finish(self.start(self.broken, 10000, kill_at=(1, "generator.weights.h5")))
        self.left = [path.name for path in self.broken.iterdir() if path.name.endswith(".generator.weights.h5")]
        self.before_last = RunDirectory(self.broken).weight_files()
        self.resumed = finish(self.start(self.broken, checkpoint_every=10000))
        self.uninterrupted = finish(alone)

    def start(self, workdir, checkpoint_every, kill_at=None):
        """Starts training. `kill_at` = (n, name) kills it before it writes to the file `name` for the n-th time."""
        flags = [flag for flag in flags_of(self.experiment) if not flag.startswith("--checkpoint_every")]
        flags += [f"--checkpoint_every={checkpoint_every}", f"--workdir={workdir}", self.data]
        tool = ["train.py"]
        if kill_at:
            tool = ["../benchmarks/killed_at.py", kill_at[0], workdir / kill_at[1], "tools/train.py"]
        return start_tool(*tool, *flags, PYTHONUNBUFFERED="1")

    def wait_for_checkpoint_after(self, step, process):
        deadline = time.monotonic() + 120
        while not [kept for kept in steps_kept(self.broken) if kept > step]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, digits_dir):
    return Interrupted(tmp_path_factory.mktemp("runs"), digits_dir)


def test_the_run_was_killed_halfway(interrupted):
    assert interrupted.killed[0] == -signal.SIGKILL
    assert 0 < interrupted.after_kill[-1] < interrupted.total


def test_sigterm_checkpoints_and_ends_with_status_143(interrupted):
    status, stdout, stderr = interrupted.terminated
    assert status == 143, stderr
    assert f"resuming after step {interrupted.after_kill[-1]} of {interrupted.total}" in stdout
    newest = interrupted.after_termination[-1]
    assert interrupted.after_kill[-1] < newest < interrupted.total
    assert f"stopped after step {newest} of {interrupted.total}; start again to go on" in stdout
    assert "Traceback" not in stderr
    # The last line of progress says where the run stopped. A resumed epoch, too, is numbered among all epochs.
    epoch, epochs, done, whole = map(
        int, re.findall(r"^epoch (\d+)/(\d+) - step (\d+)/(\d+) - ", stdout, re.MULTILINE)[-1]
    )
    assert (epochs, whole) == (60, 23) and 23 * (epoch - 1) + done == newest


def test_a_damaged_checkpoint_is_named_and_an_older_one_used(interrupted):
    status, stdout, stderr = interrupted.killed_at_record
    assert status == -signal.SIGKILL, stderr
    older, newest = interrupted.after_termination[-2:]
    assert f"skipping checkpoint step-{newest:09d}: " in stdout and "is damaged" in stdout
    assert f"resuming after step {older} of {interrupted.total}" in stdout


def test_what_a_kill_at_a_write_leaves_is_never_read_and_is_removed(interrupted):
    assert interrupted.killed_at_weights[0] == -signal.SIGKILL, interrupted.killed_at_weights[2]
    assert len(interrupted.left) == 1 and interrupted.left[0].startswith(".")
    assert [path.name for path in interrupted.before_last] == ["encoder.weights.h5"]
    status, stdout, stderr = interrupted.resumed
    assert status == 0, stderr
    assert f"finished: {interrupted.total} steps" in stdout
    assert [path for path in interrupted.broken.rglob(".*") if path.name != ".lock"] == []
    assert len(RunDirectory(interrupted.broken).weight_files()) == 3


def test_interrupted_and_uninterrupted_runs_end_with_identical_weights(interrupted):
    assert interrupted.uninterrupted[0] == 0, interrupted.uninterrupted[2]
    for role in ROLES:
        whole, broken = (read_h5(run / f"{role}.weights.h5") for run in (interrupted.whole, interrupted.broken))
        assert whole.keys() == broken.keys() and len(whole) >= 6
        for path in whole:
            assert whole[path].tobytes() == broken[path].tobytes(), f"{role} {path}"


def test_the_log_of_an_interrupted_run_has_each_epoch_once(interrupted):
    whole, broken = (read_records(run / "metrics.jsonl") for run in (interrupted.whole, interrupted.broken))
    for records in (whole, broken):
        assert [r["epoch"] for r in records] == list(range(1, 61))
        assert [r["step"] for r in records] == [23 * epoch for epoch in range(1, 61)]
    # Means over an epoch are over all of its steps, whichever process did them.
    for a, b in zip(whole, broken, strict=True):
        for each in (a, b):
            del each["seconds"], each["images_per_second"]
        assert a == b


def test_settings_that_do_not_decide_the_result_may_change(interrupted):
    # Each start above had a different --checkpoint_every, and the last value is recorded.
    assert Experiment.from_flagfile(interrupted.broken / "train.flags").checkpoint_every == 10000


# -- resuming in one process


@pytest.fixture
def begun(tmp_path, digits_dir):
    """A run of two epochs of 12 steps that stopped after the first."""

    class Stop(Exception):
        pass

    experiment = tiny(checkpoint_every=6, keep_checkpoints=3)
    save = Checkpoints.save

    def stop_after_first(checkpoints, sums):
        save(checkpoints, sums)
        if steps_kept(tmp_path)[-1] == 12:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", stop_after_first)
        with pytest.raises(Stop):
            train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert steps_kept(tmp_path) == [6, 12]
    return tmp_path, experiment


def test_a_resumed_run_goes_on_from_its_newest_checkpoint(begun, digits_dir):
    workdir, experiment = begun
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert "resuming after step 12 of 24" in lines
    assert [r["epoch"] for r in read_records(workdir / "metrics.jsonl")] == [1, 2]
    assert steps_kept(workdir) == [12, 18, 24]


@pytest.fixture
def heard():
    """Gives both signals handlers, as in a terminal. A shell makes background commands ignore SIGINT."""
    handlers = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_epoch_that_a_signal_cuts_in_two_has_one_record(tmp_path, digits_dir, number, heard):
    experiment, before = tiny(checkpoint_every=6), signal.getsignal(number)
    old = {id(each) for each in gc.get_objects()}
    save = Checkpoints.save

    def save_and_terminate(checkpoints, sums):
        save(checkpoints, sums)
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) == before  # a second one does not wait for a checkpoint

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_terminate)
        with pytest.raises(Terminated, match="stopped after step 6 of 24; start again to go on") as caught:
            train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert signal.getsignal(number) == before and caught.value.signal == number
    # An iterator that is freed only as Python ends waits for ever for the thread that reads the batches.
    assert not [each for each in gc.get_objects() if id(each) not in old and isinstance(each, OwnedIterator)]
    assert steps_kept(tmp_path) == [6]
    train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert [(r["epoch"], r["step"]) for r in read_records(tmp_path / "metrics.jsonl")] == [(1, 12), (2, 24)]


def test_pictures_that_a_signal_came_before_are_drawn_when_the_run_goes_on(tmp_path, digits_dir, monkeypatch, heard):
    count = Progress.on_train_batch_end

    def terminate(progress, batch, logs=None):
        count(progress, batch, logs)
        if progress._game.steps_done == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    def pictures():
        return sorted(path.name for path in (tmp_path / "images").glob("samples_*"))

    experiment = tiny(images_every=1)
    with monkeypatch.context() as patch, pytest.raises(Terminated, match="stopped after step 12 of 24"):
        patch.setattr(Progress, "on_train_batch_end", terminate)
        train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert steps_kept(tmp_path) == [12] and not pictures()
    train(experiment, tmp_path, digits_dir, say=lambda line: None)
    assert pictures() == ["samples_0001.png", "samples_0002.png"]
    records = read_records(tmp_path / "metrics.jsonl")
    assert [record["epoch"] for record in records] == [1, 2] and all("watch/seconds" in each for each in records)


def test_after_an_error_sigterm_ends_the_process_as_before(tmp_path, digits_dir, monkeypatch):
    def fail(checkpoints, sums):
        raise InputError("the disk is full")

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(Checkpoints, "save", fail)
    try:
        with pytest.raises(InputError, match="the disk is full"):
            train(tiny(checkpoint_every=6), tmp_path, digits_dir, say=lambda line: None)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_damaged_newest_checkpoint_is_written_again(begun, digits_dir):
    workdir, experiment = begun
    damaged = workdir / "checkpoints" / "step-000000012"
    os.truncate(largest_file(damaged), 10)
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert "resuming after step 6 of 24" in lines
    assert [r["step"] for r in read_records(workdir / "metrics.jsonl")] == [12, 24]
    lines.clear()
    train(experiment, workdir, digits_dir, say=lines.append)
    assert not any("skipping" in line for line in lines) and "is finished" in lines[-1]


def test_a_finished_run_needs_its_checkpoints_no_more(begun, digits_dir):
    workdir, experiment = begun
    train(experiment, workdir, digits_dir, say=lambda line: None)
    shutil.rmtree(workdir / "checkpoints")
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert "is finished: 24 steps" in lines[-1], lines


@pytest.mark.parametrize("images_every", [0, 1])
def test_a_run_killed_before_its_last_weights_writes_them_when_started_again(
    images_every, begun, digits_dir, monkeypatch
):
    # If pictures were written, weights of an earlier epoch, or with other statistics, already exist.
    workdir, experiment = begun
    experiment = dataclasses.replace(experiment, images_every=images_every)

    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_finish", die)
        with pytest.raises(KeyboardInterrupt):
            train(experiment, workdir, digits_dir, say=lambda line: None)
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert "finished: 24 steps; weights in" in lines[-1]
    content = json.loads((workdir / "weights.json").read_text())
    assert content == {"epochs": 2, "statistics_steps": experiment.statistics_steps}


def test_a_run_killed_behind_its_pictures_goes_on_from_them(tmp_path, digits_dir, monkeypatch):
    experiment = tiny(images_every=1)  # checkpoint_every is far away

    class Killed(Exception):
        pass

    def killed(self, networks, epochs, statistics_steps, save_weights=RunDirectory.save_weights):
        save_weights(self, networks, epochs, statistics_steps)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunDirectory, "save_weights", killed)
        train(experiment, tmp_path, digits_dir, say=lambda line: None)
    train(experiment, tmp_path, digits_dir, say=(lines := []).append)
    assert "resuming after step 12 of 24" in lines and "finished: 24 steps" in lines[-1]


def test_weights_without_a_checkpoint_to_go_on_from_are_not_overwritten(begun, digits_dir):
    workdir, experiment = begun
    RunDirectory(workdir).save_weights(tiny_game().networks, 1, 100)
    for path in (workdir / "checkpoints").iterdir():
        os.truncate(largest_file(path), 10)
    before = (workdir / "metrics.jsonl").read_text()
    with pytest.raises(InputError, match="has weights but no checkpoint that can be read, so it cannot go on"):
        train(experiment, workdir, digits_dir, say=lambda line: None)
    assert (workdir / "metrics.jsonl").read_text() == before
    RunDirectory(workdir).load_weights("encoder", tiny_game().encoder)


def test_sigterm_after_the_last_step_of_a_fit_is_kept_in_a_checkpoint(tmp_path, digits_dir):
    append = RunDirectory.append_log

    def terminated(run, record):
        append(run, record)
        if record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "append_log", terminated)
        with pytest.raises(Terminated, match="stopped after step 24 of 24"):
            train(tiny(), tmp_path, digits_dir, say=lambda line: None)
    assert steps_kept(tmp_path) == [24]


def test_without_a_good_checkpoint_a_run_begins_again_and_says_why(begun, digits_dir):
    workdir, experiment = begun
    for step in (6, 12):
        os.truncate(largest_file(workdir / "checkpoints" / f"step-{step:09d}"), 10)
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert sum("skipping checkpoint" in line for line in lines) == 2
    assert "no checkpoint can be read; starting over" in lines
    assert not any("resuming" in line for line in lines)
    assert [r["epoch"] for r in read_records(workdir / "metrics.jsonl")] == [1, 2]


def test_a_lost_weight_file_is_written_again(begun, digits_dir):
    workdir, experiment = begun
    train(experiment, workdir, digits_dir, say=lambda line: None)
    for name in ("encoder.weights.h5", "SHA256SUMS"):
        (workdir / name).unlink()
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    assert "finished: 24 steps" in lines[-1] and (workdir / "encoder.weights.h5").exists()


@pytest.mark.parametrize(
    "change, flag",
    [
        ({"seed": 1}, "--seed=42 (now 1)"),
        ({"decay_epochs": 2}, "--decay_epochs=1 (now 2)"),
        ({"dataset": "mnist"}, "--dataset=digits (now mnist)"),
        ({"image_size": 9}, "--image_size=8 (now 9)"),
        ({"precision": "mixed_bfloat16"}, "--precision=float32 (now mixed_bfloat16)"),
        ({"deterministic": True}, "--deterministic=False (now True)"),
    ],
    ids=str,
)
def test_a_setting_that_decides_the_result_may_not_change(change, flag, begun_once):
    with pytest.raises(InputError) as caught:
        RunDirectory(begun_once).resolve(tiny(**change))
    assert flag in str(caught.value) and str(begun_once) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory):
    """A run directory of `tiny()` whose checkpoint exists in name only."""
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    run.write_experiment(tiny())
    (run.checkpoints / "step-000000001").mkdir(parents=True)
    return run.path


def test_settings_left_open_and_operational_ones_are_taken_as_they_come(begun_once):
    run = RunDirectory(begun_once)
    assert run.resolve(tiny(image_size=0, channels=0, precision="auto", xla="auto")) == tiny()
    changed = tiny(checkpoint_every=1, keep_checkpoints=9, images_every=3, inter_op_threads=1)
    assert run.resolve(changed) == changed


@pytest.mark.parametrize(
    "content", [bytes(range(256)), b"--widht=3\n", b"", None], ids=["binary", "typo", "empty", "cut"]
)
def test_a_damaged_flagfile_is_named(content, begun_once, tmp_path):
    run = RunDirectory(tmp_path)
    (run.checkpoints / "step-000000001").mkdir(parents=True)
    good = (begun_once / "train.flags").read_bytes()
    (tmp_path / "train.flags").write_bytes(good[: len(good) // 2] if content is None else content)
    with pytest.raises(InputError, match="train.flags is (missing or )?damaged"):
        run.resolve(tiny())


def test_a_flagfile_changed_by_hand_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_experiment(tiny())
    assert run.experiment() == Experiment.from_flagfile(tmp_path / "train.flags") == tiny()
    path = tmp_path / "train.flags"
    path.write_text(path.read_text().replace("--width=16", "--width=17"))
    with pytest.raises(InputError, match="train.flags is damaged or was changed"):
        run.experiment()


# -- the log


def test_records_are_appended_and_read(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.read_log() == []
    for step in (1, 2, 3):
        run.append_log({"epoch": step, "step": 10 * step, "loss": 0.1 * step})
    assert [r["step"] for r in run.read_log()] == [10, 20, 30]
    assert read_records(run.log) == run.read_log()


def test_a_last_line_cut_short_is_left_out(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_log({"epoch": 1, "step": 10})
    run.append_log({"epoch": 2, "step": 20})
    os.truncate(run.log, run.log.stat().st_size - 5)
    assert [r["step"] for r in run.read_log()] == [10]
    run.rewind_log(15)
    run.append_log({"epoch": 2, "step": 20})
    assert [r["step"] for r in read_records(run.log)] == [10, 20]


@pytest.mark.parametrize("step, kept", [(0, []), (9, []), (10, [10]), (29, [10, 20]), (30, [10, 20, 30])])
def test_rewinding_drops_what_comes_after_a_step(tmp_path, step, kept):
    run = RunDirectory(tmp_path)
    run.rewind_log(step)
    assert not run.log.exists()
    for epoch in (1, 2, 3):
        run.append_log({"epoch": epoch, "step": 10 * epoch})
    run.rewind_log(step)
    assert [r["step"] for r in read_records(run.log)] == kept


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b'{"epoch": 2, "step": 2', b"[1, 2]", b'"text"', b'{"step": 20}', b'{"epoch": "2", "step": 20}', b"["]
    + [b"[" * 100_000, b'{"epoch": 2, "step": ' + b"9" * 5000 + b"}"],
    ids=lambda line: line[:20],
)
def test_a_damaged_line_of_the_log_is_named(line, tmp_path):
    run = RunDirectory(tmp_path)
    content = b'{"epoch": 1, "step": 10}\n%s\n{"epoch": 3, "step": 30}\n' % line
    run.log.write_bytes(content)
    for use in (run.read_log, lambda: run.rewind_log(30), lambda: run.extend_log(10, {"more": 1})):
        with pytest.raises(InputError, match=f"{run.log} is damaged in line 2, which is no record of an epoch.\n"):
            use()
    assert run.log.read_bytes() == content


def test_a_record_that_cannot_be_written_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    run.append_log({"epoch": 1, "step": 10})
    before = run.log.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="cannot write .*metrics.jsonl: No space left on device"):
            run.append_log({"epoch": 2, "step": 20})
    assert run.log.read_bytes() == before


def test_records_that_the_log_has_lost_are_taken_from_the_checkpoint(tmp_path):
    run, kept = RunDirectory(tmp_path), tmp_path / "kept.jsonl"
    for epoch in (1, 2, 3):
        run.append_log({"epoch": epoch, "step": 10 * epoch, "loss": 0.1 * epoch})
    kept.write_bytes(run.log.read_bytes())
    whole = run.read_log()
    run.log.write_text(json.dumps(whole[0] | {"watch/seconds": 1.0}) + "\n" + json.dumps(whole[2])[:-4])
    run.rewind_log(30, kept)
    assert run.read_log() == [whole[0] | {"watch/seconds": 1.0}, *whole[1:]]
    run.log.unlink()
    run.rewind_log(20, kept)
    assert run.read_log() == whole[:2]


# -- weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run directory with weights, and the game that they are from."""
    run, game = RunDirectory(tmp_path_factory.mktemp("run")), tiny_game(seed=5)
    game.compile(run_eagerly=True)
    fit(game, images(32), 16, statistics_steps=2)
    run.save_weights(game.networks, 2, 2)
    return run, game


def test_weights_round_trip(saved):
    run, game = saved
    assert run.has_weights()
    again = tiny_game(seed=6)
    for role, network in again.networks.items():
        run.load_weights(role, network)
        for a, b in zip(network.variables, game.networks[role].variables, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again.encode(images(3)), game.encode(images(3)))


@pytest.mark.parametrize(
    "other", [{"width": 17}, {"latent_dim": 5}, {"image_size": 9}, {"generator_skip": False}], ids=str
)
def test_weights_of_another_architecture_are_refused(saved, other):
    run, _ = saved
    networks = tiny_game(**other).networks
    role = "generator" if other == {"generator_skip": False} else "encoder"
    with pytest.raises(InputError, match=f"{role}.weights.h5 does not fit the {role} that the flags describe"):
        run.load_weights(role, networks[role])


def test_damaged_and_missing_weights_are_refused(tmp_path):
    run, game = RunDirectory(tmp_path), tiny_game()
    with pytest.raises(InputError, match="SHA256SUMS is missing"):
        run.load_weights("encoder", game.encoder)
    run.save_weights(game.networks, 0, 0)
    path = run.weights_path("encoder")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="encoder.weights.h5 is damaged or was changed"):
        run.load_weights("encoder", game.encoder)
    run.load_weights("generator", game.generator)
    path.unlink()
    with pytest.raises(InputError, match="encoder.weights.h5 is missing"):
        run.load_weights("encoder", game.encoder)


@pytest.mark.parametrize("content", [None, "{"])
def test_weights_that_do_not_say_what_they_are_of_are_refused(content, tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights(tiny_game().networks, 1, 2)
    assert run.weights_state() == {"epochs": 1, "statistics_steps": 2}
    (tmp_path / "weights.json").unlink()
    if content:
        (tmp_path / "weights.json").write_text(content)
    write_checksums(tmp_path, ["encoder.weights.h5", *(["weights.json"] if content else [])])
    with pytest.raises(InputError, match="weights.json is (missing|damaged)"):
        run.weights_state()


# -- checkpoints


def trained(steps, seed=0, dtype="float32"):
    game = tiny_game(seed=seed, dtype=dtype)
    game.compile(run_eagerly=True)
    if steps:
        fit(game, images(16 * steps, seed), 16)
    return game


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_checkpoint_holds_everything_that_decides_the_rest(tmp_path, dtype):
    game = trained(3, dtype=dtype)
    Checkpoints(tmp_path, game).save()
    again = trained(0, seed=0, dtype=dtype)
    assert Checkpoints(tmp_path, again).restore_latest()
    assert again.steps_done == 3 and scalar(again.optimizer.iterations) == 3
    for a, b in zip(
        game.variables + game.optimizer.variables, again.variables + again.optimizer.variables, strict=True
    ):
        if not a.path.startswith("mean"):  # an epoch's mean loss starts anew
            np.testing.assert_array_equal(a, b, err_msg=a.path)
    for each in (game, again):
        fit(each, images(32, seed=9), 16)
    for a, b in zip(game.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_the_newest_checkpoints_are_kept(tmp_path):
    game = trained(1)
    checkpoints = Checkpoints(tmp_path, game, max_to_keep=2)
    for _ in range(4):
        checkpoints.save()
        checkpoints.save()
        fit(game, images(16), 16)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000003", "step-000000004"]


def test_others_than_the_chief_do_not_write(tmp_path):
    game = trained(0)
    Checkpoints(tmp_path / "checkpoints", game, chief=False).save()
    assert not (tmp_path / "checkpoints").exists()


def test_nothing_to_restore_is_no_error(tmp_path):
    said = []
    assert not Checkpoints(tmp_path / "nowhere", trained(0)).restore_latest(said.append)
    assert said == []


@pytest.mark.parametrize("changes", [{"width": 8}, {"generator_skip": False}], ids=str)
def test_a_checkpoint_of_other_networks_is_refused_and_kept(tmp_path, changes):
    Checkpoints(tmp_path, trained(1)).save()
    other = tiny_game(**changes)
    other.compile()
    with pytest.raises(InputError, match="step-000000001 is of other networks; another version of tf_bigan wrote it"):
        Checkpoints(tmp_path, other).restore_latest()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "lost", "no checksums", "empty"])
def test_damaged_checkpoints_are_named_and_passed_over(tmp_path, damage):
    game = trained(1)
    checkpoints = Checkpoints(tmp_path, game)
    checkpoints.save()
    kept = np.array(game.encoder.variables[0])
    fit(game, images(16), 16)
    checkpoints.save()
    newest = tmp_path / "step-000000002"
    file = largest_file(newest)
    if damage == "truncated":
        os.truncate(file, file.stat().st_size - 1)
    elif damage == "flipped":
        content = bytearray(file.read_bytes())
        content[100] ^= 64
        file.write_bytes(content)
    elif damage == "lost":
        file.unlink()
    elif damage == "no checksums":
        (newest / "SHA256SUMS").unlink()
    else:
        for path in newest.iterdir():
            path.write_bytes(b"")
    said = []
    again = trained(0, seed=1)
    assert Checkpoints(tmp_path, again).restore_latest(said.append)
    assert again.steps_done == 1
    np.testing.assert_array_equal(again.encoder.variables[0], kept)
    assert len(said) == 1 and said[0].startswith("skipping checkpoint step-000000002: ")
    # The damaged checkpoint is set aside; otherwise newer checkpoints would be deleted in its favour.
    fit(again, images(16), 16)
    Checkpoints(tmp_path, again, max_to_keep=1).save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged-step-000000002", "step-000000002"]


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(tmp_path):
    game = trained(1)
    Checkpoints(tmp_path, game).save()
    os.truncate(largest_file(tmp_path / "step-000000001"), 10)
    again = trained(1)
    checkpoints = Checkpoints(tmp_path, again)
    assert not checkpoints.restore_latest(lambda line: None)
    checkpoints.save()
    assert checkpoints.restore_latest(pytest.fail)


def test_half_written_checkpoints_are_removed(tmp_path):
    (tmp_path / ".0a1b2c3d.step-000000009").mkdir()
    assert not Checkpoints(tmp_path, trained(0)).restore_latest(pytest.fail)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write .*file"):
        Checkpoints(tmp_path / "file", trained(0)).save()
