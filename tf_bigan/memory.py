"""How much memory this machine has, and the refusal of what cannot fit. No TensorFlow."""

import contextlib
import os
import pathlib

from tf_bigan.errors import InputError

# The limit of a container, under versions 2 and 1 of Linux' control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int:
    """This machine's memory in bytes, or that of the container that the process runs in."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is no such file, or it says "max"
            memory = min(memory, int(pathlib.Path(path).read_text(encoding="ascii")))
    return memory


def check_memory(needed: int, what: str, hint: str):
    """Raises InputError if something cannot fit this machine's memory.

    Args:
      needed: its size in bytes.
      what: what takes the memory, with its verb, as "a batch takes".
      hint: what to do, a sentence or two.
    """
    if needed > machine_memory():
        raise InputError(
            f"{what} {_gigabytes(needed)}, more than this machine's {_gigabytes(machine_memory())} of memory.\n{hint}"
        )


def _gigabytes(count):
    return f"{count / 1e9:,.1f} GB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
