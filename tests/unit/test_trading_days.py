"""The days of the when-grammar; November 2026: the 26th is closed, the 27th closes early."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orchestration.errors import WhenError
from orchestration.sessions import Sessions
from orchestration.trading_days import matches, parse_on, period_of
from tests.calendars import NEW_YORK, calendars_2026, nyse_2026

WEEK = [date(2026, 11, 23) + timedelta(days=i) for i in range(7)]


def days_of(on: str, table: Sessions) -> str:
    """Return the weekday letters of the matching days of the week of 23 November 2026."""
    return "".join(
        letter for day, letter in zip(WEEK, "mtwrfsu", strict=True) if matches(parse_on(on), day, table)
    )


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("all", "mtwrfsu"),
        ("trading", "mtwf"),
        ("closed", "rsu"),
        ("early_close", "f"),
        ("full", "mtw"),
        ("not trading", "rsu"),
        ("not not trading", "mtwf"),
        ("mon,wed", "mw"),
        ("mon..wed", "mtw"),
        ("Tue-Thu", "twr"),
        ("fri..mon", "mfsu"),
        ("trading, not early_close", "mtw"),
        ("trading,not mon..thu", "f"),
        ("not sat, not sun", "mtwrf"),
        ("mon, closed", "mrsu"),
        ("first trading of week", "m"),
        ("last trading of week", "f"),
        ("2nd trading of week", "t"),
        ("second trading day of the week", "t"),
        ("4th trading of week", "f"),
        ("5th trading of week", ""),
        ("last trading of month", ""),
        ("16th trading of month", "m"),
        ("not last trading of week", "mtwrsu"),
    ],
)
def test_days_of_thanksgiving_week(on: str, expected: str) -> None:
    assert days_of(on, nyse_2026()) == expected


@pytest.mark.parametrize(
    ("on", "day"),
    [
        ("first trading of month", date(2026, 11, 2)),
        ("last trading of month", date(2026, 10, 30)),
        ("first trading of quarter", date(2026, 10, 1)),
        ("last trading of quarter", date(2026, 12, 31)),
        ("first trading of quarter", date(2026, 1, 2)),
    ],
)
def test_the_first_and_last_of_a_period(on: str, day: date) -> None:
    assert matches(parse_on(on), day, nyse_2026())
    assert not matches(parse_on(on), date(2026, 11, 10), nyse_2026())


def test_a_period_that_the_table_holds_in_part_has_no_first_or_last() -> None:
    table = nyse_2026()
    part = Sessions("XNYS", NEW_YORK, table.table, (date(2026, 1, 2), date(2026, 12, 30)))

    assert not matches(parse_on("first trading of month"), date(2026, 1, 2), part)
    assert not matches(parse_on("last trading of month"), date(2026, 12, 30), part)


def test_beyond_the_table_only_weekdays_are_known() -> None:
    monday = date(2027, 1, 4)

    assert matches(parse_on("mon"), monday, nyse_2026())
    assert not matches(parse_on("trading"), monday, nyse_2026())
    assert not matches(parse_on("closed"), monday, nyse_2026())
    assert not matches(parse_on("not trading"), monday, nyse_2026())


def test_around_the_clock_every_day_trades() -> None:
    table = calendars_2026().exchange("24/7")

    assert days_of("trading", table) == "mtwrfsu"
    assert days_of("first trading of week", table) == "m"


def test_periods_end_with_the_year() -> None:
    assert period_of(date(2026, 12, 15), "month") == (date(2026, 12, 1), date(2026, 12, 31))
    assert period_of(date(2026, 11, 15), "quarter") == (date(2026, 10, 1), date(2026, 12, 31))
    assert period_of(date(2027, 1, 1), "week") == (date(2026, 12, 28), date(2027, 1, 3))


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("tradin", r"'tradin' at position 1 is not a day\. Did you mean 'trading'\?"),
        ("mon, tuesday", r"'tuesday' at position 6 .* Did you mean 'tue'"),
        ("mon..fro", r"'fro' at position 1"),
        ("frist trading of month", r"Did you mean 'first'"),
        ("first trading of moth", r"Did you mean 'month'"),
        ("0th trading of month", r"'0th' at position 1"),
        ("", r"'' at position 1 is not a day\. Known are trading"),
        ("trading,", r"'' at position 9"),
    ],
)
def test_an_unknown_day_is_named_with_a_suggestion(on: str, message: str) -> None:
    with pytest.raises(WhenError, match=message):
        parse_on(on)
