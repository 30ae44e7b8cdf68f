"""Kills a tiny run at file writes and fills its disk, resumes it, and compares it with a run that was left alone.

python benchmarks/robustness.py --kills=20 --full_disks=10

kills        the run is killed with SIGKILL at a file operation (benchmarks/killed_at.py), at N places spread over the
             run, and then started again, without a kill, until it ends
full disks   the run lies on a disk (a tmpfs, which takes the right to mount) that is too small by N sizes. It must end
             with exit status 2 and one line; then the disk gets room, and the run is started again

After each, the run must have every epoch once in metrics.jsonl, with the same numbers, weights and pictures that are
identical to the last bit, and no leftovers. Exit status 1 if any has not.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from timing import ROOT, environment, note, write_json

FLAGS = [
    *("--dataset=digits", "--image_size=8", "--channels=1", "--width=64", "--latent_dim=4", "--batch_size=64"),
    *("--constant_epochs=2", "--decay_epochs=1", "--statistics_steps=3", "--precision=float32", "--xla=off"),
    *("--images_every=1", "--checkpoint_every=9", "--deterministic", "--strategy=one_device"),
]
EPOCHS = 3
_TIMES = ("seconds", "images_per_second", "watch/seconds")  # entries of a record that differ from run to run
_LIMIT = 900  # seconds after which a process counts as hanging


def train(workdir, data_dir, kill_at=None):
    """Runs tools/train.py: (exit status or None if it hangs, stderr). `kill_at` is as for killed_at.py."""
    tool = ["benchmarks/killed_at.py", str(kill_at), str(workdir)] if kill_at is not None else []
    command = [sys.executable, *tool, "tools/train.py", *FLAGS, f"--workdir={workdir}", f"--data_dir={data_dir}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr


def contents(workdir):
    """What a run must have in common with one that was left alone."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    weights = {}
    for path in sorted(workdir.glob("*.weights.h5")):
        with h5py.File(path) as file:
            file.visititems(lambda name, entry, path=path: weights.update(_array(f"{path.name}/{name}", entry)))
    return {
        "epochs": [record["epoch"] for record in records],
        "records": [{name: value for name, value in each.items() if name not in _TIMES} for each in records],
        "weights": weights,
        "pictures": {path.name: path.read_bytes() for path in (workdir / "images").iterdir()},
        "files": sorted(path.name for path in workdir.iterdir()),
    }


def _array(name, entry):
    return {name: np.asarray(entry).tobytes()} if isinstance(entry, h5py.Dataset) else {}


def leftovers(workdir):
    """Unfinished files and folders anywhere in the run."""
    return [str(path) for path in workdir.rglob(".*") if re.match(r"\.[0-9a-f]{8}\.", path.name)]


def faults(workdir, status, stderr, whole):
    """What is wrong with a resumed run, as words; empty if nothing is."""
    if status != 0:
        return [f"resuming ended with {status}: {stderr.strip()[-300:]}"]
    found = contents(workdir)
    wrong = [name for name in whole if found[name] != whole[name]]
    return wrong + [f"left {each}" for each in leftovers(workdir)]


def first_faults(status, stderr, wanted):
    """What is wrong with how a process ended that was to end with one of the statuses `wanted`."""
    wrong = [f"hang or exit status {status}"] if status not in wanted else []
    wrong += ["traceback"] if "Traceback" in stderr else []
    if status == 2 and len([line for line in stderr.splitlines() if line.startswith("error: ")]) != 1:
        wrong.append(f"not one line: {stderr.strip()[-300:]}")
    return wrong


def kills(count, folder, data_dir, whole, total):
    """Kills `count` runs; {name: list of faults}."""
    results = {}
    for number in range(count):
        place = 1 + (2 * number + 1) * (total - 1) // (2 * count)
        workdir = folder / f"killed-{place}"
        status, stderr = train(workdir, data_dir, place)
        wrong = first_faults(status, stderr, (-9,))
        left = len(leftovers(workdir))
        wrong += faults(workdir, *train(workdir, data_dir), whole)
        note(f"killed at {place} of {total}, leaving {left} unfinished: {'; '.join(wrong) or 'resumed, identical'}")
        results[f"killed at {place}"] = wrong
    return results


def full_disks(count, folder, data_dir, whole, size):
    """Fills `count` disks; {name: list of faults}. `size` is the bytes that a whole run takes."""
    results = {}
    for number in range(count):
        room = (size * (2 * number + 1) // (2 * count)) // 4096 * 4096 or 4096
        disk = folder / f"disk-{number}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(disk)], check=True)
        try:
            status, stderr = train(disk / "run", data_dir)
            wrong = first_faults(status, stderr, (2,))
            said = (stderr.strip().splitlines() or [""])[-1]
            subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(disk)], check=True)
            wrong += faults(disk / "run", *train(disk / "run", data_dir), whole)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        note(f"disk of {room} bytes: {said}: {'; '.join(wrong) or 'resumed, identical'}")
        results[f"disk of {room} bytes"] = wrong
    return results


def main():
    """Makes the run that is left alone, then all others, and counts those with faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--full_disks", type=int, default=10)
    parser.add_argument("--json", metavar="FILE", help="write what was found there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data_dir = folder / "tfds"
        status, stderr = train(folder / "whole", data_dir, 0)
        if status != 0:
            sys.exit(f"the run that is left alone ended with {status}:\n{stderr}")
        whole, total = contents(folder / "whole"), int(stderr.split()[-1])
        if whole["epochs"] != list(range(1, EPOCHS + 1)):
            sys.exit(f"the run that is left alone has the epochs {whole['epochs']}")
        size = sum(path.stat().st_size for path in (folder / "whole").rglob("*") if path.is_file())
        note(f"{total} file operations, {size} bytes")
        results = kills(options.kills, folder, data_dir, whole, total)
        results |= full_disks(options.full_disks, folder, data_dir, whole, size)
    bad = {name: wrong for name, wrong in results.items() if wrong}
    print(f"{options.kills} kills and {options.full_disks} full disks: {len(bad)} with faults")
    write_json(options.json, {"kills": options.kills, "full_disks": options.full_disks, "faults": bad})
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
