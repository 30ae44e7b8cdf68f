"""The tables of the papers: which runs they show, what is measured, the layout, and the papers' own numbers.

Imports no TensorFlow.
"""

import dataclasses
import functools

from tf_bigan.evaluation.report import (
    describe_dataset,
    describe_epochs,
    describe_setting,
    newest_setting,
    rows,
    spread,
)
from tf_bigan.registry import FAMILIES

_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_IMAGENET = {"bigan_imagenet": "BiGAN", "bigan_imagenet_112": "BiGAN, 112 px E", "gan_imagenet": "D"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a table: a row for each method, a column for each layer, and a metric in percent in each cell."""

    title: str
    metric: str
    columns: tuple
    # Further entries that the report's rows must have; under "settings", some of the classifiers' settings.
    more: dict = dataclasses.field(default_factory=dict)
    value: str = "accuracy"  # the entry of the report's rows that is shown
    deviation: str = ""  # the entry with its standard deviation, which is shown for a single seed
    heads: tuple = ()  # the columns' headings, if they are not the layers' names
    paper: dict = dataclasses.field(default_factory=dict)  # method -> the paper's value for each column, or None


@dataclasses.dataclass(frozen=True)
class RunsBlock:
    """A block of a table whose runs vary a setting: a row for each method, a column for each value of the setting."""

    title: str
    metric: str
    value: str  # the entry of the metric's numbers that is shown
    paper: dict = dataclasses.field(default_factory=dict)  # a method, or another's name -> the paper's texts


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, or a part of one: which runs it shows, what is measured of them, and the layout."""

    runs: dict  # name of the zoo's entry -> the paper's name of the method
    flags: tuple  # for tools/evaluate.py
    blocks: tuple
    note: str
    varied: str = ""  # a setting; there is a run of each method for each of its `values`
    values: tuple = ()
    published: bool = False  # if the zoo has an entry's weights, show that run alone, whatever flags are asked for
    then: "Table | None" = None  # a further part of the table, with runs of its own

    def parts(self) -> list:
        """This part of the table, and the parts after it."""
        return [self, *(self.then.parts() if self.then else ())]


@dataclasses.dataclass(frozen=True)
class Run:
    """An evaluated run."""

    report: dict
    flags: str  # the flags of tools/train.py, except the seed, in which this run differs from the zoo's entry
    value: object = None  # the value of the table's varied setting


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
    "cifar10_few_labels": Table(
        {"ali_cifar10": "ALI"},
        ("--metrics=svm",),
        (
            Block(
                "L2-SVM error, %",
                "svm",
                (FAMILIES["ali_cifar10"].probed,),
                {"settings": {"labels": 1000}},
                value="error",
                deviation="deviation",
                heads=("1000 labels",),
            ),
        ),
        "Dumoulin et al. 2017, Table 1, has this protocol on SVHN alone: 19.14 ± 0.50. Outputs of E's last three batch "
        "norms and the mean of the code, 5,184 features; of one seed, ± is over 100 draws of the labels.",
        published=True,
        then=Table(
            {"ali_cifar10_labels": "ALI", "supervised_cifar10": "labels alone"},
            ("--metrics=classification",),
            (
                RunsBlock(
                    "error of K + 1 classes, %",
                    "classification",
                    "error",
                    paper={
                        "ALI": ("19.98 ± 0.89", "19.09 ± 0.44", "17.99 ± 1.62", "17.05 ± 1.49"),
                        "GAN, feature matching": ("21.83 ± 2.01", "19.61 ± 2.09", "18.63 ± 2.32", "17.72 ± 1.82"),
                    },
                ),
            ),
            "Dumoulin et al. 2017, Table 2; its ± of ALI are 3 standard deviations. Labels alone: the same E and D, "
            "trained on nothing but the labelled images.",
            varied="labelled",
            values=(1000, 2000, 4000, 8000),
        ),
    ),
}


def layout(table: Table, runs) -> str:
    """A table as text.

    Args:
      table: one of `TABLES`.
      runs: a list with a mapping for each of its parts: name of the zoo's entry -> list of evaluated `Run`s. Runs that
        differ only in the seed are averaged.
    """
    texts = []
    for part, found in zip(table.parts(), runs, strict=True):
        for block in part.blocks:
            lines = _lines_of_runs(block, part, found) if part.varied else _lines(block, part.runs, found)
            texts.append("\n".join(line.rstrip() for line in lines))
        texts.append(part.note)
    return "\n\n".join(texts) + f"\n{_EXPLANATION}"


def covers(report, table: Table) -> bool:
    """Whether a report has values for every column, both of the trained encoder and of untrained ones."""
    if table.varied:
        return all(block.metric in report["results"] for block in table.blocks)
    return all(
        _found(block, report, encoder, column)
        for block in table.blocks
        for column in block.columns
        for encoder in ("trained", "untrained")
    )


def _lines(block, methods, runs):
    row = functools.partial(_row, len(block.columns))
    yield row(block.title, block.heads or block.columns, "epochs", "seeds")
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
    pixels = [_pixels(block, run.report) for each in runs.values() for run in each]
    if any(pixels):
        yield row("raw pixels", [_cell(block, next(filter(None, pixels)))])


def _lines_of_runs(block, table, runs):
    row = functools.partial(_row, len(table.values))
    yield row(block.title, [f"{table.varied} {value}" for value in table.values], "epochs", "seeds")
    methods = {method: name for name, method in table.runs.items()}
    for method in dict.fromkeys([*block.paper, *methods]):
        if method in block.paper:
            yield row(f"{method}, paper", block.paper[method])
        if method not in methods:
            continue
        alike = {}
        for run in runs[methods[method]]:
            told = describe_epochs(run.report), describe_dataset(run.report), run.flags
            of_value = alike.setdefault(told, {}).setdefault(run.value, [])
            of_value.append(run.report["results"][block.metric][block.value])
        if not alike:
            yield row(method, ["not run"])
        for (epochs, data, flags_), found in sorted(alike.items()):
            cells = [spread(found[value]) if value in found else "not run" for value in table.values]
            yield row(f"{method}, {data}", cells, epochs, _range([len(seeds) for seeds in found.values()]))
            if flags_:
                yield f"  {method} with {flags_}"


def _row(columns, head, cells, epochs="", seeds=""):
    cells = [*cells, *[""] * (columns - len(cells))]
    return f"{head:36}" + "".join(f"{cell:>15}" for cell in cells) + f"{epochs:>9}{seeds:>7}"


def _range(counts):
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}-{high}"


def _setting(report, block):
    """The settings of a transfer metric's classifiers as text; "" for a metric of features."""
    made = newest_setting(report, block.metric, **block.more.get("settings", {}))
    return describe_setting(made) if made else ""


def _cells(block, reports, encoder):
    cells = []
    for column in block.columns:
        found = [row for report in reports for row in _found(block, report, encoder, column)]
        if encoder == "untrained":  # several reports can hold the same one, which counts once
            found = list({row.get("seed"): row for row in found}.values())
        cells.append(_cell(block, found) if found else "")
    return cells


def _cell(block, found):
    """Rows of a report as the text of a cell: the mean over seeds, or a single seed's value with its own deviation."""
    if block.deviation and len(found) == 1:
        return f"{found[0][block.value]:.2f} ± {found[0][block.deviation]:.2f}"
    return spread([row[block.value] for row in found])


def _pixels(block, report):
    """The report's rows for raw pixels, which have no pooling."""
    more = {key: value for key, value in _more(block, report).items() if key != "pool"}
    return rows(report, block.metric, "pixels", "pixels", **more)


def _found(block, report, encoder, column):
    """The report's rows for a cell. If classifiers had several settings that fit the block, the newest one's rows."""
    return rows(report, block.metric, encoder, column, **_more(block, report))


def _more(block, report):
    """The further entries of the report's rows that a block shows, with all of the classifiers' settings."""
    return {**block.more, **newest_setting(report, block.metric, **block.more.get("settings", {}))}
