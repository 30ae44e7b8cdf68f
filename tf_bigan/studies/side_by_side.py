"""Programs that run side by side, a few at a time."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time

from tf_bigan.errors import InputError

NOT_FINITE = "is not finite"  # what tools/train.py says of a run that diverged
_REFUSED = 2  # the exit status of tools for what a user has to mend
_PATIENCE = 60.0  # seconds in which a program that is asked to end may write a checkpoint


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status, and the seconds that it ran and that it kept a core busy."""

    status: int
    seconds: float
    cpu_seconds: float


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
      name: what it is called in results.
      command: program and arguments.
      log: the file that its output is added to.
    """

    name: str
    command: tuple[str, ...]
    log: pathlib.Path


def run_side_by_side(programs, processes, ended):
    """Runs programs, at most `processes` at a time, and calls `ended` as each ends.

    They are asked to end (SIGTERM) and waited for if this process is interrupted (SIGINT, SIGTERM) or if `ended` raises
    an error. They have a session of their own, so that Ctrl-C in a terminal reaches this process alone.

    Args:
      programs: list of `Program`.
      processes: how many run at a time.
      ended: function of (program, `Ended`).

    Raises:
      KeyboardInterrupt: after SIGINT or SIGTERM.
    """
    waiting, running = list(programs), {}
    with _terminated_as_interrupted():
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    program = waiting.pop(0)
                    running[program.name] = program, _start(program), time.monotonic()
                found = {name: _waited_for(process) for name, (_, process, _) in running.items()}
                over = {name: cpu_seconds for name, cpu_seconds in found.items() if cpu_seconds is not None}
                for name, cpu_seconds in over.items():
                    program, process, begun = running.pop(name)
                    ended(program, Ended(process.returncode, time.monotonic() - begun, cpu_seconds))
                if not over:
                    time.sleep(0.2)
        except BaseException:
            _end([process for _, process, _ in running.values()])
            raise


def _start(program):
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with open(program.log, "a", encoding="utf-8") as log:
        return subprocess.Popen(program.command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def _waited_for(process):
    """The CPU seconds of a process, with those of its children, if it has ended; else None."""
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _end(processes):
    """Asks processes to end, waits, and kills those that take too long or that a second interrupt finds running."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + _PATIENCE
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(max(until - time.monotonic(), 0.0))
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _terminated_as_interrupted():
    """Within this context, SIGTERM raises KeyboardInterrupt, as SIGINT does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def diverged(program: Program, ended: Ended) -> str:
    """What a training said of a number that is not finite, if it ended so; else ""."""
    told = complaint(program.log) if ended.status == _REFUSED else ""
    return told if NOT_FINITE in told else ""


def failure(program: Program, ended: Ended) -> InputError:
    """The error to raise for a program that did not do its work."""
    return InputError(
        f"{program.name} ended with status {ended.status}: {complaint(program.log)}\n"
        f"All that it said is in {program.log}; start again to go on"
    )


def complaint(log: pathlib.Path) -> str:
    """What a program's log says in its last line that begins with "error: "; else its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return told[-1] if told else lines[-1]
