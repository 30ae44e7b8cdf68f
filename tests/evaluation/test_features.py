import tempfile

import numpy as np
import pytest

from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import EvaluationData
from tf_bigan.evaluation.features import FeatureStore


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    parts = [
        open_data(ArraySource(rng.normal(size=(count, 2)), rng.integers(0, 3, count), name=name))
        for name, count in (("gallery", 700), ("queries", 30))  # more than a batch
    ]
    return EvaluationData("gallery", "queries", *parts)


def doubled_and_summed(points):
    return [2.0 * points, np.sum(points, axis=1, keepdims=True)]


def test_features_come_back_as_they_were(data):
    store = FeatureStore(data, ["doubled", "sum"], doubled_and_summed)
    assert "doubled" in store and "other" not in store
    for name, of in (("doubled", lambda x: 2.0 * x), ("sum", lambda x: x.sum(axis=1, keepdims=True))):
        loaded = store.load(name)
        for part, (features, labels) in ((data.gallery, loaded[:2]), (data.queries, loaded[2:])):
            points, expected = part.arrays()
            np.testing.assert_array_equal(features, of(points))
            np.testing.assert_array_equal(labels, expected)
            assert features.dtype == np.float32 and labels.dtype == np.int64


def test_what_is_loaded_is_the_caller_s_own(data):
    store = FeatureStore(data, ["doubled", "sum"], doubled_and_summed)
    for array in store.load("doubled"):
        array[:] = 0
    assert all(array.any() for array in store.load("doubled"))


def test_the_files_have_no_names(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = FeatureStore(data, ["doubled", "sum"], doubled_and_summed)
    assert not list(tmp_path.iterdir()) and store.load("sum")[0].shape == (700, 1)


def test_a_place_without_room_is_told_in_a_line(data, monkeypatch):
    told = (
        "^the features of 700 points cannot be kept in a temporary file: {}.\n.* TMPDIR names a folder with more room$"
    )
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    with pytest.raises(InputError, match=told.format("No space left on device")):
        FeatureStore(data, ["doubled", "sum"], doubled_and_summed)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(InputError, match=told.format("No such file or directory")):
        FeatureStore(data, ["doubled", "sum"], doubled_and_summed)
