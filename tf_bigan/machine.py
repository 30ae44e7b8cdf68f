"""What this machine has for training, and what on it is known to go wrong."""

import importlib.metadata
import os
import pathlib
import platform
import shutil
import tempfile

import tensorflow as tf

from tf_bigan import zoo
from tf_bigan.files import cache_path
from tf_bigan.memory import free_memory
from tf_bigan.training import devices
from tf_bigan.zoo.remote import RemoteZoo

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "tensorflow-hub", "numpy", "pillow", "scikit-learn")
_LITTLE = 2**30  # bytes of disk or memory
_POLICIES = ("float32", "mixed_bfloat16")


def report(data_dir=None) -> str:
    """What this machine has, as text: versions, processor, memory, devices, speed, disk, data sets, zoos, known traps.

    Args:
      data_dir: the TFDS directory; None = TFDS_DATA_DIR or TFDS's default.
    """
    rates = {policy: devices.product_rate(policy) for policy in _POLICIES}
    folder, datasets = find_datasets(data_dir)
    rows = [
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("processor", _processor()),
        ("memory", f"{free_memory() / 2**30:.1f} GiB free"),
        ("devices", ", ".join(device.name for device in tf.config.list_logical_devices())),
        ("products", ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {policy}" for policy, rate in rates.items())),
        *((f"disk, {name}", f"{free / 2**30:.1f} GiB free in {place}") for name, place, free in disks()),
        ("data sets", f"{', '.join(datasets) or 'none'} in {folder}"),
        *(("zoo", _told(place)) for place in zoo.zoos()),
    ]
    width = max(len(head) for head, _ in rows)
    found = traps(rates)
    lines = [f"{head:<{width}}  {text}" for head, text in rows]
    return "\n".join([*lines, "", *(f"trap: {trap}" for trap in found or ["none known here"])])


def traps(rates) -> list[str]:
    """What on this machine is known to go wrong, a sentence each, with what to do.

    Args:
      rates: policy -> measured operations a second of a matrix product: "float32" and "mixed_bfloat16".
    """
    found = []
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        found.append(f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}: tf_bigan needs tensorflow; unset it.")
    if os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
        found.append("TF_USE_LEGACY_KERAS makes tf.keras Keras 2: tf_bigan needs Keras 3; unset it.")
    if int(importlib.metadata.version("setuptools").partition(".")[0]) >= 82:
        found.append(
            "setuptools is 82 or newer, without which tensorflow-hub cannot be imported; install setuptools<82."
        )
    if hint := devices.unused_gpu():
        found.append(f"{hint}.")
    if rates["mixed_bfloat16"] < rates["float32"]:
        found.append("bfloat16 is slower than float32 here: do not set --precision=mixed_bfloat16.")
    quota, cores = _quota(), devices.cores()
    if quota and quota < cores:
        found.append(
            f"this process may use {quota:g} of {cores} cores, but TensorFlow begins a thread for each; set "
            f"--intra_op_threads={max(1, int(quota))}."
        )
    if free_memory() < _LITTLE:
        found.append("less than 1 GiB of memory is free.")
    found += [f"less than 1 GiB is free in {place}, for {name}." for name, place, free in disks() if free < _LITTLE]
    return found


def versions() -> dict[str, str]:
    """The installed versions of the packages that tf_bigan uses: name -> version."""
    known = {}
    for name in _PACKAGES:
        try:
            known[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            known[name] = "missing"
    return known


def disks() -> list[tuple[str, pathlib.Path, int]]:
    """(what it is for, folder, free bytes) of the folders that tf_bigan writes to."""
    places = {"runs": pathlib.Path.cwd(), "features": pathlib.Path(tempfile.gettempdir()), "cache": cache_path()}
    found = []
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        found.append((name, place, shutil.disk_usage(there).free))
    return found


def find_datasets(data_dir=None) -> tuple[pathlib.Path, list[str]]:
    """The TFDS directory, and the names of the data sets that are prepared in it, with their configurations."""
    import tensorflow_datasets as tfds

    folder = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    found = [path.parent for pattern in ("*/*", "*/*/*") for path in folder.glob(f"{pattern}/dataset_info.json")]
    return folder, sorted({str(path.parent.relative_to(folder)) for path in found})


def _told(place):
    """A zoo as text: where it is, and how many entries it has."""
    kinds = list(place.entries().values())
    where = place.address if isinstance(place, RemoteZoo) else place.path
    return f"{kinds.count('model')} models, {kinds.count('classifier')} classifiers in {where}"


def _processor():
    """The processor's name, the cores that this process may use, and what speeds bfloat16 up."""
    told = {}
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    name = told.get("model name") or platform.processor() or platform.machine()
    flags = told.get("flags", "").split()
    fast = [text for flag, text in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 bf16")) if flag in flags]
    bfloat16 = f"bfloat16 instructions: {', '.join(fast) or 'none'}" if flags else ""
    return ", ".join(part for part in (name, f"{devices.cores()} of {os.cpu_count()} cores", bfloat16) if part)


def _quota():
    """The cores' worth of time that the control group of this process may use; None = no limit is known."""
    words = " ".join(_lines("/sys/fs/cgroup/cpu.max")).split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def _lines(path):
    """The lines of a file; none if it cannot be read."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
