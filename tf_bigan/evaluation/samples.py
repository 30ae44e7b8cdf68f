"""Features of samples and of real images in a feature network, which the measures of sample quality share."""

import dataclasses
import functools
import hashlib

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.feature_networks import as_feature_network
from tf_bigan.evaluation.kept_features import KeptFeatures
from tf_bigan.evaluation.sample_statistics import Moments
from tf_bigan.games.conditioned import conditioned
from tf_bigan.memory import machine_memory
from tf_bigan.progress import counted

_BATCH = 500  # images at a time; samples depend on it, as each batch has its own seed
_PROBED = 64  # images whose pixels identify a data set


@dataclasses.dataclass
class Features:
    """A set of images as a feature network sees it.

    Attributes:
      moments: `Moments` of the features of all images.
      features: float32 [n, d]: the features of all images, or of an evenly spaced part of them.
      probabilities: float32 [n, classes] of the same images; None if the network does not classify.
    """

    moments: Moments
    features: np.ndarray
    probabilities: np.ndarray | None

    def arrays(self) -> dict:
        """The arrays to keep; `from_arrays` is the inverse."""
        found = {**self.moments.state(), "features": self.features}
        return found if self.probabilities is None else {**found, "probabilities": self.probabilities}

    @classmethod
    def from_arrays(cls, count, mean, scatter, features, probabilities=None):
        """See `arrays`."""
        return cls(Moments.from_state(count, mean, scatter), features, probabilities)


class SampleFeatures:
    """Features of a model's samples, of the gallery and of the queries, each computed when it is first asked for.

    The gallery and the queries are reduced to the size of G's images if E takes larger ones. Samples are rounded to 256
    levels, as real images are.

    Args:
      model, queries: a Game, and the record of the queries, whose conditions a conditional model takes in random order;
        None for a model without conditions.
      data: an `EvaluationData`.
      settings: an `EvaluationSettings` with a feature network.
      say: function that is called with each line of progress.

    Attributes:
      network: the `FeatureNetwork`.

    Raises:
      InputError: the settings' feature network is none.
    """

    def __init__(self, model, queries, data, settings, say):
        self.network = as_feature_network(settings.feature_network)
        self._model, self._queries, self._data, self._settings, self._say = model, queries, data, settings, say
        self._kept = KeptFeatures(settings.statistics, say)

    @functools.cached_property
    def samples(self) -> Features:
        """Of `EvaluationSettings.samples` samples; they follow from the evaluation's seed."""
        count = self._settings.samples
        return self._collect(self._batches_of_samples(count), count, count, "samples")

    @functools.cached_property
    def gallery(self) -> Features:
        """Of the gallery. `Features.features` is limited to as many images as there are samples."""
        return self._of_real(self._data.gallery, "images of the gallery")

    @functools.cached_property
    def queries(self) -> Features:
        """Of the queries, limited in the same way."""
        return self._of_real(self._data.queries, "queries")

    def _batches_of_samples(self, count):
        seed = self._settings.seed
        order = None
        if self._model.conditions:  # those of folders are sorted by class
            order = np.random.RandomState(seed % 2**32).permutation(len(self._queries["x"]))
        for number, start in enumerate(range(0, count, _BATCH)):
            size, model = min(_BATCH, count - start), self._model
            if order is not None:
                rows = order[np.arange(start, start + size) % len(order)]
                model = conditioned(model, {name: values[rows] for name, values in self._queries.items()})
            yield np.round(model.generate(size, seed=batch_seed(seed, number)) * 255.0) / 255.0

    def _of_real(self, part, what):
        kept = min(part.count, self._settings.samples)
        key = self._key(part, kept)
        if found := self._kept.load(key):
            return Features.from_arrays(**found)
        batches = (self._reduced(images.numpy()) for images, _ in part.batches(_BATCH))
        found = self._collect(batches, part.count, kept, what)
        self._kept.save(key, found.arrays())
        return found

    def _reduced(self, images):
        return self._model.reduced(images)

    def _key(self, part, kept):
        """What the features of a part of the data depend on."""
        probed = np.unique(np.linspace(0, part.count - 1, min(part.count, _PROBED)).astype(np.int64))
        images = self._reduced(part.read(probed)[0].numpy())
        return {
            "data": part.name,
            "split": part.split,
            "count": part.count,
            "preparation": part.preparation.to_json(),
            "shape": list(images.shape[1:]),
            "files": part.state(),  # those that were replaced may not be among the probed
            "pixels": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
            "kept": kept,
            "network": self.network.name,
            "weights": self.network.digest,
            "resized": self.network.preparation,
        }

    def _collect(self, batches, count, kept, what):
        """The `Features` of `count` images, which come in batches; `kept` of their rows, evenly spaced, are kept."""
        rows = np.arange(kept) * count // kept
        self._say(f"features of {count:,} {what} in {self.network.name}")
        moments, parts, done = None, [], 0
        for images in counted(batches, f"features in {self.network.name}", count, what, len):
            try:
                features, probabilities = self.network.outputs(images)
            except InputError as error:
                raise InputError(f"{what} {done} to {done + len(images) - 1}: {error}") from None
            if moments is None:
                _check_memory(features.shape[1], kept, self.network.name)
                moments = Moments(features.shape[1])
            moments.add(features)
            chosen = rows[np.searchsorted(rows, done) : np.searchsorted(rows, done + len(images))] - done
            parts.append((features[chosen], None if probabilities is None else probabilities[chosen]))
            done += len(images)
        features, probabilities = (list(column) for column in zip(*parts, strict=True))
        classes = np.concatenate(probabilities) if self.network.classifies else None
        return Features(moments, np.concatenate(features), classes)


def batch_seed(seed, number) -> int:
    """The seed of batch `number` of an evaluation's samples: no batch repeats another, of this evaluation or others.

    Args:
      seed: the evaluation's seed, any whole number.
      number: 0, 1, ...

    Returns:
      0 ... 2^61 - 1, drawn from (seed, number). Codes are drawn from three times a seed, as 64 bits.
    """
    drawn = np.random.SeedSequence([seed % 2**64, number]).generate_state(1, np.uint64)
    return int(drawn[0]) >> 3


def _check_memory(dimensions, kept, name):
    """Raises InputError if features of `dimensions`, or their covariances, do not fit in memory, before it is full."""
    memory = machine_memory()
    needed = 8 * 4 * dimensions**2 + 2 * 4 * kept * dimensions
    if needed > memory:
        raise InputError(
            f"{dimensions:,} features of {name} take {needed / 1e9:.0f} GB with their covariances, more than this "
            f"machine's {memory / 1e9:.0f} GB of memory.\nGive a layer with fewer features, or fewer --samples"
        )
