"""The inputs that all measures of one evaluation share: the model and its baselines, feature spaces, and data."""

import collections.abc
import dataclasses
import functools
import math
import os

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_transfer_data
from tf_bigan.games import make_game

_BATCH = 512  # examples at a time
_FOLLOWED = 100  # batches that update an untrained network's running averages; 0.6 % of the initial values remains


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The model's encoder, or an untrained one.

    Attributes:
      kind: "trained" or "untrained".
      seed: the seed of its initial weights.
      game: function without arguments that returns the Game with this encoder.
    """

    kind: str
    seed: int
    game: collections.abc.Callable


@dataclasses.dataclass(frozen=True)
class Space:
    """A feature space: a layer of an encoder, or the raw examples.

    Attributes:
      layer: the layer's name; of raw examples "pixels" or "coordinates".
      key: the entries that identify this space in every row of results measured in it.
      title: text for lines of progress that names the encoder and has a placeholder "{}" for the names of layers.
      functions: function of a list of layer names. It returns a function from a batch of examples to a list that has
        the features [n, ...] of each of these layers.
    """

    layer: str
    key: dict
    title: str
    functions: collections.abc.Callable


class Context:
    """The inputs of measures.

    Attributes:
      model: a trained Game.
      experiment: the model's Experiment.
      data: an `EvaluationData`.
      settings: an `EvaluationSettings`.
      say: function that is called with each line of progress.
      encoders: list of `Encoder`s, the trained one first. The untrained ones have the same architecture. They are
        initialised from the run's seed and the seeds that follow it, and take their inference statistics from batches
        of the gallery.
      spaces: list of `Space`s: the layers of each encoder, and then the raw examples.
    """

    def __init__(self, model, experiment, data, settings, say):
        self.model, self.experiment, self.data, self.settings, self.say = model, experiment, data, settings, say
        self.encoders = [Encoder("trained", experiment.seed, lambda: model)]
        for seed in range(experiment.seed, experiment.seed + settings.untrained):
            self.encoders.append(Encoder("untrained", seed, functools.cache(functools.partial(self._untrained, seed))))
        self.spaces = self._spaces()
        self._held, self._ahead = {}, []  # features by the index of their space; indices of the spaces expected next

    @functools.cached_property
    def examples(self):
        """The queries, float32 [N, ...]."""
        return self.data.queries.arrays()[0]

    @functools.cached_property
    def transfer_data(self):
        """The `EvaluationData`, prepared as the classifiers of transfer measures take it."""
        return open_transfer_data(self.experiment, self.data, self.settings.transfer_size)

    def check_features(self):
        """Raises InputError unless the model has the requested layers, and the raw gallery fits in memory."""
        for layer in self._layers():
            if layer != "code":
                self.model.layer_name(layer)  # raises for an unknown one
        if self.settings.pool and self.model.domain.name == "points":
            raise InputError("networks of points have no maps that --pool could average")
        _check_memory("gallery", self.data.gallery, int(np.prod(self.experiment.example_shape)))

    def expect(self, spaces):
        """Announces the spaces whose features will be requested next, so that one pass over the data can serve several.

        Args:
          spaces: indices in `spaces`; None entries are ignored.
        """
        self._ahead = list(dict.fromkeys(space for space in spaces if space is not None))

    def features(self, index):
        """The features of a space.

        A pass over the data also gives the features that are expected next of the same encoder, as long as an example
        has not more of them than the widest layer gives. So memory holds no more than that layer needs. Features that
        are not expected again are dropped.

        Args:
          index: the space's index in `spaces`.

        Returns:
          [gallery features float32 [N, D], gallery labels int64 [N], query features float32 [Q, D], query labels
          int64 [Q]].

        Raises:
          InputError: features that do not fit in this machine's memory, or images that cannot be decoded.
        """
        if index not in self._held:
            self._held = {}
            space = self.spaces[index]
            together = self._that_fit(space, [index, *(other for other in self._ahead if other != index)])
            layers = [self.spaces[each].layer for each in together]
            self.say(f"features: {space.title.format(', '.join(layers))}")
            self._held = dict(zip(together, _features(space.functions(layers), self.data), strict=True))
        return self._held[index] if index in self._ahead else self._held.pop(index)

    def _that_fit(self, space, indices):
        """Chooses the spaces that one pass computes: the first, and others of its encoder that fit beside it."""
        indices = [index for index in indices if self.spaces[index].functions is space.functions]
        if len(indices) == 1:
            return indices
        chosen, total = [], 0
        for index in indices:
            width = self._widths[self.spaces[index].layer]
            if not chosen or total + width <= max(self._widths.values()):
                chosen.append(index)
                total += width
        return chosen

    @functools.cached_property
    def _widths(self):
        """Layer -> how many features it has for an example."""
        examples, _ = next(iter(self.data.queries.batches(1)))
        found = self.spaces[0].functions(self._layers())(examples)
        return {layer: math.prod(features.shape[1:]) for layer, features in zip(self._layers(), found, strict=True)}

    def _layers(self):
        return self.settings.layers_or(("penultimate", "outputs"))

    def _spaces(self):
        spaces = []
        for encoder in self.encoders:
            functions = functools.partial(_layer_functions, encoder.game, self.settings.pool)
            title = f"{{}} of {encoder.kind} ({encoder.seed})"
            for layer in self._layers():
                key = {"encoder": encoder.kind, "layer": layer, "seed": encoder.seed, "pool": self.settings.pool}
                spaces.append(Space(layer, key, title, functions))
        raw = "coordinates" if self.model.domain.name == "points" else "pixels"
        # Raw images are measured at the size that D and G have, which can be smaller than E's.
        spaces.append(
            Space(raw, {"encoder": raw, "layer": raw}, "raw {}", lambda layers: lambda x: [self.model.reduced(x)])
        )
        return spaces

    def _untrained(self, seed):
        experiment, gallery = self.experiment, self.data.gallery
        game = make_game(dataclasses.replace(experiment, seed=seed))
        size = min(experiment.batch_size, gallery.count)
        batches = gallery.training_batches(size, seed, crop=experiment.crop, flip=experiment.flip)
        if not game.estimate_statistics(batches, experiment.statistics_steps, networks=[game.feature_network]):
            game.follow_statistics(batches, _FOLLOWED)
        return game


def _layer_functions(game, pool, layers):
    function = game().feature_function(layers)

    def pooled(features):
        if not pool or len(features.shape) != 4 or max(features.shape[1:3]) <= pool:
            return features
        return tf.image.resize(features, (pool, pool), "area")

    return lambda images: [pooled(features) for features in function(images)]


def _check_memory(role, split, dimensions):
    """Raises InputError if the float32 features of all examples do not fit in memory, before it is full."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 4 * dimensions * split.count
    if needed > memory:
        fewer = f"--{role}_split={split.split.partition('[')[0]}[:{memory // (8 * dimensions)}]"
        hint = f"{fewer if split.split else 'Fewer images'} and --pool take less"
        raise InputError(
            f"{dimensions} features of each of {split.count} {split.domain.name} take {needed / 1e9:.0f} GB, more than "
            f"this machine's {memory / 1e9:.0f} GB of memory.\n{hint}"
        )


def _features(function, data):
    """For each feature that `function` returns: gallery [N, D], its labels [N], queries [Q, D], their labels [Q]."""
    spaces = []
    for role, split in (("gallery", data.gallery), ("query", data.queries)):
        labels, start = np.empty(split.count, np.int64), 0
        columns = []
        for images, of_batch in split.batches(_BATCH):
            found = [np.reshape(features, (len(images), -1)) for features in function(images)]
            if not columns:
                _check_memory(role, split, sum(features.shape[1] for features in found))
                columns = [np.empty((split.count, features.shape[1]), np.float32) for features in found]
            here = slice(start, start := start + len(images))
            for column, features in zip(columns, found, strict=True):
                column[here] = features
            labels[here] = of_batch
        spaces.append([(column, labels) for column in columns])
    return [[*gallery, *queries] for gallery, queries in zip(*spaces, strict=True)]
