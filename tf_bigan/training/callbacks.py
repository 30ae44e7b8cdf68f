"""The Keras callbacks of a run: progress, logs, pictures, checkpoints, and stopping."""

import contextlib
import math
import signal
import threading
import time

import keras
import tensorflow as tf

from tf_bigan import figures
from tf_bigan.errors import InputError
from tf_bigan.games.conditioned import conditioned
from tf_bigan.training.devices import sum_over_replicas

PICTURE_STATISTICS_STEPS = 100  # batches over which inference statistics are estimated for a picture in training


class Progress(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, with images per second and the time left of the whole run.

    Args:
      game: the game in training.
      experiment: the `Experiment` of the run.
      steps_per_epoch: training steps of a whole epoch.
      chief: whether this worker is the chief; other workers print nothing.
    """

    def __init__(self, game, experiment, steps_per_epoch, chief=True):
        super().__init__()
        self._game, self._batch_size, self._epochs = game, experiment.batch_size, experiment.epochs
        self._total_steps = steps_per_epoch * experiment.epochs
        self._chief = chief
        self._traced = False
        self.images_per_second = float("nan")

    def set_params(self, params):
        super().set_params(params)
        self.epochs = self._epochs  # of the run; a call of `fit` may only complete an interrupted epoch
        if not self._chief:
            self.verbose = 0

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._started, self._batches = time.perf_counter() if self._traced else None, -1

    def on_train_batch_end(self, batch, logs=None):
        # `batch` counts from 0; with several steps per call, it is the number of the last of them. The first call
        # of a process traces the graph, so the rate leaves it out.
        if self._started is None:
            self._started, self._batches, self._traced = time.perf_counter(), batch, True
        else:
            steps = batch - self._batches
            self.images_per_second = steps * self._batch_size / (time.perf_counter() - self._started)
        super().on_train_batch_end(batch, {**(logs or {}), **self._rates()})

    def on_epoch_end(self, epoch, logs=None):
        # Keras' own method is not called, as it reports a whole epoch even if the epoch was cut short.
        if self.seen:
            self.progbar.update(self.seen, list({**(logs or {}), **self._rates()}.items()), finalize=True)

    def _rates(self):
        if not self.images_per_second > 0:
            return {}
        left = (self._total_steps - self._game.steps_done) * self._batch_size / self.images_per_second
        return {"images/s": round(self.images_per_second), "seconds_left": round(left)}


class Log(keras.callbacks.Callback):
    """Writes one record per epoch to metrics.jsonl, and the same scalars to TensorBoard.

    An epoch that is cut short gets no record. A record has "epoch" (1 = the first), "step", "seconds" (since this
    process began training), "images_per_second" (null if not known yet), "learning_rate" and each player's mean loss
    over the epoch. If this process resumed within the epoch, the means are over the steps that it did itself.
    """

    def __init__(self, game, run, progress, schedule):
        super().__init__()
        self._game, self._run, self._progress, self._schedule = game, run, progress, schedule
        self._started = time.perf_counter()
        self._writer = tf.summary.create_file_writer(str(run.tensorboard))

    def on_epoch_end(self, epoch, logs=None):
        step = self._game.steps_done
        if step % self._schedule.steps_per_epoch:
            return
        rate = self._progress.images_per_second
        optimizer = getattr(self._game.optimizer, "inner_optimizer", self._game.optimizer)
        record = {
            "epoch": epoch + 1,
            "step": step,
            "seconds": round(time.perf_counter() - self._started, 3),
            "images_per_second": round(rate, 1) if math.isfinite(rate) else None,
            # The rate of the last step, by the optimizer's own count: it does not count float16 steps that overflow.
            "learning_rate": float(self._schedule(optimizer.iterations - 1)),
            **{name: float(value) for name, value in (logs or {}).items()},
        }
        self._run.append_log(record)
        with self._writer.as_default(step=step):
            for name in record.keys() - {"epoch", "step", "seconds"}:
                if record[name] is not None:
                    tf.summary.scalar(name, record[name])

    def on_train_end(self, logs=None):
        self._writer.flush()  # not closed, as a resumed run calls `fit` more than once


class Pictures(keras.callbacks.Callback):
    """Writes grids of samples from fixed z and of reconstructions of fixed x, and the current weights.

    Args:
      game, run: the game in training and its RunDirectory.
      dataset: training batches, for the inference statistics.
      examples: the record of the fixed x. If the game is conditional, its pictures have the conditions of these.
      every: epochs between pictures.
      checkpoint: the `Checkpoint`. It saves before the weights are written, as a run that has weights but no
        checkpoint cannot be resumed.
      watch: the run's `Watch`, which looks at each picture, or None. The epoch's record must be in the log before.
    """

    def __init__(self, game, run, dataset, examples, every, checkpoint, watch=None):
        super().__init__()
        self._game, self._run, self._dataset, self._images, self._every = game, run, dataset, examples["x"], every
        self._pictured = conditioned(game, examples)
        self._checkpoint, self._watch = checkpoint, watch

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every or self._game.stop_training:
            return
        game, epochs = self._game, epoch + 1
        statistics_steps = game.estimate_statistics(self._dataset, PICTURE_STATISTICS_STEPS)
        sheets = {}
        if game.generator is not None:
            sheets["samples"] = figures.samples(self._pictured, len(self._images))
        if game.generator is not None and game.encoder is not None:
            sheets["reconstructions"] = figures.reconstructions(self._pictured, self._images)
        writer = tf.summary.create_file_writer(str(self._run.tensorboard))
        for name, sheet in sheets.items():
            figures.save_png(self._run.images / f"{name}_{epochs:04d}.png", sheet)
            with writer.as_default(step=game.steps_done):
                tf.summary.image(name, sheet[None])
        writer.close()
        if self._watch is not None:
            self._watch.look(epochs)
        self._checkpoint.save()
        self._run.save_weights(game.networks, epochs, statistics_steps)


class StopOnNonfinite(keras.callbacks.Callback):
    """Ends training with an error as soon as a player's loss is NaN or infinite.

    Args:
      game: the game in training.
      every: steps between checks; each check waits for the device.
    """

    def __init__(self, game, every=50):
        super().__init__()
        self._game, self._every, self._next = game, every, 0

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self._next:
            self._next = batch + self._every
            self.check()

    def on_epoch_end(self, epoch, logs=None):
        self._next = 0
        self.check()

    def check(self, variables_too=False):
        """Raises InputError with player and step if a loss was not finite; `variables_too` also checks variables.

        The message says so if E's log standard deviation grew too large before that.
        """
        for player, step in self._game.bad_steps.items():
            raise self._error(f"the loss of the {player} is not finite at step {step}")
        if variables_too:
            for player in self._game.players:
                for variable in self._game.player_variables(player):
                    if not bool(tf.reduce_all(tf.math.is_finite(variable.value))):
                        step = self._game.steps_done - 1
                        raise self._error(f"the {player}'s variable {variable.path} is not finite after step {step}")

    def _error(self, what):
        if overflow := self._game.overflowing_log_stddev:
            value, step = overflow
            consequence = "the codes overflow" if value > 0 else "the latent loss overflows"
            what += f": the encoder's log standard deviation reached {value:.4g} at step {step}, and {consequence}"
        return InputError(
            f"{what}; training stopped.\n"
            "All checkpoints are from before that step. Lower --learning_rate, or use --precision=float32"
        )


class Checkpoint(keras.callbacks.Callback):
    """Saves a checkpoint every `every` steps, and on SIGTERM or SIGINT (Ctrl-C), after which training stops.

    If any of several workers gets such a signal, all stop together, when callbacks next run at a multiple of 10 steps.

    Args:
      game: the game in training.
      checkpoints: its `Checkpoints`.
      nonfinite: a `StopOnNonfinite` that checks the state before each checkpoint, so that NaN and infinite values are
        never saved.
      every: steps between checkpoints.
    """

    def __init__(self, game, checkpoints, nonfinite, every):
        super().__init__()
        self._game, self._checkpoints, self._nonfinite, self._every = game, checkpoints, nonfinite, every
        self._last = game.steps_done
        self._strategy = game.distribute_strategy
        self._several_workers = self._strategy.extended._in_multi_worker_mode()
        self._asked = False
        self.terminated = False
        self.signal = signal.SIGTERM  # the signal that asked to stop; one that another worker got is not known here

    @contextlib.contextmanager
    def on_signals(self):
        """Within this context, the first SIGTERM and the first SIGINT ask for a checkpoint and the end of training.

        A second signal of the same kind acts as it would outside. The context has no effect outside the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number, frame):
            self._asked, self.signal = True, signal.Signals(number)
            signal.signal(number, previous[number])

        previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        # Signals that the shell makes this process ignore, such as SIGINT for a background process, stay ignored.
        previous = {number: handler for number, handler in previous.items() if handler != signal.SIG_IGN}
        for number in previous:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def on_train_batch_end(self, batch, logs=None):
        step = self._game.steps_done
        if step - self._last >= self._every:
            self.save()
        if not self._several_workers or step % 10 == 0:
            self.terminated = self._anyone_asked()
        if self.terminated:
            self.save()
            self._game.stop_training = True

    def stopped(self):
        """To be called after `fit`: whether a signal ended training. If so, a checkpoint has been saved."""
        self.terminated = self.terminated or self._anyone_asked()
        if self.terminated:
            self.save()
        return self.terminated

    def _anyone_asked(self):
        if self._several_workers:
            return sum_over_replicas(self._strategy, float(self._asked)) > 0
        return self._asked

    def save(self):
        """Saves a checkpoint, unless there is one of this step."""
        if self._game.steps_done == self._last:
            return
        self._nonfinite.check(variables_too=True)
        self._checkpoints.save()
        self._last = self._game.steps_done
