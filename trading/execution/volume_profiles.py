"""How each symbol's volume spreads over a session, measured on stored intraday bars.

Light to import; the functions read bars. What needs none (the default U, parts of a session, the profiles
that were kept) is in `volume_shapes` and `profile_store` and can be had from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trading.execution.checking import whole
from trading.execution.errors import PlanError
from trading.execution.profile_store import Profile, ProfileStore
from trading.execution.volume_shapes import BUCKETS, rebucket, shape_between, u_shape
from trading.marketdata.intraday import IntradayStore
from trading.marketdata.intraday_index import IntradayEntry, Month

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "BUCKETS",
    "DAYS",
    "Measured",
    "Profile",
    "ProfileStore",
    "get_volume_profile_from_db",
    "measure",
    "measure_profile",
    "rebucket",
    "shape_between",
    "u_shape",
]

DAYS = 60
"""Sessions a profile is measured on, where there are as many."""
SPAN = timedelta(days=365)
"""A session that lies longer before the newest one is not looked at: habits change."""
EARLY_SPAN = timedelta(days=5 * 365)
"""The same for sessions that close early: there are two or three a year."""
LEAST_DAYS = 5
"""Sessions of a profile; a shape of fewer says more of those days than of the symbol."""
LEAST_EARLY_DAYS = 3
"""The same for its early closes."""
CUT_MINUTES = 30
"""A session whose bars begin this late or end this early was halted or is torn: it shows no shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One shape and the sessions it is the median of. shares: sum to 1."""

    shares: tuple[float, ...]
    days: int
    minutes: int
    first: date
    last: date


def get_volume_profile_from_db(
    symbol: str,
    store: IntradayStore | Path | str,
    *,
    buckets: int = BUCKETS,
    days: int = DAYS,
    early_close: bool = False,
    before: date | None = None,
) -> NDArray[np.float64]:
    """Return a symbol's volume profile from the bar store: shape (buckets,), shares of volume that sum to 1.

    The median share of each bucket over the last `days` sessions, then normalised. store: the store, or its
    data folder. early_close: over sessions that closed early (then only these), else over full ones only.
    before: no session of that date or later is looked at; None: no bound. `measure` says the rest.
    """
    import numpy as np

    found = measure(symbol, store, buckets=buckets, days=days, early_close=early_close, before=before)
    return np.array(found.shares)


def measure(
    symbol: str,
    store: IntradayStore | Path | str,
    *,
    buckets: int = BUCKETS,
    days: int = DAYS,
    early_close: bool = False,
    before: date | None = None,
) -> Measured:
    """Return what `get_volume_profile_from_db` does, with the sessions it is from.

    Of several bar lengths that with the newest session is taken, then that with the most sessions, then the
    shortest. A bar that spans a bucket's edge is divided evenly. Sessions cut short are left out, and those
    that lie more than a year (early closes: five) before the newest.

    Raises:
        PlanError: if no usable session is stored; it names the remedy.
        ValueError: if `buckets` or `days` is not a whole number from 1 up.
    """
    import numpy as np

    buckets, days = whole("buckets", buckets, 1), whole("days", days, 1)
    held = store if isinstance(store, IntradayStore) else IntradayStore(store)
    recent = [_recent_months(entry, early_close, before) for entry in held.lengths(symbol)]
    for entry in sorted(filter(None, recent), key=lambda entry: _worth(entry, days), reverse=True):
        sessions = _recent_sessions(held, entry, days, early_close)
        rows = [(day, _shares(bars, entry.minutes, buckets)) for day, bars in sessions]
        if not rows:
            continue
        median = np.median([row for _, row in rows], axis=0)
        if median.sum() > 0:
            shares = tuple(float(share) for share in median / median.sum())
            return Measured(
                shares=shares, days=len(rows), minutes=entry.minutes, first=rows[-1][0], last=rows[0][0]
            )
    kind, until = "early-close " if early_close else "", f" before {before}" if before else ""
    raise PlanError(
        f"no {kind}session of {symbol} with intraday bars{until} is stored in {held.data_dir}; run "
        f"scripts/refresh_intraday_data.py with a source that has them, or use u_shape({buckets})"
    )


def measure_profile(
    symbol: str, store: IntradayStore | Path | str, *, before: date | None = None, mark: str = ""
) -> Profile:
    """Return a symbol's profile for plans, early closes apart where there are enough of them.

    mark: kept in it. Raises PlanError for fewer than LEAST_DAYS usable sessions (before `before`).
    """
    found = measure(symbol, store, before=before)
    if found.days < LEAST_DAYS:
        raise PlanError(f"{symbol} has {found.days} usable sessions; a profile needs {LEAST_DAYS}")
    early = _measure_early(symbol, store, before)
    return Profile(
        symbol=symbol,
        shape=found.shares,
        days=found.days,
        minutes=found.minutes,
        first=found.first,
        as_of=max(found.last, early.last) if early else found.last,
        early_shape=early.shares if early else (),
        early_days=early.days if early else 0,
        mark=mark,
    )


def _measure_early(symbol: str, store: IntradayStore | Path | str, before: date | None) -> Measured | None:
    try:
        found = measure(symbol, store, early_close=True, before=before)
    except PlanError:
        return None
    return found if found.days >= LEAST_EARLY_DAYS else None


def _recent_months(entry: IntradayEntry, early: bool, before: date | None) -> IntradayEntry | None:
    """The entry with those of its months alone that have sessions asked for; None: there are none."""

    def has_some(month: Month) -> bool:
        return bool(month.early_days if early else month.days - month.early_days)

    months = {
        name: month if before is None else replace(month, last=min(month.last, before - timedelta(1)))
        for name, month in entry.months.items()
        if has_some(month) and (before is None or month.first < before)
    }
    if not months:
        return None
    oldest = max(month.last for month in months.values()) - (EARLY_SPAN if early else SPAN)
    recent = {
        name: replace(month, first=max(month.first, oldest))
        for name, month in months.items()
        if month.last >= oldest
    }
    return replace(entry, months=recent)


def _worth(entry: IntradayEntry, days: int) -> tuple[date, int, int]:
    return (entry.last, min(entry.days, days), -entry.minutes)


def _recent_sessions(
    store: IntradayStore, entry: IntradayEntry, days: int, early: bool
) -> Iterator[tuple[date, pd.DataFrame]]:
    """The last `days` usable sessions of the entry's months, newest first; months are read as needed."""
    names = ("minute", "session_minutes", "is_early", "volume")
    left = days
    for month in reversed(list(entry.months.values())):
        frame = store.read(entry.symbol, entry.minutes, first=month.first, last=month.last, columns=names)
        for _, bars in reversed(list(frame[frame["is_early"] == early].groupby("day"))):
            if _is_whole(bars, entry.minutes):
                yield bars["day"].iloc[0].date(), bars
                left -= 1
            if not left:
                return


def _is_whole(bars: pd.DataFrame, minutes: int) -> bool:
    end = bars["minute"].iloc[-1] + minutes
    is_long = bars["minute"].iloc[0] < CUT_MINUTES and bars["session_minutes"].iloc[0] - end < CUT_MINUTES
    return bool(is_long and bars["volume"].sum() > 0)


def _shares(bars: pd.DataFrame, minutes: int, buckets: int) -> NDArray[np.float64]:
    """One session's shares. The cumulative volume is known where bars begin and end, and even in between."""
    import numpy as np

    length = int(bars["session_minutes"].iloc[0])
    starts, volume = bars["minute"].to_numpy(dtype="float64"), bars["volume"].to_numpy()
    ends = np.minimum(starts + minutes, length)
    traded = np.concatenate(([0.0], np.cumsum(volume)))
    at = np.column_stack((starts, ends)).ravel()
    so_far = np.column_stack((traded[:-1], traded[1:])).ravel()
    cumulative = np.interp(np.linspace(0, length, buckets + 1), at, so_far)
    shares: NDArray[np.float64] = np.diff(cumulative) / traded[-1]
    return shares
