"""The encoder's log standard deviation is watched, as its exponential can overflow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import fit, images, run_tool, tiny, tiny_game
from PIL import Image

from tf_bigan.errors import InputError
from tf_bigan.games import Adam, JointLatentRegressor, LatentRegressor
from tf_bigan.priors import Normal
from tf_bigan.training.callbacks import StopOnNonfinite

ALI = {"system": "ali", "prior": "normal", "posterior": "gaussian", "l2": 0.0}


class Wide(keras.callbacks.Callback):
    """Before step `at`, makes E's log standard deviations `factor` times as large."""

    def __init__(self, game, at, factor):
        super().__init__()
        self._game, self._at, self._factor = game, at, factor

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self._at:
            kernel = self._game.encoder.get_layer("outputs").kernel
            factors = np.repeat([1.0, self._factor], kernel.shape[1] // 2)
            kernel.assign(kernel * factors)


def trained(game, factor, steps=4):
    game.compile(Adam(0.0))  # so that only `Wide` changes E
    batches = tf.data.Dataset.from_tensor_slices(images(16 * steps)).batch(16)
    game.fit(batches, callbacks=[Wide(game, 2, factor)], statistics_steps=0, verbose=0)
    return game


def largest_of(game, x):
    """The largest log standard deviation of a batch in training mode, for a game whose weights did not change."""
    outputs = game.encoder(x, training=True)
    return float(tf.reduce_max(game.posterior.log_stddev(outputs)))


def test_an_overflow_is_named_with_its_value_and_step():
    game = trained(tiny_game(**ALI), 1e4)
    assert game.bad_steps == {"discriminator": 2, "encoder_generator": 2}
    value, step = game.overflowing_log_stddev
    assert step == 2 and value > 88.8  # exp(88.73) exceeds float32
    with pytest.raises(InputError) as caught:
        StopOnNonfinite(game).check()
    assert str(caught.value) == (
        "the loss of the discriminator is not finite at step 2: the encoder's log standard deviation reached "
        f"{value:.4g} at step 2, and the codes overflow; training stopped.\n"
        "All checkpoints are from before that step. Lower --learning_rate, or use --precision=float32"
    )


def test_the_recorded_value_is_the_largest_of_all_steps():
    game = tiny_game(**ALI)
    game.compile(Adam(0.0))
    x = images(48)
    fit(game, x, 16)
    values = [largest_of(game, x[i : i + 16]) for i in (0, 16, 32)]
    value, step = (np.array(variable).item() for variable in game._largest_log_stddev)
    np.testing.assert_allclose(value, max(values), rtol=1e-5)
    assert step == np.argmax(values)
    assert game.overflowing_log_stddev is None


def test_a_loss_that_is_nan_for_another_reason_has_the_plain_message():
    x = images(64)
    x[2 * 16 + 5, 0, 0, 0] = np.nan
    game = tiny_game(**ALI)
    game.compile()
    fit(game, x, 16)
    with pytest.raises(InputError) as caught:
        StopOnNonfinite(game).check()
    assert str(caught.value) == (
        "the loss of the discriminator is not finite at step 2; training stopped.\n"
        "All checkpoints are from before that step. Lower --learning_rate, or use --precision=float32"
    )


def test_codes_without_a_log_standard_deviation_are_not_watched():
    game = trained(tiny_game(), 1e4)
    assert game.overflowing_log_stddev is None and not game.bad_steps


def test_an_overflow_is_named_where_labels_alone_are_learned():
    game = tiny_game(**{**ALI, "system": "supervised"}, width=4, classes=2)
    game.compile(Adam(0.0), run_eagerly=True)
    record = {"x": images(32), "label": np.arange(32) % 2}
    game.fit(record, batch_size=16, callbacks=[Wide(game, 1, 1e5)], statistics_steps=0, verbose=0)
    assert game.bad_steps == {"classifier": 1}
    value, step = game.overflowing_log_stddev
    assert step == 1 and value > 88.8
    with pytest.raises(InputError, match=r"standard deviation reached [\d.e+]+ at step 1, and the codes overflow; "):
        StopOnNonfinite(game).check()


@pytest.mark.parametrize("system", [LatentRegressor, JointLatentRegressor])
def test_latent_regressors_name_a_standard_deviation_that_is_too_small(system):
    """Their loss divides by it; a large one does no harm."""
    networks = dict(tiny_game("gan", width=4).networks)
    for log_stddev in (60.0, -40.0, -60.0):  # exp(60) fits into float32, and its square does not
        dense = keras.layers.Dense(8, kernel_initializer="zeros")
        encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), dense])
        dense.bias.assign(np.repeat([0.0, log_stddev], 4))
        game = system({**networks, "encoder": encoder}, Normal(4), posterior="gaussian")
        game.compile(Adam(0.0), run_eagerly=True)
        fit(game, images(16), 16)
        if log_stddev > -44.0:
            assert game.overflowing_log_stddev is None and not game.bad_steps
    assert game.overflowing_log_stddev == (-60.0, 0)
    (player,) = game.bad_steps
    with pytest.raises(InputError) as caught:
        StopOnNonfinite(game).check()
    assert str(caught.value).splitlines()[0] == (
        f"the loss of the {player} is not finite at step 0: the encoder's log standard deviation reached -60 at step "
        "0, and the latent loss overflows; training stopped."
    )


@pytest.mark.parametrize("replica", [0, 1])
def test_the_largest_value_is_found_whichever_replica_it_was_on(mirrored, replica):
    with mirrored.scope():
        game = tiny_game(**ALI, sync_batch_norm=True)
        game.compile(Adam(0.0))
    one, x = tiny_game(**ALI), images(16)
    log_stddev = one.posterior.log_stddev(one.encoder(x, training=True)).numpy().max(axis=1)
    place = int(np.argmax(log_stddev))
    x[[place, 8 * replica]] = x[[8 * replica, place]]  # each replica has eight of the batch
    fit(game, x, 16)
    value = np.array(game._largest_log_stddev[0].value).item()
    np.testing.assert_allclose(value, log_stddev.max(), rtol=1e-4)


def test_a_run_whose_log_standard_deviation_overflows_names_it(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(32):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{i:02}.png")
    experiment = tiny(**ALI, dataset=str(tmp_path), batch_size=16, learning_rate=30.0)
    status, _, stderr = run_tool("train.py", *experiment.to_flagfile().splitlines(), f"--workdir={tmp_path / 'run'}")
    assert status == 2, stderr
    complaint = stderr[stderr.index("error: ") :].splitlines()
    assert len(complaint) == 2 and "the encoder's log standard deviation reached " in complaint[0]
    assert complaint[0].endswith("and the codes overflow; training stopped.")
