"""Everything random follows from (seed, purpose, step, place in the global batch, name)."""

import numpy as np
import pytest
import tensorflow as tf

from tf_bigan.draws import GENERATION, STATISTICS, Draws, current
from tf_bigan.errors import InputError
from tf_bigan.priors import Normal, Uniform


@pytest.mark.parametrize("shape", [(), (3,), (4,), (5, 3)], ids=str)
def test_one_replica_of_2n_draws_what_two_of_n_draw(shape):
    whole = Draws(1, 5, 6).bits("name", shape)
    parts = [Draws(1, 5, 3, replica=r, replicas=2).bits("name", shape) for r in (0, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(*parts)


@pytest.mark.parametrize("prior", [Uniform(5), Normal(5)], ids=["uniform", "normal"])
def test_codes_are_the_replicas_part_of_the_global_batchs(prior):
    whole = Draws(1, 5, 6).codes(prior)
    parts = [Draws(1, 5, 3, replica=r, replicas=2).codes(prior) for r in (0, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_seed_purpose_step_and_name_each_give_other_numbers():
    draws = [
        *(Draws(seed, 3, 8).bits("a", (8,)) for seed in (0, 1, 2**32 - 1)),
        *(Draws(0, step, 8).bits("a", (8,)) for step in (4, 2**40)),
        *(Draws(0, 3, 8, purpose).bits("a", (8,)) for purpose in (STATISTICS, GENERATION)),
        Draws(0, 3, 8).bits("b", (8,)),
    ]
    numbers = np.concatenate([np.array(each).ravel() for each in draws])
    assert len(np.unique(numbers)) == len(numbers) == 8 * 64


def test_a_draw_is_the_same_whatever_else_is_drawn():
    alone = Draws(0, 3, 8).normal("a", (4,))
    beside = Draws(0, 3, 8)
    beside.bits("before", (100,))
    np.testing.assert_array_equal(beside.normal("a", (4,)), alone)


@pytest.mark.parametrize("method", ["bits", "uniform"])
def test_xla_draws_the_same(method):
    def draw(step):
        return getattr(Draws(3, step, 8), method)("a", (5, 3))

    step = tf.constant(7, tf.int64)
    np.testing.assert_array_equal(tf.function(draw, jit_compile=True)(step), draw(step))


def test_distributions():
    uniform, normal = (getattr(Draws(0, 0, 100), name)("a", (1000,)).numpy() for name in ("uniform", "normal"))
    assert uniform.min() >= 0 and uniform.max() < 1
    # 100,000 draws: means within 5 standard errors.
    assert abs(uniform.mean() - 0.5) < 5 * 0.2887 / 316 and abs(uniform.std() - 0.2887) < 0.005
    assert abs(normal.mean()) < 5 / 316 and abs(normal.std() - 1) < 0.012 and np.isfinite(normal).all()


def test_layers_that_run_twice_in_a_step_draw_anew():
    draws = Draws(0, 0, 4)
    assert [draws.once("dropout") for _ in range(3)] == ["dropout", "dropout#2", "dropout#3"]
    assert draws.once("other") == "other"
    with draws.scope("term"):
        assert [draws.once("dropout") for _ in range(2)] == ["term/dropout", "term/dropout#2"]
    assert draws.once("dropout") == "dropout#4"


def test_parts_are_batches_one_after_another():
    draws = Draws(0, 0, 4)
    with draws.parts(2):
        both = draws.bits("a", (3,))
    assert both.shape == (8, 3)
    np.testing.assert_array_equal(both[:4], draws.bits("a", (3,)))
    assert not np.array_equal(both[:4], both[4:])
    # Two replicas share the parts of one device: each part is split, rather than their concatenation.
    shares = []
    for replica in (0, 1):
        share = Draws(0, 0, 2, replica=replica, replicas=2)
        with share.parts(2):
            shares.append(share.bits("a", (3,)).numpy())
    np.testing.assert_array_equal(np.concatenate([s[:2] for s in shares] + [s[2:] for s in shares]), both)


def test_draws_are_current_within_their_step_only():
    outer, inner = Draws(0, 0, 1), Draws(0, 1, 1)
    with outer.active():
        with inner.active():
            assert current() is inner
        assert current() is outer
    with pytest.raises(InputError, match="outside of a game's step"):
        current()
