import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tf_bigan.studies.side_by_side import Program, run_side_by_side

ROOT = pathlib.Path(__file__).resolve().parents[2]

SCRIPT = """
import pathlib, signal, sys, time
folder, name, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
def saved(number, frame):
    (folder / f"{name}.saved").touch()
    sys.exit(7)
signal.signal(signal.SIGTERM, saved)
(folder / f"{name}.begun").touch()
time.sleep(seconds)
print("did", name)
sys.exit(int(sys.argv[4]))
"""


def program(folder, name, seconds=0.0, status=0):
    command = (sys.executable, "-c", SCRIPT, str(folder), name, str(seconds), str(status))
    return Program(name, command, folder / "logs" / f"{name}.log")


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_each_program_is_run_once_and_its_end_told(tmp_path):
    told = {}
    programs = [program(tmp_path, f"p{n}", status=n) for n in range(4)]
    run_side_by_side(programs, 2, lambda each, ended: told.update({each.name: ended}))
    assert {name: ended.status for name, ended in told.items()} == {f"p{n}": n for n in range(4)}
    assert all(ended.seconds > 0 for ended in told.values())
    for each in programs:
        assert each.log.read_text() == f"did {each.name}\n"


def test_the_time_that_a_program_kept_a_core_busy(tmp_path):
    """A program that computes for half a second, and one that sleeps as long, each with a child that does the same."""
    scripts = {
        "busy": "import time; begin = time.process_time()\nwhile time.process_time() < begin + 0.5: pass",
        "idle": "import time; time.sleep(0.5)",
    }
    whole = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]]); exec(sys.argv[1])"
    programs = [
        Program(name, (sys.executable, "-c", whole, script), tmp_path / name) for name, script in scripts.items()
    ]
    told = {}
    run_side_by_side(programs, 2, lambda each, ended: told.update({each.name: ended.cpu_seconds}))
    assert told["busy"] >= 1.0 and told["idle"] < told["busy"] - 0.8


def test_no_more_than_asked_run_at_a_time(tmp_path):
    """With one process, each begins only after the one before it has ended."""
    order = []
    programs = [program(tmp_path, name) for name in "abc"]

    def ended(each, how):
        order.append(each.name)
        assert len(list(tmp_path.glob("*.begun"))) == len(order)

    run_side_by_side(programs, 1, ended)
    assert order == ["a", "b", "c"]


def test_an_error_ends_the_others_cleanly(tmp_path):
    programs = [program(tmp_path, "long", 60.0), program(tmp_path, "short", 1.0), program(tmp_path, "next")]

    def ended(each, how):
        until((tmp_path / "long.begun").exists)
        raise ValueError(each.name)

    with pytest.raises(ValueError, match="short"):
        run_side_by_side(programs, 2, ended)
    assert (tmp_path / "long.saved").exists() and not (tmp_path / "next.begun").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_them_cleanly(number, tmp_path):
    script = (
        "import pathlib, signal, sys; sys.path.insert(0, 'tests/studies')\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "from test_side_by_side import program\n"
        "from tf_bigan.studies.side_by_side import run_side_by_side\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "try:\n"
        "    run_side_by_side([program(folder, 'a', 60.0), program(folder, 'b', 60.0)], 2, print)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment)
    until(lambda: len(list(tmp_path.glob("*.begun"))) == 2, 60.0)
    process.send_signal(number)
    assert process.wait(30) == 130
    assert {path.name for path in tmp_path.glob("*.saved")} == {"a.saved", "b.saved"}
