"""Trains an Experiment in a run directory, from the start or from where it stopped."""

import contextlib
import dataclasses
import gc
import math
import pathlib
import traceback

import numpy as np
import tensorflow as tf

from tf_bigan import figures
from tf_bigan.data import open_data
from tf_bigan.data.folder import EARLIER_SUFFIXES, FolderSource
from tf_bigan.dataset_names import folder_of
from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.games import Adam, ConstantThenDecay, check_size, make_game, weight_shapes
from tf_bigan.memory import check_memory
from tf_bigan.progress import counted
from tf_bigan.training import begun_data, devices
from tf_bigan.training.begun import settled
from tf_bigan.training.callbacks import Checkpoint, Log, Pictures, Progress, StopOnNonfinite
from tf_bigan.training.checkpoints import Checkpoints
from tf_bigan.training.initial_weights import begin
from tf_bigan.training.labels import with_used_labels
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.shapes import shape_settings
from tf_bigan.training.watch import Watch

_STEPS_PER_EXECUTION = 10  # at most: more steps gain nothing measurable and delay the reaction to SIGTERM
_PREPARED = 500  # examples from which initial weights may be computed, as in ALI's code
_PICTURED = 50  # fixed samples and reconstructions in the pictures


class Terminated(Exception):
    """A signal, SIGTERM or SIGINT, ended training after a checkpoint; starting again resumes it."""

    def __init__(self, message, number):
        super().__init__(message)
        self.signal = number


class WorkerLost(Exception):
    """Another worker of a multi-worker run is gone; starting all workers again resumes from the last checkpoint."""


def train(experiment: Experiment, workdir, data_dir=None, say=print, initial=None):
    """Trains `experiment` in `workdir`, or resumes the run that was begun there.

    An epoch is ceil(images / batch_size) steps; every batch is full. Before the first epoch, every image is decoded
    once to find those that cannot be decoded. At the end the inference statistics are estimated and the weights, or
    their averages, written. A finished run is left as it is, and its data is not looked at.

    If TensorFlow has not started in this process, its threads are set for the whole process: to those of `experiment`
    or, for an MLP on two cores, to those that `devices.pick_threads` picks.

    Args:
      experiment: what to train. Fields left open ("auto", 0 = as stored) are resolved; the resolved
        experiment is written to the run directory.
      workdir: the run directory, created if needed.
      data_dir: where TFDS keeps data; None = TFDS_DATA_DIR or TFDS's default.
      say: called with each message.
      initial: a run directory or a published run, whose weights replace fresh initial weights, or those of the
        networks that the system inherits. The optimizer starts fresh. The runs that trained these weights are
        recorded. When the run is resumed, `initial` may be left out.

    Raises:
      InputError: settings, data, devices, run directory or initial weights cannot work, a setting of a new run has no
        effect, or a loss is not finite.
      Terminated: after SIGTERM or SIGINT.
      WorkerLost: one of the other workers of a multi-worker run died.
    """
    run = RunDirectory(workdir)
    initial = RunDirectory(initial) if initial else None
    experiment, finished = settled(experiment, run, initial)
    if finished:
        say(finished)
        return
    experiment = _set_up_tensorflow(experiment)
    experiment = dataclasses.replace(experiment, strategy=devices.pick_strategy(experiment.strategy))
    strategy = devices.make_strategy(experiment.strategy)
    try:
        _train(experiment, run, initial, strategy, data_dir, say if devices.is_chief(strategy) else _silence)
    except tf.errors.UnavailableError as error:
        if experiment.strategy != "multi_worker":
            raise
        # The frames hold a thread pool, which prints an error if it is only freed as Python ends (tensorflow#50487).
        traceback.clear_frames(error.__traceback__)
        raise WorkerLost("another worker is gone; start all again to resume from the last checkpoint") from None
    except (InputError, Terminated) as error:
        traceback.clear_frames(error.__traceback__)  # they hold what is freed below
        raise
    finally:
        # Batches come from a thread that runs Python. An iterator that is freed only as Python ends waits for ever for
        # that thread, which waits for the interpreter.
        gc.collect()


def _train(experiment, run, initial, strategy, data_dir, say):
    chief = devices.is_chief(strategy)
    replicas = strategy.num_replicas_in_sync
    if experiment.batch_size % replicas:
        raise InputError(
            f"batch_size {experiment.batch_size} is not divisible by {replicas} replicas; give a multiple of "
            f"{replicas}, or --strategy=one_device"
        )
    policy, why = devices.pick_precision(experiment.precision, experiment.networks, strategy)
    xla = devices.pick_xla(experiment, policy, strategy)
    earlier = bool(folder_of(experiment.dataset)) and begun_data.is_of_earlier_version(run)
    data = open_data(
        _earlier_source(experiment, say) if earlier else experiment.dataset,
        experiment.split,
        data_dir=data_dir,
        max_labels=experiment.max_labels,
        say=say,
        **dataclasses.asdict(experiment.preparation),
    )
    data.check_batch(experiment.batch_size)
    data.check_changes(experiment.crop, experiment.flip)
    experiment = dataclasses.replace(
        experiment, **shape_settings(experiment, data), precision=policy, xla="on" if xla else "off"
    )
    check_size(weight_shapes(experiment), copies=5 if experiment.average_decay else 4)
    of_batch = 8 * experiment.batch_size * math.prod(data.example_shape)  # float32, real and generated
    check_memory(of_batch, "a batch and its samples take", "Give a smaller --batch_size")
    with strategy.scope():
        game = make_game(experiment, policy)  # what cannot be built is refused before all images are decoded
    lineage = begin(experiment, game, run, initial, strategy)
    data, left_out = _usable(data, experiment, run, strategy, say)
    data = with_used_labels(experiment, data)
    game.check_record(data.records(limit=1))
    points = data.domain.name == "points"
    shape = f"{data.example_shape[0]} coordinates" if points else "x".join(map(str, data.example_shape))
    say(
        f"{experiment.system} on {experiment.dataset}: {data.count} {data.domain.name} of {shape}; "
        f"{experiment.strategy}, {replicas} replica(s) on {devices.kind()}; {policy} ({why}); XLA {experiment.xla}"
        + _threads(experiment)
        + f"; weights are averaged with decay {experiment.average_decay:g}" * bool(experiment.average_decay)
    )
    if hint := devices.unused_gpu():
        say(hint)

    with run.lock(say) if chief else contextlib.nullcontext():
        # Both were checked before, but without the lock: meanwhile another process may have begun another run here.
        run.resolve(experiment)
        run.check_initial(initial)
        steps_per_epoch = math.ceil(data.count / experiment.batch_size)
        with strategy.scope():
            schedule = _schedule(experiment, steps_per_epoch)
            game.compile(
                Adam(
                    *(schedule, experiment.beta_1, experiment.beta_2, experiment.epsilon, experiment.l2),
                    one_pass=devices.updates_in_one_pass(experiment, strategy),
                ),
                steps_per_execution=_divisor(steps_per_epoch, min(_STEPS_PER_EXECUTION, steps_per_epoch // 2)),
                jit_compile=xla,
            )
        checkpoints = Checkpoints(run.checkpoints, game, experiment.keep_checkpoints, chief, run.log)
        if chief:
            run.write_experiment(experiment)
            begun_data.write(run, data, left_out, earlier)
        total_steps = steps_per_epoch * experiment.epochs
        begun = run.has_checkpoints()
        if checkpoints.restore_latest(say):
            say(f"resuming after step {game.steps_done} of {total_steps}")
        elif run.has_weights():
            raise InputError(
                f"{run.path} has weights but no checkpoint that can be read, so it cannot go on.\n"
                "Give another --workdir, or delete its weights to train from the start"
            )
        else:
            if begun:
                say("no checkpoint can be read; starting over")
            if lineage is None:
                raise InputError(f"{run.path} did not begin from fresh weights; give --initial_weights again")
            if not lineage:
                game.prepare(_first_examples(experiment, data))
            if lineage:
                say(f"beginning with the weights of {initial.path}, of {lineage[-1]['epochs']} epochs")
            if lineage and chief:
                run.write_initial(lineage)
        if devices.sum_over_replicas(strategy, game.steps_done) != game.steps_done * replicas:
            raise InputError("the workers found different checkpoints; they must share one --workdir")
        if chief:
            run.rewind_log(game.steps_done, checkpoints.restored_log)
        with data.naming_damage():
            _fit(game, experiment, data, run, checkpoints, schedule, say if chief else None)
            _finish(game, experiment, data, run, chief, say)
        say(f"finished: {total_steps} steps; weights in {pathlib.Path(run.path)}")


def _usable(data, experiment, run, strategy, say):
    """(the data without images that cannot be decoded, the numbers of those images).

    The numbers are read from `run` if they are recorded there. Otherwise every image is decoded to find them.
    """
    load = experiment.crop == "centre"
    # Workers may have copies of the files, of other times.
    recorded = begun_data.left_out(run, data, times=experiment.strategy != "multi_worker")
    if recorded is None:
        if not (load and data.fits_memory()):
            say(f"checking that {data.count} images can be decoded")
        usable, left_out = data.checked(load)
    else:
        left_out = np.array(recorded, np.int64)
        usable = data.without(left_out)
    # All workers compare their data before one of them may refuse its own: the others would wait for it in vain.
    told = "the workers have different images, or cannot decode the same ones; they must have the same data"
    devices.require_agreement(strategy, np.append(left_out, data.stored).tobytes(), told)
    if len(left_out) and experiment.bad_images == "refuse":
        raise data.refusal(left_out)
    if len(left_out):
        say(data.left_out_news(left_out))
        usable.check_batch(experiment.batch_size)
    return (usable.load() if load else usable), left_out


def _earlier_source(experiment, say):
    """The folder of a run that an earlier version began, with the files that it read, so that their order stays."""
    say(
        f"this run was begun by an earlier version of tf_bigan. It goes on with files of the kinds that it read, "
        f"{', '.join(EARLIER_SUFFIXES)}, which are now turned as their EXIF orientation says, and laid over white"
    )
    return FolderSource(folder_of(experiment.dataset), experiment.max_pixels, EARLIER_SUFFIXES)


def _fit(game, experiment, data, run, checkpoints, schedule, say):
    """Trains to the end. `say` is called with warnings; None = this worker is not the chief."""
    chief = say is not None
    steps_per_epoch = schedule.steps_per_epoch
    total_steps = steps_per_epoch * experiment.epochs
    progress = Progress(game, experiment, steps_per_epoch, chief)
    nonfinite = StopOnNonfinite(game)
    checkpoint = Checkpoint(game, checkpoints, nonfinite, experiment.checkpoint_every, steps_per_epoch)
    callbacks = [nonfinite, progress]
    if chief:
        callbacks.append(Log(game, run, progress, schedule))
    if chief and experiment.images_every:
        batches = _batches(experiment, data)
        count = figures.POINTS if data.domain.name == "points" else _PICTURED
        examples = data.records_of(data.shown(count, experiment.seed))
        # The batches of one replica have the size that its batch norms see in training.
        replica = experiment.batch_size // game.distribute_strategy.num_replicas_in_sync
        watch = Watch(game, run, data, replica, say) if experiment.watch else None
        callbacks.append(Pictures(game, run, batches, examples, experiment.images_every, checkpoint, watch))
        if game.steps_done % steps_per_epoch == 0:
            callbacks[-1].catch_up(game.steps_done // steps_per_epoch)
    callbacks.append(checkpoint)

    # `fit` begins only at whole epochs, so the rest of an interrupted epoch takes a call of its own.
    with checkpoint.on_signals():
        while (step := game.steps_done) < total_steps:
            epoch, done = divmod(step, steps_per_epoch)
            game.fit(
                _batches(experiment, data, first_step=step),
                initial_epoch=epoch,
                epochs=epoch + 1 if done else experiment.epochs,
                steps_per_epoch=steps_per_epoch - done,
                callbacks=callbacks,
                statistics_steps=0,
                verbose=0,
            )
            if checkpoint.stopped():
                progress.end()
                raise Terminated(
                    f"stopped after step {game.steps_done} of {total_steps}; start again to go on", checkpoint.signal
                )
    progress.end()
    checkpoint.save()


def _finish(game, experiment, data, run, chief, say):
    if not chief:
        return
    with game.averaged():
        if game.estimates_statistics:
            say(f"estimating inference statistics over {experiment.statistics_steps} batches")
        count = experiment.statistics_steps
        steps = game.estimate_statistics(counted(_batches(experiment, data), "statistics", count, "batches"), count)
        run.save_weights(game.networks, experiment.epochs, steps)


def _first_examples(experiment, data):
    """The examples from which initial weights may be computed: a training batch of up to `_PREPARED` examples."""
    count = min(_PREPARED, data.count)
    batches = data.training_batches(count, experiment.seed, 0, experiment.crop, experiment.flip)
    return next(iter(batches))["x"].numpy()


def _batches(experiment, data, first_step=0):
    return data.training_batches(experiment.batch_size, experiment.seed, first_step, experiment.crop, experiment.flip)


def _schedule(experiment, steps_per_epoch):
    return ConstantThenDecay(
        experiment.learning_rate,
        steps_per_epoch,
        experiment.constant_epochs,
        experiment.decay_epochs,
        experiment.final_learning_rate,
    )


def _set_up_tensorflow(experiment):
    """Sets threads, devices and determinism before TensorFlow starts; returns the experiment with its threads."""
    if threads := devices.pick_threads(experiment):
        # A caller's TensorFlow may have started before: then its threads stay as they are.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(threads["inter_op_threads"])
            tf.config.threading.set_intra_op_parallelism_threads(threads["intra_op_threads"])
            experiment = dataclasses.replace(experiment, **threads)
    try:
        if experiment.inter_op_threads:
            tf.config.threading.set_inter_op_parallelism_threads(experiment.inter_op_threads)
        if experiment.intra_op_threads:
            tf.config.threading.set_intra_op_parallelism_threads(experiment.intra_op_threads)
        if experiment.logical_cpus:
            cpu = tf.config.list_physical_devices("CPU")[0]
            split = [tf.config.LogicalDeviceConfiguration()] * experiment.logical_cpus
            tf.config.set_logical_device_configuration(cpu, split)
    except RuntimeError:
        raise InputError("threads and logical_cpus can be set only before TensorFlow has run in this process") from None
    if experiment.deterministic:
        tf.config.experimental.enable_op_determinism()
        # When several threads run a graph that Grappler has rewritten, the rounding of sums depends on which buffers
        # happen to be free. No report of this on CPUs was found; tensorflow#51716 is similar.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return experiment


def _threads(experiment):
    """The end of a line that says which threads a run has, if they are not TensorFlow's defaults."""
    inter, intra = experiment.inter_op_threads, experiment.intra_op_threads
    told = [f"{inter} operations at once"] * bool(inter) + [f"{intra} thread(s) for each"] * bool(intra)
    return "".join(f"; {each}" for each in told)


def _divisor(number, limit):
    """The largest divisor of `number` up to `limit`, so that no call of the compiled step crosses an epoch."""
    return max(d for d in range(1, max(limit, 1) + 1) if number % d == 0)


def _silence(line):
    pass
