import keras
import numpy as np
import pytest
from helpers import images, norms_of, run_tool, tiny, tiny_game

from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation import evaluate, transfer
from tf_bigan.evaluation.report import table, values
from tf_bigan.evaluation.transfer import Transfer
from tf_bigan.networks import ConvEncoder, MLPEncoder
from tf_bigan.networks.alexnet import LAYERS

SETTINGS = Transfer(epochs=15, batch_size=20, units=24, learning_rate=0.02, dropout=0.1)
CONV = {"networks": "conv", "width": 8, "image_size": 48, "shorter_edge": 52, "channels": 3, "latent_dim": 4}


@pytest.fixture(scope="module")
def encoder():
    """A small encoder whose norms are all of their own."""
    network = ConvEncoder((48, 48, 3), latent_dim=4, width=8)
    rng = np.random.default_rng(0)
    for name, norm in norms_of(network).items():
        norm.mean.assign(rng.normal(0.0, 0.1, norm.mean.shape))
        norm.variance.assign(rng.uniform(0.0005, 0.002, norm.variance.shape))
        assert name in ("conv2_norm", "conv3_norm", "conv4_norm", "conv5_norm")
    return network


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
        # On the same input, a copied layer gives what convolution and norm gave, but for the padding of conv1.
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


def test_fine_tuning_trains_everything(encoder, splits, monkeypatch):
    made, said = [], []
    monkeypatch.setattr(transfer, "freeze_before", _recording(transfer.freeze_before, made))
    found = transfer.fine_tune(encoder, *splits, SETTINGS, say=said.append)
    ((alexnet, before),) = made
    assert not any(np.array_equal(before[name], alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS)
    assert found["accuracy"] >= 90.0
    assert [line.split(":")[0] for line in said] == [f"  epoch {n}/15" for n in range(1, 16)]


def _recording(freeze, made):
    def freeze_before(alexnet, train_from):
        made.append((alexnet, {name: np.array(alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS}))
        freeze(alexnet, train_from)

    return freeze_before


def test_ten_crops_are_corners_and_centre_each_mirrored(tmp_path):
    from PIL import Image

    # Red tells the column, green the row, of a 52x52 image; crops are 48x48.
    rows, columns = np.mgrid[:52, :52].astype(np.uint8)
    Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=-1)).save(tmp_path / "a.png")
    data = open_images(str(tmp_path), image_size=48, shorter_edge=52)
    crops = [np.array(x[0]) * 255 for x, _ in transfer._views(data, np.array([0]), crops=10)]
    corners = {(round(float(x[0, :, 1].max())), *np.round(x[0, [0, -1], 0]).astype(int)) for x in crops}
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    plain = {(top, left, left + 47) for top, left in places}
    assert len(crops) == 10 and corners == plain | {(top, right, left) for top, left, right in plain}
    (centre,) = [np.array(x[0]) * 255 for x, _ in transfer._views(data, np.array([0]), crops=1)]
    np.testing.assert_array_equal(np.round(centre[0, 0]), [2, 2, 0])


def test_evaluation_goes_on_after_the_last_result(photos, monkeypatch):
    def trained(network, training, test, *where):
        size = np.abs(network.get_layer("conv1_linear").kernel).mean()
        return {"accuracy": float(size), "accuracy_10_crop": len(where)}

    monkeypatch.setattr(transfer, "frozen_prefix", trained)
    monkeypatch.setattr(transfer, "fine_tune", trained)
    experiment = tiny(dataset=str(photos / "train"), statistics_steps=2, batch_size=16, crop="random", **CONV)
    data = evaluate.open_evaluation_data(experiment, query_dataset=str(photos / "test"))
    model = tiny_game(dataset=str(photos / "train"), statistics_steps=2, **CONV)

    def run(**arguments):
        said, kept = [], []
        settings = Transfer(epochs=1, batch_size=20, units=8)
        report = evaluate.evaluate_transfer(
            model, experiment, data, ("frozen_prefix", "fine_tuning"), settings, ("conv1", "conv5"),
            keep=kept.append, say=said.append, **arguments,
        )  # fmt: skip
        return report, [line for line in said if "epoch" not in line], kept

    report, said, kept = run(untrained=2)
    assert said == [
        f"{what} of {who}" + f", {where}"
        for who in ("trained (42)", "untrained (42)", "untrained (43)")
        for what, where in (("frozen_prefix", "conv1"), ("frozen_prefix", "conv5"), ("fine_tuning", "conv5"))
    ]
    assert [sum(map(len, each["results"].values())) for each in kept] == list(range(1, 10))
    first, second = values(report, "frozen_prefix", "untrained", "conv5")
    assert first != second  # other initial weights
    text = table(report)
    assert "frozen prefix, top-1 accuracy, %" in text and "untrained conv5" in text and "±" in text

    # Killed after four results: those are not made again, and none is lost meanwhile.
    again, said, kept = run(untrained=2, earlier=kept[3])
    assert len(said) == 5 and again == report
    assert all(sum(map(len, each["results"].values())) >= 4 for each in kept)


def test_errors(encoder, splits, digits_dir):
    with pytest.raises(InputError, match="transfer needs a network with conv1 ... conv5, as --networks=conv; conv1 is"):
        transfer.check_transferable(MLPEncoder((8, 8, 1), latent_dim=4, width=16))
    with pytest.raises(InputError, match="epochs must be at least 1, found 0"):
        Transfer(epochs=0)
    experiment = tiny(**CONV)
    data = evaluate.EvaluationData("a", "b", "train", "test", *splits)
    game = tiny_game(**CONV)
    with pytest.raises(InputError, match="unknown layer 'conv6' for frozen_prefix. Did you mean 'conv5'"):
        evaluate.evaluate_transfer(game, experiment, data, ("frozen_prefix",), SETTINGS, ("conv6",))
    with pytest.raises(InputError, match="unknown metric 'fine_tunin'. Did you mean 'fine_tuning'"):
        evaluate.evaluate_transfer(game, experiment, data, ("fine_tunin",), SETTINGS)
    with pytest.raises(InputError, match="gallery and queries are both"):
        same = evaluate.EvaluationData("a", "a", "train", "train", splits[0], splits[0])
        evaluate.evaluate_transfer(game, experiment, same, ("fine_tuning",), SETTINGS)


def test_the_command_line_refuses_an_mlp(digits_dir):
    status, _, stderr = run_tool(
        "evaluate.py", "--model=bigan_digits", "--metrics=frozen_prefix", f"--data_dir={digits_dir}"
    )
    assert (status, stderr) == (
        2,
        "error: transfer needs a network with conv1 ... conv5, as --networks=conv; conv1 is missing\n",
    )
