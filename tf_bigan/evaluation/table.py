"""A report as text for a person. Imports no TensorFlow."""

from tf_bigan import registry
from tf_bigan.evaluation.measure import find_measure


def table(report) -> str:
    """The results of a report as text, a block of lines for each measure.

    Results of a measure that this version of tf_bigan does not know are printed as they are stored.
    """
    blocks = []
    for name in dict.fromkeys([*registry.MEASURES, *report["results"]]):
        if found := report["results"].get(name):
            lines = find_measure(name).lines(found, report) if name in registry.MEASURES else _as_stored(name, found)
            blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(blocks)


def _as_stored(name, found):
    rows = found if isinstance(found, list) else [found]
    return [name, *["  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in rows]]
