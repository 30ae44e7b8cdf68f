"""`tools/train.py --dry_run`: what a run would train, without training it."""

import os

import pytest
from helpers import ROOT, flags_of, run_tool, tiny

from tf_bigan.experiment import Experiment
from tf_bigan.training import dry_run as dry_run_module

NO_DATA = {"TFDS_DATA_DIR": "/nowhere"}


def dry_run(*flags, **environment):
    status, stdout, stderr = run_tool("train.py", *flags, "--dry_run", **environment)
    assert status == 0, stderr
    return stdout


def row(text, network, layer):
    """The row of a layer in a network's table, as words."""
    table = text.split(f"\n{network}: ")[1].split("\n\n")[0]
    (found,) = [words for line in table.splitlines()[1:] if (words := line.split())[0] == layer]
    return found[1:]


def test_alis_networks_for_celeba_are_printed_without_data():
    text = dry_run(f"--flagfile={ROOT / 'zoo' / 'ali_celeba' / 'train.flags'}", **NO_DATA)
    assert text.startswith("ali with the networks ali_celeba, trained on celeb_a\n")
    assert "a multiply-add counts as 2" in text
    # 7 * 7 * 64 * 128 weights at 29 * 29 places of the output, and 7 * 7 * 256 * 128 at 29 * 29 places of the input.
    assert row(text, "encoder", "conv2_linear") == ["29x29x128", "401,408", "675,168,256"]
    assert row(text, "generator", "deconv4_linear") == ["63x63x128", "1,605,632", "2,700,673,024"]
    assert row(text, "generator", "outputs") == ["64x64x3", "12,288", "0"]
    assert row(text, "discriminator", "joint1_linear") == ["1x1x2048", "3,147,776", "6,291,456"]
    totals = {"encoder": "6,794,880", "generator": "11,811,392", "discriminator": "15,189,057"}
    assert {role: row(text, role, "total")[0] for role in totals} == totals
    assert "\ndiscriminator: images 64x64x3, z 256\n" in text


def test_bigans_networks_for_mnist_are_printed_without_data():
    text = dry_run(f"--flagfile={ROOT / 'zoo' / 'bigan_mnist' / 'train.flags'}", **NO_DATA)
    # Fully connected layers without biases: two operations for each weight.
    for role, parameters in (("generator", 1_953_792), ("discriminator", 1_903_616), ("encoder", 1_902_592)):
        assert row(text, role, "total") == [f"{parameters:,}", f"{2 * parameters:,}"]
    assert "per image" in text


def test_points_and_the_networks_of_terms():
    flags = [f"--flagfile={ROOT / 'zoo' / 'ali_mixture' / 'train.flags'}", "--denoising_feature_matching=0.03"]
    text = dry_run(*flags, "--denoiser_layers=2", "--denoiser_width=32")
    assert row(text, "encoder", "total")[0] == "164,002" and "FLOP per point" in text
    assert row(text, "denoiser", "h2_linear") == ["32", "1,024", "2,048"]


def test_points_whose_shape_is_given_need_no_data(monkeypatch):
    monkeypatch.setattr(dry_run_module, "open_data", lambda *args, **options: pytest.fail("the data was opened"))
    flags = ["--system=gan", "--networks=mixture", "--dataset=mixture", "--dimensions=2"]
    assert "\ndiscriminator: points 2\n" in dry_run_module.dry_run(Experiment().changed_by(flags))


def test_the_shape_of_images_is_read_from_the_data_if_it_is_not_given(digits_dir, tmp_path):
    experiment = tiny(image_size=0, channels=0)
    text = dry_run(*flags_of(experiment), f"--data_dir={digits_dir}", f"--workdir={tmp_path / 'run'}")
    assert "\nencoder: images 8x8x1\n" in text
    assert not os.listdir(tmp_path)  # nothing was begun


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--networks=ali_celeba", "--image_size=32", "--channels=3"], "ali_celeba take images of 64x64, not 32x32"),
        (["--dropout=false", "--image_size=28", "--channels=1"], "so --dropout=false has no effect"),
        (["--dataset=./nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_refused_as_in_training(flags, message):
    status, _, stderr = run_tool("train.py", "--dry_run", *flags, **NO_DATA)
    assert status == 2 and message in stderr and "Traceback" not in stderr and len(stderr.splitlines()) <= 2


def test_without_dry_run_a_run_directory_is_required():
    status, _, stderr = run_tool("train.py")
    assert status == 2 and "--workdir is required" in stderr
