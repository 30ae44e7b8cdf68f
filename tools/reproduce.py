"""Reproduces a table of the paper: trains and evaluates what is missing, then prints it beside the paper's numbers.

  python tools/reproduce.py --table=mnist_1nn

A row that the zoo holds for a seed is not run again. Stopped at any point, it goes on where it was.
"""

import pathlib
import statistics
import subprocess
import sys

import common
from absl import flags

# Donahue et al. 2017, Table 1: 1-NN accuracy in % on the MNIST test set, features before the output layer.
_TABLES = {
    "mnist_1nn": {
        "bigan_mnist": ("BiGAN", 97.39),
        "gan_mnist": ("D", 97.30),
        "latent_regressor_mnist": ("LR", 97.44),
        "joint_latent_regressor_mnist": ("JLR", 97.13),
        "autoencoder_l2_mnist": ("AE (l2)", 97.58),
        "autoencoder_l1_mnist": ("AE (l1)", 97.63),
    }
}

_TABLE = flags.DEFINE_string("table", "mnist_1nn", f"which: {', '.join(_TABLES)}")
_SEEDS = flags.DEFINE_list("seeds", "42", "training seeds")
_RUNS = flags.DEFINE_string("runs", "runs", "folder for the runs that the zoo does not hold")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_TRAIN = flags.DEFINE_bool("train", True, "train and evaluate what is missing; --notrain prints what there is")


def main():
    """Fills the table and prints it."""
    from tf_bigan.errors import InputError, nearest

    if _TABLE.value not in _TABLES:
        raise InputError(f"unknown table {_TABLE.value!r}.{nearest(_TABLE.value, _TABLES)}")
    rows = _TABLES[_TABLE.value]
    seeds = _seeds()
    reports = {name: [_report(name, seed) for seed in seeds] for name in rows}
    print(f"{'method':10}{'paper':>8}{'ours':>18}{'untrained':>12}{'epochs':>8}{'seeds':>7}")
    for name, (method, paper) in rows.items():
        print(_row(method, paper, [report for report in reports[name] if report]))
    print(
        "\n1-NN accuracy, %: all training images as gallery, test set as queries, Euclidean, layer before the output.\n"
        "ours: mean +- standard deviation over the seeds; untrained: the same encoder before training."
    )


def _report(name, seed):
    """The evaluation of a row at a seed, made if missing and wanted."""
    from tf_bigan import zoo
    from tf_bigan.evaluation.report import accuracy

    run = pathlib.Path(_RUNS.value) / f"{name}-seed{seed}"
    for place in (zoo.zoo_path() / name, run):
        if (place / zoo.METRICS).exists():
            report = zoo.read_report(place / zoo.METRICS)
            stale = place == run and report.get("weights") != _digest_if_finished(run)
            if not stale and report["training_seed"] == seed and accuracy(report) is not None:
                return report
    if not _TRAIN.value:
        return None
    flagfile = zoo.zoo_path() / name / zoo.FLAGFILE
    _run_tool("train", f"--flagfile={flagfile}", f"--seed={seed}", f"--workdir={run}")
    _run_tool("evaluate", f"--model={run}", "--metrics=knn")
    return zoo.read_report(run / zoo.METRICS)


def _digest_if_finished(run):
    from tf_bigan.training.run_directory import RunDirectory

    run = RunDirectory(run)
    return run.weights_digest() if run.is_finished() else ""


def _run_tool(tool, *arguments):
    from tf_bigan.errors import InputError

    data_dir = [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    script = pathlib.Path(__file__).with_name(f"{tool}.py")
    command = [sys.executable, str(script), *arguments, *data_dir]
    common.note("$ " + " ".join(command))
    status = subprocess.run(command).returncode
    if status:
        raise InputError(f"tools/{tool}.py ended with status {status}; start again to go on")


def _row(method, paper, reports):
    from tf_bigan.evaluation.report import accuracy

    if not reports:
        return f"{method:10}{paper:8.2f}{'not run':>18}"
    ours = [accuracy(report) for report in reports]
    untrained = statistics.mean(accuracy(report, encoder="untrained") for report in reports)
    spread = f" +- {statistics.stdev(ours):.2f}" if len(ours) > 1 else ""
    epochs = "/".join(sorted({str(report["epochs"]) for report in reports}))
    value = f"{statistics.mean(ours):.2f}{spread}"
    return f"{method:10}{paper:8.2f}{value:>18}{untrained:12.2f}{epochs:>8}{len(reports):7}"


def _seeds():
    from tf_bigan.errors import InputError

    try:
        return [int(seed) for seed in _SEEDS.value]
    except ValueError:
        raise InputError(f"--seeds takes whole numbers, found {','.join(_SEEDS.value)}") from None


if __name__ == "__main__":
    common.run(main, __doc__)
