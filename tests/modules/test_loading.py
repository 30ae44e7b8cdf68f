"""Modules that are damaged, partial or something else: each ends in a line that names what is wrong."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers import images, run_tool, tiny_game, without_checks

from tf_bigan.errors import InputError
from tf_bigan.exporting import export
from tf_bigan.modules.loading import Module, first_line

GRAPH, DATA, INDEX = "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        without_checks(patch)
        return pathlib.Path(export(tiny_game(), tmp_path_factory.mktemp("export") / "module"))


def flipped(content, seed):
    content, rng = bytearray(content), np.random.default_rng(seed)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(content)


DAMAGES = {
    "a flipped bit": lambda content: flipped(content, 0),
    "half of it": lambda content: content[: len(content) // 2],
    "nothing": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "more": lambda content: content + b"junk",
}


@pytest.mark.parametrize("name", [GRAPH, DATA, INDEX, "fingerprint.pb"])
def test_the_damaged_file_is_named(path, name, tmp_path):
    for number, damage in enumerate(DAMAGES.values()):
        copy = shutil.copytree(path, tmp_path / str(number))
        (copy / name).write_bytes(damage((copy / name).read_bytes()))
        with pytest.raises(InputError, match=f"^{copy / name} is damaged or was changed: [^\n]*$"):
            Module(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match="^[^\n]*(is missing|has no saved_model.pb)$"):
        Module(copy)


def test_checksums_that_leave_out_the_graph_are_not_trusted(path, tmp_path):
    copy = shutil.copytree(path, tmp_path / "module")
    lines = (copy / "SHA256SUMS").read_text().splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(line for line in lines if GRAPH not in line))
    with pytest.raises(InputError, match="saved_model.pb is not listed in"):
        Module(copy)


def use(folder):
    module = Module(folder)
    module.preparation()
    return module.function()(images(2)), module.function("code")(images(2))


def test_damage_without_checksums_is_a_line_too(path, tmp_path):
    """As of modules that earlier versions exported. What still gives the same numbers is no damage."""
    old = shutil.copytree(path, tmp_path / "old")
    (old / "SHA256SUMS").unlink()
    expected, found = use(old), 0
    for number, name in enumerate([GRAPH, DATA, INDEX] * 5):
        copy = shutil.copytree(old, tmp_path / str(number))
        content = (copy / name).read_bytes()
        damage = [*DAMAGES.values()][number // 3] if number >= 3 else lambda content: flipped(content, number)  # noqa: B023
        (copy / name).write_bytes(damage(content))
        try:
            for one, two in zip(use(copy), expected, strict=True):
                np.testing.assert_allclose(one, two, atol=1e-5)
        except InputError as error:
            found += 1
            assert "\n" not in str(error) and str(copy) in str(error) and len(str(error)) < 500
        shutil.rmtree(copy)
    assert found >= 9


def test_the_tool_names_the_damaged_file(path, tmp_path):
    copy = shutil.copytree(path, tmp_path / "module")
    (copy / DATA).write_bytes(flipped((copy / DATA).read_bytes(), 1))
    asked = [f"--module={copy}", "--dataset=digits", f"--output={tmp_path / 'f.npz'}"]
    status, _, stderr = run_tool("extract_features.py", *asked)
    assert status == 2 and f"{copy / DATA} is damaged" in stderr and len(stderr.splitlines()) == 1, stderr


def test_functions_of_a_module(path):
    module, game = Module(path), tiny_game()
    np.testing.assert_allclose(module.function("h1")(images(2)), game.features(images(2), "h1"), atol=1e-5)
    assert module.preparation() == game.preparation
    with pytest.raises(InputError, match="has no layer 'h3'. Did you mean 'h"):
        module.function("h3")
    with pytest.raises(InputError, match=f"^{path} is damaged, or takes something else: Could not find [^\n]*$"):
        module.function()(images(2, shape=(8, 8, 3)))


def test_the_line_of_an_error_that_tells_what_happened():
    text = (
        "Graph execution error:\n\nDetected at node a defined at (most recent call last):\n<stack traces unavailable>\n"
    )
    assert first_line(tf.errors.InvalidArgumentError(None, None, f"{text}wrong size\n [[x]]")) == "wrong size"
    assert first_line(ValueError()) == "ValueError" and len(first_line(ValueError("x" * 999))) == 200
