"""The exceptions that a user's input can cause, `InputError` and its subclasses, and what their messages share."""

import difflib
import errno
import operator
import os
import re
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # numbers of errors: a full disk, a quota, the largest size of a file


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is one or two lines: what was wrong, what was found, what to do. The command lines in
    `tools/` print it without a traceback and exit with status 2.
    """

    # Keras appends the arguments of a layer's call to the message of an error that it raises, unless it has this mark.
    _keras_call_info_injected = True


class NoData(InputError):
    """There is no data set with the given name."""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Returns " Did you mean ...? Known: ..." for an unknown `word` among the known `words`."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(w) for w in close)}?" if close else ""
    return f"{hint} Known: {', '.join(words) or 'none'}."


def whole_number(value, what, least=None) -> int:
    """`value` as an int. Raises InputError, which calls it `what`, unless it is whole and at least `least`."""
    try:
        number = None if _is_boolean(value) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise InputError(f"{what} must be a whole number, found {shown(value)}")
    if least is not None and number < least:
        raise InputError(f"{what} must be at least {least}, found {number}")
    return number


def shown(value) -> str:
    """A value as messages show it: its `repr` if that is short, else its type."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else type(value).__name__


def reason(text) -> str:
    """Why TensorFlow could not do something: its message as one line of at most 200 characters.

    Of a message about a full disk, which names the places in TensorFlow where it happened, only this is kept.
    """
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(text)).strip()
    full = [os.strerror(number) for number in FULL]
    return next((each for each in full if each in text), (text.splitlines() or ["no message"])[0][:200])


def _is_boolean(value):
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"  # NumPy's
