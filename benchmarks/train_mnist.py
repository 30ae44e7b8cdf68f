"""Training throughput of the MNIST BiGAN, batch 128, on the CPU: the project, PyTorch, the machine's limit.

python benchmarks/train_mnist.py --torch_python=/path/to/bin/python --json=train_mnist.json

Contenders, each in a fresh process, one after another, in rounds (A B C, A B C, ...) so that a machine that changes
its speed changes it for all:

train.py        tools/train.py as a user runs it, from TFDS data to callbacks: the images_per_second of its own
                metrics.jsonl, the first epoch left out
step            its train step alone, compiled as train.py compiles it, on one batch in memory
torch-*         the same model and step in PyTorch (torch_bigan.py), eager or compiled. "-avx512" keeps Intel's matrix
                library, which PyTorch uses for float32, from choosing slower instructions on other makers' processors
limit           the machine: a step's matrix products at the peak of a large one in TensorFlow, plus the
                optimizer's memory traffic at the bandwidth of a large copy, and nothing else

Flags that are not this script's own go to train.py and to step, as --inter_op_threads=2 --intra_op_threads=1. They
should not change the model, which the others have fixed. PyTorch listens to OMP_NUM_THREADS.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from timing import ROOT, best_seconds, calls_per_second, note, print_table, run, run_json, write_json

BATCH = 128
TORCH = {  # contender: (arguments of torch_bigan.py, whether under MKL_SHIM)
    "torch-eager": ([], False),
    "torch-compiled": (["--compile"], False),
    "torch-eager-avx512": ([], True),
    "torch-compiled-avx512": (["--compile"], True),
}
CONTENDERS = ["train.py", "step", *TORCH, "limit"]

# The library asks itself whether the processor is Intel's before it asks what the processor can do.
MKL_SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }"


# -- the work of a step


def matrix_products():
    """Every matrix product of a step: [(rows and columns of the weights, number of products with them)].

    With weights [inputs, outputs] a layer costs one product each of BATCH x inputs x outputs multiplications for
    its output, for the gradient of its weights and for the gradient of its input. Counted are those that the game
    needs: the shared forward pass, in which D runs twice; D's gradient, of both pairs, down to D's weights;
    E's and G's gradient, through D to the code of the real pair and to the image of the generated pair.
    """
    pixels, latent, width = 784, 50, 1024
    return [
        # E: forward, weights, and input except where that is the data.
        ((pixels, width), 1 + 1),
        ((width, width), 1 + 1 + 1),
        ((width, latent), 1 + 1 + 1),
        # G: the same; z enters twice.
        ((latent, width), 1 + 1),
        ((width, width), 1 + 1 + 1),
        ((latent, width), 1 + 1),
        ((width, pixels), 1 + 1 + 1),
        # D: forward, weights, input for D's gradient, input for E's and G's.
        ((pixels, width), 2 + 2 + 0 + 1),
        ((width, width), 2 + 2 + 2 + 1),
        ((latent, width), 2 + 2 + 0 + 1),
        ((width, 1), 2 + 2 + 2 + 2),
    ]


def step_flops():
    """Floating-point operations of a step's matrix products; 5.70e9, as PyTorch's own counter finds."""
    return sum(2 * BATCH * rows * columns * count for (rows, columns), count in matrix_products())


def optimizer_bytes():
    """What Adam must move per step: it reads weight, gradient and two moments and writes all but the gradient."""
    parameters = sum(rows * columns for (rows, columns), _ in matrix_products())
    return 7 * 4 * parameters


# -- what runs in a process of its own


def measure_step(precision, seconds, flags):
    """The compiled train step of `Game`, called with the same batch again and again."""
    import numpy as np
    import tensorflow as tf
    from absl import flags as absl_flags

    from tf_bigan.experiment import define_flags, experiment_of, parse_flags
    from tf_bigan.games import Adam, ConstantThenDecay, make_game
    from tf_bigan.training import devices

    values = absl_flags.FlagValues()
    define_flags(values)
    parse_flags(values, ["", *flags])
    experiment = dataclasses.replace(experiment_of(values), image_size=28, channels=1)
    tf.config.threading.set_inter_op_parallelism_threads(experiment.inter_op_threads)
    tf.config.threading.set_intra_op_parallelism_threads(experiment.intra_op_threads)

    strategy = devices.make_strategy("one_device")
    xla = devices.pick_xla(experiment.xla, precision, experiment.networks, strategy, experiment.deterministic)
    game = make_game(experiment, precision)
    game.compile(Adam(ConstantThenDecay(2e-4, 469, constant_epochs=200, decay_epochs=200)), jit_compile=xla)
    game.make_train_function()
    x = np.random.default_rng(0).random((BATCH, 28, 28, 1), np.float32)
    batches = itertools.repeat(tf.constant(x))
    rate = calls_per_second(lambda: game.train_function(batches), seconds)
    return {"images_per_second": rate * BATCH, "xla": xla, "tensorflow": tf.__version__}


def measure_limit(precision):
    """What a step would take if it were nothing but its matrix products and its optimizer's memory traffic."""
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

    seconds = step_flops() / flops_per_second + optimizer_bytes() / bytes_per_second
    return {
        "images_per_second": BATCH / seconds,
        "gigaflops_per_second": flops_per_second / 1e9,
        "gigabytes_per_second": bytes_per_second / 1e9,
    }


# -- what starts those processes


def run_train_py(precision, epochs, flags):
    """tools/train.py with the zoo's flags, cut to `epochs` and with nothing between the steps of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        short = [f"--constant_epochs={epochs}", "--decay_epochs=0", "--statistics_steps=1"]
        silent = ["--images_every=0", "--checkpoint_every=1000000000"]
        flagfile = ROOT / "zoo" / "bigan_mnist" / "train.flags"
        start = [sys.executable, ROOT / "tools" / "train.py", f"--flagfile={flagfile}", f"--workdir={folder}/run"]
        run([*start, f"--precision={precision}", *short, *silent, *flags])
        records = pathlib.Path(folder, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rates = [json.loads(record)["images_per_second"] for record in records[1:]]
    return {"images_per_second": statistics.median(rates), "epochs": rates}


def run_contender(name, precision, options, flags, shim):
    """One round of one contender."""
    if name == "train.py":
        return run_train_py(precision, options.epochs, flags)
    arguments = [f"--precision={precision}", f"--seconds={options.seconds}"]
    if name in TORCH:
        variant, shimmed = TORCH[name]
        script = ROOT / "benchmarks" / "torch_bigan.py"
        return run_json(
            [options.torch_python, script, *arguments, *variant], **({"LD_PRELOAD": shim} if shimmed else {})
        )
    return run_json([sys.executable, __file__, f"--measure={name}", *arguments, *flags])


def compile_shim(folder):
    """The path of MKL_SHIM as a shared library."""
    path = f"{folder}/shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, "-x", "c", "-"], input=MKL_SHIM, text=True, check=True)
    return path


def ratios(rounds):
    """The table's lower half: quotients of contenders within each round.

    Of PyTorch's, the fastest by median as it is installed, and the fastest of all if that is another.
    """

    def quotients(upper, lower):
        return [a / b for a, b in zip(rounds[upper], rounds[lower], strict=True)]

    def fastest(names):
        return max(names, key=lambda name: statistics.median(rounds[name]), default=None)

    torches = [name for name in TORCH if name in rounds]
    peers = dict.fromkeys([fastest([name for name in torches if not TORCH[name][1]]), fastest(torches), "limit"])
    ours = [name for name in ("train.py", "step") if name in rounds]
    pairs = [(name, other) for other in peers for name in ours if other in rounds]
    if len(ours) == 2:
        pairs.append(("train.py", "step"))
    return {f"{upper} / {lower}": quotients(upper, lower) for upper, lower in pairs}


def parse():
    """This script's options, and the flags for train.py and step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    words = functools.partial(parser.add_argument, type=lambda text: text.split(","))
    has_compiler = shutil.which("cc") is not None
    default = [name for name in CONTENDERS if has_compiler or not name.endswith("-avx512")]
    words("--contenders", default=default, help=f"which, of {','.join(CONTENDERS)}")
    words("--precisions", default=["float32", "mixed_bfloat16"], help="float32, mixed_bfloat16 or both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="of train.py, 2 at least: the first is not counted")
    parser.add_argument("--seconds", type=float, default=10, help="measured in each round of the others")
    parser.add_argument("--torch_python", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options, flags = parser.parse_known_args()
    if unknown := set(options.contenders) - set(CONTENDERS):
        parser.error(f"unknown contenders: {', '.join(sorted(unknown))}")
    if options.precision and not options.measure:
        parser.error("it is --precisions here")
    if options.epochs < 2:
        parser.error("--epochs must be at least 2")
    return options, flags


def main():
    """Runs the rounds and prints a table for each precision."""
    options, flags = parse()
    if options.measure == "step":
        print(json.dumps(measure_step(options.precision, options.seconds, flags)))
        return
    if options.measure == "limit":
        print(json.dumps(measure_limit(options.precision)))
        return

    results = {precision: {name: [] for name in options.contenders} for precision in options.precisions}
    with tempfile.TemporaryDirectory() as folder:
        shim = compile_shim(folder) if any(TORCH.get(name, ("", False))[1] for name in options.contenders) else None
        order = list(itertools.product(range(options.rounds), options.precisions, options.contenders))
        for count, precision, name in order:
            result = run_contender(name, precision, options, flags, shim)
            results[precision][name].append(result)
            note(f"round {count + 1}, {precision}, {name}: {result['images_per_second']:,.0f} images/s")

    print(f"{step_flops():.3e} FLOPs in matrix products and {optimizer_bytes():.3e} optimizer bytes a step")
    for precision, found in results.items():
        rounds = {name: [result["images_per_second"] for result in done] for name, done in found.items()}
        print_table(precision, "images/s", rounds)
        print_table(f"{precision}, ratios", "quotient", ratios(rounds), digits=2)
    write_json(options.json, {"flags": flags, "flops": step_flops(), "bytes": optimizer_bytes(), "results": results})


if __name__ == "__main__":
    main()
