"""The layers of the networks of Dumoulin et al. 2017 (ALI), appendix A: one table for each data set.

Where the paper and its code differ, the tables follow the code, except for CIFAR-10's dropout.
"""

import math
from typing import NamedTuple


class Architecture(NamedTuple):
    """The layers of a data set's networks, each as (kernel, stride, channels).

    Attributes:
      edge: edge of the images, in pixels.
      latent_dim: dimensions of the code.
      slope: slope of the leaky rectifiers for negative inputs.
      encoder: E's convolutions, each followed by a batch norm and a leaky rectifier. The output layer follows them: a
        1x1 convolution with a bias.
      generator: G's transposed convolutions, each followed by a batch norm and a leaky rectifier. The output layer
        follows them: a 1x1 transposed convolution, then a bias for each pixel and channel, then a sigmoid.
      images: D(x)'s convolutions.
      codes: D(z)'s convolutions.
      joint: the joint part's convolutions, with biases. The output layer follows them: a 1x1 convolution with one
        channel and a bias.
      pieces: pieces of D's maxout units; 0 = leaky rectifiers. The tables give the channels before the maximum.
      normed: whether D(x)'s convolutions after the first have a batch norm. A convolution without one has a bias.
      code_bias: whether D(z)'s convolutions have biases.
      dropout: two rates: on the inputs of the first layers of D(x) and D(z), and on the inputs of D's other layers.
      embedding: units of the embedding of attributes, which conditional networks take. E's last layer, G's first layer
        and D's joint part take it beside their other inputs.
      as_coded: the rates on the inputs and on the outputs (before maxout) of D(x)'s layers in the authors' code, if
        they differ from the paper's; else None.
    """

    edge: int
    latent_dim: int
    slope: float
    encoder: tuple
    generator: tuple
    images: tuple
    codes: tuple
    joint: tuple
    pieces: int = 0
    normed: bool = True
    code_bias: bool = False
    dropout: tuple = (0.2, 0.2)
    embedding: int = 256
    as_coded: tuple | None = None

    @property
    def width(self) -> int:
        """The channels of E's first convolution in the paper; other widths scale all layers in proportion."""
        return self.encoder[0][2]

    @property
    def width_unit(self) -> int:
        """The smallest width that gives every layer a whole number of channels; all such widths are multiples of it."""
        channels = [row[2] for row in self.encoder + self.generator] + [self.embedding]
        channels += [row[2] // (self.pieces or 1) for row in self.images + self.codes + self.joint]
        return self.width // math.gcd(self.width, *channels)


ARCHITECTURES = {
    "ali_cifar10": Architecture(
        edge=32,
        latent_dim=64,
        slope=0.1,
        encoder=((5, 1, 32), (4, 2, 64), (4, 1, 128), (4, 2, 256), (4, 1, 512), (1, 1, 512)),
        generator=((4, 1, 256), (4, 2, 128), (4, 1, 64), (4, 2, 32), (5, 1, 32), (1, 1, 32)),
        images=((5, 1, 32), (4, 2, 64), (4, 1, 128), (4, 2, 256), (4, 1, 512)),
        codes=((1, 1, 512), (1, 1, 512)),
        joint=((1, 1, 1024), (1, 1, 1024)),
        pieces=2,
        normed=False,
        dropout=(0.2, 0.5),
        # The authors' code counts layers in threes, as if these had batch norms, and so skips the inputs of two.
        as_coded=((0.2, 0.5, 0.0, 0.0, 0.5), (0.0, 0.0, 0.5, 0.0, 0.0)),
    ),
    "ali_svhn": Architecture(
        edge=32,
        latent_dim=256,
        slope=0.01,
        encoder=((5, 1, 32), (4, 2, 64), (4, 1, 128), (4, 2, 256), (4, 1, 512), (1, 1, 512)),
        generator=((4, 1, 256), (4, 2, 128), (4, 1, 64), (4, 2, 32), (5, 1, 32), (1, 1, 32)),
        images=((5, 1, 32), (4, 2, 64), (4, 1, 128), (4, 2, 256), (4, 1, 512)),
        codes=((1, 1, 512), (1, 1, 512)),
        joint=((1, 1, 1024), (1, 1, 1024)),
    ),
    "ali_celeba": Architecture(
        edge=64,
        latent_dim=256,
        slope=0.02,
        encoder=((2, 1, 64), (7, 2, 128), (5, 2, 256), (7, 2, 256), (4, 1, 512)),
        generator=((4, 1, 512), (7, 2, 256), (5, 2, 256), (7, 2, 128), (2, 1, 64)),
        images=((2, 1, 64), (7, 2, 128), (5, 2, 256), (7, 2, 256), (4, 1, 512)),
        codes=((1, 1, 1024), (1, 1, 1024)),
        joint=((1, 1, 2048), (1, 1, 2048)),
    ),
    "ali_tiny_imagenet": Architecture(
        edge=64,
        latent_dim=256,
        slope=0.01,
        encoder=(
            *((4, 2, 64), (4, 1, 64), (4, 2, 128), (4, 1, 128), (4, 2, 256), (4, 1, 256)),
            *((1, 1, 2048), (1, 1, 2048)),
        ),
        generator=(
            *((1, 1, 2048), (1, 1, 256)),
            *((4, 1, 256), (4, 2, 128), (4, 1, 128), (4, 2, 64), (4, 1, 64), (4, 2, 64)),
        ),
        images=((4, 2, 64), (4, 1, 64), (4, 2, 128), (4, 1, 128), (4, 2, 256), (4, 1, 256)),
        codes=((1, 1, 2048), (1, 1, 2048)),
        joint=((1, 1, 4096), (1, 1, 4096)),
        code_bias=True,
    ),
}


def sizes_taken() -> str:
    """The sizes of images that the architectures take, as text: "ali_cifar10 and ali_svhn take 32x32; ..."."""
    names = {}
    for name, table in ARCHITECTURES.items():
        names.setdefault(table.edge, []).append(name)
    return "; ".join(f"{' and '.join(found)} take {edge}x{edge}" for edge, found in sorted(names.items()))
