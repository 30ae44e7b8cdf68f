"""Sample quality: distances, precision and recall, and a classifier's score, in a feature network.

Each measure is of the samples, and beside them of real images. The numbers are called FID, KID and Inception score only
if the feature network is the graph of 2015-12-05, which papers use. Otherwise, they have the network's name.
"""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Headline, Measure, Part
from tf_bigan.evaluation.sample_statistics import (
    GROUPS,
    NEIGHBOURS,
    SUBSET_SIZE,
    SUBSETS,
    class_score,
    frechet_distance,
    kernel_distance,
)
from tf_bigan.evaluation.settings import INCEPTION

_SAMPLES = (
    "samples are rounded to 256 levels; the gallery is by default the split train of the data set, on whichever split "
    "the model was trained; queries: the same of the queries in place of samples"
)


class _SampleQuality(Measure):
    """A measure of samples beside the same measure of real images.

    Attributes:
      least: the number of images that it takes at least.
      compared: the parts of the data that are measured in place of samples, of "gallery" and "queries".
      classes: whether it takes a network that classifies.
    """

    needs = frozenset({"generator", "gallery", "queries"})
    least = 2
    compared = ("queries",)
    classes = False

    def check(self, context):
        settings, data = context.settings, context.data
        if context.model.domain.name == "points":
            raise InputError(f"{self.name} compares images in a feature network, and these are points")
        if settings.feature_network is None:
            raise InputError(f"{self.name} needs a feature network; give --feature_network")
        for found, what in ((settings.samples, "samples"), (data.gallery.count, "images of the gallery")):
            if found < self.least:
                raise InputError(f"{self.name} wants at least {self.least:,} {what}, found {found:,}")
        network = context.sample_features.network
        network.check(context.model.generator.outputs[0].shape[1:])
        if self.classes and not network.classifies:
            raise InputError(f"{self.name} needs a feature network that classifies, and {network.name} does not")

    def parts(self, context):
        sets, settings = context.sample_features, context.settings
        network, said = sets.network, set()
        told = {
            "feature_network": network.name,
            "weights": network.digest,
            "preparation": network.preparation,
            "samples": settings.samples,
        }

        def part(what, role, key):
            def measure():
                found = getattr(sets, role)
                for doubt in (self.doubt(found, what), self.doubt(sets.gallery, "gallery")):
                    if doubt and doubt not in said:  # that of the gallery is the same for samples and queries
                        context.say(f"{self.name}: {doubt}")
                    said.add(doubt)
                numbers = self.numbers(found, sets.gallery, settings.seed % 2**32)  # what NumPy takes
                return [{"images": len(found.features), **numbers}]

            return Part(f"{self.name}: {what} in {network.name}", measure, {**key, "settings": told})

        yield part("samples", "samples", {"encoder": "trained", "seed": context.experiment.seed})
        for role in self.compared:
            if role == "queries" and context.data.overlap:
                context.say(f"{self.name}: the queries are in the gallery, so they are not compared with it")
            elif (found := getattr(context.data, role).count) < self.least:
                context.say(f"{self.name}: {found:,} {role} are left out, as it wants at least {self.least:,}")
            else:
                yield part(role, role, {"encoder": role})

    def numbers(self, found, gallery, seed) -> dict:
        """The numbers of one set of images: plain numbers by their names.

        Args:
          found: the `Features` of the set.
          gallery: the `Features` of the gallery.
          seed: the evaluation's seed.
        """
        raise NotImplementedError

    def doubt(self, found, what) -> str:
        """A line that says why numbers of a set of images mean little; empty if nothing speaks against them.

        Args:
          found: the `Features` of the set.
          what: its name.
        """
        del found, what
        return ""

    def lines(self, found, report):
        of_networks = {}
        for row in found:
            told = row["settings"]
            place = (told["feature_network"], told["weights"], told["preparation"])
            of_networks.setdefault(place, []).append(row)
        for (name, digest, preparation), rows in of_networks.items():
            yield self.heading("" if name == INCEPTION else f"{name} ({digest[:16]})")
            yield f"  images {preparation}"
            lines = []
            for row in rows:
                what = "samples" if row["encoder"] == "trained" else f"real, {row['encoder']}"
                what = f"{what} ({row['images']:,})"
                lines.append(f"  {what:32}{self.shown(row)}")
            yield from dict.fromkeys(lines)

    def heading(self, network) -> str:
        """The line above the numbers of a feature network, which `network` names; "" = the graph of 2015-12-05."""
        raise NotImplementedError

    def shown(self, row) -> str:
        """The numbers of a row as text."""
        raise NotImplementedError


class FID(_SampleQuality):
    """The Fréchet distance of the samples' features from those of the gallery."""

    name = "fid"
    protocol = (
        "squared Fréchet distance of Gaussians with the mean and covariance of the features, in float64, from all "
        f"gallery images; {_SAMPLES}"
    )

    def numbers(self, found, gallery, seed):
        return {"images": found.moments.count, "fid": frechet_distance(found.moments, gallery.moments)}

    def doubt(self, found, what):
        count, dimensions = found.moments.count, len(found.moments.mean)
        if count > dimensions:
            return ""
        return (
            f"{what}: the covariance of {count:,} images in {dimensions:,} dimensions has not full rank, and the "
            f"distance depends on their number; it wants more than {dimensions:,} samples and images of the gallery"
        )

    def headline(self, found, report):
        newest = [row for row in found if row["encoder"] == "trained"][-1]
        same = [row for row in found if row["settings"] == newest["settings"]]
        beside = [("real images", row["fid"]) for row in same if row["encoder"] == "queries"]
        name, digest = newest["settings"]["feature_network"], newest["settings"]["weights"]
        title = self.heading("" if name == INCEPTION else f"{name} ({digest[:16]})")
        return Headline(title, newest["fid"], "", dict(beside), True, 2)

    def heading(self, network):
        return f"FID in {network}" if network else "FID"

    def shown(self, row):
        return f"{row['fid']:16.4g}"


class KID(_SampleQuality):
    """The kernel distance of the samples' features from those of the gallery."""

    name = "kid"
    protocol = (
        f"unbiased squared MMD of the features by the kernel (x.y/d + 1)^3 from gallery images: mean and standard "
        f"deviation over {SUBSETS} subsets of {SUBSET_SIZE:,}; {_SAMPLES}"
    )
    least = SUBSET_SIZE

    def numbers(self, found, gallery, seed):
        mean, deviation = kernel_distance(found.features, gallery.features, SUBSETS, SUBSET_SIZE, seed)
        return {"kid": mean, "deviation": deviation}

    def heading(self, network):
        return (f"KID in {network}" if network else "KID") + " ± deviation over subsets"

    def shown(self, row):
        return f"{row['kid']:16.5f} ± {row['deviation']:.5f}"


class PrecisionRecall(_SampleQuality):
    """Precision, recall, density and coverage of the samples, as to the gallery."""

    name = "precision_recall"
    protocol = (
        "precision and recall with 3 nearest neighbours, density and coverage with 5, of the features; as many gallery "
        f"images as samples, evenly spaced; {_SAMPLES}"
    )
    least = 1 + max(NEIGHBOURS.values())

    def numbers(self, found, gallery, seed):
        from tf_bigan.evaluation.manifolds import precision_recall  # imports TensorFlow

        return precision_recall(found.features, gallery.features)

    def heading(self, network):
        columns = "".join(f"{name:>16}" for name in NEIGHBOURS)
        return f"{f'in {network}' if network else 'in Inception':34}{columns}"

    def shown(self, row):
        return "".join(f"{row[name]:16.3f}" for name in NEIGHBOURS)


class ClassScore(_SampleQuality):
    """How sure a classifier is of each sample's class, and how evenly the classes occur."""

    name = "class_score"
    protocol = (
        f"exp of the mean KL divergence of a classifier's p(y|x) from its mean: mean and standard deviation over "
        f"{GROUPS} equal groups in random order; gallery: the same of the gallery; {_SAMPLES}"
    )
    least = 2 * GROUPS
    compared = ("gallery", "queries")
    classes = True

    def numbers(self, found, gallery, seed):
        # Images of folders are sorted by class, which groups must not be.
        order = np.random.RandomState(seed).permutation(len(found.probabilities))
        mean, deviation = class_score(found.probabilities[order])
        return {"score": mean, "deviation": deviation}

    def heading(self, network):
        return (f"classifier score of {network}" if network else "Inception score") + " ± deviation over groups"

    def shown(self, row):
        return f"{row['score']:16.3f} ± {row['deviation']:.3f}"
