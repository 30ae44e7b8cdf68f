"""Two workers on this machine. PITFALLS: keras#20585, keras#20329."""

import json
import shutil
import signal
import socket
import time

import numpy as np
import pytest
from helpers import finish, read_h5, read_records, start_training, tiny

from tf_bigan.experiment import Experiment
from tf_bigan.files import verify_checksums


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def start_workers(experiment, workdirs, digits_dir):
    """Starts a worker for each of `workdirs`, side by side."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(len(workdirs))]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(len(workdirs))]
    return [
        start_training(experiment, workdir, digits_dir, TF_CONFIG=json.dumps(config))
        for workdir, config in zip(workdirs, configs, strict=True)
    ]


def finish_all(processes):
    """Waits for all processes, and returns (exit status, stdout, stderr) of each."""
    try:
        return [finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def workers(tmp_path_factory, digits_dir):
    """A run of two workers in one directory: (the directory, what each worker returned)."""
    workdir = tmp_path_factory.mktemp("cluster") / "run"
    experiment = tiny(strategy="multi_worker", images_every=2, checkpoint_every=5)
    return workdir, finish_all(start_workers(experiment, [workdir, workdir], digits_dir))


def test_both_workers_end_with_status_0(workers):
    for status, _, stderr in workers[1]:
        assert status == 0, stderr


def test_only_the_chief_speaks(workers):
    workdir, ((_, chief, _), (_, other, _)) = workers
    assert "2 replica(s)" in chief and f"finished: 24 steps; weights in {workdir}" in chief
    assert other == ""


def test_only_the_chief_writes(workers):
    workdir = workers[0]
    assert [(r["epoch"], r["step"]) for r in read_records(workdir / "metrics.jsonl")] == [(1, 12), (2, 24)]
    assert Experiment.from_flagfile(workdir / "train.flags").strategy == "multi_worker"
    assert [path.name for path in sorted((workdir / "checkpoints").iterdir())][-1] == "step-000000024"
    assert not [path for path in workdir.rglob("*") if path.name.startswith(".") and path.name != ".lock"]
    assert sorted(path.name for path in (workdir / "images").iterdir()) == [
        "reconstructions_0002.png",
        "samples_0002.png",
    ]


def test_the_weights_are_whole_and_finite(workers):
    workdir = workers[0]
    verify_checksums(workdir)
    for role in ("encoder", "generator", "discriminator"):
        arrays = read_h5(workdir / f"{role}.weights.h5")
        assert all(np.isfinite(a).all() for a in arrays.values())
        assert [float(a) for a in arrays.values() if a.shape == ()] in ([3.0], [3.0, 3.0])  # statistics_steps


def test_two_workers_take_the_steps_of_two_replicas_in_one_process(workers, tmp_path, digits_dir):
    status, _, stderr = finish(start_training(tiny(strategy="mirrored", logical_cpus=2), tmp_path, digits_dir))
    assert status == 0, stderr
    for ours, theirs in zip(*(read_records(path / "metrics.jsonl") for path in (workers[0], tmp_path)), strict=True):
        for name in ("discriminator_loss", "encoder_generator_loss"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-6)
    for role in ("encoder", "generator", "discriminator"):
        arrays, others = (read_h5(path / f"{role}.weights.h5") for path in (workers[0], tmp_path))
        for name, array in arrays.items():
            np.testing.assert_allclose(array, others[name], atol=1e-5, err_msg=name)


def wait_for_checkpoint(workdir, process):
    until = time.monotonic() + 60
    while not list(workdir.glob("checkpoints/step-*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)


def test_sigterm_to_one_worker_stops_all_at_the_same_step_and_all_resume_there(tmp_path, digits_dir):
    experiment = tiny(strategy="multi_worker", constant_epochs=40, checkpoint_every=12)
    processes = start_workers(experiment, [tmp_path / "run"] * 2, digits_dir)
    wait_for_checkpoint(tmp_path / "run", processes[0])
    processes[1].send_signal(signal.SIGTERM)
    (chief, said, stderr), (other, _, _) = finish_all(processes)
    assert (chief, other) == (143, 143), stderr
    newest = max((tmp_path / "run" / "checkpoints").iterdir()).name
    assert f"stopped after step {int(newest.removeprefix('step-'))} of 492; start again to go on" in said

    shutil.copytree(tmp_path / "run", tmp_path / "apart", ignore=shutil.ignore_patterns("checkpoints"))
    for status, _, stderr in finish_all(start_workers(experiment, [tmp_path / "run", tmp_path / "apart"], digits_dir)):
        assert status == 2
        assert stderr.endswith("error: the workers found different checkpoints; they must share one --workdir\n")


def test_a_worker_that_loses_another_says_so_and_keeps_its_checkpoints(tmp_path, digits_dir):
    experiment = tiny(strategy="multi_worker", constant_epochs=1000, checkpoint_every=12)
    chief, _ = processes = start_workers(experiment, [tmp_path, tmp_path], digits_dir)
    wait_for_checkpoint(tmp_path, chief)
    chief.kill()  # the other worker's death would be noticed only by missed heartbeats, which is slow
    _, (status, _, stderr) = finish_all(processes)
    assert status == 1
    *_, last = stderr.splitlines()
    assert last == "error: another worker is gone; start all again to resume from the last checkpoint"
    assert "Traceback" not in stderr
    verify_checksums(sorted(tmp_path.glob("checkpoints/step-*"))[-1])
