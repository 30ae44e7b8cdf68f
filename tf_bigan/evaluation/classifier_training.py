"""Training of a classifier of images: a network of `keras.applications`, from fresh weights, on labelled data."""

import dataclasses
import inspect
import json
import math
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.classifier_files import ABOUT, NETWORK, TRAINING, is_classifier
from tf_bigan.evaluation.classifiers import FEATURES, ImageClassifier, load_keras
from tf_bigan.evaluation.measure import Diverged
from tf_bigan.evaluation.settings import PRECISIONS
from tf_bigan.files import sha256, write_from_memory, write_text
from tf_bigan.reading import Missing, read_json

_STATE = "training.keras"  # the model in training, with its optimizer's state
_BEGUN = "training.json"  # data and settings of the training
_RUN = "train.flags"  # of the run directory of a game
_JUDGED = 500  # test images at a time
_MOMENTUM = 0.9
_DECAYING = ("kernel", "depthwise_kernel", "pointwise_kernel")
_WARMUP = 0.1  # share of the steps in which the learning rate rises


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained: by SGD with Nesterov's momentum of 0.9.

    The learning rate rises linearly in the first tenth of the steps, and then falls to 0 along half a cosine.

    Attributes:
      architecture: a name of `architectures()`.
      input_size: edge in pixels to which the network resizes its images, bilinearly; 0 = no resizing. The networks were
        made for larger images than those of CIFAR-10, of which they make maps of one pixel.
      epochs: passes over the training images.
      batch_size: images per step.
      learning_rate: the largest learning rate.
      weight_decay: each step subtracts learning rate * weight_decay * weight from all weights, except gains and biases.
      label_smoothing: share of a label's probability that is spread over all classes, in [0, 1).
      shift: images are shifted by at most so many pixels in both directions; mirrored pixels fill the border.
      flip: mirror each image with probability 1/2.
      precision: "float32" or "mixed_bfloat16". The trained network computes in float32.
      seed: seed of weights, order and augmentation.

    Raises:
      InputError: a value that is none of these.
    """

    architecture: str = "MobileNetV2"
    input_size: int = 0
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-3
    label_smoothing: float = 0.0
    shift: int = 4
    flip: bool = True
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self):
        if self.architecture not in architectures():
            raise InputError(
                f"unknown architecture {self.architecture!r}.{did_you_mean(self.architecture, architectures())}"
            )
        if self.seed > 2**32 - 1:  # what Keras takes
            raise InputError(f"seed must be at most {2**32 - 1}, found {self.seed}")
        least_of = {"input_size": 0, "epochs": 1, "batch_size": 2, "weight_decay": 0, "shift": 0, "seed": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, found {getattr(self, name)}")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(f"label_smoothing must be from 0 to below 1, found {self.label_smoothing}")
        if not 0.0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be positive, found {self.learning_rate}")
        if not math.isfinite(self.weight_decay):
            raise InputError(f"weight_decay must be finite, found {self.weight_decay}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be {' or '.join(PRECISIONS)}, found {self.precision!r}")


def architectures() -> list[str]:
    """The networks of `keras.applications` that can be trained here.

    EfficientNets and ConvNeXts are left out. They drop units or layers at random, and Keras does not save the state of
    that noise, so a training could not be resumed exactly.
    """
    functions = {name: made for name, made in vars(keras.applications).items() if name[0].isupper() and callable(made)}
    return sorted(name for name in functions if not name.startswith(("EfficientNet", "ConvNeXt")))


def train_classifier(training, test, settings, workdir, note=print) -> ImageClassifier:
    """Trains a classifier, judges it on test images, and writes it to a folder.

    If the folder holds a training of the same data and settings, it goes on after that training's last epoch. A
    finished one is read and returned.

    Args:
      training, test: labelled `ImageData` of the same image shape and classes.
      settings: a `ClassifierSettings`.
      workdir: the folder.
      note: function that is called with a line of text after each epoch.

    Returns:
      The `ImageClassifier`, whose `about["accuracy"]` is the share of test images that it classifies rightly, in
      percent, after the last epoch.

    Raises:
      InputError: data without labels, with one class or with other classes, images that cannot be decoded or are too
        small for the architecture, or a folder that cannot be written or holds something else.
      Diverged: the loss became NaN or infinite.
    """
    workdir = pathlib.Path(workdir)
    _check_data(training, test, settings)
    about = {
        "dataset": training.name,
        "split": training.split,
        "examples": training.count,
        "test_dataset": test.name,
        "test_split": test.split,
        "queries": test.count,
        "image_shape": list(training.image_shape),
        "class_names": list(training.class_names),
        "settings": dataclasses.asdict(settings),
    }
    steps = _steps_per_epoch(training, settings)
    model = _resumed(workdir, about)
    if model is None:
        model = _compiled(training, settings)
        write_text(workdir / _BEGUN, json.dumps(about, indent=1))
    done = int(model.optimizer.iterations.numpy()) // steps
    if done == settings.epochs and is_classifier(workdir):
        return ImageClassifier.load(workdir)
    for epoch in range(done, settings.epochs):
        batches = _batches(training, settings, epoch * steps)
        with training.naming_damage():
            logs = model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False).history
        loss, accuracy = logs["loss"][0], logs["accuracy"][0]
        if not np.isfinite(loss):
            raise Diverged(f"the loss is {loss} in epoch {epoch + 1}; lower the learning rate")
        note(f"epoch {epoch + 1}/{settings.epochs}: loss {loss:.3f}, {100 * accuracy:.1f} % of training images right")
        write_from_memory(workdir / _STATE, model.save)
    return _finished(model, test, settings, about, workdir)


def make_network(settings, image_shape, classes, dtype="float32") -> keras.Model:
    """The network: float32 [N, height, width, channels] in [0, 1] -> logits, float32 [N, classes].

    Its layer "features" holds the outputs of the architecture's last global average pooling, float32 [N, d].

    Raises:
      InputError: the images are too small for the architecture.
    """
    images = keras.Input(image_shape, name="images")
    h = keras.layers.Rescaling(2.0, -1.0, name="centred")(images)
    edge = settings.input_size
    if edge:
        h = keras.layers.Resizing(edge, edge, interpolation="bilinear", name="resized")(h)
    make = getattr(keras.applications, settings.architecture)
    arguments = {"include_top": False, "weights": None, "pooling": "avg", "input_shape": tuple(h.shape[1:])}
    if "include_preprocessing" in inspect.signature(make).parameters:
        arguments["include_preprocessing"] = False
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)  # the functions of keras.applications take no dtype
    try:
        network = make(**arguments)
    except ValueError as error:
        raise InputError(f"{settings.architecture}: {str(error).splitlines()[0]}; set a larger input_size") from None
    finally:
        keras.config.set_dtype_policy(before)
    h = keras.layers.Activation("linear", name=FEATURES, dtype="float32")(network(h))
    return keras.Model(images, keras.layers.Dense(classes, name="logits", dtype="float32")(h), name="classifier")


def _compiled(training, settings):
    """The fresh network with its loss and optimizer."""
    keras.utils.set_random_seed(settings.seed)  # keras.applications draw their weights from global seeds
    model = make_network(settings, training.image_shape, len(training.class_names), settings.precision)
    steps = settings.epochs * _steps_per_epoch(training, settings)
    warmup = max(1, round(_WARMUP * steps))
    peak = settings.learning_rate
    rate = keras.optimizers.schedules.CosineDecay(
        peak / warmup, max(1, steps - warmup), warmup_target=peak, warmup_steps=warmup
    )
    optimizer = keras.optimizers.SGD(rate, _MOMENTUM, nesterov=True, weight_decay=settings.weight_decay or None)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return _decaying(model)


def _decaying(model):
    """The compiled model, of whose weights only kernels decay. Saved optimizers do not keep which variables do."""
    if model.optimizer.weight_decay:
        others = [variable for variable in model.trainable_variables if variable.name not in _DECAYING]
        model.optimizer.exclude_from_weight_decay(var_list=others)
    return model


@tf.autograph.experimental.do_not_convert
def _batches(training, settings, first_step):
    """Endless augmented batches of (images, one-hot labels); that of a step follows from (seed, step)."""
    classes = len(training.class_names)
    size = min(settings.batch_size, training.count)
    records = training.training_batches(size, settings.seed, first_step, flip=settings.flip)

    def augmented(step, record):
        return _shifted(record["x"], settings.shift, (settings.seed, step)), tf.one_hot(record["label"], classes)

    return records.enumerate(first_step).map(augmented, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _shifted(images, pixels, seed):
    """Images [N, H, W, C], each shifted by up to `pixels` in both directions, drawn from `seed`, two whole numbers."""
    if not pixels:
        return images
    padded = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], "SYMMETRIC")
    corners = tf.random.stateless_uniform((tf.shape(images)[0], 2), seed, 0, 2 * pixels + 1, tf.int32)
    height, width, _ = images.shape[1:]

    def cut(both):
        image, (row, column) = both[0], tf.unstack(both[1])
        return image[row : row + height, column : column + width]

    return tf.ensure_shape(tf.map_fn(cut, (padded, corners), fn_output_signature=images.dtype), images.shape)


def _steps_per_epoch(training, settings):
    return -(-training.count // min(settings.batch_size, training.count))


def _check_data(training, test, settings):
    for part in (training, test):
        if not part.labelled():
            raise InputError(f"images of {part.origin} have no labels, which a classifier learns")
    if len(training.class_names) < 2:
        raise InputError(f"a classifier takes at least 2 classes, found {training.class_names} in {training.origin}")
    if training.class_names != test.class_names:
        raise InputError(f"{training.origin} and {test.origin} have other classes; they must be the same")
    if training.image_shape != test.image_shape:
        raise InputError(f"{training.origin} has images of {training.image_shape}, {test.origin} {test.image_shape}")
    if settings.shift > min(training.image_shape[:2]):
        raise InputError(f"images of {training.image_shape} cannot be shifted by {settings.shift} pixels")
    if training.overlaps(test):
        raise InputError(
            f"images of {test.origin} are among those of {training.origin}; give others with --test_dataset or "
            "--test_split"
        )
    for part in (test, training):
        part.check()


def _resumed(workdir, about):
    """The model of the training in the folder, which must be of the same data and settings; None = there is none."""
    if (workdir / _RUN).exists():
        raise InputError(f"{workdir} is the directory of a run; give another folder")
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"{workdir} is no folder")
    try:
        found = read_json(workdir / _BEGUN, TRAINING)
    except Missing:
        if is_classifier(workdir):
            raise InputError(f"{workdir} holds a classifier whose training cannot go on; give another folder") from None
        return None
    except InputError as error:
        raise InputError(f"{error}; give another folder to train anew") from None
    told = json.loads(json.dumps(about))
    if other := [key for key in told if found.get(key) != told[key]]:
        if other == ["settings"]:
            other = [name for name, value in told["settings"].items() if found["settings"].get(name) != value]
        raise InputError(f"{workdir} holds a training with other {', '.join(other)}; give another folder")
    if not (workdir / _STATE).exists():  # it was stopped within its first epoch
        return None
    try:
        return _decaying(load_keras(workdir / _STATE, compile=True))
    except InputError as error:
        raise InputError(f"{error}; give another folder to train anew") from None


def _finished(model, test, settings, about, workdir):
    """Judges the trained network in float32, writes it, and returns it."""
    network = make_network(settings, about["image_shape"], len(about["class_names"]))
    network.set_weights(model.get_weights())
    judged = ImageClassifier(workdir.name, "", network, about["class_names"], about)
    right = 0
    with test.naming_damage():
        for images, labels in test.batches(_JUDGED):
            right += np.sum(judged.class_probabilities(images.numpy()).argmax(axis=1) == labels.numpy())
    accuracy = float(100 * right / test.count)
    write_from_memory(workdir / NETWORK, network.save)
    digest = sha256(workdir / NETWORK)
    write_text(workdir / ABOUT, json.dumps({**about, "accuracy": accuracy, "sha256": digest}, indent=1) + "\n")
    return ImageClassifier.load(workdir)
