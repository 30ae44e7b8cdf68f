"""Accuracy of a linear probe on features, as Zhang, Isola and Efros 2016 report it for the paper's networks."""

from tf_bigan.evaluation.linear import linear_probe
from tf_bigan.evaluation.measure import FeatureMeasure
from tf_bigan.evaluation.report import row_heads, values


class LinearProbe(FeatureMeasure):
    """Accuracy in percent of multinomial logistic regression."""

    name = "linear"
    title = "linear probe accuracy, %"
    protocol = (
        "multinomial logistic regression on standardised features of all gallery images; its L2 weight, of 1, 0.1 ... "
        "1e-5, is chosen on a fifth of them"
    )
    protocol_of_points = protocol.replace("images", "points")

    def measure(self, gallery, gallery_labels, queries, query_labels):
        return [linear_probe(gallery, gallery_labels, queries, query_labels, overwrite=True)]

    def lines(self, found, report):
        title, *lines = super().lines(found, report)
        yield title
        for line, (_, space) in zip(lines, row_heads(found), strict=True):
            converged = all(values(report, self.name, **space, value="converged"))
            yield line if converged else f"{line}  (stopped at the iteration limit)"
