"""Files of a run that are damaged under checksums that are right, as someone would write them who means harm."""

import json
import os
import resource

import h5py
import numpy as np
import pytest
from helpers import fit, images, run_tool, tiny, tiny_game

import tf_bigan
from tf_bigan.errors import InputError
from tf_bigan.files import write_checksums
from tf_bigan.reading import json_text
from tf_bigan.training import begun_data
from tf_bigan.training.checkpoints import Checkpoints
from tf_bigan.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    """A run with weights."""
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    run.write_experiment(tiny())
    run.save_weights(tiny_game().networks, 2, 3)
    return run


def sums(folder):
    write_checksums(folder, [file.name for file in folder.iterdir() if file.suffix in (".h5", ".json")])


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# -- weights


def change(run, name, make):
    """Replaces an array of the encoder's file by what `make(file, name, its shape)` writes."""
    with h5py.File(run.weights_path("encoder"), "a") as file:
        shape = file[name].shape
        del file[name]
        make(file, name, shape)
    sums(run.path)


def huge(file, name, shape):
    file.create_dataset(name, (31_000, 31_000), "f4", chunks=(1000, 1000))


def huge_twin(file, name, shape):
    file.create_dataset(name, data=np.zeros(shape, np.float32))
    file.create_dataset("more", (31_000, 31_000), "f4")


def linked_outside(file, name, shape):
    file[name] = h5py.ExternalLink("/etc/hostname", "/x")


def linked_inside(file, name, shape):
    file[name] = h5py.SoftLink("/nowhere")


def stored_outside(file, name, shape):
    file.create_dataset(name, shape, "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def compressed(file, name, shape):
    file.create_dataset(name, data=np.zeros(shape, np.float32), compression="gzip")


def in_a_circle(file, name, shape):
    file[name] = file["/"]


def text(file, name, shape):
    file[name] = "text"


def missing(file, name, shape):
    pass


@pytest.mark.parametrize(
    "make, why",
    [
        (huge, "it has an array that is compressed, or is stored in parts or elsewhere"),
        (huge_twin, r"it has 1 arrays of shape \[31000, 31000\], and the network 0"),
        (linked_outside, "it has a link to another place or file"),
        (linked_inside, "it has a link to another place or file"),
        (stored_outside, "it has an array that is compressed, or is stored in parts or elsewhere"),
        (compressed, "it has an array that is compressed, or is stored in parts or elsewhere"),
        (in_a_circle, "it has too many groups"),
        (text, "it has an array of something else than numbers"),
        (missing, r"it has 0 arrays of shape \[64, 16\], and the network 1"),
    ],
)
def test_weights_are_compared_with_the_flags_before_they_are_read(make, why, run):
    change(run, "layers/dense/vars/0", make)
    before = peak_memory()
    with pytest.raises(InputError, match=f"encoder.weights.h5 does not fit the encoder that the flags describe: {why}"):
        tf_bigan.load(run.path)
    assert peak_memory() - before < 500e6


def test_weights_that_hdf5_cannot_read_are_refused_in_a_line(run):
    path = run.weights_path("encoder")
    content = path.read_bytes()
    for start in range(8, 4000, 190):
        path.write_bytes(content[:start] + bytes(100) + content[start + 100 :])
        sums(run.path)
        try:
            tf_bigan.load(run.path)
        except InputError as error:
            assert "does not fit the encoder" in str(error) and "\n" not in str(error)


def test_flags_that_ask_for_other_networks_are_refused_before_there_is_room_for_them(run):
    run.write_experiment(tiny(width=20_000))
    before = peak_memory()
    with pytest.raises(InputError, match=r"it has 0 arrays of shape \[64, 20000\], and the network 1"):
        tf_bigan.load(run.path)
    assert peak_memory() - before < 500e6


def test_networks_that_do_not_fit_the_memory_are_refused_with_the_number(tmp_path, digits_dir):
    flags = [*tiny(width=2**20).to_flagfile().splitlines(), f"--data_dir={digits_dir}"]
    for more in ([f"--workdir={tmp_path}/run"], ["--dry_run"]):
        status, _, stderr = run_tool("train.py", *flags, *more)
        assert status == 2 and stderr.count("\n") == 2, stderr
        assert (
            "error: the networks have 3,298,762,424,324 weights" in stderr and "GB, more than this machine's" in stderr
        )


@pytest.mark.parametrize(
    "content, why",
    [
        ('{"statistics_steps": 3}', "its content lacks the entry 'epochs'"),
        ('{"epochs": "2", "statistics_steps": 3}', "the entry 'epochs' is text, not a whole number from 0"),
        ('{"epochs": 2, "statistics_steps": Infinity}', "a number is not finite"),
        ('{"epochs": 2, "statistics_steps": 3, "trainer": {}}', "the entry 'trainer'|lacks the entry 'version'"),
        ("[" * 100_000, "its values are nested too deeply"),
        ("null", "its content is null, not an object"),
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_state_of_the_weights_is_named(content, why, run):
    (run.path / "weights.json").write_text(content)
    sums(run.path)
    with pytest.raises(InputError, match=f"weights.json is damaged: .*({why})"):
        run.weights_state()
    assert not run.is_finished()


# -- data.json and initial.json


def write_data(run, numbers, **more):
    content = {"origin": "digits train", "images": 1797, "left_out": numbers, **more}
    (run.path / "data.json").write_text(json_text(content))


@pytest.mark.parametrize("numbers", [[1797], [3, 3], [5, 4], [0, 10**10]], ids=str)
def test_images_left_out_are_among_the_images(numbers, run):
    write_data(run, numbers)
    with pytest.raises(InputError, match="data.json is damaged: left_out are no numbers of its 1797 images; delete it"):
        begun_data.read(run)


def test_files_are_as_many_as_images(run):
    write_data(run, [], files={"names": ["a.png"], "sizes": [1], "times": [1]})
    with pytest.raises(InputError, match="data.json is damaged: it has not as many files as images; delete it"):
        begun_data.read(run)


def test_what_is_left_out_is_read_with_its_checksum_and_without(run):
    write_data(run, [0, 1796])
    assert begun_data.read(run)["left_out"] == [0, 1796]
    path = run.path / "data.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "left_out": [0]}))
    with pytest.raises(InputError, match="data.json is damaged or was changed: its content does not have the SHA-256"):
        begun_data.read(run)
    del content["checksum"]
    path.write_text(json.dumps(content))
    assert begun_data.read(run)["left_out"] == [0, 1796]


def test_the_record_of_initial_weights_is_read_with_its_checksum_and_without(run):
    lineage = [{"weights": "0" * 64, "epochs": 3, "flags": tiny().to_flagfile()}]
    run.write_initial(lineage)
    assert run.initial() == lineage
    path = run.path / "initial.json"
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(
        InputError, match="initial.json is damaged or was changed: its content does not have the SHA-256"
    ):
        run.initial()
    path.write_text(json.dumps(lineage))  # as earlier versions wrote it
    assert run.initial() == lineage


def test_a_name_that_no_file_has_is_refused():
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(InputError, match="is too long for the name of a file, or has a zero byte"):
            RunDirectory(name)
        with pytest.raises(InputError, match="unknown model"):
            tf_bigan.load(name)


# -- checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    """The folder of checkpoints of steps 1 and 2, and the first weights of step 1."""
    game = tiny_game()
    game.compile(run_eagerly=True)
    saved = Checkpoints(tmp_path, game)
    weights = []
    for _ in range(2):
        fit(game, images(16), 16)
        saved.save()
        weights.append(np.array(game.encoder.variables[0]))
    return tmp_path, weights[0]


def restored(folder, said):
    game = tiny_game(seed=1)
    game.compile(run_eagerly=True)
    return Checkpoints(folder, game).restore_latest(said.append), game


@pytest.mark.parametrize("file", ["state.index", "state.data-00000-of-00001", "both", "swapped", "other step"])
def test_a_checkpoint_damaged_under_right_sums_is_passed_over(file, checkpoints):
    folder, kept = checkpoints
    newest = folder / "step-000000002"
    index, data = newest / "state.index", newest / "state.data-00000-of-00001"
    if file == "swapped":
        content = index.read_bytes(), data.read_bytes()
        data.write_bytes(content[0]), index.write_bytes(content[1])
    elif file == "other step":
        newest = newest.rename(folder / "step-000000003")
    else:
        for path in (index, data):
            if file in (path.name, "both"):
                os.truncate(path, 0)
    write_checksums(newest, ["state.index", "state.data-00000-of-00001"])
    said = []
    found, game = restored(folder, said)
    assert found and game.steps_done == 1
    np.testing.assert_array_equal(game.encoder.variables[0], kept)
    assert len(said) == 1 and said[0].startswith(f"skipping checkpoint {newest.name}: ") and len(said[0]) < 600


def test_without_any_checkpoint_that_can_be_read_the_game_stays_as_it_is(checkpoints):
    folder, _ = checkpoints
    for step in (1, 2):
        path = folder / f"step-00000000{step}"
        content = bytearray((path / "state.data-00000-of-00001").read_bytes())
        content[-100] ^= 1  # TensorFlow has a checksum of each value
        (path / "state.data-00000-of-00001").write_bytes(content)
        write_checksums(path, ["state.index", "state.data-00000-of-00001"])
    said, fresh = [], tiny_game(seed=1)
    found, game = restored(folder, said)
    assert not found and len(said) == 2 and game.steps_done == 0
    for role, network in game.networks.items():
        for ours, theirs in zip(network.variables, fresh.networks[role].variables, strict=True):
            np.testing.assert_array_equal(ours, theirs)
