"""Trains a classifier of images: a network of keras.applications, from fresh weights, on labelled data.

  python tools/train_classifier.py --dataset=cifar10 --input_size=64 --workdir=/tmp/classifier_cifar10

Such a classifier judges samples: --classifier and --feature_network of tools/evaluate.py take its folder. If a training
in the folder was interrupted, the same command goes on after its last epoch.
"""

import common
from absl import flags

_DATASET = flags.DEFINE_string(
    "dataset", None, "a labelled TFDS data set, or a folder with one folder a class; required"
)
_SPLIT = flags.DEFINE_string("split", "train", "TFDS split of the training images")
_TEST_SPLIT = flags.DEFINE_string("test_split", None, "TFDS split of the test images; default: test, or validation")
_TEST_DATASET = flags.DEFINE_string("test_dataset", None, "data set of the test images; default: the same")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 0, "edge of the images; 0 = as stored [pixels]", lower_bound=0)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the TFDS directory; default TFDS_DATA_DIR or TFDS's own")
_BAD_IMAGES = flags.DEFINE_enum(
    "bad_images", "refuse", ["refuse", "skip"], "what to do with images that cannot be decoded: refuse, or leave out"
)
_MAX_PIXELS = common.define_max_pixels("89,478,485, above which Pillow warns")
_WORKDIR = flags.DEFINE_string("workdir", None, "where to write the classifier; required")
_ARCHITECTURE = flags.DEFINE_string("architecture", "MobileNetV2", "a network of keras.applications")
_INPUT_SIZE = flags.DEFINE_integer(
    "input_size", 0, "edge to which the network resizes images; 0 = it does not [pixels]", lower_bound=0
)
_EPOCHS = flags.DEFINE_integer("epochs", 30, "passes over the training images")
_BATCH = flags.DEFINE_integer("batch_size", 128, "images per step")
_RATE = flags.DEFINE_float("learning_rate", 0.1, "the largest learning rate")
_DECAY = flags.DEFINE_float("weight_decay", 5e-3, "weight decay, multiplied by the learning rate")
_SMOOTHING = flags.DEFINE_float(
    "label_smoothing", 0.0, "share of a label's probability that is spread over all classes"
)
_SHIFT = flags.DEFINE_integer("shift", 4, "largest shift of training images [pixels]", lower_bound=0)
_FLIP = flags.DEFINE_bool("flip", True, "mirror training images with probability 1/2")
_PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "precision of the training")
_SEED = flags.DEFINE_integer("seed", 0, "seed of weights, order and augmentation", lower_bound=0)


def main():
    """Trains, and prints the accuracy on the test images."""
    dataset, workdir = common.require(_DATASET), common.require(_WORKDIR)
    common.import_tensorflow()
    from tf_bigan.data import default_query_split, open_images
    from tf_bigan.evaluation.classifier_training import ClassifierSettings, train_classifier

    settings = ClassifierSettings(
        architecture=_ARCHITECTURE.value,
        input_size=_INPUT_SIZE.value,
        epochs=_EPOCHS.value,
        batch_size=_BATCH.value,
        learning_rate=_RATE.value,
        weight_decay=_DECAY.value,
        label_smoothing=_SMOOTHING.value,
        shift=_SHIFT.value,
        flip=_FLIP.value,
        precision=_PRECISION.value,
        seed=_SEED.value,
    )
    other = _TEST_DATASET.value or dataset
    split = _TEST_SPLIT.value or default_query_split(other, _DATA_DIR.value)
    options = {"image_size": _IMAGE_SIZE.value, "data_dir": _DATA_DIR.value, "bad_images": _BAD_IMAGES.value}
    options |= common.given(_MAX_PIXELS)
    training, test = open_images(dataset, _SPLIT.value, **options), open_images(other, split, **options)
    classifier = train_classifier(training, test, settings, workdir, common.note)
    print(
        f"{classifier.about['accuracy']:.2f} % of {test.count:,} images of {test.origin} right; "
        f"the classifier is in {workdir}"
    )


if __name__ == "__main__":
    common.run(main, __doc__)
