"""Trains an experiment in PyTorch, on a machine that has no TensorFlow. Started again with its --workdir, it resumes.

python benchmarks/torch_train.py --flagfile=zoo/bigan_mnist/train.flags --examples=/tmp/examples --workdir=/tmp/run

tools/pack_examples.py writes the examples. At the end, at --time_limit and at SIGTERM, the trainer writes the weights
to WORKDIR/weights, with the names and layouts of the Keras networks, and tools/import_run.py makes a run directory of
tf_bigan from them. The mathematics, the order of the images and the learning rates are tf_bigan's; the random numbers
are PyTorch's.
"""

import dataclasses
import json
import math
import os
import pathlib
import shlex
import signal
import sys
import time

# This must be set before NumPy is imported. Images are resized by one thread per core, and the small matrix products in
# each of these threads would start further threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1])]  # a checkout works without installation

import torch  # noqa: E402
from torch_checkpoints import Checkpoints  # noqa: E402
from torch_examples import Examples, Order, read_examples  # noqa: E402
from torch_games import make_game  # noqa: E402
from torch_settings import experiment_from_text, help_text, own_flags  # noqa: E402
from torch_steps import Stepper  # noqa: E402

from tf_bigan.errors import InputError, did_you_mean  # noqa: E402
from tf_bigan.experiment import AUTO, experiment_of, parse_flags  # noqa: E402
from tf_bigan.pieces import pieces_digest, read_pieces, write_pieces  # noqa: E402
from tf_bigan.progress import clock, number  # noqa: E402
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory  # noqa: E402

WEIGHTS = "weights"
TRAINER = "trainer.json"
_STEPS_AHEAD = 50  # steps that a GPU runs before the clock and the losses are checked again


class Training:
    """A training run: its settings, its state and its loop.

    Args:
      experiment: what to train; it may leave fields open that follow from the examples or an earlier start.
      options: the trainer's own flags, parsed.
      say: called with each message.
    """

    def __init__(self, experiment, options, say=print):
        self.run, self.options, self.say = RunDirectory(options.workdir), options, say
        self.checkpoints = Checkpoints(self.run.checkpoints, experiment.keep_checkpoints)
        experiment = self._resolved(experiment)
        arrays, told = read_examples(options.examples, experiment)
        resize = bool(experiment.image_size)
        experiment = dataclasses.replace(
            experiment,
            image_size=experiment.image_size or told["image_size"],
            channels=experiment.channels or told["channels"],
        )
        self.digest = pieces_digest(options.examples)
        game = make_game(experiment)  # what cannot be built is refused before all images are decoded
        self.initial = None
        if options.initial:
            self.initial = pieces_digest(options.initial)
            initial, _ = read_pieces(options.initial)
            for network in game.networks.values():
                network.fill(initial)
        started = time.perf_counter()
        host = Examples(arrays, told, experiment, resize)
        self.device = pick_device(options.device)
        experiment = dataclasses.replace(experiment, precision=self._precision(experiment))
        game.experiment = self.experiment = experiment
        self.examples = host.to(self.device)
        say(f"{told['count']} images read in {time.perf_counter() - started:.1f} s")
        order = Order(self.examples.count, experiment.batch_size, experiment.seed)
        replayed = options.steps_per_replay if options.graph and self.device.type == "cuda" else 0
        self.stepper = Stepper(game, self.examples, order, self.device, experiment.precision, replayed)
        self.steps_per_epoch = math.ceil(self.examples.count / experiment.batch_size)
        self.total_steps = self.steps_per_epoch * experiment.epochs
        self.step, self.seconds, self.rate = 0, 0.0, float("nan")
        self.sums = torch.zeros(len(game.players), device=self.device)
        self.asked = None

    def _resolved(self, experiment):
        """`experiment`, with open fields filled from the run that was begun here, if there is one.

        Raises:
          InputError: that run is another experiment, or its train.flags is missing.
        """
        if not self.checkpoints.paths():
            experiment.check_effects()
            return experiment
        try:
            text = (self.run.path / FLAGFILE).read_text(encoding="utf-8")
        except OSError:
            raise InputError(f"{self.run.path / FLAGFILE} is missing, so the run there cannot go on") from None
        recorded = experiment_from_text(text)
        experiment = experiment.filled_from(recorded)
        if names := experiment.difference(recorded):
            found = ", ".join(f"--{name}={getattr(recorded, name)}" for name in names)
            raise InputError(f"{self.run.path} holds another experiment, with {found}; give another --workdir")
        return experiment

    def _precision(self, experiment):
        precision = experiment.precision
        if precision == AUTO:
            return "mixed_bfloat16" if self.device.type == "cuda" else "float32"
        if precision == "mixed_float16":
            raise InputError("the trainer supports only precision=float32 and mixed_bfloat16")
        return precision

    # -- training

    def train(self):
        """Trains from the last checkpoint to the end, the time limit or a signal, and writes the weights."""
        with self.run.lock(self.say):
            self._begin()
            previous = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
            try:
                self._run()
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)
            self.checkpoints.save(self._state())
            self._write_weights()
        return 128 + self.asked if self.asked else None

    def _ask(self, number, frame):
        self.asked = number

    def _begin(self):
        experiment, game = self.experiment, self.stepper.game
        self.run.write_experiment(experiment)
        if saved := self.checkpoints.load(self.say):
            if saved["examples"] != self.digest:
                raise InputError(f"{self.run.path} was begun with other examples than those of {self.options.examples}")
            self.stepper.restore(saved["tensors"])
            self.sums.copy_(saved["sums"])
            self.step, self.seconds, self.initial = saved["step"], saved["seconds"], saved["initial"]
            self.say(f"resuming after step {self.step} of {self.total_steps}")
        elif not self.options.initial:
            game.begin(self.examples)
        self.run.rewind_log(self.step)
        self.say(
            f"{experiment.system} on {experiment.dataset}: {self.examples.count} images, {self.total_steps} steps of "
            f"{experiment.batch_size}; {device_name(self.device)}, {experiment.precision}"
        )

    def _run(self):
        options, begun = self.options, time.perf_counter()
        earlier, saved, told = self.seconds, begun, begun
        told_step = self.step
        while self.step < self.total_steps and not self.asked:
            left = self.steps_per_epoch - self.step % self.steps_per_epoch
            count = min(left, _STEPS_AHEAD if self.device.type == "cuda" else 1)
            self.sums += self.stepper.run(self.step, count, self._learning_rate(self.step))
            self.step += count
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            self.seconds = earlier + now - begun
            if self.step % self.steps_per_epoch == 0:
                self._end_epoch()
            if now - told >= options.report_seconds or self.step == self.total_steps:
                self.rate = (self.step - told_step) * self.experiment.batch_size / (now - told)
                self._report()
                told, told_step = time.perf_counter(), self.step
            if now - saved >= options.checkpoint_seconds:
                self.checkpoints.save(self._state())
                saved = time.perf_counter()
            if options.time_limit and now - begun >= options.time_limit:
                self.say(f"the time limit of {options.time_limit:g} s is reached after step {self.step}")
                break

    def _learning_rate(self, step):
        e = self.experiment
        decayed = min(max(step // self.steps_per_epoch - e.constant_epochs + 1, 0), e.decay_epochs)
        return e.learning_rate * e.final_learning_rate ** (decayed / max(e.decay_epochs, 1))

    def _end_epoch(self):
        means = (self.sums / self.steps_per_epoch).tolist()
        self._require_finite(means)
        self.sums.zero_()
        record = {
            "epoch": self.step // self.steps_per_epoch,
            "step": self.step,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.rate, 1) if math.isfinite(self.rate) else None,
            "learning_rate": self._learning_rate(self.step - 1),
            **{f"{player}_loss": mean for player, mean in zip(self.stepper.game.players, means, strict=True)},
        }
        self.run.append_log(record)
        self.last = means

    def _report(self):
        done = self.step % self.steps_per_epoch
        means = (self.sums / done).tolist() if done else self.last
        self._require_finite(means)
        losses = " ".join(f"{player} {mean:.4f}" for player, mean in zip(self.stepper.game.players, means, strict=True))
        left = (self.total_steps - self.step) * self.experiment.batch_size / self.rate
        rates = f"images/s: {number(self.rate)} - time left: {clock(left)}"
        self.say(f"step {self.step:,}/{self.total_steps:,} - {losses} - {rates}")

    def _require_finite(self, means):
        for player, mean in zip(self.stepper.game.players, means, strict=True):
            if not math.isfinite(mean):
                raise InputError(
                    f"the loss of the {player} is not finite at or before step {self.step}; training stopped"
                )

    def _state(self):
        tensors = {name: tensor.detach() for name, tensor in self.stepper.tensors().items()}
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(f"{name} is not finite at step {self.step}; training stopped, this step is not saved")
        return {
            "tensors": tensors,
            "sums": self.sums,
            "step": self.step,
            "seconds": self.seconds,
            "initial": self.initial,
            "examples": self.digest,
        }

    # -- the result

    def _write_weights(self):
        game, experiment = self.stepper.game, self.experiment
        statistics = experiment.statistics_steps if game.norms() else 0
        self.say(f"estimating inference statistics over {statistics} batches" if statistics else "writing weights")
        matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, conv.allow_tf32
        matmul.allow_tf32 = conv.allow_tf32 = False
        self.stepper.estimate_statistics(statistics)
        matmul.allow_tf32, conv.allow_tf32 = before
        arrays = {}
        for network in game.networks.values():
            arrays |= network.arrays()
        trainer = {
            "trainer": "torch",
            "version": torch.__version__,
            "device": device_name(self.device),
            "precision": experiment.precision,
            "steps": self.step,
            "epochs": self.step // self.steps_per_epoch,
            "steps_per_epoch": self.steps_per_epoch,
            "images_per_second": round(self.step * experiment.batch_size / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 1),
            "command": shlex.join(["python", *sys.argv]),
            "examples": self.digest,
            "initial": self.initial,
        }
        told = {
            "flags": experiment.to_flagfile(),
            "statistics_steps": statistics,
            "trainer": trainer,
            "log": self.run.read_log(),
        }
        write_pieces(self.run.path / WEIGHTS, arrays, told)
        (self.run.path / WEIGHTS / TRAINER).write_text(json.dumps(trainer, indent=1) + "\n", encoding="utf-8")
        state = "finished" if self.step == self.total_steps else "interrupted"
        self.say(f"{state}: {self.step} of {self.total_steps} steps; weights in {self.run.path / WEIGHTS}")


def pick_device(name) -> torch.device:
    """The device called auto, cuda or cpu. Raises InputError if there is no such device."""
    if name not in (AUTO, "cuda", "cpu"):
        raise InputError(f"unknown device {name!r}.{did_you_mean(name, (AUTO, 'cuda', 'cpu'))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device; --device=cpu trains without one")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device) -> str:
    """The name of the device, for users."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def main(argv):
    """Parses the flags and trains."""
    options = own_flags()
    parse_flags(options, argv)
    if options.help:
        print(help_text(__doc__, options))
        return None
    for name in ("examples", "workdir"):
        if not options[name].value:
            raise InputError(f"--{name} is required; --help explains")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as TensorFlow does
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    torch.backends.cudnn.benchmark = not options.deterministic
    return Training(experiment_of(options).sized(), options, lambda line: print(line, flush=True)).train()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except torch.OutOfMemoryError:
        print("error: not enough memory on the device for what the flags ask for", file=sys.stderr)
        sys.exit(2)
