"""Compiles session tables with pandas_market_calendars: heavy, so only for jobs and the control command."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.errors import CalendarError
from orchestration.sessions import ALWAYS, mic
from orchestration.types import Session

PACKAGE = "pandas_market_calendars"


def source() -> str:
    """Return who says so: the package's name and version."""
    return f"{PACKAGE} {version(PACKAGE)}"


def compile_sessions(exchange: str, first: date, last: date) -> tuple[tuple[Session, ...], ZoneInfo]:
    """Return the sessions of `exchange` (MIC or alias) from `first` to `last`, and its zone.

    Raises:
        CalendarError: if the package does not know the exchange.
    """
    import pandas_market_calendars

    name = mic(exchange)
    if name == ALWAYS:
        return (), ZoneInfo("UTC")
    try:
        calendar: Any = pandas_market_calendars.get_calendar(name)
    except RuntimeError as error:
        raise CalendarError(
            f"{PACKAGE} knows no exchange {exchange!r}; give a MIC name such as XNYS, XTKS or XLON"
        ) from error
    table: Any = calendar.schedule(first, last)
    early = set(calendar.early_closes(table).index)
    sessions = tuple(
        Session(
            exchange=name,
            day=row.Index.date(),
            open=_instant(row.market_open),
            close=_instant(row.market_close),
            break_start=_pause(row, "break_start"),
            break_end=_pause(row, "break_end"),
            is_early_close=row.Index in early,
        )
        for row in table.itertuples()
    )
    return sessions, ZoneInfo(str(calendar.tz))


def _instant(stamp: Any) -> datetime:
    instant: datetime = stamp.to_pydatetime()
    return instant.astimezone(UTC)


def _pause(row: Any, column: str) -> datetime | None:
    """Return the break's time; None without one, or when it lasts no time at all."""
    stamp = getattr(row, column, None)
    if stamp is None or stamp != stamp or row.break_start == row.break_end:
        return None
    return _instant(stamp)
