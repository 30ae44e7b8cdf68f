"""Evaluates a model beside its baselines, and reports the results with their protocols."""

import time

from tf_bigan.errors import InputError
from tf_bigan.evaluation.context import Context
from tf_bigan.evaluation.measure import Diverged, find_measure
from tf_bigan.evaluation.report import differing_keys
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.progress import clock

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
    """Measures a model and its baselines.

    Measures of features are also applied to untrained encoders and to raw examples. Measures that train classifiers
    are also applied to untrained encoders. Each result is passed to `on_result` at once. Results that `earlier` holds
    are not measured again.

    Args:
      model: a trained Game.
      experiment: the model's Experiment.
      data: an `EvaluationData`.
      measures: names in `registry.MEASURES`, or `Measure`s of your own.
      settings: an `EvaluationSettings`; None = its defaults.
      earlier: a report on the same weights. Its results on the same data and with the same settings are reused.
      on_result: function that is called with the report so far after each result.
      say: function that is called with a line of text when a measurement begins.

    Returns:
      A report that can be written as JSON. It says what was measured, on which data and by which protocols, and has
      the numbers under "results".

    Raises:
      InputError: an unknown measure or layer, a measure that does not apply to the model or the data, features that do
        not fit in this machine's memory, or images that cannot be decoded. Classifiers that diverged raise it too, but
        only after all other measurements.
    """
    settings = settings or EvaluationSettings()
    measures = [measures] if isinstance(measures, str) else measures
    measures = {measure.name: measure for measure in map(find_measure, measures)}
    layers = [layer for each in measures.values() for layer in each.feature_layers(model, experiment, settings)]
    context = Context(model, experiment, data, settings, say, list(dict.fromkeys(layers)))
    for measure in measures.values():
        _check_needs(measure, context)
        measure.check(context)
    for measure in measures.values():  # after the quick checks above, as this reads every example
        measure.check_data(context)
    header = describe(experiment, data, settings.seed)
    examples = header.get("examples", "images")
    protocols = {name: measure.protocol_for(examples) for name, measure in measures.items()}
    held = _held(earlier, header, protocols)
    parts = [(name, part) for name, measure in measures.items() for part in measure.parts(context)]
    # One feature space after another, whose features all measures share; then the parts that need none.
    parts.sort(key=lambda each: len(context.spaces) if each[1].space is None else each[1].space)
    parts.sort(key=lambda each: measures[each[0]].slow)
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
    """The part of a report that describes the model and the data that it is evaluated on."""
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


def lacking(measure, model) -> str | None:
    """The role of the first network that a measure needs and the model lacks; None if it has all of them."""
    return next((role for role in _ROLES if role in measure.needs and getattr(model, role) is None), None)


def _check_needs(measure, context):
    if role := lacking(measure, context.model):
        raise InputError(f"{context.experiment.system} has no {role}, so it has no {measure.name} metric")
    if "labels" in measure.needs:
        context.data.check_labels(measure.name)


def _held(earlier, header, protocols):
    """The results of an earlier report that are on the same data and by the present protocols."""
    if not earlier or differing_keys(earlier, header):
        return {}
    told = earlier.get("protocols", {})
    return {name: rows for name, rows in earlier["results"].items() if told.get(name) == protocols.get(name)}


def _kept(held, name, part):
    """The results of one part among those that `_held` returned; empty if there are none."""
    found = held.get(name, [])
    if part.key is None:
        return found
    return [row for row in found if all(row.get(key) == value for key, value in part.key.items())]


def _progress(done, count, seconds):
    """The progress of an evaluation as text, with an estimate of the time left."""
    if count < 2:
        return ""
    left = f", time left: about {clock(seconds / done * (count - done))}" if done else ""
    return f" ({done + 1} of {count}{left})"
