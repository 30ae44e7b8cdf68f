"""The measurements of training.py's contenders. Each runs in a process of its own, which training.py starts."""

import concurrent.futures
import dataclasses
import itertools
import os
import time

import work
from timing import ROOT, best_seconds, calls_per_second, resident_mebibytes
from training_models import MODELS


def flagfile(model):
    """The --flagfile flag of the model's settings in the zoo."""
    return f"--flagfile={ROOT / 'zoo' / model.zoo / 'train.flags'}"


def experiment_of_flags(model, flags):
    """The model's Experiment. TensorFlow's numbers of threads are set as the Experiment says."""
    import tensorflow as tf
    from absl import flags as absl_flags

    from tf_bigan.experiment import define_flags, experiment_of, parse_flags
    from tf_bigan.training import devices

    values = absl_flags.FlagValues()
    define_flags(values)
    parse_flags(values, ["", flagfile(model), *model.plain, *flags])
    experiment = experiment_of(values)
    experiment = dataclasses.replace(experiment, **devices.pick_threads(experiment))
    tf.config.threading.set_inter_op_parallelism_threads(experiment.inter_op_threads)
    tf.config.threading.set_intra_op_parallelism_threads(experiment.intra_op_threads)
    return experiment


def measure_step(model, precision, seconds, flags):
    """Measures the compiled train step of `Game`, called with the same batch again and again."""
    import numpy as np
    import tensorflow as tf

    from tf_bigan.games import Adam, ConstantThenDecay, make_game
    from tf_bigan.training import devices

    e = experiment_of_flags(model, [*model.shape, *flags])
    strategy = devices.make_strategy("one_device")
    xla = devices.pick_xla(e, precision, strategy)
    e = dataclasses.replace(e, precision=precision, xla="on" if xla else "off")
    game = make_game(e, precision)
    schedule = ConstantThenDecay(e.learning_rate, 469, constant_epochs=200, decay_epochs=200)
    one_pass = devices.updates_in_one_pass(e, strategy)
    adam = Adam(schedule, e.beta_1, e.beta_2, e.epsilon, e.l2, one_pass=one_pass)
    game.compile(adam, steps_per_execution=model.steps_per_call, jit_compile=xla)
    game.make_train_function()
    x = tf.constant(np.random.default_rng(0).random((model.batch, *game.example_shape), np.float32))
    batches = itertools.repeat(x)
    if model.steps_per_call > 1:  # the compiled function itself reads that many batches from an iterator
        batches = iter(tf.data.Dataset.from_tensors(x).repeat())
    rate, milliseconds = _timed_calls(lambda: game.train_function(batches), seconds, model.warmup)
    return {
        "images_per_second": rate * model.steps_per_call * model.batch,
        "cpu_milliseconds": milliseconds / model.steps_per_call,
        "xla": xla,
        "tensorflow": tf.__version__,
    }


def measure_products(model, precision, seconds, flags):
    """Measures only the matrix products of a step with weights and gradients, one after another."""
    import tensorflow as tf

    experiment_of_flags(model, flags)  # sets the numbers of threads
    half = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    operands = []
    for rows, layer, kinds in work.matrix_products(model.layers, model.batch):
        dtype = tf.float32 if layer.float32 else half
        shapes = {"inputs": (rows, layer.inputs), "gradients": (rows, layer.outputs)}
        shapes |= {"weights": (layer.inputs, layer.outputs)}
        drawn = {
            name: tf.Variable(tf.cast(tf.random.stateless_normal(shape, (0, i)), dtype))
            for i, (name, shape) in enumerate(shapes.items())
        }
        operands.append((drawn, kinds))

    def product(of, kind):
        if kind == "outputs":
            return tf.matmul(of["inputs"], of["weights"])
        if kind == "weights":
            return tf.matmul(of["inputs"], of["gradients"], transpose_a=True)
        return tf.matmul(of["gradients"], of["weights"], transpose_b=True)

    repeats = 10  # steps per call, so that the overhead of the call hardly counts
    # Grappler would remove products whose results nothing reads.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    @tf.function
    def steps():
        found = []
        for _ in range(repeats):
            with tf.control_dependencies(found):  # without them, equal products would be computed only once
                found = [product(of, kind) for of, kinds in operands for kind in kinds]
        with tf.control_dependencies(found):
            return tf.constant(0)

    rate, milliseconds = _timed_calls(steps, seconds, 5)
    return {"images_per_second": rate * repeats * model.batch, "cpu_milliseconds": milliseconds / repeats}


def _timed_calls(function, seconds, warmup):
    """(calls per second, CPU time per call of all threads in milliseconds); arguments as for `calls_per_second`."""
    for _ in range(warmup):
        function()
    calls = 0

    def counted():
        nonlocal calls
        calls += 1
        return function()

    start = time.process_time()
    rate = calls_per_second(counted, seconds, warmup=0)
    return rate, 1e3 * (time.process_time() - start) / calls


def measure_pipeline(model, seconds, flags):
    """Measures how fast training batches can be made as for train.py; the batches are discarded."""
    from tf_bigan.data import open_data

    e = experiment_of_flags(model, flags)
    data = open_data(e.dataset, e.split, max_labels=e.max_labels, like=e.preparation)
    stream = iter(data.training_batches(model.batch, e.seed, crop=e.crop, flip=e.flip))
    resident = []

    def batch():
        next(stream)
        resident.append(resident_mebibytes())

    warmup = 30  # more batches than are prefetched
    rate = calls_per_second(batch, seconds, warmup)
    fifths = [max(part) for part in _parts(resident[warmup:], 5)]
    return {"images_per_second": rate * model.batch, "resident_mebibytes": fifths}


def _parts(values, count):
    """`values` in `count` parts of about the same length, none of them empty."""
    edges = [i * len(values) // count for i in range(count + 1)]
    return [values[low : max(high, low + 1)] for low, high in itertools.pairwise(edges)]


def measure_limit(model, precision):
    """The rate of training if a step took only its products and its optimizer's memory traffic."""
    import numpy as np
    import tensorflow as tf

    size = 2048
    dtype = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    a = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), dtype)
    flops_per_second = 2 * size**3 / best_seconds(lambda: tf.matmul(a, a), repeats=30)

    cores = len(os.sched_getaffinity(0))
    source = np.ones((cores, (256 << 20) // 4 // cores), np.float32)
    target = np.zeros_like(source)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        copy_seconds = best_seconds(lambda: list(pool.map(np.copyto, target, source)), repeats=30)
    bytes_per_second = 2 * source.nbytes / copy_seconds  # read once, written once

    products = work.flops(model.layers, model.batch) / flops_per_second
    seconds = products + work.optimizer_bytes(model.layers) / bytes_per_second
    return {
        "images_per_second": model.batch / seconds,
        "gigaflops_per_second": flops_per_second / 1e9,
        "gigabytes_per_second": bytes_per_second / 1e9,
    }


def measure(options, flags):
    """Measures one contender, in this process."""
    model = MODELS[options.model]
    if options.measure == "step":
        return measure_step(model, options.precision, options.seconds, flags)
    if options.measure == "products":
        return measure_products(model, options.precision, options.seconds, flags)
    if options.measure == "limit":
        return measure_limit(model, options.precision)
    if options.measure == "pipeline-one-core":  # before TensorFlow counts the cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return measure_pipeline(model, options.seconds, flags)
