"""Reproduces a table of the paper: trains and evaluates what is missing, then prints it beside the paper's numbers.

  python tools/reproduce.py --table=mnist_1nn
  python tools/reproduce.py --table=imagenet_linear --notrain

What the zoo or --runs holds for a seed is not trained again. Stopped at any point, it goes on where it was.
"""

import dataclasses
import pathlib
import subprocess
import sys

import common
from absl import flags

_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_IMAGENET = {"bigan_imagenet": "BiGAN", "bigan_imagenet_112": "BiGAN, 112 px E", "gan_imagenet": "D"}


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows of methods, columns of layers, and the value of a metric in percent at each."""

    title: str
    metric: str
    columns: tuple
    more: dict = dataclasses.field(default_factory=dict)  # what else the report's rows must have
    value: str = "accuracy"
    paper: dict = dataclasses.field(default_factory=dict)  # method -> the paper's values, None where it has none


@dataclasses.dataclass(frozen=True)
class Table:
    """Which runs, what is measured of them, and how it is laid out."""

    runs: dict  # the zoo's name -> the paper's name of the method
    flags: tuple  # for tools/evaluate.py
    blocks: tuple
    note: str


@dataclasses.dataclass(frozen=True)
class Run:
    """An evaluated run."""

    report: dict
    flags: str  # in which it differs from the zoo's, but for the seed, as for tools/train.py


_TABLES = {
    "mnist_1nn": Table(
        {
            "bigan_mnist": "BiGAN",
            "gan_mnist": "D",
            "latent_regressor_mnist": "LR",
            "joint_latent_regressor_mnist": "JLR",
            "autoencoder_l2_mnist": "AE (l2)",
            "autoencoder_l1_mnist": "AE (l1)",
        },
        ("--metrics=knn",),
        (
            Block(
                "1-NN accuracy, %",
                "knn",
                ("penultimate",),
                {"metric": "euclidean", "k": 1},
                paper={
                    "BiGAN": (97.39,),
                    "D": (97.30,),
                    "LR": (97.44,),
                    "JLR": (97.13,),
                    "AE (l2)": (97.58,),
                    "AE (l1)": (97.63,),
                },
            ),
        ),
        "Donahue et al. 2017, Table 1. All training images as gallery, test set as queries, Euclidean, layer before "
        "the output.",
    ),
    "imagenet_linear": Table(
        _IMAGENET,
        ("--metrics=knn,linear", f"--layers={','.join(_CONVOLUTIONS)}", "--pool=4", "--untrained=3"),
        (
            Block("linear probe, %", "linear", _CONVOLUTIONS, {"pool": 4}),
            Block("1-NN accuracy, %", "knn", _CONVOLUTIONS, {"metric": "euclidean", "k": 1, "pool": 4}),
        ),
        "Each layer behind its rectifier, averaged to at most 4x4 pixels; all training images as gallery.",
    ),
    "imagenet_frozen": Table(
        _IMAGENET,
        ("--metrics=frozen_prefix",),
        (
            Block(
                "top-1, 10 crops, %",
                "frozen_prefix",
                _CONVOLUTIONS,
                value="accuracy_10_crop",
                paper={
                    "BiGAN": (56.2, 54.4, 49.4, 43.9, 33.3),
                    "BiGAN, 112 px E": (55.3, 53.2, 49.3, 44.4, 34.8),
                },
            ),
        ),
        "Donahue et al. 2017, Table 2: conv1 up to the layer copied and frozen, the rest of AlexNet trained. The "
        "paper's are of ILSVRC2012.",
    ),
    "imagenet_finetuning": Table(
        _IMAGENET,
        ("--metrics=fine_tuning",),
        (Block("top-1, 10 crops, %", "fine_tuning", ("conv5",), value="accuracy_10_crop"),),
        "conv1 ... conv5 copied, all of AlexNet trained.",
    ),
    "voc2007": Table(
        _IMAGENET,
        ("--metrics=voc2007",),
        (
            Block(
                "mean AP, 10 crops, %",
                "voc2007",
                ("fc8", "fc6", "conv1"),
                value="map_10_crop",
                paper={"BiGAN, 112 px E": (None, 52.5, None)},
            ),
        ),
        "Donahue et al. 2017, Table 3, classification: AlexNet trained from the layer named on.",
    ),
}

_TABLE = flags.DEFINE_string("table", "mnist_1nn", f"which: {', '.join(_TABLES)}")
_SEEDS = flags.DEFINE_list("seeds", "42", "training seeds")
_RUNS = flags.DEFINE_string("runs", "runs", "folder for the runs that the zoo does not hold")
_FLAGS = flags.DEFINE_string("flags", "", "more for tools/train.py, as '--dataset=imagenet2012 --batch_size=64'")
_EVALUATE = flags.DEFINE_string("evaluate", "", "more for tools/evaluate.py, as '--transfer_epochs=5'")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_TRAIN = flags.DEFINE_bool("train", True, "train and evaluate what is missing; --notrain prints what there is")


def main():
    """Fills the table and prints it."""
    from tf_bigan import zoo
    from tf_bigan.errors import InputError, did_you_mean
    from tf_bigan.training.run_directory import RunDirectory

    if _TABLE.value not in _TABLES:
        raise InputError(f"unknown table {_TABLE.value!r}.{did_you_mean(_TABLE.value, _TABLES)}")
    if _EVALUATE.value and not _TRAIN.value:
        raise InputError("--evaluate asks for an evaluation, which --notrain forbids")
    table = _TABLES[_TABLE.value]
    seeds = _seeds()
    for name in table.runs:  # before anything runs
        asked = RunDirectory(zoo.zoo_path() / name).experiment().changed_by(_asked()[0])
        if _TRAIN.value:
            asked.check_effects()
    runs = {name: [run for seed in seeds for run in _runs_of(name, seed, table)] for name in table.runs}
    for block in table.blocks:
        print("\n".join(_rows(block, table.runs, runs)) + "\n")
    print(
        f"{table.note}\n± is the standard deviation over seeds; untrained: the same network before training, on the "
        "same data; 20+10 epochs: 10 from the weights that 20 had given."
    )


def _rows(block, methods, runs):
    from tf_bigan.evaluation.report import describe_dataset, describe_epochs, spread, values

    def row(head, cells, epochs="", seeds=""):
        cells = [*cells, *[""] * (len(block.columns) - len(cells))]
        return f"{head:36}" + "".join(f"{cell:>15}" for cell in cells) + f"{epochs:>9}{seeds:>7}"

    yield row(block.title, block.columns, "epochs", "seeds")
    for name, method in methods.items():
        if method in block.paper:
            yield row(f"{method}, paper", ["" if v is None else f"{v:.2f}" for v in block.paper[method]])
        # Only runs that differ in nothing but the seed are averaged.
        alike = {}
        for run in runs[name]:
            told = describe_epochs(run.report), describe_dataset(run.report), run.flags, _setting(run.report, block)
            alike.setdefault(told, []).append(run.report)
        if not alike:
            yield row(method, ["not run"])
        for (epochs, data, flags_, setting), found in sorted(alike.items()):
            yield row(f"{method}, {data}", _cells(block, found, "trained"), epochs, str(len(found)))
            yield row(f"{method}, untrained", _cells(block, found, "untrained"))
            if flags_:
                yield f"  {method} with {flags_}"
            if setting:
                yield f"  classifiers of {method}: {setting}"
    more = {key: value for key, value in block.more.items() if key != "pool"}
    reports = [run.report for each in runs.values() for run in each]
    pixels = [found for report in reports if (found := values(report, block.metric, "pixels", "pixels", **more))]
    if pixels:
        yield row("raw pixels", [spread(pixels[0])])


def _setting(report, block):
    """How a transfer's rows were made, as text; empty of features."""
    from tf_bigan.evaluation.report import describe_setting, newest_setting

    made = newest_setting(report, block.metric)
    return describe_setting(made) if made else ""


def _cells(block, reports, encoder):
    from tf_bigan.evaluation.report import spread

    cells = []
    for column in block.columns:
        found = [row for report in reports for row in _found(block, report, encoder, column)]
        # Several reports can have the same untrained encoder.
        by_seed = {row.get("seed"): row[block.value] for row in found} if encoder == "untrained" else None
        seeds = list(by_seed.values()) if by_seed is not None else [row[block.value] for row in found]
        cells.append(spread(seeds) if seeds else "")
    return cells


def _found(block, report, encoder, column):
    """The report's rows of a cell; of a transfer evaluated with several settings, those of the newest."""
    from tf_bigan.evaluation.report import newest_setting, rows

    return rows(report, block.metric, encoder, column, **block.more, **newest_setting(report, block.metric))


def _runs_of(name, seed, table):
    """The evaluated runs of a row at a seed, of the zoo and of --runs; made if missing and wanted."""
    from tf_bigan import zoo
    from tf_bigan.training.run_directory import RunDirectory

    entry = RunDirectory(zoo.zoo_path() / name)
    run = RunDirectory(pathlib.Path(_RUNS.value) / f"{name}-seed{seed}")
    own = run.path.with_name(f"{run.path.name}.json")  # of the zoo's weights, whose entry stays as it is

    again = _TRAIN.value and _EVALUATE.value  # evaluate knows what was made as asked
    made = {}
    for of, path in ((entry, entry.path / zoo.METRICS), (entry, own), (run, run.path / zoo.METRICS)):
        if of.path not in made and path.exists() and not again:
            report = zoo.read_report(path)
            usable = report["training_seed"] == seed and _covers(report, table) and _is_of(report, of, entry)
            if usable and _is_as_asked(of):
                made[of.path] = Run(report, _other_flags(of, entry))
    if made or not _TRAIN.value:
        return list(made.values())
    if entry.has_weights() and entry.experiment().seed == seed and _is_as_asked(entry):
        run.path.parent.mkdir(parents=True, exist_ok=True)
        _run_tool("evaluate", f"--model={name}", *table.flags, *_EVALUATE.value.split(), f"--json={own}")
        return [Run(zoo.read_report(own), "")]
    flagfile = entry.path / zoo.FLAGFILE
    _run_tool("train", f"--flagfile={flagfile}", f"--seed={seed}", *_FLAGS.value.split(), f"--workdir={run.path}")
    _run_tool("evaluate", f"--model={run.path}", *table.flags, *_EVALUATE.value.split())
    return [Run(zoo.read_report(run.path / zoo.METRICS), _other_flags(run, entry))]


def _covers(report, table):
    """Whether the report has a value for every column, of the trained encoder and of untrained ones."""
    return all(
        _found(block, report, encoder, column)
        for block in table.blocks
        for column in block.columns
        for encoder in ("trained", "untrained")
    )


def _is_of(report, run, entry):
    """Whether the report is of the weights that are there. A zoo entry's may be interim; any may stay away."""
    if not run.has_weights():
        return run is entry or not run.has_checkpoints()
    return (run is entry or run.is_finished()) and report.get("weights", run.weights_digest()) == run.weights_digest()


def _other_flags(run, entry):
    """The flags but the seed in which a run differs from an entry of the zoo, as for tools/train.py."""
    experiment, published = run.experiment(), entry.experiment()
    names = published.filled_from(experiment).difference(experiment)
    changed = [f"--{name}={getattr(experiment, name)}" for name in names if name != "seed"]
    return " ".join(changed)


def _is_as_asked(run):
    """Whether --flags would change nothing about a run."""
    asked, initial = _asked()
    experiment = run.experiment()
    began = [each["weights"] for each in run.initial()]
    return (initial is None or began[-1:] == [initial]) and not (
        experiment.changed_by(asked).filled_from(experiment).difference(experiment)
    )


def _asked():
    """What --flags asks for: flags of an experiment, and the digest of the weights to begin with, if any."""
    from tf_bigan import zoo
    from tf_bigan.training.run_directory import RunDirectory

    given, initial = _FLAGS.value.split(), "--initial_weights="
    named = [flag.removeprefix(initial) for flag in given if flag.startswith(initial)]
    asked = [flag for flag in given if not flag.startswith(initial)]
    return asked, RunDirectory(zoo.run_path(named[-1])).weights_digest() if named else None


def _run_tool(tool, *arguments):
    from tf_bigan.errors import InputError

    data_dir = [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    script = pathlib.Path(__file__).with_name(f"{tool}.py")
    command = [sys.executable, str(script), *arguments, *data_dir]
    common.note("$ " + " ".join(command))
    with subprocess.Popen(command) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                pass  # the tool has it, too, and may have a checkpoint to write
    if status:
        again = "" if status == 2 else "; start again to go on"  # 2: its own line says what is wrong
        raise InputError(f"tools/{tool}.py ended with status {status}{again}")


def _seeds():
    from tf_bigan.errors import InputError

    try:
        return [int(seed) for seed in _SEEDS.value]
    except ValueError:
        raise InputError(f"--seeds takes whole numbers, found {','.join(_SEEDS.value)}") from None


if __name__ == "__main__":
    common.run(main, __doc__)
