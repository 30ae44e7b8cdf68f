"""Records the values that tests/test_published.py and tests/games/test_recorded_steps.py compare with.

    python tests/record_published.py

This adds records of new entries of the zoo, new draws and new cases of steps; existing records stay as they are. Never
delete a record to make a failing test pass: the test fails because a published run, or its training, is no longer what
it was. The only honest reason to delete a record is that its entry was published anew, with other weights.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
TESTS = pathlib.Path(__file__).resolve().parent
FIXTURES = TESTS / "fixtures"
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import numpy as np  # noqa: E402


def record_published():
    """Adds the missing records to published.json and published.npz."""
    if not (FIXTURES / "published.json").exists():
        (FIXTURES / "published.json").write_text('{"zoo": {}, "training_seeds": {}}')
        np.savez_compressed(FIXTURES / "published.npz")
    import test_published as published

    records, arrays = published.RECORDED, dict(published.ARRAYS)
    seeds = published.ROOT / "benchmarks" / "training_seeds"
    for room, names, folder in (
        ("zoo", published.MODELS, published.zoo.zoo_path()),
        ("training_seeds", published.SEEDS, seeds),
    ):
        for name in names:
            if name not in records[room]:
                records[room][name] = published.record_of_run(folder / name)
    recorded = {key.split("/")[1] for key in arrays if key.startswith("zoo/")}
    for name in published.LOADED:
        if name not in recorded:
            arrays.update({f"zoo/{name}/{what}": array for what, array in published.answers_of(name).items()})
    for prior in published.PRIORS:
        for seed in published.NOISE_SEEDS:
            for step in published.NOISE_STEPS:
                for stream in published.STREAMS:
                    key = published.noise_key(prior, seed, step, stream)
                    if key not in arrays:
                        arrays[key] = published.z_of(prior, seed, step, stream)
    for order in published.ORDERS:
        if published.order_key(*order) not in arrays:
            arrays[published.order_key(*order)] = published.order_of(*order)
    for step in published.CROP_STEPS:
        if f"crops/{step}" not in arrays:
            with tempfile.TemporaryDirectory() as folder:
                arrays[f"crops/{step}"] = published.crops_of(folder, step)
    _write(FIXTURES / "published.json", records)
    np.savez_compressed(FIXTURES / "published.npz", **dict(sorted(arrays.items())))


def record_steps():
    """Adds the missing cases to steps.json."""
    import recorded_steps

    records = json.loads(recorded_steps.FIXTURE.read_text()) if recorded_steps.FIXTURE.exists() else {}
    missing = [case for case in recorded_steps.CASES if case not in records]
    if missing:
        found, machine = recorded_steps.played(missing)
        records.update({case: {"machine": machine, **record} for case, record in found.items()})
    _write(recorded_steps.FIXTURE, records)


def _write(path, content):
    """Writes JSON with a line for each part of a record, so that a diff shows which part changed."""
    lines = []
    for name, parts in sorted(content.items()):
        inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(part)}" for key, part in sorted(parts.items()))
        lines.append(f" {json.dumps(name)}: {{\n{inner}\n }}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record_published()
    record_steps()
