"""A setting: one field of an experiment, with its meaning, unit, source and allowed values."""

import dataclasses
from typing import Any

from tf_bigan.errors import InputError, did_you_mean, on_one_line, shown

# Of numbers whose field names no maximum: sizes and counts are 32-bit in many of TensorFlow's ops, all others float32.
_LARGEST = {int: 2**31 - 1, float: 3.4e38}


def setting(
    default, text, unit="", source="", choices=None, minimum=None, maximum=None, operational=False, since=2, term=None
):
    """A field of `Settings`, with its default, meaning, unit, the source of the default, and the allowed values.

    An operational field does not affect the result, so a resumed run may change it. `since` is the version of the
    settings in which the field first appeared. `term` is the class in `games/terms` that the field turns on unless it
    is 0.
    """
    metadata = {
        "text": text,
        "unit": unit,
        "source": source,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "operational": operational,
        "since": since,
        "term": term,
    }
    return dataclasses.field(default=default, metadata=metadata)


def check(field: dataclasses.Field, value: Any):
    """Raises InputError unless a setting may have this value."""
    choices, minimum, maximum = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
    whole_for_float = isinstance(field.default, float) and type(value) is int
    if type(value) is not type(field.default) and not whole_for_float:
        raise InputError(f"{field.name} must be {type(field.default).__name__}, found {shown(value)}")
    if isinstance(value, str) and on_one_line(value) != value:
        raise InputError(
            f"{field.name} must be printable text on one line, which a flagfile can hold, found {on_one_line(value)}"
        )
    if choices and value not in choices:
        if isinstance(value, str):
            raise InputError(f"unknown {field.name} {value!r}.{did_you_mean(value, choices)}")
        raise InputError(f"{field.name} must be one of {', '.join(map(str, choices))}, found {shown(value)}")
    if minimum is not None and not value >= minimum:  # NaN fails too
        raise InputError(f"{field.name} must be at least {minimum}, found {shown(value)}")
    if maximum is None and type(value) in (int, float):
        maximum = _LARGEST[type(field.default)]
    if maximum is not None and not value <= maximum:
        raise InputError(f"{field.name} must be at most {maximum}, found {shown(value)}")


def line(name, value):
    """A setting as a line of a flagfile."""
    return f"--{name}={str(value).lower() if isinstance(value, bool) else value}\n"
