"""Reading an evaluation report; needs no TensorFlow."""

import statistics

# Metrics that train classifiers: title, the values of a row, what they are.
TRANSFERS = {
    "frozen_prefix": ("frozen prefix, top-1 accuracy, %", ("accuracy", "accuracy_10_crop"), ("1 crop", "10 crops")),
    "fine_tuning": ("fine-tuning, top-1 accuracy, %", ("accuracy", "accuracy_10_crop"), ("1 crop", "10 crops")),
    "voc2007": ("VOC2007, mean average precision, %", ("map", "map_10_crop"), ("1 crop", "10 crops")),
}


# What else tells a classifier's settings apart.
_TOLD = {"learning_rate": "rate", "units": "units", "seed": "seed"}

# What `modes` gives: counts of 25, and measures.
_COUNTS = {
    "modes": "modes with any sample",
    "modes_near": "modes with one within 3 sigma",
    "modes_covered": "modes with 20 within 3 sigma",
}
_MEASURES = {
    "high_quality": "share within 3 sigma",
    "kl": "KL of the modes' shares from even, nats",
    "reconstruction": "reconstruction error, paired",
    "reconstruction_b": "reconstruction error, shuffled",
}

_RAW = ("pixels", "coordinates")  # examples as they are, in place of an encoder's features
_OF_WEIGHTS = ("epochs", "initial_epochs", "weights")


def carried(earlier, header) -> dict | None:
    """What an earlier report holds that stands beside new results.

    Args:
      earlier: a report.
      header: what the new one says but for its results: of which weights, networks and data.

    Returns:
      The earlier report, if it is of the same weights; of other weights of the same networks and data its baselines,
      untrained encoders and pixels; None if it is of something else.
    """
    if other_than(earlier, header):
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


def other_than(earlier, header) -> list[str]:
    """What an earlier report is of other than `header` says, but for the weights: the keys that differ."""
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
    return setting(report["results"][name][-1]) if name in TRANSFERS and report["results"].get(name) else {}


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


def table(report) -> str:
    """The report's results as text for a person."""
    lines = []
    if knn := report["results"].get("knn"):
        columns = sorted({(row["metric"], row["k"]) for row in knn}, key=lambda c: (c[0] != "euclidean", c[1]))
        lines.append(f"{'k-NN accuracy, %':34}" + "".join(f"{f'{metric} k={k}':>16}" for metric, k in columns))
        for head, space in _spaces(knn):
            found = [values(report, "knn", **space, metric=metric, k=k) for metric, k in columns]
            lines.append(head + "".join(f"{spread(seeds):>16}" for seeds in found))
        lines.append("")
    if linear := report["results"].get("linear"):
        lines.append("linear probe accuracy, %")
        for head, space in _spaces(linear):
            converged = all(values(report, "linear", **space, value="converged"))
            mark = "" if converged else "  (stopped at the iteration limit)"
            lines.append(f"{head}{spread(values(report, 'linear', **space)):>16}{mark}")
        lines.append("")
    for metric, (title, columns, heads) in TRANSFERS.items():
        found = report["results"].get(metric, [])
        settings = [setting(row) for row in found]
        for made in [made for i, made in enumerate(settings) if made not in settings[:i]]:
            lines.append(f"{title} (classifiers: {describe_setting(made)})")
            lines.append(" " * 34 + "".join(f"{head:>16}" for head in heads))
            for encoder, layer in dict.fromkeys((r["encoder"], r["layer"]) for r in found if setting(r) == made):
                seeds = [values(report, metric, encoder, layer, column, **made) for column in columns]
                lines.append(f"  {f'{encoder} {layer}':32}" + "".join(f"{spread(each):>16}" for each in seeds))
            lines.append("")
    if errors := report["results"].get("reconstruction"):
        lines.append(f"{'reconstruction error':34}{'paired':>16}{'shuffled':>16}")
        for name, of in (("EGr", f"{report.get('examples', 'images')} (EGr, EGr_b)"), ("EGg", "samples (EGg, EGg_b)")):
            if name in errors:
                lines.append(f"  {of:32}{errors[name]:16.3f}{errors[f'{name}_b']:16.3f}")
        lines.append("")
    if distances := report["results"].get("nnd"):
        lines.append("distance to the nearest sample")
        lines += [f"  {name:32}{value:16.3f}" for name, value in distances.items()]
        lines.append("")
    if found := report["results"].get("modes"):
        lines.append(f"of {found['samples']} samples")
        lines += [f"  {title:42}{found[name]:6}" for name, title in _COUNTS.items()]
        lines += [f"  {title:42}{found[name]:10.3f}" for name, title in _MEASURES.items() if name in found]
    return "\n".join(lines).rstrip()


def _spaces(found):
    """(head of its line, what `rows` knows it by) of each feature space, in order."""
    known = ("encoder", "layer", "dimensions", "pool")
    for values_ in dict.fromkeys(tuple(row.get(key) for key in known) for row in found):
        space = dict(zip(known, values_, strict=True))
        name = space["encoder"] if space["encoder"] in _RAW else f"{space['encoder']} {space['layer']}"
        size = f"{space['dimensions']}, pooled" if space["pool"] else space["dimensions"]
        yield f"  {f'{name} ({size})':32}", space
