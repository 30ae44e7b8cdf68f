"""Reading an evaluation report; needs no TensorFlow."""

import statistics

# What else tells a classifier's settings apart.
_TOLD = {"learning_rate": "rate", "units": "units", "seed": "seed"}

_RAW = ("pixels", "coordinates")  # examples as they are, in place of an encoder's features
_OF_WEIGHTS = ("epochs", "initial_epochs", "weights")


def reusable(earlier, header) -> dict | None:
    """The part of an earlier report that can stand beside new results.

    Args:
      earlier: a report.
      header: what the new one says but for its results: of which weights, networks and data.

    Returns:
      The earlier report, if it is of the same weights; of other weights of the same networks and data its baselines,
      untrained encoders and pixels; None if it is of something else.
    """
    if differing_keys(earlier, header):
        return None
    if all(earlier.get(key) == header.get(key) for key in _OF_WEIGHTS):
        return earlier
    if "untrained" not in earlier:  # of before reports said which those are
        return None
    of_weights = {key: header[key] for key in _OF_WEIGHTS if key in header}
    baselines = {
        name: [row for row in found if row["encoder"] != "trained"]
        for name, found in earlier["results"].items()
        if isinstance(found, list)
    }
    baselines = {name: found for name, found in baselines.items() if found}
    commands = {name: told for name, told in earlier.get("commands", {}).items() if name in baselines}
    kept = {key: value for key, value in earlier.items() if key not in _OF_WEIGHTS}
    return {**kept, **of_weights, "commands": commands, "results": baselines}


def differing_keys(earlier, header) -> list[str]:
    """The keys, except those of the weights, in which an earlier report and `header` differ."""
    # What reports did not always tell.
    told = {**{key: header.get(key) for key in ("untrained", "examples")}, **earlier}
    return [key for key, value in header.items() if key not in _OF_WEIGHTS and told.get(key) != value]


def rows(report, name, encoder, layer, **more) -> list[dict]:
    """What a report has of a layer of an encoder, a row for each seed of the encoder's initial weights.

    Args:
      report: as `evaluate` makes it.
      name: of the metric: "knn", "linear", "frozen_prefix", "fine_tuning" or "voc2007".
      encoder: "trained", "untrained", or "pixels" of images and "coordinates" of points.
      layer: feature space.
      **more: what else the rows must have, as k=1.
    """
    wanted = {"encoder": encoder, "layer": layer, **more}
    return [row for row in report["results"].get(name, []) if all(row.get(key) == wanted[key] for key in wanted)]


def values(report, name, encoder, layer, value="accuracy", **more) -> list[float]:
    """A value in percent of each of `rows`; empty if it was not measured."""
    return [row[value] for row in rows(report, name, encoder, layer, **more)]


def setting(row) -> dict:
    """How a row of a report was made: {"pool": ...} of features, {"edge": ..., "settings": ...} of a transfer."""
    return {key: row[key] for key in ("pool", "edge", "settings") if key in row}


def newest_setting(report, name) -> dict:
    """The `setting` of a transfer's row that was written last; {} without any."""
    found = report["results"].get(name)
    return setting(found[-1]) if isinstance(found, list) and found and "settings" in found[-1] else {}


def describe_setting(made) -> str:
    """A transfer's setting as text, as "64 px, 10 epochs, mixed_bfloat16"."""
    settings = made["settings"]
    length = f"{settings['steps']} steps" if "steps" in settings else f"{settings['epochs']} epochs"
    more = [f"{text} {settings[name]:g}" for name, text in _TOLD.items() if name in settings]
    precision = settings.get("precision", "float32")
    return ", ".join([f"{made['edge']} px", length, *more] + ([precision] if precision != "float32" else []))


def describe_dataset(report) -> str:
    """The name of the data evaluated on, and how many of its classes, if not all."""
    classes = report.get("max_labels")
    return report["dataset"] + (f" (first {classes} classes)" if classes else "")


def describe_epochs(report) -> str:
    """How many epochs the model trained, after those behind the weights that it began from: "20", or "20+10"."""
    return "+".join(map(str, [*report.get("initial_epochs", []), report["epochs"]]))


def spread(found: list[float]) -> str:
    """Values as text: their mean, and the standard deviation if there are several."""
    text = f"{statistics.mean(found):.2f}"
    return f"{text} ± {statistics.stdev(found):.2f}" if len(found) > 1 else text


def row_heads(found):
    """(head of its line in a table, what `rows` knows it by) of each feature space in rows, in order."""
    known = ("encoder", "layer", "dimensions", "pool")
    for values_ in dict.fromkeys(tuple(row.get(key) for key in known) for row in found):
        space = dict(zip(known, values_, strict=True))
        name = space["encoder"] if space["encoder"] in _RAW else f"{space['encoder']} {space['layer']}"
        size = f"{space['dimensions']}, pooled" if space["pool"] else space["dimensions"]
        yield f"  {f'{name} ({size})':32}", space
