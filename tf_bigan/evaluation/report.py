"""Reads evaluation reports. Imports no TensorFlow."""

import statistics

# Settings of a classifier that its description names if they were recorded: key -> text.
_TOLD = {"learning_rate": "rate", "units": "units", "seed": "seed"}

_RAW = ("pixels", "coordinates")  # raw examples, in place of an encoder's features
_OF_WEIGHTS = ("epochs", "initial_epochs", "weights")


def reusable(earlier, header) -> dict | None:
    """The part of an earlier report that can be kept beside new results.

    Args:
      earlier: a report.
      header: the new report without its results: it describes the weights, networks and data.

    Returns:
      The whole earlier report, if it is on the same weights. Only its baselines (untrained encoders and raw examples),
      if it is on other weights of the same networks and data. None if it is on something else.
    """
    if differing_keys(earlier, header):
        return None
    if all(earlier.get(key) == header.get(key) for key in _OF_WEIGHTS):
        return earlier
    if "untrained" not in earlier:  # an old report, which does not identify its untrained encoders
        return None
    of_weights = {key: header[key] for key in _OF_WEIGHTS if key in header}
    baselines = {
        name: [row for row in found if row.get("encoder", "trained") != "trained"]
        for name, found in earlier["results"].items()
        if isinstance(found, list)
    }
    baselines = {name: found for name, found in baselines.items() if found}
    commands = {name: told for name, told in earlier.get("commands", {}).items() if name in baselines}
    kept = {key: value for key, value in earlier.items() if key not in _OF_WEIGHTS}
    return {**kept, **of_weights, "commands": commands, "results": baselines}


def differing_keys(earlier, header) -> list[str]:
    """The keys in which an earlier report and `header` differ, except the keys that describe the weights."""
    # Old reports lack these keys, and count as equal in them.
    told = {**{key: header.get(key) for key in ("untrained", "examples")}, **earlier}
    return [key for key, value in header.items() if key not in _OF_WEIGHTS and told.get(key) != value]


def rows(report, name, encoder, layer, **more) -> list[dict]:
    """The rows of a report for one layer of an encoder: a row for each seed of the encoder's initial weights.

    Args:
      report: a report as `evaluate` returns it.
      name: name of the metric: "knn", "linear", "frozen_prefix", "fine_tuning" or "voc2007".
      encoder: "trained" or "untrained"; for raw examples "pixels" (of images) or "coordinates" (of points).
      layer: name of the layer; for raw examples the same as `encoder`.
      **more: further entries that the rows must have, such as k=1.
    """
    wanted = {"encoder": encoder, "layer": layer, **more}
    return [row for row in report["results"].get(name, []) if all(row.get(key) == wanted[key] for key in wanted)]


def values(report, name, encoder, layer, value="accuracy", **more) -> list[float]:
    """The entry `value`, "accuracy" being in percent, of each of the `rows`; empty if it was not measured."""
    return [row[value] for row in rows(report, name, encoder, layer, **more)]


def setting(row) -> dict:
    """The settings of a row of a report: {"pool": ...} of features, {"edge": ..., "settings": ...} of a transfer."""
    return {key: row[key] for key in ("pool", "edge", "settings") if key in row}


def newest_setting(report, name, **more) -> dict:
    """The `setting` of the row with classifiers' settings that was written last; {} if there is no such row.

    Args:
      report, name: as for `rows`.
      **more: settings that the classifiers must have, such as labels=1000.
    """
    found = report["results"].get(name)
    made = [row for row in found if "settings" in row] if isinstance(found, list) else []
    made = [row for row in made if all(row["settings"].get(key) == value for key, value in more.items())]
    return setting(made[-1]) if made else {}


def describe_setting(made) -> str:
    """The settings of classifiers as text, such as "64 px, 10 epochs, mixed_bfloat16", or "1000 labels, 100 draws"."""
    settings = made["settings"]
    if "draws" in settings:
        return f"{settings['labels']} labels, {settings['draws']} draws"
    length = f"{settings['steps']} steps" if "steps" in settings else f"{settings['epochs']} epochs"
    more = [f"{text} {settings[name]:g}" for name, text in _TOLD.items() if name in settings]
    precision = settings.get("precision", "float32")
    return ", ".join([f"{made['edge']} px", length, *more] + ([precision] if precision != "float32" else []))


def describe_dataset(report) -> str:
    """The name of the data set evaluated on, and the number of its first classes that were used, if not all."""
    classes = report.get("max_labels")
    return report["dataset"] + (f" (first {classes} classes)" if classes else "")


def describe_epochs(report) -> str:
    """The model's epochs as text: "20", or "20+10" if it began with the weights of an earlier run of 20 epochs."""
    return "+".join(map(str, [*report.get("initial_epochs", []), report["epochs"]]))


def spread(found: list[float]) -> str:
    """Values as text: their mean and, if there are several, their standard deviation."""
    text = f"{statistics.mean(found):.2f}"
    return f"{text} ± {statistics.stdev(found):.2f}" if len(found) > 1 else text


def row_heads(found):
    """Yields (head of its line in a table, its arguments for `rows`) for each feature space in `found`, in order."""
    known = ("encoder", "layer", "dimensions", "pool")
    for values_ in dict.fromkeys(tuple(row.get(key) for key in known) for row in found):
        space = dict(zip(known, values_, strict=True))
        name = space["encoder"] if space["encoder"] in _RAW else f"{space['encoder']} {space['layer']}"
        size = f"{space['dimensions']}, pooled" if space["pool"] else space["dimensions"]
        yield f"  {f'{name} ({size})':32}", space
