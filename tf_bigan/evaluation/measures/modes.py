"""Coverage of a mixture of Gaussians whose components are known (Dumoulin et al. 2017, section 4.1 and appendix)."""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Headline, ModelMeasure

SAMPLES = 10_000
NEAR = 3.0  # standard deviations within which a sample is of high quality (Srivastava et al. 2017, VEEGAN)
ENOUGH = 20  # high-quality samples with which a mode counts as covered, beyond chance


_COUNTS = {
    "modes": "modes with any sample",
    "modes_near": "modes with one within 3 sigma",
    "modes_covered": "modes with 20 within 3 sigma",
}
_MEASURES = {
    "high_quality": "share within 3 sigma",
    "kl": "KL of the modes' shares from even, nats",
    "reconstruction": "reconstruction error, paired",
    "reconstruction_b": "reconstruction error, shuffled",
}


class Modes(ModelMeasure):
    """Coverage of the data set `mixture`."""

    name = "modes"
    protocol = (
        "10,000 samples, each of the nearest of the 25 means; high quality is within 3 standard deviations of it; a "
        "mode is covered by 20 such samples; KL of the modes' shares from even ones, in nats; reconstruction: mean "
        "Euclidean distance of the queries to G of the posterior's mean, and to that of the next query"
    )
    needs = frozenset({"generator", "queries"})

    def check(self, context):
        from tf_bigan.data import mixture  # imports TensorFlow

        if context.data.query_dataset != mixture.NAME:
            raise InputError(
                f"modes needs the data set {mixture.NAME!r}, whose components are known, not {context.data.dataset}"
            )

    def measure(self, model, examples, seed):
        return modes(model, examples, seed)

    def headline(self, found, report):
        title = f"samples within 3 sigma, %, with {found['modes_covered']} of 25 modes covered"
        return Headline(title, 100.0 * found["high_quality"])

    def lines(self, found, report):
        yield f"of {found['samples']} samples"
        yield from (f"  {title:42}{found[name]:6}" for name, title in _COUNTS.items())
        yield from (f"  {title:42}{found[name]:10.3f}" for name, title in _MEASURES.items() if name in found)


def modes(model, points, seed=0) -> dict:
    """How many of the mixture's modes a model's samples cover, how well, and how well E and G invert each other.

    Each sample is assigned to the nearest mean. As all components have the same variance and weight, that is the
    component with the highest responsibility.

    Args:
      model: a Game of 2-D points with a generator.
      points: float32 [N, 2], unseen in training, which are reconstructed.
      seed: seed of the 10,000 samples.

    Returns:
      {"samples": number of samples; "modes": number of modes with any sample; "modes_near": number of modes with a
      sample within 3 standard deviations of the mean; "modes_covered": number of modes with at least 20 such samples;
      "high_quality": the share of samples within 3 standard deviations; "kl": Kullback-Leibler divergence of the modes'
      shares of samples from even shares, in nats}. With an encoder also {"reconstruction": mean Euclidean distance of
      the points x to G(E(x)), where E(x) is the posterior's mean; "reconstruction_b": mean Euclidean distance of each
      point to the reconstruction of the next point}.
    """
    from tf_bigan.data import mixture  # these import TensorFlow
    from tf_bigan.evaluation.neighbours import nearest

    centres = mixture.means()
    found, distances = nearest(model.generate(SAMPLES, seed=seed), centres, 1)
    found, near = found[:, 0], distances[:, 0] <= NEAR * mixture.SIGMA
    shares = np.bincount(found, minlength=len(centres)) / SAMPLES
    of_near = np.bincount(found[near], minlength=len(centres))
    used = shares[shares > 0]
    row = {
        "samples": SAMPLES,
        "modes": int((shares > 0).sum()),
        "modes_near": int((of_near > 0).sum()),
        "modes_covered": int((of_near >= ENOUGH).sum()),
        "high_quality": float(near.mean()),
        "kl": float((used * np.log(used * len(centres))).sum()),
    }
    if model.encoder is not None:
        made = model.reconstruct(points)
        row["reconstruction"] = float(np.linalg.norm(points - made, axis=1).mean())
        row["reconstruction_b"] = float(np.linalg.norm(points - np.roll(made, -1, axis=0), axis=1).mean())
    return row
