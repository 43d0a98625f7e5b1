"""Whether bars can be trusted: each check is a function from a frame and the exchange's sessions to findings.

Nothing is repaired, filled or dropped here; a finding says what was seen and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from trading.marketdata.adjustments import ADJUSTMENT_CHECKS
from trading.marketdata.bars import COLUMNS, OPTIONAL, PRICES
from trading.marketdata.findings import Finding, Severity, capped
from trading.marketdata.ticks import TICK_CHECKS

Check = Callable[[str, pd.DataFrame], list[Finding]]


def check_bars(
    symbol: str, frame: pd.DataFrame, sessions: pd.DatetimeIndex, *, ends_on: date | None = None
) -> list[Finding]:
    """Return everything found in `frame` (columns as `BarStore` describes), the series' order kept.

    sessions: the exchange's session dates from before the first bar to the last session that has closed, as
    naive midnights. ends_on: the date at which the source itself, or the symbol, ends, so that being old is
    no surprise. Each check lists at most `MAX_PER_CHECK` findings and counts the rest.

    Raises:
        ValueError: if the frame or `sessions` is empty.
    """
    if not len(frame) or not len(sessions):
        raise ValueError(
            f"bars of {symbol} cannot be checked: there are no {'bars' if not len(frame) else 'sessions'}"
        )
    findings: list[Finding] = []
    for check in ROW_CHECKS:
        findings += capped(check(symbol, frame))
    findings += capped(check_gaps(symbol, frame, sessions))
    findings += capped(check_sessions(symbol, frame, sessions))
    findings += check_staleness(symbol, frame, sessions, ends_on)
    usable = _usable(frame)
    if len(usable) > 1:
        for check in (*TICK_CHECKS, *ADJUSTMENT_CHECKS):
            findings += capped(check(symbol, usable))
    return findings


def check_order(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A date before the one above it (duplicates are another check)."""
    stamps = frame.index.to_numpy()
    return [
        Finding(
            check="order",
            symbol=symbol,
            day=_day(stamps[at + 1]),
            severity=Severity.REFUSE,
            text=f"stands after {_day(stamps[at])}: dates must rise",
        )
        for at in np.flatnonzero(stamps[1:] < stamps[:-1])
    ]


def check_duplicates(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A date with more than one bar."""
    counts = frame.index[frame.index.duplicated(keep=False)].value_counts().sort_index()
    return [
        Finding(
            check="duplicate",
            symbol=symbol,
            day=_day(stamp),
            value=float(count),
            expected=1.0,
            severity=Severity.REFUSE,
            text=f"has {count} bars",
        )
        for stamp, count in counts.items()
    ]


def check_missing_values(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A bar without one of its numbers."""
    empty = frame[[*COLUMNS, *(c for c in OPTIONAL if c in frame.columns)]].isna()
    return [
        Finding(
            check="missing_value",
            symbol=symbol,
            day=_day(stamp),
            severity=Severity.REFUSE,
            text=f"has no {', '.join(str(name) for name, is_empty in row.items() if is_empty)}",
        )
        for stamp, row in empty[empty.any(axis=1)].iterrows()
    ]


def check_positive(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A price that is zero or below, or a negative volume."""
    lowest = frame[list(PRICES)].min(axis=1)
    bad = frame[(lowest <= 0) | (frame["volume"] < 0)]
    return [
        Finding(
            check="not_positive",
            symbol=symbol,
            day=_day(stamp),
            value=float(min(row[list(PRICES)].min(), row["volume"])),
            severity=Severity.REFUSE,
            text="has a price that is not above 0, or a negative volume",
        )
        for stamp, row in bad.iterrows()
    ]


def check_high_low(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A high below the low (refused), or an open or close outside [low, high] (vendors' rounding: warned)."""
    findings = []
    body_low = frame[["open", "close"]].min(axis=1)
    body_high = frame[["open", "close"]].max(axis=1)
    bad = (frame["high"] < frame["low"]) | (frame["low"] > body_low) | (frame["high"] < body_high)
    for stamp, row in frame[bad].iterrows():
        low, high = float(row["low"]), float(row["high"])
        crossed = high < low
        below = low > min(row["open"], row["close"])
        value, expected = (high, low) if crossed else (low, float(min(row["open"], row["close"])))
        if not crossed and not below:
            value, expected = high, float(max(row["open"], row["close"]))
        side = "high below the low" if crossed else "low above" if below else "high below"
        findings.append(
            Finding(
                check="high_low",
                symbol=symbol,
                day=_day(stamp),
                value=value,
                expected=expected,
                severity=Severity.REFUSE if crossed else Severity.WARN,
                text=f"has its {side}" + ("" if crossed else " its open or close"),
            )
        )
    return findings


def check_zero_volume(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A bar without a trade: a halt, or a filled-in row."""
    return [
        Finding(
            check="zero_volume",
            symbol=symbol,
            day=_day(stamp),
            value=0.0,
            text="has no volume: halted, or filled in",
        )
        for stamp in frame.index[frame["volume"] == 0]
    ]


def check_gaps(symbol: str, frame: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[Finding]:
    """Sessions between the first and the last bar without a bar; a run of them is one finding.

    value: how many sessions are missing in a row, from the finding's date on.
    """
    days = _naive(frame.index)
    inside = sessions[(sessions >= days.min()) & (sessions <= days.max())]
    is_missing = ~inside.isin(days)
    findings = []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_missing, [False])).astype(int)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        first, last, count = _day(inside[begin]), _day(inside[end - 1]), int(end - begin)
        findings.append(
            Finding(
                check="gap",
                symbol=symbol,
                day=first,
                value=float(count),
                expected=0.0,
                text="is missing" if count == 1 else f"to {last}: {count} sessions are missing",
            )
        )
    return findings


def check_sessions(symbol: str, frame: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[Finding]:
    """Bars on dates that are no session of the exchange (or lie after the last that has closed)."""
    days = _naive(frame.index)
    return [
        Finding(
            check="not_a_session",
            symbol=symbol,
            day=_day(stamp),
            text="has a bar, but no session of the exchange had closed on it"
            if stamp > sessions[-1]
            else "has a bar, but the exchange was closed",
        )
        for stamp in days[~days.isin(sessions)].unique()
        if stamp >= sessions[0]
    ]


def check_staleness(
    symbol: str, frame: pd.DataFrame, sessions: pd.DatetimeIndex, ends_on: date | None = None
) -> list[Finding]:
    """How many sessions have closed since the last bar; a source or symbol that has ended is told as such."""
    last = _naive(frame.index).max()
    behind = int((sessions > last).sum())
    if not behind:
        return []
    if ends_on is not None and last.date() >= ends_on:
        text = "is where the bars end: the source, or the symbol in it, goes no further"
        return [Finding(check="ended", symbol=symbol, day=_day(last), severity=Severity.INFO, text=text)]
    text = f"is the last bar; {behind} sessions have closed since, the last on {_day(sessions[-1])}"
    return [
        Finding(check="stale", symbol=symbol, day=_day(last), value=float(behind), expected=0.0, text=text)
    ]


ROW_CHECKS: tuple[Check, ...] = (
    check_order,
    check_duplicates,
    check_missing_values,
    check_positive,
    check_high_low,
    check_zero_volume,
)


def _usable(frame: pd.DataFrame) -> pd.DataFrame:
    """The bars that the checks of a series can work with: one per date, rising, complete, positive."""
    rows = frame[~frame.index.duplicated()].sort_index().dropna(subset=list(COLUMNS))
    return rows[(rows[list(PRICES)] > 0).all(axis=1)]


def _naive(index: pd.Index) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(index).normalize()


def _day(stamp: object) -> date:
    day: date = pd.Timestamp(stamp).date()  # type: ignore[arg-type]  # an index label; a date by construction
    return day
