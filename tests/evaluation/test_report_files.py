"""Reports that are damaged, changed by hand, or of an earlier version."""

import json

import pytest

from tf_bigan.errors import InputError
from tf_bigan.evaluation.report_files import read_report, write_report

ROW = {"encoder": "trained", "seed": 0, "layer": "outputs", "dimensions": 4, "pool": 0, "metric": "cosine", "k": 1}
REPORT = {
    "epochs": 2,
    "weights": "0" * 64,
    "system": "bigan",
    "dataset": "digits",
    "gallery": {"split": "train", "images": 1500},
    "queries": {"dataset": "digits", "split": "test", "images": 297},
    "training_precision": "float32",
    "training_seed": 42,
    "evaluation_seed": 0,
    "protocols": {"knn": "as always", "nnd": "as always"},
    "results": {"knn": [{**ROW, "accuracy": 91.5}], "nnd": {"NND": 1.5}},
}


@pytest.fixture
def path(tmp_path):
    write_report(tmp_path / "metrics.json", REPORT)
    return tmp_path / "metrics.json"


def changed(path, **changes):
    """Writes the report at `path` anew, without a checksum, as earlier versions did."""
    path.write_text(json.dumps({**REPORT, **changes}))


def test_a_report_is_read_as_it_was_written(path):
    assert read_report(path) == REPORT
    changed(path)
    assert read_report(path) == REPORT


def test_a_report_that_was_changed_by_hand_is_named(path):
    path.write_text(path.read_text().replace("91.5", "99.5"))
    with pytest.raises(
        InputError, match="metrics.json is damaged or was changed: its content does not have the SHA-256"
    ):
        read_report(path)


@pytest.mark.parametrize("name", ("dataset", "epochs", "training_seed", "protocols", "results"))
@pytest.mark.parametrize("value", [None, "missing", 3.5, ["x"]], ids=str)
def test_entries_of_other_types_are_named(name, value, path):
    if value == "missing":
        path.write_text(json.dumps({key: each for key, each in REPORT.items() if key != name}))
    else:
        changed(path, **{name: value})
    with pytest.raises(InputError, match=f"metrics.json is damaged: .*'{name}'"):
        read_report(path)


@pytest.mark.parametrize("name", sorted(REPORT.keys() - {"weights"}))
def test_null_is_no_entry(name, path):
    changed(path, **{name: None})
    with pytest.raises(InputError, match=f"metrics.json is damaged: the entry '{name}' is null"):
        read_report(path)


@pytest.mark.parametrize(
    "row",
    [
        {key: value for key, value in ROW.items() if key != "layer"},
        ROW,
        {**ROW, "accuracy": "high"},
        {**ROW, "accuracy": None},
        {**ROW, "accuracy": 91.5, "k": []},
        {**ROW, "accuracy": 91.5, "dimensions": {}},
    ],
    ids=["no layer", "no accuracy", "text", "null", "list", "object"],
)
def test_rows_that_a_measure_cannot_print_are_refused(row, path):
    changed(path, results={"knn": [row, row]})
    with pytest.raises(InputError, match="metrics.json is damaged: its results cannot be shown: ") as caught:
        read_report(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("results", [{"knn": 3}, {"knn": [3]}, {"knn": [[]]}, {"nnd": "text"}], ids=str)
def test_results_are_rows_or_numbers(results, path):
    changed(path, results=results)
    with pytest.raises(InputError, match="metrics.json is damaged: .* is .*, not an? (object|list)"):
        read_report(path)


def test_numbers_that_are_not_finite_can_be_results(path):
    changed(path, results={"nnd": {"NND": float("nan")}})
    assert "NND" in read_report(path)["results"]["nnd"]
