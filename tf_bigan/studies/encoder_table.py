"""The study of encoder recipes as text."""

from tf_bigan.studies.encoder_plan import BASE, PARTS
from tf_bigan.studies.encoder_results import NEIGHBOUR, PROBE, Results
from tf_bigan.studies.intervals import LEVEL, interval

_HEADS = (
    ("probe, %", 14),
    ("layer", 19),
    ("less base", 22),
    ("1-NN, %", 14),
    ("Fréchet", 15),
    ("epochs", 7),
    ("CPU min", 8),
)


def study_table(results: Results) -> str:
    """The study as text: for each part, a row for each change beside the untrained encoder and the pixels.

    Args:
      results: of the runs that have ended, all or some of those planned.
    """
    return "\n\n".join([*("\n".join(_part(results, name)) for name in PARTS), "\n".join(_notes(results))])


def best_layer(found, measure) -> tuple[str, list[float]]:
    """The layer with the best mean of a measure, and its values.

    Args:
      found: a list of {layer: {measure: value}}, one for each seed.
      measure: "linear" or "knn".
    """
    values = {layer: [each[layer][measure] for each in found] for layer in found[0]}
    return max(values.items(), key=lambda item: sum(item[1]))


def _part(results, name):
    part = PARTS[name]
    yield f"{part.title}: {part.minutes:g} CPU minutes a run"
    yield f"{'':46}" + "".join(f"{head:>{width}}" for head, width in _HEADS)
    base = results.of(name, BASE)
    for change, told in part.changes.items():
        runs = results.of(name, change)
        minutes = [results.minutes[run] for seed in runs if (run := f"{name}-{change}-seed{seed}") in results.minutes]
        less = _less(runs, base) if change != BASE else ""
        yield _row(told.title, list(runs.values()), "trained", less, minutes)
    for kind, title in (("untrained", "untrained encoder"), ("pixels", "pixels")):
        yield _row(title, [run for run in base.values() if kind in run], kind)


def _less(runs, base):
    """The probe of the best layer less that of the base's best layer, over the seeds that both have."""
    shared = sorted(runs.keys() & base.keys())
    if not shared:
        return ""
    one, other = (best_layer([of[seed]["trained"] for seed in shared], PROBE)[1] for of in (runs, base))
    found = interval([a - b for a, b in zip(one, other, strict=True)])
    return f"{found.mean:+.1f}" + (f" [{found.low:+.1f}, {found.high:+.1f}]" if found.count > 1 else "")


def _row(title, runs, kind, less="", minutes=()):
    if not runs:
        return f"{title:46}{'-':>14}"
    found = [run[kind] for run in runs]
    layer, probes = best_layer(found, PROBE)
    samples = [run["fid"] for run in runs if kind == "trained" and "fid" in run]
    cells = (
        *(_cell(probes), layer if layer != kind else "", less, _cell(best_layer(found, NEIGHBOUR)[1])),
        *(_cell(samples), str(runs[0]["epochs"]) if kind == "trained" else ""),
        f"{sum(minutes) / len(minutes):.1f}" if minutes else "",
    )
    return f"{title:46}" + "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _HEADS, strict=True))


def _cell(values):
    if not values:
        return ""
    found = interval(values)
    return f"{found.mean:.1f}" + (f" ± {found.deviation:.1f}" if found.count > 1 else "")


def _notes(results):
    for name, result in sorted(results.runs.items()):
        if "diverged" in result:
            yield f"{name} diverged: {result['diverged']}"
    seeds = sorted({name.rpartition("-seed")[2] for name in results.runs}, key=int)
    wanted = len(seeds) * sum(len(part.changes) for part in PARTS.values())
    yield f"Seeds {', '.join(seeds)}: {len(results.runs)} of {wanted} runs."
    yield (
        "Linear probe and Euclidean 1-NN of E's best layer, which is chosen for each row by the mean over seeds. Maps "
        "are averaged to at most 4x4 pixels; crelu(h) is [max(h, 0), max(-h, 0)]. The gallery is the first 20,000 "
        "training images; the queries are 5,000 training images that no run was trained on. ± is the standard "
        "deviation over seeds. Less base: mean and t interval at "
        f"{LEVEL:.0%} of the difference in pairs of the same seed. CPU minutes are those of a whole training: loading, "
        "steps and inference statistics. Fréchet: of 5,000 samples, in the features of classifier_cifar10."
    )
