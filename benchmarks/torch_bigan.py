"""A BiGAN's training step in PyTorch: the peer to compare with.

python benchmarks/torch_bigan.py --model=imagenet --precision=mixed_bfloat16 --channels_last

Needs torch (2.13 was used) and nothing of this project but timing.py. Prints one JSON object.

The networks are torch_networks.py's. D is called apart on real and on generated pairs; one forward pass from which D
and (E, G) take their gradients; one simultaneous update by Adam with L2 in the gradient of all but gains and biases.
"""

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Callable

import torch
import torch_networks
from timing import calls_per_second
from torch.nn import functional as F

BATCH = 128


@dataclasses.dataclass(frozen=True)
class Model:
    """What is trained: a function that makes E, G and D, the shapes of an image and a code, and steps of warm-up."""

    networks: Callable
    image_shape: tuple
    latent: int
    warmup: int


MODELS = {
    "mnist": Model(torch_networks.mlp, (784,), 50, 20),
    "imagenet": Model(torch_networks.conv, (3, 64, 64), 200, 3),
}


class Trainer:
    """The networks, their optimizer and the training step.

    Args:
      model: one of MODELS.
      bfloat16: autocast the networks; weights, losses and the optimizer stay float32.
      channels_last: keep maps and kernels in that layout.
      compiled: torch.compile the forward pass, the losses and both players' gradients as one graph.
    """

    def __init__(self, model, bfloat16=False, channels_last=False, compiled=False):
        self.encoder, self.generator, self.discriminator = networks = model.networks()
        if channels_last:
            for network in networks:
                network.to(memory_format=torch.channels_last)
        self.d_weights = list(self.discriminator.parameters())
        self.eg_weights = [*self.encoder.parameters(), *self.generator.parameters()]
        self.weights = self.d_weights + self.eg_weights
        kernels = [weight for weight in self.weights if weight.ndim > 1]
        others = [weight for weight in self.weights if weight.ndim == 1]  # gains and biases
        groups = [{"params": kernels, "weight_decay": 2.5e-5}] + ([{"params": others}] if others else [])
        self.optimizer = torch.optim.Adam(groups, lr=2e-4, betas=(0.5, 0.999), eps=1e-8, fused=True)
        self.latent, self.bfloat16 = model.latent, bfloat16
        self.gradients = self._gradients
        if compiled:
            torch._dynamo.config.trace_autograd_ops = True
            self.gradients = torch.compile(self._gradients, fullgraph=True)

    def step(self, x):
        """One update of all networks on x, float32 [128, ...]; returns both losses."""
        z = torch.rand(len(x), self.latent) * 2 - 1
        losses, gradients = self.gradients(x, z)
        for weight, gradient in zip(self.weights, gradients, strict=True):
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
    parser.add_argument("--model", default="mnist", choices=MODELS)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--channels_last", action="store_true", help="keep maps and kernels in that layout")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--seconds", type=float, default=10, help="measured, after the warm-up")
    options = parser.parse_args()

    torch.set_flush_denormal(True)  # as TensorFlow does
    torch.manual_seed(0)
    model = MODELS[options.model]
    trainer = Trainer(model, options.precision == "mixed_bfloat16", options.channels_last, options.compile)
    x = torch.rand(BATCH, *model.image_shape)  # speed does not ask for their range
    if options.channels_last:
        x = x.to(memory_format=torch.channels_last)
    rate = calls_per_second(lambda: trainer.step(x), options.seconds, model.warmup)
    print(json.dumps({"images_per_second": rate * BATCH, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
