"""Linear SVMs on few labels: the protocol, and its measure."""

import numpy as np
import pytest
from helpers import tiny, tiny_game
from sklearn.svm import LinearSVC

from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation import few_labels
from tf_bigan.evaluation.data import EvaluationData
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.few_labels import C, pool_members, pool_of, svm_errors
from tf_bigan.evaluation.settings import EvaluationSettings, SVMSettings
from tf_bigan.evaluation.table import table


def clusters(count, classes=3, dimensions=5, spread=0.1, seed=0):
    """Features around a corner of a cube for each class, and labels in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    return (np.eye(classes, dimensions)[labels] + spread * rng.normal(size=(count, dimensions))).astype("f4"), labels


def test_the_candidates_for_c_are_the_protocol_s():
    assert len(C) == 50 and np.log(C[0]) == pytest.approx(-20) and np.log(C[-1]) == pytest.approx(20)
    assert np.diff(np.log(C)) == pytest.approx(40 / 49)


def test_the_pool_is_all_but_the_last_ten_thousand_or_the_last_seventh():
    for count, held in ((73_257, 10_000), (50_000, 7_142), (70, 10)):
        pool, last = pool_of(np.arange(count) % 2)
        np.testing.assert_array_equal(last, np.arange(count - held, count))
        np.testing.assert_array_equal(pool, np.arange(count - held))


def test_examples_sorted_by_class_are_put_into_another_order_first():
    pool, last = pool_of(np.arange(700) // 70)
    assert set(last // 70) == set(pool // 70) == set(range(10)) and len(last) == 100
    np.testing.assert_array_equal(np.sort(np.concatenate([pool, last])), np.arange(700))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dimensions", [5, 50])  # fewer and more than there are labels
def test_separable_features_have_no_error(classes, dimensions):
    gallery, queries = clusters(210, classes, dimensions), clusters(90, classes, dimensions, seed=1)
    found = svm_errors(*gallery, *queries, labels=12, draws=3)
    assert found["error"] == found["deviation"] == found["validation_error"] == 0.0 and found["c"] in C


def test_features_that_say_nothing_have_the_error_of_chance():
    rng = np.random.default_rng(0)
    gallery, queries = (rng.normal(size=(count, 5)).astype("f4") for count in (700, 1500))
    found = svm_errors(gallery, clusters(700)[1], queries, clusters(1500)[1], labels=30, draws=10)
    assert found["error"] == pytest.approx(200 / 3, abs=4) and found["deviation"] > 0


def test_a_labelled_set_is_balanced_drawn_from_the_pool_and_drawn_anew(monkeypatch):
    sets = []
    learn = few_labels._LabelledSet

    def recording(features, labels, numbers):
        sets.append(numbers)
        return learn(features, labels, numbers)

    monkeypatch.setattr(few_labels, "_LabelledSet", recording)
    gallery, labels = clusters(210)
    repeats = [svm_errors(gallery, labels, gallery, labels, labels=30, draws=4, seed=seed) for seed in (0, 0, 1)]
    assert repeats[0] == repeats[1] and len(sets) == 15  # one for C and four that are averaged, three times
    for numbers in sets:
        assert len(set(numbers)) == 30 and numbers.max() < 180
        assert np.bincount(labels[numbers]).tolist() == [10, 10, 10]
    assert len({tuple(np.sort(numbers)) for numbers in (*sets[:5], *sets[10:])}) == 10
    np.testing.assert_array_equal(sets[:5], sets[5:10])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("c", [1e-6, 1e-2, 1.0])
def test_coordinates_in_the_examples_span_give_the_classifier_of_the_features(classes, c):
    """With more features than examples; the two are solved to a tolerance, so few queries may be judged otherwise."""
    x, y = clusters(40, classes, dimensions=300, spread=0.5)
    queries = clusters(500, classes, dimensions=300, spread=0.5, seed=1)[0]
    found = few_labels._LabelledSet(x, y, np.arange(40)).predictions(c, queries)
    expected = LinearSVC(C=c, dual=True, max_iter=100_000, random_state=0).fit(x.astype("f8"), y).predict(queries)
    assert np.mean(found == expected) > 0.99


def test_equal_examples_are_learned_too():
    x, y = clusters(40, 2, dimensions=300)
    x[1] = x[0]
    assert np.mean(few_labels._LabelledSet(x, y, np.arange(40)).predictions(1.0, x) == y) > 0.9


def test_too_few_examples_of_a_class_are_refused():
    labels = np.array([0] * 40 + [1] * 10 + [2] * 90)[np.random.RandomState(0).permutation(140)]
    with pytest.raises(InputError, match=r"svm_labels=45 takes 15 labels of each class, and the pool of 120 .* 'cat'"):
        pool_members(labels, ["dog", "cat", "owl"], 45)
    with pytest.raises(InputError, match="svm_labels=10 labels cannot be equally many of each of 3 classes"):
        pool_members(labels, ["dog", "cat", "owl"], 10)
    with pytest.raises(InputError, match="the features are not finite numbers"):
        svm_errors(np.full((140, 2), np.nan, "f4"), labels, np.zeros((1, 2), "f4"), labels[:1], labels=3)
    with pytest.raises(InputError, match="svm_draws must be at least 2, found 1"):
        SVMSettings(draws=1)


# -- the measures


def data_of(classes=4):
    """140 gallery images and 40 queries whose class is the brightest quarter."""

    def part(count, seed, name):
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(count) % classes)
        x = rng.uniform(0, 0.4, (count, 8, 8, 1)).astype("f4")
        x.reshape(count, 4, 16)[np.arange(count), labels % 4] += 0.5
        return open_data(ArraySource(x, labels, name=name))

    return EvaluationData("bars", "bars", part(140, 0, "gallery"), part(40, 1, "queries"))


def svm_of(settings, **changes):
    changes = {"statistics_steps": 2, **changes}
    return evaluate(tiny_game(**changes), tiny(**changes), data_of(), ("svm",), settings, say=lambda line: None)


def test_svm_measures_joined_layers_beside_untrained_encoders_and_pixels():
    settings = EvaluationSettings(layers=("h2_norm+code", "h1"), untrained=2, svm=SVMSettings(20, 3), seed=4)
    report = svm_of(settings)
    rows = report["results"]["svm"]
    assert [(row["encoder"], row["layer"], row["dimensions"]) for row in rows] == [
        *[
            (kind, *layer)
            for kind in ("trained", "untrained", "untrained")
            for layer in (("h2_norm+code", 20), ("h1", 16))
        ],
        ("pixels", "pixels", 64),
    ]
    assert all(row["settings"] == {"labels": 20, "draws": 3, "seed": 4} for row in rows)
    assert rows[-1]["error"] < 5
    text = table(report)
    assert "L2-SVM error, %, on 20 labels, 3 draws" in text
    assert f"  {'trained (42) h2_norm+code (20)':64}{rows[0]['error']:10.2f} ± {rows[0]['deviation']:.2f}" in text


def test_joined_layers_are_the_layers_side_by_side():
    seen = []
    changes = {"statistics_steps": 2}
    game, data = tiny_game(**changes), data_of()

    from tf_bigan.evaluation.context import Context

    for layers in (("h2_norm+code",), ("h2_norm", "code")):
        context = Context(game, tiny(**changes), data, EvaluationSettings(untrained=0), lambda line: None, layers)
        seen.append([context.features(index)[0] for index in range(len(layers))])
    np.testing.assert_array_equal(seen[0][0], np.concatenate(seen[1], axis=1))


def test_without_layers_svm_takes_the_family_s_and_other_measures_keep_theirs():
    settings = EvaluationSettings(untrained=0, svm=SVMSettings(20, 3))
    changes = {"statistics_steps": 2}
    report = evaluate(tiny_game(**changes), tiny(**changes), data_of(), ("knn", "svm"), settings, say=lambda line: None)
    layers = {name: list(dict.fromkeys(row["layer"] for row in rows)) for name, rows in report["results"].items()}
    assert layers == {"knn": ["penultimate", "outputs", "pixels"], "svm": ["penultimate", "pixels"]}


def test_an_unknown_layer_among_joined_ones_is_refused():
    with pytest.raises(InputError, match="unknown layer 'h3'. Did you mean"):
        svm_of(EvaluationSettings(layers=("h2+h3",)))


def test_classification_is_the_share_of_wrong_classes():
    changes = {"system": "supervised", "classes": 4, "statistics_steps": 2}
    game, data = tiny_game(**changes), data_of()
    report = evaluate(game, tiny(**changes), data, ("classification",), say=lambda line: None)
    x, labels = data.queries.arrays()
    wrong = 100 * np.mean(game.classify(x) != labels)
    assert report["results"]["classification"] == {"error": pytest.approx(wrong), "examples": 40}
    assert f"{wrong:16.2f}" in table(report)


def test_classification_needs_a_d_with_the_data_s_classes():
    for changes, message in (
        ({}, "bigan was trained without labels, so D knows no classes"),
        ({"system": "supervised", "classes": 5}, "D knows 5 classes, and bars has 4"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(tiny_game(**changes), tiny(**changes), data_of(), ("classification",), say=lambda line: None)
