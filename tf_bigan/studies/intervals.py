"""Means of a few runs, with intervals."""

import dataclasses
import math

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over runs, and the t interval in which it lies at `LEVEL`.

    Attributes:
      mean, deviation: mean and standard deviation over the runs; the deviation of one run is NaN.
      low, high: the interval; NaN for one run.
      count: number of runs.
    """

    mean: float
    deviation: float
    low: float
    high: float
    count: int

    @property
    def sign(self) -> int:
        """1 if the whole interval is above 0, -1 if it is below, 0 if it holds 0 or is not known."""
        return int(self.low > 0) - int(self.high < 0)

    def place(self, value) -> str:
        """Where a value lies: "below", "in" or "above" the interval; "unknown" for one run."""
        if math.isnan(self.low):
            return "unknown"
        return "below" if value < self.low else "above" if value > self.high else "in"


def interval(values) -> Interval:
    """The interval of the mean of at least one value."""
    values = np.asarray(values, float)
    count, mean = len(values), float(values.mean())
    if count < 2:
        return Interval(mean, math.nan, math.nan, math.nan, count)
    deviation = float(values.std(ddof=1))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * deviation / math.sqrt(count)
    return Interval(mean, deviation, mean - half, mean + half, count)
