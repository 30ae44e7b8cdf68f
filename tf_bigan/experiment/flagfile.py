"""Settings as flags of absl, on a command line and in a flagfile."""

import dataclasses
import difflib

from absl import flags

from tf_bigan.errors import InputError
from tf_bigan.experiment.settings import Settings


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
      InputError: a flag is unknown (the message names the nearest), a value has the wrong type, a flagfile cannot be
        read, or a word is not a flag.
    """
    try:
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        close = difflib.get_close_matches(error.flagname, list(values), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join('--' + name for name in close)}?" if close else ""
        raise InputError(f"unknown flag --{error.flagname}.{hint} --help lists them") from None
    except flags.Error as error:
        raise InputError(" ".join(str(error).split()).removeprefix("ERROR:: ")) from None
    except UnicodeDecodeError:
        raise InputError(f"the flagfile of {' '.join(argv[1:])} is not text; it is damaged") from None
    if len(rest) > 1:
        raise InputError(f"{rest[1]!r} is no flag; flags begin with --")
