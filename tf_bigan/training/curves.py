"""The curves of a run on one page: losses, rates, and the numbers of the watch, against epochs. No TensorFlow."""

import dataclasses
import math
import textwrap

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Figure, Plot

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # ticks of a panel of shares

_COLUMNS, _WIDTH, _HEIGHT = 3, 340, 160  # panels in a row, and the size of a panel in pixels
_LEFT, _RIGHT, _ABOVE, _BELOW = 70, 30, 50, 50  # pixels around a panel
_TOP = 50  # pixels above the panels, for the page's title
_LINE, _LETTERS = 20, 180  # the height of a line of warning in pixels, and its length in letters
_TOGETHER = 10.0  # losses of more different sizes have panels of their own


@dataclasses.dataclass(frozen=True)
class _Panel:
    """One panel of the page: its title, [(entry of a record, words for it)], fixed ticks, and a dashed line's height.

    Without fixed ticks, the axis begins at 0 if `from_zero`, and covers all values.
    """

    title: str
    entries: tuple
    ticks: tuple | None = None
    level: tuple | None = None  # (height, words)
    from_zero: bool = True


def _watched(*entries):
    return tuple((f"watch/{name}", words) for name, words in entries)


_BOTH = ("real", "real"), ("generated", "generated")
_RATES = (
    _Panel("Learning rate", (("learning_rate", ""),)),
    _Panel("Speed [images/s]", (("images_per_second", ""),)),
)
_WATCHED = (
    _Panel(
        "Sample distance [data's]",
        _watched(("sample_distance", "examples"), ("feature_distance", "features")),
        level=(1.0, ""),
    ),
    _Panel("Samples with a near-duplicate [share]", _watched(("near_duplicates", "")), _SHARES),
    _Panel("1-NN accuracy", _watched(("nearest_neighbour", "")), _SHARES),
    _Panel("D's accuracy", _watched(*((f"{kind}_accuracy", words) for kind, words in _BOTH)), _SHARES, (0.5, "")),
    _Panel("D certain and right", _watched(*((f"{kind}_saturation", words) for kind, words in _BOTH)), _SHARES),
    _Panel("Effective rank of the codes", _watched(("effective_rank", ""))),
    _Panel("Variance of E(x) over x [prior's]", _watched(("code_dependence", "")), level=(1.0, "")),
    _Panel("Energy distance of codes to the prior", _watched(("prior_distance", ""))),
    _Panel(
        "Code stddev [prior's]",
        _watched(("code_stddev_lowest", "min"), ("code_stddev", "mean"), ("code_stddev_highest", "max")),
        level=(1.0, ""),
    ),
    _Panel("Offset of the codes' mean [prior's stddev]", _watched(("code_mean", ""))),
    _Panel("Time of a watch [s]", _watched(("seconds", ""))),
)


def page(records, title) -> np.ndarray:
    """The curves of a run: a panel for each kind of number that its log has, and its warnings below.

    Args:
      records: the records of metrics.jsonl, as `RunDirectory.read_log` returns them. Runs of earlier versions have no
        numbers of the watch. Values that are null, NaN or infinite are left out.
      title: the first words of the page's title.

    Returns:
      uint8 [height, width, 3].

    Raises:
      InputError: no record has a number to draw.
    """
    panels = [panel for panel in (*_losses(records), *_RATES, *_WATCHED) if _has_values(records, panel)]
    if not panels:
        raise InputError("there is nothing to draw yet: the first epoch is not done")
    warnings = [line for record in records for line in (record.get("watch/warnings") or {}).values()]
    lines = [part for line in warnings for part in textwrap.wrap(line, _LETTERS, subsequent_indent="    ")]
    wide, high = _LEFT + _WIDTH + _RIGHT, _ABOVE + _HEIGHT + _BELOW
    below = _TOP + -(-len(panels) // _COLUMNS) * high + 10
    figure = Figure(_COLUMNS * wide, below + (_LINE * (len(lines) + 2) if lines else 0))
    epochs = [_epoch(record) for record in records]
    figure.text((_LEFT, 28), f"{title}: {epochs[-1]:g} epochs, {records[-1]['step']:,} steps", size=18)
    ticks = _ticks(0.0, max(epochs), 6)
    for number, panel in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        left, top = column * wide + _LEFT, _TOP + row * high + _ABOVE
        _draw(figure, (left, top, left + _WIDTH, top + _HEIGHT), panel, records, ticks)
    if lines:
        figure.text((_LEFT, below), "Warnings", size=15)
    for number, line in enumerate(lines):
        figure.text((_LEFT, below + _LINE * (number + 1) + 4), line, size=12, colour=RED)
    return figure.sheet()


def _draw(figure, frame, panel, records, x_ticks):
    curves = [(words, [_number(record.get(name)) for record in records]) for name, words in panel.entries]
    curves = [(words, values) for words, values in curves if not np.isnan(values).all()]
    found = [value for _, values in curves for value in values if not math.isnan(value)]
    if panel.level and not panel.ticks:
        found.append(panel.level[0])
    ticks = panel.ticks or _ticks(min([*found, 0.0] if panel.from_zero else found), max(found), 5)
    plot = Plot(figure, frame, x_ticks, ticks, panel.title, "epoch")
    if panel.level:
        plot.level(*panel.level)
    epochs = [_epoch(record) for record in records]
    for (_, values), colour in zip(curves, _COLOURS, strict=False):
        plot.series(epochs, values, colour)
    named = [(words, colour) for (words, _), colour in zip(curves, _COLOURS, strict=False) if words]
    plot.legend_above(named)


def _losses(records):
    """Panels of the losses: those of similar size together, in the order of the records."""
    names = dict.fromkeys(name for record in records for name in record if name.endswith("_loss"))
    sizes = {name: _size([_number(record.get(name)) for record in records]) for name in names}
    groups = []
    for name in names:
        near = [group for group in groups if len(group) < len(_COLOURS) and _alike(sizes[group[0]], sizes[name])]
        (near[0] if near else groups.append([]) or groups[-1]).append(name)
    for group in groups:
        words = [name.removesuffix("_loss").replace("_", " ") for name in group]
        if len(group) == 1:
            yield _Panel(f"Loss: {words[0]}", ((group[0], ""),), from_zero=False)
        else:
            yield _Panel("Losses", tuple(zip(group, words, strict=True)), from_zero=False)


def _size(values):
    known = [abs(value) for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else 0.0


def _alike(size, other):
    low, high = sorted((size, other))
    return high <= _TOGETHER * low


def _has_values(records, panel):
    return any(not math.isnan(_number(record.get(name))) for record in records for name, _ in panel.entries)


def _number(value):
    """A value of a record as a float; NaN if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return float(value)


def _epoch(record):
    epoch = _number(record.get("epoch"))
    return 0.0 if math.isnan(epoch) else epoch


def _ticks(low, high, most):
    """Up to `most` round numbers with equal steps, the first at most `low` and the last at least `high`."""
    if not high > low:
        low, high = (low, low + 1.0) if low == 0.0 else (low - abs(low) / 2, low + abs(low) / 2)
    exponent = math.floor(math.log10((high - low) / most))
    for power in range(exponent, exponent + 3):
        for step in (1.0, 2.0, 5.0):
            size = step * 10.0**power
            first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
            if last - first < most:
                return tuple(float(f"{number * size:.12g}") for number in range(first, last + 1))
    raise AssertionError  # some step of three powers of ten is large enough
