"""Features that are kept on disk: they are found again, and files that do not fit are not used."""

import numpy as np
import pytest

from tf_bigan.evaluation import kept_features
from tf_bigan.evaluation.kept_features import KeptFeatures

KEY = {"data": "digits", "count": 3}
ARRAYS = {"count": np.array(3), "features": np.arange(6, dtype=np.float32).reshape(3, 2)}


@pytest.fixture
def said():
    return []


@pytest.fixture
def kept(tmp_path, said):
    return KeptFeatures(tmp_path / "kept", said.append)


def test_what_is_kept_is_found_by_its_key_alone(kept, said):
    assert kept.load(KEY) is None
    kept.save(KEY, ARRAYS)
    found = kept.load(KEY)
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert kept.load({**KEY, "count": 4}) is None and not said
    assert [path.name for path in kept.path(KEY).parent.iterdir()] == [kept.path(KEY).name]  # nothing else is left


def test_a_damaged_file_is_told_and_replaced(kept, said):
    kept.save(KEY, ARRAYS)
    whole = kept.path(KEY).read_bytes()
    at = whole.index(ARRAYS["features"].tobytes())
    flipped = whole[: at + 9] + bytes([whole[at + 9] ^ 1]) + whole[at + 10 :]
    for damaged in (flipped, whole[:100], b"", b"none of ours"):
        kept.path(KEY).write_bytes(damaged)
        assert kept.load(KEY) is None
        assert said.pop() == f"{kept.path(KEY)} is damaged and is not used"
    kept.save(KEY, ARRAYS)
    np.testing.assert_array_equal(kept.load(KEY)["features"], ARRAYS["features"])


@pytest.mark.parametrize("mask", [1, 8, 0x80, 0xFF])
def test_damage_of_any_byte_never_gives_other_arrays(mask, kept, said):
    kept.save(KEY, ARRAYS)
    whole = kept.path(KEY).read_bytes()
    unused = 0
    for at in range(len(whole)):
        kept.path(KEY).write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        if (found := kept.load(KEY)) is None:
            unused += 1
            continue
        assert found.keys() == ARRAYS.keys(), at  # such as a byte of a date
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(found[name], values)
    assert unused == len(said) > len(whole) / 2


def test_a_file_of_other_data_is_told(kept, said):
    other = {**KEY, "data": "mnist"}
    kept.save(other, ARRAYS)
    kept.path(other).rename(kept.path(KEY))
    assert kept.load(KEY) is None
    assert said == [f"{kept.path(KEY)} holds features of other data or of another network and is not used"]


def test_objects_are_not_read(kept, said):
    kept.path(KEY).parent.mkdir()
    np.savez(kept.path(KEY), key=np.array([{}], object))
    assert kept.load(KEY) is None and said == [f"{kept.path(KEY)} is damaged and is not used"]


def test_what_is_too_large_or_cannot_be_written_is_told(kept, said, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    in_file = KeptFeatures(tmp_path / "file", said.append)
    in_file.save(KEY, ARRAYS)
    assert said.pop().startswith(f"cannot write {in_file.path(KEY)}: ")
    monkeypatch.setattr(kept_features, "LARGEST", 8)
    kept.save(KEY, ARRAYS)
    assert said == ["features of 0.0 GiB are not kept for later evaluations"] and not kept.path(KEY).exists()


def test_without_a_folder_nothing_is_kept(said):
    nothing = KeptFeatures(None, said.append)
    nothing.save(KEY, ARRAYS)
    assert nothing.load(KEY) is None and not said
