import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bigan.draws import Draws
from tf_bigan.errors import InputError
from tf_bigan.networks.noise import Dropout

ONES = np.ones((6, 5, 3), np.float32)  # an odd number of values in an example


def dropped(layer, x=ONES, **settings):
    """The layer's output in training mode, in the first step of a game."""
    with Draws(**{"seed": 1, "step": 0, "count": len(x), **settings}).active():
        return np.array(tf.cast(layer(x, training=True), tf.float32))


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.75])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_values_are_dropped_at_the_rate_and_the_others_scaled(rate, dtype):
    y = dropped(Dropout(rate, dtype=dtype), np.ones((100, 40, 25), np.float32))
    assert abs(np.mean(y == 0.0) - rate) < 5 * np.sqrt(rate * (1 - rate) / y.size)
    np.testing.assert_allclose(np.unique(y), [0.0, 1.0 / (1.0 - rate)], rtol=1e-5)
    # No example, row or column is favoured.
    for axes in ((1, 2), (0, 2), (0, 1)):
        assert abs((y == 0.0).mean(axes) - rate).max() < 0.06


def test_values_are_scaled_one_by_one_and_so_are_gradients():
    x = tf.Variable(np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32))
    layer = Dropout(0.5)
    with Draws(1, 0, 6).active(), tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = layer(x, training=True)
            loss = tf.reduce_sum(y**3)
        gradient = inner.gradient(loss, x)
        penalty = tf.reduce_sum(gradient**2)
    mask = np.array(y / x)
    np.testing.assert_allclose(np.unique(mask.round(4)), [0.0, 2.0])
    np.testing.assert_allclose(gradient, 3 * (mask * x) ** 2 * mask, rtol=1e-5)
    # The penalty is the sum of 9 mask^6 x^4.
    np.testing.assert_allclose(outer.gradient(penalty, x), 36 * mask**6 * np.array(x) ** 3, rtol=1e-4)


@pytest.mark.parametrize("settings", [{"training": False}, {}])
def test_inference_leaves_values_alone(settings):
    np.testing.assert_array_equal(Dropout(0.5)(ONES, **settings), ONES)


def test_a_rate_of_0_draws_nothing():
    np.testing.assert_array_equal(Dropout(0.0)(ONES, training=True), ONES)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="rate must be"):
        Dropout(rate)


def test_training_outside_of_a_step_is_refused():
    with pytest.raises(InputError, match="outside of a game's step"):
        Dropout(0.5)(ONES, training=True)


def test_masks_follow_from_seed_step_and_stream():
    layer = Dropout(0.5, "d/h")
    first = dropped(layer)
    np.testing.assert_array_equal(dropped(layer), first)
    np.testing.assert_array_equal(dropped(Dropout(0.5, "d/h", name="other")), first)
    np.testing.assert_array_equal(dropped(Dropout(0.5, name="d_h"), ONES), dropped(Dropout(0.5, "d_h"), ONES))
    for other in (
        dropped(Dropout(0.5, "d/g")),
        dropped(layer, seed=2),
        dropped(layer, step=1),
        dropped(layer, purpose="statistics"),
    ):
        assert not np.array_equal(other, first)


def test_two_calls_in_a_step_draw_differently_and_repeat_in_the_same_order():
    layer = Dropout(0.5)

    def twice():
        with Draws(1, 0, 6).active():
            return [np.array(layer(ONES, training=True)) for _ in range(2)]

    first, second = twice()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(twice(), [first, second])


def test_replicas_share_the_mask_of_the_whole_batch():
    layer = Dropout(0.5)
    whole = dropped(layer)
    parts = [dropped(layer, ONES[:3], replica=replica, replicas=2) for replica in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(*parts)


def test_batches_one_after_another_share_a_call():
    layer, x = Dropout(0.5, "d/h"), np.concatenate([ONES, ONES])

    def of_both(replica, replicas, count):
        draws = Draws(1, 0, count, replica=replica, replicas=replicas)
        with draws.active(), draws.parts(2):
            return np.split(np.array(layer(x[: 2 * count], training=True)), 2)

    real, generated = of_both(0, 1, 6)
    assert not np.array_equal(real, generated)
    np.testing.assert_array_equal(real, dropped(layer))
    halves = [of_both(replica, 2, 3) for replica in (0, 1)]
    np.testing.assert_array_equal(np.concatenate([half[0] for half in halves]), real)
    np.testing.assert_array_equal(np.concatenate([half[1] for half in halves]), generated)


@pytest.mark.parametrize("rate", [0.2, 0.5])  # of 16 and of 8 bits
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_compiled_steps_draw_the_same(jit_compile, rate):
    layer = Dropout(rate)

    @tf.function(jit_compile=jit_compile)
    def compiled(step):
        with Draws(1, step, 6).active():
            return layer(ONES, training=True)

    for step in (0, 1):
        np.testing.assert_array_equal(compiled(tf.constant(step, tf.int64)), dropped(layer, step=step))


def test_it_is_made_again_from_its_config():
    layer = Dropout(0.3, "d/h", name="h", dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and (again.rate, again.stream) == (0.3, "d/h")
    assert keras.Sequential([keras.Input((5, 3)), again]).output_shape == (None, 5, 3)
