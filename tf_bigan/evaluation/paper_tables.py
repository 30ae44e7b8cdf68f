"""The tables of the papers: what is measured of which runs, how it is laid out, and the papers' numbers.

Imports no TensorFlow.
"""

import dataclasses

from tf_bigan.evaluation.report import (
    describe_dataset,
    describe_epochs,
    describe_setting,
    newest_setting,
    rows,
    spread,
    values,
)

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


_EXPLANATION = (
    "± is the standard deviation over seeds; untrained: the same network before training, on the same data; 20+10 "
    "epochs: 10 from the weights that 20 had given."
)

TABLES = {
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


def layout(table: Table, runs) -> str:
    """A table as text.

    Args:
      table: of `TABLES`.
      runs: name in the zoo -> list of evaluated `Run`s; those that differ in nothing but the seed are averaged.
    """
    blocks = ["\n".join(_lines(block, table.runs, runs)) for block in table.blocks]
    return "\n\n".join([*blocks, f"{table.note}\n{_EXPLANATION}"])


def covers(report, table: Table) -> bool:
    """Whether a report has a value for every column, of the trained encoder and of untrained ones."""
    return all(
        _found(block, report, encoder, column)
        for block in table.blocks
        for column in block.columns
        for encoder in ("trained", "untrained")
    )


def _lines(block, methods, runs):
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
    made = newest_setting(report, block.metric)
    return describe_setting(made) if made else ""


def _cells(block, reports, encoder):
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
    return rows(report, block.metric, encoder, column, **block.more, **newest_setting(report, block.metric))
