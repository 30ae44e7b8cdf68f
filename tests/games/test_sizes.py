"""The shapes of networks, found without making them, and the refusal of what does not fit."""

import math

import pytest
from helpers import tiny, tiny_game

from tf_bigan import memory
from tf_bigan.errors import InputError
from tf_bigan.games import check_size, make_game, weight_shapes
from tf_bigan.memory import check_memory, machine_memory


@pytest.mark.parametrize(
    "changes",
    [{}, {"system": "gan", "denoising_feature_matching": 0.03}, {"networks": "dcgan", "image_size": 32}],
    ids=str,
)
def test_shapes_are_those_of_the_networks(changes):
    game = tiny_game(**changes)
    expected = {role: [tuple(each.shape) for each in network.variables] for role, network in game.networks.items()}
    assert weight_shapes(tiny(**changes)) == expected


def test_finding_them_takes_no_room_and_leaves_nothing_behind():
    shapes = weight_shapes(tiny(width=2**20))
    assert (2**20, 2**20) in shapes["encoder"]
    make_game(tiny())  # would make the variables that were left, if there were any


def test_what_is_wrong_with_the_settings_is_told_as_when_they_are_made():
    with pytest.raises(InputError, match="image_size and channels"):
        weight_shapes(tiny(image_size=0))


def test_what_does_not_fit_is_refused_with_the_number(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**9)
    shapes = {"encoder": [(1000, 1000), (1000,)], "generator": [(10_000, 10_000)]}
    check_size({"encoder": shapes["encoder"]}, copies=4)
    check_size({"generator": [(5000, 5000)]}, copies=4)
    with pytest.raises(InputError) as caught:
        check_size({**shapes, "generator": [(16_000, 16_000)]})
    assert str(caught.value) == (
        "the networks have 257,001,000 weights, which take 1.0 GB, more than this machine's 1.0 GB of memory.\nThe "
        "generator has 256,000,000 of them; lower width, latent_dim or what else the flags make large"
    )
    with pytest.raises(InputError, match="which take with their gradients and Adam's moments 1.6 GB"):
        check_size({"generator": [(10_000, 10_000)]}, copies=4)
    check_size({"generator": [(7_500, 7_500)]}, copies=4)
    with pytest.raises(InputError, match="Adam's moments, and their averages, 1.1 GB"):
        check_size({"generator": [(7_500, 7_500)]}, copies=5)


def test_the_memory_of_a_container_counts(monkeypatch, tmp_path):
    whole = machine_memory()
    assert 0 < whole < 2**50 and math.isfinite(whole)
    for text, expected in (("max\n", whole), ("1000\n", 1000), (f"{2**62}\n", whole)):
        (tmp_path / "memory.max").write_text(text)
        monkeypatch.setattr(memory, "_LIMITS", (str(tmp_path / "memory.max"), "/nowhere"))
        assert machine_memory() <= expected
    with pytest.raises(InputError, match="it takes 5.0 GB, more than this machine's"):
        monkeypatch.setattr(memory, "machine_memory", lambda: 1000)
        check_memory(5 * 10**9, "it takes", "Take less")
