"""Modes, phases, windows and budgets, with expected values worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import isinf
from zoneinfo import ZoneInfo

import pytest

from orchestration.errors import CalendarError
from orchestration.market_calendar import Calendars
from orchestration.sessions import Override, Sessions, resolve_local
from orchestration.types import Offsets, OperatingMode, Phase, Session
from tests.calendars import NEW_YORK, calendars_2026, ny, nyse_2026, nyse_day, tokyo_november


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    return calendars_2026()


@pytest.mark.parametrize(
    ("at", "hours"),
    [
        ("2026-11-18T18:00", 10),
        ("2026-11-20T18:00", 56),
        ("2026-09-04T18:00", 80),
        ("2026-11-26T06:00", 22),
        ("2026-03-06T18:00", 55),  # clocks go forward on Sunday
        ("2026-10-30T18:00", 57),  # clocks go back on Sunday
    ],
)
def test_research_hours_are_elapsed_hours_until_prep(calendars: Calendars, at: str, hours: float) -> None:
    assert calendars.budget(ny(at)).research_hours == hours


@pytest.mark.parametrize(
    ("at", "mode", "phase"),
    [
        ("2026-11-19T07:59", "prep", "OVERNIGHT"),
        ("2026-11-19T08:00", "prep", "PRE_MARKET"),
        ("2026-11-19T09:30", "trading", "MARKET_OPEN"),
        ("2026-11-19T16:00", "trading", "POST_MARKET"),
        ("2026-11-19T18:00", "research", "OVERNIGHT"),
        ("2026-11-20T03:59", "research", "OVERNIGHT"),
        ("2026-11-20T04:00", "prep", "OVERNIGHT"),
        ("2026-11-21T12:00", "research", "WEEKEND"),
        ("2026-11-23T02:00", "prep", "WEEKEND"),
        ("2026-11-25T18:00", "research", "HOLIDAY"),
        ("2026-09-06T23:59", "research", "WEEKEND"),
        ("2026-09-07T00:00", "research", "HOLIDAY"),
    ],
)
def test_mode_and_phase_follow_the_session(calendars: Calendars, at: str, mode: str, phase: str) -> None:
    stretch = calendars.stretch(ny(at))

    assert (stretch.mode, stretch.phase) == (mode, phase)


def test_a_stretch_is_cut_at_prep_but_its_window_is_the_whole_phase(calendars: Calendars) -> None:
    stretch = calendars.stretch(ny("2026-11-21T12:00"))

    assert (stretch.start, stretch.end) == (ny("2026-11-20T18:00"), ny("2026-11-23T02:00"))
    assert (stretch.window.start, stretch.window.end) == (ny("2026-11-20T18:00"), ny("2026-11-23T08:00"))
    assert stretch.window.id == "2026-11-23/WEEKEND"
    assert stretch.cycle == date(2026, 11, 23)


def test_a_holiday_weekend_has_one_window_per_phase(calendars: Calendars) -> None:
    weekend = calendars.stretch(ny("2026-09-05T12:00")).window
    holiday = calendars.stretch(ny("2026-09-07T12:00")).window

    assert (weekend.start, weekend.end) == (ny("2026-09-04T18:00"), ny("2026-09-07T00:00"))
    assert (holiday.start, holiday.end) == (ny("2026-09-07T00:00"), ny("2026-09-08T08:00"))


def test_post_market_belongs_to_its_session_and_to_the_next_cycle(calendars: Calendars) -> None:
    stretch = calendars.stretch(ny("2026-11-27T14:00"))

    assert stretch.window.id == "2026-11-27/POST_MARKET"
    assert stretch.cycle == date(2026, 11, 30)
    assert stretch.end == ny("2026-11-27T15:00")


def test_the_same_answer_is_kept_while_it_holds(calendars: Calendars) -> None:
    first = calendars.stretch(ny("2026-11-19T10:00"))

    assert calendars.stretch(ny("2026-11-19T15:59")) is first
    assert calendars.stretch(ny("2026-11-19T16:00")) is not first
    assert calendars.stretch(ny("2026-11-19T10:00")) == first


def test_facts_of_an_early_close_while_open(calendars: Calendars) -> None:
    facts = calendars.facts(ny("2026-11-27T12:59"))

    assert facts.is_trading_day
    assert facts.is_early_close
    assert facts.is_market_open
    assert facts.next_trading_day == date(2026, 11, 30)


def test_the_next_trading_day_is_today_until_eight(calendars: Calendars) -> None:
    assert calendars.facts(ny("2026-11-20T07:59")).next_trading_day == date(2026, 11, 20)
    assert calendars.facts(ny("2026-11-20T08:00")).next_trading_day == date(2026, 11, 23)
    assert calendars.facts(ny("2026-11-20T08:00")).hours_until_trading == 1.5


def test_a_holiday_is_a_weekday_without_a_session_within_the_table(calendars: Calendars) -> None:
    assert calendars.is_holiday(date(2026, 12, 25))
    assert not calendars.is_holiday(date(2026, 12, 26))
    assert not calendars.is_holiday(date(2027, 12, 24))
    assert calendars.is_early_close(date(2026, 12, 24))
    assert not calendars.is_early_close(date(2026, 12, 25))


def test_beyond_the_table_nothing_is_invented(calendars: Calendars) -> None:
    now = ny("2027-03-06T12:00")  # a Saturday

    stretch = calendars.stretch(now)

    assert not stretch.is_known
    assert (stretch.mode, stretch.phase) == (OperatingMode.RESEARCH, Phase.WEEKEND)
    assert (stretch.start, stretch.end) == (ny("2027-03-06T00:00"), ny("2027-03-07T00:00"))
    assert stretch.cycle == date(2027, 3, 6)
    assert stretch.budget_at(now).total_hours == 0
    assert stretch.budget_at(now).budget_pct_remaining == 0
    assert calendars.facts(now).next_trading_day is None
    assert isinf(calendars.facts(now).hours_until_trading)


def test_the_box_day_is_known_from_the_first_morning_to_the_last_close(calendars: Calendars) -> None:
    assert not calendars.stretch(ny("2026-01-02T07:59")).is_known
    assert calendars.stretch(ny("2026-01-02T07:59")).end == ny("2026-01-02T08:00")
    assert calendars.stretch(ny("2026-01-02T08:00")).is_known
    last = calendars.stretch(ny("2026-12-31T15:59"))
    assert last.is_known
    assert last.budget_at(ny("2026-12-31T15:59")).total_hours == 0
    after = calendars.stretch(ny("2026-12-31T16:00"))
    assert not after.is_known
    assert (after.start, after.phase) == (ny("2026-12-31T16:00"), Phase.OVERNIGHT)
    assert not calendars.facts(ny("2026-12-31T16:00")).is_market_open


def test_without_any_table_every_instant_is_unknown() -> None:
    calendars = Calendars({})

    assert not calendars.stretch(ny("2026-11-20T12:00")).is_known
    assert calendars.horizon() == date.min
    assert calendars.next_prep(ny("2026-11-20T12:00")) is None
    assert calendars.facts(ny("2026-11-20T12:00")).next_trading_day is None


def test_the_four_offsets_are_settings() -> None:
    offsets = Offsets(
        after_close=timedelta(hours=1),
        ready_at_minutes=7 * 60,
        prep_after_weekend=timedelta(hours=3),
        prep_after_night=timedelta(hours=2),
    )

    stretch = calendars_2026(offsets).stretch(ny("2026-11-20T17:00"))

    assert stretch.research_start == ny("2026-11-20T17:00")
    assert stretch.prep_start == ny("2026-11-23T04:00")
    assert stretch.research_end == ny("2026-11-23T07:00")
    assert calendars_2026(offsets).stretch(ny("2026-11-18T18:00")).prep_start == ny("2026-11-19T05:00")


def test_offsets_too_long_for_the_night_leave_no_research() -> None:
    calendars = calendars_2026(Offsets(after_close=timedelta(hours=20)))

    stretch = calendars.stretch(ny("2026-11-18T20:00"))

    assert (stretch.phase, stretch.end) == (Phase.POST_MARKET, ny("2026-11-19T08:00"))
    assert calendars.stretch(ny("2026-11-19T08:00")).phase == Phase.PRE_MARKET


@pytest.mark.parametrize("name", ["XNYS", "nyse", "NASDAQ", " XNAS "])
def test_an_exchange_answers_to_its_aliases(calendars: Calendars, name: str) -> None:
    assert calendars.exchange(name).exchange == "XNYS"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("XNYZ", "did you mean 'XNYS'"), ("LSE", "--exchange XLON"), ("?", "known are 24/7, XNYS, XTKS")],
)
def test_an_unknown_exchange_is_refused_with_a_suggestion(calendars: Calendars, name: str, hint: str) -> None:
    with pytest.raises(CalendarError, match=hint):
        calendars.exchange(name)


def test_around_the_clock_every_day_is_a_session(calendars: Calendars) -> None:
    table = calendars.exchange("24x7")
    session = table.on(date(2026, 12, 25))

    assert session is not None
    assert session.open == datetime(2026, 12, 25, tzinfo=UTC)
    assert session.close == datetime(2026, 12, 26, tzinfo=UTC)
    assert table.next(date(2026, 12, 25)) == table.on(date(2026, 12, 26))
    assert table.previous(date(2026, 12, 25)) == table.on(date(2026, 12, 24))
    assert table.covers(date(1999, 1, 1))
    assert table.count(date(2026, 12, 1), date(2026, 12, 31)) == 31
    assert not table.is_holiday(date(2026, 12, 25))


def test_the_home_exchange_must_close() -> None:
    with pytest.raises(CalendarError, match="never closes"):
        Calendars({}, home="24/7")


def test_neighbours_are_strict_and_end_with_the_table() -> None:
    table = nyse_2026()

    following = table.next(date(2026, 11, 25))
    before = table.previous(date(2026, 11, 27))
    assert following is not None
    assert before is not None
    assert following.day == date(2026, 11, 27)
    assert before.day == date(2026, 11, 25)
    assert table.next(date(2026, 12, 31)) is None
    assert table.previous(date(2026, 1, 2)) is None
    assert table.count(date(2026, 11, 23), date(2026, 11, 29)) == 4


def test_next_prep_is_strictly_after_and_ends_with_the_table(calendars: Calendars) -> None:
    assert calendars.next_prep(ny("2026-11-20T16:00")) == ny("2026-11-23T02:00")
    assert calendars.next_prep(ny("2026-11-23T02:00")) == ny("2026-11-24T04:00")
    assert calendars.next_prep(ny("2026-01-02T07:00")) is None
    assert calendars.next_prep(ny("2026-01-02T08:00")) == ny("2026-01-05T02:00")
    assert calendars.next_prep(ny("2026-12-31T09:00")) is None


def test_an_override_closes_a_day(calendars: Calendars) -> None:
    closed = calendars.with_overrides([Override(day=date(2026, 11, 19), is_closed=True)])

    assert closed.stretch(ny("2026-11-19T10:00")).phase == Phase.HOLIDAY
    assert closed.is_holiday(date(2026, 11, 19))
    assert closed.exchange("XTKS") is calendars.exchange("XTKS")


def test_an_override_closes_early_and_is_an_early_close(calendars: Calendars) -> None:
    short = calendars.with_overrides([Override(day=date(2026, 11, 19), close=time(14))])

    assert short.is_early_close(date(2026, 11, 19))
    assert short.stretch(ny("2026-11-19T16:00")).mode == OperatingMode.RESEARCH


def test_an_override_can_undo_an_early_close_and_open_late(calendars: Calendars) -> None:
    full = calendars.with_overrides([Override(day=date(2026, 11, 27), open=time(11), close=time(16))])

    assert not full.is_early_close(date(2026, 11, 27))
    assert full.stretch(ny("2026-11-27T10:59")).phase == Phase.PRE_MARKET
    assert full.stretch(ny("2026-11-27T11:00")).phase == Phase.MARKET_OPEN


def test_an_override_before_eight_moves_the_morning(calendars: Calendars) -> None:
    early = calendars.with_overrides([Override(day=date(2026, 11, 19), open=time(7))])

    assert early.stretch(ny("2026-11-19T07:00")).phase == Phase.MARKET_OPEN
    assert early.stretch(ny("2026-11-19T03:00")).mode == OperatingMode.PREP


def test_an_override_opens_a_closed_day_if_it_says_from_when_to_when(calendars: Calendars) -> None:
    saturday = date(2026, 11, 21)

    opened = calendars.with_overrides([Override(day=saturday, open=time(9, 30), close=time(12))])

    assert opened.stretch(ny("2026-11-21T10:00")).phase == Phase.MARKET_OPEN
    assert opened.stretch(ny("2026-11-22T10:00")).budget_type == "weekend"


def test_every_override_that_cannot_be_applied_is_named(calendars: Calendars) -> None:
    wrong = [
        Override(day=date(2026, 12, 25), close=time(13), where="o.csv:1"),
        Override(day=date(2026, 11, 27), open=time(14), where="o.csv:2"),
        Override(day=date(2026, 12, 25), open=time(13)),
    ]

    with pytest.raises(CalendarError) as caught:
        calendars.with_overrides(wrong)

    lines = str(caught.value).splitlines()
    assert "o.csv:1: 2026-12-25 has no session on XNYS" in lines[0]
    assert "o.csv:2: 2026-11-27 would open at 14:00 and close at 13:00" in lines[1]
    assert len(lines) == 3


def test_an_override_beyond_the_table_changes_nothing(calendars: Calendars) -> None:
    same = calendars.with_overrides([Override(day=date(2031, 1, 2), close=time(13))])

    assert same.home.table == calendars.home.table


def test_an_override_keeps_a_midday_break_that_still_fits() -> None:
    tokyo = Calendars({"XTKS": tokyo_november()}, home="JPX")
    day = date(2026, 11, 5)

    late = tokyo.with_overrides([Override(day=day, open=time(10))]).home.on(day)
    short = tokyo.with_overrides([Override(day=day, close=time(12))]).home.on(day)

    assert late is not None
    assert short is not None
    assert late.break_start == datetime(2026, 11, 5, 2, 30, tzinfo=UTC)
    assert (short.break_start, short.break_end) == (None, None)


def test_an_always_closed_table_can_be_overridden() -> None:
    span = (date(2026, 11, 1), date(2026, 11, 30))
    calendars = Calendars({"XNYS": Sessions("XNYS", NEW_YORK, (), span)})

    opened = calendars.with_overrides([Override(day=date(2026, 11, 5), open=time(9), close=time(13))])

    assert opened.is_early_close(date(2026, 11, 5))


def test_sessions_in_another_zone_are_kept_as_utc() -> None:
    day = date(2026, 11, 20)
    local = Session(
        exchange="XNYS",
        day=day,
        open=datetime(2026, 11, 20, 9, 30, tzinfo=NEW_YORK),
        close=datetime(2026, 11, 20, 16, tzinfo=NEW_YORK),
    )

    session = Sessions("XNYS", NEW_YORK, [local]).on(day)

    assert session is not None
    assert session.open.tzinfo is UTC
    assert session.close == datetime(2026, 11, 20, 21, tzinfo=UTC)


def test_a_table_refuses_what_cannot_be() -> None:
    day = date(2026, 11, 20)
    start, end = datetime(2026, 11, 20, 14, tzinfo=UTC), datetime(2026, 11, 20, 21, tzinfo=UTC)

    with pytest.raises(CalendarError, match="must be aware"):
        Sessions("X", NEW_YORK, [Session(exchange="X", day=day, open=start.replace(tzinfo=None), close=end)])
    with pytest.raises(CalendarError, match="must follow each other"):
        Sessions("X", NEW_YORK, [Session(exchange="X", day=day, open=end, close=start)])
    with pytest.raises(CalendarError, match="overlap"):
        Sessions("X", NEW_YORK, [nyse_day(day), nyse_day(day)])


@pytest.mark.parametrize(
    ("naive", "zone", "utc"),
    [
        ("2026-03-08T02:30", "America/New_York", "2026-03-08T07:00Z"),  # gap: 03:00 EDT
        ("2026-11-01T01:30", "America/New_York", "2026-11-01T05:30Z"),  # twice: the first, EDT
        ("2026-11-20T09:30", "America/New_York", "2026-11-20T14:30Z"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30Z"),  # half an hour is skipped
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00Z"),  # a whole day is skipped
    ],
)
def test_a_local_time_is_resolved_once(naive: str, zone: str, utc: str) -> None:
    assert resolve_local(datetime.fromisoformat(naive), ZoneInfo(zone)) == datetime.fromisoformat(utc)
