"""Terms: additional losses of players that can be attached to any game."""

from tf_bigan.games.terms.denoising import DenoisingFeatureMatching
from tf_bigan.games.terms.feature_matching import FeatureMatching
from tf_bigan.games.terms.gradient_penalty import R1, R2
from tf_bigan.games.terms.labels import Labels
from tf_bigan.games.terms.reconstruction import ReconstructionX, ReconstructionZ
from tf_bigan.games.terms.term import Term

__all__ = [
    "R1",
    "R2",
    "DenoisingFeatureMatching",
    "FeatureMatching",
    "Labels",
    "ReconstructionX",
    "ReconstructionZ",
    "Term",
]
