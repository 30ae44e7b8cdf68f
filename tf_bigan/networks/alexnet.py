"""The AlexNet classifier to which features are transferred (Donahue et al. 2017, section 4.3 and their code)."""

import keras
from keras import layers, ops

from tf_bigan.errors import InputError
from tf_bigan.networks.bias_free import SLOPE, STDDEV
from tf_bigan.networks.conv import ALEXNET, WIDTH
from tf_bigan.networks.kernels import Convolution
from tf_bigan.networks.layers import Network, layer_seed, normal_initializer

CONVOLUTIONS = tuple(name for name, *_ in ALEXNET)
LAYERS = (*CONVOLUTIONS, "fc6", "fc7", "fc8")  # the layers with weights, from input to output
_POOLED = ("conv1", "conv2", "conv5")


@keras.saving.register_keras_serializable("tf_bigan")
class AlexNet(Network):
    """Images -> class logits: the encoder's convolutions, with biases instead of batch norms, and three dense layers.

    Input float32 [N, height, width, channels] in [0, 1]; output float32 [N, classes]. Unlike in the encoder, conv1 and
    the pools are not padded; the pools round their output size up, as in Caffe. A leaky rectifier follows every layer
    except the last, and dropout follows fc6 and fc7. There is no local response normalisation. Layer names: for each
    name in `LAYERS`, "<name>_linear" and "<name>" (after the rectifier; "fc8" is the output); "pool1", "pool2",
    "pool5".

    Args:
      image_shape: (height, width, channels); the paper uses (227, 227, 3).
      classes: number of classes.
      width: 64 = the paper's channels, as in the encoder.
      units: units of fc6 and of fc7; the paper uses 4096.
      dropout: dropout rate after fc6 and fc7.
      l2: weight decay: l2 / 2 times the sum of every layer's squared weights is added to the loss.
      seed: seed of the initial weights, which are drawn from N(0, 0.02^2), and of dropout.
      dtype: a dtype policy or its name; None = Keras' global policy.

    Raises:
      InputError: images are smaller than 39x39, so that the convolutions and pools would leave no output.
    """

    def __init__(
        self,
        image_shape=(227, 227, 3),
        classes=1000,
        width=WIDTH,
        units=4096,
        dropout=0.5,
        l2=0.0,
        seed=0,
        dtype=None,
        name="alexnet",
    ):
        policy = keras.dtype_policies.get(dtype)
        if min(image_shape[:2]) < 39:
            raise InputError(f"AlexNet takes images of at least 39x39, not {image_shape[0]}x{image_shape[1]}")

        def settings(layer):
            return {
                "kernel_initializer": normal_initializer(STDDEV, seed, f"{name}/{layer}"),
                "kernel_regularizer": keras.regularizers.L2(l2 / 2.0) if l2 else None,
                "name": f"{layer}_linear",
            }

        images = keras.Input(image_shape, name="images")
        h = layers.Rescaling(2.0, -1.0, name="centred", dtype=policy)(images)
        for layer, channels, kernel, stride, padding, groups in ALEXNET:
            pad = 0 if layer == "conv1" else padding
            channels = channels * width // WIDTH
            h = Convolution(channels, kernel, stride, pad, groups=groups, dtype=policy, **settings(layer))(h)
            h = layers.LeakyReLU(SLOPE, name=layer, dtype=policy)(h)
            if layer in _POOLED:
                h = CeilMaxPool(name=layer.replace("conv", "pool"), dtype=policy.name)(h)
        h = layers.Flatten(name="flat", dtype=policy)(h)
        for layer in ("fc6", "fc7"):
            h = layers.Dense(units, dtype=policy, **settings(layer))(h)
            h = layers.LeakyReLU(SLOPE, name=layer, dtype=policy)(h)
            dropped = f"{layer}_dropout"
            h = layers.Dropout(dropout, seed=layer_seed(seed, f"{name}/{dropped}"), name=dropped, dtype=policy)(h)
        h = layers.Dense(classes, dtype=policy, **settings("fc8"))(h)
        logits = layers.Activation("linear", name="fc8", dtype="float32")(h)
        super().__init__(images, logits)


@keras.saving.register_keras_serializable("tf_bigan")
class CeilMaxPool(layers.Layer):
    """3x3 max pooling with stride 2 and no padding, whose last window may reach beyond the border, as in Caffe."""

    def call(self, x):
        # Caffe rounds the output size up, so an axis on which windows would leave out the last pixel gets one more.
        edges = [[0, 0], *([0, (size - 3) % 2] for size in x.shape[1:3]), [0, 0]]
        return ops.max_pool(ops.pad(x, edges, constant_values=float("-inf")), 3, 2, padding="valid")

    def compute_output_shape(self, shape):
        return (shape[0], *((size - 3 + 1) // 2 + 1 for size in shape[1:3]), shape[3])
