"""Training throughput of a BiGAN, ALI or GAN on the CPU: this project, PyTorch, the input, and the machine's limit.

python benchmarks/training.py --model=imagenet --torch_python=/path/to/bin/python --json=imagenet.json

The contenders run one after another, each in a fresh process, in rounds (A B C, A B C, ...), so that changes in the
machine's speed affect all of them:

train.py        tools/train.py as a user runs it, from TFDS data to callbacks: the images_per_second of its own
                metrics.jsonl, without the first epoch; and its resident memory, measured from outside
step            only its train step, compiled as train.py compiles it, on one batch in memory; step-without is that
                of the same networks without the term that the model is about
pipeline        only its input: read, decode, resize, crop, flip and batch; and the process' resident memory.
                "pipeline-one-core" may use only one core
products        only the matrix products of a step, for fully connected networks: its CPU time is compared with step's
torch-*         the same networks and step in PyTorch (torch_bigan.py): eager or compiled, maps in either layout.
                "-avx512" keeps Intel's matrix library, which PyTorch uses for float32 products, from choosing slower
                instructions on other makers' processors
limit           what the machine allows: a step's products with weights (work.py) at the peak rate of a large product
                in TensorFlow, plus the optimizer's memory traffic at the bandwidth of a large copy, and nothing else

Flags that are not this script's own are passed to train.py, step and pipeline, such as --inter_op_threads=2
--intra_op_threads=1. They should not change the model, as the other contenders do not see them. PyTorch reads
OMP_NUM_THREADS.
"""

import argparse
import collections
import functools
import itertools
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import work
from timing import ROOT, note, print_table, resident_mebibytes, run, run_json, write_json
from training_measures import flagfile, measure
from training_models import MODELS

PIPELINES = ["pipeline", "pipeline-one-core"]

# Intel's library calls this function to ask whether the processor is Intel's, before it asks what the processor can do.
MKL_SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }"


def contenders_of(model):
    """The names of a model's contenders, in the order in which they run."""
    products = ["products"] if model.products else []
    without = ["step-without"] if model.without else []
    return ["train.py", "step", *without, *products, *PIPELINES, *model.torch, "limit"]


# -- what starts those processes


def run_train_py(model, precision, epochs, flags):
    """Runs tools/train.py with the zoo's flags for `epochs` epochs, without checkpoints and pictures meanwhile.

    The resident memory that it returns is the peak in each epoch.
    """
    resident = collections.defaultdict(float)

    def watch(pid):
        done = log.read_bytes().count(b"\n") if log.exists() else 0
        resident[done] = max(resident[done], resident_mebibytes(pid))

    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "run", "metrics.jsonl")
        fixed = [f"--precision={precision}", f"--batch_size={model.batch}", *model.plain]
        cut = [f"--constant_epochs={epochs}", "--decay_epochs=0", "--statistics_steps=1", *model.short]
        silent = ["--images_every=0", "--checkpoint_every=1000000000"]
        start = [sys.executable, ROOT / "tools" / "train.py", flagfile(model), f"--workdir={folder}/run"]
        run([*start, *fixed, *cut, *silent, *flags], watch)
        records = log.read_text(encoding="utf-8").splitlines()
    rates = [json.loads(record)["images_per_second"] for record in records[1:]]
    return {
        "images_per_second": statistics.median(rates),
        "epochs": rates,
        "resident_mebibytes": [resident[epoch] for epoch in range(epochs)],
    }


def run_contender(name, precision, options, flags, shim):
    """Runs one round of one contender, and returns its measurements."""
    model = MODELS[options.model]
    if name == "train.py":
        return run_train_py(model, precision, options.epochs, flags)
    arguments = [f"--model={options.model}", f"--precision={precision}", f"--seconds={options.seconds}"]
    if name in model.torch:
        variant, shimmed = model.torch[name]
        script = ROOT / "benchmarks" / "torch_bigan.py"
        return run_json(
            [options.torch_python, script, *arguments, *variant], **({"LD_PRELOAD": shim} if shimmed else {})
        )
    if name == "step-without":
        name, flags = "step", [*model.without, *flags]
    return run_json([sys.executable, __file__, f"--measure={name}", *arguments, *flags])


def compile_shim(folder):
    """Compiles MKL_SHIM to a shared library, and returns its path."""
    path = f"{folder}/shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, "-x", "c", "-"], input=MKL_SHIM, text=True, check=True)
    return path


# -- what is printed


def ratios(model, rounds):
    """Quotients of the contenders' rates within each round.

    Two contenders of PyTorch are taken: the fastest without MKL_SHIM, by the median, and the fastest of all, if that is
    another one.
    """

    def quotients(upper, lower):
        return [a / b for a, b in zip(rounds[upper], rounds[lower], strict=True)]

    def fastest(names):
        return max(names, key=lambda name: statistics.median(rounds[name]), default=None)

    torches = [name for name in model.torch if name in rounds]
    peers = dict.fromkeys([fastest([name for name in torches if not model.torch[name][1]]), fastest(torches), "limit"])
    pairs = [(name, other) for other in peers for name in ("train.py", "step")]
    pairs += [("train.py", "step"), ("step-without", "step"), ("pipeline", "train.py")]
    return {f"{upper} / {lower}": quotients(upper, lower) for upper, lower in pairs if {upper, lower} <= rounds.keys()}


def memory(found):
    """The peak of each contender's resident memory, and its growth from the second part of a measurement to the last.

    A part is an epoch or a fifth of the batches. The first part does not count, as it still fills buffers.
    """
    rows = {}
    for name, done in found.items():
        parts = [result["resident_mebibytes"] for result in done if "resident_mebibytes" in result]
        if parts:
            rows[f"{name}, peak"] = [max(resident) for resident in parts]
            rows[f"{name}, growth"] = [resident[-1] - resident[1] for resident in parts]
    return rows


def cpu_time(found):
    """CPU time per step of all threads, in milliseconds, of step and of products; and the quotient of both."""
    if "products" not in found or "step" not in found:
        return {}
    rows = {name: [result["cpu_milliseconds"] for result in found[name]] for name in ("step", "products")}
    return rows | {"step / products": [a / b for a, b in zip(*rows.values(), strict=True)]}


def parse():
    """This script's options, and the flags for train.py, step and pipeline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    words = functools.partial(parser.add_argument, type=lambda text: text.split(","))
    parser.add_argument("--model", required=True, choices=MODELS)
    words("--contenders", help="which to run; default: all that can be built")
    words("--precisions", default=["float32", "mixed_bfloat16"], help="float32, mixed_bfloat16 or both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--epochs", type=int, default=4, help="epochs of train.py, 3 at least; the first does not count"
    )
    parser.add_argument("--seconds", type=float, default=10, help="seconds measured per round of the other contenders")
    parser.add_argument("--torch_python", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options, flags = parser.parse_known_args()
    known = contenders_of(MODELS[options.model])
    if options.contenders is None:
        has_compiler = shutil.which("cc") is not None
        options.contenders = [name for name in known if has_compiler or not name.endswith("-avx512")]
    if unknown := set(options.contenders) - set(known):
        parser.error(f"unknown contenders: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.precision and not options.measure:
        parser.error("unknown flag --precision; use --precisions")
    if options.epochs < 3:
        parser.error("--epochs must be at least 3")
    return options, flags


def main():
    """Runs the rounds and prints tables for each precision."""
    options, flags = parse()
    if options.measure:
        print(json.dumps(measure(options, flags)))
        return

    model = MODELS[options.model]
    results = {precision: {name: [] for name in options.contenders} for precision in options.precisions}
    with tempfile.TemporaryDirectory() as folder:
        shim = (
            compile_shim(folder) if any(model.torch.get(name, ("", False))[1] for name in options.contenders) else None
        )
        order = itertools.product(range(options.rounds), options.precisions, options.contenders)
        for count, precision, name in order:
            result = run_contender(name, precision, options, flags, shim)
            results[precision][name].append(result)
            note(f"round {count + 1}, {precision}, {name}: {result['images_per_second']:,.1f} images/s")

    flops, traffic = work.flops(model.layers, model.batch), work.optimizer_bytes(model.layers)
    print(f"{flops:.3e} FLOPs in products with weights and {traffic:.3e} optimizer bytes a step")
    for precision, found in results.items():
        rounds = {name: [result["images_per_second"] for result in done] for name, done in found.items()}
        print_table(precision, "images/s", rounds, digits=1)
        for title, unit, rows, digits in (
            ("ratios", "quotient", ratios(model, rounds), 2),
            ("resident memory", "MiB", memory(found), 0),
            ("CPU time", "ms a step", cpu_time(found), 2),
        ):
            if rows:
                print_table(f"{precision}, {title}", unit, rows, digits)
    record = {"model": options.model, "flags": flags, "flops": flops, "bytes": traffic, "results": results}
    write_json(options.json, record)


if __name__ == "__main__":
    main()
