"""The training step in PyTorch: one forward pass updates all players at once. On CUDA, several steps form a graph.

On one kind of device, all random numbers depend only on (seed, step): the generator is seeded again for each step.
"""

import contextlib
import itertools
import math

import numpy as np
import torch

TRAINING, STATISTICS = 0, 1  # streams of random numbers


class Randoms:
    """The random numbers of a step, float32 in [0, 1), in one buffer that has a view for each name.

    Args:
      shapes: name -> shape.
      device: the device that draws the numbers.
      seed: seed of all numbers.
    """

    def __init__(self, shapes, device, seed):
        self.shapes, self.seed = shapes, seed
        self.size = sum(math.prod(shape) for shape in shapes.values())
        self._generator = torch.Generator(device)

    def draw_into(self, buffer, step, stream=TRAINING):
        """Fills `buffer`, float32 [size], with the numbers of a step."""
        state = np.random.SeedSequence([self.seed, stream, step]).generate_state(1, np.uint64)[0]
        self._generator.manual_seed(int(state) >> 1)
        buffer.uniform_(generator=self._generator)

    def views(self, buffer):
        """{name: its part of `buffer`, in its shape}."""
        parts = buffer.split([math.prod(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


class Optimizer:
    """Adam, with L2 in the gradient of weights that have more than one dimension. Its state exists from the start.

    Args:
      weights: the weights of all players.
      experiment: gives beta_1, beta_2, epsilon and l2.
      device: the device of the weights. The step count and the learning rate are kept there, too, so that a CUDA graph
        can use them.
    """

    def __init__(self, weights, experiment, device):
        self.weights = weights
        self.rate = torch.tensor(0.0, device=device)
        kernels = [weight for weight in weights if weight.ndim > 1]
        others = [weight for weight in weights if weight.ndim < 2]
        groups = [{"params": kernels, "weight_decay": experiment.l2}]
        groups += [{"params": others, "weight_decay": 0.0}] if others else []
        betas, on_gpu = (experiment.beta_1, experiment.beta_2), device.type == "cuda"
        self._adam = torch.optim.Adam(
            groups, lr=self.rate, betas=betas, eps=experiment.epsilon, fused=True, capturable=on_gpu
        )
        for group in self._adam.param_groups:
            group["lr"] = self.rate  # this tensor itself, as a graph reads its value at each replay
        for weight in weights:
            moments = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            self._adam.state[weight] = {"step": torch.zeros((), device=device), **moments}

    def state(self):
        """Every tensor of the state, in a fixed order; callers save them, and copy saved values into them."""
        return [self._adam.state[weight][name] for weight in self.weights for name in ("step", "exp_avg", "exp_avg_sq")]

    def apply(self, gradients):
        """One update of all weights."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            if gradient.stride() != weight.stride():  # the fused kernel goes through both in memory order
                gradient = torch.empty_like(weight).copy_(gradient)
            weight.grad = gradient
        self._adam.step()
        for weight in self.weights:
            weight.grad = None


class Stepper:
    """Runs training steps of a game.

    Args:
      game: a `torch_games.Game`; its networks move to the device.
      examples: `torch_examples.Examples`; None if the caller passes the images of each step to `step`.
      order: `torch_examples.Order`, or None.
      device: a `torch.device`.
      precision: "float32" or "mixed_bfloat16".
      steps_per_replay: training steps in a CUDA graph; 0 = no graphs.
    """

    def __init__(self, game, examples, order, device, precision="float32", steps_per_replay=0):
        experiment = game.experiment
        self.game, self.examples, self.order, self.device = game, examples, order, device
        self.half = precision == "mixed_bfloat16"
        for network in game.networks.values():
            network.to(device, memory_format=torch.channels_last)
        self._owned = [
            [w for role in roles for w in game.networks[role].parameters()] for roles in game.players.values()
        ]
        self.optimizer = Optimizer(list(itertools.chain(*self._owned)), experiment, device)
        batch = experiment.batch_size
        self.randoms = Randoms({"crops": (batch, 3), **game.shapes(batch)}, device, experiment.seed)
        rows = max(steps_per_replay, 1)
        self._numbers = torch.zeros(rows, batch, dtype=torch.int64, device=device)
        self._draws = torch.zeros(rows, self.randoms.size, device=device)
        self._rates = torch.zeros(rows, device=device)
        self._losses = torch.zeros(rows, len(game.players), device=device)
        self._graphs, self._steps_per_replay = {}, steps_per_replay

    # -- state

    def tensors(self):
        """Everything that training changes, by name."""
        found = {
            f"{role}.{name}": tensor
            for role, network in self.game.networks.items()
            for name, tensor in network.state_dict(keep_vars=True).items()
        }
        return {**found, **{f"optimizer.{i}": tensor for i, tensor in enumerate(self.optimizer.state())}}

    @torch.no_grad()
    def restore(self, saved):
        """Copies saved values of `tensors`, from any device, into the same tensors, so that graphs stay valid."""
        for name, tensor in self.tensors().items():
            tensor.copy_(saved[name])

    # -- training

    def run(self, step, count, rate):
        """Runs `count` steps from `step` on at a learning rate. Returns the sums of the losses, float32 [players]."""
        sums = torch.zeros(len(self.game.players), device=self.device)
        while count:
            rows = self._steps_per_replay if count >= self._steps_per_replay > 0 else 1
            numbers = np.stack([self.order.batch(step + row) for row in range(rows)])
            self._numbers[:rows].copy_(torch.from_numpy(numbers))
            self._rates[:rows].fill_(rate)
            for row in range(rows):
                self.randoms.draw_into(self._draws[row], step + row)
            if self._steps_per_replay:
                self._graph(rows).replay()
            else:
                self._steps(rows)
            sums += self._losses[:rows].sum(0)
            step, count = step + rows, count - rows
        return sums

    def _steps(self, rows):
        for row in range(rows):
            draws = self.randoms.views(self._draws[row])
            x, reduced = self.examples.images(self._numbers[row], draws["crops"])
            self.optimizer.rate.copy_(self._rates[row])
            self._losses[row].copy_(self.step(x, reduced, draws))

    def step(self, x, reduced, draws):
        """One update of all players at once; arguments as for `Game.losses`. Returns the losses, float32 [players]."""
        with self.autocast():
            losses = self.game.losses(x, reduced, draws)
        self.optimizer.apply(self.gradients(losses))
        return torch.stack([loss.detach() for loss in losses])

    def gradients(self, losses):
        """The gradients of each player's loss in its own weights, concatenated over the players."""
        # Each call computes only what its weights need: the call for D stops at D's inputs, and the others compute no
        # gradients of D's weights.
        found = []
        for number, (loss, weights) in enumerate(zip(losses, self._owned, strict=True), start=1):
            found += torch.autograd.grad(loss, weights, retain_graph=number < len(losses))
        return found

    def autocast(self):
        """The context in which the networks compute in the chosen precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else contextlib.nullcontext()

    # -- CUDA graphs

    def _graph(self, rows):
        if rows not in self._graphs:
            saved = {name: tensor.detach().clone() for name, tensor in self.tensors().items()}
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # a warm-up, in which libraries choose kernels and allocate buffers
                for _ in range(-(-3 // rows)):
                    self._steps(rows)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            pool = next(iter(self._graphs.values())).pool() if self._graphs else None
            with torch.cuda.graph(graph, pool=pool):
                self._steps(rows)
            self.restore(saved)  # undoes the training of the warm-up; capturing does not train
            self._graphs[rows] = graph
        return self._graphs[rows]

    # -- inference statistics

    @torch.no_grad()
    def estimate_statistics(self, steps):
        """Estimates the batch norms' inference statistics over `steps` training batches, in float32."""
        norms = self.game.norms()
        for norm in norms:
            norm.reset()
            norm.estimating = True
        try:
            for step in range(steps if norms else 0):
                self.randoms.draw_into(self._draws[0], step, STATISTICS)
                draws = self.randoms.views(self._draws[0])
                numbers = torch.from_numpy(self.order.batch(step)).to(self.device)
                x, reduced = self.examples.images(numbers, draws["crops"])
                self.game.run_for_statistics(x, reduced, draws)
        finally:
            for norm in norms:
                norm.estimating = False
