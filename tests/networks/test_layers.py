import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bigan.networks import MLPEncoder
from tf_bigan.networks.folding import fold_batch_norms
from tf_bigan.networks.layers import BatchNorm, normal_initializer, tracking_statistics


def estimated(norm, batches):
    """Runs `batches` through `norm` as the estimating pass does."""
    norm.estimating = True
    for batch in batches:
        norm(batch, training=True)
    norm.estimating = False


def built(**arguments):
    norm = BatchNorm(**arguments)
    norm.build((None, 1))
    return norm


def test_training_normalises_with_the_biased_batch_variance():
    # Column 1: mean 2, biased variance 1. Column 2: mean 3, biased variance (9 + 9) / 2 = 9.
    y = BatchNorm()(np.float32([[1.0, 0.0], [3.0, 6.0]]), training=True)
    np.testing.assert_allclose(y, [[-1.0, -1.0], [1.0, 1.0]], atol=1e-6)


def test_epsilon_stands_under_the_root():
    # Variance 1e-8 and epsilon 1e-8: the output is 1e-4 / sqrt(2e-8).
    y = BatchNorm()(np.float32([[-1e-4], [1e-4]]), training=True)
    np.testing.assert_allclose(y, [[-(0.5**0.5)], [0.5**0.5]], rtol=1e-4)
    y = BatchNorm(epsilon=3.0)(np.float32([[-1.0], [1.0]]), training=True)
    np.testing.assert_allclose(y, [[-0.5], [0.5]], rtol=1e-6)


def test_constant_batches_become_zero():
    np.testing.assert_array_equal(BatchNorm()(np.full((4, 2), 7.0, np.float32), training=True), np.zeros((4, 2)))


def test_statistics_are_taken_over_all_axes_but_the_last():
    x = np.random.default_rng(0).normal(3.0, 2.0, (5, 4, 3, 2)).astype(np.float32)
    flat = x.reshape(-1, 2)
    expected = (x - flat.mean(0)) / flat.std(0)
    np.testing.assert_allclose(BatchNorm()(x, training=True), expected, atol=1e-5)
    norm = BatchNorm()
    norm.build(x.shape)
    estimated(norm, [x])
    np.testing.assert_allclose(norm.mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.variance, flat.var(0, ddof=1), rtol=1e-5)


def test_gradients_flow_through_mean_and_variance():
    # Derived by hand: d sum(w y) / dx = (w - mean(w) - y mean(w y)) / sigma.
    x, w = tf.Variable([[1.0], [2.0], [6.0]]), np.float32([[1.0], [0.0], [2.0]])
    with tf.GradientTape() as tape:
        y = built()(x, training=True)
        loss = tf.reduce_sum(w * y)
    expected = (w - w.mean() - y * np.mean(w * y)) / np.std([1.0, 2.0, 6.0])
    np.testing.assert_allclose(tape.gradient(loss, x), expected, atol=1e-6)


def test_inference_statistics_start_as_the_identity():
    x = np.float32([[1.5], [-2.0]])
    np.testing.assert_allclose(built()(x, training=False), x, rtol=1e-6)


def test_estimated_statistics_are_equal_weight_means_of_unbiased_ones():
    # Means 1, 3, 2; unbiased variances 2, 8, and (1 + 0 + 1) / 2 = 1. The last batch is larger but weighs the same.
    norm = built()
    estimated(norm, [np.float32([[0], [2]]), np.float32([[1], [5]]), np.float32([[1], [2], [3]])])
    np.testing.assert_allclose(norm.mean, [2.0], rtol=1e-6)
    np.testing.assert_allclose(norm.variance, [11.0 / 3.0], rtol=1e-6)
    assert float(norm.batches) == 3.0
    y = norm(np.float32([[2.0], [2.0 + (11.0 / 3.0) ** 0.5]]), training=False)
    np.testing.assert_allclose(y, [[0.0], [1.0]], atol=1e-6)


def test_estimating_continues_until_reset():
    norm = built()
    estimated(norm, [np.float32([[0], [2]])])
    estimated(norm, [np.float32([[1], [5]])])
    assert (float(norm.mean[0]), float(norm.variance[0])) == (2.0, 5.0)
    norm.reset_statistics()
    assert [float(np.squeeze(s)) for s in (norm.mean, norm.variance, norm.batches)] == [0.0, 1.0, 0.0]
    estimated(norm, [np.float32([[1], [5]])])
    assert (float(norm.mean[0]), float(norm.variance[0])) == (3.0, 8.0)


def test_only_training_calls_while_estimating_move_the_statistics():
    norm = built()
    norm(np.float32([[0], [2]]), training=True)
    norm.estimating = True
    norm(np.float32([[0], [2]]), training=False)
    assert [float(np.squeeze(s)) for s in (norm.mean, norm.variance, norm.batches)] == [0.0, 1.0, 0.0]


def test_gain_and_bias_follow_when_affine():
    norm = built(affine=True)
    assert [v.name for v in norm.trainable_variables] == ["gain", "bias"]
    x = np.float32([[1.0], [3.0]])
    np.testing.assert_allclose(norm(x, training=True), [[-1.0], [1.0]], atol=1e-6)
    norm.gain.assign([2.0])
    norm.bias.assign([0.5])
    np.testing.assert_allclose(norm(x, training=True), [[-1.5], [2.5]], atol=1e-6)
    np.testing.assert_allclose(norm(x, training=False), [[2.5], [6.5]], atol=1e-6)


def test_without_affine_nothing_is_learned():
    assert built().trainable_variables == []


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_statistics_are_float32_in_half_precision(policy):
    # 257 lies between two bfloat16 numbers: a mean in bfloat16 would make the outputs 0 and +-sqrt(2).
    norm = built(dtype=policy)
    norm.estimating = True
    y = norm(np.float32([[256.0], [258.0]]), training=True)
    assert y.dtype == norm.compute_dtype
    np.testing.assert_array_equal(np.asarray(y, np.float32), [[-1.0], [1.0]])
    assert {v.dtype for v in (norm.mean, norm.variance, norm.batches)} == {"float32"}
    assert (float(norm.mean[0]), float(norm.variance[0])) == (257.0, 2.0)


def test_large_offsets_leave_the_variance_intact():
    x = np.float32([[4096.0], [4098.0]])
    norm = built()
    np.testing.assert_allclose(norm(x, training=True), [[-1.0], [1.0]], rtol=1e-3)


def test_config_round_trip_keeps_every_argument():
    norm = BatchNorm(affine=True, epsilon=1e-3, synchronized=True, name="n", dtype="mixed_bfloat16")
    again = BatchNorm.from_config(BatchNorm.from_config(norm.get_config()).get_config())
    assert again.get_config() == norm.get_config()
    assert (again.affine, again.epsilon, again.synchronized, again.name) == (True, 1e-3, True, "n")


def test_synchronised_statistics_span_the_replicas(mirrored):
    # Replica 0 holds 0 and 2, replica 1 holds 4 and 6: together mean 3 and biased variance 5, on each variance 1.
    with mirrored.scope():
        norms = [BatchNorm(synchronized=synchronized) for synchronized in (False, True)]
        for norm in norms:
            norm.build((None, 1))
    x = mirrored.experimental_distribute_values_from_function(
        lambda context: tf.constant([[0.0], [2.0]]) + 4.0 * context.replica_id_in_sync_group
    )
    own, shared = (
        np.concatenate(mirrored.experimental_local_results(mirrored.run(lambda x, n=n: n(x, training=True), (x,))))
        for n in norms
    )
    np.testing.assert_allclose(own.ravel(), [-1, 1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(shared.ravel(), np.array([-3, -1, 1, 3]) / 5**0.5, atol=1e-6)


def test_initial_values_depend_on_seed_and_name_alone():
    def draw(seed, name, stddev=0.02):
        return np.array(normal_initializer(stddev, seed, name)((40, 50)))

    np.testing.assert_array_equal(draw(1, "a"), draw(1, "a"))
    assert not np.any(draw(1, "a") == draw(1, "b"))
    assert not np.any(draw(1, "a") == draw(2, "a"))
    np.testing.assert_allclose(draw(1, "a", 0.04), 2 * draw(1, "a"), rtol=1e-6)
    assert abs(draw(1, "a").std() - 0.02) < 0.001 and abs(draw(1, "a").mean()) < 0.002


def test_layer_survives_being_saved_inside_a_model(tmp_path):
    model = keras.Sequential([keras.Input((2,)), BatchNorm(affine=True, name="norm")])
    estimated(model.get_layer("norm"), [np.float32([[0, 1], [2, 5]])])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = np.float32([[3.0, 4.0]])
    np.testing.assert_array_equal(again(x), model(x))
    assert not np.allclose(again(x), x)


@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 0.05)])
def test_the_fused_kernel_gives_what_the_formula_does(policy, tolerance):
    x = np.random.default_rng(0).normal(1.0, 2.0, (6, 5, 4, 3)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    results = []
    for synchronized in (False, True):  # the second uses the explicit formula
        norm = BatchNorm(affine=True, synchronized=synchronized, dtype=policy)
        norm.build(x.shape)
        norm.gain.assign([0.5, 1.0, 2.0])
        norm.bias.assign([1.0, 0.0, -1.0])
        norm.estimating = True
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = norm(tf.cast(variable, norm.compute_dtype), training=True)
            loss = tf.reduce_sum(w * tf.cast(y, tf.float32))
        gradients = tape.gradient(loss, [variable, norm.gain.value, norm.bias.value])
        results.append([tf.cast(y, tf.float32), *gradients, norm.mean, norm.variance])
    for fused, formula in zip(*results, strict=True):
        np.testing.assert_allclose(fused, formula, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("synchronized", [False, True], ids=["fused", "formula"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "bfloat16"])
def test_gain_and_bias_are_not_rounded_to_the_layers_precision(precision, training, synchronized):
    norm = BatchNorm(affine=True, synchronized=synchronized, dtype=precision)
    norm.build((None, 2, 2, 1))
    norm.gain.assign([1.001])  # bfloat16 has 1 and 1.0078
    norm.bias.assign([-1.002])
    x = np.array([1.0, -1.0, 1.0, -1.0], np.float32).reshape(1, 2, 2, 1)  # of mean 0 and variance 1
    y = tf.cast(norm(x, training=training), tf.float32)
    np.testing.assert_allclose(np.unique(y), [-2.003, -0.001], rtol=0.005)


def tracked(norm, *batches):
    """Runs `batches` through `norm` as training steps do."""
    with tracking_statistics():
        for batch in batches:
            norm(batch, training=True)


MAPS = {"rows": lambda rows: np.float32(rows), "maps": lambda rows: np.float32(rows)[:, None, None, :]}


@pytest.mark.parametrize("shape", MAPS)
def test_running_statistics_by_hand(shape):
    norm = BatchNorm(epsilon=3.0, momentum=0.75)
    norm.build(MAPS[shape]([[0.0]]).shape)
    assert [v.name for v in norm.variables] == ["mean", "stdev"]
    assert (float(norm.mean[0]), float(norm.stdev[0])) == (0.0, 1.0)
    # Batch 1: mean 3, biased variance 1, with epsilon 4, so deviation 2. Batch 2: mean 5, variance with epsilon
    # 1 + 5 + 3 = 9, so deviation 3.
    a = np.sqrt(6.0)
    tracked(norm, MAPS[shape]([[2.0], [4.0]]), MAPS[shape]([[5.0 - a], [5.0 + a]]))
    np.testing.assert_allclose(norm.mean, [0.75 * 0.25 * 3.0 + 0.25 * 5.0], rtol=1e-6)
    np.testing.assert_allclose(norm.stdev, [0.75 * (0.75 + 0.25 * 2.0) + 0.25 * 3.0], rtol=1e-6)
    # Inference mode uses the deviation as it is, without adding epsilon again.
    norm.mean.assign([1.0])
    norm.stdev.assign([2.0])
    np.testing.assert_allclose(np.ravel(norm(MAPS[shape]([[1.0], [4.0]]))), [0.0, 1.5], rtol=1e-6)


def test_only_training_calls_while_tracking_move_running_statistics():
    norm, x = built(momentum=0.9), np.float32([[0], [2]])
    norm(x, training=True)
    with tracking_statistics():
        norm(x, training=False)
    norm.estimating = True
    norm(x, training=True)
    norm.reset_statistics()
    assert (float(norm.mean[0]), float(norm.stdev[0])) == (0.0, 1.0) and not norm.estimated
    thread = threading.Thread(target=lambda: tracked(norm))
    thread.start(), thread.join()
    norm(x, training=True)
    assert float(norm.mean[0]) == 0.0
    with tracking_statistics():
        tracked(norm)  # the inner one does not end the outer one
        norm(x, training=True)
    np.testing.assert_allclose(norm.mean, [0.1], rtol=1e-6)


def test_tracking_leaves_estimated_statistics_alone():
    norm = built()
    tracked(norm, np.float32([[0], [2]]))
    assert [float(np.squeeze(s)) for s in (norm.mean, norm.variance, norm.batches)] == [0.0, 1.0, 0.0]
    assert norm.estimated


def test_a_momentum_changes_nothing_in_training_mode():
    x = np.random.default_rng(0).normal(size=(5, 4, 3, 2)).astype(np.float32)
    for value in (x, x.reshape(-1, 2)):
        outputs = [BatchNorm(affine=True, momentum=momentum)(value, training=True) for momentum in (None, 0.95)]
        np.testing.assert_array_equal(*outputs)


def test_replicas_share_their_running_statistics(mirrored):
    # Replica 0 holds 0 and 2, replica 1 holds 4 and 8: means 1 and 6, deviations 1 and 2.
    with mirrored.scope():
        norm = built(momentum=0.5, epsilon=0.0)
    x = mirrored.experimental_distribute_values_from_function(
        lambda context: [tf.constant([[0.0], [2.0]]), tf.constant([[4.0], [8.0]])][context.replica_id_in_sync_group]
    )

    @tf.function
    def step(x):
        mirrored.run(lambda x: tracked(norm, x), (x,))

    step(x)
    for statistic, expected in ((norm.mean, 0.5 * 3.5), (norm.stdev, 0.5 + 0.5 * 1.5)):
        for copy in mirrored.experimental_local_results(statistic.value):
            np.testing.assert_allclose(copy, [expected], rtol=1e-6)


def test_running_statistics_are_kept_in_the_config_and_folded():
    norm = BatchNorm(affine=True, momentum=0.95, epsilon=1e-4, name="norm")
    assert BatchNorm.from_config(norm.get_config()).momentum == 0.95
    inputs = keras.Input((2,))
    model = keras.Model(inputs, norm(keras.layers.Dense(2, name="linear")(inputs)))
    norm.mean.assign([1.0, -1.0])
    norm.stdev.assign([0.5, 3.0])
    x = np.float32([[1.0, 2.0], [-3.0, 0.5]])
    folded = fold_batch_norms(model)
    assert not any(isinstance(layer, BatchNorm) for layer in folded.layers)
    np.testing.assert_allclose(folded(x), model(x), atol=1e-5)


def test_a_subclass_of_a_network_is_a_network():
    class Narrow(MLPEncoder):
        def __init__(self, *places, **others):
            super().__init__((8, 8, 1), 4, width=16)

    network = Narrow("ignored", too=1)
    assert network.get_config() == MLPEncoder((8, 8, 1), 4, width=16).get_config()
    assert network.image_filters().shape == (16, 8, 8, 1)
