"""The trainer's flags: every field of Experiment, and its own."""

import dataclasses

from absl import flags

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment, define_flags, experiment_of, parse_flags


def _known(name, value):
    return value in Experiment.__dataclass_fields__[name].metadata["choices"]


def _widened(name, value):
    """Experiment's field of this name, with one more choice."""
    field = Experiment.__dataclass_fields__[name]
    choices = tuple(dict.fromkeys([*field.metadata["choices"], value]))
    return dataclasses.field(default=field.default, metadata={**field.metadata, "choices": choices})


@dataclasses.dataclass(frozen=True)
class WithALI(Experiment):
    """An Experiment that may be ALI on CIFAR-10. To go once Experiment itself may be."""

    system: str = _widened("system", "ali")
    networks: str = _widened("networks", "ali_cifar10")

    def sized(self):  # noqa: D102
        return self if self.system == "ali" else super().sized()


def own_flags() -> flags.FlagValues:
    """The flags of benchmarks/torch_train.py, not parsed yet."""
    values = flags.FlagValues()

    def add(define, name, default, text, **more):
        define(name, default, text, flag_values=values, module_name="Trainer", **more)

    add(flags.DEFINE_string, "examples", None, "the folder that tools/pack_examples.py wrote; required")
    add(
        flags.DEFINE_string,
        "workdir",
        None,
        "the run directory, made if need be; what was begun there goes on; required",
    )
    add(flags.DEFINE_string, "device", "auto", "auto, cuda or cpu; auto: cuda where there is one")
    add(flags.DEFINE_string, "initial", None, "a folder of weights to begin with: a finished run's weights/")
    add(flags.DEFINE_float, "time_limit", 0.0, "stop after so many seconds of training, and write weights; 0 = never")
    add(flags.DEFINE_float, "checkpoint_seconds", 60.0, "between checkpoints")
    add(flags.DEFINE_float, "report_seconds", 5.0, "between lines of news")
    add(flags.DEFINE_integer, "steps_per_replay", 10, "training steps that a CUDA graph has")
    add(flags.DEFINE_bool, "graph", True, "capture the step in a CUDA graph; --nograph: launch every kernel anew")
    add(flags.DEFINE_bool, "tf32", False, "let CUDA round the factors of float32 products to TF32")
    add(flags.DEFINE_integer, "threads", 0, "of PyTorch on the CPU; 0 = its default")
    add(flags.DEFINE_bool, "help", False, "show this help", short_name="h", allow_hide_cpp=True)
    define_flags(values)
    return values


def experiment_from(values) -> Experiment:
    """The Experiment that parsed flags describe. Raises InputError for a value out of range."""
    ours = {"system": values["system"].value, "networks": values["networks"].value}
    if ours["system"] != "ali" or _known("system", "ali"):
        return experiment_of(values)
    if ours["networks"] != "ali_cifar10":
        raise InputError(f"system=ali has networks=ali_cifar10, found {ours['networks']}")
    fields = {field.name: values[field.name].value for field in dataclasses.fields(Experiment)}
    return WithALI(**{**fields, **ours})


def experiment_from_text(text) -> Experiment:
    """The Experiment of a flagfile's lines. Raises InputError as `experiment_from`."""
    values = flags.FlagValues()
    define_flags(values)
    parse_flags(values, ["", *(line for line in text.splitlines() if line.startswith("--"))])
    return experiment_from(values)


def help_text(description, values):
    """What --help prints."""
    lines = [description.strip(), ""]
    for module, found in values.flags_by_module_dict().items():
        lines += ["", f"{module}:"] if not module.startswith("absl") else []
        for flag in found if not module.startswith("absl") else ():
            default = "" if flag.default in (None, "") else f" (default {flag.default})"
            lines.append(f"  --{flag.name}{default}\n      {flag.help}")
    return "\n".join(lines)
