"""How much memory this machine has, and the refusal of what cannot fit. No TensorFlow."""

import contextlib
import os
import pathlib

from tf_bigan.errors import InputError

# The limit of a container, under versions 2 and 1 of Linux' control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_USED = "/sys/fs/cgroup/memory.current"


def machine_memory() -> int:
    """This machine's memory in bytes, or that of the container that the process runs in."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is no such file, or it says "max"
            memory = min(memory, int(pathlib.Path(path).read_text(encoding="ascii")))
    return memory


def free_memory() -> int:
    """The memory in bytes that this process can still get: of the machine, or of its container if that is less."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, IndexError):
        told = pathlib.Path("/proc/meminfo").read_text(encoding="ascii")
        free = 1024 * int(told.split("MemAvailable:")[1].split()[0])
    if (limit := machine_memory()) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        with contextlib.suppress(OSError, ValueError):
            free = min(free, limit - int(pathlib.Path(_USED).read_text(encoding="ascii")))
    return max(free, 0)


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
