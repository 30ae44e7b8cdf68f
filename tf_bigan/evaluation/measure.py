"""The interface of a measure: how it is computed, and how its results are printed.

This module imports no TensorFlow, so that reading reports needs none.

A measure is one file in `measures/` and one line in `registry.MEASURES`. It subclasses `ModelMeasure` if it returns one
mapping of numbers for a model, and `FeatureMeasure` if it returns rows for every feature space. `evaluate` runs it, and
takes care of the baselines, of results that an earlier report holds, of memory and of progress.
"""

import abc
import collections.abc
import dataclasses
import statistics

from tf_bigan import registry
from tf_bigan.errors import InputError, did_you_mean, shown
from tf_bigan.evaluation.report import row_heads, spread, values


class Diverged(InputError):
    """The loss of a classifier became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class Part:
    """The smallest unit of a measure: an evaluation that was interrupted does not repeat the parts that it completed.

    Attributes:
      title: what the part measures, for lines of progress.
      measure: function without arguments that returns the part's rows, or its mapping of numbers if `key` is None.
      key: the entries of every row of this part that say where and how it was measured; None = the measure has no rows
        but a single mapping. Report files tell rows apart by "encoder", "seed", "layer", "metric", "k", "pool", "edge"
        and "settings" alone.
      space: index in `Context.spaces` of the feature space that the part measures; None = it needs no features.
    """

    title: str
    measure: collections.abc.Callable
    key: dict | None = None
    space: int | None = None


@dataclasses.dataclass(frozen=True)
class Headline:
    """The number of a measure that a list of models shows.

    Attributes:
      title: what the number is, with its unit.
      value: the number.
      layer: the layer whose number it is, which is that of the best layer; "" = the number is of the whole model.
      baselines: what the number is compared with: name, such as "untrained" or "pixels", -> number.
      lower_is_better: whether smaller numbers are better.
      digits: decimals to show.
    """

    title: str
    value: float
    layer: str = ""
    baselines: dict = dataclasses.field(default_factory=dict)
    lower_is_better: bool = False
    digits: int = 2

    def not_better_than(self) -> list[str]:
        """The names of the baselines that the number does not beat, at the decimals that are shown."""
        sign = -1.0 if self.lower_is_better else 1.0
        value = sign * round(self.value, self.digits)
        return [name for name, number in self.baselines.items() if value <= sign * round(number, self.digits)]


class Measure(abc.ABC):
    """One measure of a model.

    Attributes:
      name: the measure's name in flags and reports.
      protocol: one sentence without its full stop that says how the measure is computed. Earlier results by another
        protocol are measured again.
      protocol_of_points: the protocol for examples that are points, if its wording differs; None = `protocol`.
      needs: what the measure uses, any of "encoder", "generator", "queries", "gallery" and "labels". With "labels",
        gallery and queries must be labelled with the same classes and have no example in common.
      slow: whether the measure can take hours, so that its results must be kept in a file.
    """

    name: str
    protocol: str
    protocol_of_points: str | None = None
    needs: frozenset = frozenset()
    slow: bool = False

    def feature_layers(self, model, experiment, settings) -> list[str]:
        """The layers whose features the measure takes; those of other measures are left out of its `parts`.

        Args:
          model: a Game.
          experiment: its Experiment.
          settings: an `EvaluationSettings`.
        """
        return []

    def data(self, context):
        """The `EvaluationData` that the measure uses."""
        return context.data

    def check(self, context):  # noqa: B027 - for most measures, `needs` says all
        """Raises InputError if the measure does not apply to the model, the data or the settings of a `Context`."""

    def check_data(self, context):
        """Raises InputError if an example that the measure needs cannot be used. It reads every example."""
        for part in ("gallery", "queries"):
            if part in self.needs:
                getattr(self.data(context), part).check()

    @abc.abstractmethod
    def parts(self, context):
        """The measure's parts, as an iterable of `Part`."""

    @abc.abstractmethod
    def lines(self, found, report) -> list[str]:
        """The measure's results as lines of text for a person.

        Args:
          found: the results, a list of rows or a mapping of numbers.
          report: the whole report.
        """

    def headline(self, found, report) -> Headline | None:
        """The number that a list of models shows of the results; None = the measure has no such number."""
        del found, report
        return None

    def protocol_for(self, examples: str) -> str:
        """The protocol for examples of one kind: "images" or "points"."""
        return (self.protocol_of_points or self.protocol) if examples == "points" else self.protocol


class ModelMeasure(Measure):
    """A measure that returns one mapping of numbers for a model."""

    title: str = ""  # heading above the numbers; "" = the measure's name

    @abc.abstractmethod
    def measure(self, model, examples, seed) -> dict:
        """The numbers by their names.

        Args:
          model: a Game. A conditional one has the conditions of the queries, so that none need be given.
          examples: the queries, float32 [N, ...]; None if `needs` lacks "queries".
          seed: seed of the samples.
        """

    def parts(self, context):
        def measure():
            examples = context.examples if "queries" in self.needs else None
            return self.measure(context.conditioned_model, examples, context.settings.seed)

        yield Part(self.name, measure)

    def lines(self, found, report):
        return [self.title or self.name, *[f"  {name:32}{value:16.3f}" for name, value in found.items()]]


class FeatureMeasure(Measure):
    """A measure of feature spaces: layers of the model, the same layers of untrained encoders, and raw examples.

    The layers are E's, or D's where a system has no E; with "encoder" among `needs`, such systems are refused. `title`
    is the line above the results; "" = the name.
    """

    title: str = ""
    needs = frozenset({"gallery", "queries", "labels"})

    def feature_layers(self, model, experiment, settings):
        return settings.layers_or(()) or self.usual_layers(model, experiment)

    def usual_layers(self, model, experiment) -> list[str]:
        """The layers that are measured if `EvaluationSettings.layers` asks for none.

        Layers of a conditional model that depend on the label or on attributes are no features of examples alone.
        """
        del experiment
        return [layer for layer in ("penultimate", "outputs") if not model.conditions_of_layer(layer)]

    def settings(self, context) -> dict:
        """Arguments of `measure` beside the features, which every row then holds as "settings"; {} = none."""
        del context
        return {}

    @abc.abstractmethod
    def measure(self, gallery, gallery_labels, queries, query_labels) -> list[dict]:
        """The rows of one feature space.

        Args:
          gallery, queries: float32 [N, D] and [Q, D]. The measure may overwrite them.
          gallery_labels, query_labels: int64 [N] and [Q].

        Returns:
          A list of rows with plain numbers. `lines` prints the "accuracy" of each, in percent, if it is not overridden.
        """

    def check(self, context):
        context.check_features()

    def parts(self, context):
        settings = self.settings(context)
        layers = self.feature_layers(context.model, context.experiment, context.settings)

        def measure(index):
            features = context.features(index)
            dimensions = features[0].shape[1]
            return [{"dimensions": dimensions, **row} for row in self.measure(*features, **settings)]

        for index, space in enumerate(context.spaces):
            if not (space.raw or space.layer in layers):
                continue
            title = f"{self.name}: {space.title.format(space.layer)}"
            key = {**space.key, "settings": settings} if settings else space.key
            yield Part(title, lambda index=index: measure(index), key, index)

    def headline(self, found, report, value="accuracy", lower_is_better=False):
        """The best layer's mean over seeds, beside that of untrained encoders and of raw examples."""
        of_spaces = {}
        for row in found:
            space = (row["encoder"], row["layer"], row.get("pool"), str(row.get("settings")))
            of_spaces.setdefault(space, []).append(row[value])
        best = {}
        for (encoder, layer, *_), numbers in of_spaces.items():
            made = (statistics.mean(numbers), layer)
            if encoder not in best or (made < best[encoder] if lower_is_better else made > best[encoder]):
                best[encoder] = made
        if "trained" not in best:
            return None
        number, layer = best.pop("trained")
        baselines = {encoder: made[0] for encoder, made in best.items()}
        return Headline(self.title or self.name, number, layer, baselines, lower_is_better)

    def lines(self, found, report):
        """A heading, and a line for each feature space with the mean over seeds of "accuracy" in percent."""
        heads = row_heads(found)
        return [self.title or self.name] + [
            f"{head}{spread(values(report, self.name, **space)):>16}" for head, space in heads
        ]


def find_measure(measure) -> Measure:
    """Finds a measure by its name in `registry.MEASURES`; a `Measure` object is returned as it is.

    Raises:
      InputError: an unknown name; the message suggests the nearest one.
    """
    if isinstance(measure, Measure):
        return measure
    if not isinstance(measure, str):
        raise InputError(f"a measure is a name or a Measure object, found {shown(measure)}")
    if measure not in registry.MEASURES:
        raise InputError(f"unknown metric {measure!r}.{did_you_mean(measure, registry.MEASURES)}")
    return registry.find(registry.MEASURES[measure])()
