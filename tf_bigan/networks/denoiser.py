"""The denoiser of D's features (Warde-Farley and Bengio 2017, section 3 and appendix)."""

import keras
from keras import layers

from tf_bigan.networks.layers import BatchNorm, Network, normal_initializer

STDDEV = 0.02  # of the initial weights: DCGAN's, as the paper gives none


@keras.saving.register_keras_serializable("tf_bigan")
class Denoiser(Network):
    """Corrupted features -> features, through dense layers. Each hidden layer has a batch norm and a rectifier.

    Input float [N, features]; output float32 [N, features]. Layer names: "h1", "h2", ... (after the rectifiers),
    "outputs".

    Args:
      features: number of features.
      depth: number of hidden layers; the paper's ImageNet denoiser has 10.
      width: units in each hidden layer; the paper's denoiser has 2048. At least as many units as features are advised.
      seed: seed of the initial weights.
      dtype: a dtype policy or its name; None = Keras' global policy.
    """

    def __init__(self, features, depth=10, width=2048, seed=0, dtype=None, name="denoiser"):
        policy = keras.dtype_policies.get(dtype)
        inputs = h = keras.Input((features,), name="features")
        for n in range(1, depth + 1):
            initializer = normal_initializer(STDDEV, seed, f"{name}/h{n}")
            dense = {"use_bias": False, "kernel_initializer": initializer, "name": f"h{n}_linear", "dtype": policy}
            h = layers.Dense(width, **dense)(h)
            h = BatchNorm(affine=True, name=f"h{n}_norm", dtype=policy)(h)
            h = layers.ReLU(name=f"h{n}", dtype=policy)(h)
        initializer = normal_initializer(STDDEV, seed, f"{name}/outputs")
        outputs = layers.Dense(features, kernel_initializer=initializer, name="outputs", dtype=policy)(h)
        outputs = layers.Activation("linear", name="features_out", dtype="float32")(outputs)
        super().__init__(inputs, outputs)
