"""The calendar against answers from elsewhere: worked out by hand, and by pandas_market_calendars."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.calendar_source import build_calendars, load_shipped
from orchestration.ctl.calendar_commands import calendar_answer, calendars_for
from orchestration.market_calendar import Calendars
from orchestration.types import Phase
from tests.calendars import NEW_YORK, ny

# A warning of the package's own. Its NYSE rules are written apart from those our session tables come from.
pytestmark = pytest.mark.filterwarnings("ignore:Series.dt.weekday is deprecated")

TABLE = Path(__file__).parents[1] / "golden" / "calendar_answers.csv"
FIRST, LAST = date(2017, 1, 1), date(2026, 12, 31)


def rows() -> list[dict[str, str]]:
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["at"]))
def test_answers_are_those_worked_out_by_hand(row: dict[str, str]) -> None:
    answer = calendar_answer(build_calendars({}, today=date(2026, 11, 20)), ny(row["at"]))

    for key, column in (
        *(("mode", "mode"), ("phase", "phase"), ("cycle", "cycle"), ("budget_type", "type")),
        ("next_trading_day", "next"),
    ):
        assert answer[key] == row[column], key
    for key, column in (
        ("total_hours", "total"),
        ("research_hours", "research"),
        ("hours_until_trading", "hours"),
    ):
        assert answer[key] == float(row[column]), key
    for key, column in (
        *(("is_extended", "extended"), ("is_trading_day", "trading_day")),
        *(("is_early_close", "early"), ("is_market_open", "open")),
    ):
        assert answer[key] == (row[column] == "yes"), key


@pytest.fixture(scope="module")
def schedule() -> Any:
    import pandas_market_calendars

    calendar: Any = pandas_market_calendars.get_calendar("NYSE")
    table = calendar.schedule(FIRST, LAST)
    table["early"] = table.index.isin(calendar.early_closes(table).index)
    return table


@pytest.fixture(scope="module")
def ten_years() -> Calendars:
    return calendars_for("XNYS", FIRST, LAST, Calendars({}))


def test_ten_years_of_days_agree_with_the_package(schedule: Any, ten_years: Calendars) -> None:
    opens = {row.Index.date(): row for row in schedule.itertuples()}
    day = FIRST
    while day <= LAST:
        session, row = ten_years.home.on(day), opens.get(day)
        assert (session is None) == (row is None), day
        if session is not None and row is not None:
            assert (session.open, session.close) == (row.market_open, row.market_close)
            assert ten_years.is_early_close(day) == row.early
        assert ten_years.is_holiday(day) == (row is None and day.weekday() < 5)
        day += timedelta(days=1)


def test_ten_years_of_half_hours_are_open_when_the_package_says_so(
    schedule: Any, ten_years: Calendars
) -> None:
    spans = [(r.market_open.to_pydatetime(), r.market_close.to_pydatetime()) for r in schedule.itertuples()]
    now, at, open_instants = spans[0][0], 0, 0
    while at < len(spans):
        is_open = spans[at][0] <= now < spans[at][1]
        stretch = ten_years.stretch(now)
        assert (stretch.phase == Phase.MARKET_OPEN) == is_open, now
        open_instants += is_open
        now += timedelta(minutes=30)
        if now >= spans[at][1]:
            at += 1
    # 13 half hours in a full day, 7 in one that closes at 13:00.
    early = int(schedule["early"].sum())
    assert open_instants == 13 * (len(spans) - early) + 7 * early


def test_the_shipped_list_agrees_with_the_package() -> None:
    import pandas_market_calendars

    calendar: Any = pandas_market_calendars.get_calendar("NYSE")
    table = calendar.schedule(date(2025, 1, 1), date(2030, 12, 31))

    assert [(s.day, s.open, s.close) for s in load_shipped()] == [
        (row.Index.date(), row.market_open, row.market_close) for row in table.itertuples()
    ]


def test_local_bells_do_not_move_with_the_clocks(ten_years: Calendars) -> None:
    bells: set[str] = {f"{s.open.astimezone(NEW_YORK):%H:%M}" for s in ten_years.home.table}

    assert bells == {"09:30"}
    assert ten_years.facts(datetime(2026, 3, 9, 13, 30, tzinfo=NEW_YORK)).is_market_open
