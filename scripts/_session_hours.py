"""The trading days' hours for the jobs: the daemon's own calendar, the operator's corrections included."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.calendar_source import LONGEST_BREAK, build_calendars, read_overrides
from orchestration.errors import CalendarError
from orchestration.market_calendar import Calendars
from orchestration.sessions import Sessions
from orchestration.state.stored_sessions import sessions_or_none
from orchestration.types import Session
from trading.execution.smart.plan import SessionHours

if TYPE_CHECKING:
    from config import Settings


class SessionBook:
    """Answers with a day's hours; reads the files again when they change, so that an early close entered
    by hand at noon holds at noon. What cannot be used then keeps the hours that were known: an order is not
    given up for a slip of the pen. today: the date whose table is wanted (past days may lie before the
    shipped one).

    Raises:
        CalendarError: by every question until the calendar was had once.
    """

    def __init__(self, settings: Settings, today: date) -> None:
        self._settings, self._today = settings, today
        self._database = settings.state_dir / "performance.db"
        self._seen: tuple[float | None, ...] | None = None
        self._calendars: Calendars | None = None

    def __call__(self, day: date) -> SessionHours | None:
        """Return the hours of `day`; None: the exchange is closed, or its table does not reach that far."""
        session = self._home().on(day)
        return None if session is None else hours_of(session)

    def last_session(self, now: datetime) -> SessionHours | None:
        """Return the newest session that has closed; None: the table begins after it."""
        home = self._home()
        today = home.local_date(now)
        session = home.on(today)
        if session is None or session.close > now:
            session = home.previous(today)
        return _hours_near(session, today)

    def next_session(self, now: datetime) -> SessionHours | None:
        """Return the session that is under way or comes next; None: the table ends before it."""
        home = self._home()
        today = home.local_date(now)
        session = home.on(today)
        if session is None or session.close <= now:
            session = home.next(today)
        return _hours_near(session, today)

    def around(self, now: datetime) -> list[SessionHours]:
        """Return the last session and the one that is under way or comes next, as far as they are known."""
        return [hours for hours in (self.last_session(now), self.next_session(now)) if hours is not None]

    def _home(self) -> Sessions:
        seen = tuple(_changed_at(path) for path in (self._settings.overrides, self._database))
        if self._calendars is None:
            self._calendars = read_calendars(self._settings, self._database, self._today)
        elif seen != self._seen:
            self._calendars = self._reread() or self._calendars
        self._seen = seen
        return self._calendars.home

    def _reread(self) -> Calendars | None:
        """Return the calendars as they are now; None: they cannot be used, or know nothing of the day."""
        try:
            fresh = read_calendars(self._settings, self._database, self._today)
        except CalendarError as error:
            print(f"the calendar that was known holds: {error}", file=sys.stderr, flush=True)
            return None
        return fresh if fresh.home.covers(self._today) else None


def read_calendars(settings: Settings, database: Path, today: date) -> Calendars:
    """Return the calendars as the daemon knows them: its table, made careful by the broker's, with the
    operator's corrections. Without a table in `database` the shipped list stands in.

    Raises:
        CalendarError: if the corrections or the table cannot be used.
    """
    return build_calendars(
        sessions_or_none(database),
        read_overrides(settings.overrides),
        settings.offsets,
        settings.exchange,
        today=today,
        broker=settings.broker,
    )


def _hours_near(session: Session | None, day: date) -> SessionHours | None:
    """Return a session's hours; None for one so far from `day` that the table cannot be whole in between."""
    if session is None or abs(session.day - day) > LONGEST_BREAK:
        return None
    return hours_of(session)


def hours_of(session: Session) -> SessionHours:
    """Return a session as the executor knows it."""
    pause = session.break_start, session.break_end
    return SessionHours(
        day=session.day,
        open=session.open,
        close=session.close,
        is_early_close=session.is_early_close,
        pauses=((pause[0], pause[1]),) if pause[0] and pause[1] else (),
    )


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
