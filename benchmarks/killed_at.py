"""Runs a tool, and kills the process with SIGKILL before the n-th time that it writes to a file or folder.

python benchmarks/killed_at.py N PATH tools/train.py --flags ...

Opening a file for writing, opening it to flush it, making, renaming and removing files and folders count if their
paths, or new names, begin with PATH. With N = 0 nothing is killed, and the last line of stderr says how many there
were.
The library itself has no hook for this: Python's audit events, which it raises before each of these operations, are
counted.
"""

import atexit
import os
import pathlib
import runpy
import signal
import sys

_EVENTS = {"open", "os.mkdir", "os.rmdir", "os.rename", "os.remove", "os.truncate"}


def main():
    """Counts, and runs the tool as a script."""
    stop_at, place, tool = int(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
    count = 0

    def count_and_kill(event, arguments):
        nonlocal count
        if event not in _EVENTS or (event == "open" and not _writes(arguments[1])):
            return
        paths = [each for each in arguments[: 2 if event == "os.rename" else 1] if isinstance(each, str | os.PathLike)]
        if not any(os.path.abspath(path).startswith(place) for path in paths):
            return
        count += 1
        if count == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if not stop_at:
        atexit.register(lambda: print(count, file=sys.stderr))
    sys.addaudithook(count_and_kill)
    sys.argv = sys.argv[3:]
    sys.path[0] = str(pathlib.Path(tool).resolve().parent)
    runpy.run_path(tool, run_name="__main__")


def _writes(mode):
    """Whether a file that is opened in a mode is written. `os.open`, which has none, serves to flush files."""
    return mode is None or bool(set(mode) & set("wax+"))


if __name__ == "__main__":
    main()
