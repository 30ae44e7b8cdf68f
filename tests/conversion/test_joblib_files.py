"""Reading joblib files. tests/fixtures/joblib/ was written by real joblib 0.9 and 0.10 under Python 2.7."""

import os
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest
from helpers import ROOT

from tf_bigan.conversion.joblib_files import read_arrays
from tf_bigan.errors import InputError

FIXTURES = ROOT / "tests" / "fixtures" / "joblib"
FILES = sorted(FIXTURES.glob("*.jl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_genuine_files_are_read_to_the_bit(path):
    expected = np.load(FIXTURES / "tiny_expected.npz")
    arrays = read_arrays(path)
    assert len(FILES) == 4 and len(arrays) == len(expected.files) == 6
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(array, expected[f"a{i}"])
        assert array.dtype == expected[f"a{i}"].dtype and array.shape == expected[f"a{i}"].shape


class Attack:
    def __init__(self, marker):
        self._command = f"touch {marker}"

    def __reduce__(self):
        return os.system, (self._command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_nothing_executed(protocol, tmp_path):
    path, marker = tmp_path / "100_encode_params.jl", tmp_path / "executed"
    path.write_bytes(pickle.dumps([Attack(marker)], protocol))
    with pytest.raises(InputError, match=r"is refused: it asks for (posix|nt)\.system"):
        read_arrays(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # the attack itself works
    assert marker.exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__"])
def test_builtins_are_refused(name, tmp_path):
    path = tmp_path / "a.jl"
    path.write_bytes(b"\x80\x02c__builtin__\n" + name.encode() + b"\n.")
    with pytest.raises(InputError, match=f"asks for __builtin__.{name}"):
        read_arrays(path)


def test_what_is_allowed_cannot_be_changed(tmp_path):
    # The opcode "build" is applied to the allowed names themselves, with attributes to set on them.
    for name in (b"numpy.core.multiarray\nscalar", b"numpy\ndtype", b"numpy\nndarray"):
        path = tmp_path / "a.jl"
        path.write_bytes(b"\x80\x02(lc" + name + b"\n" + pickle.dumps((None, {"x": 1}), 2)[2:-1] + b"ba.")
        with pytest.raises(InputError, match="damaged or no parameter file"):
            read_arrays(path)
    assert len(read_arrays(FILES[0])) == 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_truncated_files_are_refused(path, tmp_path):
    content = path.read_bytes()
    for beside in FIXTURES.glob("*.npy"):
        shutil.copy(beside, tmp_path)
    for length in range(0, len(content), 7):
        (tmp_path / "cut.jl").write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged or no parameter file|is no parameter file"):
            read_arrays(tmp_path / "cut.jl")


def test_trailing_bytes_are_refused(tmp_path):
    (tmp_path / "a.jl").write_bytes(FILES[0].read_bytes() + b"x")
    with pytest.raises(InputError, match="1 bytes follow its end"):
        read_arrays(tmp_path / "a.jl")


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], [[]], "text"], ids=repr)
def test_other_contents_are_refused(content, tmp_path):
    (tmp_path / "a.jl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(InputError, match="does not hold a list of arrays"):
        read_arrays(tmp_path / "a.jl")


def test_a_wrapper_without_its_content_is_refused(tmp_path):
    pickled = b"\x80\x02]csklearn.externals.joblib.numpy_pickle\nNumpyArrayWrapper\n)\x81a."
    (tmp_path / "a.jl").write_bytes(pickled)
    with pytest.raises(InputError, match="does not hold a list of arrays"):
        read_arrays(tmp_path / "a.jl")


def test_compressed_files_are_named_so(tmp_path):
    (tmp_path / "a.jl").write_bytes(b"\x1f\x8b\x08" + bytes(20))
    with pytest.raises(InputError, match="is compressed"):
        read_arrays(tmp_path / "a.jl")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="a.jl is missing"):
        read_arrays(tmp_path / "a.jl")
    path = FIXTURES / "tiny_joblib09_zerod_params.jl"
    shutil.copy(path, tmp_path)
    with pytest.raises(InputError, match="_01.npy is missing; tiny_joblib09_zerod_params.jl names it"):
        read_arrays(tmp_path / path.name)


def test_an_array_file_elsewhere_is_refused(tmp_path):
    content = (FIXTURES / "tiny_joblib09_zerod_params.jl").read_bytes()
    name = b"tiny_joblib09_zerod_params.jl_01.npy"
    assert name in content
    other = b"../../etc/" + name[10:]
    (tmp_path / "a.jl").write_bytes(content.replace(name, other))
    with pytest.raises(InputError, match="names an array file '../../etc/.*which is none of its own"):
        read_arrays(tmp_path / "a.jl")


def test_array_files_of_objects_are_refused(tmp_path):
    path = FIXTURES / "tiny_joblib09_zerod_params.jl"
    for file in FIXTURES.glob("tiny_joblib09_zerod*"):
        shutil.copy(file, tmp_path)
    marker = tmp_path / "executed"
    np.save(tmp_path / f"{path.name}_01.npy", np.array([Attack(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="_01.npy is damaged: it holds object of shape"):
        read_arrays(tmp_path / path.name)
    assert not marker.exists()


def laughs(depth=64):
    """A pickled tuple of two tuples, each of two tuples and so on, which are the same object at each depth."""
    return b")" + b"2\x86" * depth


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",  # an index into 2 billion objects
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",  # a string of 2**63 bytes
        b"\x80\x04\x8d" + b"\x00" * 5 + b"\x01\x00\x00.",
        b"\x80\x05\x96" + b"\x00" * 4 + b"\x01\x00\x00\x00.",  # a byte array of 4 GiB
        b"\x80\x02cnumpy\ndtype\n(" + laughs() + b"K\x00K\x01tR.",  # as the name of a type
        b"\x80\x02}" + laughs() + b"Ns.",  # as a key
        b"\x80\x02(" + laughs() + b"Nd.",
        b"\x80\x04\x8f(" + laughs() + b"\x90.",  # in a set
    ],
    ids=["memo", "bytes", "text", "byte array", "type", "key", "dictionary", "set"],
)
def test_what_a_file_asks_for_is_bounded_by_its_own_size(content, tmp_path):
    (tmp_path / "a.jl").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged or no parameter file|does not hold a list") as caught:
        read_arrays(tmp_path / "a.jl")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20 and len(str(caught.value)) < 500
    tracemalloc.stop()


def test_one_array_file_cannot_be_named_many_times(tmp_path):
    for file in FIXTURES.glob("tiny_joblib09_zerod*"):
        shutil.copy(file, tmp_path)
    path = tmp_path / "tiny_joblib09_zerod_params.jl"
    path.write_bytes(path.read_bytes().replace(b".jl_02.npy", b".jl_01.npy"))
    with pytest.raises(InputError, match="two arrays are in the same file"):
        read_arrays(path)
