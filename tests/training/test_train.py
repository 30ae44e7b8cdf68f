"""tools/train.py as a user runs it, and `train` as a program calls it."""

import concurrent.futures
import errno
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, SYSTEMS, finish, read_h5, read_records, run_tool, start_training, tiny, tiny_game
from PIL import Image

import tf_bigan
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.files import verify_checksums
from tf_bigan.games import BiGAN
from tf_bigan.training import devices, run_directory
from tf_bigan.training import train as train_module
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

EPOCHS, STEPS = 3, 12  # of 128 images each: 1437 digits make 11.2 batches
TOTAL = EPOCHS * STEPS


def ran(experiment, workdir, digits_dir):
    """Trains, and returns the lines of progress."""
    lines = []
    train(experiment, workdir, digits_dir, say=lines.append)
    return lines


def checkpoints_in(workdir):
    return sorted(int(path.name.removeprefix("step-")) for path in (workdir / "checkpoints").glob("step-*"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_dir):
    """A run made by the command line: (its folder, exit status, stdout, stderr)."""
    workdir = tmp_path_factory.mktemp("runs") / "new" / "run"
    experiment = tiny(image_size=0, channels=0, constant_epochs=2, decay_epochs=1, images_every=2)
    flagfile = tmp_path_factory.mktemp("flags") / "tiny.flags"
    flagfile.write_text(experiment.to_flagfile())
    return workdir, *run_tool(
        "train.py", f"--flagfile={flagfile}", "--seed=7", f"--workdir={workdir}", f"--data_dir={digits_dir}"
    )


def test_a_run_ends_with_status_0_and_without_complaints(finished):
    workdir, status, stdout, stderr = finished
    assert status == 0, stderr
    assert "1437 images of 8x8x1; one_device, 1 replica(s) on CPU; float32 (as asked); XLA off" in stdout
    assert "estimating inference statistics over 3 batches" in stdout
    assert f"finished: {TOTAL} steps; weights in {workdir}" in stdout
    # One line a minute, and one at the end.
    assert re.findall(r"^epoch .*", stdout, re.MULTILINE) == re.findall(
        r"^epoch 3/3 - step 12/12 - discriminator_loss: 0\.\d{4} - encoder_generator_loss: 0\.\d{4} - "
        r"images/s: [\d,]+ - time left: 0:00$",
        stdout,
        re.MULTILINE,
    )
    assert "epoch 3/3" in stdout
    assert "Warning" not in stderr and "Traceback" not in stderr


def test_a_run_directory_holds_what_it_promises(finished):
    workdir = finished[0]
    assert {path.name for path in workdir.iterdir() if not path.name.startswith(".")} == {
        "SHA256SUMS",
        "checkpoints",
        "data.json",
        "discriminator.weights.h5",
        "encoder.weights.h5",
        "generator.weights.h5",
        "images",
        "metrics.jsonl",
        "tensorboard",
        "train.flags",
        "weights.json",
    }
    verify_checksums(workdir)
    assert checkpoints_in(workdir)[-1] == TOTAL
    assert len(list((workdir / "tensorboard").iterdir())) >= 1


def test_the_flagfile_is_the_resolved_experiment(finished):
    experiment = Experiment.from_flagfile(finished[0] / "train.flags")
    threads = {"inter_op_threads": experiment.inter_op_threads, "intra_op_threads": experiment.intra_op_threads}
    assert threads == {"inter_op_threads": 0, "intra_op_threads": 0} | devices.pick_threads(tiny())
    changes = {"constant_epochs": 2, "decay_epochs": 1, "images_every": 2, "seed": 7, "strategy": "one_device"}
    assert experiment == tiny(**changes, **threads)
    assert (experiment.image_size, experiment.channels) == (8, 1)


def test_each_epoch_has_a_record(finished):
    records = read_records(finished[0] / "metrics.jsonl")
    assert [(r["epoch"], r["step"]) for r in records] == [(1, STEPS), (2, 2 * STEPS), (3, 3 * STEPS)]
    np.testing.assert_allclose([r["learning_rate"] for r in records], [2e-4, 2e-4, 2e-6], rtol=1e-5)
    for r in records:
        assert {name for name in r if not name.startswith("watch/")} == {
            "epoch",
            "step",
            "seconds",
            "images_per_second",
            "learning_rate",
            "discriminator_loss",
            "encoder_generator_loss",
        }
        assert all(math.isfinite(value) for name, value in r.items() if name != "watch/warnings")
        assert abs(r["discriminator_loss"] - math.log(2)) < 0.05
    assert records[0]["seconds"] < records[1]["seconds"] < records[2]["seconds"]


def test_tensorboard_has_the_same_numbers(finished):
    found = {}
    for file in sorted((finished[0] / "tensorboard").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag not in ("samples", "reconstructions", "watch/warnings"):
                    found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for r in read_records(finished[0] / "metrics.jsonl"):
        for name in ("discriminator_loss", "encoder_generator_loss", "learning_rate"):
            assert found[name, r["step"]] == pytest.approx(r[name], rel=1e-6)


def test_pictures_are_drawn_every_so_many_epochs(finished):
    assert sorted(path.name for path in (finished[0] / "images").iterdir()) == [
        "reconstructions_0002.png",
        "samples_0002.png",
    ]
    for path in (finished[0] / "images").iterdir():
        pixels = np.array(Image.open(path))
        assert pixels.dtype == np.uint8 and pixels.std() > 0


def test_weights_are_float32_with_inference_statistics(finished):
    arrays = read_h5(finished[0] / "encoder.weights.h5")
    assert {a.dtype for a in arrays.values()} == {np.dtype("float32")}
    assert sorted(a.shape for a in arrays.values()) == [(), (16,), (16,), (16, 4), (16, 16), (64, 16)]
    assert [float(a) for a in arrays.values() if a.shape == ()] == [3.0]  # statistics_steps


def test_weights_are_those_of_the_game_that_was_trained(finished):
    game = tiny_game(seed=7)
    run = RunDirectory(finished[0])
    for role, network in game.networks.items():
        run.load_weights(role, network)
    assert np.isfinite(game.encode(np.ones((2, 8, 8, 1)))).all()
    other = tiny_game(seed=7)
    assert not np.allclose(
        game.encoder.get_layer("h1_linear").kernel, other.encoder.get_layer("h1_linear").kernel, atol=1e-5
    )


def test_a_finished_run_is_left_as_it_is(finished, digits_dir):
    workdir = finished[0]
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.h5")}
    log = (workdir / "metrics.jsonl").read_bytes()
    experiment = tiny(constant_epochs=2, decay_epochs=1, seed=7, image_size=0, channels=0, precision="auto")
    assert ran(experiment, workdir, digits_dir)[-1] == f"{workdir} is finished: {TOTAL} steps"
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*.h5")} == before
    assert (workdir / "metrics.jsonl").read_bytes() == log


def test_that_a_run_is_finished_is_said_without_tensorflow_and_without_data(finished, tmp_path):
    workdir, flags = finished[0], [f"--flagfile={finished[0]}/train.flags", f"--data_dir={tmp_path}"]
    flags.append(f"--workdir={workdir}")
    code = (
        f"import runpy, sys; sys.path[0] = {str(ROOT / 'tools')!r}; sys.argv[1:] = {flags!r}\n"
        f"try:\n runpy.run_path({str(ROOT / 'tools' / 'train.py')!r}, run_name='__main__')\n"
        "finally:\n print('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"{workdir} is finished: {TOTAL} steps\nFalse\n"), result.stderr


def test_a_finished_run_that_is_asked_for_more_epochs_says_how_to_go_on(finished):
    workdir = finished[0]
    flags = [f"--flagfile={workdir}/train.flags", "--decay_epochs=5", f"--workdir={workdir}"]
    assert run_tool("train.py", *flags) == (
        2,
        "",
        f"error: {workdir} is finished with --decay_epochs=1 (now 5); its epochs cannot change.\n"
        f"To train its weights further, begin another run: --initial_weights={workdir} --workdir=OTHER\n",
    )


def test_another_experiment_in_the_same_directory_is_refused(finished, digits_dir):
    workdir = finished[0]
    other = tiny(constant_epochs=2, decay_epochs=1, width=17, l2=0.0, seed=7)
    status, _, stderr = finish(start_training(other, workdir, digits_dir))
    assert status == 2
    assert f"error: {workdir} holds another experiment. It was started with " in stderr
    assert "--width=16 (now 17)" in stderr and "--l2=2.5e-05 (now 0.0)" in stderr
    assert "--seed" not in stderr and "Traceback" not in stderr
    assert Experiment.from_flagfile(workdir / "train.flags").width == 16


@pytest.mark.parametrize("allocate", ["import tensorflow as tf; tf.zeros([1 << 46])", "bytearray(1 << 60)"])
def test_too_little_memory_is_told_in_a_line(allocate):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); sys.argv[1:] = []; import common\n"
        f"def main():\n common.import_tensorflow()\n {allocate}\n"
        "common.run(main, '')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: not enough memory for what the flags ask for\n"


# -- flags; these do not come as far as TensorFlow


def test_help_explains_every_flag():
    for flag in ("--help", "-h"):
        status, stdout, stderr = run_tool("train.py", flag)
        assert (status, stderr) == (0, "")
    assert "python tools/train.py --flagfile=" in stdout
    for name in ("workdir", "data_dir", "flagfile", *Experiment.__dataclass_fields__):
        assert f"--{name}" in stdout
    assert "batch over all replicas [examples] (Donahue et al. 2017, appendix)" in stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "error: --workdir is required; --help explains\n"),
        (["--workdir="], "error: --workdir is required; --help explains\n"),
        (["--workdirr=/tmp/run"], "error: unknown flag --workdirr. Did you mean --workdir"),
        (["--workdir=/nowhere", "--system=bigann"], "error: unknown system 'bigann'. Did you mean 'bigan'"),
        (["--workdir=/nowhere", "--batch_size=few"], "few"),
        (["--workdir=/nowhere", "--batch_size=1"], "error: batch_size must be at least 2, found 1\n"),
        (["--workdir=/nowhere", "mnist"], "error: 'mnist' is no flag; flags begin with --\n"),
        (["--workdir=/nowhere", "--flagfile=/nowhere/train.flags"], "/nowhere/train.flags"),
    ],
    ids=str,
)
def test_command_lines_that_cannot_work_end_with_status_2_and_one_line(arguments, message):
    status, stdout, stderr = run_tool("train.py", *arguments)
    assert status == 2 and stdout == ""
    assert message in stderr and stderr.startswith("error: ") and stderr.count("\n") == 1


def test_a_damaged_flagfile_ends_with_status_2(tmp_path):
    path = tmp_path / "train.flags"
    path.write_bytes(bytes(range(256)))
    status, stdout, stderr = run_tool("train.py", f"--flagfile={path}", f"--workdir={tmp_path / 'run'}")
    assert status == 2 and "Traceback" not in stderr and str(path) in stderr
    assert not (tmp_path / "run").exists()


# -- settings, data and directories that cannot work


def test_a_run_that_diverges_ends_with_status_2(tmp_path, digits_dir):
    experiment = tiny(learning_rate=1e38, checkpoint_every=1, images_every=1)
    status, _, stderr = finish(start_training(experiment, tmp_path / "run", digits_dir))
    assert status == 2, stderr
    complaint = stderr[stderr.index("error: ") :]
    assert "is not finite" in complaint and "training stopped" in complaint and "--learning_rate" in complaint
    assert len(complaint.splitlines()) == 2 and "Traceback" not in stderr
    assert not list((tmp_path / "run").glob("*.weights.h5"))


@pytest.mark.parametrize("player", ["discriminator", "encoder_generator"])
def test_a_loss_that_is_not_finite_names_player_and_step_and_keeps_the_last_good_checkpoint(
    player, tmp_path, digits_dir, monkeypatch
):
    player_losses = BiGAN.player_losses

    def broken(game, tensors):
        losses = player_losses(game, tensors)
        return {**losses, player: tf.where(game.step.value >= 22, float("nan"), losses[player])}

    experiment = tiny(constant_epochs=2, checkpoint_every=5)
    with monkeypatch.context() as patch:
        patch.setattr(BiGAN, "player_losses", broken)
        with pytest.raises(InputError, match=f"the loss of the {player} is not finite at step 22; training stopped"):
            ran(experiment, tmp_path, digits_dir)
    good = checkpoints_in(tmp_path)[-1]
    assert 22 - 2 * 6 < good <= 22  # each call runs six steps, half an epoch

    lines = ran(experiment, tmp_path, digits_dir)
    assert f"resuming after step {good} of 36" in lines
    assert all(np.isfinite(a).all() for a in read_h5(tmp_path / "encoder.weights.h5").values())
    assert [r["epoch"] for r in read_records(tmp_path / "metrics.jsonl")] == [1, 2, 3]


def test_more_images_a_batch_than_there_are_is_refused(tmp_path, digits_dir):
    with pytest.raises(InputError, match="digits has 100 images, fewer than a batch of 128; lower --batch_size"):
        ran(tiny(split="train[:100]"), tmp_path / "run", digits_dir)


def test_a_missing_data_set_is_named(tmp_path, digits_dir):
    with pytest.raises(InputError, match="unknown data set 'digitz'. Did you mean 'digits'"):
        ran(tiny(dataset="digitz"), tmp_path / "run", digits_dir)
    with pytest.raises(InputError, match="there is no folder"):
        ran(tiny(dataset=str(tmp_path / "photos")), tmp_path / "run", digits_dir)
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, digits_dir):
    (tmp_path / "file").write_text("no folder")
    for workdir in (tmp_path / "file" / "run", tmp_path / "file"):
        with pytest.raises(InputError, match=f"cannot write in {workdir}: "):
            ran(tiny(), workdir, digits_dir)
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_place_without_locks_is_mentioned(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_directory.fcntl, "flock", flock)
    lines = []
    with RunDirectory(tmp_path).lock(lines.append):
        assert lines == [f"{tmp_path} cannot be locked (No locks available); train in it with one process only"]


def test_a_directory_that_another_process_trains_in_is_refused(tmp_path, digits_dir):
    with RunDirectory(tmp_path).lock(), pytest.raises(InputError, match=f"another process is training in {tmp_path}"):
        ran(tiny(), tmp_path, digits_dir)
    assert not (tmp_path / "train.flags").exists()
    with RunDirectory(tmp_path).lock():
        assert os.listdir(tmp_path) == [".lock"]


def test_what_another_process_began_meanwhile_is_not_gone_on_with(tmp_path, digits_dir, monkeypatch):
    def usable(*arguments, usable=train_module._usable):
        other = RunDirectory(tmp_path)
        (other.checkpoints / "step-000000001").mkdir(parents=True)
        other.write_experiment(tiny(seed=7))
        return usable(*arguments)

    monkeypatch.setattr(train_module, "_usable", usable)
    with pytest.raises(InputError, match="holds another experiment. It was started with --seed=7"):
        ran(tiny(), tmp_path, digits_dir)
    assert RunDirectory(tmp_path).experiment().seed == 7


# -- every way to run


@pytest.mark.parametrize("system", SYSTEMS[1:])
def test_every_system_trains(system, tmp_path, digits_dir):
    ran(tiny(system=system, decay_epochs=0, images_every=1), tmp_path, digits_dir)
    verify_checksums(tmp_path)
    game = tiny_game(system)
    assert {path.name for path in tmp_path.glob("*.weights.h5")} == {f"{role}.weights.h5" for role in game.networks}
    pictures = {"samples_0001.png"} | ({"reconstructions_0001.png"} if game.encoder is not None else set())
    assert {path.name for path in (tmp_path / "images").iterdir()} == pictures
    (record,) = read_records(tmp_path / "metrics.jsonl")
    assert {name for name in record if name.endswith("_loss")} == {f"{player}_loss" for player in game.players}


def test_several_replicas_train_and_save_what_one_device_loads(tmp_path, digits_dir):
    # This runs in a separate process, as the collectives of two MirroredStrategies in one process interfere.
    experiment = tiny(strategy="mirrored", logical_cpus=2, images_every=1, checkpoint_every=7)
    status, stdout, stderr = finish(start_training(experiment, tmp_path, digits_dir))
    assert status == 0, stderr
    assert "2 replica(s)" in stdout and "finished: 24 steps" in stdout
    records = read_records(tmp_path / "metrics.jsonl")
    assert [r["step"] for r in records] == [12, 24]
    assert all(r["watch/effective_rank"] > 1.0 and 0.0 <= r["watch/real_accuracy"] <= 1.0 for r in records)
    assert checkpoints_in(tmp_path)[-1] == 24
    game, run = tiny_game(), RunDirectory(tmp_path)
    for role, network in game.networks.items():
        run.load_weights(role, network)
    assert np.isfinite(game.reconstruct(np.ones((2, 8, 8, 1)))).all()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_flags_of_two_sizes_train_on_two_replicas(precision, tmp_path, digits_dir):
    # The published flags, except for the data, the length and, to save time, the width.
    flagfile = ROOT / "zoo" / "bigan_imagenet_112" / "train.flags"
    data = ["--dataset=digits", f"--data_dir={digits_dir}", "--split=train[:32]", "--channels=1"]
    short = ["--constant_epochs=1", "--decay_epochs=0", "--batch_size=16", "--statistics_steps=1", "--width=8"]
    replicas = ["--strategy=mirrored", "--logical_cpus=2", f"--precision={precision}"]
    status, stdout, stderr = run_tool(
        "train.py", f"--flagfile={flagfile}", *data, *short, *replicas, f"--workdir={tmp_path}"
    )
    assert status == 0, stderr
    assert "2 replica(s)" in stdout and precision in stdout and "finished: 2 steps" in stdout
    experiment = Experiment.from_flagfile(tmp_path / "train.flags")
    assert (experiment.crop_size, experiment.image_size) == (112, 64)
    assert all(np.isfinite(a).all() for a in read_h5(tmp_path / "encoder.weights.h5").values())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_to_float32_weights(precision, tmp_path, digits_dir, monkeypatch):
    # float16 is refused on CPUs because it is slow there, but this test shows that it works.
    monkeypatch.setattr(devices, "pick_precision", lambda name, networks, strategy: (precision, "as asked"))
    ran(tiny(precision=precision), tmp_path, digits_dir)
    arrays = read_h5(tmp_path / "encoder.weights.h5")
    assert {a.dtype for a in arrays.values()} == {np.dtype("float32")}
    assert all(np.isfinite(a).all() for a in arrays.values())
    records = read_records(tmp_path / "metrics.jsonl")
    np.testing.assert_allclose([r["learning_rate"] for r in records], [2e-4, 2e-6], rtol=1e-5)
    assert Experiment.from_flagfile(tmp_path / "train.flags").precision == precision


@pytest.mark.parametrize("changes", [{}, {"encoder_size": 32}], ids=["one size", "larger encoder"])
def test_convolutional_networks_train_on_crops(changes, tmp_path, digits_dir):
    experiment = tiny(
        networks="conv",
        width=4,
        image_size=16,
        shorter_edge=40,
        crop="random",
        flip=True,
        decay_epochs=0,
        split="train[:256]",
        images_every=1,
        **changes,
    )
    assert "finished: 2 steps" in ran(experiment, tmp_path, digits_dir)[-1]
    model = tf_bigan.load(tmp_path)
    size = experiment.crop_size
    assert model.features(np.ones((2, size, size, 1)), "conv3").shape == (2, size // 16, size // 16, 24)
    assert model.reconstruct(np.ones((2, size, size, 1))).shape == (2, 16, 16, 1)


def test_a_folder_of_images_trains_from_python(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)).save(path)
    experiment = tiny(dataset=str(tmp_path / "photos"), image_size=8, channels=0, batch_size=16)
    tf_bigan.train(experiment, tmp_path / "run", say=lambda line: None)
    assert Experiment.from_flagfile(tmp_path / "run" / "train.flags").channels == 3
    assert [r["step"] for r in read_records(tmp_path / "run" / "metrics.jsonl")] == [3, 6]


def test_a_thread_can_train(tmp_path, digits_dir):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        lines = pool.submit(ran, tiny(decay_epochs=0), tmp_path, digits_dir).result()
    assert lines[-1].startswith("finished: 12 steps")


def test_open_settings_are_resolved_and_recorded(tmp_path, digits_dir, monkeypatch):
    monkeypatch.setattr(devices, "_product_seconds", lambda dtype, size: 2.0 if dtype == tf.float32 else 1.0)
    experiment = tiny(image_size=0, channels=0, precision="auto", xla="auto", decay_epochs=0)
    assert "mixed_bfloat16 (bfloat16 products run 2.0 times as fast" in ran(experiment, tmp_path, digits_dir)[0]
    recorded = Experiment.from_flagfile(tmp_path / "train.flags")
    assert (recorded.image_size, recorded.channels, recorded.precision) == (8, 1, "mixed_bfloat16")
    assert (recorded.strategy, recorded.xla) == ("one_device", "off")
    # On a machine that would pick other settings, the run keeps its own.
    monkeypatch.setattr(devices, "_product_seconds", lambda dtype, size: 1.0)
    assert "is finished" in ran(experiment, tmp_path, digits_dir)[-1]


def test_the_whole_step_compiled_with_xla_trains(tmp_path, digits_dir):
    lines = ran(tiny(xla="on", decay_epochs=0), tmp_path, digits_dir)
    assert lines[0].endswith("XLA on") and lines[-1].startswith("finished: 12 steps")
