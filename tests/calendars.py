"""Small hand-made session tables for tests: no file, no calendar package."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestration.market_calendar import Calendars
from orchestration.sessions import Sessions
from orchestration.types import Offsets, Session

NEW_YORK = ZoneInfo("America/New_York")
TOKYO = ZoneInfo("Asia/Tokyo")


def ny(text: str) -> datetime:
    """Return the instant of a New York wall-clock time, e.g. "2026-11-20T18:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def nyse_day(day: date, close: time = time(16)) -> Session:
    """Return a New York session from 09:30 to `close`."""
    return Session(
        exchange="XNYS",
        day=day,
        open=datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC),
        close=datetime.combine(day, close, NEW_YORK).astimezone(UTC),
        is_early_close=close < time(16),
    )


def tokyo_day(day: date) -> Session:
    """Return a Tokyo session, 09:00 to 11:30 and 12:30 to 15:30 (as since November 2024)."""
    at = [
        datetime.combine(day, time(*hm), TOKYO).astimezone(UTC)
        for hm in ((9, 0), (11, 30), (12, 30), (15, 30))
    ]
    return Session(exchange="XTKS", day=day, open=at[0], break_start=at[1], break_end=at[2], close=at[3])


def weekdays(first: str, last: str, closed: Iterable[str] = ()) -> list[date]:
    """Return the weekdays from `first` to `last` without `closed`."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = (start + timedelta(days=i) for i in range((end - start).days + 1))
    return [d for d in days if d.weekday() < 5 and d.isoformat() not in set(closed)]


CLOSED_2026 = (
    *("2026-01-01", "2026-01-19", "2026-02-16", "2026-04-03", "2026-05-25", "2026-06-19", "2026-07-03"),
    *("2026-09-07", "2026-11-26", "2026-12-25"),
)
"""The New York holidays of 2026 as the exchange published them."""
EARLY_2026 = ("2026-11-27", "2026-12-24")


def nyse_2026() -> Sessions:
    """Return New York's table of 2026."""
    days = weekdays("2026-01-01", "2026-12-31", CLOSED_2026)
    sessions = [nyse_day(d, time(13) if d.isoformat() in EARLY_2026 else time(16)) for d in days]
    return Sessions("XNYS", NEW_YORK, sessions, (date(2026, 1, 1), date(2026, 12, 31)))


def tokyo_november() -> Sessions:
    """Return Tokyo's table of November 2026 (the 3rd and the 23rd are holidays)."""
    days = weekdays("2026-11-01", "2026-11-30", ("2026-11-03", "2026-11-23"))
    return Sessions("XTKS", TOKYO, map(tokyo_day, days), (date(2026, 11, 1), date(2026, 11, 30)))


def calendars_2026(offsets: Offsets | None = None) -> Calendars:
    """Return New York's 2026 as home, and Tokyo's November."""
    return Calendars({"XNYS": nyse_2026(), "XTKS": tokyo_november()}, offsets=offsets)
