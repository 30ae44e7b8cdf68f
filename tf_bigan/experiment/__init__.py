"""Experiment: every setting of a run, typed, and its flagfile.

The same flagfile says what a run is, starts it, and rebuilds its networks. Importing this package does not import
TensorFlow.
"""

from tf_bigan.experiment.experiment import Experiment, experiment_of
from tf_bigan.experiment.flagfile import define_flags, parse_flags
from tf_bigan.experiment.settings import AUTO

__all__ = ["AUTO", "Experiment", "define_flags", "experiment_of", "parse_flags"]
