"""The values that identify the published runs must stay what they were when the runs were published.

The values are in tests/fixtures/published.json and published.npz, which tests/record_published.py wrote. A failing test
means that a published run is no longer the one that its card describes. Recording the values again does not repair it.
"""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from helpers import ROOT, tiny, tiny_game
from PIL import Image

import tf_bigan
from tf_bigan import draws, zoo
from tf_bigan.data import open_images
from tf_bigan.data.order import Order
from tf_bigan.experiment import Experiment
from tf_bigan.games import make_game
from tf_bigan.games.conditioned import conditioned
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
RECORDED = json.loads((FIXTURES / "published.json").read_text())
with np.load(FIXTURES / "published.npz") as arrays:
    ARRAYS = dict(arrays)

# Entries that have only flags are not trained yet, so there is nothing to compare.
MODELS = [name for name in zoo.list_models() if (zoo.zoo_path() / name / zoo.REPORT).exists()]
LOADED = [name for name in MODELS if RunDirectory(zoo.zoo_path() / name).has_weights()]
# Runs of published tables that are not entries of the zoo.
SEEDS = sorted(path.parent.name for path in (ROOT / "benchmarks" / "training_seeds").glob(f"*/{FLAGFILE}"))

PRIORS = ("uniform", "normal")
STREAMS = ("training", "statistics", "generation")
NOISE_SEEDS = (42, 7)
NOISE_STEPS = (0, 1, 1000003)
# (images, batch size, seed, step); the second batch of each size spans two epochs or comes late.
ORDERS = ((10, 4, 42, 0), (10, 4, 42, 2), (60000, 128, 7, 3), (60000, 128, 7, 1000003))
CROP_STEPS = (0, 3)


def record_of_run(path) -> dict:
    """The values that identify a run directory, as JSON."""
    run = RunDirectory(path)
    report = json.loads((run.path / zoo.REPORT).read_text())
    experiment = run.experiment()
    return {
        "experiment": dataclasses.asdict(experiment),
        "fresh_digest": experiment.fresh_digest(),
        # If a run's weights are not published, only its report has their digest.
        "weights": run.weights_digest() if run.has_weights() else report["weights"],
        "initial": [began["weights"] for began in run.initial()],
    }


def answers_of(name, load=tf_bigan.load) -> dict[str, np.ndarray]:
    """Parts of a published model's outputs for four fixed images, and of its samples from a fixed seed, float32.

    A conditional model is asked with the labels 0 to 3, or with attributes of which one is 1.
    """
    model = load(name)
    x = np.random.RandomState(0).uniform(size=(4, *model.example_shape)).astype(np.float32)
    answers = {"features": model.features(x).reshape(4, -1)[:, :8]}
    if model.class_count and not model.conditions:
        answers["classes"] = model.class_probabilities(x)
    attributes = 0 if model.embedding is None else model.embedding.inputs[0].shape[-1]
    model = conditioned(model, {"x": x, "label": np.arange(4), "attributes": np.eye(4, attributes, dtype=np.float32)})
    if model.generator is not None:
        answers["generate"] = model.generate(4, seed=7).ravel()[::97]
    if model.encoder is not None:
        answers["encode"] = model.encode(x)
    return answers


def z_of(prior, seed, step, stream, count=3, latent_dim=5) -> np.ndarray:
    """The z that a game draws: float32 [count, latent_dim]. Only this function depends on how the code draws it."""
    return tiny_game(prior=prior, seed=seed, latent_dim=latent_dim).noise(count, step, stream).numpy()


def add_stream(monkeypatch):
    """Adds a stream of noise after the present ones. Only this function depends on where they are defined."""
    monkeypatch.setitem(draws._NUMBERED, "later", len(draws._NUMBERED))


def noise_key(prior, seed, step, stream):
    return f"z/{prior}/{seed}/{step}/{stream}"


def order_of(count, batch_size, seed, step) -> np.ndarray:
    return Order(count, batch_size, seed).batch(step)


def order_key(count, batch_size, seed, step):
    return f"order/{count}/{batch_size}/{seed}/{step}"


def crops_of(folder, step) -> np.ndarray:
    """The randomly cropped, randomly mirrored batch of a step, from fixed 10x10 images: uint8 [4, 6, 6, 1]."""
    folder = pathlib.Path(folder) / "images"
    if not folder.exists():
        folder.mkdir()
        pixels = np.random.RandomState(0).randint(0, 256, (12, 10, 10)).astype(np.uint8)
        for number, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"{number:02}.png")
    data = open_images(str(folder), image_size=6, shorter_edge=10, channels=1)
    batch = next(iter(data.training_batches(4, seed=42, first_step=step, crop="random", flip=True)))["x"].numpy()
    crops = np.round(batch * 255.0).astype(np.uint8)
    np.testing.assert_array_equal(crops.astype(np.float32) / np.float32(255.0), batch)
    return crops


# -- the runs


def test_every_published_run_is_recorded():
    assert sorted(RECORDED["zoo"]) == MODELS, "python tests/record_published.py adds new entries"
    assert sorted(RECORDED["training_seeds"]) == SEEDS, "python tests/record_published.py adds new entries"
    assert sorted({key.split("/")[1] for key in ARRAYS if key.startswith("zoo/")}) == LOADED


def runs():
    for room, names, folder in (
        ("zoo", RECORDED["zoo"], zoo.zoo_path()),
        ("training_seeds", RECORDED["training_seeds"], ROOT / "benchmarks" / "training_seeds"),
    ):
        for name in names:
            yield pytest.param(folder / name, RECORDED[room][name], id=name)


@pytest.mark.parametrize("path, recorded", runs())
def test_flagfiles_mean_what_they_meant(path, recorded):
    experiment = Experiment.from_flagfile(path / FLAGFILE)
    assert RunDirectory(path).experiment() == experiment
    found = {name: getattr(experiment, name) for name in recorded["experiment"]}
    assert found == recorded["experiment"]
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in recorded["experiment"].items()
    }


@pytest.mark.parametrize("path, recorded", runs())
def test_untrained_networks_keep_their_digest(path, recorded):
    digest = RunDirectory(path).experiment().fresh_digest()
    report = json.loads((path / zoo.REPORT).read_text())
    assert digest == recorded["fresh_digest"]
    assert digest == report.get("untrained", digest)  # which older reports do not name


@pytest.mark.parametrize("path, recorded", runs())
def test_weights_are_those_of_the_report(path, recorded):
    run = RunDirectory(path)
    assert json.loads((path / zoo.REPORT).read_text())["weights"] == recorded["weights"]
    assert [began["weights"] for began in run.initial()] == recorded["initial"]
    if run.has_weights():
        assert run.weights_digest() == recorded["weights"]


@pytest.mark.parametrize("name", LOADED)
def test_published_models_answer_as_they_did(name):
    answers = answers_of(name)
    recorded = {key.split("/")[2]: array for key, array in ARRAYS.items() if key.startswith(f"zoo/{name}/")}
    assert answers.keys() == recorded.keys()
    for what, expected in recorded.items():
        assert answers[what].dtype == np.float32
        # CPUs round differently, and features can be of order 10.
        np.testing.assert_allclose(answers[what], expected, rtol=1e-5, atol=2e-5, err_msg=what)


@pytest.mark.parametrize("entry", ["supervised_cifar10", "ali_cifar10_conditional", "ali_cifar10_labels"])
def test_entries_that_are_to_come_can_be_recorded(entry):
    kinds = {"supervised_cifar10": {"classes", "encode"}, "ali_cifar10_conditional": {"encode", "generate"}}
    answers = answers_of(entry, fresh)
    assert answers.keys() == {"features", *kinds.get(entry, {"classes", "encode", "generate"})}
    assert all(array.dtype == np.float32 and len(array) >= 4 for array in answers.values())


def fresh(name):
    """An entry's model with fresh weights and narrow networks."""
    return make_game(dataclasses.replace(RunDirectory(zoo.zoo_path() / name).experiment(), width=2))


# -- what their training drew


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("seed", NOISE_SEEDS)
def test_noise_is_drawn_as_it_was(prior, seed, stream):
    for step in NOISE_STEPS:
        z = z_of(prior, seed, step, stream)
        assert z.dtype == np.float32
        np.testing.assert_array_equal(z, ARRAYS[noise_key(prior, seed, step, stream)], err_msg=f"step {step}")


def test_recorded_noise_is_of_independent_draws():
    draws = [ARRAYS[key] for key in ARRAYS if key.startswith("z/uniform/")]
    assert len(np.unique(draws)) == len(draws) * 15


def test_another_stream_redraws_nothing(monkeypatch):
    add_stream(monkeypatch)
    for step in NOISE_STEPS:
        for stream in STREAMS:
            z = z_of("uniform", 42, step, stream)
            np.testing.assert_array_equal(z, ARRAYS[noise_key("uniform", 42, step, stream)])


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_batches_hold_the_images_they_held(order):
    np.testing.assert_array_equal(order_of(*order), ARRAYS[order_key(*order)])


@pytest.mark.parametrize("step", CROP_STEPS)
def test_training_images_are_cropped_and_mirrored_as_they_were(step, tmp_path):
    np.testing.assert_array_equal(crops_of(tmp_path, step), ARRAYS[f"crops/{step}"])


# -- a setting that is to come


def with_later_field(experiment, **values):
    """An experiment as a later version has it, with one more field."""
    field = dataclasses.field(
        default="off", metadata={**Experiment.__dataclass_fields__["posterior"].metadata, "choices": None}
    )
    later = dataclasses.make_dataclass("Later", [("later", str, field)], bases=(Experiment,), frozen=True)
    return later(**dataclasses.asdict(experiment), **values)


def test_a_later_field_at_its_default_changes_no_digest():
    assert with_later_field(tiny()).fresh_digest() == tiny().fresh_digest()
    for path, recorded in (parameters.values for parameters in runs()):
        later = with_later_field(RunDirectory(path).experiment())
        assert later.fresh_digest() == recorded["fresh_digest"]


def test_a_later_field_away_from_its_default_changes_the_digest():
    assert with_later_field(tiny(), later="on").fresh_digest() != tiny().fresh_digest()
