"""The Keras callbacks of a run: progress, logs, pictures, checkpoints, and stopping."""

import contextlib
import math
import signal
import sys
import threading
import time

import keras
import numpy as np
import tensorflow as tf

from tf_bigan import figures
from tf_bigan.errors import InputError, reason
from tf_bigan.games.conditioned import conditioned
from tf_bigan.progress import Line, clock, number
from tf_bigan.training.devices import sum_over_replicas

PICTURE_STATISTICS_STEPS = 100  # batches over which inference statistics are estimated for a picture in training


class Progress(keras.callbacks.Callback):
    """A line with the epoch, the step in it, the losses, images per second and the time left of the whole run.

    In a terminal the line is written over, and each epoch leaves one. Elsewhere, as in a file, there is a line a minute
    and one at the end.

    Args:
      game: the game in training.
      experiment: the `Experiment` of the run.
      steps_per_epoch: training steps of a whole epoch.
      chief: whether this worker is the chief; other workers print nothing.
    """

    def __init__(self, game, experiment, steps_per_epoch, chief=True):
        super().__init__()
        self._game, self._batch_size, self._epochs = game, experiment.batch_size, experiment.epochs
        self._steps_per_epoch = steps_per_epoch
        self._line = Line(sys.stdout) if chief else None
        self._traced = False
        self._logs = {}
        self.images_per_second = float("nan")

    def on_epoch_begin(self, epoch, logs=None):
        self._started, self._batches = time.perf_counter() if self._traced else None, -1

    def on_train_batch_end(self, batch, logs=None):
        # `batch` counts from 0; with several steps per call, it is the number of the last of them. The first call
        # of a process traces the graph, so the rate leaves it out.
        if self._started is None:
            self._started, self._batches, self._traced = time.perf_counter(), batch, True
        else:
            steps = batch - self._batches
            self.images_per_second = steps * self._batch_size / (time.perf_counter() - self._started)
        self._logs = logs or {}
        if self._line and self._line.due():
            self._line.show(self._text())

    def on_epoch_end(self, epoch, logs=None):
        if self._line and (self._line.terminal or self._line.due()):
            self._line.end(self._text())

    def end(self):
        """To be called after the last `fit`: shows how far the run has come."""
        if self._line and self._logs and not self._line.terminal:
            self._line.end(self._text())

    def _text(self):
        done = self._game.steps_done
        epoch, step = divmod(done - 1, self._steps_per_epoch)
        parts = [f"epoch {epoch + 1}/{self._epochs} - step {step + 1:,}/{self._steps_per_epoch:,}"]
        parts += [f"{name}: {number(value)}" for name, value in self._logs.items()]
        if self.images_per_second > 0:
            left = (self._steps_per_epoch * self._epochs - done) * self._batch_size / self.images_per_second
            parts += [f"images/s: {number(self.images_per_second)}", f"time left: {clock(left)}"]
        return " - ".join(parts)


class Log(keras.callbacks.Callback):
    """Writes one record per epoch to metrics.jsonl, and the same scalars to TensorBoard.

    An epoch that is cut short gets no record. A record has "epoch" (1 = the first), "step", "seconds" (since this
    process began training), "images_per_second" (null if not known yet), "learning_rate" and each player's mean loss
    over the epoch, also if the run was resumed within it.
    """

    def __init__(self, game, run, progress, schedule):
        super().__init__()
        self._game, self._run, self._progress, self._schedule = game, run, progress, schedule
        self._started = time.perf_counter()
        with _naming_full_disk(run.tensorboard):
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
        with _naming_full_disk(self._run.tensorboard), self._writer.as_default(step=step):
            for name in record.keys() - {"epoch", "step", "seconds"}:
                if record[name] is not None:
                    tf.summary.scalar(name, record[name])
            self._writer.flush()


@contextlib.contextmanager
def _naming_full_disk(folder):
    """Turns TensorFlow's error about events that cannot be written to a folder into an InputError."""
    try:
        yield
    except tf.errors.OpError as error:
        raise InputError(f"cannot write in {folder}: {reason(error.message)}") from None


class Pictures(keras.callbacks.Callback):
    """Writes grids of samples from fixed z and of reconstructions of fixed x, and the current weights.

    If the game averages its weights, those that are written, pictured and watched are the averages.

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
        if not (epoch + 1) % self._every and not self._game.stop_training:
            with self._game.averaged():
                self._draw(epoch + 1)

    def catch_up(self, epochs):
        """To be called before training: draws the pictures of the last of the `epochs` done, if a signal or a crash
        came between them and the epoch's checkpoint.
        """
        if not epochs or epochs % self._every:
            return
        try:
            missing = self._run.weights_state().get("epochs") != epochs
        except InputError:  # there are no weights yet, or not all of these
            missing = True
        if missing:
            with self._game.averaged():
                self._draw(epochs)

    def _draw(self, epochs):
        game = self._game
        statistics_steps = game.estimate_statistics(self._dataset, PICTURE_STATISTICS_STEPS)
        sheets = {}
        if game.generator is not None:
            sheets["samples"] = figures.samples(self._pictured, len(self._images))
        if game.generator is not None and game.encoder is not None:
            sheets["reconstructions"] = figures.reconstructions(self._pictured, self._images)
        for name, sheet in sheets.items():
            figures.save_png(self._run.images / f"{name}_{epochs:04d}.png", sheet)
        with _naming_full_disk(self._run.tensorboard):
            writer = tf.summary.create_file_writer(str(self._run.tensorboard))
            with contextlib.closing(writer), writer.as_default(step=game.steps_done):
                for name, sheet in sheets.items():
                    tf.summary.image(name, sheet[None])
                writer.flush()
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

    A checkpoint that is due at an epoch's last step is saved after the epoch's record and pictures were written, so a
    run that is resumed from it lacks neither. This callback must therefore be the last one.

    If any of several workers gets such a signal, all stop together, when callbacks next run at a multiple of 10 steps.

    Args:
      game: the game in training.
      checkpoints: its `Checkpoints`.
      nonfinite: a `StopOnNonfinite` that checks the state before each checkpoint, so that NaN and infinite values are
        never saved.
      every: steps between checkpoints.
      steps_per_epoch: training steps of a whole epoch.
    """

    def __init__(self, game, checkpoints, nonfinite, every, steps_per_epoch):
        super().__init__()
        self._game, self._checkpoints, self._nonfinite, self._every = game, checkpoints, nonfinite, every
        self._steps_per_epoch = steps_per_epoch
        self._last = self._due = game.steps_done
        self._sums = checkpoints.restored_sums
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

        previous = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        # Signals that the shell makes this process ignore, such as SIGINT for a background process, stay ignored.
        previous = {each: handler for each, handler in previous.items() if handler != signal.SIG_IGN}
        for each in previous:
            signal.signal(each, ask)
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the means of the losses, but the run may have been resumed within this epoch.
        for metric in self._game.metrics:
            for variable, value in zip((metric.total, metric.count), self._sums.get(metric.name, ()), strict=False):
                variable.assign(value)
        self._sums = {}

    def on_train_batch_end(self, batch, logs=None):
        step = self._game.steps_done
        within_epoch = step % self._steps_per_epoch
        if within_epoch:
            self._save_if_due()
        if not self._several_workers or step % 10 == 0:
            self.terminated = self._anyone_asked()
        if self.terminated:
            self._game.stop_training = True
            if within_epoch:
                self.save()

    def on_epoch_end(self, epoch, logs=None):
        self._save_if_due()
        if self.terminated:
            self.save()

    def _save_if_due(self):
        step = self._game.steps_done
        if step - self._due >= self._every:
            self._due = step  # not `_last`: pictures have only the chief save, and all workers must save together
            self.save()

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
        sums = {}
        if self._game.steps_done % self._steps_per_epoch:
            # Several workers are summed here, so all of them come here together, although only the chief saves.
            for metric in self._game.metrics:
                sums[metric.name] = [np.array(variable).item() for variable in (metric.total, metric.count)]
        self._checkpoints.save(sums)
        self._last = self._game.steps_done
