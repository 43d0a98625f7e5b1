"""Invariants of the box's day over random session tables, and over ten years of rule-made ones.

The expected mode and phase come from a second method: the rules of docs/calendar.md read word by word, one
instant at a time, in local time.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.cron import cron_at_or_before, cron_next
from orchestration.market_calendar import Calendars
from orchestration.sessions import Sessions
from orchestration.types import OperatingMode, Phase, Session, Stretch
from tests.calendars import NEW_YORK, nyse_day

DAY = timedelta(days=1)
TRADING_PHASES = {Phase.MARKET_OPEN, Phase.POST_MARKET}


@st.composite
def tables(draw: st.DrawFn) -> Sessions:
    """Draw some weeks of sessions with random holidays, early closes and clock changes."""
    first = draw(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
    length = draw(st.integers(10, 40))
    kinds = draw(st.lists(st.sampled_from(["full", "full", "full", "early", "closed"]), min_size=length))
    sessions = []
    for i, kind in enumerate(kinds[:length]):
        day = first + i * DAY
        if day.weekday() < 5 and kind != "closed":
            sessions.append(nyse_day(day, time(13) if kind == "early" else time(16)))
    return Sessions("XNYS", NEW_YORK, sessions, (first, first + length * DAY))


def rule_by_rule(table: Sessions, now: datetime) -> tuple[OperatingMode, Phase, date] | None:
    """Return mode, phase and cycle by the words of the rules; None where a neighbour is missing."""
    following = [s for s in table.table if s.close > now]
    if not following:
        return None
    session = following[0]
    ready = datetime.combine(session.day, time(8), NEW_YORK)
    if now >= session.open:
        return OperatingMode.TRADING, Phase.MARKET_OPEN, session.day
    if now >= ready:
        return OperatingMode.PREP, Phase.PRE_MARKET, session.day
    before = table.previous(session.day)
    if before is None:
        return None
    if now < before.close + timedelta(hours=2):
        return OperatingMode.TRADING, Phase.POST_MARKET, session.day
    gap = [before.day + i * DAY for i in range(1, (session.day - before.day).days)]
    lead = timedelta(hours=6 if any(d.weekday() > 4 for d in gap) else 4)
    mode = OperatingMode.PREP if ready.astimezone(UTC) - now <= lead else OperatingMode.RESEARCH
    if not gap:
        return mode, Phase.OVERNIGHT, session.day
    day = min(max(now.astimezone(NEW_YORK).date(), gap[0]), gap[-1])
    return mode, Phase.WEEKEND if day.weekday() > 4 else Phase.HOLIDAY, session.day


def walk(calendars: Calendars, start: datetime, end: datetime) -> list[Stretch]:
    """Return the stretches from `start` to `end`, each found at the end of the one before."""
    found = [calendars.stretch(start)]
    while found[-1].end < end:
        found.append(calendars.stretch(found[-1].end))
    return found


@settings(max_examples=60, deadline=None)
@given(tables())
def test_stretches_tile_time_and_agree_with_the_rules(table: Sessions) -> None:
    calendars = Calendars({"XNYS": table})
    assert table.coverage is not None
    start = datetime.combine(table.coverage[0] - DAY, time(), NEW_YORK).astimezone(UTC)
    stretches = walk(calendars, start, start + 45 * DAY)

    for before, after in pairwise(stretches):
        assert before.end == after.start
        assert before.start < before.end
    for stretch in stretches:
        middle = stretch.start + (stretch.end - stretch.start) / 2
        for instant in (stretch.start, middle, stretch.end - timedelta(microseconds=1)):
            expected = rule_by_rule(table, instant)
            assert stretch.is_known == (expected is not None)
            if expected is not None:
                assert (stretch.mode, stretch.phase, stretch.cycle) == expected
            # Another path to the same answer: nothing remembered.
            assert Calendars({"XNYS": table}).stretch(instant) == stretch


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, 45 * 24 * 60))
def test_a_budget_falls_from_one_to_nothing(table: Sessions, minutes: int) -> None:
    calendars = Calendars({"XNYS": table})
    assert table.coverage is not None
    now = datetime.combine(table.coverage[0], time(), NEW_YORK).astimezone(UTC) + timedelta(minutes=minutes)

    stretch, budget = calendars.stretch(now), calendars.budget(now)

    assert 0 <= budget.research_hours <= budget.total_hours
    assert 0 <= budget.budget_pct_remaining <= 1
    assert stretch.research_start <= stretch.prep_start <= stretch.research_end
    if stretch.is_known and stretch.mode == OperatingMode.RESEARCH:
        assert budget.research_hours == (stretch.prep_start - now) / timedelta(hours=1)
        assert budget.research_hours > 0
    if stretch.mode == OperatingMode.PREP and stretch.phase != Phase.PRE_MARKET:
        assert budget.research_hours == 0
    facts = calendars.facts(now)
    assert facts.is_market_open == (stretch.phase == Phase.MARKET_OPEN)


@pytest.fixture(scope="module")
def ten_years() -> Calendars:
    """Weekdays from 2017 to 2026 but 4 July, Thanksgiving and Christmas; the Friday after closes early."""
    sessions: list[Session] = []
    day = date(2017, 1, 1)
    while day.year < 2027:
        thanksgiving = day.month == 11 and day.weekday() == 3 and 22 <= day.day <= 28
        closed = thanksgiving or (day.month, day.day) in ((7, 4), (12, 25))
        after = (day - DAY).month == 11 and day.weekday() == 4 and 22 <= (day - DAY).day <= 28
        if day.weekday() < 5 and not closed:
            sessions.append(nyse_day(day, time(13) if after else time(16)))
        day += DAY
    return Calendars({"XNYS": Sessions("XNYS", NEW_YORK, sessions)})


def test_every_session_of_ten_years_opens_once_and_closes_once(ten_years: Calendars) -> None:
    table = ten_years.home.table
    stretches = walk(ten_years, table[0].open - timedelta(hours=1), table[-1].close)

    opens = Counter(s.start for s in stretches if s.phase == Phase.MARKET_OPEN and s.is_known)
    closes = Counter(s.start for s in stretches if s.phase == Phase.POST_MARKET)

    assert opens == Counter(s.open for s in table)
    assert closes == Counter(s.close for s in table[:-1])


def test_ten_years_of_research_windows_have_whole_hours_but_for_clock_changes(ten_years: Calendars) -> None:
    table = ten_years.home.table
    plain_weekends = Counter(
        ten_years.budget(s.close + timedelta(hours=2)).research_hours
        for s in table[:-1]
        if s.day.weekday() == 4 and ten_years.home.on(s.day + 3 * DAY) and not s.is_early_close
    )

    # A clock change falls on a weekend twice a year, once each way; all others last 56 h.
    assert plain_weekends[55.0] == 10
    assert plain_weekends[57.0] == 10
    assert set(plain_weekends) == {55.0, 56.0, 57.0}


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001  # made aware below
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "15 1 * * sun", "0 0 1 * *", "5,35 1-3 * 3,11 *"]),
)
def test_looking_ahead_and_looking_back_meet(naive: datetime, cron: str) -> None:
    now = naive.replace(tzinfo=UTC)

    ahead = cron_next(cron, now, NEW_YORK)

    assert ahead is not None
    assert ahead > now
    assert cron_at_or_before(cron, ahead, NEW_YORK, 40 * DAY) == ahead
    last = cron_at_or_before(cron, ahead - timedelta(microseconds=1), NEW_YORK, timedelta(days=600))
    assert last is not None
    assert last <= now
    assert cron_next(cron, last, NEW_YORK) == ahead
