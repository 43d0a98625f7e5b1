"""The when-grammar: expected instants worked out by hand from the published hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from orchestration.errors import WhenError
from orchestration.market_calendar import Calendars
from orchestration.windows import (
    check,
    check_breaks,
    instant_on,
    parse_duration,
    parse_instant,
    parse_on,
    parse_window,
    window_on,
)
from tests.calendars import calendars_2026


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    return calendars_2026()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def interval(calendars: Calendars, spec: str, day: str, exchange: str = "XNYS") -> tuple[datetime, datetime]:
    intervals, reason = window_on(
        parse_window(spec), date.fromisoformat(day), calendars.exchange(exchange), calendars
    )
    assert reason is None
    assert len(intervals) == 1
    return intervals[0].start, intervals[0].end


def why_empty(calendars: Calendars, spec: str, day: str, exchange: str = "XNYS") -> str:
    intervals, reason = window_on(
        parse_window(spec), date.fromisoformat(day), calendars.exchange(exchange), calendars
    )
    assert intervals == ()
    assert reason is not None
    return reason


@pytest.mark.parametrize(
    ("spec", "day", "start", "end"),
    [
        ("open+30m..close-15m", "2026-11-27", "2026-11-27T15:00", "2026-11-27T17:45"),
        ("open..close", "2026-07-02", "2026-07-02T13:30", "2026-07-02T20:00"),
        ("pre..open", "2026-11-20", "2026-11-20T13:00", "2026-11-20T14:30"),
        ("close..post", "2026-11-27", "2026-11-27T18:00", "2026-11-27T20:00"),
        ("close..prep", "2026-11-20", "2026-11-20T21:00", "2026-11-23T07:00"),
        ("post..prep-1h30m", "2026-11-18", "2026-11-18T23:00", "2026-11-19T07:30"),
        ("18:00..02:00", "2026-11-20", "2026-11-20T23:00", "2026-11-21T07:00"),
        ("09:30..09:30", "2026-11-20", "2026-11-20T14:30", "2026-11-21T14:30"),
        ("00:00..24:00", "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),  # a day of 25 hours
        ("9:00@UTC..17:30@Europe/London", "2026-11-20", "2026-11-20T09:00", "2026-11-20T17:30"),
        ("18:00..09:00@Asia/Tokyo", "2026-11-20", "2026-11-20T23:00", "2026-11-21T00:00"),
        ("10:00..prep", "2026-11-22", "2026-11-22T15:00", "2026-11-23T07:00"),  # a Sunday
        (" OPEN - 90s .. close ", "2026-11-20", "2026-11-20T14:28:30", "2026-11-20T21:00"),
    ],
)
def test_a_window_resolves_on_its_day(
    calendars: Calendars, spec: str, day: str, start: str, end: str
) -> None:
    assert interval(calendars, spec, day) == (utc(start), utc(end))


@pytest.mark.parametrize(
    ("spec", "start", "end"),
    [
        ("open..break_start", "2026-11-20T00:00", "2026-11-20T02:30"),
        ("break_end..close", "2026-11-20T03:30", "2026-11-20T06:30"),
        ("open..close", "2026-11-20T00:00", "2026-11-20T06:30"),
        ("pre..open", "2026-11-19T23:00", "2026-11-20T00:00"),
        ("close..prep", "2026-11-20T06:30", "2026-11-20T09:00"),  # the box's PREP, 04:00 New York
    ],
)
def test_tokyo_has_a_midday_break(calendars: Calendars, spec: str, start: str, end: str) -> None:
    assert interval(calendars, spec, "2026-11-20", "JPX") == (utc(start), utc(end))


def test_around_the_clock_a_day_is_open_from_midnight_to_midnight(calendars: Calendars) -> None:
    assert interval(calendars, "open..close", "2026-12-25", "24/7") == (
        utc("2026-12-25T00:00"),
        utc("2026-12-26T00:00"),
    )


def test_a_day_without_a_session_has_no_session_anchors(calendars: Calendars) -> None:
    assert why_empty(calendars, "open..close", "2026-12-25") == "2026-12-25 is not a trading day of XNYS"
    assert why_empty(calendars, "10:00..close", "2026-12-26") == "2026-12-26 is not a trading day of XNYS"


def test_a_day_beyond_the_table_is_not_called_closed(calendars: Calendars) -> None:
    reason = why_empty(calendars, "open..close", "2027-01-04")

    assert reason == "2027-01-04 is not known: the session table of XNYS covers 2026-01-01 to 2026-12-31"
    empty = Calendars({})
    intervals, reason_without = window_on(parse_window("open..close"), date(2026, 11, 20), empty.home, empty)
    assert intervals == ()
    assert reason_without == "2026-11-20 is not known: the session table of XNYS is empty"


def test_a_window_that_ends_before_it_starts_says_so_in_numbers(calendars: Calendars) -> None:
    assert why_empty(calendars, "14:00..close", "2026-11-27") == (
        "empty on 2026-11-27, an early close: 14:00 (14:00) is not before close (13:00),"
        " times in America/New_York"
    )
    assert "prep (2026-11-23 02:00) is not before open (09:30)" in why_empty(
        calendars, "prep..open", "2026-11-20"
    )


def test_only_two_clock_times_roll_over(calendars: Calendars) -> None:
    assert "post (18:00) is not before 06:00 (06:00)" in why_empty(calendars, "post..06:00", "2026-11-20")


def test_a_clock_window_inside_the_spring_gap_is_empty(calendars: Calendars) -> None:
    assert "2026-03-08" in why_empty(calendars, "02:00..02:45", "2026-03-08")
    assert interval(calendars, "02:30..04:00", "2026-03-08") == (
        utc("2026-03-08T07:00"),
        utc("2026-03-08T08:00"),
    )


def test_prep_beyond_the_table_is_not_invented(calendars: Calendars) -> None:
    assert "not in the session table of XNYS" in why_empty(calendars, "close..prep", "2026-12-31")


def test_a_midday_break_that_a_day_lacks_is_a_reason(calendars: Calendars) -> None:
    assert why_empty(calendars, "open..break_start", "2026-11-20") == (
        "2026-11-20 has no midday break on XNYS, so no break_start"
    )


def test_an_exchange_without_a_midday_break_is_refused_at_load(calendars: Calendars) -> None:
    with pytest.raises(WhenError, match="XNYS has no midday break, so break_end never comes"):
        check_breaks(parse_window("break_end..close"), calendars.exchange("XNYS"))
    check_breaks(parse_instant("break_end"), calendars.exchange("XTKS"))


def test_an_instant_resolves_on_its_day(calendars: Calendars) -> None:
    home = calendars.home

    assert instant_on(parse_instant("close-10m"), date(2026, 11, 27), home, calendars) == (
        utc("2026-11-27T17:50"),
        None,
    )
    assert instant_on(parse_instant("06:15"), date(2026, 12, 25), home, calendars)[0] == utc(
        "2026-12-25T11:15"
    )
    assert instant_on(parse_instant("pre"), date(2026, 12, 25), home, calendars) == (
        None,
        "2026-12-25 is not a trading day of XNYS",
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("opne+30m..close", r"unknown anchor 'opne' at position 1\. Did you mean 'open'\?"),
        ("open..xyzzy", r"'xyzzy' at position 7\. Known are pre, open"),
        ("open+5x..close", r"'5x' is no duration at position 6"),
        ("open+..close", r"'' is no duration at position 6"),
        ("open..", r"an instant is missing at position 7"),
        ("open-close", r"'\.\.' is missing"),
        ("25:00..close", r"25:00 is no time at position 1"),
        ("09:60..close", r"09:60 is no time"),
        ("24:01..close", r"24:01 is no time"),
        ("09:30@America/NewYork..close", r"at position 7\. Did you mean 'America/New_York'"),
        ("09:30@../../etc/passwd..close", r"is missing|unknown zone|is no instant"),
        ("09:30@America..close", r"unknown zone 'America'"),
        ("09.30..close", r"'09\.30' is no instant at position 1"),
        ("open+30m-5m..close", r"'30m-5m' is no duration"),
        ("open+99999999999h..close", r"is no duration"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_position(spec: str, message: str) -> None:
    with pytest.raises(WhenError, match=message):
        parse_window(spec)


def test_durations_add_up() -> None:
    assert parse_duration("1h30m") == timedelta(minutes=90)
    assert parse_duration(" 90S ") == timedelta(seconds=90)
    for wrong in ("", "0m", "15", "m", "-5m", "1d"):
        with pytest.raises(WhenError, match=r"write e\.g\. 90s"):
            parse_duration(wrong)


def test_parsed_expressions_are_kept() -> None:
    assert parse_window("open..close") is parse_window("open..close")
    assert parse_on("trading") is parse_on("trading")


def test_check_lists_the_days_on_which_a_window_is_empty(calendars: Calendars) -> None:
    home, first = calendars.home, date(2026, 1, 1)

    empty = check(parse_window("14:00..close"), parse_on("trading"), first, home, calendars)

    assert empty == [date(2026, 11, 27), date(2026, 12, 24)]


def test_check_takes_all_as_trading_days_where_a_session_is_needed(calendars: Calendars) -> None:
    home, first = calendars.home, date(2026, 11, 1)

    assert check(parse_window("open..close"), parse_on("all"), first, home, calendars) == []
    assert check(parse_instant("close"), parse_on("all"), first, home, calendars, days=30) == []
    closed = check(parse_instant("close"), parse_on("closed"), first, home, calendars, days=8)
    assert closed == [date(2026, 11, 1), date(2026, 11, 7), date(2026, 11, 8)]


def test_check_refuses_a_break_that_never_comes(calendars: Calendars) -> None:
    with pytest.raises(WhenError, match="break_start never comes"):
        check(
            parse_window("open..break_start"),
            parse_on("all"),
            date(2026, 11, 1),
            calendars.home,
            calendars,
        )
