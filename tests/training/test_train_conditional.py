"""A run of conditional ALI on the classes of a folder, as a user makes it: stopped, resumed and drawn."""

import dataclasses

import numpy as np
import pytest
from helpers import ROOT, flags_of, run_tool
from PIL import Image
from test_train_ali import assert_same_weights, interrupt, train

import tf_bigan
from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.shapes import shape_settings


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A folder of 48 images of 32x32 pixels, in three classes."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for i in range(48):
        (folder / "abc"[i % 3]).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / "abc"[i % 3] / f"{i:02}.png")
    return folder


def experiment(classes, **changes):
    """The flags of the entry, an eighth as wide, on a few images."""
    flags = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    settings = {"dataset": str(classes), "width": 4, "latent_dim": 8, "batch_size": 16, "attributes": 0}
    return dataclasses.replace(flags, **{**settings, "images_every": 0, "deterministic": True, **changes})


def test_a_conditional_run_resumes_to_the_bit_and_is_drawn(classes, tmp_path):
    two = {"logical_cpus": 2, "strategy": "mirrored", "checkpoint_every": 2, "precision": "float32"}
    settings = experiment(classes, constant_epochs=10, **two)
    assert interrupt(settings, tmp_path / "broken") == 143
    for workdir in ("broken", "whole"):
        status, _, stderr = train(settings, tmp_path / workdir)
        assert status == 0, stderr
    assert_same_weights(tmp_path / "broken", tmp_path / "whole")
    run = RunDirectory(tmp_path / "whole")
    assert run.experiment().attributes == 3 and run.weights_path("embedding").exists()

    model, named = tf_bigan.load(str(run.path)), f"--model={run.path}"
    assert model.generate(2, seed=0, attributes=np.eye(3)[:2]).shape == (2, 32, 32, 3)
    status, stdout, stderr = run_tool("visualize.py", named, f"--output={tmp_path / 'a'}", "--rows=4")
    assert status == 0, stderr
    drawn = {line.rpartition("/")[2] for line in stdout.split()}
    assert {"samples.png", "reconstructions.png", "attributes.png"} <= drawn and "interpolations.png" not in drawn
    assert Image.open(tmp_path / "a" / "attributes.png").size == (2 * (3 * 34 - 2), 2 * (4 * 34 - 2))
    status, _, stderr = run_tool("visualize.py", named, f"--output={tmp_path / 'b'}", "--figures=interpolations")
    assert status == 2 and stderr.strip().endswith(f"error: {run.path} takes attributes, so it has no interpolations")


def test_the_number_of_attributes_comes_from_the_data():
    x = np.zeros((4, 32, 32, 3), np.uint8)
    plain, labelled = ArraySource(x, name="plain"), ArraySource(x, [0, 1, 2, 3], name="labelled")
    described = open_data(ArraySource(x, attributes=np.zeros((4, 7)), name="described"))
    assert shape_settings(experiment(""), described) == {"image_size": 32, "channels": 3, "attributes": 7}
    assert shape_settings(experiment("", attributes=7), described)["attributes"] == 7
    assert shape_settings(experiment("", system="ali"), described) == {"image_size": 32, "channels": 3}
    for settings, data, message in (
        (experiment("", attributes=6), described, "^described has 7 attributes, not the 6 of --attributes$"),
        (experiment(""), open_data(plain), "^conditional_ali needs attributes, and plain has none$"),
        (
            experiment(""),
            open_data(labelled),
            "^conditional_ali needs attributes, and labelled has none; --attributes_from=label makes one-hot vectors "
            "of its labels$",
        ),
    ):
        with pytest.raises(InputError, match=message):
            shape_settings(settings, data)


def test_settings_of_conditional_ali_have_no_effect_elsewhere(classes):
    for changes in ({"attributes": 3}, {"attributes_from": "label"}, {"train_embedding": False}):
        given = {"attributes": 0, "attributes_from": "data", **changes}
        with pytest.raises(InputError, match=f"^system=ali has no {next(iter(changes))}, so --"):
            experiment(classes, system="ali", **given).check_effects()
        experiment(classes, **given).check_effects()


def test_the_flags_of_a_run_of_other_attributes_are_refused(classes, tmp_path):
    status, _, stderr = run_tool(
        "train.py", *flags_of(experiment(classes, attributes=4)), f"--workdir={tmp_path / 'run'}"
    )
    assert status == 2 and stderr.strip().endswith(f"error: {classes} has 3 attributes, not the 4 of --attributes")
