import math

import pytest

from tf_bigan.studies.intervals import Interval, interval


def test_a_t_interval_by_hand():
    """Of 1, 2, 3, 4: mean 2.5, deviation 1.29099; t(0.975, 3) = 3.18245, so half the width is 2.05426."""
    found = interval([1, 2, 3, 4])
    assert (found.mean, found.count) == (2.5, 4)
    assert (found.deviation, found.low, found.high) == pytest.approx((1.290994, 0.445739, 4.554261), abs=1e-5)


def test_one_run_has_no_interval():
    found = interval([7])
    assert found.mean == 7.0 and math.isnan(found.deviation) and math.isnan(found.low)
    assert found.sign == 0 and found.place(7) == "unknown"


def test_signs_and_places():
    above, below, around = Interval(2, 1, 0.5, 3.5, 9), Interval(-2, 1, -3.5, -0.5, 9), Interval(0, 1, -1, 1, 9)
    assert [each.sign for each in (above, below, around)] == [1, -1, 0]
    assert [above.place(value) for value in (0.4, 0.5, 3.5, 3.6)] == ["below", "in", "in", "above"]
