"""Panels of a figure, line plots and a heat map, drawn with Pillow."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_bigan.files import replacing

INK, GREY, PALE = (30, 30, 30), (120, 120, 120), (225, 225, 225)
BLUE, ORANGE, GREEN = (31, 105, 180), (222, 120, 20), (40, 140, 70)
PURPLE, RED = (125, 80, 165), (200, 45, 45)
FINE = 2  # everything is drawn this many times larger, then reduced, so that lines are smooth


class Figure:
    """A white figure of `width` x `height` pixels. Places and sizes are pixels from its upper left corner."""

    def __init__(self, width, height):
        self.image = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.pen = ImageDraw.Draw(self.image)

    def text(self, place, words, anchor="lm", size=13, colour=INK):
        """Writes one line of text; `anchor` as for Pillow, such as "mm" for its middle."""
        font = ImageFont.load_default(size * FINE)
        self.pen.text([FINE * each for each in place], words, fill=colour, font=font, anchor=anchor)

    def line(self, places, colour=INK, width=1.0):
        """Draws a line through places, a sequence of (x, y)."""
        points = [(FINE * float(x), FINE * float(y)) for x, y in places]
        self.pen.line(points, fill=colour, width=round(FINE * width), joint="curve")

    def dot(self, place, colour=INK, radius=2.5):
        """Draws a filled circle."""
        x, y = (FINE * float(each) for each in place)
        self.pen.ellipse([x - FINE * radius, y - FINE * radius, x + FINE * radius, y + FINE * radius], fill=colour)

    def width(self, words, size=13) -> float:
        """How wide a line of text is, in pixels."""
        return self.pen.textlength(words, ImageFont.load_default(size * FINE)) / FINE

    def box(self, left, top, right, bottom, fill, outline=None):
        """Draws a filled rectangle."""
        self.pen.rectangle([FINE * each for each in (left, top, right, bottom)], fill=fill, outline=outline)

    def sheet(self) -> np.ndarray:
        """The figure, uint8 [height, width, 3]."""
        width, height = self.image.size
        return np.array(self.image.resize((width // FINE, height // FINE), Image.Resampling.LANCZOS))


class Plot:
    """A line plot within a figure.

    Args:
      figure: a `Figure`.
      frame: left, top, right and bottom of the plot in pixels.
      x_ticks, y_ticks: the numbers at the axes, which also are the axes' ranges.
      title, x_label: text above and below.
    """

    def __init__(self, figure, frame, x_ticks, y_ticks, title, x_label):
        self.figure, self.frame, self.title = figure, frame, title
        self.ranges = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])
        left, top, right, bottom = frame
        for x in x_ticks:
            place, _ = self.place(x, y_ticks[0])
            figure.text((place, bottom + 12), f"{x:g}", "mm", 12, GREY)
        for y in y_ticks:
            _, place = self.place(x_ticks[0], y)
            figure.line([(left, place), (right, place)], PALE)
            figure.text((left - 6, place), f"{y:g}", "rm", 12, GREY)
        figure.text((left, top - 20), title, size=15)
        figure.text(((left + right) / 2, bottom + 30), x_label, "mm", 12, GREY)

    def place(self, x, y):
        """Where the point (x, y) is, in pixels."""
        (low_x, high_x), (low_y, high_y) = self.ranges
        left, top, right, bottom = self.frame
        return left + (x - low_x) / (high_x - low_x) * (right - left), bottom - (y - low_y) / (high_y - low_y) * (
            bottom - top
        )

    def curve(self, x, y, colour, width=2.0):
        """Draws a curve; values beyond the range of y are drawn at its border."""
        self.figure.line([self.place(a, np.clip(b, *self.ranges[1])) for a, b in zip(x, y, strict=True)], colour, width)

    def series(self, x, y, colour, width=2.0):
        """Draws a curve through the points whose y is not NaN, in order of x. Up to 60 of them have dots."""
        known = [(a, b) for a, b in zip(x, y, strict=True) if not np.isnan(b)]
        if len(known) > 1:
            self.curve(*zip(*known, strict=True), colour, width)
        if len(known) <= 60:
            for a, b in known:
                self.figure.dot(self.place(a, np.clip(b, *self.ranges[1])), colour)

    def level(self, y, words):
        """Draws a dashed horizontal line, with words above its right end."""
        left, _, right, _ = self.frame
        _, place = self.place(0, y)
        for start in np.arange(left, right - 4, 9):
            self.figure.line([(start, place), (start + 5, place)], INK)
        self.figure.text((right, place + 10), words, "rm", 12)

    def legend_above(self, entries):
        """Names curves by their colours, (words, colour) each, in a row above the plot's right border.

        Beside the title if there is room for it, otherwise within the plot, one below the other.
        """
        left, top, right, _ = self.frame
        widths = [self.figure.width(words, 12) + 36 for words, _ in entries]
        if sum(widths) + self.figure.width(self.title, 15) > right - left:
            self.legend(entries, 10, round(max(widths)))
            return
        x = right - sum(widths)
        for (words, colour), width in zip(entries, widths, strict=True):
            self.figure.line([(x + 10, top - 20), (x + 28, top - 20)], colour, 2.5)
            self.figure.text((x + 33, top - 20), words, size=12)
            x += width

    def legend(self, entries, top, width=262):
        """Names curves by their colours: (words, colour) each.

        The legend is `width` pixels wide, at the right border, and begins `top` pixels below the upper one.
        """
        _, upper, right, _ = self.frame
        for number, (words, colour) in enumerate(entries):
            y = upper + top + 19 * number
            self.figure.line([(right - width, y), (right - width + 22, y)], colour, 2.5)
            self.figure.text((right - width + 29, y), words, size=12)


def heat_map(figure, corner, cells, edge, levels):
    """Draws a matrix as coloured squares with a legend to the right.

    Args:
      figure: a `Figure`.
      corner: the upper left corner in pixels.
      cells: int [n, m], for each cell the number of its level.
      edge: a cell's edge in pixels.
      levels: (words, colour) of each level.
    """
    left, top = corner
    for i, j in np.ndindex(cells.shape):
        x, y = left + j * edge, top + i * edge
        figure.box(x, y, x + edge - 1, y + edge - 1, levels[cells[i, j]][1])
    for number, (words, colour) in enumerate(levels):
        x, y = left + cells.shape[1] * edge + 22, top + 26 * number
        figure.box(x, y, x + 16, y + 16, colour, GREY)
        figure.text((x + 25, y + 8), words, size=13)


def save_png(path, sheet: np.ndarray):
    """Writes a sheet, uint8 [height, width, 1 or 3], as PNG, whole or not at all.

    Raises InputError if the file cannot be written.
    """
    with replacing(path) as temporary:
        Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet).save(temporary, "PNG")
