"""The encoder E, generator G and discriminator D of each paper.

Each family of networks has one file, whose `make` returns functions that make the networks of an experiment.
"""

from tf_bigan.networks.ali import ALIDiscriminator, ALIEmbedding, ALIEncoder, ALIGenerator
from tf_bigan.networks.conv import AlexNetDiscriminator, ConvDiscriminator, ConvEncoder, ConvGenerator
from tf_bigan.networks.dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from tf_bigan.networks.mixture import MixtureDiscriminator, MixtureEncoder, MixtureGenerator
from tf_bigan.networks.mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

__all__ = [
    "ALIDiscriminator",
    "ALIEmbedding",
    "ALIEncoder",
    "ALIGenerator",
    "AlexNetDiscriminator",
    "ConvDiscriminator",
    "ConvEncoder",
    "ConvGenerator",
    "DCGANDiscriminator",
    "DCGANEncoder",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MixtureDiscriminator",
    "MixtureEncoder",
    "MixtureGenerator",
]
