"""The work of a plain training step of a BiGAN or of ALI: its products with weights, and its optimizer's traffic.

The products that the game needs are counted. These are the shared forward pass, in which D runs twice; D's gradient,
from both pairs to D's weights; and E's and G's gradient, through D to the code of the real pair and to the image of the
generated pair. If D has no batch norm, as in ALI's networks for CIFAR-10 and for points, D's own gradient is rescaled
and goes on to that code and that image (`tf_bigan.games.shared_gradient`), so that one backward pass through D is
enough. A convolution counts as the matrix product to which it is equivalent, including padding; for some convolutions,
`tf_bigan.networks.kernels.winograd` needs fewer operations.
"""

import typing


class Layer(typing.NamedTuple):
    """A layer's number of weights, how often an image uses each of them, and the layer's number of products in a step.

    The layer's output, the gradient of its weights and the gradient of its input take one product each, of batch x
    weights x positions multiplications. `inputs` and `outputs` are the widths of a fully connected layer. `float32`
    says that the layer computes in float32, whatever the precision.
    """

    weights: int
    positions: int
    products: int
    inputs: int = 0
    outputs: int = 0
    float32: bool = False


def linear(inputs, outputs, products, float32=False):
    """A fully connected layer."""
    return Layer(inputs * outputs, 1, products, inputs, outputs, float32)


def convolution(kernel, inputs, outputs, edge, products, groups=1):
    """A convolution with output maps of `edge`, or a transposed one with input maps of `edge`."""
    return Layer(kernel * kernel * inputs * outputs // groups, edge * edge, products)


def gains(channels):
    """A batch norm's gains and biases, which only the optimizer moves."""
    return Layer(2 * channels, 0, 0)


def biases(count):
    """A layer's biases, which only the optimizer moves."""
    return Layer(count, 0, 0)


def mnist():
    """The fully connected networks, 5.76 million parameters."""
    pixels, latent, width = 784, 50, 1024
    return [
        # E: output, gradient of the weights, and gradient of the input, except where the input is the data.
        linear(pixels, width, 1 + 1),
        linear(width, width, 1 + 1 + 1),
        linear(width, latent, 1 + 1 + 1),
        # G: the same; z enters twice.
        linear(latent, width, 1 + 1),
        linear(width, width, 1 + 1 + 1),
        linear(latent, width, 1 + 1),
        linear(width, pixels, 1 + 1 + 1),
        # D: output, gradient of the weights, gradient of the input for D, gradient of the input for E and G.
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


def _ali_pair(latent):
    """ALI's E and decoder for images of 32 pixels."""
    encoder = [
        convolution(5, 3, 32, 28, 1 + 1),
        convolution(4, 32, 64, 13, 1 + 1 + 1),
        convolution(4, 64, 128, 10, 1 + 1 + 1),
        convolution(4, 128, 256, 4, 1 + 1 + 1),
        convolution(4, 256, 512, 1, 1 + 1 + 1),
        linear(512, 512, 1 + 1 + 1),
        *map(gains, (32, 64, 128, 256, 512, 512)),
        linear(512, 2 * latent, 1 + 1 + 1),
        biases(2 * latent),
    ]
    decoder = [
        convolution(4, latent, 256, 1, 1 + 1),
        convolution(4, 256, 128, 4, 1 + 1 + 1),
        convolution(4, 128, 64, 10, 1 + 1 + 1),
        convolution(4, 64, 32, 13, 1 + 1 + 1),
        convolution(5, 32, 32, 28, 1 + 1 + 1),
        convolution(1, 32, 32, 32, 1 + 1 + 1),
        *map(gains, (256, 128, 64, 32, 32, 32)),
        convolution(1, 32, 3, 32, 1 + 1 + 1),
        biases(3 * 32 * 32),
    ]
    return encoder + decoder


def ali_cifar10():
    """The convolutional networks of ALI for CIFAR-10, 6.71 million parameters."""
    latent = 64
    # Output, gradient of the weights, gradient of the input. D's own inputs need only half of that gradient: the images
    # of the generated pairs, and the codes of the real pairs.
    discriminator = [
        convolution(5, 3, 32, 28, 2 + 2 + 1),
        convolution(4, 16, 64, 13, 2 + 2 + 2),
        convolution(4, 32, 128, 10, 2 + 2 + 2),
        convolution(4, 64, 256, 4, 2 + 2 + 2),
        convolution(4, 128, 512, 1, 2 + 2 + 2),
        *map(biases, (32, 64, 128, 256, 512)),
        linear(latent, 512, 2 + 2 + 1),
        linear(256, 512, 2 + 2 + 2),
        *(linear(512, 1024, 2 + 2 + 2) for _ in range(2)),
        linear(512, 1, 2 + 2 + 2),
        *map(biases, (1024, 1024, 1)),
    ]
    return _ali_pair(latent) + discriminator


def ali_svhn():
    """The convolutional networks of ALI for SVHN, 10.37 million parameters."""
    latent = 256
    # Output, gradient of the weights, gradient of the input for D, gradient of the input for E and G. Batch norms make
    # the generated images change the features of the real ones, so below the last of them, E and G need the gradient of
    # the generated images alone, and above it that of all.
    discriminator = [
        convolution(5, 3, 32, 28, 2 + 2 + 0 + 1),
        convolution(4, 32, 64, 13, 2 + 2 + 2 + 1),
        convolution(4, 64, 128, 10, 2 + 2 + 2 + 2),
        convolution(4, 128, 256, 4, 2 + 2 + 2 + 2),
        convolution(4, 256, 512, 1, 2 + 2 + 2 + 2),
        biases(32),
        *map(gains, (64, 128, 256, 512)),
        linear(latent, 512, 2 + 2 + 0 + 1),
        linear(512, 512, 2 + 2 + 2 + 1),
        *(linear(1024, 1024, 2 + 2 + 2 + 2) for _ in range(2)),
        linear(1024, 1, 2 + 2 + 2 + 2),
        *map(biases, (1024, 1024, 1)),
    ]
    return _ali_pair(latent) + discriminator


def gan_cifar10():
    """DCGAN's networks for 32 pixels with half of the channels, 2.71 million parameters."""
    generator = [
        linear(100, 4 * 4 * 256, 1 + 1),
        gains(4 * 4 * 256),
        convolution(3, 256, 256, 4, 1 + 1 + 1),
        convolution(3, 256, 128, 8, 1 + 1 + 1),
        convolution(3, 128, 128, 8, 1 + 1 + 1),
        convolution(3, 128, 64, 16, 1 + 1 + 1),
        convolution(3, 64, 64, 16, 1 + 1 + 1),
        *map(gains, (256, 128, 128, 64, 64)),
        convolution(3, 64, 3, 32, 1 + 1 + 1),
    ]
    # Output, gradient of the weights, gradient of the input for D, gradient of the generated input for G.
    discriminator = [
        convolution(3, 3, 64, 32, 2 + 2 + 0 + 1),
        convolution(3, 64, 64, 16, 2 + 2 + 2 + 1),
        convolution(3, 64, 128, 16, 2 + 2 + 2 + 1),
        convolution(3, 128, 128, 8, 2 + 2 + 2 + 1),
        convolution(3, 128, 256, 8, 2 + 2 + 2 + 1),
        convolution(3, 256, 256, 4, 2 + 2 + 2 + 1),
        *map(gains, (64, 128, 128, 256, 256)),
        linear(4 * 4 * 256, 1, 2 + 2 + 2 + 1),
    ]
    return generator + discriminator


def dfm_cifar10():
    """The same, and the denoiser of D's 4,096 features, 57.3 million parameters."""
    # Output and both gradients of real features, output of generated ones.
    features, width = 4 * 4 * 256, 2048
    denoiser = [
        linear(features, width, 2 + 1),
        *(linear(width, width, 2 + 1 + 1) for _ in range(9)),
        *(gains(width) for _ in range(10)),
        linear(width, features, 2 + 1 + 1),
        biases(features),
    ]
    return gan_cifar10() + denoiser


def mixture():
    """The fully connected networks of ALI for points of a mixture, 1.06 million parameters."""
    width, pieces = 400, 5 * 200

    def hidden(inputs, outputs, products, first=False):
        return [linear(inputs, outputs, products, float32=first), gains(outputs)]

    encoder = [
        *hidden(2 + 2, width, 1 + 1, first=True),
        *hidden(width, width, 1 + 1 + 1),
        linear(width, 2, 1 + 1 + 1, float32=True),
        biases(2),
    ]
    decoder = [
        *hidden(2, width, 1 + 1, first=True),
        *(layer for _ in range(3) for layer in hidden(width, width, 1 + 1 + 1)),
        linear(width, 2, 1 + 1 + 1, float32=True),
        biases(2),
    ]
    discriminator = [
        # Half of the input's gradient is needed: the codes of the real pairs, and the points of the generated pairs.
        linear(2 + 2, pieces, 2 + 2 + 1, float32=True),
        linear(200, pieces, 2 + 2 + 2),
        linear(200, pieces, 2 + 2 + 2),
        linear(200, 1, 2 + 2 + 2, float32=True),
        *map(biases, (pieces, pieces, pieces, 1)),
    ]
    return encoder + decoder + discriminator


def parameters(layers):
    """The number of parameters."""
    return sum(layer.weights for layer in layers)


def flops(layers, batch):
    """Floating-point operations of a step's products."""
    return sum(2 * batch * layer.weights * layer.positions * layer.products for layer in layers)


def matrix_products(layers, batch):
    """The matrix products of fully connected layers, as a step computes them.

    If both real and generated pairs go through a layer, they share a product.

    Yields:
      (rows, layer, the results to compute: "outputs", "weights" and, for most layers, "inputs").
    """
    for layer in layers:
        if layer.inputs:
            pairs = 2 if layer.products > 3 else 1
            yield pairs * batch, layer, ("outputs", "weights", "inputs")[: -(-layer.products // pairs)]


def optimizer_bytes(layers):
    """Bytes that Adam moves per step: it reads weight, gradient and two moments, and writes all but the gradient."""
    return 7 * 4 * parameters(layers)
