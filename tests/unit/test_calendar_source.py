"""Which session tables are accepted, combined and built: values only, no file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from orchestration.calendar_source import (
    accept,
    accept_broker,
    broker_sessions_from_report,
    build_calendars,
    combine_with_broker,
    disagreements,
    sessions_from_report,
    zone_of,
)
from orchestration.errors import CalendarError
from orchestration.sessions import Override
from orchestration.types import Session
from tests.calendars import nyse_2026, nyse_day, tokyo_november

TODAY = date(2026, 11, 20)


def table() -> list[Session]:
    return list(nyse_2026().table)


def without(sessions: list[Session], *days: date) -> list[Session]:
    return [s for s in sessions if s.day not in days]


def refusal(new: list[Session], old: list[Session] | None = None, today: date = TODAY) -> str:
    with pytest.raises(CalendarError) as caught:
        accept(new, old or [], today)
    return str(caught.value)


def test_a_right_table_is_accepted() -> None:
    accept(table(), table(), TODAY)
    accept(table(), [], TODAY)


def test_an_empty_table_is_refused() -> None:
    assert "is empty; the old one stays" in refusal([])


def test_a_table_must_cover_today_and_thirty_days_more() -> None:
    assert "it ends on 2026-12-31; it must reach 2027-01-01" in refusal(table(), today=date(2026, 12, 2))
    accept(table(), [], date(2026, 12, 1))
    late = [s for s in table() if s.day > TODAY]
    assert "it begins on 2026-11-23, after today (2026-11-20)" in refusal(late)


def test_a_table_with_a_hole_is_refused() -> None:
    hole = [s for s in table() if s.day.month != 5]

    assert "no session between 2026-04-30 and 2026-06-01" in refusal(hole)


def test_known_dates_must_be_right() -> None:
    wrong = without(table(), date(2026, 11, 27), date(2026, 7, 2))
    wrong += [nyse_day(date(2026, 11, 27)), nyse_day(date(2026, 12, 25))]

    text = refusal(sorted(wrong, key=lambda s: s.day))

    assert "2026-11-27 is 16:00, but is known to be 13:00" in text
    assert "2026-07-02 is closed, but is known to be 16:00" in text
    assert "2026-12-25 is 16:00, but is known to be closed" in text
    assert len(text.splitlines()) == 3


def test_a_session_on_a_saturday_is_refused() -> None:
    odd = sorted([*table(), nyse_day(date(2026, 11, 21))], key=lambda s: s.day)

    assert "2026-11-21 is a Saturday" in refusal(odd)


def test_no_past_day_may_change_but_the_future_may() -> None:
    past, future = date(2026, 3, 10), date(2026, 12, 10)

    assert "the past day 2026-03-10 was 13:30-20:00 UTC and would be closed" in refusal(
        without(table(), past), table()
    )
    assert "2026-03-10 was closed and would be" in refusal(table(), without(table(), past))
    accept(without(table(), future), table(), TODAY)


def test_other_exchanges_have_no_known_dates() -> None:
    tokyo = list(tokyo_november().table)

    text = refusal(tokyo, today=date(2026, 11, 2))

    assert text == "new session table of XTKS refused: it ends on 2026-11-30; it must reach 2026-12-02"


def test_the_broker_may_make_the_calendar_more_careful() -> None:
    ours = [nyse_day(date(2026, 11, d)) for d in (16, 17, 18, 19, 20)]
    theirs = [
        nyse_day(date(2026, 11, 16)),
        nyse_day(date(2026, 11, 18), time(13)),
        replace(ours[3], open=ours[3].open + timedelta(hours=1)),
        nyse_day(date(2026, 11, 20)),
        nyse_day(date(2026, 11, 21)),
    ]

    combined, disagreements = combine_with_broker(ours, theirs)

    assert [s.day.day for s in combined] == [16, 18, 19, 20]
    assert combined[1].close == datetime(2026, 11, 18, 18, tzinfo=UTC)
    assert combined[1].is_early_close
    assert combined[2].open == datetime(2026, 11, 19, 15, 30, tzinfo=UTC)
    assert not combined[2].is_early_close
    assert [line[:10] for line in disagreements] == ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-21"]
    assert disagreements[0] == "2026-11-17: table 14:30-21:00 UTC, broker closed"


def test_the_broker_never_makes_it_less_careful() -> None:
    ours = [nyse_day(date(2026, 11, 27), time(13))]

    combined, disagreements = combine_with_broker(ours, [nyse_day(date(2026, 11, 27))])

    assert combined == tuple(ours)
    assert len(disagreements) == 1


def test_hours_that_do_not_meet_mean_closed() -> None:
    ours = nyse_day(date(2026, 11, 20))
    later = replace(ours, open=ours.close, close=ours.close + timedelta(hours=1))

    assert combine_with_broker([ours], [later])[0] == ()


def test_days_the_broker_does_not_speak_of_stay() -> None:
    ours = [nyse_day(date(2026, 11, d)) for d in (18, 19, 20)]

    assert combine_with_broker(ours, [ours[1]]) == (tuple(ours), ())


def test_an_empty_answer_of_the_broker_is_a_fault() -> None:
    with pytest.raises(CalendarError, match="broker's calendar is empty"):
        combine_with_broker(table(), [])


ROW = ["2026-11-20", "2026-11-20T14:30:00Z", "2026-11-20T21:00:00Z", None, None, False]


def test_a_report_becomes_sorted_sessions() -> None:
    tokyo = [
        *("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-20T06:30:00Z"),
        *("2026-11-20T02:30:00Z", "2026-11-20T03:30:00Z", False),
    ]
    friday = ["2026-11-27", "2026-11-27T14:30:00Z", "2026-11-27T18:00:00Z", None, None, True]

    tables = sessions_from_report({"sessions": {"XNYS": [friday, ROW], "XTKS": [tokyo]}, "source": "x"})

    assert tables["XNYS"] == (nyse_day(date(2026, 11, 20)), nyse_day(date(2026, 11, 27), time(13)))
    assert tables["XTKS"][0].break_end == datetime(2026, 11, 20, 3, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (None, "'sessions' is None"),
        ({}, "'sessions' is {}"),
        ({"XNYS": []}, "XNYS has no rows"),
        ({"XNYS": "rows"}, "XNYS has no rows"),
        ({"ABCD": [ROW]}, "no zone is known for exchange 'ABCD'"),
        ({"XNYS": [ROW, ROW]}, "overlap"),
        ({"XNYS": [ROW, "row"]}, "XNYS row 2 'row' cannot be used: it is not a list"),
        ({"XNYS": [ROW[:5]]}, "XNYS row 1 .* not enough values"),
        ({"XNYS": [[*ROW[:5], 0]]}, "early close is 0"),
        ({"XNYS": [["20.11.2026", *ROW[1:]]]}, "XNYS row 1 .*20.11.2026"),
        ({"XNYS": [[ROW[0], "2026-11-20T14:30:00", *ROW[2:]]]}, "has no zone"),
        ({"XNYS": [[ROW[0], ROW[2], ROW[1], *ROW[3:]]]}, "must follow each other"),
    ],
)
def test_a_report_that_cannot_be_used_is_refused_by_name(tables: Any, message: str) -> None:
    with pytest.raises(CalendarError, match=message):
        sessions_from_report({"sessions": tables})


def test_zones_answer_to_aliases() -> None:
    assert zone_of("JPX").key == "Asia/Tokyo"


def with_broker(**closes: time) -> dict[str, tuple[Session, ...]]:
    """The stored tables of 2026, and a broker's that closes at other times on days named as `d2026_11_23`."""
    other = {date.fromisoformat(name[1:].replace("_", "-")): close for name, close in closes.items()}
    ours = tuple(nyse_2026().table)
    theirs = tuple(nyse_day(s.day, other[s.day]) if s.day in other else s for s in ours)
    return {"XNYS": ours, "XNYS@alpaca": theirs}


def test_the_chosen_brokers_stored_sessions_make_the_box_careful_and_nobody_elses() -> None:
    stored = with_broker(d2026_11_23=time(13))
    monday = date(2026, 11, 23)

    careful = build_calendars(stored, today=TODAY, broker="alpaca")
    others = [build_calendars(stored, today=TODAY, broker=name) for name in ("paper", "")]

    assert careful.is_early_close(monday)
    assert not any(calendars.is_early_close(monday) for calendars in others)
    assert disagreements(stored, today=TODAY, broker="alpaca") == (
        "2026-11-23: table 14:30-21:00 UTC, broker 14:30-18:00 UTC",
    )
    assert disagreements(stored, today=TODAY, broker="paper") == ()


def test_the_operators_word_settles_a_disagreement() -> None:
    stored = with_broker(d2026_11_23=time(13), d2026_11_24=time(13))
    word = Override(day=date(2026, 11, 23), close=time(16))

    calendars = build_calendars(stored, [word], today=TODAY, broker="alpaca")

    assert not calendars.is_early_close(date(2026, 11, 23))
    assert calendars.is_early_close(date(2026, 11, 24))
    assert [line[:10] for line in disagreements(stored, [word], today=TODAY, broker="alpaca")] == [
        "2026-11-24"
    ]


def test_a_broker_that_sees_farther_than_the_table_does_not_disagree() -> None:
    stored = with_broker()
    stored["XNYS@alpaca"] += (nyse_day(date(2027, 1, 4)),)

    assert disagreements(stored, today=TODAY, broker="alpaca") == ()


def test_a_brokers_calendar_with_a_hole_is_a_fault_and_no_holiday() -> None:
    table = tuple(nyse_2026().table)

    accept_broker(table)
    with pytest.raises(CalendarError, match="no session between 2026-01-16 and 2026-12-01; that is a fault"):
        accept_broker([s for s in table if s.day.month == 12 or s.day <= date(2026, 1, 16)])
    with pytest.raises(CalendarError, match="is empty"):
        accept_broker([])


def test_a_report_may_hold_what_the_broker_says() -> None:
    row = ["2026-11-27", "2026-11-27T14:30:00Z", "2026-11-27T18:00:00Z", None, None, True]

    told = broker_sessions_from_report({"broker": {"name": "alpaca", "sessions": {"XNYS": [row]}}})

    assert told == {"XNYS@alpaca": (replace(nyse_day(date(2026, 11, 27), time(13)), exchange="XNYS@alpaca"),)}
    assert broker_sessions_from_report({}) == {}
    assert broker_sessions_from_report({"broker": {"name": "alpaca", "problem": "no network"}}) == {}
    for wrong in (
        "alpaca",
        {"name": "alpaca", "sessions": [row]},
        {"name": "alpaca", "sessions": {"XNYS": 3}},
    ):
        with pytest.raises(CalendarError, match="report of refresh_sessions"):
            broker_sessions_from_report({"broker": wrong})
