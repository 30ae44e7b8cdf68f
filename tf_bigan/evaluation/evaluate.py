"""Evaluates a model beside its baselines, and writes down how."""

import time

from tf_bigan.errors import InputError
from tf_bigan.evaluation.context import Context
from tf_bigan.evaluation.measure import Diverged, find_measure
from tf_bigan.evaluation.report import differing_keys
from tf_bigan.evaluation.settings import EvaluationSettings

_ROLES = ("encoder", "generator")


def evaluate(
    model,
    experiment,
    data,
    measures,
    settings=None,
    earlier=None,
    on_result=lambda report: None,
    say=print,
) -> dict:
    """Measures a model.

    Measures of features are also taken of untrained encoders and of raw examples; those that train classifiers, of
    untrained encoders. Each result is handed to `on_result` at once, and those that `earlier` holds are not measured
    again.

    Args:
      model: a trained Game.
      experiment: its Experiment.
      data: an `EvaluationData`.
      measures: names in `registry.MEASURES`, or `Measure`s of your own.
      settings: an `EvaluationSettings`; None = its defaults.
      earlier: a report of the same weights. Of its results, those of the same data and settings are taken.
      on_result: called with the report after each result.
      say: called with a line as each measurement begins.

    Returns:
      A report that can be written as JSON: what was measured, on what, by which protocol, and "results".

    Raises:
      InputError: an unknown measure or layer, a measure that the model or the data cannot have, features that do not
        fit this machine's memory, images that cannot be decoded, or, after all others, classifiers that diverged.
    """
    settings = settings or EvaluationSettings()
    context = Context(model, experiment, data, settings, say)
    measures = {measure.name: measure for measure in map(find_measure, measures)}
    for measure in measures.values():
        _check_needs(measure, context)
        measure.check(context)
    for measure in measures.values():  # after all that is told at once: it looks at every example
        for part in ("gallery", "queries"):
            if part in measure.needs:
                getattr(measure.data(context), part).check()
    header = describe(experiment, data, settings.seed)
    examples = header.get("examples", "images")
    protocols = {name: measure.protocol_for(examples) for name, measure in measures.items()}
    held = _held(earlier, header, protocols)
    parts = [(name, part) for name, measure in measures.items() for part in measure.parts(context)]
    # One feature space after another, whose features all measures share; then the parts that need none.
    parts.sort(key=lambda each: len(context.spaces) if each[1].space is None else each[1].space)
    results = [_kept(held, name, part) for name, part in parts]
    missing = [index for index, rows in enumerate(results) if not rows]

    def report():
        found = {name: [] for name in measures}
        for (name, part), rows in zip(parts, results, strict=True):
            found[name] = rows if part.key is None else found[name] + rows
        found = {name: rows for name, rows in found.items() if rows}
        return {**header, "protocols": {name: protocols[name] for name in found}, "results": found}

    begun, diverged = time.monotonic(), []
    for done, index in enumerate(missing):
        name, part = parts[index]
        say(part.title + _progress(done, len(missing), time.monotonic() - begun))
        context.expect(parts[later][1].space for later in missing[done + 1 :])
        try:
            with measures[name].data(context).naming_damage():
                rows = part.measure()
        except Diverged as error:  # the other parts are still measured
            diverged.append(f"{part.title}: {error}")
            say(diverged[-1])
            continue
        results[index] = rows if part.key is None else [{**part.key, **row} for row in rows]
        on_result(report())
    if diverged:
        raise InputError(f"{len(diverged)} of {len(parts)} measurements diverged; {diverged[0]}")
    return report()


def describe(experiment, data, seed) -> dict:
    """What a report says of a model and the data that it is evaluated on."""
    return {
        "system": experiment.system,
        "dataset": data.dataset,
        **({"examples": "points"} if data.gallery.domain.name == "points" else {}),
        **({"max_labels": data.max_labels} if data.max_labels else {}),
        "gallery": {"split": data.gallery.split, "images": data.gallery.count},
        "queries": {
            "dataset": data.query_dataset,
            "split": data.queries.split,
            "images": data.queries.count,
            **({"of_gallery": True} if data.overlap else {}),
        },
        "training_precision": experiment.precision,
        "training_seed": experiment.seed,
        "untrained": experiment.fresh_digest(),
        "evaluation_seed": seed,
    }


def _check_needs(measure, context):
    for role in _ROLES:
        if role in measure.needs and getattr(context.model, role) is None:
            raise InputError(f"{context.experiment.system} has no {role}, so it has no {measure.name} metric")
    data = measure.data(context)
    if "labels" in measure.needs:
        data.check_labels(measure.name)


def _held(earlier, header, protocols):
    """The results of an earlier report that are of the same data and of today's protocols."""
    if not earlier or differing_keys(earlier, header):
        return {}
    told = earlier.get("protocols", {})
    return {name: rows for name, rows in earlier["results"].items() if told.get(name) == protocols.get(name)}


def _kept(held, name, part):
    """The results of a part among what `_held` gives; empty if there are none."""
    found = held.get(name, [])
    if part.key is None:
        return found
    return [row for row in found if all(row.get(key) == value for key, value in part.key.items())]


def _progress(done, count, seconds):
    """How far an evaluation is, as text."""
    if count < 2:
        return ""
    left = f", about {_duration(seconds / done * (count - done))} left" if done else ""
    return f" ({done + 1} of {count}{left})"


def _duration(seconds):
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
