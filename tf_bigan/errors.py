"""The exceptions that a user's input can cause, `InputError` and its subclasses, and what their messages share."""

import difflib
import operator
import unicodedata
from collections.abc import Iterable


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is one or two lines: what was wrong, what was found, what to do. The command lines in
    `tools/` print it without a traceback and exit with status 2.
    """


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


def on_one_line(text) -> str:
    """A name, such as that of a file, as one line that every output takes, whatever its characters.

    Line breaks, other control characters, marks that turn the direction of writing, and bytes that are no UTF-8, which
    Python reads as surrogates, are written as Python's escape sequences. All other text stays as it is.
    """
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSAFE or c in _TURNING else c for c in str(text))


_UNSAFE = ("Cc", "Cs", "Zl", "Zp")
_TURNING = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _escaped(character):
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _is_boolean(value):
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"  # NumPy's
