"""What a training takes on this machine: operations, time and memory, estimated without a step."""

import dataclasses
import math

from tf_bigan.memory import free_memory
from tf_bigan.networks.costs import layer_costs
from tf_bigan.training import devices

# A pass through a layer is one product forward, one for the gradient of its weights and one for that of its input.
_PASSES = 3
# D sees real and generated examples, and its opponents' gradient is a second one of its inputs.
_PASSES_OF_D = 2 * (_PASSES + 1)
_SLOWEST = 3  # trainings in benchmarks/README.md take one to three times their products' time
_OPTIMIZER = 4  # float32 copies of a parameter: weight, gradient, and Adam's two moments


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a training takes.

    Attributes:
      batch_size: examples in a step.
      flop: floating-point operations of a step in products with kernels; a multiply-add counts as 2.
      rate: measured operations a second of a matrix product on this machine, in `policy`.
      policy: the dtype policy.
      state: bytes of weights, their averages if the run has any, gradients and the optimizer's moments.
      activations: bytes of all layers' outputs and their gradients, for a batch.
      steps: steps of the whole run; None = the number of examples is not known.
    """

    batch_size: int
    flop: int
    rate: float
    policy: str
    state: int
    activations: int
    steps: int | None

    @property
    def seconds(self) -> float:
        """The least time of a step in seconds: that of its products at the measured rate."""
        return self.flop / self.rate

    def lines(self) -> list[str]:
        """The estimate as text for a person."""
        least, most = duration(self.seconds), duration(_SLOWEST * self.seconds)
        lines = [
            f"A step of {self.batch_size} examples: about {self.flop / 1e9:,.1f} GFLOP in products with kernels. At "
            f"this machine's {self.rate / 1e9:,.0f} GFLOP/s ({self.policy}), it takes {least} to {most}."
        ]
        if self.steps:
            whole = self.seconds * self.steps
            lines.append(f"The run: {self.steps:,} steps, {duration(whole)} to {duration(_SLOWEST * whole)}.")
        else:
            lines.append("The run: how many steps it has depends on the data, which is not here.")
        total, free = self.state + self.activations, free_memory()
        lines.append(
            f"Memory: about {total / 2**30:.1f} GiB beside TensorFlow itself (weights and optimizer "
            f"{self.state / 2**30:.1f}, layers' outputs {self.activations / 2**30:.1f}); "
            f"{free / 2**30:.1f} GiB are free."
        )
        if total > free:
            lines.append("That does not fit: give a smaller --batch_size or --width.")
        return lines


def estimate(experiment, game, examples=None) -> Estimate:
    """Estimates a training of `experiment`, whose networks are those of `game`.

    Every network is counted once for each example of a step, except D, which sees two kinds of examples. Networks that
    terms run more often, and layers without products, are not counted.

    Args:
      experiment: an `Experiment` whose shapes are known.
      game: its `Game`.
      examples: number of training examples; None = unknown.
    """
    strategy = devices.make_strategy("one_device")
    policy, _ = devices.pick_precision(experiment.precision, experiment.networks, strategy)
    flop = state = activations = 0
    for role, network in game.networks.items():
        costs = layer_costs(network)
        passes, kinds = (_PASSES_OF_D, 2) if role == "discriminator" else (_PASSES, 1)
        flop += passes * experiment.batch_size * sum(cost.flop for cost in costs)
        state += 4 * (_OPTIMIZER + bool(experiment.average_decay)) * sum(cost.parameters for cost in costs)
        values = kinds * experiment.batch_size * sum(math.prod(cost.shape) for cost in costs)
        activations += 2 * (4 if policy == "float32" else 2) * values
    steps = experiment.epochs * math.ceil(examples / experiment.batch_size) if examples else None
    rate = devices.product_rate(policy)
    return Estimate(experiment.batch_size, flop, rate, policy, state, activations, steps)


def duration(seconds: float) -> str:
    """A time as a person says it: "0.35 s", "12 s", "4 min", "3 h 20 min", "5 days"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    if hours < 48:
        return f"{int(hours)} h {int(minutes) % 60} min"
    return f"{hours / 24:,.0f} days"
