"""Starts tools in copies of a process that has imported TensorFlow, which saves each of them seconds. Linux only.

A server imports the third-party libraries of the tools, and nothing of this project. It runs no operation, so that
TensorFlow has started no threads yet, and a copy of it (`os.fork`) goes on as if it had imported them itself. The copy
gets the arguments, the environment, the output files and the folder of a command line, and runs the tool's script.
"""

import atexit
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What a copy may have in its environment other than the server. Libraries read others as they are imported.
_READ_LATER = ("TF_BIGAN_", "TF_CONFIG", "TFDS_DATA_DIR", "TMPDIR", "PYTHONUNBUFFERED", "PYTEST_CURRENT_TEST")
_LENGTH = 4  # bytes of a number in a message
_environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}  # of the server
_server = None


class Tool:
    """A tool that runs in a copy of the server, with the methods of `subprocess.Popen` that tests need.

    Attributes:
      pid: its process.
      returncode: its exit status, minus the number of the signal that ended it, or None while it runs.
    """

    def __init__(self, connection, stdout, stderr):
        self._connection, self._files, self.returncode = connection, (stdout, stderr), None
        self.pid = self._read()

    def poll(self):
        """The exit status; None while it runs."""
        return self._wait(0)

    def communicate(self, timeout=None):
        """Waits for its end: the texts (stdout, stderr)."""
        if self._wait(timeout) is None:
            raise subprocess.TimeoutExpired("tool", timeout)
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode())
        return tuple(texts)

    def send_signal(self, number):
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout):
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = self._read()
            except (TimeoutError, BlockingIOError):
                return None
        return self.returncode

    def _read(self):
        if not (number := self._connection.recv(_LENGTH)):
            raise ConnectionError("the process that waits for the tool is gone")
        return int.from_bytes(number, "big", signed=True)


def can_start(environment) -> bool:
    """Whether a copy of the server can have an environment, {name: value}."""
    names = environment.keys() | _environment.keys()
    changed = [name for name in names if environment.get(name) != _environment.get(name)]
    return sys.platform == "linux" and all(name.startswith(_READ_LATER) for name in changed)


def start(arguments, environment) -> Tool:
    """Starts a script, as `python SCRIPT ARGUMENT ...` in the project's folder does.

    Args:
      arguments: (path of the script, argument ...).
      environment: {name: value}, one that `can_start`.
    """
    files = [tempfile.TemporaryFile() for _ in ("stdout", "stderr")]  # noqa: SIM115 - `Tool` reads them later
    ours, theirs = socket.socketpair()
    request = json.dumps({"arguments": [str(each) for each in arguments], "environment": environment}).encode()
    socket.send_fds(_the_server(), [b"!"], [theirs.fileno(), *(file.fileno() for file in files)])
    theirs.close()
    ours.sendall(len(request).to_bytes(_LENGTH, "big") + request)
    return Tool(ours, *files)


def _the_server():
    global _server
    if _server is None:
        _server, theirs = socket.socketpair()
        command, options = [sys.executable, __file__, str(theirs.fileno())], {"cwd": ROOT, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=_environment, **options)
        theirs.close()
        atexit.register(lambda: (_server.close(), process.wait()))
    return _server


def _serve(requests):
    """Makes a copy for each request. Returns the request in a copy, and None in the server when there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes that wait for tools
    while True:
        letter, (*descriptors,) = socket.recv_fds(requests, 1, 3)[:2]
        if not letter:
            return None
        if os.fork() == 0:  # a process that waits for the tool's end and tells it
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection, outputs = socket.socket(fileno=descriptors[0]), descriptors[1:]
            length = int.from_bytes(connection.recv(_LENGTH, socket.MSG_WAITALL), "big")
            request = json.loads(connection.recv(length, socket.MSG_WAITALL))
            if (tool := os.fork()) == 0:
                connection.close()
                return request, outputs
            _close(outputs)
            _tell(connection, tool)
            _tell(connection, os.waitstatus_to_exitcode(os.waitpid(tool, 0)[1]))
            os._exit(0)
        _close(descriptors)


def _close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def _tell(connection, number):
    connection.sendall(number.to_bytes(_LENGTH, "big", signed=True))


def _become(request, outputs):
    """Makes this process one that has started with a command line."""
    import numpy as np

    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(output, descriptor)
    _close(outputs)
    os.environ.clear()
    os.environ.update(request["environment"])
    raw, unbuffered = io.FileIO(1, "w", closefd=False), bool(os.environ.get("PYTHONUNBUFFERED"))
    # As Python makes it at its start. The server's may have a buffer where this process's has none, or none.
    sys.stdout = io.TextIOWrapper(raw if unbuffered else io.BufferedWriter(raw), write_through=unbuffered)
    tempfile.tempdir = None
    np.random.seed()
    sys.argv = request["arguments"]
    sys.path[0] = str(pathlib.Path(sys.argv[0]).parent)


if __name__ == "__main__":
    import runpy

    import h5py  # noqa: F401
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
    import tensorflow_datasets  # noqa: F401

    found = _serve(socket.socket(fileno=int(sys.argv[1])))
    if found:
        _become(*found)
        runpy.run_path(sys.argv[0], run_name="__main__")
