"""The inputs that all measures of one evaluation share: the model and its baselines, feature spaces, and data."""

import collections.abc
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_transfer_data
from tf_bigan.evaluation.features import FeatureStore, check_memory
from tf_bigan.evaluation.kmeans import patch_features
from tf_bigan.evaluation.samples import SampleFeatures
from tf_bigan.games import make_game
from tf_bigan.games.conditioned import conditioned
from tf_bigan.games.inspection import base_layer

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
      layer: the layer's name, or the names of several whose features are concatenated, joined by "+"; of raw examples
        "pixels" or "coordinates".
      key: the entries that identify this space in every row of results measured in it.
      title: text for lines of progress that names the encoder and has a placeholder "{}" for the names of layers.
      functions: function of a list of layer names. It returns a function from a batch of examples to a list that has
        the features [n, ...] of each of these layers.
      raw: whether these are raw examples, or features without a network.
    """

    layer: str
    key: dict
    title: str
    functions: collections.abc.Callable
    raw: bool = False


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
        of the gallery. Networks that the system inherits from another run are the trained model's: an encoder that
        learns from samples, as that of `LearnedInverse`, takes its statistics from samples of the same G. Labels and
        attributes are 0 meanwhile, as no layer that is measured depends on them.
      spaces: list of `Space`s: the layers of each encoder, then the raw examples, then, if the settings ask for it,
        features by K-means on patches.

    Args:
      model, experiment, data, settings, say: see above.
      layers: names of the layers that the measures use, as in `Space`.
    """

    def __init__(self, model, experiment, data, settings, say, layers=()):
        self.model, self.experiment, self.data, self.settings, self.say = model, experiment, data, settings, say
        self.encoders = [Encoder("trained", experiment.seed, lambda: model)]
        for seed in range(experiment.seed, experiment.seed + settings.untrained):
            self.encoders.append(Encoder("untrained", seed, functools.cache(functools.partial(self._untrained, seed))))
        self._layers = layers
        self.spaces = self._spaces()
        self._stored, self._ahead = (), []  # a `FeatureStore`; indices of the spaces that are expected next

    @functools.cached_property
    def queries(self):
        """The queries as a record of arrays."""
        return self.data.queries.records()

    @property
    def examples(self):
        """The queries, float32 [N, ...]."""
        return self.queries["x"]

    @functools.cached_property
    def conditioned_model(self):
        """The model. If it is conditional, it has the conditions of the queries: see `games.conditioned`."""
        return conditioned(self.model, self.queries) if self.model.conditions else self.model

    @functools.cached_property
    def sample_features(self):
        """The `SampleFeatures` of the settings' feature network, which all measures of samples share."""
        queries = self.queries if self.model.conditions else None
        return SampleFeatures(self.model, queries, self.data, self.settings, self.say)

    @functools.cached_property
    def transfer_data(self):
        """The `EvaluationData`, prepared as the classifiers of transfer measures take it."""
        return open_transfer_data(self.experiment, self.data, self.settings.transfer_size)

    def check_features(self):
        """Raises InputError unless the model has the requested layers, and the raw gallery fits in memory."""
        for layer in (name for layers in self._layers for name in layers.split("+")):
            self.model.feature_name(layer)  # raises for an unknown one
            if base_layer(layer) == "code" and self.model.encoder is None:
                raise InputError(f"{self.experiment.system} has no encoder, so it has no layer 'code'")
            if asked := self.model.conditions_of_layer(layer):
                raise InputError(
                    f"layer {layer!r} of {self.experiment.system} depends on {asked[0]}, and features are of "
                    f"{self.model.domain.name} alone; give other --layers"
                )
        if self.settings.pool and self.model.domain.name == "points":
            raise InputError("networks of points have no maps that --pool could average")
        if self.settings.kmeans and self.model.domain.name == "points":
            raise InputError("points have no patches, so --kmeans is not for them")
        if self.settings.kmeans:
            self.settings.kmeans.check(self.experiment.example_shape[:2])
        check_memory("gallery", self.data.gallery, int(np.prod(self.experiment.example_shape)))

    def expect(self, spaces):
        """Announces the spaces whose features will be requested next, so that one pass over the data can serve several.

        Args:
          spaces: indices in `spaces`; None entries are ignored.
        """
        self._ahead = list(dict.fromkeys(space for space in spaces if space is not None))

    def features(self, index):
        """The features of a space.

        The pass over the data that gives them also gives those of the expected spaces of the same encoder. They wait on
        disk until they are asked for.

        Args:
          index: the space's index in `spaces`.

        Returns:
          [gallery features float32 [N, D], gallery labels int64 [N], query features float32 [Q, D], query labels
          int64 [Q]]. The arrays are the caller's own.

        Raises:
          InputError: features that do not fit in this machine's memory or on its disk, or images that cannot be
            decoded.
        """
        if index not in self._stored:
            self._stored = ()  # its files go before others come
            space = self.spaces[index]
            alike = (other for other in self._ahead if self.spaces[other].functions is space.functions)
            together = list(dict.fromkeys([index, *alike]))
            layers = [self.spaces[each].layer for each in together]
            self.say(f"features: {space.title.format(', '.join(layers))}")
            self._stored = FeatureStore(self.data, together, space.functions(layers))
        loaded = self._stored.load(index)
        if not any(other in self._stored for other in self._ahead):
            self._stored = ()
        return loaded

    def _spaces(self):
        spaces = []
        for encoder in self.encoders:
            functions = functools.partial(_layer_functions, encoder.game, self.settings.pool)
            title = f"{{}} of {encoder.kind} ({encoder.seed})"
            for layer in self._layers:
                key = {"encoder": encoder.kind, "layer": layer, "seed": encoder.seed, "pool": self.settings.pool}
                spaces.append(Space(layer, key, title, functions))
        raw = "coordinates" if self.model.domain.name == "points" else "pixels"
        # Raw images are measured at the size that D and G have, which can be smaller than E's.
        key = {"encoder": raw, "layer": raw}
        spaces.append(Space(raw, key, "raw {}", lambda layers: lambda x: [self.model.reduced(x)], raw=True))
        if kmeans := self.settings.kmeans:
            key = {"encoder": "kmeans", "layer": kmeans.title, "seed": self.settings.seed}
            spaces.append(Space(kmeans.title, key, "kmeans {}", self._patch_functions, raw=True))
        return spaces

    def _patch_functions(self, layers):
        del layers  # there is one
        features = patch_features(self, self.model.reduced)
        return lambda images: [features(np.asarray(self.model.reduced(images)))]

    def _untrained(self, seed):
        experiment, gallery = self.experiment, self.data.gallery
        game = make_game(dataclasses.replace(experiment, seed=seed, average_decay=0.0))
        for role in game.inherits:
            game.networks[role].set_weights(self.model.networks[role].get_weights())
        size = min(experiment.batch_size, gallery.count)
        batches = gallery.training_batches(size, seed, crop=experiment.crop, flip=experiment.flip)
        records = (_idle_record(game, batch["x"]) for batch in batches)
        if not game.estimate_statistics(records, experiment.statistics_steps, networks=[game.feature_network]):
            game.follow_statistics(records, _FOLLOWED)
        return game


def _idle_record(game, x):
    """A record of examples with 0 for every label and attribute that the networks take, whatever the data has."""
    record = {"x": x, "label": tf.zeros(x.shape[:1], tf.int64)}
    for network in game.networks.values():
        record |= game.idle_conditions(network, len(x))
    return record


def _layer_functions(game, pool, layers):
    parts = [layer.split("+") for layer in layers]
    single = list(dict.fromkeys(name for names in parts for name in names))
    function = game().feature_function(single)

    def pooled(features):
        if not pool or len(features.shape) != 4 or max(features.shape[1:3]) <= pool:
            return features
        return tf.image.resize(features, (pool, pool), "area")

    def joined(features):
        if len(features) == 1:
            return features[0]
        return tf.concat([tf.reshape(each, (each.shape[0], -1)) for each in features], axis=1)

    def of_layers(images):
        found = dict(zip(single, map(pooled, function(images)), strict=True))
        return [joined([found[name] for name in names]) for names in parts]

    return of_layers
