"""Which devices a run uses, in which precision, and whether XLA compiles its step."""

import functools
import glob
import os
import time
import zlib

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.experiment import AUTO
from tf_bigan.games.fitting import MIRRORED
from tf_bigan.registry import FAMILIES

_XLA_ON_CPUS = ("mlp", "mixture")
_TWO_AT_ONCE = ("mlp",)  # families for which `pick_threads` has a choice


def pick_strategy(name: str) -> str:
    """Resolves "auto": mirrored over several GPUs, else one device."""
    if name != AUTO:
        return name  # without listing the devices: that starts the runtime, and a cluster must be known before
    return "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one_device"


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The distribution strategy called `name`.

    Args:
      name: "one_device", "mirrored" (all GPUs of this machine, or its logical CPUs), "multi_worker" (cluster from
        TF_CONFIG) or "tpu".

    Raises:
      InputError: this machine has no such device, or TF_CONFIG does not describe a cluster.
    """
    if name == "multi_worker":
        return _multi_worker_strategy()
    if name == "one_device":
        # The default strategy: with one device MirroredStrategy only costs XLA (keras#18145).
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver("local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception:  # without a TPU: ValueError, NotFoundError or KeyError, by version
        raise InputError("strategy tpu: this machine has no TPU that TensorFlow can initialise") from None


def _multi_worker_strategy():
    try:
        cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        if not cluster.cluster_spec().as_dict().get("worker") or cluster.task_type is None:
            raise ValueError("it names no workers or no task")
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=cluster)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"strategy multi_worker needs TF_CONFIG with a cluster of workers and this task: {error}"
        ) from None


def kind() -> str:
    """The kind of device that replicas run on: "TPU", "GPU" or "CPU"."""
    return next(kind for kind in ("TPU", "GPU", "CPU") if tf.config.list_logical_devices(kind))


def unused_gpu() -> str:
    """A hint for the user if this machine has an NVIDIA GPU that TensorFlow cannot use, else ""."""
    hidden = "CUDA_VISIBLE_DEVICES" in os.environ  # the user has chosen the GPUs, perhaps none
    if hidden or tf.config.list_physical_devices("GPU") or not glob.glob("/proc/driver/nvidia/gpus/*"):
        return ""
    return "this machine has an NVIDIA GPU that TensorFlow cannot use; pip install 'tensorflow[and-cuda]' may help"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the chief, the only worker that writes files."""
    resolver = strategy.cluster_resolver
    if not strategy.extended._in_multi_worker_mode() or resolver is None:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


def sum_over_replicas(strategy: tf.distribute.Strategy, value: float) -> float:
    """The sum of `value` over all replicas. All replicas of a worker have the value that the worker passes.

    All workers must call it at the same point.
    """
    total = _sum_function(strategy)(tf.constant(value, tf.float32))
    return float(strategy.experimental_local_results(total)[0])


@functools.cache
def _sum_function(strategy):
    def add(value):
        own = tf.identity(value)  # places it on the replica's device; all_reduce cannot use an argument, which has none
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)

    return tf.function(lambda value: strategy.run(add, args=(value,)), autograph=False)


def require_agreement(strategy, content: bytes, otherwise):
    """Raises InputError with the message `otherwise` unless all workers have the same content."""
    digest = zlib.crc32(content) % 2**16  # small enough for sums over replicas to be exact in float32
    if sum_over_replicas(strategy, digest) != digest * strategy.num_replicas_in_sync:
        raise InputError(otherwise)


def pick_threads(experiment) -> dict[str, int]:
    """Threads for an experiment that leaves both counts at 0; {} = TensorFlow's defaults.

    TensorFlow's defaults run one operation after another on all cores. MLPs have many short operations: on two cores,
    two at once with one thread each were measured to be faster (benchmarks/README.md). Deterministic runs keep the
    defaults, as sums over threads may round differently. It must be called before TensorFlow has started.
    """
    given = experiment.inter_op_threads or experiment.intra_op_threads or experiment.logical_cpus
    given = given or experiment.xla == "on"  # which runs one operation after another
    elsewhere = experiment.strategy not in (AUTO, "one_device") or glob.glob("/proc/driver/nvidia/gpus/*")
    if given or elsewhere or experiment.deterministic or experiment.networks not in _TWO_AT_ONCE:
        return {}
    return {"inter_op_threads": 2, "intra_op_threads": 1} if cores() == 2 else {}


def cores() -> int:
    """How many cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity else os.cpu_count()


def pick_precision(name: str, networks: str, strategy: tf.distribute.Strategy) -> tuple[str, str]:
    """Resolves "auto" by timing matrix products, once for all workers together; checks the other names.

    For networks of points, "auto" is float32: they are small, and bfloat16 is too coarse for their coordinates.

    bfloat16 keeps float32's range, and variables, losses and the optimizer stay float32, so results differ by
    noise only. Its speed is measured, as the processor's name does not tell it: without bf16 instructions it is
    several times slower than float32.

    Returns:
      (dtype policy name, why, for a log line).

    Raises:
      InputError: mixed_float16 without a GPU.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mixed_float16" and not gpus:
        raise InputError("precision mixed_float16 needs a GPU; on CPUs use mixed_bfloat16 or float32")
    if name != AUTO:
        return name, "as asked"
    if FAMILIES[networks].domain == "points":
        return "float32", "points"
    size = 4096 if gpus else 768  # a product takes milliseconds, so that the launch overhead does not count
    # The speed of a shared machine changes from moment to moment, so the median of several comparisons counts.
    ratios = [_product_seconds(tf.float32, size) / _product_seconds(tf.bfloat16, size) for _ in range(7)]
    ratio = sorted(ratios)[len(ratios) // 2]
    ratio = sum_over_replicas(strategy, ratio) / strategy.num_replicas_in_sync
    why = f"bfloat16 products run {ratio:.1f} times as fast as float32 ones here"
    return ("mixed_bfloat16" if ratio > 1.2 else "float32"), why


def pick_xla(experiment, policy: str, strategy) -> bool:
    """Whether to compile the train step with XLA.

    "auto" is on for float32 networks without convolutions on CPUs, where it was measured to help, and on one GPU, where
    it was not measured. On CPUs, XLA makes convolutions up to 15 times slower, and bfloat16 slower by less. MLPs that
    run two operations at once (`pick_threads`) are faster without it, as it runs one after another.

    Raises:
      InputError: "on" under a distribution strategy (keras#18145) or with `deterministic`.
    """
    name, networks, deterministic = experiment.xla, experiment.networks, experiment.deterministic
    distributed = isinstance(strategy, MIRRORED)
    if name == "on" and (distributed or deterministic):
        raise InputError(f"xla=on does not go with {'mirrored strategies' if distributed else 'deterministic'}")
    if name != AUTO:
        return name == "on"
    if distributed or deterministic:
        return False
    if tf.config.list_logical_devices("GPU"):
        return True
    two_at_once = networks in _TWO_AT_ONCE and experiment.inter_op_threads > 1 and experiment.intra_op_threads == 1
    return policy == "float32" and networks in _XLA_ON_CPUS and not two_at_once


def updates_in_one_pass(experiment, strategy) -> bool:
    """Whether the optimizer compiles updates of its own: on one CPU device, where it was measured to help.

    Args:
      experiment: with its precision and XLA resolved.
      strategy: the distribution strategy.
    """
    fits = experiment.precision != "mixed_float16" and experiment.xla == "off" and not experiment.deterministic
    return fits and kind() == "CPU" and not isinstance(strategy, MIRRORED)


def product_rate(policy: str) -> float:
    """Floating-point operations a second of a matrix product in the dtype that a policy computes in, measured."""
    size = 4096 if tf.config.list_logical_devices("GPU") else 2048
    dtype = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}[policy]
    return 2.0 * size**3 / _product_seconds(dtype, size)


def _product_seconds(dtype, size):
    a = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), dtype)
    product = tf.function(lambda a: tf.reduce_sum(tf.matmul(a, a)), autograph=False)
    product(a)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        product(a).numpy()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
