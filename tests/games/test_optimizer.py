import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_game

from tf_bigan.errors import InputError
from tf_bigan.games import Adam, ConstantThenDecay
from tf_bigan.games import optimizer as optimizer_module

GRADIENTS = np.random.default_rng(1).normal(size=(7, 3, 2)).astype(np.float32)
START = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


def stepped(optimizer, start, gradients):
    """A variable's values after each step."""
    variable = keras.Variable(start)
    optimizer.build([variable])
    trace = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
        trace.append(np.array(variable))
    return np.array(trace)


def adam(start, gradients, rates, beta_1=0.5, beta_2=0.999, epsilon=1e-8, l2=2.5e-5):
    """Kingma and Ba's algorithm 1, with L2 in the gradient, in float64."""
    w, m, v = start.astype(np.float64), 0.0, 0.0
    trace = []
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        gradient = gradient + l2 * w
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        w = w - rate * m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        trace.append(w)
    return np.array(trace)


def test_defaults_are_the_papers():
    config = Adam().get_config()
    found = {name: pytest.approx(config[name]) for name in ("learning_rate", "beta_1", "beta_2", "epsilon", "l2")}
    assert found == {"learning_rate": 2e-4, "beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8, "l2": 2.5e-5}


@pytest.mark.parametrize("l2", [0.0, 2.5e-5, 0.3])
def test_steps_are_adams_with_l2_in_the_gradient(l2):
    found = stepped(Adam(0.01, l2=l2), START, GRADIENTS)
    np.testing.assert_allclose(found, adam(START, GRADIENTS, [0.01] * 7, l2=l2), atol=2e-6)


def test_l2_alone_moves_weights_by_full_steps():
    # Coupled: the decay passes through the moments, so the first step is the learning rate times a sign.
    found = stepped(Adam(0.01, l2=0.1), START, np.zeros((1, 3, 2), np.float32))
    np.testing.assert_allclose(found[0], START - 0.01 * np.sign(START), atol=1e-6)


@pytest.mark.parametrize("settings", [{"beta_1": 0.9, "beta_2": 0.99}, {"epsilon": 0.1}])
def test_moments_and_epsilon_are_arguments(settings):
    found = stepped(Adam(0.01, **settings), START, GRADIENTS)
    np.testing.assert_allclose(found, adam(START, GRADIENTS, [0.01] * 7, **settings), atol=2e-6)


def test_gains_and_biases_are_exempt_from_l2():
    start, gradients = START[:, 0], GRADIENTS[:, :, 0]
    found = stepped(Adam(0.01, l2=0.3), start, gradients)
    np.testing.assert_allclose(found, adam(start, gradients, [0.01] * 7, l2=0.0), atol=2e-6)


def test_kernels_of_any_rank_above_one_are_regularised():
    start, gradients = START.reshape(1, 1, 3, 2), GRADIENTS.reshape(7, 1, 1, 3, 2)
    found = stepped(Adam(0.01, l2=0.3), start, gradients)
    np.testing.assert_allclose(found, adam(start, gradients, [0.01] * 7, l2=0.3), atol=2e-6)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("uses", [0, 1, 2])
def test_one_pass_gives_adams_steps(l2, uses, monkeypatch):
    """With a float32 gradient, and with that of a weight that is used once or twice in half precision."""
    monkeypatch.setattr(optimizer_module, "_LARGE", 1)
    found_parts = []
    parts_of = optimizer_module._half_precision_parts

    def recorded(gradient):
        found_parts.append(parts_of(gradient))
        return found_parts[-1]

    monkeypatch.setattr(optimizer_module, "_half_precision_parts", recorded)
    gradients = np.round(GRADIENTS * 8) / 8  # bfloat16 has them exactly
    variable, adam_ = keras.Variable(START), Adam(0.01, l2=l2, one_pass=True)
    adam_.build([variable])

    @tf.function
    def step(gradient):
        with tf.GradientTape() as tape:
            losses = [tf.cast(variable.value, tf.bfloat16) * tf.cast(gradient, tf.bfloat16) for _ in range(uses)]
            loss = tf.add_n(losses) if uses else variable.value * gradient
        adam_.apply(tape.gradient(loss, [variable.value]), [variable])

    trace = []
    for gradient in gradients:
        step(gradient)
        trace.append(np.array(variable))
    expected = adam(START, gradients * max(uses, 1), [0.01] * 7, l2=l2)
    np.testing.assert_allclose(trace, expected, atol=2e-6)
    assert [len(parts) for parts in found_parts] == [uses]
    assert all(part.dtype == tf.bfloat16 for part in found_parts[0])


@pytest.mark.parametrize("rows, compiled", [(2**13, True), (2**13 - 1, False)])
def test_one_pass_is_for_large_weights(rows, compiled):
    variable, adam_ = keras.Variable(np.ones((rows, 2), np.float32)), Adam(0.01, l2=0.1, one_pass=True)
    adam_.build([variable])
    step = tf.function(lambda gradient: adam_.apply([gradient], [variable]))
    operations = step.get_concrete_function(tf.TensorSpec((rows, 2))).graph.get_operations()
    assert any("PartitionedCall" in operation.type for operation in operations) == compiled


def test_a_schedule_gives_the_rate_of_each_step():
    schedule = ConstantThenDecay(0.01, steps_per_epoch=2, constant_epochs=1, decay_epochs=2, final=0.01)
    rates = [0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001, 0.0001]
    np.testing.assert_allclose(
        stepped(Adam(schedule), START, GRADIENTS), adam(START, GRADIENTS, rates), atol=2e-6, rtol=1e-6
    )


def test_steps_are_the_same_in_a_compiled_function():
    variable, optimizer = keras.Variable(START), Adam(0.01)
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]), jit_compile=True)
    for gradient in GRADIENTS:
        step(tf.constant(gradient))
    np.testing.assert_allclose(variable, adam(START, GRADIENTS, [0.01] * 7)[-1], atol=2e-6)


def test_optimizer_round_trips_through_its_config():
    schedule = ConstantThenDecay(0.3, steps_per_epoch=5, constant_epochs=2, decay_epochs=3, final=0.1)
    optimizer = Adam(schedule, beta_1=0.1, beta_2=0.2, epsilon=0.3, l2=0.4)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is Adam
    assert again.get_config() == optimizer.get_config()
    assert (again.beta_1, again.beta_2, again.epsilon, again.l2) == (0.1, 0.2, 0.3, 0.4)


def rates_of(schedule, epochs, steps_per_epoch):
    return np.array([[float(schedule(e * steps_per_epoch + s)) for s in range(steps_per_epoch)] for e in range(epochs)])


def test_schedule_of_two_and_two_epochs_by_hand():
    schedule = ConstantThenDecay(2e-4, steps_per_epoch=3, constant_epochs=2, decay_epochs=2, final=0.01)
    # 0.01^(1/2) = 0.1 in the third epoch, 0.01 in the fourth; constant within each.
    expected = np.repeat([[2e-4], [2e-4], [2e-5], [2e-6]], 3, axis=1)
    np.testing.assert_allclose(rates_of(schedule, 4, 3), expected, rtol=1e-6)


def test_schedule_of_the_paper_is_constant_for_200_epochs_and_ends_at_one_percent():
    rates = rates_of(ConstantThenDecay(2e-4, 1, 200, 200, 0.01), 400, 1).ravel()
    assert np.all(rates[:200] == rates[0]) and rates[0] == np.float32(2e-4)
    np.testing.assert_allclose(rates[200:] / rates[199:-1], 0.01 ** (1 / 200), rtol=1e-4)
    np.testing.assert_allclose(rates[399], 2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "constant, decay, expected",
    [(3, 0, [1, 1, 1]), (0, 2, [0.1, 0.01]), (1, 1, [1, 0.01])],
    ids=["never decays", "decays at once", "one each"],
)
def test_schedule_at_its_borders(constant, decay, expected):
    schedule = ConstantThenDecay(1.0, 2, constant, decay, 0.01)
    np.testing.assert_allclose(rates_of(schedule, len(expected), 2)[:, 0], expected, rtol=1e-6)


def test_schedule_stays_at_its_end():
    schedule = ConstantThenDecay(1.0, 10, 1, 1, 0.25)
    assert float(schedule(20)) == float(schedule(10**9)) == 0.25


def test_schedule_takes_the_steps_of_compiled_functions():
    schedule = ConstantThenDecay(1.0, 2, 1, 1, 0.25)
    rates = tf.function(schedule)
    assert [float(rates(tf.constant(s, tf.int64))) for s in (0, 1, 2, 3)] == [1.0, 1.0, 0.25, 0.25]


@pytest.mark.parametrize("wrapped", [False, True])
def test_averages_of_keras_optimizers_are_refused(wrapped):
    optimizer = keras.optimizers.Adam(use_ema=True, ema_momentum=0.9)
    told = "^use_ema is not supported: Keras would assign the averages to other weights; .* average_decay=0.9 instead$"
    with pytest.raises(InputError, match=told):
        tiny_game().compile(keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer)


def test_amsgrad_is_refused():
    with pytest.raises(InputError, match="amsgrad is not supported"):
        Adam(amsgrad=True)
