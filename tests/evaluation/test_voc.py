import numpy as np
import pytest
import tensorflow as tf
from helpers import images, small_encoder, tiny, tiny_game

from tf_bigan.data import builders, open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation import voc
from tf_bigan.evaluation.data import EvaluationData
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.report import values
from tf_bigan.evaluation.settings import EvaluationSettings, VOCSettings
from tf_bigan.networks import ConvEncoder
from tf_bigan.networks.alexnet import LAYERS

CLASSES = 20
SETTINGS = VOCSettings(epochs=2, batch_size=10, units=16, steps=80, learning_rate=0.005)


@pytest.fixture
def mocked_voc(monkeypatch):
    """VOC2007 as TFDS describes it, with 40 images whose colours encode their classes."""
    import tensorflow_datasets as tfds

    def examples(builder, split, **_):  # as SkipDecoding leaves them
        rng = np.random.default_rng(len(split))
        colours = np.random.default_rng(1).integers(0, 200, (CLASSES, 3))

        def generate():
            for i in range(40):
                pixels = rng.integers(0, 50, (60 + i, 80 - i, 3)) + colours[i % CLASSES]
                labels = [i % CLASSES]
                yield {
                    "image": tf.io.encode_png(pixels.astype(np.uint8)).numpy(),
                    "objects": {"label": np.array(labels), "is_difficult": np.array([False])},
                }

        signature = {
            "image": tf.TensorSpec((), tf.string),
            "objects": {"label": tf.TensorSpec((None,), tf.int64), "is_difficult": tf.TensorSpec((None,), tf.bool)},
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    monkeypatch.setattr(builders, "look_up_hosts", lambda urls: None)
    with tfds.testing.mock_data(as_dataset_fn=examples):
        yield


def test_mean_average_precision_by_hand():
    targets = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], np.float32)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [1.0, 0.4]], np.float32)
    # First class, without the ignored row: right, wrong, right: (1 + 2/3) / 2. Second: wrong, right, right, wrong:
    # (1/2 + 2/3) / 2.
    assert voc.mean_average_precision(targets, scores) == pytest.approx(100 * (5 / 6 + 7 / 12) / 2)
    with pytest.raises(InputError, match="no image shows class 1, so it has no average precision"):
        voc.mean_average_precision(targets[:1], scores[:1])


def test_the_loss_leaves_ignored_classes_out():
    logits = tf.constant([[0.0, 5.0, -3.0]])
    found = voc.masked_cross_entropy(tf.constant([[1.0, -1.0, 0.0]]), logits)
    np.testing.assert_allclose(found, [np.log(2.0) + np.log1p(np.exp(-3.0))], rtol=1e-5)


def test_targets():
    objects = {"label": tf.constant([3, 3, 1, 0], tf.int64), "is_difficult": tf.constant([True, False, True, False])}
    np.testing.assert_array_equal(voc._targets(objects, 5), [1, -1, 0, 1, 0])
    only = {"label": tf.constant([2], tf.int64), "is_difficult": tf.constant([True])}
    np.testing.assert_array_equal(voc._targets(only, 4), [0, 0, -1, 0])


def test_random_crops_scale_pad_and_follow_from_their_seed():
    image = tf.cast(images(1, shape=(30, 200, 3))[0] * 255, tf.uint8)
    crops = [voc._random_crop(image, 227, (0, i)).numpy() for i in range(20)]
    assert all(crop.shape == (227, 227, 3) and crop.min() >= 0 and crop.max() <= 1 for crop in crops)
    heights = [np.any(crop != 0.5, axis=(1, 2)).sum() for crop in crops]
    assert 15 <= min(heights) < 30 < max(heights) <= 60  # scales 0.5 ... 2
    np.testing.assert_array_equal(crops[3], voc._random_crop(image, 227, (0, 3)))
    # For crops of half the size, the image is scaled to half the size too.
    small = voc._random_crop(image, 113, (0, 3)).numpy()
    assert np.any(small != 0.5, axis=(1, 2)).sum() == pytest.approx(heights[3] / 2, abs=1)


@pytest.mark.parametrize("train_from", voc.TRAIN_FROM)
def test_each_column_trains_what_it_says(mocked_voc, monkeypatch, train_from):
    made, said = [], []

    def freeze_before(alexnet, begin, freeze=voc.freeze_before):
        freeze(alexnet, begin)
        made.append((alexnet, {name: np.array(alexnet.get_layer(f"{name}_linear").kernel) for name in LAYERS}))

    monkeypatch.setattr(voc, "freeze_before", freeze_before)
    monkeypatch.setattr(voc, "CROPS", 2)
    encoder = small_encoder()
    found = voc.voc_classification(encoder, 48, train_from, SETTINGS, say=said.append)
    ((alexnet, before),) = made
    changed = [name for name in LAYERS if not np.array_equal(before[name], alexnet.get_layer(f"{name}_linear").kernel)]
    assert changed == list(LAYERS[LAYERS.index(train_from) :])
    assert set(found) == {"map", "map_2_crop"}
    first, last = (float(line.split()[-1]) for line in said)
    assert last < first
    if train_from == "fc8":  # the others learn more slowly
        assert found["map_2_crop"] > 25.0  # chance is about 11


def test_an_evaluation_has_every_column_of_trained_and_untrained(digits_dir, monkeypatch):
    def measured(network, edge, train_from, settings, data_dir=None, say=print):
        assert (edge, settings) == (48, SETTINGS)
        return {"map": 10.0, "map_10_crop": 20.0 + voc.TRAIN_FROM.index(train_from)}

    monkeypatch.setattr(voc, "check_voc", lambda network, data_dir: None)
    monkeypatch.setattr(voc, "voc_classification", measured)
    conv = {"networks": "conv", "width": 8, "image_size": 48, "channels": 3, "latent_dim": 4, "statistics_steps": 2}
    gallery = open_images("digits", image_size=48, channels=3, data_dir=str(digits_dir))
    data = EvaluationData("digits", "digits", gallery, gallery)
    settings = EvaluationSettings(voc=SETTINGS)
    report = evaluate(tiny_game(**conv), tiny(**conv), data, ("voc2007",), settings, say=lambda line: None)
    for encoder in ("trained", "untrained"):
        found = {layer: values(report, "voc2007", encoder, layer, "map_10_crop") for layer in voc.TRAIN_FROM}
        assert found == {"fc8": [20.0], "fc6": [21.0], "conv1": [22.0]}


def test_errors(digits_dir):
    encoder = small_encoder()
    with pytest.raises(InputError, match="unknown train_from 'fc9'. Did you mean"):
        voc.voc_classification(encoder, 48, "fc9", SETTINGS)
    with pytest.raises(InputError, match="data set 'voc/2007' is not under .* and could not be prepared there"):
        voc.voc_classification(encoder, 48, "fc8", SETTINGS, data_dir=str(digits_dir))
    with pytest.raises(InputError, match="VOC2007 needs an encoder of 3 channels, found 1"):
        voc.voc_classification(ConvEncoder((48, 48, 1), latent_dim=4, width=8), 48, "fc8", SETTINGS)
    with pytest.raises(InputError, match="steps must be a multiple of 8, found 15"):
        VOCSettings(steps=15)
