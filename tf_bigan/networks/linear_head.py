"""A linear classifier of another network's features."""

import keras
from keras import layers

from tf_bigan.networks.layers import Network


@keras.saving.register_keras_serializable("tf_bigan")
class LinearHead(Network):
    """Features -> logits, through one dense layer, which starts at 0.

    Input float [N, features]; output float32 [N, outputs].

    Args:
      features: number of features.
      outputs: number of classes.
      dtype: a dtype policy or its name; None = Keras' global policy. The layer is float32 whatever it is.
    """

    def __init__(self, features, outputs, dtype=None, name="head"):
        inputs = keras.Input((features,), name="features")
        super().__init__(
            inputs, layers.Dense(outputs, kernel_initializer="zeros", name="outputs", dtype="float32")(inputs)
        )
