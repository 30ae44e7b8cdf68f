"""Measures written by hand from public names are run, kept, resumed, printed and put into a card."""

import numpy as np
import pytest
from helpers import tiny, tiny_game

from tf_bigan import registry
from tf_bigan.errors import InputError
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measure import FeatureMeasure, ModelMeasure
from tf_bigan.evaluation.report_files import read_report, write_report
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.evaluation.table import table
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import CARD, REPORT, publish, publish_metrics


class Contrast(ModelMeasure):
    name = "contrast"
    title = "contrast of samples"
    protocol = "standard deviation over all pixels of 100 samples"
    needs = frozenset({"generator"})

    def measure(self, model, examples, seed):
        return {"contrast": float(model.generate(100, seed=seed).std())}


class CentroidAccuracy(FeatureMeasure):
    name = "centroid"
    title = "nearest centroid, %"
    protocol = "the nearest of the classes' mean features, Euclidean"

    def measure(self, gallery, gallery_labels, queries, query_labels):
        means = np.stack([gallery[gallery_labels == label].mean(axis=0) for label in np.unique(gallery_labels)])
        nearest = np.argmin(((queries[:, None] - means) ** 2).sum(axis=-1), axis=1)
        return [{"accuracy": 100.0 * float(np.mean(nearest == query_labels))}]


@pytest.fixture
def registered(monkeypatch):
    for measure in (Contrast, CentroidAccuracy):
        monkeypatch.setitem(registry.MEASURES, measure.name, f"{__name__}:{measure.__name__}")


def test_it_is_run_kept_resumed_printed_and_put_into_a_card(registered, digits_dir, tmp_path):
    experiment, game = tiny(statistics_steps=2), tiny_game()
    run = RunDirectory(tmp_path / "run")
    run.write_experiment(experiment)
    run.save_weights(game.networks, experiment.epochs, 2)
    run.log.write_text('{"epoch": 2, "step": 20, "encoder_loss": 1.0}\n')
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    settings, said = EvaluationSettings(layers=("h1",)), []
    about = {"epochs": 2, "weights": run.weights_digest()}

    def keep(report):
        write_report(run.path / REPORT, {**about, **report})

    report = evaluate(game, experiment, data, ("contrast",), settings, on_result=keep, say=said.append)
    assert report["results"]["contrast"] == {"contrast": pytest.approx(game.generate(100, seed=0).std())}
    earlier = read_report(run.path / REPORT)
    report = evaluate(game, experiment, data, ("centroid", "contrast"), settings, earlier, keep, said.append)
    assert [line for line in said if line.startswith("contrast")] == ["contrast"]  # not measured again
    assert [row["encoder"] for row in report["results"]["centroid"]] == ["trained", "untrained", "pixels"]
    assert report["protocols"]["contrast"] == Contrast.protocol

    text = table(read_report(run.path / REPORT))
    contrast, pixels = report["results"]["contrast"]["contrast"], report["results"]["centroid"][-1]["accuracy"]
    assert f"contrast of samples\n  {'contrast':32}{contrast:16.3f}" in text
    assert "nearest centroid, %\n  trained h1 (16)" in text and f"  {'pixels (64)':32}{pixels:16.2f}" in text
    entry = publish(run.path, "mine", "none", zoo=tmp_path)
    card = (entry / CARD).read_text()
    assert text in card and f"- contrast: {Contrast.protocol}." in card
    assert publish_metrics(run.path / REPORT, "mine", zoo=tmp_path) == entry and text in (entry / CARD).read_text()


def test_it_is_given_as_an_object_and_read_where_it_is_unknown(digits_dir):
    experiment = tiny(statistics_steps=2)
    data = open_evaluation_data(experiment, data_dir=str(digits_dir))
    report = evaluate(tiny_game(), experiment, data, (Contrast(),), say=lambda line: None)
    assert table(report) == f"contrast\n  contrast {report['results']['contrast']['contrast']}"
    with pytest.raises(InputError, match="unknown metric 'contrast'"):
        evaluate(tiny_game(), experiment, data, "contrast")
    with pytest.raises(InputError, match="a measure is a name or a Measure object, found <class .*Contrast'>"):
        evaluate(tiny_game(), experiment, data, (Contrast,))


def test_what_it_needs_is_checked(digits_dir):
    class OfEncoders(Contrast):
        needs = frozenset({"encoder"})

    data = open_evaluation_data(tiny(), data_dir=str(digits_dir))
    with pytest.raises(InputError, match="^gan has no encoder, so it has no contrast metric$"):
        evaluate(tiny_game("gan"), tiny(system="gan"), data, (OfEncoders(),))
