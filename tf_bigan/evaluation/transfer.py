"""Transfer of an encoder's convolutions to an AlexNet classifier (Donahue et al. 2017, section 4.3, Tables 2 and 3).

The first convolutions are copied, with their batch norms folded in; the other layers are new. Layers before the first
layer that is trained are frozen:

  frozen prefix   conv1 ... conv<n> copied and frozen, the rest trained (Table 2)
  fine-tuning     conv1 ... conv5 copied, everything trained
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Diverged
from tf_bigan.networks.alexnet import CONVOLUTIONS, LAYERS, AlexNet
from tf_bigan.networks.folding import fold_batch_norms

CROPS = 10  # the four corners and the centre, each mirrored too
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
_PIXELS = 100 * 64 * 64  # pixels of the images in one batch of the test, each of which is classified in ten crops


def frozen_prefix(network, training, test, through, settings, say=print):
    """Table 2: conv1 ... `through` copied and frozen, the layers above trained for the labels.

    Args:
      network: the network whose convolutions are transferred, a `ConvEncoder` or an `AlexNetDiscriminator`.
      training, test: `ImageData` with labels, of the same image size and classes.
      through: the last frozen layer, "conv1" ... "conv5".
      settings: a `TransferSettings`.
      say: function that is called with a line of text after each epoch.

    Returns:
      {"accuracy": top-1 accuracy on `test` in percent from the centre crop, "accuracy_10_crop": the same from the mean
      probabilities of ten crops}.

    Raises:
      InputError: a network without such convolutions, or images too small for AlexNet.
      Diverged: the loss became NaN or infinite.
    """
    above = LAYERS[LAYERS.index(through) + 1]
    return _classify(network, training, test, CONVOLUTIONS.index(through) + 1, above, settings, say)


def fine_tune(network, training, test, settings, say=print):
    """Fine-tuning: conv1 ... conv5 copied, all layers trained for the labels. Otherwise as `frozen_prefix`."""
    return _classify(network, training, test, len(CONVOLUTIONS), "conv1", settings, say)


def transplant(network, image_shape, outputs, copied, settings, examples):
    """Makes an AlexNet with the first `copied` convolutions of `network`, and new layers that are initialised on data.

    Weights of new layers are drawn from N(0, 1), then scaled and shifted so that every unit has mean 0 and standard
    deviation 1 over `examples` (Krähenbühl, Doersch, Donahue and Darrell 2016, Data-dependent initializations,
    algorithm 1, with beta = 0). Their second algorithm, which equalises gradients between layers, is not applied. fc8
    starts at 0.

    Args:
      network: as in `frozen_prefix`.
      image_shape: (height, width, channels) of the AlexNet's images.
      outputs: number of classes.
      copied: number of copied convolutions, 0 ... 5.
      settings: a `TransferSettings`.
      examples: float32 [N, *image_shape] in [0, 1].

    Raises:
      InputError: as in `frozen_prefix`.
    """
    check_transferable(network)
    alexnet = AlexNet(
        image_shape,
        outputs,
        width=network.get_config()["width"],
        units=settings.units,
        dropout=settings.dropout,
        l2=settings.l2,
        seed=settings.seed,
        dtype=settings.precision,
    )
    folded = fold_batch_norms(network)
    for name in CONVOLUTIONS[:copied]:
        source = folded.get_layer("conv1_linear" if name == "conv1" else f"{name}_norm")
        bias = source.get_weights()[1] if source.use_bias else np.zeros(source.filters, np.float32)
        alexnet.get_layer(f"{name}_linear").set_weights([source.get_weights()[0], bias])
    for name in LAYERS[copied:-1]:
        _initialise(alexnet, f"{name}_linear", examples, settings.seed)
    last = alexnet.get_layer("fc8_linear")
    last.set_weights([np.zeros_like(w) for w in last.get_weights()])
    return alexnet


def check_transferable(network):
    """Raises InputError unless `network` has the convolutions conv1 ... conv5 of an AlexNet."""
    names = {layer.name for layer in network.layers}
    if missing := [name for name in CONVOLUTIONS if f"{name}_linear" not in names]:
        raise InputError(f"transfer needs a network with conv1 ... conv5, as --networks=conv; {missing[0]} is missing")


def freeze_before(alexnet, train_from):
    """Freezes the layers before `train_from`."""
    for name in LAYERS[: LAYERS.index(train_from)]:
        alexnet.get_layer(f"{name}_linear").trainable = False


def train(alexnet, batches, steps_per_epoch, loss, settings, say):
    """Trains for settings.epochs on endless `batches` of (images, targets). Raises Diverged for a non-finite loss."""
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps_per_epoch)
    # Gradients are clipped, as in the authors' VOC training, since the first steps from fc8 at 0 can be long.
    alexnet.compile(keras.optimizers.SGD(rate, settings.momentum, global_clipnorm=10.0), loss)

    def tell(epoch, logs):
        say(f"  epoch {epoch + 1}/{settings.epochs}: loss {logs['loss']:.3f}")
        if not np.isfinite(logs["loss"]):
            raise Diverged(f"the loss is {logs['loss']} in epoch {epoch + 1}; lower the learning rate")

    news = keras.callbacks.LambdaCallback(on_epoch_end=tell)
    length = {"epochs": settings.epochs, "steps_per_epoch": steps_per_epoch}
    with _without_remapper():
        alexnet.fit(batches, **length, callbacks=[news], verbose=0, shuffle=False)


@contextlib.contextmanager
def _without_remapper():
    """Turns off TensorFlow's remapper for graphs that are first run inside this context.

    On the gradient of LeakyReLU that graph optimisation fails: it prints an error to stderr and leaves the graph
    unchanged (also seen in jrayzhang6/CFR-RL#7).
    """
    option = "remapping"
    before = tf.config.optimizer.get_experimental_options().get(option, True)
    tf.config.optimizer.set_experimental_options({option: False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: before})


def _classify(network, training, test, copied, train_from, settings, say):
    size = min(settings.batch_size, training.count)
    records = training.training_batches(size, settings.seed, crop="random", flip=True)
    batches = records.map(tf.autograph.experimental.do_not_convert(lambda record: (record["x"], record["label"])))
    examples, _ = next(iter(batches))
    alexnet = transplant(network, training.image_shape, len(training.class_names), copied, settings, examples)
    freeze_before(alexnet, train_from)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train(alexnet, batches, -(-training.count // size), loss, settings, say)
    return _accuracies(alexnet, test)


def _initialise(alexnet, name, examples, seed):
    """Applies algorithm 1 (see `transplant`) to one layer; the layers below it must be initialised already."""
    layer = alexnet.get_layer(name)
    kernel, bias = layer.get_weights()
    kernel = np.random.default_rng([seed, *name.encode()]).normal(size=kernel.shape).astype(np.float32)
    layer.set_weights([kernel, np.zeros_like(bias)])
    outputs = keras.Model(alexnet.inputs[0], layer.output)(examples, training=False)
    outputs = keras.ops.cast(outputs, "float32")
    mean, variance = keras.ops.moments(outputs, axes=list(range(len(outputs.shape) - 1)))
    scale = 1.0 / np.maximum(np.sqrt(keras.ops.convert_to_numpy(variance)), 1e-6)
    layer.set_weights([kernel * scale, -keras.ops.convert_to_numpy(mean) * scale])


def _accuracies(alexnet, data):
    """The top-1 accuracies in percent that `frozen_prefix` returns."""

    @tf.function(autograph=False, reduce_retracing=True)
    def probabilities(images):
        return tf.nn.softmax(alexnet(images, training=False))

    right = np.zeros(2, np.int64)
    for views, labels in _views(data):
        scores = [probabilities(images) for images in views]
        for i, score in enumerate((scores[0], tf.add_n(scores))):
            right[i] += np.sum(np.argmax(score, axis=1) == labels.numpy())
    accuracy, ten_crops = (100.0 * right / data.count).tolist()
    return {"accuracy": accuracy, f"accuracy_{CROPS}_crop": ten_crops}


@tf.autograph.experimental.do_not_convert
def _views(data):
    """Batches of (ten crops of each image, the centre crop first; labels): float32 [10, n, H, W, C], int64 [n]."""

    def views(indices):
        crops = []
        for place in (None, *_CORNERS):
            # Places lie in [0, 1), so the last one is just below 1.
            everywhere = place and tf.tile([tf.constant(place) * (1.0 - 1e-6)], (tf.shape(indices)[0], 1))
            images, labels = data.read(indices, everywhere)
            crops += [images, images[:, :, ::-1]]
        return tf.stack(crops), labels

    indices = tf.data.Dataset.range(data.count).batch(max(_PIXELS // data.image_shape[0] ** 2, 1))
    return indices.map(views, num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)
