"""Which intraday bars lie within sessions, and whether their days can be trusted.

Bars outside every session (before the open, after the close, on days without one) are not kept; they are
counted. Within a session nothing is repaired: a day that cannot be used is refused whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from trading.marketdata.findings import Finding, Severity
from trading.marketdata.intraday import NUMBERS

CUT_MINUTES = 30
"""A day whose first bar begins this much after the open, or whose last ends as much before the close, is cut
short: halted, torn, or stamped in another zone."""
ENDS_LEAST = 3
"""Sessions without a bar at the open and with one at the close that make a rule of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Bars by where they lie. bars: those within closed sessions, with the columns of `IntradayStore`, in the
    order delivered. outside: how many lie outside the sessions; later: how many come a day after the last
    closed one, to be taken when their session has closed. ends_stamped: sessions that have a bar beginning at
    the close but none at the open, as if stamped by the bars' ends."""

    bars: pd.DataFrame
    outside: int
    later: int
    ends_stamped: tuple[date, ...]


def place(frame: pd.DataFrame, hours: pd.DataFrame) -> Placed:
    """Sort bars to sessions.

    frame: as `IntradaySeries` describes. hours: by date the open and close (UTC) and is_early of the closed
    sessions, from before the first bar on; not empty.
    """
    stamps = pd.DatetimeIndex(frame.index).tz_convert(None).to_numpy().astype("datetime64[s]")
    opens = hours["open"].dt.tz_convert(None).to_numpy().astype("datetime64[s]")
    closes = hours["close"].dt.tz_convert(None).to_numpy().astype("datetime64[s]")
    at = np.searchsorted(opens, stamps, side="right") - 1
    inside = (at >= 0) & (stamps < closes[at])
    # After-hours trades end 4 hours after a close, and the next session opens 17 hours after it.
    later = stamps >= closes[-1] + np.timedelta64(14, "h")
    kept, session = frame[inside], at[inside]
    bars = kept.assign(
        day=hours.index.to_numpy().astype("datetime64[s]")[session],
        minute=((stamps[inside] - opens[session]).astype("int64") // 60).astype("int32"),
        session_minutes=((closes - opens)[session].astype("int64") // 60).astype("int32"),
        is_early=hours["is_early"].to_numpy()[session],
    )
    at_close, at_open = np.isin(closes, stamps), np.isin(opens, stamps)
    suspicious = hours.index[at_close & ~at_open & np.isin(np.arange(len(opens)), session)]
    return Placed(
        bars=bars,
        outside=int((~inside & ~later).sum()),
        later=int(later.sum()),
        ends_stamped=tuple(stamp.date() for stamp in suspicious),
    )


def check_days(symbol: str, minutes: int, placed: Placed) -> list[Finding]:
    """Return what is found, at most one finding per day and check. A finding with the severity REFUSE forbids
    the use of its day.

    order, duplicate: stamps do not rise, or one comes twice. missing_value, not_positive: a number is
    missing, a price not above 0 or a volume below. high_low: the high is below the low (refused), or the open
    or close outside the bar (warned). off_grid: a bar begins between the places of `minutes`-minute bars.
    ends_stamped: no bar at the open but one at the close (refused if so in most of at least ENDS_LEAST
    sessions, else warned: the first minute may have had no trade). cut_short (warned): see CUT_MINUTES.
    """
    bars = placed.bars
    findings = [
        finding
        for name, severity, check, text in CHECKS
        for finding in _by_day(symbol, name, severity, bars[check(bars)], text)
    ]
    grid = bars[(bars["minute"] % minutes != 0).to_numpy() | (pd.DatetimeIndex(bars.index).second != 0)]
    findings += _by_day(symbol, "off_grid", Severity.REFUSE, grid, f"off the grid of {minutes} minutes")
    suspects = placed.ends_stamped
    is_rule = len(suspects) >= ENDS_LEAST and 2 * len(suspects) > bars["day"].nunique()
    findings += [
        Finding(
            check="ends_stamped",
            symbol=symbol,
            day=day,
            severity=Severity.REFUSE if is_rule else Severity.WARN,
            text="has a bar at the close and none at the open: `ts` must be the START of a bar",
        )
        for day in suspects
    ]
    return findings + _cut_short(symbol, minutes, bars)


def unusable_days(findings: list[Finding]) -> set[date]:
    """Return the days that the findings forbid to use."""
    return {f.day for f in findings if f.severity is Severity.REFUSE and f.day is not None}


def _falls(bars: pd.DataFrame) -> pd.Series[bool]:
    return bars["minute"].groupby(bars["day"]).diff() < 0


def _repeats(bars: pd.DataFrame) -> pd.Series[bool]:
    return pd.Series(bars.index.duplicated(), index=bars.index)


def _lacks(bars: pd.DataFrame) -> pd.Series[bool]:
    return bars[list(NUMBERS)].isna().any(axis=1)


def _not_positive(bars: pd.DataFrame) -> pd.Series[bool]:
    return (bars[["open", "high", "low", "close"]].min(axis=1) <= 0) | (bars["volume"] < 0)


def _crossed(bars: pd.DataFrame) -> pd.Series[bool]:
    return bars["high"] < bars["low"]


def _body_outside(bars: pd.DataFrame) -> pd.Series[bool]:
    body = bars[["open", "close"]]
    return ~_crossed(bars) & ((bars["low"] > body.min(axis=1)) | (bars["high"] < body.max(axis=1)))


CHECKS: tuple[tuple[str, Severity, Callable[[pd.DataFrame], pd.Series[bool]], str], ...] = (
    ("order", Severity.REFUSE, _falls, "before the bar above: stamps must rise"),
    ("duplicate", Severity.REFUSE, _repeats, "with a stamp that was there already"),
    ("missing_value", Severity.REFUSE, _lacks, "without one of the numbers"),
    ("not_positive", Severity.REFUSE, _not_positive, "with a price not above 0, or a negative volume"),
    ("high_low", Severity.REFUSE, _crossed, "with the high below the low"),
    ("high_low", Severity.WARN, _body_outside, "with the open or close outside [low, high]"),
)


def _by_day(symbol: str, check: str, severity: Severity, bars: pd.DataFrame, text: str) -> list[Finding]:
    return [
        Finding(
            check=check,
            symbol=symbol,
            day=pd.Timestamp(str(day)).date(),
            value=float(len(rows)),
            expected=0.0,
            severity=severity,
            text=f"has {len(rows)} bars {text}; the first is of {_clock(rows.index[0])} UTC",
        )
        for day, rows in bars.groupby("day")
    ]


def _cut_short(symbol: str, minutes: int, bars: pd.DataFrame) -> list[Finding]:
    days = bars.groupby("day").agg(
        first=("minute", "min"), last=("minute", "max"), session=("session_minutes", "first")
    )
    left = days["session"] - days["last"] - minutes
    cut = days[(days["first"] >= CUT_MINUTES) | (left >= CUT_MINUTES)]
    return [
        Finding(
            check="cut_short",
            symbol=symbol,
            day=pd.Timestamp(str(day)).date(),
            value=float(max(row["first"], row["session"] - row["last"] - minutes)),
            expected=float(CUT_MINUTES),
            text=f"has bars from minute {row['first']} to {row['last'] + minutes} of {row['session']} only: "
            f"halted, a torn file, or stamps that are not in the exchange's local time",
        )
        for day, row in cut.iterrows()
    ]


def _clock(stamp: datetime) -> str:
    return f"{stamp:%H:%M:%S}"
