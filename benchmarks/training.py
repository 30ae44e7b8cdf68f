"""Training throughput of a BiGAN or ALI on the CPU: the project, PyTorch, the input, the machine's limit.

python benchmarks/training.py --model=imagenet --torch_python=/path/to/bin/python --json=imagenet.json

Contenders, each in a fresh process, one after another, in rounds (A B C, A B C, ...) so that a machine that changes
its speed changes it for all:

train.py        tools/train.py as a user runs it, from TFDS data to callbacks: the images_per_second of its own
                metrics.jsonl, the first epoch left out; and its resident memory, looked at from outside
step            its train step alone, compiled as train.py compiles it, on one batch in memory
pipeline        its input alone: read, decode, resize, crop, flip and batch; and the process' resident memory.
                "-one-core" may use just one
products        the matrix products of a step alone, for networks that have no others: CPU time to hold step's against
torch-*         the same networks and step in PyTorch (torch_bigan.py): eager or compiled, maps in either layout.
                "-avx512" keeps Intel's matrix library, which PyTorch uses for float32 products, from choosing slower
                instructions on other makers' processors
limit           the machine: a step's products with weights (work.py) at the peak of a large one in TensorFlow, plus
                the optimizer's memory traffic at the bandwidth of a large copy, and nothing else

Flags that are not this script's own go to train.py, step and pipeline, as --inter_op_threads=2 --intra_op_threads=1.
They should not change the model, which the others have fixed. PyTorch listens to OMP_NUM_THREADS.
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

# The library asks itself whether the processor is Intel's before it asks what the processor can do.
MKL_SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }"


def contenders_of(model):
    """All of them, in their order."""
    products = ["products"] if model.products else []
    return ["train.py", "step", *products, *PIPELINES, *model.torch, "limit"]


# -- what starts those processes


def run_train_py(model, precision, epochs, flags):
    """tools/train.py with the zoo's flags, cut to `epochs` and with nothing between the steps of an epoch.

    Its resident memory is the peak in each epoch.
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
    """One round of one contender."""
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
    return run_json([sys.executable, __file__, f"--measure={name}", *arguments, *flags])


def compile_shim(folder):
    """The path of MKL_SHIM as a shared library."""
    path = f"{folder}/shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, "-x", "c", "-"], input=MKL_SHIM, text=True, check=True)
    return path


# -- what is printed


def ratios(model, rounds):
    """Quotients of contenders within each round.

    Of PyTorch's, the fastest by median as it is installed, and the fastest of all if that is another.
    """

    def quotients(upper, lower):
        return [a / b for a, b in zip(rounds[upper], rounds[lower], strict=True)]

    def fastest(names):
        return max(names, key=lambda name: statistics.median(rounds[name]), default=None)

    torches = [name for name in model.torch if name in rounds]
    peers = dict.fromkeys([fastest([name for name in torches if not model.torch[name][1]]), fastest(torches), "limit"])
    pairs = [(name, other) for other in peers for name in ("train.py", "step")]
    pairs += [("train.py", "step"), ("pipeline", "train.py")]
    return {f"{upper} / {lower}": quotients(upper, lower) for upper, lower in pairs if {upper, lower} <= rounds.keys()}


def memory(found):
    """Of each contender that was watched, the resident memory's peak, and its growth from the second part to the last.

    The first part, an epoch or a fifth of the batches, is still filling buffers.
    """
    rows = {}
    for name, done in found.items():
        parts = [result["resident_mebibytes"] for result in done if "resident_mebibytes" in result]
        if parts:
            rows[f"{name}, peak"] = [max(resident) for resident in parts]
            rows[f"{name}, growth"] = [resident[-1] - resident[1] for resident in parts]
    return rows


def cpu_time(found):
    """Milliseconds of CPU time a step, all threads', of what is held against its products; and their quotient."""
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
    words("--contenders", help="which; all that can be built if not given")
    words("--precisions", default=["float32", "mixed_bfloat16"], help="float32, mixed_bfloat16 or both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of train.py, 3 at least: the first is not counted")
    parser.add_argument("--seconds", type=float, default=10, help="measured in each round of the others")
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
        parser.error("it is --precisions here")
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
