"""What `tools/doctor.py` tells: the machine, its traps, and what a training takes."""

import pytest
from helpers import ROOT, run_tool, tiny, tiny_game

from tf_bigan import machine
from tf_bigan.data.sources import count_if_here
from tf_bigan.training import devices
from tf_bigan.training import estimate as estimates

RATES = {"float32": 1e11, "mixed_bfloat16": 2e11}


def test_the_cost_of_a_step_worked_out_by_hand(monkeypatch):
    monkeypatch.setattr(devices, "product_rate", lambda policy: 1e9)
    found = estimates.estimate(tiny(batch_size=100), tiny_game(), examples=1437)
    encoder, generator = 64 * 16 + 16 * 16 + 16 * 4, 4 * 16 + 16 * 16 + 4 * 16 + 16 * 64
    discriminator = 64 * 16 + 16 * 16 + 4 * 16 + 16 * 1
    # A product is two operations. E and G: forward, and two gradients. D: for two kinds of pairs, and a third gradient.
    assert found.flop == 100 * 2 * (3 * (encoder + generator) + 2 * 4 * discriminator)
    assert found.steps == 2 * 15 and found.seconds == found.flop / 1e9
    assert found.state == 4 * 4 * (encoder + generator + discriminator)  # weight, gradient and two moments, float32


def test_what_is_not_known_is_said(monkeypatch):
    monkeypatch.setattr(devices, "product_rate", lambda policy: 1e9)
    lines = estimates.estimate(tiny(), tiny_game()).lines()
    assert lines[1] == "The run: how many steps it has depends on the data, which is not here."
    monkeypatch.setattr(estimates, "free_memory", lambda: 1000)
    assert estimates.estimate(tiny(), tiny_game()).lines()[-1].startswith("That does not fit")


@pytest.mark.parametrize(
    "seconds, text",
    [(0.0254, "0.025 s"), (12, "12 s"), (240, "4 min"), (12_000, "3 h 20 min"), (432_000, "5 days")],
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert estimates.duration(seconds) == text


def test_counting_examples_prepares_nothing(tmp_path, digits_dir):
    assert count_if_here("digits", "train", str(tmp_path)) is None and not list(tmp_path.iterdir())
    assert count_if_here("digits", "train", str(digits_dir)) == 1437
    assert count_if_here("mixture", "train", None) == 100_000


def test_traps_are_found(monkeypatch):
    monkeypatch.setattr(devices, "unused_gpu", lambda: "")
    monkeypatch.setattr(machine, "_quota", lambda: None)
    monkeypatch.setattr(machine, "free_memory", lambda: 2**34)
    monkeypatch.setattr(machine, "disks", lambda: [])
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert machine.traps(RATES) == []
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.setattr(machine, "_quota", lambda: 1.5)
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.setattr(machine, "disks", lambda: [("runs", "/runs", 1000)])
    found = "\n".join(machine.traps({"float32": 2.0, "mixed_bfloat16": 1.0}))
    for text in ("KERAS_BACKEND=jax", "TF_USE_LEGACY_KERAS", "bfloat16 is slower", "1.5 of 8 cores", "free in /runs"):
        assert text in found


def test_the_doctor_tells_of_the_machine_and_of_a_flagfile(digits_dir, monkeypatch):
    flagfile = f"--flagfile={ROOT / 'zoo' / 'bigan_digits' / 'train.flags'}"
    status, stdout, stderr = run_tool("doctor.py", flagfile, f"--data_dir={digits_dir}")
    assert status == 0, stderr
    for text in ("tensorflow 2.", "cores", "GiB free", "GFLOP/s in float32", f"digits in {digits_dir}", "models, "):
        assert text in stdout
    assert "bigan with the networks mlp, trained on digits" in stdout and "The run: 2,400 steps" in stdout
    status, _, stderr = run_tool("doctor.py", "--networks=none")
    assert status == 2 and stderr.startswith("error: ")
