"""The exceptions that a user's input can cause: `InputError` and its subclasses."""

import difflib
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
