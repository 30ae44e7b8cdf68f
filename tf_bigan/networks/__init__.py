"""E, G and D of each paper: one file a family, whose `make` gives the networks of an experiment."""

from tf_bigan.networks.ali import ALIDiscriminator, ALIEncoder, ALIGenerator
from tf_bigan.networks.conv import AlexNetDiscriminator, ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.mixture import MixtureDiscriminator, MixtureEncoder, MixtureGenerator
from tf_bigan.networks.mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

__all__ = [
    "ALIDiscriminator",
    "ALIEncoder",
    "ALIGenerator",
    "AlexNetDiscriminator",
    "ConvDiscriminator",
    "ConvEncoder",
    "ConvGenerator",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MixtureDiscriminator",
    "MixtureEncoder",
    "MixtureGenerator",
]
