"""How far a long piece of work is: one line that is written over in a terminal, or one line a minute anywhere else."""

import math
import shutil
import sys
import time

MINUTE = 60.0
_REDRAWN = 0.1  # seconds between two versions of a line in a terminal


def clock(seconds) -> str:
    """A time as people read it: "0:07", "12:34", "1:03:20", "49:00:00"."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def number(value) -> str:
    """A number as people read it, with four digits or all those before the point: "2,167", "0.6931", "3.1e-05"."""
    size = abs(value)
    if not 1e-3 <= size < math.inf and value:
        return f"{value:.2g}"
    return f"{value:,.{max(0, min(4, 4 - len(f'{size:.0f}')))}f}" if size >= 1 else f"{value:.4f}"


class Line:
    """A line of progress, of which newer versions replace older ones.

    Args:
      stream: where it is written; None = stderr, which keeps it apart from a tool's results.

    Attributes:
      terminal: whether it is written to a terminal, in which newer versions are written over older ones.
    """

    def __init__(self, stream=None):
        self._stream = sys.stderr if stream is None else stream
        self.terminal = self._stream.isatty()
        self._shown, self._width = time.perf_counter(), 0

    def due(self) -> bool:
        """Whether it is time for a newer version, so that its text is worth being made."""
        return time.perf_counter() - self._shown >= (_REDRAWN if self.terminal else MINUTE)

    def show(self, text):
        """Shows a version."""
        self._shown = time.perf_counter()
        if self.terminal:
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def end(self, text=None):
        """Ends the line, with a last version if there is one. A terminal's next output then begins a new line."""
        if text is not None:
            self.show(text)
        if self.terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()
        self._width = 0


class Count:
    """Shows how many of many things are done, and the time left. Work of less than a minute shows nothing in a file.

    Args:
      what: the first words of the line, such as "features".
      total: how many there are.
      units: what they are, such as "images".
      first: how many were done before.
      stream: as for `Line`.
    """

    def __init__(self, what, total, units, first=0, stream=None):
        self._what, self._total, self._units, self._first = what, total, units, first
        self._line, self._started = Line(stream), time.perf_counter()

    def at(self, done):
        """Shows that `done` things are done, if it is time for that."""
        if not self._line.due():
            return
        rate = (done - self._first) / max(time.perf_counter() - self._started, 1e-9)
        left = f" - time left: {clock((self._total - done) / rate)}" if rate > 0 else ""
        self._line.show(f"{self._what}: {done:,}/{self._total:,} {self._units}{left}")

    def end(self):
        """Ends the line."""
        self._line.end()


def counted(items, what, total, units, size=lambda item: 1):
    """Yields `items`, and shows how many of `total` are done, as `Count` does.

    Args:
      items: an iterable.
      what, total, units: as for `Count`.
      size: function that says how many things an item is, such as the images of a batch.
    """
    count, done = Count(what, total, units), 0
    try:
        for item in items:
            yield item
            done += size(item)
            count.at(done)
    finally:
        count.end()
