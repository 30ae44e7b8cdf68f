"""The training step of a BiGAN, ALI or GAN in PyTorch, with which this project is compared.

python benchmarks/torch_bigan.py --model=imagenet --precision=mixed_bfloat16 --channels_last

Needs torch (2.13 was used) and nothing of this project but timing.py. Prints one JSON object.

The networks are in torch_networks.py, those of ALI in torch_ali_networks.py, and those of a GAN in torch_dcgan.py. A
BiGAN and a GAN call D once on real and once
on generated pairs; ALI calls D once on all pairs. D and (E, G) take their gradients from one forward pass. Then Adam
updates all of them at once. For a BiGAN, the gradients include L2, except those of gains and biases.
"""

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Callable

import torch
import torch_ali_networks as ali
import torch_dcgan as dcgan
import torch_networks
from timing import calls_per_second
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Model:
    """A model to train.

    Attributes:
      networks: a function that makes E, G and D.
      shape: shape of an example.
      batch: examples per step.
      warmup: steps before the measurement.
      draws: a function of the number of examples; returns the tuple of a step's random tensors.
      losses: a function of the networks, the examples and these tensors; returns D's loss and (E, G)'s loss.
      l2: coefficient of the weights in their gradient.
    """

    networks: Callable
    shape: tuple
    batch: int
    warmup: int
    draws: Callable
    losses: Callable
    l2: float = 0.0


def uniform_codes(latent):
    """A function that draws codes from U(-1, 1)."""
    return lambda n: (torch.rand(n, latent) * 2 - 1,)


def bigan_losses(networks, x, z):
    """See `Model.losses`."""
    encoder, generator, discriminator = networks
    real = discriminator(x, encoder(x)).float()
    generated = discriminator(generator(z), z).float()
    return (
        (F.softplus(-real).mean() + F.softplus(generated).mean()) / 2,
        (F.softplus(real).mean() + F.softplus(-generated).mean()) / 2,
    )


MODELS = {
    "mnist": Model(torch_networks.mlp, (784,), 128, 20, uniform_codes(50), bigan_losses, l2=2.5e-5),
    "imagenet": Model(torch_networks.conv, (3, 64, 64), 128, 3, uniform_codes(200), bigan_losses, l2=2.5e-5),
    "ali_cifar10": Model(ali.cifar10, (3, 32, 32), 100, 3, ali.cifar10_draws, ali.image_losses),
    "ali_svhn": Model(ali.svhn, (3, 32, 32), 100, 3, ali.svhn_draws, ali.image_losses),
    "gan_cifar10": Model(dcgan.networks, (3, 32, 32), 128, 3, uniform_codes(100), dcgan.losses),
    "mixture": Model(ali.mixture, (2,), 100, 20, ali.mixture_draws, ali.mixture_losses),
}


class Trainer:
    """The networks, their optimizer and the training step.

    Args:
      model: one of MODELS.
      bfloat16: autocast the networks; weights, losses and the optimizer stay float32.
      channels_last: keep maps and kernels in channels-last layout.
      compiled: torch.compile the forward pass, the losses and both players' gradients as one graph.
    """

    def __init__(self, model, bfloat16=False, channels_last=False, compiled=False):
        self.networks = encoder, generator, discriminator = model.networks()
        if channels_last:
            for network in self.networks:
                network.to(memory_format=torch.channels_last)
        self.d_weights = list(discriminator.parameters())
        self.eg_weights = [*encoder.parameters(), *generator.parameters()]
        self.weights = self.d_weights + self.eg_weights
        kernels = [weight for weight in self.weights if weight.ndim > 1]
        others = [weight for weight in self.weights if weight.ndim == 1]  # gains and biases
        groups = [{"params": kernels, "weight_decay": model.l2}] + ([{"params": others}] if others else [])
        self.optimizer = torch.optim.Adam(groups, lr=2e-4, betas=(0.5, 0.999), eps=1e-8, fused=True)
        self.model, self.bfloat16 = model, bfloat16
        self.gradients = self._gradients
        if compiled:
            torch._dynamo.config.trace_autograd_ops = True
            self.gradients = torch.compile(self._gradients, fullgraph=True)

    def step(self, x):
        """One update of all networks on x, float32 [batch, ...]; returns both losses."""
        losses, gradients = self.gradients(x, self.model.draws(len(x)))
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self.optimizer.step()
        return losses

    def _gradients(self, x, draws):
        # Each call of grad computes only what its weights need: the call for D stops at D's inputs, and the other call
        # computes no gradients of D's weights.
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext():
            d_loss, eg_loss = self.model.losses(self.networks, x, *draws)
        d_gradients = torch.autograd.grad(d_loss, self.d_weights, retain_graph=True)
        eg_gradients = torch.autograd.grad(eg_loss, self.eg_weights)
        return (d_loss.detach(), eg_loss.detach()), d_gradients + eg_gradients


def main():
    """Measures the step's steady rate on one batch in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist", choices=MODELS)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--channels_last", action="store_true", help="keep maps and kernels in channels-last layout")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--seconds", type=float, default=10, help="seconds measured, after the warm-up")
    options = parser.parse_args()

    torch.set_flush_denormal(True)  # as TensorFlow does
    torch.manual_seed(0)
    model = MODELS[options.model]
    trainer = Trainer(model, options.precision == "mixed_bfloat16", options.channels_last, options.compile)
    x = torch.rand(model.batch, *model.shape)  # the speed does not depend on their range
    if options.channels_last and x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    rate = calls_per_second(lambda: trainer.step(x), options.seconds, model.warmup)
    print(json.dumps({"images_per_second": rate * model.batch, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
