"""The exceptions that a user's input can cause, `InputError` and its subclasses, and what their messages share."""

import difflib
import errno
import operator
import os
import re
import unicodedata
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # numbers of errors: a full disk, a quota, the largest size of a file
_REPEATED = 200  # characters: what a message repeats, at most, of what was given
_LONGEST = 1000  # characters of a message

# A word, or a string in quotes, as `repr` writes it. An apostrophe within a word opens no string.
_LONG_PARTS = re.compile(
    rf"(?<!\w)'(?:[^'\\\n]|\\.){{{_REPEATED},}}'|(?<!\w)\"(?:[^\"\\\n]|\\.){{{_REPEATED},}}\"|\S{{{_REPEATED + 1},}}"
)


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is one or two lines: what was wrong, what was found, what to do. The command lines in
    `tools/` print it without a traceback and exit with status 2.

    Whatever was given (names, paths, values) may be of any length and hold any character. So here, and nowhere else, a
    message is brought into a form that can be printed: words and strings in quotes are shortened to 200 characters,
    control characters are escaped, and lines after the second are appended to it.
    """

    # Keras appends the arguments of a layer's call to the message of an error that it raises, unless it has this mark.
    _keras_call_info_injected = True

    def __init__(self, message=""):
        super().__init__(_printable(str(message)))


class NoData(InputError):
    """There is no data set with the given name."""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Returns " Did you mean ...? Known: ..." for an unknown `word` among the known `words`."""
    words = sorted(words)
    close = close_to(word, words)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"{hint} Known: {', '.join(words) or 'none'}."


def close_to(word: str, words: Iterable[str]) -> list[str]:
    """Up to three of `words` that `word` may be a misspelling of, the closest first."""
    words = list(words)
    if len(word) > 2 * max(map(len, words), default=0):  # the search takes long for long words, and finds nothing
        return []
    return difflib.get_close_matches(word, words, n=3, cutoff=0.5)


def short(text: str, limit: int = _REPEATED) -> str:
    """A text of up to `limit` characters: longer ones lose their middle."""
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[len(text) - limit // 2 + 5 :]}"


def whole_number(value, what, least=None, most=None) -> int:
    """`value` as an int. Raises InputError, which calls it `what`, unless it is whole and within the limits."""
    try:
        number = None if _is_boolean(value) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise InputError(f"{what} must be a whole number, found {shown(value)}")
    if least is not None and number < least:
        raise InputError(f"{what} must be at least {least}, found {shown(number)}")
    if most is not None and number > most:
        raise InputError(f"{what} must be at most {most}, found {shown(number)}")
    return number


def shown(value) -> str:
    """A value as messages show it: its `repr` if that is short, else its type."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an int of more digits than Python prints
        return type(value).__name__
    return text if len(text) <= 80 and "\n" not in text else type(value).__name__


def reason(text) -> str:
    """Why TensorFlow could not do something: its message as one line of at most 200 characters.

    Of a message about a full disk, which names the places in TensorFlow where it happened, only this is kept.
    """
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(text)).strip()
    full = [os.strerror(number) for number in FULL]
    return next((each for each in full if each in text), (text.splitlines() or ["no message"])[0][:200])


def _printable(message):
    if len(message) > 4 * _LONGEST:  # so that the search ends soon; what is joined here is shortened below
        message = message[: 2 * _LONGEST] + message[-2 * _LONGEST :]
    message = _LONG_PARTS.sub(lambda found: short(found[0]), message)
    message = "\n".join(map(on_one_line, message.split("\n")))
    first, _, rest = message.partition("\n")
    rest = " ".join(rest.split("\n"))
    return short(first + "\n" * bool(rest) + rest, _LONGEST)


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
