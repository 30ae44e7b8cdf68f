"""ALI's E, G and D in PyTorch, written independently from Dumoulin et al. 2017, and the game's losses.

`cifar10()` and `svhn()` give the networks of appendix A for these images, `mixture()` those of section 5.1 for points,
whose E takes noise. Batch norms keep running averages, and no convolution is padded. For CIFAR-10, D has
maxout units instead of batch norms, and dropout, at a rate of 0.2 on its inputs and of 0.5 on the inputs of its other
layers. For SVHN, D(x) has batch norms, and the rate is 0.2 for all layers. For points, D has maxout units only.

The networks are written for speed on CPUs, where this changes nothing but the order of units. The pieces of maxout
units lie in blocks. Layers that see a whole map are matrix products. Dropout compares random bytes with a threshold,
which is 51 of 256 for a rate of 0.2.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch_networks import flat

LATENT, SVHN_LATENT = 64, 256  # dimensions of the codes
KERNELS = (5, 4, 4, 4, 4)
STRIDES = (1, 2, 1, 2, 1)
CHANNELS = (32, 64, 128, 256, 512)  # E's channels, and D's before maxout
# The numbers of values that D's layers drop some of, for CIFAR-10 and for SVHN.
DROPPED = (3 * 32 * 32, 16 * 28 * 28, 32 * 13 * 13, 64 * 10 * 10, 128 * 4 * 4, LATENT, 256, 512, 512, 512)
SVHN_DROPPED = (3 * 32 * 32, 32 * 28 * 28, 64 * 13 * 13, 128 * 10 * 10, 256 * 4 * 4, SVHN_LATENT, 512, 1024, 1024, 1024)


def cifar10():
    """(E, G, D) for 32-pixel images."""
    return Encoder(), Decoder(), Discriminator()


def svhn():
    """(E, G, D) for 32-pixel images of house numbers."""
    return Encoder(SVHN_LATENT, 0.01), Decoder(SVHN_LATENT, 0.01), SVHNDiscriminator()


def mixture():
    """(E, G, D) for points [N, 2] and codes [N, 2]."""
    return MLP(4, 2), MLP(2, 4), MaxoutMLP()


def cifar10_draws(n):
    """(z, E's noise, random bytes for the dropout of the real and the generated pairs)."""
    return _image_draws(n, LATENT, DROPPED)


def svhn_draws(n):
    """Like `cifar10_draws`."""
    return _image_draws(n, SVHN_LATENT, SVHN_DROPPED)


def _image_draws(n, latent, dropped):
    words = torch.empty(-(-2 * n * sum(dropped) // 8), dtype=torch.int64)
    words.random_(-(2**63), None)  # all eight bytes of each number are random
    return torch.randn(n, latent), torch.randn(n, latent), words.view(torch.uint8)


def mixture_draws(n):
    """(z, E's noise)."""
    return torch.randn(n, 2), torch.randn(n, 2)


def image_losses(networks, x, z, noise, masks):
    """(D's loss, E's and G's) of images x, float32 [N, 3, 32, 32]."""
    encoder, decoder, discriminator = networks
    mu, log_sigma = encoder(x).float().chunk(2, 1)
    pairs = torch.cat([x, decoder(z)]), torch.cat([mu + log_sigma.exp() * noise, z])
    return _losses(discriminator(*pairs, masks))


def mixture_losses(networks, x, z, noise):
    """(D's loss, E's and G's) of points x, float32 [N, 2]."""
    encoder, decoder, discriminator = networks
    codes = encoder(torch.cat([x, noise], 1))
    return _losses(discriminator(torch.cat([torch.cat([x, codes], 1), torch.cat([decoder(z), z], 1)])))


def _losses(logits):
    real, generated = logits.float().chunk(2)
    return (
        F.softplus(-real).mean() + F.softplus(generated).mean(),
        F.softplus(real).mean() + F.softplus(-generated).mean(),
    )


def drawn(layer, stddev=0.01):
    """`layer` with weights drawn from N(0, stddev^2), and a bias of 0."""
    nn.init.normal_(layer.weight, 0.0, stddev)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def linear(inputs, outputs, bias=False, stddev=0.01):
    """A fully connected layer."""
    return drawn(nn.Linear(inputs, outputs, bias=bias), stddev)


def norm(channels, kind=nn.BatchNorm2d):
    """A batch norm whose running averages take 0.05 of each batch's statistics."""
    return kind(channels, eps=1e-4, momentum=0.05)


# -- images


class Encoder(nn.Module):
    """E: images [N, 3, 32, 32] -> [N, 2 * latent], means and logarithms of deviations."""

    def __init__(self, latent=LATENT, slope=0.1):
        super().__init__()
        self.slope = slope
        sizes = zip((3, *CHANNELS), CHANNELS, KERNELS, STRIDES, strict=False)
        convolutions = [drawn(nn.Conv2d(i, o, kernel, stride, bias=False)) for i, o, kernel, stride in sizes]
        self.convolutions, self.norms = nn.ModuleList(convolutions[:4]), nn.ModuleList(map(norm, CHANNELS[:4]))
        self.h5, self.norm5 = linear(4 * 4 * 256, 512), norm(512, nn.BatchNorm1d)
        self.h6, self.norm6 = linear(512, 512), norm(512, nn.BatchNorm1d)
        self.out = linear(512, 2 * latent, bias=True)

    def forward(self, x):  # noqa: D102
        h = x
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = self._leaky(norm(convolution(h)))
        h = self._leaky(self.norm5(self.h5(flat(h))))
        return self.out(self._leaky(self.norm6(self.h6(h))))

    def _leaky(self, h):
        return F.leaky_relu_(h, self.slope)


class Decoder(nn.Module):
    """G: codes [N, latent] -> images [N, 3, 32, 32] in [0, 1]."""

    def __init__(self, latent=LATENT, slope=0.1):
        super().__init__()
        self.slope = slope
        self.fc, self.fc_norm = linear(latent, 4 * 4 * 256), norm(256)
        sizes = ((256, 128, 4, 2), (128, 64, 4, 1), (64, 32, 4, 2), (32, 32, 5, 1))
        layers = [drawn(nn.ConvTranspose2d(i, o, kernel, stride, bias=False)) for i, o, kernel, stride in sizes]
        layers.append(drawn(nn.Conv2d(32, 32, 1, bias=False)))
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(norm(layer.out_channels) for layer in layers)
        self.out, self.bias = drawn(nn.Conv2d(32, 3, 1, bias=False)), nn.Parameter(torch.zeros(3, 32, 32))

    def forward(self, z):  # noqa: D102
        h = self.fc(z).view(-1, 4, 4, 256).permute(0, 3, 1, 2)  # a map in channels-last layout
        if self.layers[0].weight.is_contiguous():
            h = h.contiguous()
        h = F.leaky_relu_(self.fc_norm(h), self.slope)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = F.leaky_relu_(norm(layer(h)), self.slope)
        return torch.sigmoid(self.out(h).float() + self.bias)


class Discriminator(nn.Module):
    """D: images [N, 3, 32, 32], codes [N, LATENT], bytes -> logits [N, 1] that the pair is (x, E(x))."""

    def __init__(self):
        super().__init__()
        inputs = (3, *(channels // 2 for channels in CHANNELS))
        sizes = zip(inputs, CHANNELS[:4], KERNELS, STRIDES, strict=False)
        self.x = nn.ModuleList(drawn(nn.Conv2d(i, o, kernel, stride)) for i, o, kernel, stride in sizes)
        self.x5 = linear(4 * 4 * 128, 512, bias=True)
        self.z = nn.ModuleList([linear(LATENT, 512), linear(256, 512)])
        self.joint = nn.ModuleList([linear(512, 1024, bias=True), linear(512, 1024, bias=True)])
        self.out = linear(512, 1, bias=True)

    def forward(self, x, z, masks):  # noqa: D102
        sizes = [len(x) * size for size in DROPPED]
        masks = iter(masks[: sum(sizes)].split(sizes))
        x = drop(x, next(masks), 51)
        for n, layer in enumerate(self.x):
            x = drop(maxout(layer(x)), next(masks)) if n < 3 else maxout(layer(x))
        x = maxout(self.x5(drop(flat(x), next(masks))))
        z = maxout(self.z[0](drop(z, next(masks), 51)))
        z = maxout(self.z[1](drop(z, next(masks))))
        h = torch.cat([x, z], 1)
        for layer in self.joint:
            h = maxout(layer(drop(h, next(masks))))
        return self.out(drop(h, next(masks)))


class SVHNDiscriminator(nn.Module):
    """D for SVHN: as `Discriminator`, with leaky rectifiers, and batch norms over real and generated pairs in D(x)."""

    def __init__(self):
        super().__init__()
        sizes = zip((3, *CHANNELS), CHANNELS[:4], KERNELS, STRIDES, strict=False)
        self.x = nn.ModuleList(drawn(nn.Conv2d(i, o, kernel, stride, bias=i == 3)) for i, o, kernel, stride in sizes)
        self.norms = nn.ModuleList(map(norm, CHANNELS[1:4]))
        self.x5, self.norm5 = linear(4 * 4 * 256, 512), norm(512, nn.BatchNorm1d)
        self.z = nn.ModuleList([linear(SVHN_LATENT, 512), linear(512, 512)])
        self.joint = nn.ModuleList([linear(1024, 1024, bias=True), linear(1024, 1024, bias=True)])
        self.out = linear(1024, 1, bias=True)

    def forward(self, x, z, masks):  # noqa: D102
        sizes = [len(x) * size for size in SVHN_DROPPED]
        masks = iter(masks[: sum(sizes)].split(sizes))
        x = F.leaky_relu_(self.x[0](drop(x, next(masks), 51)), 0.01)
        for layer, norm in zip(self.x[1:], self.norms, strict=True):
            x = F.leaky_relu_(norm(layer(drop(x, next(masks), 51))), 0.01)
        x = F.leaky_relu_(self.norm5(self.x5(drop(flat(x), next(masks), 51))), 0.01)
        for layer in self.z:
            z = F.leaky_relu_(layer(drop(z, next(masks), 51)), 0.01)
        h = torch.cat([x, z], 1)
        for layer in self.joint:
            h = F.leaky_relu_(layer(drop(h, next(masks), 51)), 0.01)
        return self.out(drop(h, next(masks), 51))


def drop(h, bits, threshold=128):
    """Dropout of `h`, float [N, ...], at a rate of threshold / 256; `bits` has a random byte for each value."""
    if h.ndim == 4 and not h.is_contiguous():  # the bytes are taken in the memory order of the map
        n, channels, height, width = h.shape
        bits = bits.view(n, height, width, channels).permute(0, 3, 1, 2)
    else:
        bits = bits.view(h.shape)
    return h * ((bits >= threshold).to(h.dtype) * (256 / (256 - threshold)))


def maxout(h):
    """The larger of channels c and c + C, for every c < C: [N, 2 C, ...] -> [N, C, ...].

    It is computed by a rectified difference, as PyTorch takes four times more passes for the gradient of a maximum.
    """
    first, second = h.chunk(2, 1)
    return second + F.relu_(first - second)


# -- the mixture


class Precise(nn.Linear):
    """A fully connected layer in float32, whatever the precision: half precision would blur coordinates."""

    def forward(self, h):  # noqa: D102
        with torch.autocast("cpu", enabled=False):
            return super().forward(h.float())


class MLP(nn.Module):
    """E and G: [N, inputs] -> [N, 2], with `depth` hidden layers of 400 rectified units."""

    def __init__(self, inputs, depth):
        super().__init__()
        layers = [Precise(inputs, 400, bias=False), *(nn.Linear(400, 400, bias=False) for _ in range(depth - 1))]
        self.layers = nn.ModuleList(drawn(layer, 0.02) for layer in layers)
        self.norms = nn.ModuleList(norm(400, nn.BatchNorm1d) for _ in layers)
        self.out = drawn(Precise(400, 2), 0.02)

    def forward(self, h):  # noqa: D102
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = F.relu_(norm(layer(h)))
        return self.out(h)


class MaxoutMLP(nn.Module):
    """D: points and codes, concatenated to [N, 4] -> logits [N, 1]; three layers of 200 maxout units of five pieces."""

    def __init__(self):
        super().__init__()
        layers = [Precise(4, 1000), nn.Linear(200, 1000), nn.Linear(200, 1000)]
        self.layers = nn.ModuleList(drawn(layer, 0.02) for layer in layers)
        self.out = drawn(Precise(200, 1), 0.02)

    def forward(self, h):  # noqa: D102
        for layer in self.layers:
            h = layer(h).unflatten(1, (5, 200)).amax(1)
        return self.out(h)
