"""What a model is told of a bar, and what it is to foretell."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from trading.backtest.history import Floats, SymbolBars

HORIZONS = (1, 5, 21, 63)
"""Bars over which returns are taken: a day, a week, a month and a quarter of daily bars."""
SHORT, LONG = 21, 126
"""Bars of the two volatilities."""
RSI_BARS = 14
VOLUME_SHORT, VOLUME_LONG = 5, 63
LOOKBACK = LONG
"""Bars before the first that has features."""
BOUND = 5.0
"""Features are cut at it: beyond five standard deviations there are splits and bad ticks, not information."""
FEATURES = (
    *(f"return_{bars}" for bars in HORIZONS),
    "volatility_ratio",
    "rsi",
    "volume_ratio",
    "place_in_range",
)


def features(bars: SymbolBars) -> Floats:
    """Return what is known after each bar, shape (n, 8) by FEATURES: row i from bars i - 126 to i alone.

    NaN in the first 126 rows. return_k: the log return of k bars over its standard deviation, sqrt(k) times
    the root mean square of 126 returns. volatility_ratio: log of that of 21 returns over that of 126. rsi: of
    14 returns, the rises less the falls over their sum (Wilder's index is 50 + 50 times that), by simple
    means. volume_ratio: log of the mean volume of 5 bars over that of 63. place_in_range: of the close, from
    the low (-1) to the high (1). What is 0 over 0 is 0; all are cut at 5. Splits and dividends are undone.
    """
    told = np.full((len(bars), len(FEATURES)), np.nan)
    if len(bars) <= LOOKBACK:
        return told
    returns, volume = total_returns(bars), _in_first_shares(bars)
    kept = len(bars) - LOOKBACK
    deviation = np.sqrt(_sums(returns * returns, LONG)[-kept:] / LONG)
    short = np.sqrt(_sums(returns * returns, SHORT)[-kept:] / SHORT)
    rises, moves = _sums(np.maximum(returns, 0.0), RSI_BARS), _sums(np.abs(returns), RSI_BARS)
    columns = [_over(_sums(returns, k)[-kept:], deviation * np.sqrt(k)) for k in HORIZONS]
    columns.append(_log(_over(short, deviation)))
    columns.append(_over(2.0 * rises[-kept:], moves[-kept:]) - (moves[-kept:] > 0.0))
    recent, usual = _sums(volume, VOLUME_SHORT)[-kept:], _sums(volume, VOLUME_LONG)[-kept:]
    columns.append(_log(_over(recent / VOLUME_SHORT, usual / VOLUME_LONG)))
    columns.append(_over(2.0 * bars.close - bars.high - bars.low, bars.high - bars.low)[-kept:])
    told[LOOKBACK:] = np.clip(np.column_stack(columns), -BOUND, BOUND)
    return told


def outcomes(bars: SymbolBars, horizon: int) -> Floats:
    """Return the log return that a decision after each bar leads to, shape (n,), dividends included: from the
    next open to the close `horizon` bars on.

    Entry i is known at bar i + horizon; NaN in the last `horizon` rows.
    """
    found = np.full(len(bars), np.nan)
    if len(bars) > horizon:
        first = np.log(bars.close[1:] / bars.open[1:])[: len(bars) - horizon]
        later = total_returns(bars)[1:]
        found[:-horizon] = first + (_sums(later, horizon - 1)[: len(first)] if horizon > 1 else 0.0)
    return found


def total_returns(bars: SymbolBars) -> Floats:
    """Return the log return of each bar over the one before, shape (n - 1,), dividends included.

    A split comes before its day's dividend, which is per new share.
    """
    worth = bars.close if bars.dividends is None else bars.close + bars.dividends
    if bars.splits is not None:
        worth = worth * bars.splits
    returns: Floats = np.log(worth[1:] / bars.close[:-1])
    return returns


def _in_first_shares(bars: SymbolBars) -> Floats:
    """Return the volume in shares as they were at the first bar."""
    return bars.volume if bars.splits is None else bars.volume / np.cumprod(bars.splits)


def _sums(values: Floats, bars: int) -> Floats:
    """Return the sums of `bars` neighbours, shape (n - bars + 1,), each added up by itself: what came long
    before leaves no rounding."""
    sums: Floats = sliding_window_view(values, bars).sum(axis=1)
    return sums


def _over(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0.0)


def _log(ratio: Floats) -> Floats:
    return np.log(ratio, out=np.zeros(len(ratio)), where=ratio > 0.0)
