"""ALI on CIFAR-10 (Dumoulin et al. 2017) in PyTorch: networks and game.

E is stochastic: the first half of its outputs is mu, the second half is log sigma. D sees real and generated pairs in
one batch. It has no batch norm; it has maxout units, and dropout on the inputs of its layers. Layers have the names and
layouts of tf_bigan/networks/ali.py, where maxout takes the larger of channels c and c + C of 2 C channels.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch_games import Game, normal_numbers
from torch_layers import Convolution, Network, TransposedConvolution

from tf_bigan.errors import InputError

LATENT = 64
_SLOPE, _STDDEV, _KEPT = 0.1, 0.01, 0.95
# Name, kernel, stride, output channels. E's convolutions are followed by 1x1 layers, which are matrix products.
_ENCODER = (("conv1", 5, 1, 32), ("conv2", 4, 2, 64), ("conv3", 4, 1, 128), ("conv4", 4, 2, 256), ("conv5", 4, 1, 512))
_DECODER = (("deconv1", 4, 1, 256), ("deconv2", 4, 2, 128), ("deconv3", 4, 1, 64), ("deconv4", 4, 2, 32))
_DECODER += (("deconv5", 5, 1, 32),)
# D's layers: name -> (shape of the input without the batch, rate of dropout on it).
_DROPOUT = {
    "x_conv1": ((3, 32, 32), 0.2),
    "x_conv2": ((16, 28, 28), 0.5),
    "x_conv3": ((32, 13, 13), 0.5),
    "x_conv4": ((64, 10, 10), 0.5),
    "x_conv5": ((128, 4, 4), 0.5),
    "z_conv1": ((LATENT,), 0.2),
    "z_conv2": ((256,), 0.5),
    "joint1": ((512,), 0.5),
    "joint2": ((512,), 0.5),
    "outputs": ((512,), 0.5),
}


class RunningNorm(nn.Module):
    """Batch norm with scale and shift; inference uses running averages of the batches' means and deviations.

    Each training step keeps 0.95 of an average, and adds 0.05 of the batch's mean or deviation. The deviation is the
    square root of the biased variance + epsilon.
    """

    def __init__(self, channels, epsilon=1e-4):
        super().__init__()
        self.epsilon = epsilon
        self.gain, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("stdev", torch.ones(channels))

    def forward(self, h):  # noqa: D102
        if self.training:
            y, mean, inverse = torch.native_batch_norm(h, self.gain, self.bias, None, None, True, 0.0, self.epsilon)
            with torch.no_grad():
                self.mean.lerp_(mean.detach().float(), 1 - _KEPT)
                self.stdev.lerp_(1.0 / inverse.detach().float(), 1 - _KEPT)
            return y
        factor = self.gain / self.stdev
        shape = (1, -1, *[1] * (h.ndim - 2))
        return (h - self.mean.view(shape)) * factor.view(shape) + self.bias.view(shape)

    def variables(self):
        """See `torch_layers.Linear.variables`."""
        return {name: (getattr(self, name), None) for name in ("gain", "bias", "mean", "stdev")}


class OutputBias(nn.Module):
    """A bias for each channel and pixel: float [N, channels, H, W] -> float32 of that shape."""

    def __init__(self, channels, height, width):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, height, width))

    def forward(self, h):  # noqa: D102
        return h.float() + self.bias

    def variables(self):
        """See `torch_layers.Linear.variables`. In Keras, the bias is [H, W, channels]."""
        return {"bias": (self.bias, (1, 2, 0))}


def _leaky(h):
    return F.leaky_relu(h, _SLOPE)


def maxout(h):
    """The larger of channels c and c + C, for every c < C: [N, 2 C, ...] -> [N, C, ...]."""
    return torch.maximum(*h.chunk(2, 1))


class Encoder(Network):
    """E: images [N, 3, 32, 32] -> [N, 2 * LATENT]: mu and log sigma."""

    def __init__(self, seed):
        layers, inputs = {}, 3
        for name, size, stride, channels in _ENCODER:
            layers[f"{name}_linear"] = Convolution(inputs, channels, size, stride, stddev=_STDDEV)
            layers[f"{name}_norm"] = RunningNorm(channels)
            inputs = channels
        layers |= {"conv6_linear": Convolution(inputs, 512, 1, stddev=_STDDEV), "conv6_norm": RunningNorm(512)}
        layers["outputs_linear"] = Convolution(512, 2 * LATENT, 1, stddev=_STDDEV, bias=True, float32=True)
        super().__init__("encoder", layers, seed)

    def forward(self, x):  # noqa: D102
        part, h = self.layers, x
        for name, *_ in _ENCODER:
            h = _leaky(part[f"{name}_norm"](part[f"{name}_linear"](h)))
        h = _leaky(part["conv6_norm"](part["conv6_linear"](h)))
        return part["outputs_linear"](h).flatten(1)


class Decoder(Network):
    """The decoder, G: codes [N, LATENT] -> images [N, 3, 32, 32] in [0, 1]."""

    def __init__(self, seed):
        layers, inputs = {}, LATENT
        for name, size, stride, channels in _DECODER:
            layers[f"{name}_linear"] = TransposedConvolution(inputs, channels, size, stride, stddev=_STDDEV)
            layers[f"{name}_norm"] = RunningNorm(channels)
            inputs = channels
        layers["deconv6_linear"] = TransposedConvolution(inputs, 32, 1, stddev=_STDDEV)
        layers["deconv6_norm"] = RunningNorm(32)
        layers |= {"outputs_linear": TransposedConvolution(32, 3, 1, stddev=_STDDEV), "outputs": OutputBias(3, 32, 32)}
        super().__init__("generator", layers, seed)

    def forward(self, z):  # noqa: D102
        part, h = self.layers, z[:, :, None, None]
        for name in [*(name for name, *_ in _DECODER), "deconv6"]:
            h = _leaky(part[f"{name}_norm"](part[f"{name}_linear"](h)))
        return torch.sigmoid(part["outputs"](part["outputs_linear"](h)))


class Discriminator(Network):
    """D: images [N, 3, 32, 32], codes [N, LATENT] -> logits, float32 [N, 1], that the pairs are real.

    In training mode it needs `draws`, the random numbers for dropout: layer -> float32 [N, ...] in [0, 1).
    """

    def __init__(self, seed):
        layers, inputs = {}, 3
        for n, (_, size, stride, channels) in enumerate(_ENCODER, start=1):
            layers[f"x_conv{n}_linear"] = Convolution(inputs, channels, size, stride, stddev=_STDDEV, bias=True)
            inputs = channels // 2
        for n, inputs in enumerate((LATENT, 256), start=1):
            layers[f"z_conv{n}_linear"] = Convolution(inputs, 512, 1, stddev=_STDDEV)
        for n in (1, 2):
            layers[f"joint{n}_linear"] = Convolution(512, 1024, 1, stddev=_STDDEV, bias=True)
        layers["outputs_linear"] = Convolution(512, 1, 1, stddev=_STDDEV, bias=True, float32=True)
        super().__init__("discriminator", layers, seed)

    def forward(self, x, z, draws=None):  # noqa: D102
        for n in range(1, len(_ENCODER) + 1):
            x = maxout(self._layer(f"x_conv{n}", x, draws))
        z = z[:, :, None, None]
        for n in (1, 2):
            z = maxout(self._layer(f"z_conv{n}", z, draws))
        h = torch.cat([x, z.to(x.dtype)], 1)
        for n in (1, 2):
            h = maxout(self._layer(f"joint{n}", h, draws))
        return self._layer("outputs", h, draws).flatten(1)

    def _layer(self, name, h, draws):
        if self.training:
            rate = _DROPOUT[name][1]
            h = h * ((draws[name].view(h.shape) >= rate).to(h.dtype) / (1.0 - rate))
        return self.layers[f"{name}_linear"](h)


class ALI(Game):
    """E and the decoder against D. A loss is the sum over real and generated pairs, not the mean; D is called once."""

    players = {"discriminator": ("discriminator",), "encoder_generator": ("encoder", "generator")}

    def __init__(self, experiment):
        found = (experiment.networks, experiment.example_shape, experiment.latent_dim, experiment.prior)
        if found != ("ali_cifar10", (32, 32, 3), LATENT, "normal") or experiment.crop_size != 32:
            raise InputError(
                "system=ali needs networks=ali_cifar10, image_size=32, channels=3, latent_dim=64 and prior=normal "
                f"here, found {found[0]}, {found[1]}, {found[2]} and {found[3]}"
            )
        seed = experiment.seed
        networks = {"encoder": Encoder(seed), "generator": Decoder(seed), "discriminator": Discriminator(seed)}
        super().__init__(experiment, networks)

    def shapes(self, batch_size):  # noqa: D102
        dropped = {name: (2 * batch_size, *shape) for name, (shape, _) in _DROPOUT.items()}
        return {"z": (batch_size, LATENT), "noise": (batch_size, LATENT), **dropped}

    def losses(self, x, reduced, draws):  # noqa: D102
        z, noise = normal_numbers(draws["z"]), normal_numbers(draws["noise"])
        mu, log_sigma = self.networks["encoder"](x).float().chunk(2, 1)
        codes = mu + log_sigma.exp() * noise
        pairs = torch.cat([x, self.networks["generator"](z)]), torch.cat([codes, z])
        real, generated = self.networks["discriminator"](*pairs, draws).chunk(2)
        return (
            (F.softplus(-real) + F.softplus(generated)).mean(),
            (F.softplus(real) + F.softplus(-generated)).mean(),
        )

    @torch.no_grad()
    def begin(self, examples):
        """Sets the decoder's bias to the log-odds of the mean of 500 training images, pixel by pixel."""
        mean = examples.first(500, self.experiment.seed).mean(0)
        self.networks["generator"].layers["outputs"].bias.copy_(torch.logit(mean, eps=1e-7))


def weights_of(networks):
    """Role -> the number of trainable weights."""
    return {role: sum(math.prod(w.shape) for w in network.parameters()) for role, network in networks.items()}
