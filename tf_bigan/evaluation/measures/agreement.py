"""Whether samples of a conditional model are of the class that was asked for, as a classifier judges."""

import numpy as np

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Headline, Measure, Part

SAMPLES = 1000  # of each class


class Agreement(Measure):
    """The share of samples to which a classifier gives the class that was asked for.

    The classifier is that of `EvaluationSettings.classifier`. It stands for a person's judgement, so it must have been
    trained on real images. Its accuracy on the queries bounds what its agreement can tell.
    """

    name = "agreement"
    protocol = (
        f"{SAMPLES:,} samples of each class; the share of them to which the classifier gives the class asked for, in "
        "%; accuracy: the share of the queries to which it gives their label, in %"
    )
    needs = frozenset({"generator", "queries"})

    def check(self, context):
        classifier, model, queries = context.settings.classifier, context.model, context.data.queries
        if classifier is None:
            raise InputError("agreement needs a classifier trained on real images; give --classifier=RUN")
        if not hasattr(classifier.model, "class_probabilities"):
            raise InputError(f"the networks of {classifier.name} do not classify; agreement needs a model that does")
        taken = model.condition_inputs(model.generator)
        if not ("label" in taken or ("attributes" in taken and context.experiment.attributes_from == "label")):
            raise InputError(
                f"agreement is of models that are asked for a class, by a label or by attributes_from=label, and "
                f"{context.experiment.system} is not"
            )
        if not queries.labelled():
            raise InputError(f"{queries.domain.name} of {queries.origin} have no labels, which agreement needs")
        names, judge = queries.class_names, classifier.model
        # One black image makes known whether the classifier has classes at all, before many are judged.
        _classes(judge, np.zeros((1, *judge.example_shape), np.float32), len(names), classifier.name)
        if getattr(judge, "class_names", names) != names:
            raise InputError(
                f"{classifier.name} knows other classes than {queries.origin}: {', '.join(judge.class_names[:3])}, ..."
            )
        if "label" not in taken and (known := taken["attributes"].shape[-1]) != len(names):
            raise InputError(
                f"{context.experiment.system} takes {known} attributes, one for each class, and {queries.origin} has "
                f"{len(names)} classes"
            )
        made = tuple(model.generator.outputs[0].shape[1:])
        if classifier.model.example_shape != made:
            raise InputError(
                f"{classifier.name} classifies examples of shape {list(classifier.model.example_shape)}, and the "
                f"samples have {list(made)}"
            )

    def parts(self, context):
        classifier = context.settings.classifier

        def measure():
            queries = context.queries
            names = context.data.queries.class_names
            found = agreement(context.model, classifier.model, len(names), context.settings.seed)
            judged = _classes(classifier.model, context.model.reduced(queries["x"]), len(names), classifier.name)
            return [
                {
                    "agreement": float(100 * found.mean()),
                    "of_class": {name: float(100 * share) for name, share in zip(names, found, strict=True)},
                    "accuracy": float(100 * np.mean(judged == queries["label"])),
                }
            ]

        told = {"classifier": classifier.name, "weights": classifier.weights}
        key = {"encoder": "trained", "seed": context.experiment.seed, "settings": told}
        yield Part(f"agreement with {classifier.name}", measure, key)

    def headline(self, found, report):
        newest = found[-1]
        chance = {"chance": 100 / len(newest["of_class"])}
        return Headline("samples of the class asked for, %", newest["agreement"], "", chance)

    def lines(self, found, report):
        for row in found:
            told, shares = row["settings"], row["of_class"]
            yield f"agreement of {told['classifier']} ({told['weights'][:16]}) with the class asked for, %"
            yield f"  {'all classes (chance)':32}{row['agreement']:10.1f} ({100 / len(shares):.1f})"
            yield from (f"  {name:32}{share:10.1f}" for name, share in shares.items())
            yield f"  {'its accuracy on the queries':32}{row['accuracy']:10.1f}"


def agreement(model, classifier, classes, seed=0) -> np.ndarray:
    """The share of 1,000 samples of each class to which a classifier gives this class: float [classes] in [0, 1].

    Args:
      model: a Game whose generator takes a label, or attributes that are one-hot vectors of labels.
      classifier: an object with `class_probabilities(examples)`, which returns float32 [N, classes].
      classes: number of classes.
      seed: seed of the samples.

    Raises:
      InputError: the classifier has another number of classes.
    """
    z = model.noise(SAMPLES * classes, seed, "generation")
    shares = []
    for asked in range(classes):
        labels = np.full(SAMPLES, asked)
        conditions = {"label": labels} if "label" in model.conditions else {"attributes": np.eye(classes)[labels]}
        samples = model.generate(z=z[asked * SAMPLES : (asked + 1) * SAMPLES], seed=seed + asked, **conditions)
        shares.append(np.mean(_classes(classifier, samples, classes) == asked))
    return np.array(shares)


def _classes(classifier, examples, classes, name="the classifier"):
    """The most likely class of each example, int64 [N]."""
    probabilities = np.asarray(classifier.class_probabilities(examples))
    if probabilities.shape != (len(examples), classes):
        raise InputError(f"{name} knows {probabilities.shape[-1]} classes, and the data has {classes}")
    return probabilities.argmax(axis=1)
