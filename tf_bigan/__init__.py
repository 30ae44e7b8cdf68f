"""tf_bigan: bidirectional GANs for TensorFlow and Keras.

  tf_bigan.list_models("bigan*")        names of the zoo's models
  tf_bigan.describe("bigan_mnist")      prints what a model is: data, terms, size, numbers, layers
  tf_bigan.load("bigan_mnist")          a trained model, or one of your own run directories
  tf_bigan.export(model, path)          its encoder as a TF-Hub module
  tf_bigan.ModuleLayer(path)            such a module as a layer of Keras 3

Importing this package, listing and describing models does not import TensorFlow.
"""

import importlib

from tf_bigan.errors import InputError
from tf_bigan.zoo import describe, list_models, load

__version__ = "0.1.0"

__all__ = ["BiGAN", "Experiment", "InputError", "ModuleLayer", "describe", "export", "list_models", "load", "train"]

# Public name -> where it lives; imported when first used.
_LAZY = {
    "BiGAN": "tf_bigan.games",
    "Experiment": "tf_bigan.experiment",
    "ModuleLayer": "tf_bigan.modules.layer",
    "export": "tf_bigan.exporting",
    "train": "tf_bigan.training.train",
}


def __getattr__(name):
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tf_bigan' has no attribute {name!r}")
