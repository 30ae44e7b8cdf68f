"""E, G and D in PyTorch, written independently from Donahue et al. 2017 and the authors' settings.

`mlp()` gives section 4.1's networks for MNIST, `conv()` those of section 4.2 and appendix C for 64-pixel images. No
linear layer or convolution has a bias; batch norms take the batch's own statistics, with 1e-8 under the root, and have
gain and bias in the convolutional networks only. Codes and images lie in [-1, 1], except MNIST's images: in [0, 1].
"""

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky rectifiers


def mlp():
    """(E, G, D) for MNIST."""
    return MLPEncoder(), MLPGenerator(), MLPDiscriminator()


def conv():
    """(E, G, D) for 64-pixel images."""
    return ConvEncoder(), ConvGenerator(), ConvDiscriminator()


def normal(layer, stddev=0.02):
    """`layer` with its weights drawn from N(0, stddev^2)."""
    nn.init.normal_(layer.weight, 0.0, stddev)
    return layer


def linear(inputs, outputs, stddev=0.02):
    """A fully connected layer."""
    return normal(nn.Linear(inputs, outputs, bias=False), stddev)


def code(a):
    """E's raw outputs as codes in (-1, 1): 2 sigmoid(a) - 1, in float32."""
    return torch.tanh(a.float() / 2)


# -- MNIST


class MLPEncoder(nn.Module):
    """E: images [N, 784] -> codes [N, 50]."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(784, 1024), linear(1024, 1024), linear(1024, 50)

    def forward(self, x):  # noqa: D102
        h = F.leaky_relu(self.h1(x), SLOPE)
        h = F.leaky_relu(plain_norm(self.h2(h)), SLOPE)
        return code(self.out(h))


class MLPGenerator(nn.Module):
    """G: codes [N, 50] -> images [N, 784]."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(50, 1024), linear(1024, 1024), linear(1024, 784)
        self.h2_z = linear(50, 1024)

    def forward(self, z):  # noqa: D102
        h = F.relu(plain_norm(self.h1(z)))
        h = F.relu(plain_norm(self.h2(h) + self.h2_z(z)))
        return torch.sigmoid(self.out(h))


class MLPDiscriminator(nn.Module):
    """D: images [N, 784], codes [N, 50] -> logits [N, 1] that the pair is (x, E(x))."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(784, 1024), linear(1024, 1024), linear(1024, 1, stddev=0.0)
        self.h2_z = linear(50, 1024)

    def forward(self, x, z):  # noqa: D102
        h = F.leaky_relu(self.h1(x), SLOPE)
        h = F.leaky_relu(plain_norm(self.h2(h) + self.h2_z(z)), SLOPE)
        return self.out(h)


def plain_norm(h):
    """Batch norm without parameters."""
    return F.batch_norm(h, None, None, training=True, eps=1e-8)


# -- 64-pixel images
#
# Rectifiers and sums work in place. They may overwrite the output of the convolution or batch norm before them, which
# does not need it for its gradient.


class Norm(nn.Module):
    """Batch norm with gain and bias, of units or maps."""

    def __init__(self, channels):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, h):  # noqa: D102
        return F.batch_norm(h, None, None, self.gain, self.bias, training=True, eps=1e-8)


class WithCode(nn.Module):
    """A 5x5 convolution (`down` or `up`), to which W z is added at every pixel, and a batch norm."""

    def __init__(self, convolution, latent=200):
        super().__init__()
        self.convolution, self.norm = convolution, Norm(convolution.out_channels)
        self.z = linear(latent, convolution.out_channels, stddev=0.02 * 5 * 5)

    def forward(self, h, z):  # noqa: D102
        return self.norm(self.convolution(h).add_(self.z(z)[:, :, None, None]))


def down(inputs, outputs):
    """A convolution that halves the edge of a map."""
    return normal(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2, bias=False))


def up(inputs, outputs):
    """A transposed convolution that doubles the edge of a map."""
    return normal(nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=False))


class ConvEncoder(nn.Module):
    """E: images [N, 3, 64, 64] -> codes [N, 200]. AlexNet up to conv5."""

    def __init__(self):
        super().__init__()
        self.conv1 = normal(nn.Conv2d(3, 96, 11, stride=4, padding=5, bias=False))
        self.conv2 = normal(nn.Conv2d(96, 256, 5, padding=2, groups=2, bias=False))
        self.conv3 = normal(nn.Conv2d(256, 384, 3, padding=1, bias=False))
        self.conv4 = normal(nn.Conv2d(384, 384, 3, padding=1, groups=2, bias=False))
        self.conv5 = normal(nn.Conv2d(384, 256, 3, padding=1, groups=2, bias=False))
        self.norm2, self.norm3, self.norm4, self.norm5 = Norm(256), Norm(384), Norm(384), Norm(256)
        self.out = linear(4 * 4 * 256, 200)

    def forward(self, x):  # noqa: D102
        h = F.leaky_relu_(self.conv1(x), SLOPE)
        h = F.max_pool2d(h, 3, stride=2, padding=1)
        h = F.leaky_relu_(self.norm2(self.conv2(h)), SLOPE)
        h = F.max_pool2d(h, 3, stride=2, padding=1)
        h = F.leaky_relu_(self.norm3(self.conv3(h)), SLOPE)
        h = F.leaky_relu_(self.norm4(self.conv4(h)), SLOPE)
        h = F.leaky_relu_(self.norm5(self.conv5(h)), SLOPE)
        return code(self.out(flat(h)))


class ConvGenerator(nn.Module):
    """G: codes [N, 200] -> images [N, 3, 64, 64]. It is DCGAN's G, with z fed to every hidden layer."""

    def __init__(self):
        super().__init__()
        self.fc, self.fc_norm = linear(200, 4 * 4 * 512), Norm(4 * 4 * 512)
        self.deconv1, self.deconv2 = WithCode(up(512, 256)), WithCode(up(256, 128))
        self.deconv3, self.out = WithCode(up(128, 64)), up(64, 3)

    def forward(self, z):  # noqa: D102
        h = F.relu_(self.fc_norm(self.fc(z)))
        h = h.view(-1, 4, 4, 512).permute(0, 3, 1, 2)  # a map in channels-last layout
        if self.out.weight.is_contiguous():
            h = h.contiguous()
        h = F.relu_(self.deconv1(h, z))
        h = F.relu_(self.deconv2(h, z))
        h = F.relu_(self.deconv3(h, z))
        return torch.tanh(self.out(h) / 2)  # 2 sigmoid - 1


class ConvDiscriminator(nn.Module):
    """D: images [N, 3, 64, 64], codes [N, 200] -> logits [N, 1] that the pair is (x, E(x))."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = down(3, 64), WithCode(down(64, 128))
        self.conv3, self.conv4 = WithCode(down(128, 256)), WithCode(down(256, 512))
        self.out = linear(4 * 4 * 512, 1, stddev=0.0)

    def forward(self, x, z):  # noqa: D102
        h = F.leaky_relu_(self.conv1(x), SLOPE)
        h = F.leaky_relu_(self.conv2(h, z), SLOPE)
        h = F.leaky_relu_(self.conv3(h, z), SLOPE)
        h = F.leaky_relu_(self.conv4(h, z), SLOPE)
        return self.out(flat(h))


def flat(h):
    """Flattens maps, channels last; this copies nothing if they are in channels-last layout."""
    return h.permute(0, 2, 3, 1).flatten(1)
