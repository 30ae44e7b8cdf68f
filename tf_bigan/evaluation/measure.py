"""What a measure is: how it is taken, and how its results read. Imports no TensorFlow, so that reports need none.

A measure is one file in `measures/` and one line in `registry.MEASURES`. It subclasses `ModelMeasure` if it gives one
mapping of numbers for a model, and `FeatureMeasure` if it gives rows for every feature space. `evaluate` runs it: it
sees to the baselines, to results that an earlier report holds, to memory and to progress.
"""

import abc
import collections.abc
import dataclasses

from tf_bigan import registry
from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.report import row_heads, spread, values


class Diverged(InputError):
    """The loss of a classifier was no longer finite."""


@dataclasses.dataclass(frozen=True)
class Part:
    """The smallest piece of a measure that an interrupted evaluation does not repeat.

    Attributes:
      title: what it measures, as a line of progress says it.
      measure: function without arguments that gives the part's rows, or its mapping of numbers if `key` is None.
      key: what every row of this part says of where and how it was measured; None = the measure is a single mapping.
      space: of a feature measure, the index of its feature space in `Context.spaces`.
    """

    title: str
    measure: collections.abc.Callable
    key: dict | None = None
    space: int | None = None


class Measure(abc.ABC):
    """One measure of a model.

    Attributes:
      name: in flags and reports.
      protocol: one sentence without its full stop that says how it is measured. Results of another protocol are
        measured again.
      protocol_of_points: the same for points, where it reads otherwise; None = `protocol`.
      needs: any of "encoder" and "generator", the networks it uses; "queries"; "gallery"; and "labels", with which both
        must be labelled with the same classes and have no example in common.
      slow: whether it can take hours, so that its results must be kept in a file.
    """

    name: str
    protocol: str
    protocol_of_points: str | None = None
    needs: frozenset = frozenset()
    slow: bool = False

    def data(self, context):
        """The `EvaluationData` that it looks at."""
        return context.data

    def check(self, context):  # noqa: B027 - most measures need nothing beside `needs`
        """Raises InputError if the model, the data or the settings of a `Context` do not go with the measure."""

    @abc.abstractmethod
    def parts(self, context):
        """Its parts, as an iterable of `Part`."""

    @abc.abstractmethod
    def lines(self, found, report) -> list[str]:
        """Its results as lines of text for a person.

        Args:
          found: the results, a list of rows or a mapping of numbers.
          report: the whole report.
        """

    def protocol_for(self, examples: str) -> str:
        """The protocol, for "images" or "points"."""
        return (self.protocol_of_points or self.protocol) if examples == "points" else self.protocol


class ModelMeasure(Measure):
    """A measure that gives one mapping of numbers for a model."""

    title: str = ""  # above its numbers; "" = its name

    @abc.abstractmethod
    def measure(self, model, examples, seed) -> dict:
        """The numbers.

        Args:
          model: a Game.
          examples: float32 [N, ...], the queries; None without "queries" among `needs`.
          seed: of samples.
        """

    def parts(self, context):
        def measure():
            examples = context.examples if "queries" in self.needs else None
            return self.measure(context.model, examples, context.settings.seed)

        yield Part(self.name, measure)

    def lines(self, found, report):
        return [self.title or self.name, *[f"  {name:32}{value:16.3f}" for name, value in found.items()]]


class FeatureMeasure(Measure):
    """A measure of feature spaces: of the model's layers, of those of untrained encoders, and of raw examples."""

    title: str = ""
    needs = frozenset({"gallery", "queries", "labels"})

    @abc.abstractmethod
    def measure(self, gallery, gallery_labels, queries, query_labels) -> list[dict]:
        """The rows of one feature space.

        Args:
          gallery, queries: float32 [N, D] and [Q, D].
          gallery_labels, query_labels: int64 [N] and [Q].
        """

    def check(self, context):
        context.check_features()

    def parts(self, context):
        def measure(index):
            features = context.features(index)
            dimensions = features[0].shape[1]
            return [{"dimensions": dimensions, **row} for row in self.measure(*features)]

        for index, space in enumerate(context.spaces):
            title = f"{self.name}: {space.title.format(space.layer)}"
            yield Part(title, lambda index=index: measure(index), space.key, index)

    def lines(self, found, report):
        """The mean of "accuracy" in percent over seeds, a line for each feature space."""
        heads = row_heads(found)
        return [self.title or self.name] + [
            f"{head}{spread(values(report, self.name, **space)):>16}" for head, space in heads
        ]


def find_measure(measure) -> Measure:
    """A measure by its name in `registry.MEASURES`; a `Measure` is given back as it is.

    Raises:
      InputError: an unknown name; the message says the nearest one.
    """
    if isinstance(measure, Measure):
        return measure
    if measure not in registry.MEASURES:
        raise InputError(f"unknown metric {measure!r}.{did_you_mean(measure, registry.MEASURES)}")
    return registry.find(registry.MEASURES[measure])()
