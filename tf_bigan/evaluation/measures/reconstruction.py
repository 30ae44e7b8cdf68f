"""Reconstruction errors, beside the errors of another example's reconstruction (Donahue et al. 2017, section 4.1)."""

import numpy as np

from tf_bigan.evaluation.measure import Headline, ModelMeasure


class Reconstruction(ModelMeasure):
    """How well G(E(x)) reconstructs x, for queries and for samples."""

    name = "reconstruction"
    protocol = "mean Euclidean distance over pixels in [0, 1]; _b: against the next image's reconstruction"
    protocol_of_points = "mean Euclidean distance over coordinates; _b: against the next point's reconstruction"
    needs = frozenset({"encoder", "generator", "queries"})

    def measure(self, model, examples, seed):
        return reconstruction(model, examples, seed)

    def headline(self, found, report):
        of = report.get("examples", "images")
        shuffled = {f"against other {of}": found["EGr_b"]}
        return Headline("reconstruction error", found["EGr"], "", shuffled, lower_is_better=True)

    def lines(self, found, report):
        yield f"{'reconstruction error':34}{'paired':>16}{'shuffled':>16}"
        for name, of in (("EGr", f"{report.get('examples', 'images')} (EGr, EGr_b)"), ("EGg", "samples (EGg, EGg_b)")):
            if name in found:
                yield f"  {of:32}{found[name]:16.3f}{found[f'{name}_b']:16.3f}"


def reconstruction(model, examples, seed=0):
    """Reconstruction errors, beside the errors of another example's reconstruction as a baseline.

    All errors are mean Euclidean distances, over pixels in [0, 1] or over coordinates of points.

    Args:
      model: a Game with an encoder and a generator.
      examples: float32 [N, ...] in the model's domain, unseen in training.
      seed: seed of the N samples.

    Returns:
      {"EGr": distance of x to G(E(x)); "EGr_b": distance of x to the reconstruction of the next example, cyclically;
      "EGg", "EGg_b": the same for samples of G in place of examples, where images are rounded to 8 bits}. If G's images
      are smaller than E's, x is reduced to the size of G's images, and "EGg" and "EGg_b" are left out, as E cannot take
      samples.
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


def _mean_distance(a, b):
    return float(np.linalg.norm((a - b).reshape(len(a), -1), axis=1).mean())
