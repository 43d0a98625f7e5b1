"""The bars that a search is given: large stocks, complete, and none of the last year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trading.backtest.errors import HistoryError
from trading.backtest.historical_data import adjusted
from trading.backtest.history import PriceHistory
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError

if TYPE_CHECKING:
    import pandas as pd

HELD_BACK: Final = timedelta(days=365)
"""No search sees the newest year: validation tests out of sample on it."""

YEARS: Final = 12
"""Searched on; bars older than that say little of a market that has changed since."""

COMPLETE: Final = 0.98
"""A symbol takes part if it has a bar at this share of the longest one's instants."""

_ALIVE_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Universe:
    """What to search on. symbols: by turnover, the largest first. cut: the last day that a search sees."""

    symbols: tuple[str, ...]
    cut: date


@dataclass(frozen=True, slots=True)
class TooFewBars:
    """Why no search is possible yet, in words."""

    reason: str


def cut_before(newest: date) -> date:
    """Return the last day that a search sees, if the newest bar is of that day: the newest end of a quarter
    that is HELD_BACK away. It moves four times a year; unless bars are corrected, so do the studies."""
    after = newest - HELD_BACK + timedelta(days=1)
    return date(after.year, 3 * ((after.month - 1) // 3) + 1, 1) - timedelta(days=1)


def universe_of(
    data_dir: Path, *, symbols: Sequence[str] | None = None, at_most: int, least: int
) -> Universe | TooFewBars:
    """Return what to search on: of the symbols with enough bars, no large gaps and a price until the cut, the
    `at_most` with the largest turnover of the year before it.

    symbols: those to choose from; None: all that are stored. least: bars that a search needs.

    Raises:
        HistoryError: for a symbol that is not stored, or cannot be read.
    """
    store = BarStore(data_dir)
    frames = _frames(store, store.symbols() if symbols is None else symbols)
    if not frames:
        return TooFewBars("no bars are stored: run scripts/refresh_eod_data.py first")
    cut = cut_before(max(frame.index[-1].date() for frame in frames.values()))
    seen = {symbol: _seen(frame, cut) for symbol, frame in frames.items()}
    longest = max(len(frame) for frame in seen.values())
    if longest < least:
        return TooFewBars(f"there are {longest} bars until {cut}, a search needs {least}")
    enough = max(least, COMPLETE * longest)
    alive = cut - timedelta(days=_ALIVE_DAYS)
    whole = {s: f for s, f in seen.items() if len(f) >= enough and f.index[-1].date() >= alive}
    if not whole:
        return TooFewBars(f"no symbol has all of the bars until {cut}: the longest has {longest}")
    ranked = sorted(whole, key=lambda symbol: (-_turnover(whole[symbol]), symbol))
    return Universe(tuple(ranked[:at_most]), cut)


def research_bars(data_dir: Path, symbols: Iterable[str], cut: date) -> PriceHistory:
    """Return the bars of these symbols in the years up to and with the day `cut`, adjusted as of that day.

    Splits and dividends that came later change nothing: unless the stored bars until the cut are corrected,
    the history has the same fingerprint for ever.

    Raises:
        HistoryError: for a symbol that is not stored, or has no bars in that time.
    """
    frames = {}
    for symbol, frame in _frames(BarStore(data_dir), symbols).items():
        seen = _seen(frame, cut)
        if seen.empty:
            raise HistoryError(f"{symbol} has no bars in the {YEARS} years until {cut}")
        frames[symbol] = adjusted(symbol, _as_of_its_end(seen))
    return PriceHistory.from_frames(frames)


def _as_of_its_end(frame: pd.DataFrame) -> pd.DataFrame:
    """Return bars whose last adjusted close is as it was traded. The factors are rounded to 6 digits: for a
    new dividend a source multiplies all of them, and rounds anew."""
    factors = frame["adj_close"] / frame["close"]
    factors = (factors / factors.iloc[-1]).round(6)
    return frame.assign(adj_close=frame["close"] * factors)


def _seen(frame: pd.DataFrame, cut: date) -> pd.DataFrame:
    import pandas as pd

    first = pd.Timestamp(cut) - pd.DateOffset(years=YEARS)
    return frame[(frame.index > first) & (frame.index <= pd.Timestamp(cut))]


def _turnover(frame: pd.DataFrame) -> float:
    year = frame.iloc[-252:]
    return float((year["close"] * year["volume"]).median())


def _frames(store: BarStore, symbols: Iterable[str]) -> dict[str, pd.DataFrame]:
    try:
        return {symbol: store.read(symbol) for symbol in symbols}
    except BarStoreError as error:
        raise HistoryError(str(error)) from error
