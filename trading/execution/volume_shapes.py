"""Shares of a session's volume as plain numbers: the default U, other buckets, parts of a session. Light."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from math import fsum, isfinite
from typing import TYPE_CHECKING

from trading.execution.checking import whole

if TYPE_CHECKING:
    from trading.execution.smart.plan import SessionHours

BUCKETS = 26
"""Of a profile: a quarter of an hour each in a session of 6.5 hours."""
U_EDGE = 1.75
"""Weight of the edges in `u_shape`: the first and the last half hour then carry 14.9 % each, in the middle
between SPY (13.3 %, 13.8 %) and AAPL (18.8 %, 13.4 %), whose mean is 14.8 %."""


def check_shares(name: str, shares: Sequence[float]) -> None:
    """Raise ValueError unless `shares` are finite, from 0 up, and sum to 1 (to 1e-6)."""
    if not len(shares) or any(not isfinite(s) or s < 0 for s in shares) or abs(fsum(shares) - 1) > 1e-6:
        raise ValueError(f"{name} is {tuple(shares)!r}: expected shares of volume from 0 up that sum to 1")


def u_shape(buckets: int = BUCKETS) -> tuple[float, ...]:
    """Return the profile that stands in where none was measured: shares of `buckets` equal parts, sum 1.

    The density over the session's time x in [0, 1] is f(x) = 1 - b/5 + b (2x - 1)^4 with b = U_EDGE: 2.4
    times the average at the open and at the close, 0.65 times in the middle. That volume is U-shaped over the
    day is from Jain and Joh (1988), Journal of Financial and Quantitative Analysis 23, 269-283; the fourth
    power is ours: flat in the middle and steep at the ends, as the data are, with one number to choose.

    Raises:
        ValueError: if `buckets` is not a whole number from 1 up.
    """
    buckets = whole("buckets", buckets, 1)

    def before(x: float) -> float:
        return (1 - U_EDGE / 5) * x + U_EDGE * ((2 * x - 1) ** 5 + 1) / 10

    return tuple(before((i + 1) / buckets) - before(i / buckets) for i in range(buckets))


def rebucket(shape: Sequence[float], buckets: int) -> tuple[float, ...]:
    """Return `shape` in another number of equal parts; volume within a part is taken as even.

    The sum is conserved. Raises ValueError for an empty shape, a share that is negative or not finite, or
    `buckets` below 1.
    """
    buckets = whole("buckets", buckets, 1)
    if not len(shape) or any(not isfinite(s) or s < 0 for s in shape):
        raise ValueError(f"shape is {tuple(shape)!r}: expected shares of volume from 0 up")
    return _between(shape, [i / buckets for i in range(buckets + 1)])


def shape_between(
    shape: Sequence[float], hours: SessionHours, start: datetime, end: datetime, n: int
) -> tuple[float, ...]:
    """Return the share of the session's volume expected in each of `n` equal intervals of [start, end).

    shape: of the whole session, whatever its length (on a half day it is squeezed into it); sums to 1. The
    answer sums to 1 only if [start, end) is the whole session. Nothing trades in the session's pauses.

    Raises:
        ValueError: if [start, end) is empty or not within the session, `n` is not a whole number from 1 up,
            or `shape` is none.
    """
    check_shares("shape", shape)
    n = whole("n", n, 1)
    if not hours.open <= start < end <= hours.close:
        raise ValueError(
            f"start is {start}, end {end}: expected a stretch of the session {hours.open} to {hours.close}"
        )
    session = _open_seconds(hours, hours.close)
    cuts = [start + (end - start) * i / n for i in range(n)]
    return _between(shape, [_open_seconds(hours, at) / session for at in (*cuts, end)])


def _open_seconds(hours: SessionHours, at: datetime) -> float:
    """Trading time from the open to `at`, pauses left out."""
    closed = (
        max(min(pause_end, at) - max(pause, hours.open), timedelta(0)) for pause, pause_end in hours.pauses
    )
    return (at - hours.open - sum(closed, timedelta(0))).total_seconds()


def _between(shape: Sequence[float], cuts: Sequence[float]) -> tuple[float, ...]:
    """The volume between neighbouring cuts (fractions of the session, rising)."""
    sums = list(accumulate(map(float, shape), initial=0.0))

    def before(x: float) -> float:
        at = min(max(x, 0.0), 1.0) * len(shape)
        full = min(int(at), len(shape) - 1)
        return sums[full] + (at - full) * (sums[full + 1] - sums[full])

    return tuple(max(later - earlier, 0.0) for earlier, later in pairwise(map(before, cuts)))
