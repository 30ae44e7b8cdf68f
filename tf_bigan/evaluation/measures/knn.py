"""k-nearest-neighbour accuracy of features (Donahue et al. 2017, section 4.1 and Table 1)."""

import dataclasses

import numpy as np

from tf_bigan.evaluation.measure import FeatureMeasure
from tf_bigan.evaluation.report import row_heads, spread, values

NEIGHBOURS = (1, 5)  # the k of k-NN


class KNN(FeatureMeasure):
    """k-NN accuracy in percent, for Euclidean and cosine distance and each k of `NEIGHBOURS`."""

    name = "knn"
    title = "k-NN accuracy, %"
    protocol = "k nearest neighbours among all gallery images vote; inference statistics; no augmentation"
    protocol_of_points = "k nearest neighbours among all gallery points vote; inference statistics"

    def measure(self, gallery, gallery_labels, queries, query_labels):
        return knn(gallery, gallery_labels, queries, query_labels)

    def headline(self, found, report):
        first = [row for row in found if row["k"] == 1 and row["metric"] == "euclidean"]
        made = super().headline(first, report)
        return made and dataclasses.replace(made, title="1-NN accuracy, %")

    def lines(self, found, report):
        columns = sorted({(row["metric"], row["k"]) for row in found}, key=lambda c: (c[0] != "euclidean", c[1]))
        yield f"{self.title:34}" + "".join(f"{f'{metric} k={k}':>16}" for metric, k in columns)
        for head, space in row_heads(found):
            cells = [values(report, self.name, **space, metric=metric, k=k) for metric, k in columns]
            yield head + "".join(f"{spread(seeds):>16}" for seeds in cells)


def knn(gallery, gallery_labels, queries, query_labels):
    """k-NN accuracy in a feature space.

    Args:
      gallery, queries: float32 [N, ...] and [Q, ...] features, which are flattened here.
      gallery_labels, query_labels: int64 [N] and [Q].

    Returns:
      A list of {"metric": "euclidean" or "cosine", "k": number of neighbours, "accuracy": percent}.
    """
    from tf_bigan.evaluation.neighbours import DISTANCES, nearest, vote  # imports TensorFlow

    gallery, queries = gallery.reshape(len(gallery), -1), queries.reshape(len(queries), -1)
    ks = [k for k in NEIGHBOURS if k <= len(gallery)]
    rows = []
    for metric in DISTANCES:
        indices, _ = nearest(queries, gallery, max(ks), metric)
        for k in ks:
            right = vote(gallery_labels, indices, k) == query_labels
            rows.append({"metric": metric, "k": k, "accuracy": 100.0 * float(np.mean(right))})
    return rows
