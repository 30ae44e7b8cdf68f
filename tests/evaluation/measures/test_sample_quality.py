"""Measures of samples, in the features of a classifier that is worked out by hand."""

import dataclasses
import os
import types

import numpy as np
import pytest
from helpers import ROOT, awake_game, images, tiny

from tf_bigan.data import ArraySource, open_data
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import EvaluationData
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.feature_networks import as_feature_network
from tf_bigan.evaluation.manifolds import precision_recall
from tf_bigan.evaluation.measures import sample_quality
from tf_bigan.evaluation.sample_statistics import Moments, class_score, frechet_distance, kernel_distance
from tf_bigan.evaluation.samples import SampleFeatures
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.evaluation.table import table
from tf_bigan.experiment import Experiment
from tf_bigan.games import make_game

ALL = ("fid", "kid", "precision_recall", "class_score")
DIGEST = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def few_subsets(monkeypatch):
    monkeypatch.setattr(sample_quality, "SUBSETS", 3)


class Judge:
    """A classifier whose features are the means over an image's rows; it counts the images that it sees."""

    name, digest, example_shape = "judge", DIGEST, (8, 8, 1)

    def __init__(self):
        self.seen = 0

    def features(self, x):
        self.seen += len(x)
        return x.mean(axis=(2, 3))

    def class_probabilities(self, x):
        bright = x.mean(axis=(1, 2, 3))
        return np.stack([bright, 1 - bright], axis=1)


def data(gallery=1200, queries=1100, shape=(8, 8, 1)):
    """Bright images beside dark ones, in the order of their brightness, as in a folder."""

    def part(count, seed, name):
        x = images(count, seed, shape) * np.linspace(0.2, 1.0, count, dtype=np.float32)[:, None, None, None]
        return open_data(ArraySource(x, np.arange(count) * 3 // count, name=name))

    return EvaluationData("mine", "mine", part(gallery, 1, "gallery"), part(queries, 2, "queries"))


def measured(measures, settings, of=None, model=None, said=None, earlier=None, experiment=None):
    say = (lambda line: None) if said is None else said.append
    model = model or awake_game()
    return evaluate(model, experiment or tiny(), of or data(), measures, settings, earlier, say=say)


def settings(network=None, **changes):
    return EvaluationSettings(feature_network=network or Judge(), untrained=0, **{"samples": 1300, **changes})


def rows(report, name):
    return {row["encoder"]: row for row in report["results"][name]}


def samples_of(game, count, seed=0):
    sizes = [min(500, count - start) for start in range(0, count, 500)]
    seeds = [int(np.random.SeedSequence([seed, n]).generate_state(1, np.uint64)[0]) // 8 for n in range(len(sizes))]
    parts = [game.generate(size, seed=each) for size, each in zip(sizes, seeds, strict=True)]
    return np.round(np.concatenate(parts) * 255) / 255


def test_each_number_is_of_the_samples_and_of_real_images():
    judge, game, both, said = Judge(), awake_game(), data(), []
    report = measured(ALL, settings(judge), both, game, said)
    assert judge.seen == 1300 + 1200 + 1100  # all measures share the features
    gallery, queries = both.gallery.arrays()[0], both.queries.arrays()[0]
    made, real, held = (x.mean(axis=(2, 3)) for x in (samples_of(game, 1300), gallery, queries))
    fid, kid = rows(report, "fid"), rows(report, "kid")
    assert fid["trained"]["images"] == 1300 and fid["queries"]["images"] == 1100
    assert fid["trained"]["fid"] == pytest.approx(frechet_distance(Moments.of(made), Moments.of(real)), rel=1e-4)
    assert fid["queries"]["fid"] == pytest.approx(frechet_distance(Moments.of(held), Moments.of(real)), rel=1e-4)
    for row, features in ((kid["trained"], made), (kid["queries"], held)):
        assert (row["kid"], row["deviation"]) == pytest.approx(kernel_distance(features, real, subsets=3), rel=1e-3)
    found = rows(report, "precision_recall")
    expected = precision_recall(made, real)
    assert {name: found["trained"][name] for name in expected} == pytest.approx(expected, abs=2e-3)
    scores = rows(report, "class_score")
    assert scores.keys() == {"trained", "gallery", "queries"}
    # In random order, the groups of the sorted gallery have bright and dark images alike.
    shuffled = judge.class_probabilities(gallery)[np.random.RandomState(0).permutation(1200)]
    assert scores["gallery"]["score"] == pytest.approx(class_score(shuffled)[0], rel=1e-4)
    assert scores["gallery"]["score"] > class_score(judge.class_probabilities(gallery))[0]
    told = {
        "feature_network": "judge",
        "weights": DIGEST,
        "preparation": "resized to 8x8 by Lanczos filter with antialiasing",
        "samples": 1300,
    }
    assert all(row["settings"] == told for name in ALL for row in report["results"][name])
    assert rows(report, "fid")["trained"]["seed"] == tiny().seed


def test_the_table_calls_nothing_fid_but_what_is_of_the_graph_of_2015():
    text = table(measured(ALL, settings()))
    for line in (
        "FID in judge (0123456789abcdef)",
        "KID in judge (0123456789abcdef) ± deviation over subsets",
        "classifier score of judge (0123456789abcdef) ± deviation over groups",
        "images resized to 8x8 by Lanczos filter with antialiasing",
        "samples (1,300)",
        "real, queries (1,100)",
        "real, gallery (1,200)",
    ):
        assert line in text
    assert "in judge (0123456789abcdef)       " in text and "precision          recall" in text
    assert "\nFID\n" not in f"\n{text}\n" and "Inception" not in text
    graph = dataclasses.replace(as_feature_network(Judge()), name="inception")
    text = table(measured(ALL, settings(graph)))
    assert text.startswith("FID\n") and "\nKID ± deviation" in text and "\nInception score ±" in text
    assert "judge" not in text and DIGEST[:16] not in text


def test_numbers_of_two_networks_stand_beside_each_other_and_are_not_measured_again():
    first = measured(["fid"], settings())
    other = Judge()
    other.name = "other"
    again = measured(["fid"], settings(other), earlier=first)
    assert other.seen > 0 and [row["settings"]["feature_network"] for row in again["results"]["fid"]] == ["other"] * 2
    judge = Judge()
    assert measured(["fid"], settings(judge), earlier=first) == first and judge.seen == 0
    first["results"]["fid"] += again["results"]["fid"]
    assert "FID in judge" in table(first) and "FID in other" in table(first)


def test_features_of_real_images_are_kept_between_evaluations(tmp_path):
    first, second, said = Judge(), Judge(), []
    kept = str(tmp_path)
    expected = measured(ALL, settings(first, statistics=kept))
    assert len(list(tmp_path.iterdir())) == 2
    assert measured(ALL, settings(second, statistics=kept), said=said) == expected
    assert (first.seen, second.seen) == (3600, 1300)
    assert not [line for line in said if "not used" in line]
    third = Judge()
    measured(["fid"], settings(third, statistics=kept), of=data(gallery=1201))  # other images of the same name
    assert third.seen == 1300 + 1201
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-200])
    fourth = Judge()
    assert (
        measured(["fid"], settings(fourth, statistics=kept), said=said)["results"]["fid"] == expected["results"]["fid"]
    )
    assert fourth.seen == 3600 and any(line.endswith(".npz is damaged and is not used") for line in said)


@pytest.mark.parametrize("changes", [{}, {"max_labels": 1}, {"attributes_from": "label"}])
def test_features_of_a_folder_are_computed_again_when_a_file_was_replaced(changes, tmp_path):
    from PIL import Image

    folder = tmp_path / "photos" / "class"
    folder.mkdir(parents=True)
    for number in range(130):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / f"{number:03}.png")

    def seen():
        judge, part = Judge(), open_data(str(folder.parent), **changes)
        sets = SampleFeatures(
            awake_game(),
            None,
            EvaluationData("mine", "mine", part, part),
            settings(judge, statistics=str(tmp_path / "kept")),
            lambda line: None,
        )
        return judge.seen if sets.gallery is None else (judge.seen, round(float(sets.gallery.moments.mean[0] * 255), 3))

    assert seen() == (130, 64.5) and seen() == (0, 64.5)
    Image.fromarray(np.full((8, 8), 131, np.uint8)).save(folder / "001.png")  # not one of the 64 that are probed
    assert seen() == (130, 65.5) and seen() == (0, 65.5)


def test_a_large_gallery_enters_the_fid_whole_and_other_numbers_evenly():
    network, both = as_feature_network(Judge()), data(gallery=700)
    sets = SampleFeatures(awake_game(), None, both, settings(network, samples=300), lambda line: None)
    x = both.gallery.arrays()[0]
    assert sets.gallery.moments.count == 700
    np.testing.assert_allclose(sets.gallery.moments.mean, x.mean(axis=(2, 3)).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(sets.gallery.features, x.mean(axis=(2, 3))[np.arange(300) * 700 // 300], atol=1e-6)
    assert sets.gallery.probabilities.shape == (300, 2)


def test_samples_of_a_conditional_model_have_the_conditions_of_queries_in_random_order():
    flags = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    e = dataclasses.replace(flags, width=2, latent_dim=2, attributes=3, attributes_from="label")
    both = data(30, 24, shape=(32, 32, 3))
    both = dataclasses.replace(
        both,
        gallery=open_data(ArraySource(both.gallery.arrays()[0], np.arange(30) % 3), attributes_from="label"),
        queries=open_data(ArraySource(both.queries.arrays()[0], np.sort(np.arange(24) % 3)), attributes_from="label"),
    )
    model, asked = make_game(e), []
    generate = model.generate

    def noted(count, seed=0, z=None, **conditions):
        asked.append(conditions["attributes"])
        return generate(count, seed, z, **conditions)

    model.generate = noted
    judge = types.SimpleNamespace(
        name="judge",
        digest=DIGEST,
        example_shape=(32, 32, 3),
        features=lambda x: x.mean(axis=(1, 2)),
        class_probabilities=lambda x: np.ones((len(x), 1)),
    )
    report = measured(["fid"], settings(judge, samples=60), both, model, experiment=e)
    assert rows(report, "fid").keys() == {"trained", "queries"}
    asked = np.concatenate(asked).argmax(axis=1)
    assert len(asked) == 60 and np.ptp(np.bincount(asked[:24])) == 0  # each query once
    assert (np.diff(asked[:8]) != 0).any() and (asked[:24] == asked[24:48]).all()


def test_samples_follow_from_the_seed():
    one, same, other = (rows(measured(["fid"], settings(seed=s, samples=600)), "fid") for s in (0, 0, 1))
    assert one == same and one["trained"]["fid"] != other["trained"]["fid"]
    assert one["queries"]["fid"] == other["queries"]["fid"]


@pytest.mark.parametrize("other", [1, 500, 2**40, -1])
def test_samples_of_two_seeds_have_none_in_common(other):
    def rows_of(seed):
        sets = SampleFeatures(awake_game(), None, data(), settings(seed=seed, samples=1300), lambda line: None)
        return {row.tobytes() for row in np.concatenate(list(sets._batches_of_samples(1300))).reshape(1300, -1)}

    first = rows_of(0)
    assert len(first) > 1290 and not first & rows_of(other)  # nor do batches repeat each other


def test_queries_that_are_in_the_gallery_or_too_few_are_left_out():
    both, said = data(), []
    report = measured(["fid"], settings(), dataclasses.replace(both, queries=both.gallery), said=said)
    assert rows(report, "fid").keys() == {"trained"}
    assert "fid: the queries are in the gallery, so they are not compared with it" in said
    report = measured(["kid"], settings(), data(queries=999), said=said)
    assert rows(report, "kid").keys() == {"trained"}
    assert "kid: 999 queries are left out, as it wants at least 1,000" in said


def test_fewer_images_than_dimensions_are_told():
    def said_of(samples, gallery, queries):
        said = []
        measured(["fid"], settings(samples=samples), data(gallery, queries), said=said)
        return [line for line in said if "dimensions" in line]

    def line(what, count):
        return (
            f"fid: {what}: the covariance of {count} images in 8 dimensions has not full rank, and the distance "
            "depends on their number; it wants more than 8 samples and images of the gallery"
        )

    assert said_of(9, 9, 9) == []
    assert said_of(8, 9, 9) == [line("samples", 8)]
    assert said_of(9, 9, 5) == [line("queries", 5)]
    assert said_of(9, 8, 9) == [line("gallery", 8)]  # once, although samples and queries are compared with it


def without_classes():
    return dataclasses.replace(as_feature_network(Judge()), name="vector", classifies=False)


def broken():
    judge = Judge()
    judge.features = lambda x: x.mean(axis=(2, 3)) / np.float32(0.0)
    return judge


def colours():
    judge = Judge()
    judge.example_shape = (8, 8, 3)
    return judge


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("name", "changes", "of", "message"),
    [
        ("kid", {"samples": 999}, {}, "^kid wants at least 1,000 samples, found 999$"),
        ("kid", {}, {"gallery": 999}, "^kid wants at least 1,000 images of the gallery, found 999$"),
        ("fid", {"samples": 1}, {}, "^fid wants at least 2 samples, found 1$"),
        ("precision_recall", {"samples": 5}, {}, "^precision_recall wants at least 6 samples, found 5$"),
        ("class_score", {"samples": 19}, {}, "^class_score wants at least 20 samples, found 19$"),
        (
            "class_score",
            {"network": without_classes()},
            {},
            "^class_score needs a feature network that classifies, and vector does not$",
        ),
        ("fid", {"network": colours()}, {}, "^judge takes images of 3 channels, and these have 1$"),
        ("fid", {"network": object()}, {}, "^a feature network has name, digest, .* has no name$"),
        ("fid", {"network": broken()}, {}, "^samples 0 to 499: features of judge are NaN or infinite$"),
    ],
)
def test_what_is_refused(name, changes, of, message):
    with pytest.raises(InputError, match=message):
        measured([name], settings(**changes), data(**of))


def test_features_that_do_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 100)  # 100 pages of 100 bytes
    with pytest.raises(InputError, match="^8 features of judge take 0 GB with their covariances, more than this mach"):
        measured(["fid"], settings())


def test_points_and_missing_networks_are_refused():
    with pytest.raises(InputError, match="^fid needs a feature network; give --feature_network$"):
        measured(["fid"], EvaluationSettings(untrained=0))
    with pytest.raises(InputError, match="^samples must be at least 1, found 0$"):
        EvaluationSettings(samples=0)
    flags = dataclasses.replace(Experiment.from_flagfile(ROOT / "zoo" / "ali_mixture" / "train.flags"), width=4)
    points = open_data("mixture", "train[:100]")
    both = EvaluationData("mixture", "mixture", points, open_data("mixture", "test[:100]"))
    with pytest.raises(InputError, match="^fid compares images in a feature network, and these are points$"):
        measured(["fid"], settings(), both, make_game(flags), experiment=flags)
    with pytest.raises(InputError, match="^supervised has no generator, so it has no fid metric$"):
        measured(["fid"], settings(), model=awake_game("supervised", classes=3), experiment=tiny(system="supervised"))
