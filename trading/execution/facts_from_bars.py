"""Market facts of a symbol from stored bars: yesterday's knowledge, never a bar of the day it is for.

Light until it is called; reading bars loads pandas.
"""

from __future__ import annotations

import csv
from datetime import date
from math import isfinite
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from trading.execution.checking import positive
from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.volume_profiles import ProfileStore, measure_profile
from trading.execution.volume_shapes import u_shape
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError

if TYPE_CHECKING:
    import pandas as pd

VOLUME_DAYS = 20
VOLATILITY_DAYS = 60
LEAST_RETURNS = 20
"""Fewer returns give a volatility that is off by more than 16 % (1 / sqrt(2 n)) as a rule: refused."""
OLD_DAYS = 7
"""Calendar days between the last bar and the day planned for beyond which the facts say that they are old: a
long weekend is four, and one missed evening is no cause."""
SPREAD_BPS = 2.0
"""The spread that is assumed where none is known: between SPY (0.6) and BAC (7.2) of liquid US stocks."""
SPREAD_DAYS = 20

Shapes = tuple[tuple[float, ...], tuple[float, ...], str]


def market_facts(
    symbol: str,
    daily_store: BarStore,
    profiles: ProfileStore,
    *,
    before: date | None,
    tick: float = 0.01,
    quotes: Path | None = None,
) -> MarketFacts:
    """Return what is known of `symbol` before the day `before`; None: all that is stored.

    price: the last close. daily_volume: median of 20 sessions, in today's shares (a split within them is
    undone). daily_volatility: standard deviation of the log returns of adj_close over 60 sessions, at least
    20. daily_spread: median of the newest 20 lines of the file `quotes` (a CSV with symbol, date and spread
    [$/share]) if it has any of the symbol, else assumed: 2 bp of the price, at least a tick [$/share]. shape:
    the stored profile; if that has seen `before` itself, one measured on the bars before it; else the
    default U. `sources` says for each number where it is from, and for bars older than 7 days that they are.

    Raises:
        PlanError: if a fact cannot be had; it names the fact and the remedy.
        ValueError: if `tick` is not positive.
    """
    positive("tick", tick)
    bars = _daily_bars(symbol, daily_store, before)
    last: date = bars.index[-1].date()
    price = float(bars["close"].iloc[-1])
    spread, spread_source = _spread(symbol, quotes, before, price, tick)
    shape, early_shape, shape_source = _shapes(symbol, profiles, before)
    returns = min(len(bars) - 1, VOLATILITY_DAYS)
    sessions = min(len(bars), VOLUME_DAYS)
    sources = {
        "price": f"close of {last}",
        "volume": f"median of {sessions} sessions to {last}",
        "volatility": f"{returns} daily returns to {last}",
        "spread": spread_source,
        "profile": shape_source,
    }
    if before is not None and (before - last).days > OLD_DAYS:
        sources["age"] = f"old: the last bar is of {last}, {(before - last).days} days before {before}"
    try:
        return MarketFacts(
            symbol=symbol,
            as_of=last,
            price=price,
            daily_volume=_daily_volume(bars),
            daily_spread=spread,
            daily_volatility=_daily_volatility(bars),
            shape=shape,
            early_shape=early_shape,
            sources=tuple(sources.items()),
        )
    except ValueError as error:
        raise PlanError(
            f"the stored bars of {symbol} give no usable facts ({error}); see scripts/data_quality.py"
        ) from error


def _daily_bars(symbol: str, store: BarStore, before: date | None) -> pd.DataFrame:
    import pandas as pd

    try:
        bars = store.read(symbol)
    except BarStoreError as error:
        raise PlanError(f"no daily bars of {symbol}: {error}") from error
    if before is not None:
        bars = bars[bars.index < pd.Timestamp(before)]
    if len(bars) <= LEAST_RETURNS:
        until = f" before {before}" if before else ""
        raise PlanError(
            f"{symbol} has {len(bars)} daily bars{until}: its volatility needs at least {LEAST_RETURNS + 1}; "
            f"fetch more with scripts/refresh_eod_data.py"
        )
    return bars


def _daily_volume(bars: pd.DataFrame) -> float:
    """The median volume in shares of the last session: those before a split count for more of today's."""
    recent = bars.iloc[-VOLUME_DAYS:]
    if "split" in recent.columns:
        later = recent["split"].iloc[::-1].cumprod().iloc[::-1]
        new_per_old = (later / recent["split"]).to_numpy()
    else:
        # Without a split column the adjusted close knows; its dividends move it by a percent or two.
        factor = recent["adj_close"] / recent["close"]
        new_per_old = (factor.iloc[-1] / factor).to_numpy()
    return float((recent["volume"] * new_per_old).median())


def _daily_volatility(bars: pd.DataFrame) -> float:
    import numpy as np

    closes = bars["adj_close"].iloc[-(VOLATILITY_DAYS + 1) :].to_numpy()
    return float(np.std(np.diff(np.log(closes)), ddof=1))


def _spread(
    symbol: str, quotes: Path | None, before: date | None, price: float, tick: float
) -> tuple[float, str]:
    known = _stored_spreads(symbol, quotes, before) if quotes is not None else []
    if quotes is not None and known:
        newest = known[-SPREAD_DAYS:]
        spread = median(spread for _, spread in newest)
        return spread, f"median of {len(newest)} days to {newest[-1][0]} in {quotes.name}"
    assumed = max(tick, SPREAD_BPS / 1e4 * price)
    return assumed, f"assumed: {SPREAD_BPS:g} bp of the price, at least a tick of {tick:g}"


def _stored_spreads(symbol: str, quotes: Path, before: date | None) -> list[tuple[date, float]]:
    """The spreads of one symbol, oldest first. Raises PlanError with the line if the file cannot be used."""
    spreads: list[tuple[date, float]] = []
    number = 1
    try:
        with quotes.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                number = rows.line_num
                if row["symbol"].strip().upper() != symbol:
                    continue
                day, spread = date.fromisoformat(row["date"].strip()), float(row["spread"])
                if not (isfinite(spread) and spread > 0):
                    raise ValueError(f"spread {row['spread']!r} is not above 0")
                if before is None or day < before:
                    spreads.append((day, spread))
    except (OSError, KeyError, ValueError, AttributeError, TypeError, csv.Error) as error:
        raise PlanError(
            f"{quotes}:{number}: cannot be read as spreads ({error!r}); expected a header symbol,date,spread"
        ) from error
    return sorted(spreads)


def _shapes(symbol: str, profiles: ProfileStore, before: date | None) -> Shapes:
    """The full and the early-close shape, and where they are from in words."""
    try:
        profile = profiles.get(symbol)
    except PlanError as error:
        return u_shape(), (), f"default U shape: {error}"
    if profile is None:
        return u_shape(), (), "default U shape: no profile of the symbol was measured"
    if before is None or profile.as_of < before:
        source = f"median of {profile.days} sessions to {profile.as_of}"
        return profile.shape, profile.early_shape, source
    return _shapes_before(symbol, profiles, before)


def _shapes_before(symbol: str, profiles: ProfileStore, before: date) -> Shapes:
    """As `_shapes`, for a day that the stored profile has seen already (a replay)."""
    try:
        profile = measure_profile(symbol, profiles.data_dir, before=before)
    except PlanError:
        return (
            u_shape(),
            (),
            f"default U shape: too few sessions with intraday bars are stored before {before}",
        )
    return profile.shape, profile.early_shape, f"median of {profile.days} sessions to {profile.as_of}"
