"""The layout of the papers' tables as text. Imports no TensorFlow."""

import dataclasses
import functools

from tf_bigan.evaluation.paper_tables import NumbersBlock, RunsBlock, Table
from tf_bigan.evaluation.report import (
    describe_dataset,
    describe_epochs,
    describe_setting,
    newest_setting,
    rows,
    spread,
)


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
            if isinstance(block, RunsBlock):
                lines = _lines_of_runs(block, part, found)
            elif isinstance(block, NumbersBlock):
                lines = _lines_of_numbers(block, part.runs, found)
            else:
                lines = _lines(block, part.runs, found)
            texts.append("\n".join(line.rstrip() for line in lines))
        texts.append(part.note)
    return "\n\n".join(texts) + f"\n{_EXPLANATION}"


def covers(report, table: Table) -> bool:
    """Whether a report has values for every column, both of the trained encoder and of untrained ones."""
    if table.varied:
        return all(block.metric in report["results"] for block in table.blocks)
    numbers = [block for block in table.blocks if isinstance(block, NumbersBlock)]
    if any(_network(block, report).get("feature_network") != block.network for block in numbers):
        return False
    return all(_numbers(block, report, column, "trained") for block in numbers for column in block.columns) and all(
        _found(block, report, encoder, column)
        for block in table.blocks
        if block not in numbers
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


def _lines_of_numbers(block, methods, runs):
    row = functools.partial(_row, len(block.columns))
    yield row(block.title, [column.head for column in block.columns], "epochs", "seeds")
    networks, real = {}, {}
    for name, method in methods.items():
        alike = {}
        for run in runs[name]:
            network = _network(block, run.report)
            told = describe_epochs(run.report), describe_dataset(run.report), run.flags, _named(network)
            alike.setdefault(told, []).append(run.report)
            networks[_named(network)] = f"in {_named(network)}, of {network['samples']:,} samples"
            real[describe_dataset(run.report), _named(network)] = run.report
        if not alike:
            yield row(method, ["not run"])
        for (epochs, data, flags_, network), found in sorted(alike.items()):
            of_runs = [[n for each in found for n in _numbers(block, each, c, "trained")] for c in block.columns]
            yield row(f"{method}, {data}", [spread(numbers) for numbers in of_runs], epochs, str(len(found)))
            if flags_:
                yield f"  {method} with {flags_}"
            if len(networks) > 1:
                yield f"  {method} {networks[network]}"
    for (data, network), report in real.items():
        numbers = [_numbers(block, report, column, column.real) for column in block.columns]
        yield row(f"real images, {data}", [spread(each) if each else "" for each in numbers])
        if len(networks) > 1:
            yield f"  {networks[network]}"
    if len(networks) == 1:
        yield f"  {next(iter(networks.values()))}"


def _network(block, report):
    """The settings of the newest samples of a report: its feature network, their number and so on; {} = none."""
    of_samples = [row for row in report["results"].get(block.columns[0].metric, []) if row["encoder"] == "trained"]
    return of_samples[-1]["settings"] if of_samples else {}


def _named(network):
    return f"{network['feature_network']} ({network['weights'][:16]})"


def _numbers(block, report, column, encoder):
    """The numbers of a column: those of the samples ("trained") or of real images, in the network of `_network`."""
    found, network = report["results"].get(column.metric, []), _network(block, report)
    of = [row for row in found if row["encoder"] == encoder and row["settings"] == network]
    return [column.factor * row[column.value] for row in of]


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
