import json

import pytest
import tensorflow as tf
from helpers import tiny

from tf_bigan.errors import InputError
from tf_bigan.training import devices
from tf_bigan.training.train import train


def test_without_gpus_auto_is_one_device():
    assert devices.pick_strategy("auto") == "one_device" and devices.pick_strategy("mirrored") == "mirrored"
    strategy = devices.make_strategy("one_device")
    assert strategy is tf.distribute.get_strategy() and strategy.num_replicas_in_sync == 1
    assert devices.is_chief(strategy)


def test_mirrored_takes_all_logical_devices():
    strategy = devices.make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2 and devices.is_chief(strategy)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "",
        "not JSON",
        "[1, 2]",
        "{}",
        json.dumps({"cluster": {"worker": ["localhost:1"]}}),
        json.dumps({"cluster": {"ps": ["localhost:1"]}, "task": {"type": "ps", "index": 0}}),
        json.dumps({"task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 3}}),
    ],
    ids=["unset", "empty", "text", "list", "nothing", "no task", "no workers", "no cluster", "no such worker"],
)
def test_several_workers_need_a_cluster(config, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match="multi_worker needs TF_CONFIG with a cluster of workers and this task"):
        devices.make_strategy("multi_worker")


def test_without_a_tpu_strategy_tpu_is_refused():
    with pytest.raises(InputError, match="strategy tpu: this machine has no TPU"):
        devices.make_strategy("tpu")


def test_a_gpu_that_tensorflow_does_not_see_is_mentioned(monkeypatch):
    assert devices.kind() == "CPU" and devices.unused_gpu() == ""
    monkeypatch.setattr(devices.glob, "glob", lambda pattern: ["/proc/driver/nvidia/gpus/0000:01:00.0"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "an NVIDIA GPU that TensorFlow cannot use" in devices.unused_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.unused_gpu() == ""


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
def test_a_precision_that_is_asked_for_is_taken(name):
    assert devices.pick_precision(name, "mlp", tf.distribute.get_strategy()) == (name, "as asked")


def test_float16_needs_a_gpu():
    with pytest.raises(InputError, match="mixed_float16 needs a GPU; on CPUs use mixed_bfloat16 or float32"):
        devices.pick_precision("mixed_float16", "mlp", tf.distribute.get_strategy())


@pytest.mark.parametrize(
    "seconds, policy", [((2.0, 1.0), "mixed_bfloat16"), ((1.0, 5.0), "float32"), ((1.0, 1.0), "float32")]
)
def test_auto_precision_is_the_faster_one(seconds, policy, monkeypatch):
    float32, bfloat16 = seconds
    monkeypatch.setattr(devices, "_product_seconds", lambda dtype, size: float32 if dtype == tf.float32 else bfloat16)
    found, why = devices.pick_precision("auto", "mlp", tf.distribute.get_strategy())
    assert found == policy and f"{float32 / bfloat16:.1f} times as fast" in why


def test_auto_precision_is_measured_here():
    policy, why = devices.pick_precision("auto", "mlp", tf.distribute.get_strategy())
    assert policy in ("float32", "mixed_bfloat16") and "bfloat16 products run" in why


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("auto", "float32", "mlp", 1, False), True),
        (("auto", "mixed_bfloat16", "mlp", 1, False), False),
        (("auto", "float32", "conv", 1, False), False),
        (("auto", "float32", "mlp", 2, False), False),
        (("auto", "float32", "mlp", 1, True), False),
        (("on", "mixed_bfloat16", "mlp", 1, False), True),
        (("off", "float32", "mlp", 1, False), False),
        (("off", "float32", "mlp", 2, True), False),
    ],
)
def test_xla_is_on_where_it_helps_on_cpus(arguments, expected, mirrored):
    name, policy, networks, replicas, deterministic = arguments
    strategy = mirrored if replicas == 2 else tf.distribute.get_strategy()
    experiment = tiny(xla=name, networks=networks, deterministic=deterministic)
    assert devices.pick_xla(experiment, policy, strategy) is expected


def test_a_mirrored_strategy_of_one_device_is_not_compiled_either():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    assert devices.pick_xla(tiny(xla="auto"), "float32", strategy) is False


@pytest.mark.parametrize("value", [1.0, 2.5])
def test_numbers_are_summed_over_replicas(value, mirrored):
    assert devices.sum_over_replicas(mirrored, value) == 2 * value
    assert devices.sum_over_replicas(tf.distribute.get_strategy(), value) == value


def test_xla_is_refused_where_it_does_not_work(mirrored):
    with pytest.raises(InputError, match="xla=on does not go with mirrored strategies"):
        devices.pick_xla(tiny(xla="on"), "float32", mirrored)
    with pytest.raises(InputError, match="xla=on does not go with deterministic"):
        devices.pick_xla(tiny(xla="on", deterministic=True), "float32", tf.distribute.get_strategy())


def test_a_batch_that_does_not_divide_over_the_replicas_is_refused(tmp_path, digits_dir):
    with pytest.raises(InputError, match="127 is not divisible by 2 replicas; give a multiple of 2, or"):
        train(tiny(strategy="mirrored", batch_size=127), tmp_path / "run", digits_dir)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("experiment", [tiny(inter_op_threads=3), tiny(logical_cpus=3)], ids=["threads", "devices"])
def test_threads_and_devices_cannot_be_set_once_tensorflow_has_run(experiment, tmp_path, digits_dir):
    tf.add(1, 1)
    with pytest.raises(InputError, match="can be set only before TensorFlow has run"):
        train(experiment, tmp_path / "run", digits_dir)


def test_points_are_trained_in_float32_unless_asked_otherwise():
    strategy = tf.distribute.get_strategy()
    assert devices.pick_precision("auto", "mixture", strategy) == ("float32", "points")
    assert devices.pick_precision("mixed_bfloat16", "mixture", strategy) == ("mixed_bfloat16", "as asked")
    assert devices.pick_xla(tiny(xla="auto", networks="mixture"), "float32", strategy)


def test_mlps_run_two_operations_at_once_on_two_cores(monkeypatch):
    monkeypatch.setattr(devices.glob, "glob", lambda pattern: [])
    cores = {0, 1}
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: cores, raising=False)
    two = {"inter_op_threads": 2, "intra_op_threads": 1}
    assert devices.pick_threads(tiny()) == devices.pick_threads(tiny(strategy="one_device")) == two
    others = [{"networks": "conv"}, {"deterministic": True}, {"intra_op_threads": 2}, {"inter_op_threads": 1}]
    for changes in [*others, {"xla": "on"}, {"logical_cpus": 2}, {"strategy": "mirrored"}]:
        assert devices.pick_threads(tiny(**changes)) == {}
    # XLA runs one operation after another.
    strategy = tf.distribute.get_strategy()
    assert not devices.pick_xla(tiny(xla="auto", **two), "float32", strategy)
    assert devices.pick_xla(tiny(xla="auto", networks="mixture", **two), "float32", strategy)
    cores.add(2)
    assert devices.pick_threads(tiny()) == {}
    cores -= {1, 2}
    assert devices.pick_threads(tiny()) == {}
    cores.add(1)
    monkeypatch.setattr(devices.glob, "glob", lambda pattern: ["/proc/driver/nvidia/gpus/0"])
    assert devices.pick_threads(tiny()) == {}


def test_updates_are_compiled_where_that_helps(mirrored):
    settings = {"precision": "mixed_bfloat16", "xla": "off"}
    one = tf.distribute.get_strategy()
    assert devices.updates_in_one_pass(tiny(**settings), one)
    assert not devices.updates_in_one_pass(tiny(**settings), mirrored)
    for changes in ({"xla": "on"}, {"deterministic": True}, {"precision": "mixed_float16"}):
        assert not devices.updates_in_one_pass(tiny(**{**settings, **changes}), one)
