import io
import itertools
import time

import pytest

from tf_bigan.progress import Count, Line, clock, counted, number


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def ticking(monkeypatch):
    """A clock that goes forward by a settable number of seconds with each look at it."""
    now = {"at": 0.0, "by": 1.0}

    def look():
        now["at"] += now["by"]
        return now["at"]

    monkeypatch.setattr(time, "perf_counter", look)
    return now


@pytest.mark.parametrize(
    "seconds, text",
    [(-3, "0:00"), (0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3800, "1:03:20"), (49 * 3600, "49:00:00")],
)
def test_times_are_read_as_on_a_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    "value, text",
    [
        *[(2167.0, "2,167"), (1234567.8, "1,234,568"), (999.96, "1,000"), (123.45, "123.5"), (12.345, "12.35")],
        *[(0.69314, "0.6931"), (-0.5, "-0.5000"), (0.0, "0.0000"), (3.14e-5, "3.1e-05"), (-12.3, "-12.30")],
        *[(float("nan"), "nan"), (float("inf"), "inf"), (1.0, "1.000")],
    ],
)
def test_numbers_have_about_four_digits(value, text):
    assert number(value) == text


def test_a_file_gets_a_line_a_minute(ticking):
    ticking["by"] = 7.0
    stream = io.StringIO()
    count = Count("features", 1000, "images", stream=stream)
    started = ticking["at"]
    for done in range(1, 21):
        count.at(done)
    count.end()
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= (ticking["at"] - started) // 60
    assert lines[0].startswith("features: ") and "/1,000 images - time left: " in lines[0]


def test_short_work_writes_nothing_to_a_file(capfd):
    assert list(counted(range(5), "features", 5, "images")) == list(range(5))
    assert capfd.readouterr() == ("", "")


def test_the_time_left_follows_from_what_this_process_did(ticking):
    ticking["by"] = 50.0
    stream = io.StringIO()
    count = Count("features", 1000, "images", first=900, stream=stream)  # the clock was looked at twice
    count.at(950)  # due after 100 s; 50 images in 100 s, as the clock is looked at a third time
    assert stream.getvalue() == "features: 950/1,000 images - time left: 1:40\n"


def test_a_line_in_a_terminal_is_written_over(ticking):
    stream = Terminal()
    line = Line(stream)
    assert line.due()
    line.show("a longer line")
    line.show("short")
    line.end("end")
    assert stream.getvalue() == "\ra longer line\rshort        \rend  \n"
    line.end()
    assert stream.getvalue().count("\n") == 1


def test_items_are_counted_by_their_size(monkeypatch):
    shown = []
    monkeypatch.setattr(Count, "at", lambda count, done: shown.append(done))
    batches = [[1, 2], [3, 4], [5]]
    assert list(itertools.chain(*counted(batches, "", 5, "", len))) == [1, 2, 3, 4, 5]
    assert shown == [2, 4, 5]
