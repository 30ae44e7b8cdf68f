"""The tables of the papers: which runs they show, what is measured, the layout, and the papers' own numbers.

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
    """A block of a table: a row for each method, a column for each layer, and a metric in percent in each cell."""

    title: str
    metric: str
    columns: tuple
    more: dict = dataclasses.field(default_factory=dict)  # further entries that the report's rows must have
    value: str = "accuracy"  # the entry of the report's rows that is shown
    paper: dict = dataclasses.field(default_factory=dict)  # method -> the paper's value for each column, or None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: which runs it shows, what is measured of them, and the layout."""

    runs: dict  # name of the zoo's entry -> the paper's name of the method
    flags: tuple  # for tools/evaluate.py
    blocks: tuple
    note: str


@dataclasses.dataclass(frozen=True)
class Run:
    """An evaluated run."""

    report: dict
    flags: str  # the flags of tools/train.py, except the seed, in which this run differs from the zoo's entry


_EXPLANATION = (
    "± is the standard deviation over seeds; untrained: the same network before training, on the same data; 20+10 "
    "epochs: 10 epochs that began with the weights of an earlier run of 20."
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
        "Donahue et al. 2017, Table 1. The gallery is all training images, the queries are the test set; Euclidean "
        "distance between features of the layer before the output.",
    ),
    "imagenet_linear": Table(
        _IMAGENET,
        ("--metrics=knn,linear", f"--layers={','.join(_CONVOLUTIONS)}", "--pool=4", "--untrained=3"),
        (
            Block("linear probe, %", "linear", _CONVOLUTIONS, {"pool": 4}),
            Block("1-NN accuracy, %", "knn", _CONVOLUTIONS, {"metric": "euclidean", "k": 1, "pool": 4}),
        ),
        "Features of each layer after its rectifier, averaged to at most 4x4 pixels; the gallery is all training "
        "images.",
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
        "Donahue et al. 2017, Table 2: conv1 up to the column's layer copied and frozen, the rest of AlexNet trained. "
        "The paper's numbers are on ILSVRC2012.",
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
        "Donahue et al. 2017, Table 3, classification: the column's layer of AlexNet and all later layers are trained.",
    ),
}


def layout(table: Table, runs) -> str:
    """A table as text.

    Args:
      table: one of `TABLES`.
      runs: name of the zoo's entry -> list of evaluated `Run`s. Runs that differ only in the seed are averaged.
    """
    blocks = ["\n".join(_lines(block, table.runs, runs)) for block in table.blocks]
    return "\n\n".join([*blocks, f"{table.note}\n{_EXPLANATION}"])


def covers(report, table: Table) -> bool:
    """Whether a report has values for every column, both of the trained encoder and of untrained ones."""
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
        # Runs are averaged only if they differ in nothing except the seed.
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
    """The settings of a transfer metric's classifiers as text; "" for a metric of features."""
    made = newest_setting(report, block.metric)
    return describe_setting(made) if made else ""


def _cells(block, reports, encoder):
    cells = []
    for column in block.columns:
        found = [row for report in reports for row in _found(block, report, encoder, column)]
        # Several reports can hold the same untrained encoder, which counts once.
        by_seed = {row.get("seed"): row[block.value] for row in found} if encoder == "untrained" else None
        seeds = list(by_seed.values()) if by_seed is not None else [row[block.value] for row in found]
        cells.append(spread(seeds) if seeds else "")
    return cells


def _found(block, report, encoder, column):
    """The report's rows for a cell. If a transfer was evaluated with several settings, the newest one's rows."""
    return rows(report, block.metric, encoder, column, **block.more, **newest_setting(report, block.metric))
