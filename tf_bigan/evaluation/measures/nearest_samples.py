"""Distance from held-out examples to the nearest of many samples (Donahue et al. 2017, section 4.1)."""

import numpy as np

from tf_bigan.evaluation.measure import ModelMeasure

SAMPLES = (1_000, 10_000, 100_000)  # G's samples behind NND/100, NND/10 and NND
_SAMPLES_AT_ONCE = 10_000


class NearestSamples(ModelMeasure):
    """How near G's samples come to each query."""

    name = "nnd"
    title = "distance to the nearest sample"
    protocol = "mean Euclidean distance from each query to the nearest of 1,000, 10,000 and 100,000 samples"
    needs = frozenset({"generator", "queries"})

    def measure(self, model, examples, seed):
        return nearest_samples(model, examples, seed)


def nearest_samples(model, examples, seed=0):
    """NND: mean Euclidean distance from each example to the nearest of G's samples.

    Args:
      model: a Game with a generator.
      examples: float32 [N, ...] in the model's domain, unseen in training.
      seed: of the samples; their order fixes which 1,000 are the first.

    Returns:
      {"NND/100": among 1,000 samples, "NND/10": 10,000, "NND": 100,000}.
    """
    from tf_bigan.evaluation.neighbours import nearest  # imports TensorFlow

    flat = model.reduced(examples).reshape(len(examples), -1)
    best = np.full(len(examples), np.inf, np.float32)
    names = dict(zip(SAMPLES, ("NND/100", "NND/10", "NND"), strict=True))
    found, drawn = {}, 0
    while drawn < max(SAMPLES):
        count = min(s for s in SAMPLES if s > drawn) - drawn
        count = min(count, _SAMPLES_AT_ONCE)
        # Every chunk has a seed of its own.
        samples = model.generate(count, seed=seed + drawn)
        best = np.minimum(best, nearest(flat, samples.reshape(count, -1))[1][:, 0])
        drawn += count
        if drawn in names:
            found[names[drawn]] = float(best.mean())
    return found
