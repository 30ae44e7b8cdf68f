"""What the benchmarks share: rates, fresh processes, memory and summaries. Standard library only."""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def calls_per_second(function, seconds: float, warmup: int = 20) -> float:
    """The steady rate of `function`, a blocking call, over at least `seconds`; `warmup` calls come first."""
    for _ in range(warmup):
        function()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        function()
        calls += 1
    return calls / elapsed


def best_seconds(function, repeats: int) -> float:
    """The shortest time of `repeats` calls: other work on the machine disturbs it least."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def environment(**changes: str) -> dict:
    """This process' environment, without GPUs, and with the checkout's tf_bigan importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ours = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": path}
    return {**os.environ, **ours, **changes}


def run(command: list, watch=None, **changes: str) -> str:
    """Runs `command` in a fresh process with `environment(**changes)`; returns its stdout.

    Ends this process with the command's last lines of stderr if it fails. `watch`, if given, is called with the
    process' id twice a second while it runs.
    """
    command = [str(word) for word in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(**changes), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    stdout, stderr = process.communicate(timeout=0.5 if watch else None)
                    break
                watch(process.pid)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        tail = "\n".join(stderr.splitlines()[-15:])
        sys.exit(f"{' '.join(command)}\nexited with {process.returncode}:\n{tail}")
    return stdout


def resident_mebibytes(pid="self") -> float:
    """The resident memory of a process now, in MiB; 0 if /proc does not tell it."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def run_json(command: list, **changes: str) -> dict:
    """Like `run`, but returns the JSON object that the command prints as its last line of stdout."""
    return json.loads(run(command, **changes).splitlines()[-1])


def print_table(title: str, unit: str, rows: dict, digits: int = 0):
    """Prints the median and the range of each row's values as a Markdown table.

    Args:
      title, unit: heads of the columns.
      rows: name -> list of numbers.
      digits: number of digits after the decimal point.
    """
    width = max(map(len, [title, *rows]))
    print(f"\n| {title:{width}} | {unit}, median | min - max |")
    print(f"|{'-' * (width + 2)}|---|---|")
    for name, values in rows.items():
        median, low, high = (f"{f(values):,.{digits}f}" for f in (statistics.median, min, max))
        print(f"| {name:{width}} | {median} | {low} - {high} |")
    sys.stdout.flush()


def note(line: str):
    """Prints a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def write_json(path: str | None, record: dict):
    """Writes `record` to `path`, if one is given."""
    if path:
        pathlib.Path(path).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
