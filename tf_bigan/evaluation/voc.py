"""VOC2007 classification from transferred features (Donahue et al. 2017, Table 3, column "Classification").

An AlexNet with an encoder's conv1 ... conv5 is trained on trainval to tell which of 20 classes an image shows. The
metric is the mean over classes of the average precision on test. Objects that are marked as difficult do not count.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.data.builders import prepared_builder
from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.transfer import freeze_before, train, transplant

DATASET = "voc/2007"
TRAIN_FROM = ("fc8", "fc6", "conv1")  # the paper's columns: fc8, fc6-8, all
CROPS = 10

_PAPER_EDGE = 227  # edge in pixels of the paper's crops, for which images are scaled by 0.5 ... 2
_SCALES = (0.5, 2.0)
_IGNORED = -1.0  # the target of a class if all of its objects in the image are difficult


def voc_classification(network, edge, train_from, settings, data_dir=None, say=print):
    """Trains an AlexNet on trainval and measures it on test.

    Args:
      network: the network whose convolutions are transferred, as in `transfer.frozen_prefix`.
      edge: edge of the random crops in pixels; the paper's AlexNet has 227.
      train_from: the first layer that is trained: "fc8", "fc6" or "conv1".
      settings: a `VOCSettings`.
      data_dir: the TFDS directory.
      say: function that is called with a line of text after each of `settings.epochs` parts of the training.

    Returns:
      {"map": mean average precision in percent from one random crop, "map_10_crop": the same from the sum of the scores
      of ten crops}.

    Raises:
      InputError: an unknown `train_from`, a network that cannot be transferred, or VOC2007 is not available.
      Diverged: the loss became NaN or infinite.
    """
    if train_from not in TRAIN_FROM:
        raise InputError(f"unknown train_from {train_from!r}.{did_you_mean(train_from, TRAIN_FROM)}")
    builder = check_voc(network, data_dir)
    batches = _crops(builder, "train+validation", edge, settings.seed).batch(settings.batch_size)
    classes = builder.info.features["labels"].feature.num_classes
    examples = tf.concat([images for images, _ in batches.take(8)], axis=0)
    alexnet = transplant(network, (edge, edge, 3), classes, 5, settings, examples)
    last = alexnet.get_layer("fc8_linear")
    rng = np.random.default_rng(settings.seed)
    kernel = rng.normal(0.0, 0.01, last.kernel.shape).astype(np.float32)
    last.set_weights([kernel, np.full(classes, 0.1, np.float32)])
    freeze_before(alexnet, train_from)
    train(alexnet, batches, settings.steps // settings.epochs, masked_cross_entropy, settings, say)

    scores, first = 0.0, None
    for crop in range(1, CROPS + 1):
        found, targets = _scores(alexnet, builder, edge, settings.seed, crop)
        first = found if first is None else first
        scores = scores + found
    return {"map": mean_average_precision(targets, first), f"map_{CROPS}_crop": mean_average_precision(targets, scores)}


def check_voc(network, data_dir=None):
    """The TFDS builder of VOC2007. Raises InputError if it is not available, or `network` does not take 3 channels."""
    if network.input_shape[-1] != 3:
        raise InputError(f"VOC2007 needs an encoder of 3 channels, found {network.input_shape[-1]}")
    return prepared_builder(DATASET, data_dir)


def mean_average_precision(targets, scores):
    """The mean over classes of the average precision, in percent.

    Args:
      targets: float [N, classes]: 1 = the image shows the class, 0 = it does not, -1 = the pair is ignored.
      scores: float [N, classes].

    Raises:
      InputError: a class that no image shows.
    """
    from sklearn.metrics import average_precision_score

    found = []
    for column in range(targets.shape[1]):
        counted = targets[:, column] != _IGNORED
        shown = targets[counted, column]
        if not shown.any():
            raise InputError(f"no image shows class {column}, so it has no average precision")
        found.append(average_precision_score(shown, scores[counted, column]))
    return 100.0 * float(np.mean(found))


def masked_cross_entropy(targets, logits):
    """Sigmoid cross-entropy of each example, float32 [N], summed over the classes that are not ignored."""
    loss = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(targets, 0.0), logits)
    return keras.ops.sum(loss * tf.cast(targets != _IGNORED, tf.float32), axis=1)


@tf.autograph.experimental.do_not_convert
def _crops(builder, split, edge, seed, test_crop=0):
    """A dataset of (random crop float32 [edge, edge, 3] in [0, 1], targets float32 [classes]).

    test_crop: 0 = endless and shuffled, for training; n > 0 = the n-th test crop of each image, in order.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    if not test_crop:
        examples = examples.shuffle(10_000, seed=seed).repeat()

    def crop(i, example):
        image = features["image"].decode_example(example["image"])
        # Training and each of an image's test crops have separate random streams.
        image = _random_crop(image, edge, tf.stack([tf.constant(seed, tf.int64), i * (CROPS + 1) + test_crop]))
        return image, _targets(example["objects"], features["labels"].feature.num_classes)

    return examples.enumerate().map(crop, num_parallel_calls=tf.data.AUTOTUNE).prefetch(4)


def _random_crop(image, edge, seed):
    """A random crop of the image scaled by 0.5 ... 2 (for crops of 227), mirrored or not; grey outside the image."""
    draws = tf.random.stateless_uniform((4,), seed, alg="philox")
    scale = (_SCALES[0] + draws[0] * (_SCALES[1] - _SCALES[0])) * edge / _PAPER_EDGE
    shape = tf.maximum(tf.cast(tf.round(tf.cast(tf.shape(image)[:2], tf.float32) * scale), tf.int32), 1)
    image = tf.image.resize(image, shape, antialias=True) / 255.0
    missing = tf.maximum(edge - shape, 0)
    before = missing // 2
    image = tf.pad(image, [*tf.unstack(tf.stack([before, missing - before], axis=1)), [0, 0]], constant_values=0.5)
    top, left = tf.unstack(tf.cast(draws[1:3] * tf.cast(tf.shape(image)[:2] - edge + 1, tf.float32), tf.int32))
    image = image[top : top + edge, left : left + edge]
    image = tf.where(draws[3] < 0.5, image[:, ::-1], image)
    return tf.clip_by_value(tf.ensure_shape(image, (edge, edge, 3)), 0.0, 1.0)


def _targets(objects, classes):
    shown = tf.reduce_max(tf.one_hot(objects["label"], classes), axis=0)
    plain = tf.boolean_mask(objects["label"], ~objects["is_difficult"])
    counted = tf.reduce_max(tf.concat([tf.one_hot(plain, classes), tf.zeros((1, classes))], axis=0), axis=0)
    return tf.where((shown > 0.0) & (counted == 0.0), _IGNORED, counted)


def _scores(alexnet, builder, edge, seed, crop):
    scores, targets = [], []
    for images, found in _crops(builder, "test", edge, seed, crop).batch(100):
        scores.append(alexnet(images, training=False).numpy())
        targets.append(found.numpy())
    return np.concatenate(scores), np.concatenate(targets)
