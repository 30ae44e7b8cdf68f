"""The work of a plain training step of a BiGAN: its products with weights, and its optimizer's traffic.

Counted are the products that the game needs: the shared forward pass, in which D runs twice; D's gradient, of both
pairs, down to D's weights; E's and G's gradient, through D to the code of the real pair and to the image of the
generated pair. A convolution counts as the matrix product that it can be written as, padding included; of some,
`tf_bigan.networks.winograd` needs less.
"""

import typing

BATCH = 128


class Layer(typing.NamedTuple):
    """A layer's weights, how often an image uses each of them, and its products in a step.

    One product each, of BATCH x weights x positions multiplications, gives the layer's output, the gradient of its
    weights and the gradient of its input.
    """

    weights: int
    positions: int
    products: int


def linear(inputs, outputs, products):
    """A fully connected layer."""
    return Layer(inputs * outputs, 1, products)


def convolution(kernel, inputs, outputs, edge, products, groups=1):
    """A convolution with output maps of `edge`, or a transposed one with input maps of `edge`."""
    return Layer(kernel * kernel * inputs * outputs // groups, edge * edge, products)


def gains(channels):
    """A batch norm's gains and biases, which only the optimizer moves."""
    return Layer(2 * channels, 0, 0)


def mnist():
    """The fully connected networks, 5.76 million parameters."""
    pixels, latent, width = 784, 50, 1024
    return [
        # E: forward, weights, and input except where that is the data.
        linear(pixels, width, 1 + 1),
        linear(width, width, 1 + 1 + 1),
        linear(width, latent, 1 + 1 + 1),
        # G: the same; z enters twice.
        linear(latent, width, 1 + 1),
        linear(width, width, 1 + 1 + 1),
        linear(latent, width, 1 + 1),
        linear(width, pixels, 1 + 1 + 1),
        # D: forward, weights, input for D's gradient, input for E's and G's.
        linear(pixels, width, 2 + 2 + 0 + 1),
        linear(width, width, 2 + 2 + 2 + 1),
        linear(latent, width, 2 + 2 + 0 + 1),
        linear(width, 1, 2 + 2 + 2 + 2),
    ]


def imagenet():
    """The convolutional networks at 64 pixels, 13.7 million parameters."""
    latent = 200
    encoder = [
        convolution(11, 3, 96, 16, 1 + 1),
        convolution(5, 96, 256, 8, 1 + 1 + 1, groups=2),
        convolution(3, 256, 384, 4, 1 + 1 + 1),
        convolution(3, 384, 384, 4, 1 + 1 + 1, groups=2),
        convolution(3, 384, 256, 4, 1 + 1 + 1, groups=2),
        *map(gains, (256, 384, 384, 256)),
        linear(4 * 4 * 256, latent, 1 + 1 + 1),
    ]
    generator = [
        linear(latent, 4 * 4 * 512, 1 + 1),
        gains(4 * 4 * 512),
        convolution(5, 512, 256, 4, 1 + 1 + 1),
        convolution(5, 256, 128, 8, 1 + 1 + 1),
        convolution(5, 128, 64, 16, 1 + 1 + 1),
        *(linear(latent, channels, 1 + 1) for channels in (256, 128, 64)),
        *map(gains, (256, 128, 64)),
        convolution(5, 64, 3, 32, 1 + 1 + 1),
    ]
    discriminator = [
        convolution(5, 3, 64, 32, 2 + 2 + 0 + 1),
        # E's gradient ends where the code enters: at conv2's output, not at its input.
        convolution(5, 64, 128, 16, 2 + 2 + 2 + 1),
        convolution(5, 128, 256, 8, 2 + 2 + 2 + 2),
        convolution(5, 256, 512, 4, 2 + 2 + 2 + 2),
        *(linear(latent, channels, 2 + 2 + 0 + 1) for channels in (128, 256, 512)),
        *map(gains, (128, 256, 512)),
        linear(4 * 4 * 512, 1, 2 + 2 + 2 + 2),
    ]
    return encoder + generator + discriminator


def parameters(layers):
    """How many there are."""
    return sum(layer.weights for layer in layers)


def flops(layers):
    """Floating-point operations of a step's products."""
    return sum(2 * BATCH * layer.weights * layer.positions * layer.products for layer in layers)


def optimizer_bytes(layers):
    """What Adam must move per step: it reads weight, gradient and two moments and writes all but the gradient."""
    return 7 * 4 * parameters(layers)
