"""Runs of ALI from the command line: images and points, stopped and resumed, on one and two devices."""

import dataclasses
import os
import signal
import time

import numpy as np
import pytest
from helpers import ROOT, finish, flags_of, read_h5, read_records, run_tool, start_tool, tiny
from PIL import Image

import tf_bigan
from tf_bigan.experiment import Experiment
from tf_bigan.games import make_game
from tf_bigan.training.run_directory import RunDirectory


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 48 images of 32x32 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(48):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return folder


def ali_of_images(photos, **changes):
    """ali_cifar10's flags, an eighth as wide, on a few images."""
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10" / "train.flags")
    settings = {"dataset": str(photos), "width": 4, "latent_dim": 8, "batch_size": 16, "constant_epochs": 4}
    return dataclasses.replace(experiment, **settings, images_every=0, deterministic=True, **changes)


def ali_of_points(**changes):
    """ali_mixture's flags, a tenth as wide, on a few points."""
    experiment = Experiment.from_flagfile(ROOT / "zoo" / "ali_mixture" / "train.flags")
    settings = {"split": "train[:400]", "width": 40, "constant_epochs": 3, "decay_epochs": 3, "precision": "float32"}
    return dataclasses.replace(experiment, **settings, images_every=0, deterministic=True, **changes)


def train(experiment, workdir, *more):
    return run_tool("train.py", *flags_of(experiment), f"--workdir={workdir}", *more, timeout=200)


def interrupt(experiment, workdir):
    """Starts a run, terminates it once it has a checkpoint, and returns its exit status."""
    process = start_tool("train.py", *flags_of(experiment), f"--workdir={workdir}")
    deadline = time.monotonic() + 200
    while not RunDirectory(workdir).has_checkpoints() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    return finish(process)[0]


def assert_same_weights(one, two):
    files = sorted(path.name for path in one.glob("*.weights.h5"))
    assert {f"{role}.weights.h5" for role in ("encoder", "generator", "discriminator")} <= set(files)
    for file in files:
        ours, theirs = (read_h5(folder / file) for folder in (one, two))
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=f"{file} {name}")


def test_ali_of_images_resumes_to_the_bit_on_two_devices_in_bfloat16(photos, tmp_path):
    two = {"logical_cpus": 2, "strategy": "mirrored", "precision": "mixed_bfloat16"}
    experiment = ali_of_images(photos, checkpoint_every=2, **two)
    assert interrupt(experiment, tmp_path / "broken") == 128 + signal.SIGTERM
    for workdir in ("broken", "whole"):
        status, _, stderr = train(experiment, tmp_path / workdir)
        assert status == 0, stderr
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    records = read_records(tmp_path / "whole" / "metrics.jsonl")
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    check_use(tmp_path / "whole", photos)


def check_use(run, photos):
    """Checks what `load` returns for a run of ALI on images."""
    model = tf_bigan.load(run)
    images = np.stack([np.asarray(Image.open(photos / f"{i:02}.png")) for i in range(5)]).astype(np.float32) / 255.0
    assert model.encode(images).shape == (5, 8)
    assert not np.allclose(model.encode(images, sample=True), model.encode(images))
    for made in (model.reconstruct(images), model.generate(5, seed=1)):
        assert made.shape == (5, 32, 32, 3) and made.min() >= 0 and made.max() <= 1
    # The output bias began at the log-odds of the mean image, and has hardly changed.
    bias = model.generator.get_layer("outputs").get_weights()[0]
    assert 0 < np.abs(bias).mean() < 1


@pytest.mark.usefixtures("modules_checked_here")
def test_ali_of_points_with_terms_resumes_to_the_bit(tmp_path):
    experiment = ali_of_points(checkpoint_every=3)
    assert interrupt(experiment, tmp_path / "broken") == 128 + signal.SIGTERM
    for workdir in ("broken", "whole"):
        status, stdout, stderr = train(experiment, tmp_path / workdir)
        assert status == 0, stderr
    assert "400 points of 2 coordinates" in stdout
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    model = tf_bigan.load(tmp_path / "whole")
    assert model.generate(10_000, seed=1).shape == (10_000, 2)
    status, stdout, stderr = run_tool(
        "evaluate.py", f"--model={tmp_path / 'whole'}", "--metrics=modes", "--query_split=test[:200]"
    )
    assert status == 0, stderr
    for title in ("modes with any sample", "share within 3 sigma", "reconstruction error, shuffled"):
        assert title in stdout
    status, stdout, stderr = run_tool(
        "visualize.py", f"--model={tmp_path / 'whole'}", f"--output={tmp_path / 'p'}", "--query_split=test[:200]"
    )
    assert status == 0, stderr
    assert sorted(os.listdir(tmp_path / "p")) == ["interpolations.png", "reconstructions.png", "samples.png"]
    tf_bigan.export(model, tmp_path / "module", role="generator")


@pytest.mark.usefixtures("modules_checked_here")
def test_denoising_feature_matching_trains_resumes_evaluates_and_exports(tmp_path, digits_dir):
    flags = [f"--flagfile={ROOT / 'zoo' / 'bigan_digits' / 'train.flags'}", f"--data_dir={digits_dir}"]
    flags += ["--denoising_feature_matching=0.03", "--denoiser_layers=2", "--denoiser_width=32", "--width=32"]
    flags += [
        "--constant_epochs=2",
        "--decay_epochs=1",
        "--images_every=0",
        "--deterministic",
        "--statistics_steps=3",
        "--precision=float32",
    ]
    whole = run_tool("train.py", *flags, f"--workdir={tmp_path / 'whole'}")
    assert whole[0] == 0, whole[2]
    process = start_tool("train.py", *flags, "--checkpoint_every=1", f"--workdir={tmp_path / 'broken'}")
    while not RunDirectory(tmp_path / "broken").has_checkpoints() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    finish(process)
    resumed = run_tool("train.py", *flags, f"--workdir={tmp_path / 'broken'}")
    assert resumed[0] == 0, resumed[2]
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert (tmp_path / "whole" / "denoiser.weights.h5").exists()
    record = read_records(tmp_path / "whole" / "metrics.jsonl")[-1]
    assert {"denoiser_loss", "denoising_feature_matching_loss"} <= record.keys()
    status, stdout, stderr = run_tool(
        "evaluate.py", f"--model={tmp_path / 'whole'}", "--metrics=knn", f"--data_dir={digits_dir}"
    )
    assert status == 0, stderr
    tf_bigan.export(tf_bigan.load(tmp_path / "whole"), tmp_path / "module")


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            ["--networks=mixture", "--dataset=digits"],
            "networks=mixture take points, but the data has images of shape [8, 8, 1]",
        ),
        (["--networks=conv", "--dataset=mixture"], "networks=conv take images, but the data has points of shape [2]"),
        (["--networks=mlp", "--dataset=mixture", "--image_size=8"], "--image_size is for images"),
        (["--networks=mixture", "--dataset=mixture", "--flip"], "mixture has points; --flip is for images"),
        (["--networks=mixture", "--dataset=mixture", "--dimensions=3"], "has points of 2 coordinates, not of 3"),
        (["--dimensions=2"], "digits has images; --dimensions is for points"),
        (["--dropout=false"], "networks=mlp have no dropout, so --dropout=false has no effect"),
        (["--system=gan", "--reconstruction_x=1"], "reconstruction_x needs a network called encoder, and gan has none"),
    ],
)
def test_what_does_not_go_together_ends_in_a_line(flags, message, tmp_path, digits_dir):
    status, _, stderr = run_tool(
        "train.py", "--dataset=digits", *flags, f"--workdir={tmp_path}", f"--data_dir={digits_dir}"
    )
    assert status == 2 and message in stderr and "Traceback" not in stderr and len(stderr.splitlines()) <= 2


def test_a_run_that_began_with_a_setting_without_effect_is_still_one(tmp_path, digits_dir):
    """Such a run was begun by a version that did not yet refuse these settings."""
    experiment, said = tiny(dropout=False, strategy="one_device"), []
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    run.write_experiment(experiment)
    run.save_weights(make_game(experiment).networks, experiment.epochs, experiment.statistics_steps)
    tf_bigan.train(experiment, run.path, digits_dir, said.append)
    assert "is finished" in said[-1] and tf_bigan.load(run.path).generate(3).shape == (3, 8, 8, 1)
    with pytest.raises(tf_bigan.InputError, match="^networks=mlp have no dropout, so --dropout=false has no effect$"):
        tf_bigan.train(experiment, tmp_path / "new", digits_dir, said.append)
    assert not (tmp_path / "new").exists()


def test_a_flagfile_of_a_newer_version_names_its_settings(tmp_path):
    run = RunDirectory(tmp_path)
    experiment = ali_of_points()
    run.write_experiment(experiment)
    newer = experiment.to_flagfile() + "--later_setting=3\n"
    (tmp_path / "train.flags").write_text(newer)
    with pytest.raises(tf_bigan.InputError, match="does not know: later_setting.\nA newer one wrote it"):
        run.experiment()
