"""Runs that begin with the weights of another run."""

import json
import shutil

import numpy as np
import pytest
from helpers import read_h5, run_tool, tiny, tiny_game

import tf_bigan
from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.files import write_checksums
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train

ROLES = ("encoder", "generator", "discriminator")


@pytest.fixture(scope="module")
def first(tmp_path_factory, digits_dir):
    """A finished run of 2 epochs, with whose weights other runs begin."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    train(tiny(seed=5), folder, digits_dir, say=[].append)
    return folder


@pytest.fixture
def second(tmp_path, first, digits_dir):
    """A finished run that began with the weights of `first`, and did not change them."""
    train(still(), tmp_path / "second", digits_dir, say=[].append, initial=first)
    return tmp_path / "second"


def still(**changes):
    """An experiment whose training does not change the weights."""
    return tiny(**{"learning_rate": 0.0, "decay_epochs": 0, "seed": 6, **changes})


def kernels(run, role):
    return {path: value for path, value in read_h5(run / f"{role}.weights.h5").items() if value.ndim > 1}


@pytest.mark.parametrize("role", ROLES)
def test_a_run_begins_with_the_weights_that_it_is_given(first, second, role):
    expected, found = kernels(first, role), kernels(second, role)
    assert len(expected) >= 3 and expected.keys() == found.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value)


def test_every_replica_begins_with_them(first, tmp_path, digits_dir):
    arguments = [f"--initial_weights={first}", f"--data_dir={digits_dir}"]
    for strategy in ("one_device", "mirrored"):
        flags = tiny(logical_cpus=2, strategy=strategy, sync_batch_norm=True).to_flagfile().splitlines()
        status, stdout, stderr = run_tool("train.py", *flags, *arguments, f"--workdir={tmp_path}/{strategy}")
        assert status == 0, stderr
        assert f"beginning with the weights of {first}, of 2 epochs" in stdout
    for role in ROLES:
        one, two = (kernels(tmp_path / strategy, role) for strategy in ("one_device", "mirrored"))
        for path, value in one.items():
            np.testing.assert_allclose(two[path], value, atol=2e-4, err_msg=path)


def test_what_trained_them_is_recorded_run_by_run(first, second, tmp_path, digits_dir):
    third = tmp_path / "third"
    train(still(seed=7), third, digits_dir, say=[].append, initial=second)
    assert RunDirectory(first).initial() == []
    lineage = RunDirectory(third).lineage()
    assert [run["epochs"] for run in lineage] == [2, 1, 1]
    assert [run["weights"] for run in lineage] == [RunDirectory(run).weights_digest() for run in (first, second, third)]
    assert [f"--seed={seed}" in run["flags"].splitlines() for run, seed in zip(lineage, (5, 6, 7), strict=True)] == [
        True
    ] * 3


def test_the_card_and_the_tables_say_so(second, tmp_path, digits_dir):
    arguments = [f"--model={second}", "--metrics=reconstruction", f"--data_dir={digits_dir}"]
    status, stdout, stderr = run_tool("evaluate.py", *arguments)
    assert status == 0, stderr
    assert f"{second}: bigan, 2+1 epochs on digits" in stdout
    entry = zoo.publish(second, "tiny", "nobody's data.", zoo=tmp_path / "zoo")
    text = (entry / "README.md").read_text()
    digest = RunDirectory(second).initial()[0]["weights"]
    told = "2 epochs (1 at 0.0002, 1 of decay to 1% of it), batch 128, seed 5"
    assert f"- digits (train, 8x8x1): {told}; ended with weights `{digest[:12]}`" in text
    assert "--initial_weights=RUN" in text and "One run." not in text
    assert RunDirectory(entry).initial() == RunDirectory(second).initial() != []
    assert tf_bigan.load(entry).steps_done == 0


def test_of_an_inherited_decoder_they_say_that_it_is_only_the_decoder(tmp_path, digits_dir):
    gan, run = tmp_path / "gan", tmp_path / "run"
    train(tiny(system="gan", prior="normal"), gan, digits_dir, say=[].append)
    train(still(system="learned_inverse", prior="normal"), run, digits_dir, say=[].append, initial=gan)
    status, stdout, stderr = run_tool(
        "evaluate.py", f"--model={run}", "--metrics=reconstruction", f"--data_dir={digits_dir}"
    )
    assert status == 0, stderr
    assert f"{run}: learned_inverse, 1 epochs on digits" in stdout
    text = (zoo.publish(run, "tiny", "nobody's data.", zoo=tmp_path / "zoo") / "README.md").read_text()
    head = "Its generator is that of RUN, and was not trained further. RUN was trained like this:\n\n- digits (train, "
    assert head in text and "began with" not in text and "--initial_weights=RUN" in text


def test_a_resumed_run_need_not_name_them_again(first, tmp_path, digits_dir):
    folder = tmp_path / "run"
    train(still(checkpoint_every=5), folder, digits_dir, say=[].append, initial=first)
    for initial in (None, first):
        for file in ["SHA256SUMS", "weights.json", *(f"{role}.weights.h5" for role in ROLES)]:
            (folder / file).unlink()  # as if stopped after the last step
        lines = []
        train(still(), folder, digits_dir, say=lines.append, initial=initial)
        assert "resuming after step 12 of 12" in lines and not any("beginning with" in line for line in lines)
        assert [run["epochs"] for run in RunDirectory(folder).lineage()] == [2, 1]


def test_a_run_of_other_initial_weights_is_not_resumed(first, second, tmp_path, digits_dir):
    with pytest.raises(
        InputError, match="began from other weights, not from those of .*second.\nLeave --initial_weigh"
    ):
        train(still(), second, digits_dir, say=[].append, initial=second)
    with pytest.raises(InputError, match="began from fresh weights, not from those of"):
        train(tiny(seed=5), first, digits_dir, say=[].append, initial=second)


def test_without_a_checkpoint_left_they_are_asked_for_again(first, second, digits_dir):
    for file in second.glob("*.weights.h5"):
        file.unlink()
    for file in (second / "checkpoints").glob("step-*/SHA256SUMS"):
        file.unlink()
    for _ in range(2):  # the first start sets the damaged files aside
        with pytest.raises(InputError, match="second did not begin from fresh weights; give --initial_weights again"):
            train(still(), second, digits_dir, say=[].append)
    train(still(), second, digits_dir, say=(lines := []).append, initial=first)
    assert any("beginning with the weights of" in line for line in lines)


def test_weights_that_cannot_be_begun_with(first, tmp_path, digits_dir):
    wide = still(width=24)
    with pytest.raises(InputError, match="first has other networks: width 16 there and 24 here"):
        train(wide, tmp_path / "wide", digits_dir, say=[].append, initial=first)
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copyfile(first / "train.flags", bare / "train.flags")
    with pytest.raises(InputError, match="bare has no weights to begin from"):
        train(still(), tmp_path / "run", digits_dir, say=[].append, initial=bare)
    (lacking := tmp_path / "lacking").mkdir()
    for file in first.iterdir():
        if file.is_file() and not file.name.startswith("generator"):
            shutil.copyfile(file, lacking / file.name)
    write_checksums(lacking, ["encoder.weights.h5", "discriminator.weights.h5", "weights.json"])
    with pytest.raises(InputError, match="lacking has no generator to begin with"):
        train(still(), tmp_path / "run", digits_dir, say=[].append, initial=lacking)
    arguments = ["--dataset=digits", f"--workdir={tmp_path}/run", "--initial_weights=bigan_digit"]
    status, _, stderr = run_tool("train.py", *arguments)
    assert status == 2 and "unknown model 'bigan_digit'. Did you mean 'bigan_digits'" in stderr, stderr


def test_weights_written_meanwhile_are_not_begun_with(first, tmp_path, digits_dir, monkeypatch):
    source = tmp_path / "source"
    shutil.copytree(first, source)

    def load(self, role, network, load=RunDirectory.load_weights):
        load(self, role, network)
        if role == "encoder":
            RunDirectory(source).save_weights(tiny_game(seed=9).networks, 1, 3)

    monkeypatch.setattr(RunDirectory, "load_weights", load)
    with pytest.raises(InputError, match="source wrote new weights meanwhile; start again"):
        train(still(), tmp_path / "run", digits_dir, say=[].append, initial=source)


def test_no_weights_at_all_are_fresh_ones(tmp_path, digits_dir):
    flags = still().to_flagfile().splitlines()
    arguments = [f"--workdir={tmp_path}/run", f"--data_dir={digits_dir}", "--initial_weights="]
    status, _, stderr = run_tool("train.py", *flags, *arguments)
    assert status == 0, stderr
    assert RunDirectory(tmp_path / "run").initial() == []


def test_a_damaged_record_of_them_is_named(second):
    for content in ("{", "{}", "[]", json.dumps([{"epochs": 2}]), json.dumps([3])):
        (second / "initial.json").write_text(content)
        with pytest.raises(InputError, match="initial.json is damaged"):
            RunDirectory(second).lineage()
