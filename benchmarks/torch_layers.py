"""Layers and networks in PyTorch, whose weights can be exchanged with the Keras networks by name.

A weight is called "role/layer/variable", for example "encoder/conv1_linear/kernel". `Network.arrays` returns all
weights in Keras' layout, and `Network.fill` takes them. Maps are [N, channels, height, width], and should be in
channels-last memory layout.
"""

import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tf_bigan.errors import InputError

_LINEAR = (1, 0)  # PyTorch's [out, in] -> Keras' [in, out], and back
# [out, in, H, W] -> [H, W, in, out]; of transposed convolutions [in, out, H, W] -> [H, W, out, in]
_KERNEL = (2, 3, 1, 0)


class Linear(nn.Module):
    """A fully connected layer, float [N, inputs] -> [N, outputs]."""

    def __init__(self, inputs, outputs, stddev=0.02, bias=False, float32=False):
        super().__init__()
        self.stddev, self.float32 = stddev, float32
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, h):  # noqa: D102
        if not self.float32:
            return F.linear(h, self.weight, self.bias)
        with torch.autocast(h.device.type, enabled=False):
            return F.linear(h.float(), self.weight, self.bias)

    def variables(self):
        """{Keras' name: (tensor, the permutation that gives Keras' layout, or None)}."""
        return {"kernel": (self.weight, _LINEAR), **({"bias": (self.bias, None)} if self.bias is not None else {})}


class Convolution(nn.Module):
    """A convolution with `padding` zeros on every side, float [N, inputs, H, W] -> [N, outputs, h, w]."""

    def __init__(self, inputs, outputs, size, stride=1, padding=0, groups=1, stddev=0.02, bias=False, float32=False):
        super().__init__()
        self.stride, self.padding, self.groups, self.stddev = stride, padding, groups, stddev
        self.float32 = float32
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, h):  # noqa: D102
        if not self.float32:
            return self._outputs(h)
        with torch.autocast(h.device.type, enabled=False):
            return self._outputs(h.float())

    def _outputs(self, h):
        if not self.padding and self.groups == 1 and h.shape[2:] == self.weight.shape[2:]:
            # With a kernel as large as the map, the convolution is a matrix product, which is faster.
            matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
            return F.linear(flat(h), matrix, self.bias)[:, :, None, None]
        return F.conv2d(h, self.weight, self.bias, self.stride, self.padding, 1, self.groups)

    def variables(self):
        """See `Linear.variables`."""
        return {"kernel": (self.weight, _KERNEL), **({"bias": (self.bias, None)} if self.bias is not None else {})}


class TransposedConvolution(nn.Module):
    """A transposed convolution without bias.

    Rows and columns of the full output are dropped: `trim` at the top and left, `trim` - `more` at the bottom and
    right.
    """

    def __init__(self, inputs, outputs, size, stride=1, trim=0, more=0, stddev=0.02):
        super().__init__()
        self.stride, self.trim, self.more, self.stddev = stride, trim, more, stddev
        self.weight = nn.Parameter(torch.zeros(inputs, outputs, size, size))

    def forward(self, h):  # noqa: D102
        if not self.trim and h.shape[2:] == (1, 1):  # with one input pixel, it is a matrix product
            _, outputs, *edges = self.weight.shape
            matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
            return (h.flatten(1) @ matrix).view(-1, *edges, outputs).permute(0, 3, 1, 2)
        return F.conv_transpose2d(h, self.weight, None, self.stride, self.trim, self.more)

    def variables(self):
        """See `Linear.variables`."""
        return {"kernel": (self.weight, _KERNEL)}


class Norm(nn.Module):
    """BiGAN's batch norm of units or maps. It uses the batch's own statistics in training, else estimated statistics.

    While `estimating` is true, each call in training mode adds its batch to the averages `mean` and `variance`
    (unbiased), in which all batches have the same weight.
    """

    def __init__(self, channels, affine=False, epsilon=1e-8):
        super().__init__()
        self.epsilon, self.estimating = epsilon, False
        self.gain = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, h):  # noqa: D102
        if not self.training:
            return F.batch_norm(h, self.mean, self.variance, self.gain, self.bias, False, 0.0, self.epsilon)
        if self.estimating:
            self._accumulate(h.detach().float())
        return F.batch_norm(h, None, None, self.gain, self.bias, True, 0.0, self.epsilon)

    def _accumulate(self, h):
        axes = [0, *range(2, h.ndim)]
        # If a channel has a single value, its unbiased variance is undefined; it counts as 0 here.
        variance, mean = torch.var_mean(h, axes, correction=min(1, h.numel() // h.shape[1] - 1))
        self.batches += 1
        self.mean += (mean - self.mean) / self.batches
        self.variance += (variance - self.variance) / self.batches

    def reset(self):
        """Forgets the estimates; the next ones start from nothing."""
        self.batches.zero_()
        self.mean.zero_()
        self.variance.fill_(1.0)

    def variables(self):
        """See `Linear.variables`."""
        affine = {} if self.gain is None else {"gain": (self.gain, None), "bias": (self.bias, None)}
        statistics = {"mean": self.mean, "variance": self.variance, "batches": self.batches}
        return {**affine, **{name: (tensor, None) for name, tensor in statistics.items()}}


class Network(nn.Module):
    """Layers by their Keras names, called in a subclass' `forward`.

    Args:
      role: "encoder", "generator" or "discriminator".
      layers: name -> layer.
      seed: seed of the initial weights, which are drawn from N(0, stddev^2). Each layer has its own stddev and its own
        stream of random numbers.
    """

    def __init__(self, role, layers, seed):
        super().__init__()
        self.role, self.layers = role, nn.ModuleDict(layers)
        for name, layer in layers.items():
            if stddev := getattr(layer, "stddev", 0.0):
                draws = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{role}/{name}".encode()))
                with torch.no_grad():
                    layer.weight.normal_(0.0, stddev, generator=draws)

    def norms(self):
        """The batch norms that have inference statistics to estimate."""
        return [layer for layer in self.layers.values() if isinstance(layer, Norm)]

    def _variables(self):
        for name, layer in self.layers.items():
            for variable, (tensor, order) in layer.variables().items():
                yield f"{self.role}/{name}/{variable}", tensor, order

    @torch.no_grad()
    def arrays(self) -> dict[str, np.ndarray]:
        """Every weight and statistic by name: float32, in Keras' layout."""
        return {
            path: (tensor if order is None else tensor.permute(order)).contiguous().cpu().numpy().astype(np.float32)
            for path, tensor, order in self._variables()
        }

    @torch.no_grad()
    def fill(self, arrays: dict[str, np.ndarray]):
        """Assigns weights that `arrays` returned. Raises InputError if one is missing or of another shape."""
        for path, tensor, order in self._variables():
            if path not in arrays:
                raise InputError(f"the initial weights have no {path}")
            array = torch.from_numpy(np.array(arrays[path], np.float32))
            target = tensor if order is None else tensor.permute(order)
            if array.shape != target.shape:
                raise InputError(f"{path} of the initial weights has shape {[*array.shape]}, not {[*target.shape]}")
            target.copy_(array)


def flat(h):
    """Flattens maps as Keras does, float [N, C, H, W] -> [N, H W C]; this copies nothing in channels-last layout."""
    return h.permute(0, 2, 3, 1).flatten(1)
