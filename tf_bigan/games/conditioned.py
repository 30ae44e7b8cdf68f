"""A conditional model with conditions at hand, for code that knows nothing of conditions."""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.games.inspection import conditions_of


def conditioned(model, record):
    """`model` itself if it takes no conditions; otherwise, the model with those of the examples of `record`.

    Args:
      model: a Game.
      record: "x" and, if the model takes them, "label" and "attributes" of the same examples, as arrays.

    Raises:
      InputError: the record lacks what the model takes, or has no example.
    """
    if not model.conditions:
        return model
    if missing := [name for name in model.conditions if record.get(name) is None]:
        raise InputError(f"{model.name} needs {missing[0]}, and the data has none")
    if not len(record["x"]):
        raise InputError(f"{model.name} needs at least one example whose {model.conditions[0]} it takes")
    return Conditioned(model, {name: np.asarray(record[name]) for name in model.conditions})


class Conditioned:
    """A conditional model whose `encode`, `generate` and `reconstruct` need no conditions to be given.

    They give row i the conditions of example i, and begin again from the first example after the last. So examples are
    to be given in the order in which the conditions are. Everything else is as in the model.

    Args:
      model: a Game.
      conditions: "label" and "attributes" of examples, those of them that the model takes.
    """

    def __init__(self, model, conditions):
        self._model, self._conditions = model, conditions

    def __getattr__(self, name):
        return getattr(self._model, name)

    def encode(self, examples, **options):
        """See `PairModel.encode`."""
        return self._model.encode(examples, **options, **self._of(self._model.encoder, len(examples)))

    def generate(self, count=None, seed=0, z=None, **options):
        """See `PairModel.generate`."""
        conditions = self._of(self._model.generator, count if z is None else len(z))
        return self._model.generate(count, seed, z, **options, **conditions)

    def reconstruct(self, examples, **options):
        """See `PairModel.reconstruct`."""
        both = {
            name: values
            for network in (self._model.encoder, self._model.generator)
            for name, values in self._of(network, len(examples)).items()
        }
        return self._model.reconstruct(examples, **options, **both)

    def _of(self, network, count):
        rows = {name: np.arange(count) % len(values) for name, values in self._conditions.items()}
        return {name: self._conditions[name][rows[name]] for name in conditions_of(network)}
