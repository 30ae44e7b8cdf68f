"""DCGAN's G and D for 32-pixel images in PyTorch, written independently from the tables of the authors' files.

Half of the authors' channels, 64 next to the image; z has 100 dimensions. Images lie in [-1, 1].
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch_networks import SLOPE, Norm, flat, linear, normal


def networks():
    """(nothing in E's place, G, D)."""
    return nn.Identity(), Generator(), Discriminator()


def losses(networks, x, z):
    """D's loss and G's loss of a GAN; see `Model.losses` in torch_bigan.py."""
    _, generator, discriminator = networks
    real, generated = discriminator(x).float(), discriminator(generator(z)).float()
    return (F.softplus(-real).mean() + F.softplus(generated).mean()) / 2, F.softplus(-generated).mean()


def down(inputs, outputs, stride):
    """A 3x3 convolution, which halves the edge of a map if the stride is 2."""
    return normal(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False))


def up(inputs, outputs, stride):
    """A 3x3 transposed convolution, which doubles the edge of a map if the stride is 2."""
    return normal(
        nn.ConvTranspose2d(inputs, outputs, 3, stride=stride, padding=1, output_padding=stride - 1, bias=False)
    )


class Generator(nn.Module):
    """G: codes [N, 100] -> images [N, 3, 32, 32]."""

    def __init__(self):
        super().__init__()
        self.fc, self.fc_norm = linear(100, 4 * 4 * 256), Norm(4 * 4 * 256)
        channels, strides = (256, 256, 128, 128, 64, 64), (2, 1, 2, 1, 2)
        shapes = zip(channels, channels[1:], strides, strict=False)
        self.deconvolutions = nn.ModuleList(up(*shape) for shape in shapes)
        self.norms = nn.ModuleList(Norm(outputs) for outputs in channels[1:])
        self.out = up(64, 3, 1)

    def forward(self, z):  # noqa: D102
        h = F.relu_(self.fc_norm(self.fc(z)))
        h = h.view(-1, 4, 4, 256).permute(0, 3, 1, 2)  # a map in channels-last layout
        if self.out.weight.is_contiguous():
            h = h.contiguous()
        for deconvolution, norm in zip(self.deconvolutions, self.norms, strict=True):
            h = F.relu_(norm(deconvolution(h)))
        return torch.tanh(self.out(h))


class Discriminator(nn.Module):
    """D: images [N, 3, 32, 32] -> logits [N, 1] that the image is real."""

    def __init__(self):
        super().__init__()
        channels, strides = (3, 64, 64, 128, 128, 256, 256), (1, 2, 1, 2, 1, 2)
        shapes = zip(channels, channels[1:], strides, strict=False)
        self.convolutions = nn.ModuleList(down(*shape) for shape in shapes)
        self.norms = nn.ModuleList([nn.Identity(), *(Norm(outputs) for outputs in channels[2:])])
        self.out = linear(4 * 4 * 256, 1, stddev=0.0)

    def forward(self, x):  # noqa: D102
        h = x
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = F.leaky_relu_(norm(convolution(h)), SLOPE)
        return self.out(flat(h))
