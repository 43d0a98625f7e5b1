"""Checks for single wrong prices: a jump that is gone at once, larger than news makes.

A wrong close spoils every return, a wrong open the fills at the next open, a wrong high or low the fills of
stop and limit orders. Prices are put on the scale of adj_close first, so that a split is no jump.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from trading.marketdata.findings import Finding

SPIKE_DEVIATIONS = 10.0
"""A move this many robust deviations out, undone by the next price, is taken for a bad tick."""
SPIKE_LEAST = 0.10
"""And at least this large (log return): quiet stocks move ten deviations on news without any error."""
SPIKE_REVERT = 0.25
"""And at most this share of the spike remains after the next price."""
SCALE_DAYS = 61
"""Days around a bar over which its normal move is taken: a quarter to either side would smooth out 2008."""


def check_bad_ticks(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A close that jumps and comes back the next day, by more than real news does.

    value: the day's log return of adj_close; expected: the robust deviation of the returns around it (1.4826
    times the median absolute return of SCALE_DAYS days). A last bar cannot be judged yet.
    """
    moves, scale = _moves(frame)
    is_spike = _is_spike(moves, moves.shift(-1), scale)
    return [
        Finding(
            check="bad_tick",
            symbol=symbol,
            day=_day(stamp),
            value=round(float(moves[stamp]), 6),
            expected=round(float(scale[stamp]), 6),
            text=f"closes {100 * (np.exp(moves[stamp]) - 1):+.1f} % and comes back the next day",
        )
        for stamp in frame.index[is_spike]
    ]


def check_bad_opens(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """An open that jumps from the close before and is back at the close. Else as `check_bad_ticks`."""
    return _beside_the_close(symbol, frame, "open")


def check_bad_highs(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A high far above the close before and its own close: a bad tick, or a squeeze of minutes."""
    return _beside_the_close(symbol, frame, "high")


def check_bad_lows(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A low far below the close before and its own close: a bad tick, or a crash of minutes (2010-05-06)."""
    return _beside_the_close(symbol, frame, "low")


TICK_CHECKS = (check_bad_ticks, check_bad_opens, check_bad_highs, check_bad_lows)


def _beside_the_close(symbol: str, frame: pd.DataFrame, column: str) -> list[Finding]:
    """One price of a bar against the closes before and after it.

    value: its log distance from the close before; expected: the robust deviation of the returns around it.
    """
    moves, scale = _moves(frame)
    back = pd.Series(np.log(frame["close"] / frame[column]), index=frame.index)
    into = moves - back
    is_spike = _is_spike(into, back, scale)
    if column != "open":
        # A high below the closes, or a low above, is an impossible bar: another check's.
        is_spike &= (into > 0) == (column == "high")
    return [
        Finding(
            check=f"bad_{column}",
            symbol=symbol,
            day=_day(stamp),
            value=round(float(into[stamp]), 6),
            expected=round(float(scale[stamp]), 6),
            text=f"has its {column} ({frame[column][stamp]:g}) {100 * (np.exp(into[stamp]) - 1):+.1f} % "
            f"from the close before and closes at {frame['close'][stamp]:g}",
        )
        for stamp in frame.index[is_spike]
    ]


def _moves(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The log returns of adj_close, and their robust deviation around each day."""
    moves = pd.Series(np.log(frame["adj_close"]), index=frame.index).diff()
    return moves, 1.4826 * moves.abs().rolling(SCALE_DAYS, center=True, min_periods=5).median()


def _is_spike(into: pd.Series, back: pd.Series, scale: pd.Series) -> pd.Series:
    limit = np.maximum(SPIKE_DEVIATIONS * scale, SPIKE_LEAST)
    reverts = (into + back).abs() <= SPIKE_REVERT * into.abs()
    return (into.abs() > limit) & (back.abs() > limit) & reverts


def _day(stamp: object) -> date:
    day: date = pd.Timestamp(stamp).date()  # type: ignore[arg-type]  # an index label; a date by construction
    return day
