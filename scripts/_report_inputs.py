"""Reads what a report is made of: the daemon's database, the bars' index, the findings, the box."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from config import Settings
from hardware.health import read_health
from observability.report_facts import read_facts
from orchestration.errors import OrchestratorError
from orchestration.market_calendar import Calendars
from orchestration.sessions import local_midnight
from orchestration.types import Session
from scripts._job import parser, settings
from scripts._report_values import Inputs, Window
from scripts._session_hours import read_calendars
from trading.marketdata.findings import FindingLog
from trading.marketdata.index import read_index


@dataclass(frozen=True, slots=True)
class Days:
    """The trading days as the daemon knows them (its table made careful by the broker's, else the shipped
    list)."""

    calendars: Calendars

    @classmethod
    def read(cls, database: Path, instant: datetime, settings: Settings) -> Days:
        """Read the session table out of `database`; without one the shipped list stands in.

        Raises:
            OrchestratorError: if the operator's overrides cannot be used.
        """
        return cls(read_calendars(settings, database, instant.date()))

    @property
    def zone(self) -> ZoneInfo:
        return self.calendars.home.zone

    @property
    def after_close(self) -> timedelta:
        return self.calendars.offsets.after_close

    def local_date(self, instant: datetime) -> date:
        return self.calendars.home.local_date(instant)

    def midnight(self, day: date) -> datetime:
        return local_midnight(day, self.zone)

    def on(self, day: date) -> Session | None:
        return self.calendars.home.on(day)

    def before(self, day: date) -> Session | None:
        """Return the last session before `day`; None if the table has none."""
        return next((s for s in reversed(self.calendars.home.table) if s.day < day), None)

    def last_opened(self, instant: datetime) -> date | None:
        """Return the last trading day that has opened by `instant`; None if the table has none."""
        return next((s.day for s in reversed(self.calendars.home.table) if s.open <= instant), None)

    def next_session(self, instant: datetime) -> Session | None:
        """Return the first session that opens after `instant`; None if the table has none."""
        return next((s for s in self.calendars.home.table if s.open > instant), None)

    def windows(self, since: datetime, until: datetime) -> list[Window]:
        """Return the research windows that ended in (since, until], the oldest first."""
        found = []
        for before, after in zip(self.calendars.home.table, self.calendars.home.table[1:], strict=False):
            if after.open <= since or before.close >= until:
                continue
            stretch = self.calendars.stretch(before.close + self.after_close)
            if since < stretch.prep_start <= until:
                found.append(Window(after.day.isoformat(), stretch.research_start, stretch.prep_start))
        return found


def report_parser(doc: str | None, day: str) -> argparse.ArgumentParser:
    """Return the parser of a report. day: which one `--day` names, and which is taken without it."""
    made = parser(doc, "state_dir", "data_dir")
    made.add_argument("--day", type=date.fromisoformat, help=day)
    return made


def known_days(made: argparse.ArgumentParser, state_dir: Path, instant: datetime) -> Days:
    """Return the box's trading days; ends the process with code 2 and one clear line when settings or
    overrides cannot be used."""
    try:
        return Days.read(state_dir / "performance.db", instant, settings(made))
    except OrchestratorError as error:
        made.error(str(error))


def gather(
    state_dir: Path, data_dir: Path, days: Days, since: datetime, until: datetime, instant: datetime
) -> Inputs:
    """Read everything for the stretch [since, until); what is not there is empty or unknown."""
    database = state_dir / "performance.db"
    windows = days.windows(since, until)
    return Inputs(
        since=since,
        until=until,
        now=instant,
        zone=days.zone,
        facts=read_facts(database, since, until),
        windows=windows,
        window_runs={w.name: read_facts(database, w.start, w.prep).runs for w in windows},
        bars=read_index(data_dir),
        findings=FindingLog(data_dir).read(),
        health=read_health(disk=state_dir if state_dir.exists() else None, now=instant),
        next_session=days.next_session(instant),
    )
