"""The collapse watch: its numbers and warnings on made-up games, and what it does in a run."""

import json
import math

import keras
import numpy as np
import pytest
from helpers import ROOT, awake_game, finish, read_h5, read_records, run_tool, start_tool, tiny

from tf_bigan.data import open_data
from tf_bigan.games import BiGAN, make_game
from tf_bigan.priors import Uniform
from tf_bigan.training import run_log, watch
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train
from tf_bigan.training.watch import Watch, judgements, of_codes, own_class_share
from tf_bigan.training.watch_warnings import warnings_of

SAMPLES = {"sample_distance", "feature_distance", "near_duplicates"}
JUDGED = {f"{kind}_{what}" for kind in ("real", "generated") for what in ("accuracy", "saturation")}
CODES = {"effective_rank", "code_dependence", "prior_distance", "code_mean"}
CODES |= {"code_stddev", "code_stddev_lowest", "code_stddev_highest"}
ALWAYS = {"nearest_neighbour", "seconds"}


@pytest.fixture(scope="module")
def digits(digits_dir):
    return open_data("digits", "train", data_dir=digits_dir)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watch, "EXAMPLES", 200)
    monkeypatch.setattr(watch, "PAIRS", 100)


def looked(game, data, folder, times=1, batch_size=50):
    """(the numbers without their prefix, the warnings in the log, the lines said) of looks at `game`."""
    run, lines = RunDirectory(folder), []
    run.append_log({"epoch": 0, "step": 0})
    watching = Watch(game, run, data, batch_size, lines.append)
    for _ in range(times):
        watching.look(3)
    (record,) = [json.loads(line, parse_constant=pytest.fail) for line in run.log.read_text().splitlines()]
    warnings = record.pop(watch.WARNINGS, {})
    return {name.removeprefix("watch/"): value for name, value in record.items() if "/" in name}, warnings, lines


# -- every kind of system


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"system": "gan"}, SAMPLES | JUDGED),
        ({"denoising_feature_matching": 0.03, "denoiser_width": 8, "denoiser_layers": 1}, SAMPLES | JUDGED | CODES),
        ({"label_weight": 1.0, "classes": 10, "objective": "relativistic"}, SAMPLES | JUDGED | CODES),
        ({"system": "vae", "prior": "normal", "posterior": "gaussian"}, SAMPLES | CODES),
        ({"system": "learned_inverse"}, SAMPLES | CODES),
        ({"system": "supervised", "classes": 10}, CODES),
        ({"networks": "conv", "width": 4, "image_size": 16, "encoder_size": 32}, None),
    ],
)
def test_a_system_has_the_numbers_of_its_networks(changes, names, digits, digits_dir, tmp_path):
    experiment = tiny(**changes)
    if experiment.encoder_size:  # a larger E has no features of samples
        digits = open_data("digits", "train", image_size=32, data_dir=digits_dir)
        names = (SAMPLES | JUDGED | CODES) - {"feature_distance"}
    numbers, warnings, lines = looked(make_game(experiment), digits, tmp_path)
    assert set(numbers) == names | ALWAYS, lines
    assert all(value is not None and math.isfinite(value) for value in numbers.values()), numbers
    assert not {"failed", "nonfinite"} & set(warnings)


def test_a_game_of_points(tmp_path):
    experiment = tiny(system="ali", dataset="mixture", networks="mixture", image_size=0, channels=0, dimensions=2)
    game = make_game(experiment.changed_by(["--posterior=implicit", "--prior=normal", "--latent_dim=2"]))
    numbers, warnings, _ = looked(game, open_data("mixture", "train"), tmp_path)
    assert set(numbers) == SAMPLES | JUDGED | CODES | ALWAYS and "failed" not in warnings
    assert numbers["nearest_neighbour"] > 0.9  # its components are apart


def test_a_conditional_game_gets_the_conditions_of_its_examples(digits_dir, tmp_path):
    shape = {"networks": "ali_cifar10", "image_size": 32, "width": 4, "attributes": 10, "attributes_from": "label"}
    game = make_game(tiny(system="conditional_ali", prior="normal", posterior="gaussian", **shape))
    data = open_data("digits", "train", image_size=32, attributes_from="label", data_dir=digits_dir)
    numbers, warnings, lines = looked(game, data, tmp_path)
    assert set(numbers) == SAMPLES | JUDGED | CODES | ALWAYS and "failed" not in warnings, lines


@pytest.mark.parametrize("batch_size", [7, 150, 500])
def test_batches_of_any_size_are_judged(batch_size, digits, tmp_path):
    numbers, warnings, _ = looked(awake_game(), digits, tmp_path, batch_size=batch_size)
    assert not warnings and 0.0 < numbers["real_accuracy"] + numbers["generated_accuracy"] < 2.0


# -- warnings, on made-up games


def test_a_healthy_game_gives_no_warning(digits, tmp_path):
    numbers, warnings, lines = looked(awake_game(), digits, tmp_path)
    assert not warnings and not lines
    assert numbers["near_duplicates"] < 0.5 and numbers["effective_rank"] > 1.5


def test_a_generator_that_ignores_z_is_warned_of_once(digits, tmp_path):
    game = awake_game()
    output = game.generator.get_layer("outputs")
    output.kernel.assign(keras.ops.zeros_like(output.kernel))
    numbers, warnings, lines = looked(game, digits, tmp_path, times=2)
    assert numbers["sample_distance"] < 1e-6 and numbers["near_duplicates"] == 1.0
    assert list(warnings) == ["samples"] and len(lines) == 1
    assert lines[0].startswith(
        "warning: epoch 3: the samples collapse, or have not spread yet: their mean distance is "
    )
    assert "100% have a near-duplicate" in lines[0] and warnings["samples"] in lines[0]
    # A resumed run does not warn again: what was told is in the log.
    again = []
    Watch(game, RunDirectory(tmp_path), digits, 50, again.append).look(4)
    assert not again


def test_an_encoder_that_ignores_x_is_warned_of(digits, tmp_path):
    game = awake_game()
    first = game.encoder.get_layer("h1_linear")
    first.kernel.assign(keras.ops.zeros_like(first.kernel))
    numbers, warnings, lines = looked(game, digits, tmp_path)
    assert numbers["code_dependence"] < 1e-9 and numbers["effective_rank"] == 0.0
    assert list(warnings) == ["encoder"] and "the encoder ignores its examples" in lines[0]


def test_a_stochastic_encoder_that_ignores_x_is_seen_by_its_means(digits, tmp_path):
    game = awake_game(prior="normal", posterior="gaussian")
    output = game.encoder.get_layer("outputs")
    output.kernel.assign(keras.ops.zeros_like(output.kernel))  # means 0, standard deviations 1: the prior
    numbers, warnings, _ = looked(game, digits, tmp_path)
    assert numbers["code_dependence"] == 0.0 and "encoder" in warnings
    assert abs(numbers["prior_distance"]) < 0.02 and numbers["code_stddev"] == pytest.approx(1.0, abs=0.15)


def test_a_discriminator_without_error_is_warned_of(digits, tmp_path):
    game = awake_game()
    output = game.generator.get_layer("outputs")
    output.kernel.assign(keras.ops.zeros_like(output.kernel))  # grey images, whose pixels have no spread
    x, z = keras.Input((8, 8, 1)), keras.Input((4,))
    logit = keras.layers.Lambda(lambda x: 200.0 * (keras.ops.std(x, axis=(1, 2)) - 0.15))(x)
    networks = {**game.networks, "discriminator": keras.Model([x, z], logit)}
    numbers, warnings, lines = looked(BiGAN(networks, Uniform(4)), digits, tmp_path)
    assert [numbers[name] for name in sorted(JUDGED)] == [1.0] * 4
    assert "it is certain, and right, about 100% of real and 100% of generated pairs" in warnings["discriminator"]
    assert len(lines) == 2  # and the samples' collapse


def test_values_that_are_not_finite_are_null_and_one_line(digits, tmp_path):
    game = awake_game()
    bias = game.generator.trainable_variables[-1]
    bias.assign(keras.ops.full_like(bias, math.nan))
    numbers, warnings, lines = looked(game, digits, tmp_path)
    assert numbers["sample_distance"] is None and numbers["feature_distance"] is None
    assert numbers["effective_rank"] > 1.0  # the rest is measured
    assert list(warnings) == ["nonfinite"] and len(lines) == 1
    assert "not all samples (0.0% are finite)" in lines[0] and "outputs of the discriminator" in lines[0]


def test_whatever_fails_is_a_line_and_not_the_end_of_training(digits, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no memory\nand more")

    monkeypatch.setattr(Watch, "_logits", fail)
    numbers, warnings, lines = looked(awake_game(), digits, tmp_path)
    assert set(numbers) >= SAMPLES
    assert lines == ["warning: epoch 3: the watch could not measure everything: RuntimeError: no memory"]
    assert list(warnings) == ["failed"]


def no_space(*args):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["log", "tensorboard", "both"])
def test_numbers_that_cannot_be_written_do_not_end_training(where, digits, tmp_path, monkeypatch):
    if where in ("log", "both"):
        monkeypatch.setattr(run_log, "write_records", no_space)
    if where in ("tensorboard", "both"):
        monkeypatch.setattr(watch.tf.summary, "scalar", no_space)
    if where == "log":
        run, lines = RunDirectory(tmp_path), []
        run.append_log({"epoch": 0, "step": 0})
        Watch(awake_game(), run, digits, 50, lines.append).look(3)
        assert any(run.tensorboard.iterdir())  # one failure does not keep the other from being written
    else:
        numbers, _, lines = looked(awake_game(), digits, tmp_path)
        assert (numbers.keys() >= SAMPLES) == (where == "tensorboard")
    line = "warning: epoch 3: the watch could not write its numbers: OSError: [Errno 28] No space left on device"
    assert lines == [line] * (2 if where == "both" else 1)


def looks(game, run, data, *numbers):
    """The kinds of warnings that looks give if they measure the given numbers."""
    kinds, lines = [], []
    watching = Watch(game, run, data, 50, lines.append)
    for found in numbers:
        step = len(run.read_log()) + 1
        run.append_log({"epoch": step, "step": step})
        game.steps_done = step
        watching._measure = lambda into, found=found: into.update(found) or {}
        watching.look(step)
        kinds.append(list(run.read_log()[-1].get(watch.WARNINGS, {})))
    assert len(lines) == sum(len(each) for each in kinds)
    return kinds


COLLAPSED = {"sample_distance": 0.05, "near_duplicates": 0.0}
SPREAD = {"sample_distance": 0.9, "near_duplicates": 0.0}
UNKNOWN = {"sample_distance": None, "near_duplicates": None}
BORDER = {"sample_distance": 0.09999999999, "near_duplicates": 0.0}  # 0.1 in the log


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    "numbers, warned",
    [
        ([COLLAPSED, COLLAPSED, SPREAD, COLLAPSED, COLLAPSED], [0, 3]),
        ([COLLAPSED, UNKNOWN, {}, COLLAPSED], [0]),  # what was not measured is not known to have passed
        ([COLLAPSED, BORDER, COLLAPSED], [0, 2]),
    ],
)
def test_a_warning_that_has_passed_is_given_again(numbers, warned, resumed, tmp_path):
    class Stub:
        seed, steps_done, generates, prior = 0, 0, True, Uniform(4)

    run, game = RunDirectory(tmp_path), Stub()
    if resumed:  # a new Watch for each look knows only the log
        kinds = [kind for found in numbers for kind in looks(game, run, None, found)]
    else:
        kinds = looks(game, run, None, *numbers)
    assert kinds == [["samples"] if number in warned else [] for number in range(len(numbers))]


@pytest.mark.parametrize("system, kinds", [("autoencoder_l2", []), ("autoencoder_l1", []), ("vae", ["samples"])])
def test_samples_of_autoencoders_give_no_warning(system, kinds, digits, tmp_path):
    changes = {"prior": "normal", "posterior": "gaussian"} if system == "vae" else {}
    game = awake_game(system, **changes)
    output = game.generator.get_layer("outputs")
    output.kernel.assign(keras.ops.zeros_like(output.kernel))
    numbers, warnings, _ = looked(game, digits, tmp_path)
    assert numbers["sample_distance"] < 1e-6
    assert [kind for kind in warnings if kind == "samples"] == kinds


@pytest.mark.parametrize(
    "numbers, kinds",
    [
        ({}, []),
        ({"sample_distance": None, "near_duplicates": math.nan, "code_dependence": None}, []),
        ({"sample_distance": 0.1, "near_duplicates": 0.5, "code_dependence": 0.01, "effective_rank": 1.1}, []),
        ({"sample_distance": 0.099, "near_duplicates": 0.0}, ["samples"]),
        ({"sample_distance": 0.9, "near_duplicates": 0.51}, ["samples"]),
        ({"real_saturation": 0.95, "generated_saturation": 0.95}, ["discriminator"]),
        ({"real_saturation": 1.0, "generated_saturation": 0.94}, []),
        ({"code_dependence": 0.0099, "effective_rank": 4.0}, ["encoder"]),
        ({"code_dependence": 1.0, "effective_rank": 1.09}, ["encoder"]),
    ],
)
def test_thresholds(numbers, kinds):
    assert list(warnings_of(numbers, 4)) == kinds


def test_codes_of_one_dimension_may_lie_on_a_line():
    assert not warnings_of({"code_dependence": 1.0, "effective_rank": 1.0}, 1)


# -- the numbers by hand


def test_judgements_count_margins():
    certain = math.log(99.0)
    found = judgements(np.array([-1.0, 0.1, certain + 0.01, 9.0]), np.array([0.0, 1.0, certain - 0.01, -9.0]))
    wanted = {"real_accuracy": 0.75, "real_saturation": 0.5, "generated_accuracy": 0.5, "generated_saturation": 0.0}
    assert found == wanted


def test_codes_in_units_of_the_prior():
    prior = np.array([[-2.0, -1.0], [2.0, 1.0], [-2.0, 1.0], [2.0, -1.0]])  # standard deviations 2 and 1
    codes = np.stack([0.5 * prior[:, 0] + 2.0, prior[:, 1]], axis=1)
    found = of_codes(codes, codes, prior)
    assert found["code_stddev_lowest"] == pytest.approx(0.5) and found["code_stddev_highest"] == pytest.approx(1.0)
    assert found["code_stddev"] == pytest.approx(0.75)
    assert found["code_mean"] == pytest.approx(np.sqrt(0.5))  # one unit in one of two dimensions
    assert found["code_dependence"] == pytest.approx(2 / 5) and found["effective_rank"] == pytest.approx(2.0)


def test_the_nearest_neighbour_is_another_row():
    features = np.array([[0.0], [0.0], [1.0], [5.0]])
    assert own_class_share(features, np.array([1, 1, 2, 2])) == 0.75
    assert own_class_share(features, np.array([1, 2, 1, 3])) <= 0.25


# -- in a run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits_dir):
    """Two deterministic runs of the published flags, shortened, with and without the watch: {watch: folder}."""
    folder = tmp_path_factory.mktemp("runs")
    short = ["--constant_epochs=3", "--decay_epochs=1", "--images_every=2", "--statistics_steps=3", "--deterministic"]
    flags = [f"--flagfile={ROOT}/zoo/bigan_digits/train.flags", *short, f"--data_dir={digits_dir}"]
    started = {
        on: start_tool("train.py", *flags, f"--watch={on}", f"--workdir={folder / on}") for on in ("true", "false")
    }
    for process in started.values():
        status, stdout, stderr = finish(process)
        assert status == 0, stderr
        assert "warning: " not in stdout  # a run that has only begun is not taken for one that collapsed
    return {on: folder / on for on in started}


def test_the_watch_does_not_change_the_weights(runs):
    for role in ("encoder", "generator", "discriminator"):
        ours, theirs = (read_h5(runs[on] / f"{role}.weights.h5") for on in ("true", "false"))
        assert ours.keys() == theirs.keys()
        assert all(ours[path].tobytes() == theirs[path].tobytes() for path in ours), role


def test_each_picture_has_the_numbers_in_the_log_and_in_tensorboard(runs):
    import tensorflow as tf

    records = read_records(runs["true"] / "metrics.jsonl")
    names = {f"watch/{name}" for name in SAMPLES | JUDGED | CODES | ALWAYS}
    assert [names <= record.keys() for record in records] == [False, True, False, True]
    assert not [name for record in read_records(runs["false"] / "metrics.jsonl") for name in record if "/" in name]
    found = {}
    for file in (runs["true"] / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            found |= {(value.tag, event.step): value for value in event.summary.value}
    for name in names:
        value = float(tf.make_ndarray(found[name, records[1]["step"]].tensor))
        assert value == pytest.approx(records[1][name], rel=1e-5)


def test_a_resumed_run_has_the_numbers_of_an_uninterrupted_one(tmp_path, digits_dir, monkeypatch):
    class Stop(Exception):
        pass

    experiment = tiny(images_every=1, constant_epochs=2)  # checkpoints are those of the pictures
    train(experiment, tmp_path / "whole", digits_dir, say=lambda line: None)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        append = RunDirectory.append_log

        def stop_in_second(run, record):
            if record["epoch"] == 2:
                raise Stop
            append(run, record)

        patch.setattr(RunDirectory, "append_log", stop_in_second)
        train(experiment, tmp_path / "broken", digits_dir, say=lambda line: None)
    train(experiment, tmp_path / "broken", digits_dir, say=lambda line: None)
    whole, broken = (read_records(tmp_path / run / "metrics.jsonl") for run in ("whole", "broken"))
    for ours, theirs in zip(whole, broken, strict=True):
        names = [name for name in ours if name.startswith("watch/") and name not in ("watch/seconds", watch.WARNINGS)]
        assert len(names) == len(SAMPLES | JUDGED | CODES) + 1 and ours.get(watch.WARNINGS) == theirs.get(
            watch.WARNINGS
        )
        for name in names:
            assert theirs[name] == pytest.approx(ours[name], rel=1e-3, abs=0.02), name


def test_visualize_draws_the_curves_of_a_run(runs, tmp_path):
    from PIL import Image

    status, stdout, stderr = run_tool("visualize.py", f"--run={runs['true']}", f"--output={tmp_path}")
    assert status == 0, stderr
    assert stdout.split() == [str(tmp_path / "curves.png")]
    status, stdout, stderr = run_tool("visualize.py", f"--run={runs['false']}")  # as of earlier versions
    assert status == 0, stderr
    assert stdout.split() == [str(runs["false"] / "curves.png")]
    watched, unwatched = Image.open(tmp_path / "curves.png"), Image.open(runs["false"] / "curves.png")
    assert watched.width == unwatched.width and watched.height > 2 * unwatched.height


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--run={}"], "train.flags is missing, so {} is no run directory"),
        (["--run="], "--run is required"),
        (["--run={}", "--model=bigan_digits"], "not both"),
        (
            ["--run={}", "--figures=samples", "--seed=0", "--data_dir=/data"],
            "--figures, --seed, --data_dir: for pictures of a --model; --run, which draws curves, takes --output alone",
        ),
    ],
)
def test_a_folder_without_a_run_has_no_curves(flags, message, tmp_path):
    status, _, stderr = run_tool("visualize.py", *(flag.format(tmp_path) for flag in flags))
    assert status == 2 and message.format(tmp_path) in stderr
    assert stderr.count("\n") == 1 and "Traceback" not in stderr
