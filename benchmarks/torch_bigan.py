"""The MNIST BiGAN's training step in PyTorch, written independently from the paper: the peer to compare with.

python benchmarks/torch_bigan.py --precision=mixed_bfloat16 --compile

Needs torch (2.13 was used) and nothing of this project but timing.py. Prints one JSON object.

Donahue et al. 2017, section 4.1: fully connected layers without biases; batch norms without parameters, with the
batch's own statistics, taken apart for real and generated pairs; one forward pass from which D and (E, G) take
their gradients; one simultaneous update by Adam with L2 in the gradient.
"""

import argparse
import contextlib
import json

import torch
from timing import calls_per_second
from torch import nn
from torch.nn import functional as F

BATCH, PIXELS, LATENT, WIDTH = 128, 784, 50, 1024


def linear(inputs, outputs, zero=False):
    """A layer without bias, from N(0, 0.02^2) or from 0."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, 0.0, 0.0 if zero else 0.02)
    return layer


def batch_norm(h):
    """Normalises with the batch's mean and biased variance."""
    return F.batch_norm(h, None, None, training=True, eps=1e-8)


class Encoder(nn.Module):
    """E: images [N, 784] in [0, 1] -> codes [N, 50] in (-1, 1)."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(PIXELS, WIDTH), linear(WIDTH, WIDTH), linear(WIDTH, LATENT)

    def forward(self, x):  # noqa: D102
        h = F.leaky_relu(self.h1(x), 0.2)
        h = F.leaky_relu(batch_norm(self.h2(h)), 0.2)
        return torch.tanh(self.out(h).float() / 2)  # = 2 sigmoid(a) - 1


class Generator(nn.Module):
    """G: codes [N, 50] -> images [N, 784] in [0, 1]."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(LATENT, WIDTH), linear(WIDTH, WIDTH), linear(WIDTH, PIXELS)
        self.h2_z = linear(LATENT, WIDTH)

    def forward(self, z):  # noqa: D102
        h = F.relu(batch_norm(self.h1(z)))
        h = F.relu(batch_norm(self.h2(h) + self.h2_z(z)))
        return torch.sigmoid(self.out(h))


class Discriminator(nn.Module):
    """D: images [N, 784], codes [N, 50] -> logits [N, 1] that the pair is (x, E(x))."""

    def __init__(self):
        super().__init__()
        self.h1, self.h2, self.out = linear(PIXELS, WIDTH), linear(WIDTH, WIDTH), linear(WIDTH, 1, zero=True)
        self.h2_z = linear(LATENT, WIDTH)

    def forward(self, x, z):  # noqa: D102
        h = F.leaky_relu(self.h1(x), 0.2)
        h = F.leaky_relu(batch_norm(self.h2(h) + self.h2_z(z)), 0.2)
        return self.out(h)


class Trainer:
    """The networks, their optimizer and the training step.

    Args:
      bfloat16: autocast the networks; weights, losses and the optimizer stay float32.
      compiled: torch.compile the forward pass, the losses and both players' gradients as one graph.
    """

    def __init__(self, bfloat16=False, compiled=False):
        self.encoder, self.generator, self.discriminator = Encoder(), Generator(), Discriminator()
        self.d_weights = list(self.discriminator.parameters())
        self.eg_weights = [*self.encoder.parameters(), *self.generator.parameters()]
        self.optimizer = torch.optim.Adam(
            self.d_weights + self.eg_weights, lr=2e-4, betas=(0.5, 0.999), eps=1e-8, weight_decay=2.5e-5, fused=True
        )
        self.bfloat16 = bfloat16
        self.gradients = self._gradients
        if compiled:
            torch._dynamo.config.trace_autograd_ops = True
            self.gradients = torch.compile(self._gradients, fullgraph=True)

    def step(self, x):
        """One update of all networks on x, float32 [128, 784]; returns both losses."""
        z = torch.rand(len(x), LATENT) * 2 - 1
        losses, gradients = self.gradients(x, z)
        for weight, gradient in zip(self.d_weights + self.eg_weights, gradients, strict=True):
            weight.grad = gradient
        self.optimizer.step()
        return losses

    def _gradients(self, x, z):
        # Each call to grad visits only what its weights need: D's stops at D's inputs, and the other one
        # computes no gradients of D's weights.
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext():
            real = self.discriminator(x, self.encoder(x))
            generated = self.discriminator(self.generator(z), z)
        real, generated = real.float(), generated.float()
        d_loss = (F.softplus(-real).mean() + F.softplus(generated).mean()) / 2
        eg_loss = (F.softplus(real).mean() + F.softplus(-generated).mean()) / 2
        d_gradients = torch.autograd.grad(d_loss, self.d_weights, retain_graph=True)
        eg_gradients = torch.autograd.grad(eg_loss, self.eg_weights)
        return (d_loss.detach(), eg_loss.detach()), d_gradients + eg_gradients


def main():
    """Measures the step's steady rate on one batch in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--seconds", type=float, default=10, help="measured, after 20 steps of warm-up")
    options = parser.parse_args()

    torch.set_flush_denormal(True)  # as TensorFlow does
    torch.manual_seed(0)
    trainer = Trainer(options.precision == "mixed_bfloat16", options.compile)
    x = torch.rand(BATCH, PIXELS)
    rate = calls_per_second(lambda: trainer.step(x), options.seconds)
    print(json.dumps({"images_per_second": rate * BATCH, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
