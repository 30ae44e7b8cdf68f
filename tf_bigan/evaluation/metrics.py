"""The measures of Donahue et al. 2017: features by neighbours, reconstruction, samples.

Each returns plain numbers for one encoder; `evaluate` puts them beside their baselines.
"""

import numpy as np

from tf_bigan.evaluation.neighbours import METRICS, nearest, vote

NEIGHBOURS = (1, 5)  # the k of k-NN
SAMPLES = (1_000, 10_000, 100_000)  # G's samples behind NND/100, NND/10 and NND
_SAMPLES_AT_ONCE = 10_000


def knn(gallery, gallery_labels, queries, query_labels):
    """k-NN accuracy in a feature space.

    Args:
      gallery, queries: float32 [N, ...] and [Q, ...] features, flattened here.
      gallery_labels, query_labels: int64 [N] and [Q].

    Returns:
      A list of {"metric", "k", "accuracy"}, accuracy in percent.
    """
    gallery, queries = gallery.reshape(len(gallery), -1), queries.reshape(len(queries), -1)
    ks = [k for k in NEIGHBOURS if k <= len(gallery)]
    rows = []
    for metric in METRICS:
        indices, _ = nearest(queries, gallery, max(ks), metric)
        for k in ks:
            right = vote(gallery_labels, indices, k) == query_labels
            rows.append({"metric": metric, "k": k, "accuracy": _percent(right)})
    return rows


def reconstruction(model, examples, seed=0):
    """Reconstruction errors beside those against the wrong example.

    All are means of Euclidean distances over pixels in [0, 1], or over coordinates of points.

    Args:
      model: a Game with an encoder and a generator.
      examples: float32 [N, ...] in the model's domain, unseen in training.
      seed: of the N samples.

    Returns:
      {"EGr": x to G(E(x)); "EGr_b": x to the reconstruction of the next example, cyclically; "EGg", "EGg_b": the
      same for samples in place of examples, those of images rounded to 8 bits}. Where G's images are smaller than
      E's, x is reduced to theirs, and samples, which E cannot take, are left out.
    """
    seen = {"EGr": examples}
    if not model.encoder_is_larger:
        samples = model.generate(len(examples), seed=seed)
        seen["EGg"] = np.round(samples * 255.0) / 255.0 if model.domain.name == "images" else samples
    errors = {}
    for name, x in seen.items():
        reconstructed, reduced = model.reconstruct(x), model.reduced(x)
        errors[name] = _mean_distance(reduced, reconstructed)
        errors[f"{name}_b"] = _mean_distance(reduced, np.roll(reconstructed, -1, axis=0))
    return errors


def nearest_samples(model, examples, seed=0):
    """NND: mean Euclidean distance from each example to the nearest of G's samples.

    Args:
      model: a Game with a generator.
      examples: float32 [N, ...] in the model's domain, unseen in training.
      seed: of the samples; their order fixes which 1,000 are the first.

    Returns:
      {"NND/100": among 1,000 samples, "NND/10": 10,000, "NND": 100,000}.
    """
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


def _mean_distance(a, b):
    return float(np.linalg.norm((a - b).reshape(len(a), -1), axis=1).mean())


def _percent(right):
    return 100.0 * float(np.mean(right))
