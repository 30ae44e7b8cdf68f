"""Reading files that are damaged, or are not what they seem."""

import json
import os
import socket
import zipfile

import numpy as np
import pytest

from tf_bigan.errors import InputError
from tf_bigan.reading import (
    COUNT,
    Missing,
    Optional,
    checked_path,
    json_text,
    opened,
    parsed,
    read_bytes,
    read_json,
    read_npy,
    read_npz,
    read_text,
    sha256,
)


@pytest.fixture(params=["FIFO", "folder", "socket", "device", "link to a device"])
def no_file(request, tmp_path):
    """The path of something that is no regular file."""
    path = tmp_path / "a"
    if request.param == "FIFO":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            yield path
        return
    elif request.param == "device":
        path = "/dev/zero"
    else:
        path.symlink_to("/dev/zero")
    yield path


@pytest.mark.parametrize(
    "read", [read_bytes, read_text, sha256, read_npy, read_npz, lambda path: read_json(path, object)]
)
def test_what_is_no_file_is_refused_at_once(read, no_file):
    with pytest.raises(InputError, match="and no file"):
        read(no_file)


def test_files_that_cannot_be_opened_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "a", tmp_path / "file" / "a"):
        with pytest.raises(Missing, match="a is missing"):
            read_bytes(path)
    (tmp_path / "circle").symlink_to("circle")
    for path, why in (
        (tmp_path / "circle", "symbolic links"),
        (tmp_path / ("x" * 300), "too long"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(InputError, match=f"cannot read .*{why}"):
            read_bytes(path)


def test_large_files_and_binary_ones_are_no_text(tmp_path):
    (tmp_path / "a").write_bytes(b"abc\xff")
    with pytest.raises(InputError, match="a is damaged or no text file: its byte 3 is no UTF-8"):
        read_text(tmp_path / "a")
    with pytest.raises(InputError, match="a has 4 bytes; such a file has at most 3"):
        read_text(tmp_path / "a", largest=3)
    assert read_bytes(tmp_path / "a", largest=4) == b"abc\xff"


def test_a_file_is_closed_after_an_error(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(KeyError), opened(tmp_path / "a") as file:
        raise KeyError
    assert file.closed


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 3000 + "b", "a\0b"], ids=["name", "path", "zero byte"])
def test_paths_that_no_file_system_takes_are_refused(path):
    with pytest.raises(InputError, match="is too long for the name of a file, or has a zero byte"):
        checked_path(path)
    assert checked_path("/tmp/" + "x" * 255).name == "x" * 255


@pytest.mark.parametrize(
    "text, why",
    [
        ("[" * 100_000, "its values are nested too deeply"),
        ('{"a":' * 100_000, "its values are nested too deeply"),
        ("[" * 41 + "]" * 41, "its values are nested too deeply"),
        ("9" * 5000, "a number has too many digits"),
        (str(2**64), "a number has too many digits"),
        ("Infinity", "a number is not finite"),
        ("[1e999]", "a number is not finite"),
        ('{"a": {"b": NaN}}', "a number is not finite"),
        ('{"a": 1, "a": 2}', "an object has a key twice"),
        ('{"a": 1', "Expecting ',' delimiter in line 1"),
        ("", "Expecting value in line 1"),
    ],
    ids=lambda value: value[:12],
)
def test_texts_that_are_no_json_are_refused(text, why, tmp_path):
    with pytest.raises(ValueError, match=f"^{why}"):
        parsed(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=f"a.json is damaged: {why}"):
        read_json(tmp_path / "a.json", object)


def test_what_json_has_is_read():
    assert parsed("[" * 40 + "]" * 40) and parsed(str(2**64 - 1)) == 2**64 - 1
    assert np.isnan(parsed("NaN", finite=False))


WANTED = {"epochs": COUNT, "name": str, "shares": {str: float}, Optional("more"): ([bool], None), "kind": range(1, 4)}
GOOD = {"epochs": 3, "name": "a", "shares": {"x": 1, "y": 0.5}, "kind": 3}


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"epochs": None}, "the entry 'epochs' is null, not a whole number from 0"),
        ({"epochs": -1}, "the entry 'epochs' is -1, not a whole number from 0"),
        ({"epochs": True}, "the entry 'epochs' is true, not a whole number"),
        ({"epochs": 1.0}, "the entry 'epochs' is 1.0, not a whole number"),
        ({"epochs": 2**63}, f"the entry 'epochs' is {2**63}, not a whole number"),
        ({"kind": 4}, "the entry 'kind' is 4, not a whole number from 1 to 3"),
        ({"name": ["a"]}, "the entry 'name' is a list, not text"),
        ({"shares": []}, "the entry 'shares' is a list, not an object"),
        ({"shares": {"x": "1"}}, "the entry 'x' is text, not a number"),
        ({"shares": {"x": False}}, "the entry 'x' is false, not a number"),
        ({"more": [1]}, "a value in the entry 'more' is 1, not true or false"),
    ],
    ids=str,
)
def test_other_types_than_those_described_are_named(changes, why, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({**GOOD, **changes}))
    with pytest.raises(InputError, match=f"a.json is damaged: {why}"):
        read_json(tmp_path / "a.json", WANTED)


@pytest.mark.parametrize("content", [{**GOOD}, {**GOOD, "more": None, "other": {}}, {**GOOD, "more": [True]}], ids=str)
def test_what_is_as_described_is_read(content, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert read_json(tmp_path / "a.json", WANTED) == content


@pytest.mark.parametrize("name", ["epochs", "name", "shares"])
def test_a_missing_entry_is_named(name, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({key: value for key, value in GOOD.items() if key != name}))
    with pytest.raises(InputError, match=f"its content lacks the entry '{name}'"):
        read_json(tmp_path / "a.json", WANTED)


def test_a_checksum_tells_of_changes_and_is_no_content(tmp_path):
    path = tmp_path / "a.json"
    content = {"b": [1.1, None], "a": {"x": "ä"}}
    path.write_text(json_text({**content, "b": (1.1, None)}, indent=1))
    assert read_json(path, object) == content
    path.write_text(path.read_text().replace("1.1", "1.2"))
    with pytest.raises(
        InputError, match="a.json is damaged or was changed: its content does not have the SHA-256 in its"
    ):
        read_json(path, object)


# -- arrays

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 2), np.int64), "c": np.array("text"), "d": np.float32(3)}


def test_arrays_are_read_as_they_were_written(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS, f=np.asfortranarray(ARRAYS["a"]))
    found = read_npz(tmp_path / "a.npz")
    for name, array in {**ARRAYS, "f": ARRAYS["a"]}.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
    found["a"] += 1  # it can be written to
    np.save(tmp_path / "a.npy", ARRAYS["a"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), ARRAYS["a"])


def test_damaged_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(content), 37):
        (tmp_path / "b.npz").write_bytes(content[:length])
        with pytest.raises(InputError, match="b.npz is damaged"):
            read_npz(tmp_path / "b.npz")
    place = content.index(ARRAYS["a"].tobytes()) + 9
    (tmp_path / "b.npz").write_bytes(content[:place] + b"\x55" + content[place + 1 :])
    with pytest.raises(InputError, match="b.npz is damaged: Bad CRC-32 for file 'a.npy'"):
        read_npz(tmp_path / "b.npz")


def test_arrays_larger_than_their_file_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 20))
    with pytest.raises(InputError, match="a.npz is damaged: it is compressed"):
        read_npz(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.zeros(31))
    header = (tmp_path / "a.npy").read_bytes()[:128].replace(b"(31,), }          ", b"(3100000000000,), }")
    (tmp_path / "a.npy").write_bytes(header)
    with pytest.raises(InputError, match="a.npy is damaged: it says that it holds 24,800,000,000,000 bytes"):
        read_npy(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="a.npy is damaged: it holds object of shape"):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"x"), pytest.warns(UserWarning, archive.writestr, "a.npy", b"x")
    with pytest.raises(InputError, match="a.npz is damaged: two arrays have the same name"):
        read_npz(tmp_path / "a.npz")
