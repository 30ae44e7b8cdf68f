"""The flags of the PyTorch trainer: its own, and every field of Experiment."""

from absl import flags

from tf_bigan.experiment import Experiment, define_flags, experiment_of, parse_flags


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
        "the run directory, created if needed; a run that was begun there is resumed; required",
    )
    add(flags.DEFINE_string, "device", "auto", "auto, cuda or cpu; auto: cuda where there is one")
    add(flags.DEFINE_string, "initial", None, "a folder of weights to begin with: a finished run's weights/")
    add(
        flags.DEFINE_float, "time_limit", 0.0, "seconds of training, after which it stops and writes weights; 0 = never"
    )
    add(flags.DEFINE_float, "checkpoint_seconds", 60.0, "seconds between checkpoints")
    add(flags.DEFINE_float, "report_seconds", 5.0, "seconds between lines of progress")
    add(flags.DEFINE_integer, "steps_per_replay", 10, "training steps in a CUDA graph")
    add(flags.DEFINE_bool, "graph", True, "capture the step in a CUDA graph; --nograph: launch every kernel by itself")
    add(flags.DEFINE_bool, "tf32", False, "let CUDA round the factors of float32 products to TF32")
    add(flags.DEFINE_integer, "threads", 0, "threads of PyTorch on the CPU; 0 = its default")
    add(flags.DEFINE_bool, "help", False, "show this help", short_name="h", allow_hide_cpp=True)
    define_flags(values)
    return values


def experiment_from_text(text) -> Experiment:
    """The Experiment of a flagfile's lines. Raises InputError for a value out of range."""
    values = flags.FlagValues()
    define_flags(values)
    parse_flags(values, ["", *(line for line in text.splitlines() if line.startswith("--"))])
    return experiment_of(values)


def help_text(description, values):
    """The text that --help prints."""
    lines = [description.strip(), ""]
    for module, found in values.flags_by_module_dict().items():
        lines += ["", f"{module}:"] if not module.startswith("absl") else []
        for flag in found if not module.startswith("absl") else ():
            default = "" if flag.default in (None, "") else f" (default {flag.default})"
            lines.append(f"  --{flag.name}{default}\n      {flag.help}")
    return "\n".join(lines)
