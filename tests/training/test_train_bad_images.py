"""Training on a folder with images that cannot be decoded."""

import json
import os
import shutil

import numpy as np
import pytest
from helpers import finish, run_tool, start_training, tiny
from PIL import Image

from tf_bigan.data import open_images
from tf_bigan.data.images import ImageData
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.training import devices
from tf_bigan.training import train as train_module
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

BAD = 33


def photos(folder, count=40, bad=BAD):
    """A folder of 12x10 PNGs; one is cut short."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)).save(folder / f"{i:02}.png")
    if bad is not None:
        damage(folder / f"{bad:02}.png")
    return folder


def damage(path):
    os.truncate(path, 60)


def mend(path):
    Image.effect_noise((12, 10), 50).convert("RGB").save(path)


def settings(folder, **changes):
    """At most 16 images in three steps, with random crops, so that images are decoded again in every step."""
    defaults = {"image_size": 8, "channels": 3, "crop": "random", "batch_size": 16, "decay_epochs": 0}
    return tiny(**{"dataset": str(folder), **defaults, **changes})


def ran(experiment, workdir):
    lines = []
    train(experiment, workdir, say=lines.append)
    return lines


def unfinish(run):
    """Deletes the files that are written at the end, so that a run resumes at its last checkpoint."""
    for path in [*run.glob("*.h5"), run / "SHA256SUMS", run / "weights.json"]:
        path.unlink()


@pytest.fixture(scope="module")
def skipped(tmp_path_factory):
    """A run that left out one image, by the command line: (folder, run directory, exit status, stdout, stderr)."""
    folder = photos(tmp_path_factory.mktemp("data") / "photos")
    run = tmp_path_factory.mktemp("runs") / "run"
    return folder, run, *finish(start_training(settings(folder, bad_images="skip"), run, "/nowhere"))


def test_a_bad_image_is_refused_before_training_begins(skipped, tmp_path):
    folder = skipped[0]
    status, stdout, stderr = finish(start_training(settings(folder), tmp_path / "run", "/nowhere"))
    assert status == 2 and "Epoch" not in stdout
    complaint = stderr[stderr.index("error: ") :]
    assert complaint.startswith(f"error: 1 of 40 images of {folder} cannot be used: truncated, ")
    assert complaint.endswith(f"\nIt is {folder}/33.png; --bad_images=skip leaves out what cannot be used\n")
    assert len(complaint.splitlines()) == 2 and "Traceback" not in stderr
    assert not (tmp_path / "run").exists()


def test_skipped_images_are_counted_and_named(skipped):
    folder, run, status, stdout, stderr = skipped
    assert status == 0, stderr
    assert "checking that 40 images can be decoded" in stdout
    assert f"1 of 40 images of {folder} cannot be used and are left out: {folder}/33.png\n" in stdout
    assert ": 39 images of 8x8x3; " in stdout and "finished: 3 steps" in stdout
    assert "Traceback" not in stderr
    content = json.loads((run / "data.json").read_text())
    files = content.pop("files")
    del content["checksum"]
    assert content == {"origin": str(folder), "images": 40, "left_out": [BAD]}
    told = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
    assert list(zip(files["names"], files["sizes"], files["times"], strict=True))[:BAD] == told[:BAD]


def test_a_resumed_run_leaves_out_the_same_images_without_a_check(skipped, tmp_path):
    folder, run = skipped[0], tmp_path / "run"
    shutil.copytree(skipped[1], run)
    unfinish(run)
    mend(folder / "33.png")
    try:
        status, stdout, stderr = finish(start_training(settings(folder, bad_images="skip"), run, "/nowhere"))
    finally:
        damage(folder / "33.png")
    assert status == 0, stderr
    assert "resuming after step 3 of 3" in stdout and ": 39 images of" in stdout and "/33.png" in stdout
    assert "checking" not in stdout
    assert (run / "data.json").read_bytes() == (skipped[1] / "data.json").read_bytes()
    for path in skipped[1].glob("*.h5"):
        assert (run / path.name).exists()


def test_the_policy_decides_the_result(skipped):
    with pytest.raises(InputError, match="--bad_images=skip"):
        ran(settings(skipped[0]), skipped[1])


FILES = '{"names": ["a"], "sizes": [], "times": []}'
DAMAGED_FILES = f'{{"origin": "a", "images": 40, "left_out": [], "files": {FILES}}}'


@pytest.mark.parametrize(
    "content", ["", "[]", '{"images": 40}', '{"images": 40, "left_out": ["a"]}', DAMAGED_FILES], ids=range(5)
)
def test_a_damaged_record_is_named(skipped, tmp_path, content):
    run = tmp_path / "run"
    shutil.copytree(skipped[1], run)
    unfinish(run)  # a finished run does not look at its data
    (run / "data.json").write_text(content)
    with pytest.raises(InputError, match=f"{run}/data.json is damaged: .*; delete it") as caught:
        ran(settings(skipped[0], bad_images="skip"), run)
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_without_a_record_is_checked_again(skipped, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(skipped[1], run)
    unfinish(run)
    (run / "data.json").unlink()
    lines = ran(settings(skipped[0], bad_images="skip"), run)
    assert lines[0].startswith("checking") and "finished: 3 steps" in lines[-1]
    assert json.loads((run / "data.json").read_text())["left_out"] == [BAD]


def test_a_folder_with_other_images_does_not_resume(skipped, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(skipped[0], folder)
    experiment = settings(folder, bad_images="skip")
    ran(experiment, tmp_path / "run")
    unfinish(tmp_path / "run")
    mend(folder / "40.png")
    with pytest.raises(InputError, match=f"begun with 40 images of {folder}; {folder} has 41") as caught:
        ran(experiment, tmp_path / "run")
    assert len(str(caught.value).splitlines()) == 2


def replaced(path):
    Image.effect_noise((12, 10), 80).convert("RGB").save(path)


def touched(path):
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [replaced, touched])
def test_an_image_that_was_changed_is_named_at_resume(change, tmp_path):
    folder, run = photos(tmp_path / "photos"), tmp_path / "run"
    experiment = settings(folder, bad_images="skip")
    ran(experiment, run)
    unfinish(run)
    change(folder / "07.png")
    with pytest.raises(InputError, match=f"(?s)1 of 40 images of {folder} were changed.*the first is 07.png") as caught:
        ran(experiment, run)
    assert f"or delete {run}/data.json to go on" in str(caught.value) and len(str(caught.value).splitlines()) == 2
    (run / "data.json").unlink()
    assert "resuming after step 3 of 3" in ran(experiment, run)


def test_a_run_of_an_earlier_version_keeps_its_files_and_their_order(tmp_path):
    folder, run = photos(tmp_path / "photos"), tmp_path / "run"
    experiment = settings(folder, bad_images="skip")
    ran(experiment, run)
    content = json.loads((run / "data.json").read_text())
    del content["files"], content["checksum"]
    (run / "data.json").write_text(json.dumps(content))
    Image.new("RGB", (12, 10)).save(folder / "00.webp")  # which an earlier version did not read
    for _ in range(2):  # the second time, the files are recorded
        unfinish(run)
        lines = ran(experiment, run)
        assert lines[0].startswith("this run was begun by an earlier version") and "resuming after step 3 of 3" in lines
        content = json.loads((run / "data.json").read_text())
        assert (content["images"], content["left_out"], content["earlier"]) == (40, [BAD], True)
        assert len(content["files"]["names"]) == 40 and "00.webp" not in content["files"]["names"]


def test_what_is_loaded_is_decoded_once(skipped, tmp_path, monkeypatch):
    calls = []
    try_all = ImageData._try_all
    monkeypatch.setattr(ImageData, "_try_all", lambda data, load: calls.append(load) or try_all(data, load))
    experiment = settings(skipped[0], crop="centre", bad_images="skip")
    lines = ran(experiment, tmp_path / "run")
    assert calls == [True] and "1 of 40 images" in lines[0] and ": 39 images" in lines[1]
    unfinish(tmp_path / "run")
    calls.clear()
    assert "1 of 40 images" in ran(experiment, tmp_path / "run")[0]
    assert calls == [True]  # into memory, without the bad one


def test_too_few_left_for_a_batch_are_refused(skipped, tmp_path):
    with pytest.raises(InputError, match="has 39 images, fewer than a batch of 40"):
        ran(settings(skipped[0], batch_size=40, bad_images="skip"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_that_find_different_images_are_refused(skipped, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "sum_over_replicas", lambda strategy, value: value and value + 1)
    with pytest.raises(InputError, match="they must have the same data"):
        ran(settings(skipped[0]), tmp_path / "run")


@pytest.mark.parametrize("how", [damage, os.remove], ids=["damaged", "removed"])
def test_an_image_that_is_lost_after_the_check_is_named(how, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", bad=None)
    fit = train_module._fit

    def fit_later(*arguments):
        how(folder / "17.png")
        return fit(*arguments)

    monkeypatch.setattr(train_module, "_fit", fit_later)
    with pytest.raises(InputError, match=r"(?s)1 of 40 images.*17\.png; restore it, then start again"):
        ran(settings(folder, images_every=1), tmp_path / "run")


def test_what_was_trained_on_a_folder_is_used_on_it_with_the_same_policy(skipped, tmp_path):
    folder, run, *_ = skipped
    with pytest.raises(InputError, match=r"(?s)1 of 40 images .*33\.png; --bad_images=skip leaves out"):
        open_evaluation_data(RunDirectory(run).experiment(), bad_images="refuse").queries.arrays()
    arguments = f"--model={run}", "--metrics=reconstruction", f"--json={tmp_path}/report.json"
    status, _, stderr = run_tool("evaluate.py", *arguments)
    assert status == 0 and "Traceback" not in stderr
    assert f"1 of 40 images of {folder} cannot be used and are left out: {folder}/33.png" in stderr
    assert json.loads((tmp_path / "report.json").read_text())["queries"]["images"] == 39


def test_features_of_a_folder_with_a_bad_image(skipped, tmp_path, monkeypatch):
    from tf_bigan.data import images as images_module
    from tf_bigan.evaluation.extract import extract

    monkeypatch.setattr(images_module, "IN_MEMORY_BYTES", 0)

    def network(images):
        return np.asarray(images).mean((1, 2))

    output = tmp_path / "features.npz"
    data = open_images(str(skipped[0]), image_size=8)
    with pytest.raises(InputError, match=r"(?s)1 of 40 images .*33\.png; --bad_images=skip"):
        extract(network, data, output, "means", shard=16)
    data = open_images(str(skipped[0]), image_size=8, bad_images="skip", say=lambda line: None)
    assert extract(network, data, output, "means", shard=16) == (39, (3,))
    assert np.load(output)["features"].shape == (39, 3)


def test_what_cannot_be_built_is_refused_before_all_images_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageData, "_try_all", lambda data, load: pytest.fail("decoded"))
    for n in range(4):
        Image.fromarray(np.full((48, 48, 3), n, np.uint8)).save(tmp_path / f"{n}.png")
    settings = {"dataset": str(tmp_path), "networks": "conv", "channels": 3, "batch_size": 2, "crop": "random"}
    for changes, message in (
        ({"system": "latent_regressor", "image_size": 32, "encoder_size": 48}, "the encoder takes examples of shape"),
        ({"image_size": 40}, "40"),
    ):
        with pytest.raises(InputError, match=message):
            train(tiny(**settings, **changes), tmp_path / "run", say=lambda line: None)
