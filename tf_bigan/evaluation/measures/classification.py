"""Error of a D that knows classes (Salimans et al. 2016, section 5; Dumoulin et al. 2017, section 4.3, Table 2)."""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Headline, Measure, Part


class Classification(Measure):
    """Error in percent of the classes that D gives to the queries."""

    name = "classification"
    protocol = (
        "the most likely of D's classes for each query, judged together with the posterior's mean where D sees codes; "
        "inference statistics, no dropout, weights of the last step"
    )
    needs = frozenset({"queries", "labels"})

    def check(self, context):
        model, queries = context.model, context.data.queries
        if not model.class_count:
            raise InputError(
                f"{context.experiment.system} was trained without labels, so D knows no classes; label_weight=1 and "
                "system=supervised train it to"
            )
        if model.class_count != len(queries.class_names):
            raise InputError(
                f"D knows {model.class_count} classes, and {context.data.query_dataset} has {len(queries.class_names)}"
            )

    def parts(self, context):
        def measure():
            classes, labels = context.model.classify(context.examples), context.queries["label"]
            return {"error": 100.0 * float(np.mean(classes != labels)), "examples": len(labels)}

        yield Part(self.name, measure)

    def headline(self, found, report):
        return Headline("error of D as a classifier, %", found["error"], lower_is_better=True)

    def lines(self, found, report):
        yield f"{'error of D as a classifier, %':34}{found['error']:16.2f}"
