"""What every command line does: parse flags, keep TensorFlow quiet, turn input errors into exit status 2."""

import os
import pathlib
import sys
import tempfile
import warnings

# A checkout works without installation.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags  # noqa: E402

from tf_bigan.errors import FULL, InputError, short  # noqa: E402
from tf_bigan.experiment import parse_flags  # noqa: E402


def run(main, description: str):
    """Runs a tool: `main()` after the flags of absl's `flags.FLAGS` are parsed.

    Exits with status 0, or with what `main` returns if that is not None. For an input that cannot work, it prints one
    or two lines to stderr and exits with status 2.

    Args:
      main: function without arguments.
      description: what the tool does; --help prints it above the flags.
    """
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # a person does not need the place
    for stream in (sys.stdout, sys.stderr):  # a path may have bytes that are no UTF-8, and is printed all the same
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    help_flag = flags.DEFINE_bool("help", False, "show this help", short_name="h", allow_hide_cpp=True)
    try:
        parse_flags(flags.FLAGS, sys.argv)
        if help_flag.value:
            print(_help(description))
            return
        status = main()
    except InputError as error:
        sys.exit(_complain(error))
    except OSError as error:  # a file or folder that is named too long, may not be read, or is on a disk that is full
        if error.filename is None and error.errno is None:
            raise
        sys.exit(_complain(InputError(f"{error.filename or 'a file'}: {error.strerror}")))
    except Exception as error:
        if not (complaint := _of_the_machine(error)):
            raise
        sys.exit(_complain(complaint))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


def _of_the_machine(error):
    """What to say about an error for which the machine has too little memory or disk; "" for any other error."""
    text = str(error)
    # ResourceExhaustedError is TensorFlow's, which is not imported here. It means a full disk or full memory.
    exhausted = type(error).__name__ == "ResourceExhaustedError"
    if isinstance(error, MemoryError) or (exhausted and "OOM" in text):
        return "not enough memory for what the flags ask for"
    if (isinstance(error, OSError) and error.errno in FULL) or (
        exhausted and any(os.strerror(number) in text for number in FULL)
    ):
        where = getattr(error, "filename", None)
        return f"the disk is full{f': cannot write {where}' if where else ''}. Make room, and start again"
    return ""


def import_tensorflow():
    """Imports TensorFlow and finds its devices, and hides what their libraries print meanwhile.

    TF_CPP_MIN_LOG_LEVEL does not suppress the lines that TF 2.21 writes before it sets up its log. If the import fails,
    the hidden lines are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def require(flag: flags.FlagHolder):
    """The value of a flag that must be given. Raises InputError without it."""
    if flag.value in (None, "", []):
        raise InputError(f"--{flag.name} is required; --help explains")
    return flag.value


def define_max_pixels(default: str) -> flags.FlagHolder:
    """Defines --max_pixels, the limit on the pixels of a folder's images; without it, the limit is `default`."""
    text = f"an image file of a folder that has more pixels cannot be used; default: {default}"
    return flags.DEFINE_integer("max_pixels", None, text, lower_bound=1)


def given(flag: flags.FlagHolder) -> dict:
    """{name: value} of a flag, or {} if it was not given."""
    return {} if flag.value is None else {flag.name: flag.value}


def note(line: str):
    """Prints a line of progress to stderr, which keeps it apart from the tool's results on stdout."""
    print(line, file=sys.stderr, flush=True)


def _complain(error):
    try:
        sys.stdout.flush()
    except OSError:  # the output goes to a file on a full disk; Python would try again at its end, and then complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    text = str(error)
    for argument in sys.argv[1:]:  # a value with spaces, which InputError cannot tell from its own words
        value = argument.partition("=")[2] or argument
        text = text.replace(value, short(value))
    print(f"error: {text}", file=sys.stderr)
    return 2


def _help(description):
    lines = [description.strip(), "", "Flags:"]
    by_module = flags.FLAGS.flags_by_module_dict()
    for module, found in by_module.items():
        if module.startswith("absl"):
            continue
        lines.append("" if module != "Experiment" else "\nThe experiment:")
        for flag in found:
            default = "" if flag.default in (None, "") else f" (default {flag.default})"
            lines.append(f"  --{flag.name}{default}\n      {flag.help}")
    lines.append("\n  --flagfile=FILE\n      read flags from a file; later flags override earlier ones")
    return "\n".join(lines)
