"""Distance from held-out examples to the nearest of many samples (Donahue et al. 2017, section 4.1)."""

import numpy as np

from tf_bigan.evaluation.measure import ModelMeasure

SAMPLES = (1_000, 10_000, 100_000)  # numbers of G's samples for NND/100, NND/10 and NND
_SAMPLES_AT_ONCE = 10_000


class NearestSamples(ModelMeasure):
    """Mean distance from each query to the nearest of G's samples."""

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
      seed: seed of the samples. NND/100 and NND/10 use the first 1,000 and 10,000 of the 100,000 samples.

    Returns:
      {"NND/100": distance to the nearest of 1,000 samples, "NND/10": of 10,000, "NND": of 100,000}.
    """
    from tf_bigan.evaluation.neighbours import nearest  # imports TensorFlow

    flat = model.reduced(examples).reshape(len(examples), -1)
    best = np.full(len(examples), np.inf, np.float32)
    names = dict(zip(SAMPLES, ("NND/100", "NND/10", "NND"), strict=True))
    found, drawn = {}, 0
    while drawn < max(SAMPLES):
        count = min(s for s in SAMPLES if s > drawn) - drawn
        count = min(count, _SAMPLES_AT_ONCE)
        # Each chunk has its own seed, or it would repeat the samples of the others.
        samples = model.generate(count, seed=seed + drawn)
        best = np.minimum(best, nearest(flat, samples.reshape(count, -1))[1][:, 0])
        drawn += count
        if drawn in names:
            found[names[drawn]] = float(best.mean())
    return found
