"""E, G and D of Donahue et al. 2017 in PyTorch. They have the same weights as the networks of tf_bigan/networks.

`mlp` has section 4.1's networks, `conv` those of section 4.2 and appendix C. Images are float [N, C, H, W] in [0, 1].
E's outputs are not squashed to the range of the prior yet.
"""

import math

from torch import sigmoid
from torch.nn import functional as F
from torch_layers import Convolution, Linear, Network, Norm, TransposedConvolution, flat

from tf_bigan.errors import InputError

SLOPE = 0.2  # of the leaky rectifiers in D and E
_Z_STDDEV = 0.02 * 5 * 5  # standard deviation of the weights that add z to the maps of 5x5 convolutions
# E's convolutions: name, channels at width 64, kernel, stride, padding, groups. Pools follow the first two.
_ALEXNET = (
    ("conv1", 96, 11, 4, 5, 1),
    ("conv2", 256, 5, 1, 2, 2),
    ("conv3", 384, 3, 1, 1, 1),
    ("conv4", 384, 3, 1, 1, 2),
    ("conv5", 256, 3, 1, 1, 2),
)


def _leaky(h):
    return F.leaky_relu(h, SLOPE)


class MLPEncoder(Network):
    """E of MNIST: images -> [N, latent_dim]. It has two hidden layers, the second with batch norm."""

    def __init__(self, shape, latent, width, zero_output, seed):
        layers = {
            "h1_linear": Linear(math.prod(shape), width),
            "h2_linear": Linear(width, width),
            "h2_norm": Norm(width),
            "outputs": Linear(width, latent, 0.0 if zero_output else 0.02),
        }
        super().__init__("encoder", layers, seed)

    def forward(self, x):  # noqa: D102
        part = self.layers
        h = _leaky(part["h1_linear"](flat(x)))
        h = _leaky(part["h2_norm"](part["h2_linear"](h)))
        return part["outputs"](h)


class MLPGenerator(Network):
    """G of MNIST: codes [N, latent_dim] -> images; z enters the second hidden layer, too."""

    def __init__(self, shape, latent, width, skip, seed):
        layers = {"h1_linear": Linear(latent, width), "h1_norm": Norm(width), "h2_linear": Linear(width, width)}
        if skip:
            layers["h2_z"] = Linear(latent, width)
        layers |= {"h2_norm": Norm(width), "outputs": Linear(width, math.prod(shape))}
        super().__init__("generator", layers, seed)
        self.shape = shape

    def forward(self, z):  # noqa: D102
        part = self.layers
        h = F.relu(part["h1_norm"](part["h1_linear"](z)))
        h = part["h2_linear"](h)
        if "h2_z" in part:
            h = h + part["h2_z"](z)
        h = part["outputs"](F.relu(part["h2_norm"](h)))
        return sigmoid(h).view(-1, *self.shape).permute(0, 3, 1, 2)


class MLPDiscriminator(Network):
    """D of MNIST: images and, if `latent` is not 0, codes -> logits, float32 [N, 1]."""

    def __init__(self, shape, latent, width, seed):
        layers = {"h1_linear": Linear(math.prod(shape), width), "h2_linear": Linear(width, width)}
        if latent:
            layers["h2_z"] = Linear(latent, width)
        layers |= {"h2_norm": Norm(width), "outputs": Linear(width, 1, 0.0, float32=True)}
        super().__init__("discriminator", layers, seed)

    def forward(self, x, z=None):  # noqa: D102
        part = self.layers
        h = part["h2_linear"](_leaky(part["h1_linear"](flat(x))))
        if "h2_z" in part:
            h = h + part["h2_z"](z)
        return part["outputs"](_leaky(part["h2_norm"](h)))


class AlexNet(Network):
    """AlexNet's convolutions with batch norms, padded as in the paper: images -> [N, outputs].

    It serves as E. With the role "discriminator" and one output, it is the D of a plain GAN whose features are
    evaluated.
    """

    def __init__(self, role, shape, outputs, width, zero_output, seed):
        if width % 4:
            raise InputError(f"width must be a multiple of 4 for the convolutional networks, found {width}")
        layers, inputs, edges = {}, shape[-1], shape[:2]
        for name, channels, size, stride, padding, groups in _ALEXNET:
            channels = channels * width // 64
            layers[f"{name}_linear"] = Convolution(inputs, channels, size, stride, padding, groups)
            if name != "conv1":
                layers[f"{name}_norm"] = Norm(channels, affine=True)
            edges = [(n + 2 * padding - size) // stride + 1 for n in edges]
            if name in ("conv1", "conv2"):
                edges = [(n - 1) // 2 + 1 for n in edges]
            inputs = channels
        stddev, judge = 0.0 if zero_output else 0.02, role == "discriminator"
        layers["outputs"] = Linear(math.prod(edges) * inputs, outputs, stddev, float32=judge)
        super().__init__(role, layers, seed)

    def forward(self, x):  # noqa: D102
        part, h = self.layers, 2.0 * x - 1.0
        for name, *_ in _ALEXNET:
            h = part[f"{name}_linear"](h)
            h = _leaky(part[f"{name}_norm"](h) if f"{name}_norm" in part else h)
            if name in ("conv1", "conv2"):
                h = F.max_pool2d(h, 3, stride=2, padding=1)
        return part["outputs"](flat(h))


class ConvGenerator(Network):
    """G of square images whose edge is a multiple of 16: DCGAN's G; if `skip`, z is fed to every hidden layer."""

    def __init__(self, shape, latent, width, skip, seed):
        if shape[0] != shape[1] or shape[0] % 16:
            raise InputError(f"the convolutional G and D take square images of a multiple of 16 pixels, not {shape}")
        self_edge, inputs = shape[0] // 16, 8 * width
        units = self_edge**2 * inputs
        layers = {"fc_linear": Linear(latent, units), "fc_norm": Norm(units, affine=True)}
        for n, channels in enumerate((4 * width, 2 * width, width), start=1):
            layers[f"deconv{n}_linear"] = TransposedConvolution(inputs, channels, 5, 2, trim=2, more=1)
            if skip:
                layers[f"deconv{n}_z"] = Linear(latent, channels, _Z_STDDEV)
            layers[f"deconv{n}_norm"] = Norm(channels, affine=True)
            inputs = channels
        layers["outputs_linear"] = TransposedConvolution(inputs, shape[-1], 5, 2, trim=2, more=1)
        super().__init__("generator", layers, seed)
        self.map_shape = (self_edge, self_edge, 8 * width)

    def forward(self, z):  # noqa: D102
        part = self.layers
        h = F.relu(part["fc_norm"](part["fc_linear"](z)))
        h = h.view(-1, *self.map_shape).permute(0, 3, 1, 2)  # a map in channels-last layout
        for n in (1, 2, 3):
            h = part[f"deconv{n}_linear"](h)
            if f"deconv{n}_z" in part:
                h = h + part[f"deconv{n}_z"](z)[:, :, None, None]
            h = F.relu(part[f"deconv{n}_norm"](h))
        return sigmoid(part["outputs_linear"](h))


class ConvDiscriminator(Network):
    """D: square images whose edge is a multiple of 16 and, if `latent` is not 0, codes -> logits, float32 [N, 1]."""

    def __init__(self, shape, latent, width, seed):
        layers, inputs = {}, shape[-1]
        for n, channels in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
            layers[f"conv{n}_linear"] = Convolution(inputs, channels, 5, 2, 2)
            if n > 1 and latent:
                layers[f"conv{n}_z"] = Linear(latent, channels, _Z_STDDEV)
            if n > 1:
                layers[f"conv{n}_norm"] = Norm(channels, affine=True)
            inputs = channels
        layers["outputs"] = Linear((shape[0] // 16) ** 2 * inputs, 1, 0.0, float32=True)
        super().__init__("discriminator", layers, seed)

    def forward(self, x, z=None):  # noqa: D102
        part, h = self.layers, 2.0 * x - 1.0
        for n in (1, 2, 3, 4):
            h = part[f"conv{n}_linear"](h)
            if f"conv{n}_z" in part:
                h = h + part[f"conv{n}_z"](z)[:, :, None, None]
            h = _leaky(part[f"conv{n}_norm"](h) if n > 1 else h)
        return part["outputs"](flat(h))


def make_networks(experiment) -> dict[str, Network]:
    """The networks of an experiment of Donahue et al., by role, freshly initialised from its seed.

    Args:
      experiment: a `tf_bigan.experiment.Experiment` from `sized()`, with image_size and channels.
    """
    e, joint = experiment, experiment.system == "bigan"
    latent = e.latent_dim if joint else 0
    zero_output = e.system.endswith("latent_regressor")
    conv = e.networks == "conv"
    networks = {}
    if e.system != "gan":
        if conv:
            networks["encoder"] = AlexNet("encoder", e.encoder_shape, e.latent_dim, e.width, zero_output, e.seed)
        else:
            networks["encoder"] = MLPEncoder(e.encoder_shape, e.latent_dim, e.width, zero_output, e.seed)
    generator = ConvGenerator if conv else MLPGenerator
    networks["generator"] = generator(e.example_shape, e.latent_dim, e.width, e.generator_skip, e.seed)
    if conv and e.system == "gan":
        networks["discriminator"] = AlexNet("discriminator", e.example_shape, 1, e.width, True, e.seed)
    elif not e.system.startswith("autoencoder"):
        discriminator = ConvDiscriminator if conv else MLPDiscriminator
        networks["discriminator"] = discriminator(e.example_shape, latent, e.width, e.seed)
    return networks
