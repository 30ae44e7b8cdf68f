import dataclasses

import keras
import numpy as np
import pytest
from helpers import images, run_tool, small_encoder, tiny, tiny_game

from tf_bigan import zoo
from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation import transfer
from tf_bigan.evaluation.data import EvaluationData, open_evaluation_data, open_transfer_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measure import Diverged
from tf_bigan.evaluation.report import newest_setting, values
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.evaluation.settings import PRECISIONS, EvaluationSettings, TransferSettings
from tf_bigan.evaluation.table import table
from tf_bigan.networks import MLPEncoder
from tf_bigan.networks.alexnet import LAYERS
from tf_bigan.training.run_directory import RunDirectory

SETTINGS = TransferSettings(epochs=15, batch_size=20, units=24, learning_rate=0.02, dropout=0.1)
SHORT = TransferSettings(epochs=1, batch_size=20, units=8)
CONV = {"networks": "conv", "width": 8, "image_size": 48, "shorter_edge": 52, "channels": 3, "latent_dim": 4}


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of two classes that differ in colour: 40 and 20 images for training and testing."""
    from PIL import Image

    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        for i in range(count):
            pixels = rng.integers(0, 160, (56, 52, 3), np.uint8)
            pixels[..., i % 2] += 80
            path = root / split / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def splits(photos):
    return [open_images(str(photos / split), image_size=48, shorter_edge=52) for split in ("train", "test")]


@pytest.mark.parametrize("copied", [1, 3, 5])
def test_copied_convolutions_carry_their_norms(encoder, copied):
    x = images(32, shape=(48, 48, 3))
    alexnet = transfer.transplant(encoder, (48, 48, 3), 5, copied, SETTINGS, x)
    for n in range(1, copied + 1):
        # On the same input, a copied layer equals the encoder's convolution and batch norm, except for conv1's padding.
        kernel, bias = alexnet.get_layer(f"conv{n}_linear").get_weights()
        linear = encoder.get_layer(f"conv{n}_linear")
        if n == 1:
            np.testing.assert_array_equal(kernel, linear.kernel)
            np.testing.assert_array_equal(bias, 0.0)
        else:
            norm, maps = encoder.get_layer(f"conv{n}_norm"), images(2, shape=(7, 7, linear.kernel.shape[2] * 2))
            maps = maps[..., : linear.input.shape[-1]]
            expected = norm(linear(maps))
            np.testing.assert_allclose(alexnet.get_layer(f"conv{n}_linear")(maps), expected, rtol=1e-4, atol=1e-3)


def test_new_layers_give_mean_0_and_deviation_1_on_the_examples(encoder):
    x = images(64, shape=(48, 48, 3))
    alexnet = transfer.transplant(encoder, (48, 48, 3), 5, 2, SETTINGS, x)
    for name in ("conv3", "conv4", "conv5", "fc6", "fc7"):
        outputs = np.array(keras.Model(alexnet.inputs[0], alexnet.get_layer(f"{name}_linear").output)(x))
        outputs = outputs.reshape(-1, outputs.shape[-1])
        np.testing.assert_allclose(outputs.mean(axis=0), 0.0, atol=1e-3)
        np.testing.assert_allclose(outputs.std(axis=0), 1.0, atol=1e-3)
    assert not np.any(alexnet(x))  # fc8 starts at 0


def test_a_frozen_prefix_does_not_learn_and_the_rest_does(encoder, splits, monkeypatch):
    made = []
    monkeypatch.setattr(transfer, "freeze_before", _recording(transfer.freeze_before, made))
    found = transfer.frozen_prefix(encoder, *splits, "conv3", SETTINGS, say=lambda line: None)
    ((alexnet, before),) = made
    changed = {name: not np.array_equal(before[name], alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS}
    assert changed == {name: name not in ("conv1", "conv2", "conv3") for name in LAYERS}
    assert found["accuracy"] >= 90.0 and found["accuracy_10_crop"] >= 90.0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fine_tuning_trains_everything(precision, encoder, splits, monkeypatch):
    made, said = [], []
    monkeypatch.setattr(transfer, "freeze_before", _recording(transfer.freeze_before, made))
    settings = dataclasses.replace(SETTINGS, precision=precision)
    found = transfer.fine_tune(encoder, *splits, settings, say=said.append)
    ((alexnet, before),) = made
    assert not any(np.array_equal(before[name], alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS)
    assert alexnet.get_layer("conv2_linear").dtype_policy.name == precision
    assert found["accuracy"] >= 90.0
    assert [line.split(":")[0] for line in said] == [f"  epoch {n}/15" for n in range(1, 16)]


def _recording(freeze, made):
    def freeze_before(alexnet, train_from):
        made.append((alexnet, {name: np.array(alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS}))
        freeze(alexnet, train_from)

    return freeze_before


def test_ten_crops_are_corners_and_centre_each_mirrored(tmp_path):
    from PIL import Image

    # In a 52x52 image, red encodes the column and green the row; crops are 48x48.
    rows, columns = np.mgrid[:52, :52].astype(np.uint8)
    Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=-1)).save(tmp_path / "a.png")
    data = open_images(str(tmp_path), image_size=48, shorter_edge=52)
    ((views, _),) = transfer._views(data)
    crops = [np.array(x[0]) * 255 for x in views]
    corners = {(round(float(x[0, :, 1].max())), *np.round(x[0, [0, -1], 0]).astype(int)) for x in crops}
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    plain = {(top, left, left + 47) for top, left in places}
    assert len(crops) == 10 and corners == plain | {(top, right, left) for top, left, right in plain}
    np.testing.assert_array_equal(np.round(crops[0][0, 0]), [2, 2, 0])  # the centre first


def test_evaluation_goes_on_after_the_last_result(photos, monkeypatch):
    def trained(network, training, test, *others, say):
        size = np.abs(network.get_layer("conv1_linear").kernel).mean()
        return {"accuracy": float(size), "accuracy_10_crop": len(others)}

    monkeypatch.setattr(transfer, "frozen_prefix", trained)
    monkeypatch.setattr(transfer, "fine_tune", trained)
    experiment = tiny(dataset=str(photos / "train"), statistics_steps=2, batch_size=16, crop="random", **CONV)
    data = open_evaluation_data(experiment, query_dataset=str(photos / "test"))
    model = tiny_game(dataset=str(photos / "train"), statistics_steps=2, **CONV)

    def run(**arguments):
        said, kept = [], []
        settings = EvaluationSettings(layers=("conv1", "conv5"), transfer=SHORT, untrained=2)
        names = ("frozen_prefix", "fine_tuning")
        report = evaluate(model, experiment, data, names, settings, on_result=kept.append, say=said.append, **arguments)
        return report, [line.partition(" (")[0] + line.partition(")")[2].partition(" (")[0] for line in said], kept

    report, said, kept = run()
    assert said == [
        f"{what} of {who}, {where}"
        for what, layers in (("frozen_prefix", ("conv1", "conv5")), ("fine_tuning", ("conv5",)))
        for who in ("trained", "untrained", "untrained")
        for where in layers
    ]
    assert [sum(map(len, each["results"].values())) for each in kept] == list(range(1, 10))
    first, second = values(report, "frozen_prefix", "untrained", "conv5")
    assert first != second  # other initial weights
    text = table(report)
    assert "frozen prefix, top-1 accuracy, %" in text and "untrained conv5" in text and "±" in text

    # With other queries it is a different evaluation, which keeps no earlier results.
    elsewhere = dataclasses.replace(data, query_dataset="other")
    short = EvaluationSettings(transfer=SHORT)
    assert evaluate(model, experiment, elsewhere, ("fine_tuning",), short, report, say=(lines := []).append)
    assert len(lines) == 2

    # Another setting gives another classifier, which does not replace the earlier results.
    changed = TransferSettings(epochs=2, batch_size=20, units=8, precision="mixed_bfloat16")
    changed = EvaluationSettings(transfer=changed)
    other = evaluate(model, experiment, data, ("fine_tuning",), changed, report, say=(lines := []).append)
    assert len(lines) == 2 and other["results"].keys() == {"fine_tuning"}
    both = {"results": {"fine_tuning": report["results"]["fine_tuning"] + other["results"]["fine_tuning"]}}
    text = table(both)
    told = "rate 0.01, units 8, seed 0"
    assert f"(classifiers: 48 px, 1 epochs, {told})" in text
    assert f"(classifiers: 48 px, 2 epochs, {told}, mixed_bfloat16)" in text
    assert newest_setting(both, "fine_tuning")["settings"]["epochs"] == 2

    # After a kill with four results these are not made again, and none of them is lost meanwhile.
    again, said, kept = run(earlier=kept[3])
    assert len(said) == 5 and again == report
    assert all(sum(map(len, each["results"].values())) >= 4 for each in kept)


@pytest.mark.parametrize("system", ["bigan", "gan"])  # of a gan, D is transferred
def test_classifiers_of_another_size_than_the_encoder_s(photos, system):
    experiment = tiny(system=system, dataset=str(photos / "train"), statistics_steps=2, batch_size=16, **CONV)
    data = open_evaluation_data(experiment, query_dataset=str(photos / "test"))
    assert data.gallery.image_shape == (48, 48, 3)
    settings = EvaluationSettings(transfer=TransferSettings(epochs=1, units=8), transfer_size=64)
    game = tiny_game(system, **CONV)
    report = evaluate(game, experiment, data, ("fine_tuning",), settings, say=lambda line: None)
    assert [row["edge"] for row in report["results"]["fine_tuning"]] == [64, 64]
    assert "(classifiers: 64 px, 1 epochs, rate 0.01, units 8, seed 0)" in table(report)


def test_a_classifier_that_diverges_is_an_error(encoder, splits):
    settings = dataclasses.replace(SETTINGS, learning_rate=1e9, momentum=0.0)
    with pytest.raises(Diverged, match="the loss is .* in epoch 1; lower the learning rate"):
        transfer.fine_tune(encoder, *splits, settings, say=lambda line: None)


def test_a_classifier_that_diverges_does_not_keep_the_others_from_being_measured(splits, monkeypatch):
    def trained(network, training, test, through, settings, say):
        if through == "conv2":
            raise Diverged("the loss is nan")
        return {"accuracy": 50.0, "accuracy_10_crop": 60.0}

    monkeypatch.setattr(transfer, "frozen_prefix", trained)
    data = EvaluationData("a", "b", *splits)
    game, kept = tiny_game(**CONV, statistics_steps=2), []
    with pytest.raises(InputError, match="2 of 6 measurements diverged; frozen_prefix of trained .42., conv2: the"):
        experiment = tiny(batch_size=16, statistics_steps=2, **CONV)
        settings = EvaluationSettings(layers=("conv1", "conv2", "conv3"), transfer=SETTINGS)
        evaluate(game, experiment, data, ("frozen_prefix",), settings, None, kept.append, lambda line: None)
    assert [row["layer"] for row in kept[-1]["results"]["frozen_prefix"]] == ["conv1", "conv3"] * 2


def test_classifiers_have_room_for_their_crops(photos):
    with_room, without = tiny(**CONV), tiny(**{**CONV, "shorter_edge": 0})
    for experiment, same in ((with_room, (0, 48)), (without, ())):
        data = open_evaluation_data(experiment, str(photos / "train"), str(photos / "test"))
        opened = {edge: open_transfer_data(experiment, data, edge) for edge in (0, 48, 64)}
        assert [edge for edge, found in opened.items() if found is data] == list(same)
        assert [found.gallery.image_shape[0] for found in opened.values()] == [48, 48, 64]
        assert opened[64].queries.count == data.queries.count
    data = opened[48]
    crops, _ = data.queries.read(np.zeros(2, np.int64), np.array([[0.0, 0.0], [0.99, 0.99]], np.float32))
    assert crops.shape == (2, 48, 48, 3) and np.abs(crops[0] - crops[1]).mean() > 0.05


def test_a_bad_image_is_named_before_anything_is_trained(photos, tmp_path):
    import shutil

    shutil.copytree(photos / "train", tmp_path / "train")
    (tmp_path / "train" / "a" / "bad.png").write_bytes(b"no image")
    experiment = tiny(dataset=str(tmp_path / "train"), **CONV)
    data = open_evaluation_data(experiment, query_dataset=str(photos / "test"))
    for measures in (
        ("fine_tuning",),
        ("knn",),
    ):
        with pytest.raises(InputError, match="1 of 41 images of .* cannot be used.*\n.*bad.png"):
            evaluate(tiny_game(**CONV), experiment, data, measures, say=pytest.fail)


def test_an_image_damaged_meanwhile_is_named(photos, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(photos / "train", tmp_path / "train")

    def damaged(network, training, test, settings, say):
        (tmp_path / "train" / "a" / "0.png").write_bytes(b"no image")
        next(iter(training.training_batches(40, 0, crop="random")))

    monkeypatch.setattr(transfer, "fine_tune", damaged)
    experiment = tiny(dataset=str(tmp_path / "train"), **CONV)
    data = open_evaluation_data(experiment, query_dataset=str(photos / "test"))
    with pytest.raises(InputError, match="1 of 40 images of .* cannot be used.*\n.*0.png"):
        settings = EvaluationSettings(transfer=SETTINGS, untrained=0)
        evaluate(tiny_game(**CONV), experiment, data, ("fine_tuning",), settings, say=lambda line: None)


def test_classes_and_labels_must_fit(photos, tmp_path):
    import shutil

    experiment = tiny(dataset=str(photos / "train"), **CONV)
    shutil.copytree(photos / "test" / "b", tmp_path / "one" / "b")
    data = open_evaluation_data(experiment, query_dataset=str(tmp_path / "one"))
    with pytest.raises(InputError, match="the gallery's classes are a, b, the queries' b; they must be the same"):
        evaluate(tiny_game(**CONV), experiment, data, ("knn",))
    shutil.copytree(photos / "test", tmp_path / "two")
    shutil.copy(photos / "test" / "b" / "1.png", tmp_path / "two" / "1.png")  # in no class
    data = open_evaluation_data(experiment, query_dataset=str(tmp_path / "two"))
    with pytest.raises(InputError, match="images of .*two have no labels, which fine_tuning needs"):
        evaluate(tiny_game(**CONV), experiment, data, ("fine_tuning",))


def test_errors(encoder, splits, digits_dir):
    with pytest.raises(InputError, match="transfer needs a network with conv1 ... conv5, as --networks=conv; conv1 is"):
        transfer.check_transferable(MLPEncoder((8, 8, 1), latent_dim=4, width=16))
    with pytest.raises(InputError, match="epochs must be at least 1, found 0"):
        TransferSettings(epochs=0)
    with pytest.raises(InputError, match="precision must be float32 or mixed_bfloat16, found 'float16'"):
        TransferSettings(precision="float16")
    for rate in (-0.01, 0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="learning_rate must be positive, found"):
            TransferSettings(learning_rate=rate)
    experiment = tiny(**CONV)
    data = EvaluationData("a", "b", *splits)
    game = tiny_game(**CONV)
    with pytest.raises(InputError, match="data set 'voc/2007' is not under .* and could not be prepared there"):
        names = ("fine_tuning", "voc2007")  # before anything is trained
        evaluate(game, experiment, data, names, EvaluationSettings(data_dir=str(digits_dir)), say=pytest.fail)
    with pytest.raises(InputError, match="unknown layer 'conv6' for transfer. Did you mean 'conv5'"):
        evaluate(game, experiment, data, ("frozen_prefix",), EvaluationSettings(layers=("conv6",)))
    with pytest.raises(InputError, match="unknown metric 'fine_tunin'. Did you mean 'fine_tuning'"):
        evaluate(game, experiment, data, ("fine_tunin",))
    with pytest.raises(InputError, match="are in the gallery, .*: every image would be its own nearest"):
        same = EvaluationData("a", "a", splits[0], splits[0])
        evaluate(game, experiment, same, ("fine_tuning",))


def test_the_command_line_transfers_trained_and_untrained_and_keeps_the_rows(photos, tmp_path):
    experiment = tiny(dataset=str(photos / "train"), statistics_steps=2, batch_size=16, crop="random", **CONV)
    run = RunDirectory(tmp_path / "run")
    run.write_experiment(experiment)
    run.save_weights(tiny_game(**CONV).networks, 2, 2)
    command = [
        f"--model={run.path}", "--metrics=fine_tuning,frozen_prefix", "--layers=conv2", "--transfer_epochs=1",
        "--transfer_units=8", f"--query_dataset={photos / 'test'}",
    ]  # fmt: skip
    status, stdout, stderr = run_tool("evaluate.py", *command)
    assert status == 0, stderr
    assert "remapper" not in stderr
    report = read_report(run.path / zoo.REPORT)
    assert "(classifiers: 48 px, 1 epochs, rate 0.01, units 8" in stdout and table(report) in stdout
    for metric, layer in (("fine_tuning", "conv5"), ("frozen_prefix", "conv2")):
        for encoder in ("trained", "untrained"):
            for column in ("accuracy", "accuracy_10_crop"):
                (found,) = values(report, metric, encoder, layer, column)
                assert 0.0 <= found <= 100.0 and found % 5.0 == 0.0  # of 20 queries
    status, again, stderr = run_tool("evaluate.py", *command)
    assert status == 0 and table(report) in again and " of trained" not in stderr + again


def test_the_command_line_refuses_an_mlp(digits_dir, tmp_path):
    places = [f"--data_dir={digits_dir}", f"--json={tmp_path}/r"]
    status, _, stderr = run_tool("evaluate.py", "--model=bigan_digits", "--metrics=frozen_prefix", *places)
    assert (status, stderr) == (
        2,
        "error: transfer needs a network with conv1 ... conv5, as --networks=conv; conv1 is missing\n",
    )
