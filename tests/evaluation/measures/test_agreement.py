"""Agreement with the class asked for, with classifiers whose answers are known."""

import dataclasses

import numpy as np
import pytest
from helpers import ROOT, images, tiny

from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation import context
from tf_bigan.evaluation.data import EvaluationData
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measure import find_measure
from tf_bigan.evaluation.measures.agreement import SAMPLES, agreement
from tf_bigan.evaluation.settings import Classifier, EvaluationSettings
from tf_bigan.evaluation.table import table
from tf_bigan.experiment import Experiment
from tf_bigan.games import make_game

SHAPE = (32, 32, 3)


class Painter:
    """A conditional model whose samples of class k have the value (k + 1) / 4."""

    conditions = ("attributes",)

    def noise(self, count, seed, purpose):
        return np.zeros((count, 2), np.float32)

    def generate(self, z, seed, attributes):
        assert attributes.shape == (len(z), 3) and (attributes.sum(1) == 1).all()
        return np.ones((len(z), *SHAPE), np.float32) * (attributes.argmax(1)[:, None, None, None] + 1) / 4


class Judge:
    """A classifier that gives each example the class of its brightness, except where it is told to be wrong."""

    example_shape = SHAPE

    def __init__(self, wrong=0, classes=3):
        self.wrong, self.classes = wrong, classes

    def class_probabilities(self, examples):
        classes = np.round(examples.mean((1, 2, 3)) * 4 - 1).astype(int).clip(0, self.classes - 1)
        classes[: self.wrong] = (classes[: self.wrong] + 1) % self.classes
        return np.eye(self.classes, dtype=np.float32)[classes]


def test_the_share_of_each_class_is_counted():
    np.testing.assert_array_equal(agreement(Painter(), Judge(), 3), [1, 1, 1])
    np.testing.assert_allclose(agreement(Painter(), Judge(wrong=250), 3), [1 - 250 / SAMPLES] * 3)
    with pytest.raises(InputError, match="^the classifier knows 4 classes, and the data has 3$"):
        agreement(Painter(), Judge(classes=4), 3)


def experiment(**changes):
    flags = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    return dataclasses.replace(flags, **{"width": 2, "latent_dim": 2, "attributes": 3, **changes})


def data(labels=(0, 1, 2, 0)):
    x = np.ones((4, *SHAPE), np.float32) * np.array([1, 2, 3, 2])[:, None, None, None] / 4
    queries = open_data(ArraySource(x, labels, class_names="abc" * bool(labels), name="queries"))
    gallery = open_data(ArraySource(images(4, shape=SHAPE), labels, class_names="abc" * bool(labels), name="gallery"))
    return EvaluationData("mine", "mine", gallery, queries)


def measured(settings, changes=None, model=None, of=None):
    e = experiment(**(changes or {}))
    return evaluate(model or make_game(e), e, of or data(), ["agreement"], settings, say=lambda line: None)


def test_a_report_names_the_classifier_and_its_accuracy():
    settings = EvaluationSettings(classifier=Classifier("judge", "abc123", Judge()), untrained=0)
    report = measured(settings)
    (row,) = report["results"]["agreement"]
    assert row["settings"] == {"classifier": "judge", "weights": "abc123"}
    assert row["accuracy"] == 75.0  # the last of the four queries is as bright as class 1, and labelled 0
    # The model is untrained, so that all of its samples are grey: the brightness of class 1.
    assert row["of_class"] == {"a": 0.0, "b": 100.0, "c": 0.0} and row["agreement"] == pytest.approx(100 / 3)
    told = table(report)
    assert "agreement of judge (abc123) with the class asked for, %" in told
    assert "all classes (chance)                  33.3 (33.3)" in told and "75.0" in told


def test_what_agreement_needs_is_said():
    def judged_by(model):
        return EvaluationSettings(classifier=Classifier("judge", "abc123", model), untrained=0)

    small = Judge()
    small.example_shape = (8, 8, 3)
    for settings, more, message in (
        (EvaluationSettings(), {}, "^agreement needs a classifier trained on real images; give --classifier=RUN$"),
        (judged_by(object()), {}, "^the networks of judge do not classify; agreement needs a model that does$"),
        (judged_by(small), {}, r"^judge classifies examples of shape \[8, 8, 3\], and the samples have \[32, 32, 3\]$"),
        (judged_by(Judge()), {"changes": {"attributes_from": "data"}}, "^agreement is of models that are asked for a"),
        (judged_by(Judge()), {"model": make_game(tiny())}, "^agreement is of models that are asked for a class"),
        (judged_by(Judge()), {"of": data(labels=None)}, "^images of queries have no labels, which agreement needs$"),
        (judged_by(Judge(classes=2)), {}, "^judge knows 2 classes, and the data has 3$"),
        (judged_by(make_game(tiny())), {}, "^bigan was trained without labels, so it has no classes; label_weight=1"),
        (
            judged_by(Judge()),
            {"changes": {"attributes": 4}},
            "^conditional_ali takes 4 attributes, one for each class, and queries has 3 classes$",
        ),
    ):
        with pytest.raises(InputError, match=message):
            measured(settings, **more)


def test_untrained_encoders_of_a_conditional_model_need_no_attributes(monkeypatch):
    monkeypatch.setattr(context, "_FOLLOWED", 2)
    e, model, settings = experiment(), make_game(experiment()), EvaluationSettings(layers=("conv1_norm",))
    inputs = context.Context(model, e, data(), settings, lambda line: None, settings.layers)
    assert inputs.spaces[1].key["encoder"] == "untrained" and inputs.features(1)[0].shape[0] == 4
    # Its running averages are of the gallery, where those of `model` have their initial values.
    assert not np.allclose(inputs.features(1)[0], inputs.features(0)[0], rtol=1e-3)


def test_layers_that_depend_on_attributes_are_left_out_of_defaults_alone():
    e = experiment()
    model, default, given = make_game(e), EvaluationSettings(), EvaluationSettings(layers=("code", "code", "conv1"))
    for name, layers in (("svm", ["conv4_norm+conv5_norm+conv6_norm"]), ("knn", ["penultimate"])):
        assert find_measure(name).feature_layers(model, e, default) == layers
        assert find_measure(name).feature_layers(model, e, given) == ["code", "conv1"]


def test_features_and_reconstructions_of_a_conditional_model_are_measured():
    e = experiment(attributes_from="label")
    both = data()
    both = dataclasses.replace(
        both,
        gallery=open_data(ArraySource(images(4, shape=SHAPE), [0, 1, 2, 0], name="g"), attributes_from="label"),
        queries=open_data(ArraySource(images(4, 1, SHAPE), [0, 1, 2, 0], name="q"), attributes_from="label"),
    )
    model, settings = make_game(e), EvaluationSettings(untrained=0)
    report = evaluate(model, e, both, ["linear", "reconstruction"], settings, say=lambda line: None)
    assert {row["layer"] for row in report["results"]["linear"]} == {"penultimate", "pixels"}
    x, y = both.queries.records()["x"], both.queries.records()["attributes"]
    errors = np.linalg.norm((x - model.reconstruct(x, attributes=y)).reshape(4, -1), axis=1)
    assert report["results"]["reconstruction"]["EGr"] == pytest.approx(errors.mean(), rel=1e-5)
    with pytest.raises(InputError, match="^layer 'outputs' of conditional_ali depends on attributes, and features are"):
        evaluate(model, e, both, ["linear"], EvaluationSettings(layers=("outputs",)), say=lambda line: None)
