"""The when-grammar: "open+30m..close-15m" as intervals of a day. Core: no clock, file or environment.

    window  := instant ".." instant
    instant := anchor [("+"|"-") dur] | HH:MM ["@" zone]
    anchor  := pre | open | break_start | break_end | close | post | prep
    dur     := (int ("s"|"m"|"h"))+

A window is one interval: on an exchange with a midday break `open..close` spans the break, and the two halves
are `open..break_start` and `break_end..close`. docs/when.md has the rules and examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from orchestration.cron import check_cron, cron_at_or_before, cron_next, cron_previous
from orchestration.errors import WhenError
from orchestration.market_calendar import Calendars
from orchestration.sessions import Sessions, local_midnight, resolve_local
from orchestration.trading_days import OnExpr, matches, parse_on
from orchestration.types import Interval, Session

__all__ = [
    "InstantExpr",
    "OnExpr",
    "WindowExpr",
    "check",
    "check_breaks",
    "check_cron",
    "cron_at_or_before",
    "cron_next",
    "cron_previous",
    "instant_on",
    "matches",
    "parse_duration",
    "parse_instant",
    "parse_on",
    "parse_window",
    "resolve_local",
    "window_on",
]

ANCHORS = ("pre", "open", "break_start", "break_end", "close", "post", "prep")
BREAKS = ("break_start", "break_end")
DAY_MINUTES = 24 * 60
_ANCHOR = re.compile(r"(?P<anchor>[A-Za-z_]\w*)(?:\s*(?P<sign>[+-])\s*(?P<dur>.*))?")
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?:\s*@\s*(?P<zone>\S+))?")
_PART = re.compile(r"(\d+)\s*([smh])")
_DURATION = re.compile(r"(?:\d+\s*[smh]\s*)+")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class InstantExpr:
    """A parsed instant: an anchor with an offset, or minutes of the local day (1440: 24:00).

    zone: of a clock time; None: the exchange's.
    """

    text: str
    anchor: str | None = None
    offset: timedelta = timedelta(0)
    minutes: int = 0
    zone: ZoneInfo | None = None

    @property
    def needs_session(self) -> bool:
        """Whether it exists on trading days only."""
        return self.anchor is not None and self.anchor != "prep"


@dataclass(frozen=True, slots=True)
class WindowExpr:
    """A parsed window."""

    text: str
    start: InstantExpr
    end: InstantExpr

    @property
    def needs_session(self) -> bool:
        """Whether it exists on trading days only."""
        return self.start.needs_session or self.end.needs_session


@lru_cache(maxsize=512)
def parse_window(text: str) -> WindowExpr:
    """Parse "A..B".

    Raises:
        WhenError: with the position (from 1) of what cannot be read, and a suggestion.
    """
    start, dots, end = text.partition("..")
    if not dots:
        raise WhenError(f"window {text!r}: '..' is missing; write start..end, e.g. open+30m..close-15m")
    return WindowExpr(text, _instant(text, start, 0), _instant(text, end, len(start) + 2))


@lru_cache(maxsize=512)
def parse_instant(text: str) -> InstantExpr:
    """Parse an anchor with an offset, or HH:MM with an optional @zone.

    Raises:
        WhenError: with the position (from 1) of what cannot be read, and a suggestion.
    """
    return _instant(text, text, 0)


@lru_cache(maxsize=512)
def parse_duration(text: str) -> timedelta:
    """Parse a duration such as "90s", "15m" or "1h30m"; it is longer than nothing.

    Raises:
        WhenError: if it is not one.
    """
    duration = _duration(text)
    if duration is None or not duration:
        raise WhenError(f"duration {text!r} is none; write e.g. 90s, 15m or 1h30m")
    return duration


def _duration(text: str) -> timedelta | None:
    if not _DURATION.fullmatch(text.strip().lower()):
        return None
    seconds = sum(int(n) * _SECONDS[unit] for n, unit in _PART.findall(text.lower()))
    return timedelta(seconds=seconds) if seconds <= 366 * 86400 else None


def _instant(text: str, piece: str, at: int) -> InstantExpr:
    at += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    if not piece:
        raise _refuse(
            text, at, "an instant is missing", "write an anchor such as open, or a time such as 09:30"
        )
    if match := _CLOCK.fullmatch(piece):
        return _clock_time(text, piece, match, at)
    match = _ANCHOR.fullmatch(piece)
    if match is None:
        raise _refuse(
            text, at, f"{piece!r} is no instant", "write an anchor such as open+30m, or HH:MM[@zone]"
        )
    anchor = match["anchor"].lower()
    if anchor not in ANCHORS:
        raise _refuse(text, at, f"unknown anchor {match['anchor']!r}", _did_you_mean(anchor, ANCHORS))
    if match["sign"] is None:
        return InstantExpr(piece, anchor)
    offset = _duration(match["dur"])
    if offset is None:
        where = at + match.start("dur")
        raise _refuse(text, where, f"{match['dur']!r} is no duration", "write e.g. 90s, 15m or 1h30m")
    return InstantExpr(piece, anchor, -offset if match["sign"] == "-" else offset)


def _clock_time(text: str, piece: str, match: re.Match[str], at: int) -> InstantExpr:
    hour, minute = int(match["hour"]), int(match["minute"])
    minutes = hour * 60 + minute
    if minute > 59 or minutes > DAY_MINUTES:
        raise _refuse(
            text, at, f"{match['hour']}:{match['minute']} is no time", "hours go from 00:00 to 24:00"
        )
    zone = _zone(text, match["zone"], at + match.start("zone")) if match["zone"] else None
    return InstantExpr(piece, minutes=minutes, zone=zone)


def _zone(text: str, name: str, at: int) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        from zoneinfo import available_timezones

        hint = _did_you_mean(name, ("UTC", *sorted(available_timezones())), 3)
        raise _refuse(text, at, f"unknown zone {name!r}", hint) from error


def _did_you_mean(word: str, known: tuple[str, ...], show: int = len(ANCHORS)) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1, 0.5)
    return f"Did you mean {near[0]!r}?" if near else "known are " + ", ".join(known[:show])


def _refuse(text: str, at: int, what: str, hint: str) -> WhenError:
    return WhenError(f"{text!r}: {what} at position {at + 1}. {hint[0].upper()}{hint[1:]}")


def window_on(
    expr: WindowExpr, day: date, exchange: Sessions, calendars: Calendars
) -> tuple[tuple[Interval, ...], str | None]:
    """Return the interval of `day` (a local date of the exchange) as a tuple of one, and None; or an empty
    tuple and the reason.

    Two clock times of which the second is not later roll over to the next day. `prep` is the first PREP start
    of the box after the session's close, or after midnight of a day without a session.
    """
    start, reason = _resolve(expr.start, day, exchange, calendars)
    end, end_reason = _resolve(expr.end, day, exchange, calendars)
    if start is None or end is None:
        return (), reason or end_reason
    if _rolls_over(expr, exchange, start, end):
        end = _wall_clock(expr.end, day + timedelta(days=1), exchange)
    if start >= end:
        return (), _why_empty(expr, day, exchange, start, end)
    return (Interval(start, end),), None


def _rolls_over(expr: WindowExpr, exchange: Sessions, start: datetime, end: datetime) -> bool:
    a, b = expr.start, expr.end
    if a.anchor is not None or b.anchor is not None:
        return False
    if (a.zone or exchange.zone) == (b.zone or exchange.zone):
        # By the clock on the wall: 02:00..02:30 in the spring gap is empty, not a day long.
        return b.minutes <= a.minutes
    return end <= start


def instant_on(
    expr: InstantExpr, day: date, exchange: Sessions, calendars: Calendars
) -> tuple[datetime | None, str | None]:
    """Return the instant of `day`, a local date of the exchange, and None; or None and the reason."""
    return _resolve(expr, day, exchange, calendars)


def _resolve(
    expr: InstantExpr, day: date, exchange: Sessions, calendars: Calendars
) -> tuple[datetime | None, str | None]:
    if expr.anchor is None:
        return _wall_clock(expr, day, exchange), None
    session = exchange.on(day)
    if expr.anchor == "prep":
        after = session.close if session is not None else local_midnight(day, exchange.zone)
        prep = calendars.next_prep(after)
        if prep is None:
            return None, f"the next PREP after {day} is not in the session table of {calendars.home.exchange}"
        return prep + expr.offset, None
    if session is None:
        return None, _why_closed(day, exchange)
    moment = _anchor(expr.anchor, session, exchange, calendars)
    if moment is None:
        return None, f"{day} has no midday break on {exchange.exchange}, so no {expr.anchor}"
    return moment + expr.offset, None


def _anchor(name: str, session: Session, exchange: Sessions, calendars: Calendars) -> datetime | None:
    if name == "pre":
        return calendars.pre(session, exchange)
    if name == "post":
        return calendars.post(session)
    moment: datetime | None = getattr(session, name)
    return moment


def _wall_clock(expr: InstantExpr, day: date, exchange: Sessions) -> datetime:
    return local_midnight(day, expr.zone or exchange.zone, expr.minutes)


def _why_closed(day: date, exchange: Sessions) -> str:
    if exchange.covers(day):
        return f"{day} is not a trading day of {exchange.exchange}"
    span = "is empty" if exchange.coverage is None else "covers {} to {}".format(*exchange.coverage)
    return f"{day} is not known: the session table of {exchange.exchange} {span}"


def _why_empty(expr: WindowExpr, day: date, exchange: Sessions, start: datetime, end: datetime) -> str:
    session = exchange.on(day)
    short = ", an early close" if session is not None and session.is_early_close else ""
    return (
        f"empty on {day}{short}: {expr.start.text} ({_shown(start, day, exchange)}) is not before"
        f" {expr.end.text} ({_shown(end, day, exchange)}), times in {exchange.zone.key}"
    )


def _shown(instant: datetime, day: date, exchange: Sessions) -> str:
    local = instant.astimezone(exchange.zone)
    return f"{local:%H:%M}" if local.date() == day else f"{local:%Y-%m-%d %H:%M}"


def check_breaks(expr: WindowExpr | InstantExpr, exchange: Sessions) -> None:
    """Check that the exchange has what the expression names.

    Raises:
        WhenError: if it names a midday break and the exchange has none.
    """
    parts = (expr.start, expr.end) if isinstance(expr, WindowExpr) else (expr,)
    for part in parts:
        if part.anchor in BREAKS and not exchange.has_breaks:
            raise WhenError(
                f"{expr.text!r}: {exchange.exchange} has no midday break, so {part.anchor} never comes;"
                " use open or close, or another calendar"
            )


def check(
    expr: WindowExpr | InstantExpr,
    on: OnExpr,
    first: date,
    exchange: Sessions,
    calendars: Calendars,
    days: int = 400,
) -> list[date]:
    """Return the days of `on`, among the `days` from `first` that the table covers, on which `expr` is empty.

    Days without a session are passed over where `on` is "all" and the expression needs a session: such an
    expression speaks of trading days by itself.

    Raises:
        WhenError: if the expression names a midday break and the exchange has none.
    """
    check_breaks(expr, exchange)
    implied = on.text.strip().lower() == "all" and expr.needs_session
    candidates = (first + timedelta(days=i) for i in range(days))
    return [
        day
        for day in candidates
        if exchange.covers(day)
        and matches(on, day, exchange)
        and not (implied and exchange.on(day) is None)
        and _is_empty(expr, day, exchange, calendars)
    ]


def _is_empty(expr: WindowExpr | InstantExpr, day: date, exchange: Sessions, calendars: Calendars) -> bool:
    if isinstance(expr, WindowExpr):
        return not window_on(expr, day, exchange, calendars)[0]
    return instant_on(expr, day, exchange, calendars)[0] is None
