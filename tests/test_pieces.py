"""Pieces of arrays that are damaged, or that ask for more than they hold."""

import hashlib
import json
import lzma

import numpy as np
import pytest

from tf_bigan.errors import InputError
from tf_bigan.pieces import INDEX, pieces_digest, read_pieces, write_pieces

ARRAYS = {"images": np.arange(60, dtype=np.uint8).reshape(3, 5, 4), "none": np.zeros((0, 2)), "labels": np.arange(3)}
ARRAYS["none"] = ARRAYS["none"].astype(np.float32)


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def folder(request, tmp_path):
    write_pieces(tmp_path / "pieces", ARRAYS, {"count": 3}, piece_bytes=50, compress=request.param)
    return tmp_path / "pieces"


def change(folder, change_index):
    index = json.loads((folder / INDEX).read_text())
    change_index(index)
    (folder / INDEX).write_text(json.dumps(index))


def test_arrays_are_read_as_they_were_written(folder):
    found, told = read_pieces(folder)
    assert told == {"count": 3} and len(pieces_digest(folder)) == 64
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("shape", [3, 5, 6], "shape .* that its pieces do not hold"),
        ("shape", [2**40, 2**20], "shape .* that its pieces do not hold"),
        ("shape", [1] * 33, "shape .* that its pieces do not hold"),
        ("shape", [-3, 5, 4], "a value in the entry 'shape' is -3, not a whole number from 0"),
        ("offset", 10**6, "that its pieces do not hold"),
        ("dtype", "object", "it has an array of 'object'"),
    ],
)
def test_arrays_that_the_pieces_do_not_hold_are_refused(name, value, message, folder):
    change(folder, lambda index: index["arrays"]["images"].update({name: value}))
    with pytest.raises(InputError, match=f"index.json is damaged: .*{message}"):
        read_pieces(folder)


def test_what_does_not_fit_the_memory_is_refused_with_the_number(folder):
    change(folder, lambda index: index.update(bytes=10**15))
    with pytest.raises(InputError, match="the arrays of .*pieces take 1,000,000 GB, more than this machine's"):
        read_pieces(folder)


def test_no_more_is_decompressed_than_the_index_says(folder):
    bomb = lzma.compress(bytes(10**6))
    (folder / "piece-00000.bin").write_bytes(bomb)
    change(folder, lambda index: index.update(lzma=True))
    change(folder, lambda index: index["pieces"][0].update(sha256=hashlib.sha256(bomb).hexdigest()))
    with pytest.raises(InputError, match="its pieces hold 85 bytes, not 84"):
        read_pieces(folder)


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "{}"], ids=["empty", "list", "deep", "object"])
def test_a_damaged_index_is_named(content, folder):
    (folder / INDEX).write_text(content)
    for read in (read_pieces, pieces_digest):
        with pytest.raises(InputError, match="index.json is damaged"):
            read(folder)
