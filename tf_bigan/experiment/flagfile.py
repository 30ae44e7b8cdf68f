"""Settings as flags of absl, on a command line and in a flagfile."""

import dataclasses
import math
import os
import re

from absl import flags

from tf_bigan.errors import InputError, close_to, short, shown
from tf_bigan.experiment.settings import Settings
from tf_bigan.reading import Missing, read_text

_LONGEST_NAME = 60  # characters of a flag's name
_LARGEST_NUMBER = 2**32 - 1  # of a whole number
_LARGEST_FLAGFILE = 1 << 20  # bytes
_DEEPEST = 8  # flagfiles within each other


def define_flags(values: flags.FlagValues):
    """Defines one absl flag per field of `Experiment` in `values`."""
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
    }
    for field in dataclasses.fields(Settings):
        data = field.metadata
        text = data["text"]
        if data["unit"]:
            text += f" [{data['unit']}]"
        if data["choices"] and isinstance(field.default, str):
            text += f": {', '.join(data['choices'])}"
        if data["source"]:
            text += f" ({data['source']})"
        define[type(field.default)](field.name, field.default, text, flag_values=values, module_name="Experiment")


def values_of(values: flags.FlagValues) -> dict:
    """{name of a setting: its value} of parsed flags."""
    return {field.name: values[field.name].value for field in dataclasses.fields(Settings)}


def parse_flags(values: flags.FlagValues, argv: list[str]):
    """Parses `argv` (program name first) into `values`.

    Raises:
      InputError: a flag is unknown (the message names the nearest), a value has the wrong type or is out of all range,
        a flagfile cannot be read or is none, or a word is not a flag.
    """
    arguments = _with_flagfiles(argv[1:])
    for argument in arguments:
        # absl's search for similar names recurses once for each character of a name.
        if found := re.match(rf"--?([\w.-]{{{_LONGEST_NAME + 1},}})(=|$)", argument):
            raise _unknown(found[1], values)
    try:
        rest = values([argv[0], *arguments])
    except flags.UnrecognizedFlagError as error:
        raise _unknown(error.flagname, values) from None
    except flags.Error as error:
        text = str(error)
        for given in arguments:  # the message repeats what was given, once or twice
            value = given.partition("=")[2] or given
            text = text.replace(value, short(value))
        raise InputError(" ".join(text.split()).removeprefix("ERROR:: ")) from None
    if len(rest) > 1:
        raise InputError(f"{rest[1]!r} is no flag; flags begin with --")
    for name in values:
        _check_range(name, values[name].value)


def _unknown(name, values):
    """The InputError for an unknown flag."""
    close = close_to(name, values)
    hint = f" Did you mean {' or '.join('--' + each for each in close)}?" if close else ""
    return InputError(f"unknown flag --{name}.{hint} --help lists them")


def _check_range(name, value):
    """Raises InputError for numbers that no setting can have: absl takes whole numbers of any size, and 1e999."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"--{name} must be a finite number, found {value}")
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise InputError(f"--{name} must be at most {_LARGEST_NUMBER}, found {shown(value)}")


def _with_flagfiles(arguments, within=()):
    """Arguments in which each --flagfile is replaced by the flags in that file, and in the files that it names.

    absl would open whatever is named, wait for it if it is a FIFO, and repeat what stands in it if it is no flagfile.
    """
    expanded, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*expanded, argument, *rest]
        found = re.fullmatch(r"--?flagfile(=(.*))?", argument, re.DOTALL)
        if not found:
            expanded.append(argument)
            continue
        if not found[1] and not rest:
            raise InputError("--flagfile needs a file: --flagfile=FILE")
        if path := found[2] if found[1] else rest.pop(0):
            expanded += _flags_in(os.path.expanduser(path), within)
    return expanded


def _flags_in(path, within):
    """The flags in a flagfile, one a line. Lines that begin with # or // are comments."""
    real = os.path.realpath(path)
    if real in within or len(within) == _DEEPEST:
        raise InputError(f"flagfiles name each other in a circle, or too deeply: {path}")
    try:
        text = read_text(path, _LARGEST_FLAGFILE)
    except Missing:
        raise InputError(f"the flagfile {path} is missing") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("#", "//"))]
    for number, line in lines:
        if "\0" in line or not re.match(rf"--?[A-Za-z]\w{{0,{_LONGEST_NAME}}}(=|$)", line):
            # The line is not repeated: the file may be something else, and hold a secret.
            raise InputError(f"{path} is no flagfile, or damaged: line {number} is no flag; flags are --name=value")
    return _with_flagfiles([line for _, line in lines], (*within, real))
