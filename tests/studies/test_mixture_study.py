"""The study of the 25 Gaussians as it is made: with a stand-in for tools/train.py, and with tools/train.py itself."""

import json
import pathlib
import re
import shutil
import sys

import numpy as np
import pytest
from helpers import ROOT, run_tool, tiny

from tf_bigan.errors import InputError
from tf_bigan.studies import mixture
from tf_bigan.studies.mixture_figure import colours, study_figure
from tf_bigan.studies.mixture_plan import plan
from tf_bigan.studies.side_by_side import NOT_FINITE
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

FLAGS = ["--constant_epochs=1", "--split=train[:400]", "--width=8", "--xla=off"]
SETTINGS = 2  # of each system, in most tests

# A stand-in for tools/train.py that takes no time: it notes its workdir and initial weights, and copies a finished run.
STAND_IN = """
import pathlib, shutil, sys
given = dict(each[2:].partition("=")[::2] for each in sys.argv[2:])
folder, workdir = pathlib.Path(sys.argv[1]), pathlib.Path(given["workdir"])
with open(folder / "calls", "a") as calls:
    calls.write(workdir.name + " " + pathlib.Path(given.get("initial_weights", "-")).name + chr(10))
said = folder / (workdir.name + ".says")
if said.exists():
    print(said.read_text())
    sys.exit(2)
shutil.copytree(folder / given["system"], workdir, dirs_exist_ok=True)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits_dir):
    """A folder with a finished run of each system."""
    folder = tmp_path_factory.mktemp("finished")
    for run in sorted(plan(FLAGS), key=lambda run: run.system != "gan"):
        if run.number == 1:
            initial = folder / "gan" if run.system in ("learned_inverse", "post_hoc") else None
            # This process' threads are set already.
            experiment = run.experiment.changed_by(["--inter_op_threads=0", "--intra_op_threads=0"])
            train(experiment, folder / run.system, digits_dir, say=[].append, initial=initial)
    return folder


@pytest.fixture
def trainer(finished, tmp_path, monkeypatch):
    """The command of the stand-in, in a study of two settings; `calls` reads what it was called with."""
    monkeypatch.setattr(mixture, "plan", lambda flags: [run for run in plan(flags) if run.number <= SETTINGS])
    (folder := tmp_path / "trainer").mkdir()
    for run in finished.iterdir():
        (folder / run.name).symlink_to(run)
    return [sys.executable, "-c", STAND_IN, str(folder)]


def calls(trainer):
    path = pathlib.Path(trainer[-1]) / "calls"
    return [line.split() for line in path.read_text().splitlines()]


def says(trainer, run, text):
    (pathlib.Path(trainer[-1]) / f"{run}.says").write_text(text)


def make(trainer, tmp_path, say=print, processes=2):
    return mixture.make_study(tmp_path / "runs", FLAGS, trainer, processes, say)


def test_every_run_is_trained_evaluated_and_drawn(trainer, tmp_path):
    results = make(trainer, tmp_path)
    assert len(results.runs) == 5 * SETTINGS
    assert all(
        0 <= result["modes_covered"] <= result["modes_near"] <= result["modes"] <= 25
        for result in results.runs.values()
    )
    folder = tmp_path / "runs" / "mixture"
    names = {run for run, _ in calls(trainer)}
    assert names == set(results.runs) and len(calls(trainer)) == 10
    decoder = results.best("gan")
    for run, initial in calls(trainer):
        assert initial == (decoder if run.startswith(("post_hoc", "learned_inverse")) else "-")
        assert not (folder / run / "checkpoints").exists() and RunDirectory(folder / run).is_finished()
        assert results.runs[run].get("decoder") == (decoder if initial != "-" else None)
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert make(trainer, tmp_path).runs == results.runs and len(calls(trainer)) == 10  # nothing is made again


def test_a_stopped_study_goes_on(trainer, tmp_path):
    lines = []

    def stop(line):
        lines.append(line)
        if len(lines) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(trainer, tmp_path, stop, processes=1)
    done = [line.partition(":")[0] for line in lines]
    assert sorted(json.loads((tmp_path / "runs" / "mixture" / "study.json").read_text())["runs"]) == sorted(done)
    assert len(make(trainer, tmp_path, processes=1).runs) == 10
    assert len([run for run, _ in calls(trainer) if run in done]) == 3  # those that had ended are not trained again


def test_the_seconds_of_a_resumed_run_are_not_those_of_its_rest(trainer, finished, tmp_path):
    shutil.copytree(finished / "ali", tmp_path / "runs" / "mixture" / "ali-01")
    runs = make(trainer, tmp_path).runs
    assert [name for name, result in runs.items() if "seconds" not in result] == ["ali-01"]


def test_a_run_that_diverges_is_named_and_does_not_stop_the_study(trainer, tmp_path):
    why = "the loss of the encoder_generator is not finite at step 7; training stopped."
    says(trainer, "ali-01", f"epoch 1\nerror: {why}\nAll checkpoints are from before that step.")
    lines = []
    results = make(trainer, tmp_path, lines.append)
    assert len(results.runs) == 10 and results.runs["ali-01"].keys() == {"diverged", "seconds"}
    assert results.runs["ali-01"]["diverged"] == why
    assert any(line.startswith(f"ali-01: diverged: {why}") for line in lines)


def test_training_says_of_a_diverged_run_what_the_study_looks_for(tmp_path, digits_dir):
    settings = tiny(learning_rate=1e30, constant_epochs=3)
    with pytest.raises(InputError) as error:
        train(settings, tmp_path / "run", digits_dir, say=[].append)
    assert NOT_FINITE in str(error.value).splitlines()[0]


def test_samples_that_are_not_finite_are_divergence_too(trainer, tmp_path, monkeypatch):
    class Broken:
        encoder = None

        def generate(self, count, seed):
            return np.full((count, 2), np.nan)

    monkeypatch.setattr(mixture.zoo, "load", lambda path: Broken())
    with pytest.raises(InputError, match="every GAN diverged, so there is no decoder to give an encoder"):
        make(trainer, tmp_path)
    runs = json.loads((tmp_path / "runs" / "mixture" / "study.json").read_text())["runs"]
    assert len(runs) == 6 and all(run["diverged"] == "its samples are not finite" for run in runs.values())


def test_another_error_stops_the_study_and_says_where_to_look(trainer, tmp_path):
    says(trainer, "gan-02", "error: cannot write there")
    with pytest.raises(
        InputError, match=r"^gan-02 ended with status 2: cannot write there\nAll that it said is in .*log;"
    ):
        make(trainer, tmp_path)


def test_without_the_decoder_s_weights_those_that_inherit_it_are_not_made(trainer, tmp_path):
    says(trainer, "post_hoc-01", "error: cannot write there")
    with pytest.raises(InputError, match="post_hoc-01 ended"):
        make(trainer, tmp_path, processes=1)
    folder = tmp_path / "runs" / "mixture"
    runs = json.loads((folder / "study.json").read_text())["runs"]
    shutil.rmtree(folder / runs["learned_inverse-01"]["decoder"])
    with pytest.raises(InputError, match="has no weights, whose decoder others inherit; restore them"):
        make(trainer, tmp_path)


@pytest.mark.parametrize("processes", [0, -1, 1.5])
def test_processes_are_whole_and_at_least_one(processes, trainer, tmp_path):
    with pytest.raises(InputError, match="^processes must be "):
        make(trainer, tmp_path, processes=processes)


def test_the_figure_s_panels(finished):
    """Points in the first column are where they are, in the colours of their components."""
    models = {system: mixture.zoo.load(finished / system) for system in ("ali", "learned_inverse", "post_hoc", "vae")}
    points = np.array([[-4.0, 4.0], [4.0, -4.0], [7.0, 0.0]], np.float32)  # the last is outside
    labels = np.array([4, 20, 10])
    sheet = study_figure(models, points, labels)
    panel = sheet[36 : 36 + 260, 34 : 34 + 260].astype(int)
    assert len(np.unique(colours(), axis=0)) == 25
    for (down, right), component in (((43, 43), 4), ((216, 216), 20)):  # (6 - 4) / 12 and (6 + 4) / 12 of 260 pixels
        dot = panel[down - 2 : down + 3, right - 2 : right + 3].reshape(-1, 3)
        assert np.abs(dot - 255 * colours()[component]).max(1).min() < 2
    coloured = (panel.max(2) - panel.min(2) > 40).sum()
    assert 0 < coloured < 40  # two dots and nothing else


def test_the_tool_makes_a_study_with_real_trainings(tmp_path, monkeypatch, capsys):
    """One setting of each system, trained by tools/train.py two at a time."""
    monkeypatch.setattr(mixture, "plan", lambda flags: [run for run in plan(flags) if run.number == 1])
    train_command = [sys.executable, str(ROOT / "tools" / "train.py")]
    results = mixture.make_study(tmp_path, FLAGS, train_command)
    assert sorted(results.runs) == ["ali-01", "gan-01", "learned_inverse-01", "post_hoc-01", "vae-01"]
    assert not any("diverged" in result for result in results.runs.values())
    for name in ("learned_inverse-01", "post_hoc-01"):
        assert results.runs[name]["decoder"] == "gan-01"
        assert results.runs[name]["modes"] == results.runs["gan-01"]["modes"]  # the same samples
    status, stdout, stderr = run_tool("reproduce.py", "--table=mixture", "--notrain", f"--runs={tmp_path}")
    assert status == 0, stderr
    assert re.search(r"^ALI +\d+\.0 +", stdout, re.M) and "45 of 50 runs are missing." in stdout


def complaint(*arguments):
    status, _, stderr = run_tool("reproduce.py", *arguments)
    assert status == 2
    return stderr.strip()


def test_flags_that_have_no_effect_are_refused(tmp_path):
    told = complaint("--table=mixture", "--seeds=1,2")
    assert told == "error: --seeds has no effect on --table=mixture, whose runs and measure are fixed"
    told = complaint("--table=mixture", "--data_dir=/data")
    assert told == "error: --data_dir has no effect on --table=mixture, whose data is drawn and not read"
    told = complaint("--table=mnist_1nn", "--processes=2")
    only = "--processes is for --table=mixture and encoder_recipes"
    assert told == f"error: {only}; other tables' runs are made one after another"
    assert "Did you mean 'mixture'" in complaint("--table=mixtures")
    told = complaint("--table=mixture", f"--runs={tmp_path}", "--flags=--learning_rate=1")
    assert told == "error: --flags cannot have --learning_rate, which the study sets for each run"
