"""Runs that learn labels, from the command line to a table."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, finish, flags_of, read_h5, read_records, run_tool, start_tool, tiny
from PIL import Image

import tf_bigan
from tf_bigan.data import open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.experiment import Experiment
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

FEW = {"label_weight": 1.0, "labelled": 20, "batch_size": 64, "constant_epochs": 8, "deterministic": True}


def test_a_run_on_few_labels_is_resumed_exactly(digits_dir, tmp_path):
    experiment, data = tiny(checkpoint_every=3, **FEW), f"--data_dir={digits_dir}"
    status, _, stderr = run_tool("train.py", *flags_of(experiment), data, f"--workdir={tmp_path / 'whole'}")
    assert status == 0, stderr
    command = ("train.py", *flags_of(experiment), data, f"--workdir={tmp_path / 'broken'}")
    process = start_tool(*command)
    deadline = time.monotonic() + 120
    while not RunDirectory(tmp_path / "broken").has_checkpoints() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 128 + signal.SIGTERM
    status, stdout, stderr = run_tool(*command)
    assert status == 0 and "resuming after step" in stdout, stderr
    assert RunDirectory(tmp_path / "broken").experiment().classes == 10
    for role in ("encoder", "generator", "discriminator"):
        one, two = (read_h5(tmp_path / run / f"{role}.weights.h5") for run in ("whole", "broken"))
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_d_learns_the_labels_of_the_chosen_examples(digits_dir, tmp_path):
    experiment = tiny(**{**FEW, "width": 64, "learning_rate": 1e-3, "labelled": 100, "constant_epochs": 8})
    train(experiment, tmp_path, str(digits_dir), say=lambda line: None)
    log = read_records(tmp_path / "metrics.jsonl")
    assert log[-1]["labels_loss"] < 0.5 * log[0]["labels_loss"]
    model = tf_bigan.load(tmp_path)
    test = open_data("digits", "test", data_dir=str(digits_dir))
    assert np.mean(model.classify(test.arrays()[0]) == test.labels()) > 0.5


def test_all_labels_and_pictures_of_a_run_without_g(digits_dir, tmp_path):
    experiment = tiny(system="supervised", images_every=1)
    train(experiment, tmp_path, str(digits_dir), say=lambda line: None)
    assert sorted(path.name for path in tmp_path.glob("*.weights.h5")) == [
        "discriminator.weights.h5",
        "encoder.weights.h5",
    ]
    assert not list((tmp_path / "images").glob("*.png"))
    assert tf_bigan.load(tmp_path).class_probabilities(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 10)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label_weight": 1.0, "classes": 7}, "classes=7, but digits has 10 classes; leave classes at 0"),
        ({"system": "supervised", "labelled": 15}, "labelled=15 labels cannot be equally many of each of 10 classes"),
        (
            {"label_weight": 1.0, "labelled": 2000},
            "labelled=2000 takes 200 labels of each class, and digits train has 14. of class '0'",
        ),
        (
            {"label_weight": 1.0, "max_labels": 1},
            "digits has one class, and label_weight=1 learns to tell classes apart",
        ),
        ({"system": "supervised", "label_weight": 1.0}, "system=supervised has no label_weight, so --label_weight=1.0"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(changes, message, digits_dir, tmp_path):
    with pytest.raises(InputError, match=message):
        train(tiny(**changes), tmp_path, str(digits_dir), say=lambda line: None)


def test_a_folder_without_classes_is_refused(tmp_path):
    for n in range(8):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), n, np.uint8)).save(tmp_path / "photos" / f"{n}.png")
    flags = [*flags_of(tiny(dataset=str(tmp_path / "photos"), batch_size=4, system="supervised"))]
    status, _, stderr = run_tool("train.py", *flags, f"--workdir={tmp_path / 'run'}")
    assert status == 2
    last = stderr.strip().splitlines()[-1]
    assert last == f"error: {tmp_path / 'photos'} has no labels, and system=supervised learns to tell classes apart"


def test_from_training_to_the_table(digits_dir, tmp_path):
    """The flags of ALI's entry with other data and networks, and a single number of labels."""
    tables = "import dataclasses, tf_bigan.evaluation.paper_tables as p; p.TABLES['cifar10_few_labels'] = "
    patched = (
        "dataclasses.replace(p.TABLES['cifar10_few_labels'].then, values=(20,), runs={'ali_cifar10_labels': 'ALI'})"
    )
    code = f"import sys; sys.path.insert(0, 'tools'); import common; {tables}{patched}\n"
    code += "import reproduce; common.run(reproduce.main, '')"
    shape = "--dataset=digits --networks=mlp --width=16 --latent_dim=4 --image_size=8 --channels=1 --precision=float32"
    flags = f"--flags={shape} --constant_epochs=1 --decay_epochs=0 --images_every=0 --xla=off"
    command = [sys.executable, "-c", code, "--table=cifar10_few_labels", "--seeds=7", flags]
    options = {"capture_output": True, "text": True, "cwd": ROOT, "env": {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}}
    done = subprocess.run([*command, f"--runs={tmp_path}", f"--data_dir={digits_dir}"], **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("$ ") == 2  # it is trained and evaluated
    again = subprocess.run([*command, f"--runs={tmp_path}", "--notrain"], **options)
    table = again.stdout.strip()
    assert again.returncode == 0 and done.stdout.strip().endswith(table) and "not run" not in table
    run = RunDirectory(tmp_path / "ali_cifar10_labels-seed7-labelled20")
    assert run.is_finished() and (run.experiment().labelled, run.experiment().classes) == (20, 10)
    error = read_report(run.path / "metrics.json")["results"]["classification"]["error"]
    (line,) = [line for line in table.splitlines() if line.startswith("ALI, digits ")]
    assert line.split() == ["ALI,", "digits", f"{error:.2f}", "1", "1"]


def test_the_entries_differ_from_each_other_in_nothing_but_the_game():
    ali, alone = (
        Experiment.from_flagfile(ROOT / "zoo" / name / "train.flags")
        for name in ("ali_cifar10_labels", "supervised_cifar10")
    )
    assert dataclasses.replace(ali, system="supervised", label_weight=0.0) == alone
    assert (ali.label_weight, ali.labelled, ali.classes, ali.networks) == (1.0, 4000, 10, "ali_cifar10")
