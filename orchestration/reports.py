"""What jobs propose in their result files: validated here, then committed by the daemon, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from orchestration import calendar_source
from orchestration.changes import Change, SessionsSaved
from orchestration.errors import CalendarError
from orchestration.market_calendar import Calendars
from orchestration.runs import TaskResult
from orchestration.sessions import Override
from orchestration.types import Offsets, Session

MOST_ALERTS, MOST_CHARACTERS = 20, 500
"""A job's report is not trusted to be short."""


class SessionTables:
    """The session tables in force, by exchange, with the operator's overrides.

    broker: whose calendar is compared with them, if its sessions are stored.
    """

    def __init__(
        self,
        stored: Mapping[str, tuple[Session, ...]] | None = None,
        overrides: Sequence[Override] = (),
        home: str = "XNYS",
        offsets: Offsets | None = None,
        broker: str = "",
    ) -> None:
        self.stored = dict(stored or {})
        self.overrides = tuple(overrides)
        self.home, self.offsets = home, offsets or Offsets()
        self.broker = broker
        self._disagreements: tuple[str, ...] = ()

    def calendars(self, today: date) -> Calendars:
        """Return the calendars of these tables; the shipped list stands in where they do not reach."""
        self._disagreements = calendar_source.disagreements(
            self.stored, self.overrides, self.home, today=today, broker=self.broker
        )
        return calendar_source.build_calendars(
            self.stored, self.overrides, self.offsets, self.home, today=today, broker=self.broker
        )

    def disagreements(self, today: date) -> tuple[str, ...]:
        """Return where the broker's calendar differs from `today` on, each in words that begin with the day.

        As of the last call of `calendars`, which follows every change of a table or an override.
        """
        return tuple(line for line in self._disagreements if line[:10] >= today.isoformat())

    def take(self, changes: Sequence[Change]) -> bool:
        """Let committed tables replace the old ones; say whether there were any."""
        fresh = [c for c in changes if isinstance(c, SessionsSaved)]
        for change in fresh:
            self.stored[change.exchange] = change.sessions
        return bool(fresh)

    def known(self, exchange: str) -> tuple[Session, ...]:
        """Return the table that a new one must agree with about the past."""
        stored = self.stored.get(exchange, ())
        return stored or (calendar_source.load_shipped() if exchange == "XNYS" else ())


def proposals(result: TaskResult, tables: SessionTables, now: datetime) -> tuple[list[Change], str | None]:
    """Return the rows that a result's report asks for, and why it is refused if it is.

    Only a successful run proposes. `sessions`: new session tables, `broker`: what the broker says of them
    (see calendar_source).
    """
    if not result.success or "sessions" not in result.report:
        return [], None
    try:
        found = calendar_source.sessions_from_report(result.report)
        for exchange, sessions in found.items():
            calendar_source.accept(sessions, tables.known(exchange), now.date())
        told = calendar_source.broker_sessions_from_report(result.report)
    except CalendarError as error:
        return [], f"the new session table was refused and the old one kept: {error}"
    source = str(result.report.get("source", "unnamed"))
    saved = [(name, sessions, source) for name, sessions in found.items()]
    saved += [(name, sessions, name.partition("@")[2]) for name, sessions in told.items()]
    return [
        SessionsSaved(exchange=name, sessions=sessions, source=where, at=now)
        for name, sessions, where in saved
    ], None


def alerts_told(result: TaskResult) -> dict[str, str]:
    """Return what a job wants a person to see although it succeeded: its report's `alerts`, texts by name.

    They stand until a later success of the task no longer tells them. At most 20, each cut to 500 characters.
    """
    told = result.report.get("alerts")
    if not isinstance(told, Mapping):
        return {}
    return {str(name)[:100]: str(text)[:MOST_CHARACTERS] for name, text in list(told.items())[:MOST_ALERTS]}


def error_told(result: TaskResult) -> str:
    """Return why a job failed in its own words: its report's `error`, cut to 500 characters; empty: none."""
    told = result.report.get("error")
    return told[:MOST_CHARACTERS] if isinstance(told, str) else ""
