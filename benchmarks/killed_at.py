"""Runs a tool, and kills the process with SIGKILL at the n-th time that it touches a file in a folder.

python benchmarks/killed_at.py N FOLDER tools/train.py --flags ...

Opening a file for writing, opening it to flush it, making, renaming and removing files and folders count. With N = 0
nothing is killed, and the last line of stderr says how many there were. The library itself has no hook for this:
Python's audit events, which it raises before each of these operations, are counted.
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
    stop_at, folder, tool = int(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
    count = 0

    def count_and_kill(event, arguments):
        nonlocal count
        if event not in _EVENTS or not isinstance(arguments[0], str | os.PathLike):
            return
        reading = event == "open" and arguments[1] is not None and not set(arguments[1]) & set("wax+")
        if reading or not os.path.abspath(arguments[0]).startswith(folder):
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


if __name__ == "__main__":
    main()
