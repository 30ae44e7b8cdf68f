"""Error of a linear SVM that learns from few labels (Dumoulin et al. 2017, section 4.3, Table 1)."""

import dataclasses

from tf_bigan import registry
from tf_bigan.evaluation.measure import FeatureMeasure


class SVM(FeatureMeasure):
    """Error in percent of L2-SVMs on 1,000 labels, equally many of each class, over 100 draws of them.

    Without other `layers`, the features are those of `registry.Family.probed`: for ALI's networks, the outputs of the
    last three batch norms of E, before the rectifiers, and the mean of the code, as in the authors' code. Of a
    conditional model, those that depend on its conditions are left out, as the code does.
    """

    name = "svm"
    protocol = (
        "scikit-learn's LinearSVC (squared hinge loss, L2) on features as they are, of as many labelled gallery "
        "examples as the line says, equally many of each class; C, of 50 values from e^-20 to e^20, is chosen by one "
        "draw of them on the last seventh of the gallery, or its last 10,000 examples if that is fewer; they are drawn "
        "from the rest; the error on all queries, mean ± standard deviation over the draws"
    )

    def usual_layers(self, model, experiment):
        own = registry.FAMILIES[experiment.networks].probed if model.encoder is not None else "penultimate"
        return ["+".join(part for part in own.split("+") if not model.conditions_of_layer(part))]

    def settings(self, context):
        return {**dataclasses.asdict(context.settings.svm), "seed": context.settings.seed}

    def check(self, context):
        from tf_bigan.evaluation.few_labels import pool_members  # imports TensorFlow

        super().check(context)
        gallery = context.data.gallery
        pool_members(gallery.labels(), gallery.class_names, context.settings.svm.labels)

    def measure(self, gallery, gallery_labels, queries, query_labels, **settings):
        from tf_bigan.evaluation.few_labels import svm_errors  # imports TensorFlow

        return [svm_errors(gallery, gallery_labels, queries, query_labels, **settings)]

    def headline(self, found, report):
        newest = found[-1]["settings"]
        made = super().headline([row for row in found if row["settings"] == newest], report, "error", True)
        return made and dataclasses.replace(made, title=f"linear SVM's error on {newest['labels']:,} labels, %")

    def lines(self, found, report):
        for made in [made for n, made in enumerate(_settings(found)) if made not in _settings(found)[:n]]:
            yield f"L2-SVM error, %, on {made['labels']} labels, {made['draws']} draws"
            for row in (row for row in found if row["settings"] == made):
                raw = row["encoder"] == row["layer"]
                name = row["encoder"] if raw else f"{row['encoder']} ({row['seed']}) {row['layer']}"
                head = f"{name} ({row['dimensions']}{', pooled' * bool(row.get('pool'))})"
                yield f"  {head:64}{row['error']:10.2f} ± {row['deviation']:.2f}"


def _settings(found):
    return [row["settings"] for row in found]
