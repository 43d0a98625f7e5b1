"""Drawdowns of an equity curve: the series, and its periods from peak to recovery. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trading.backtest.performance.curves import Floats, checked_capital, checked_equity


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownPeriod:
    """A stretch below a former peak. Indices count the curve's bars from 0.

    start: the peak's bar, the last one at that height; -1 if it is the initial capital. trough: the first
    bar of the lowest equity. recovery: the first bar at the peak's height or above, None if the curve ends
    before. depth: equity at the trough / peak - 1, so below 0. length: bars from the peak to the recovery,
    or to the last bar.
    """

    start: int
    trough: int
    recovery: int | None
    depth: float
    length: int


def drawdown_series(equity: ArrayLike, initial_capital: float) -> Floats:
    """Return E[i] / peak[i] - 1, shape (n,), the peak being the highest of `initial_capital` and E[0..i].

    0 at a peak, below it down to -1 (equity 0), beneath -1 where equity is negative. The same as
    empyrical's drawdown_series.

    Raises:
        ValueError: for an empty or non-finite curve, or a capital that is not above 0.
    """
    curve = checked_equity(equity)
    peaks = np.maximum(np.maximum.accumulate(curve), checked_capital(initial_capital))
    return np.asarray((curve - peaks) / peaks)


def drawdown_periods(drawdowns: Floats, top: int | None = None) -> tuple[DrawdownPeriod, ...]:
    """Return the periods of a drawdown series, the deepest first, among equals the earlier.

    drawdowns: from `drawdown_series`. top: how many at most, None for all. A curve that never falls has none.
    """
    below = np.concatenate(([False], drawdowns < 0, [False]))
    edges = np.flatnonzero(below[1:] != below[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return ()
    depths = np.minimum.reduceat(drawdowns, starts)
    deepest = np.argsort(depths, kind="stable")[:top] if top != 1 else [int(np.argmin(depths))]
    return tuple(_period(drawdowns, int(starts[each]), int(ends[each])) for each in deepest)


def _period(drawdowns: Floats, first: int, end: int) -> DrawdownPeriod:
    """Return the period whose bars below the peak are [first, end)."""
    trough = first + int(np.argmin(drawdowns[first:end]))
    recovery = end if end < len(drawdowns) else None
    return DrawdownPeriod(
        start=first - 1,
        trough=trough,
        recovery=recovery,
        depth=float(drawdowns[trough]),
        length=(end if recovery is not None else end - 1) - (first - 1),
    )
