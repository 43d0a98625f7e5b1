"""Cron in local time: once in the spring gap, once in the repeated hour, names for weekdays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestration.cron import check_cron, cron_at_or_before, cron_next, cron_previous
from orchestration.errors import WhenError
from tests.calendars import NEW_YORK, ny

DAY = timedelta(days=1)


def fires(cron: str, first: datetime, last: datetime, zone: ZoneInfo = NEW_YORK) -> list[datetime]:
    """Return all firings in (first, last]."""
    found: list[datetime] = []
    at = cron_next(cron, first, zone)
    while at is not None and at <= last:
        found.append(at)
        at = cron_next(cron, at, zone)
    return found


def test_it_fires_at_local_time_and_answers_in_utc() -> None:
    assert fires("30 6 * * mon-fri", ny("2026-11-20T00:00"), ny("2026-11-24T00:00")) == [
        datetime(2026, 11, 20, 11, 30, tzinfo=UTC),
        datetime(2026, 11, 23, 11, 30, tzinfo=UTC),
    ]


def test_next_is_strictly_after() -> None:
    at = ny("2026-11-20T06:30")

    assert cron_next("30 6 * * *", at, NEW_YORK) == at + DAY
    assert cron_next("30 6 * * *", at - timedelta(microseconds=1), NEW_YORK) == at


def test_a_time_in_the_spring_gap_fires_at_the_first_instant_after_it() -> None:
    assert fires("30 2 * * *", ny("2026-03-07T12:00"), ny("2026-03-09T12:00")) == [
        datetime(2026, 3, 8, 7, 0, tzinfo=UTC),
        datetime(2026, 3, 9, 6, 30, tzinfo=UTC),
    ]


def test_many_times_in_the_spring_gap_fire_once() -> None:
    # 01:45 EST, then 03:00 EDT for everything skipped, then 03:15 EDT.
    assert fires("*/15 * * * *", ny("2026-03-08T01:30"), ny("2026-03-08T03:15")) == [
        datetime(2026, 3, 8, 6, 45, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 15, tzinfo=UTC),
    ]


def test_a_repeated_time_fires_once_the_first_time() -> None:
    assert fires("30 1 * * *", ny("2026-11-01T00:00"), ny("2026-11-02T12:00")) == [
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2026, 11, 2, 6, 30, tzinfo=UTC),
    ]


def test_in_the_repeated_hour_the_next_firing_is_after_it() -> None:
    second_pass = datetime(2026, 11, 1, 6, 20, tzinfo=UTC)  # 01:20 EST

    assert cron_next("*/30 * * * *", second_pass, NEW_YORK) == datetime(2026, 11, 1, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["* * * * *", "0-30 * * * *", "30 6 * * mon-fri", "15 1,2 * * *"])
@pytest.mark.parametrize("around", ["2026-03-08T12:00", "2026-11-01T12:00", "2026-06-10T12:00"])
def test_looking_back_finds_what_looking_ahead_fired(cron: str, around: str) -> None:
    start, end = ny(around) - DAY, ny(around)
    ahead = fires(cron, start, end)

    for now in (end, end - timedelta(hours=7, minutes=13), end - timedelta(hours=9, minutes=59)):
        expected = max((at for at in ahead if at <= now), default=None)
        assert cron_at_or_before(cron, now, NEW_YORK, now - start) == expected


def test_looking_back_is_bounded() -> None:
    now = ny("2026-11-20T07:00")

    assert cron_at_or_before("30 6 * * *", now, NEW_YORK, timedelta(minutes=30)) is None
    assert cron_at_or_before("30 6 * * *", now, NEW_YORK, timedelta(minutes=31)) == ny("2026-11-20T06:30")
    assert cron_at_or_before("30 6 * * *", now, NEW_YORK, timedelta(minutes=30)) is None


def test_previous_is_strictly_before() -> None:
    assert cron_previous("30 6 * * *", ny("2026-11-20T06:30"), NEW_YORK) == ny("2026-11-19T06:30")
    assert cron_previous("30 6 * * *", ny("2026-11-20T06:31"), NEW_YORK) == ny("2026-11-20T06:30")


def test_at_the_end_of_time_there_is_no_next() -> None:
    now = datetime(9999, 6, 1, tzinfo=UTC)

    assert cron_next("0 0 1 1 *", now, NEW_YORK) is None
    assert cron_at_or_before("0 0 1 1 *", now, NEW_YORK, timedelta(days=200)) == datetime(
        9999, 1, 1, 5, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("30 6 * *", "has 4 fields; write five"),
        ("61 * * * *", "minute '61'"),
        ("0 25 * * *", "hour '25'"),
        ("0 9 * * mon-fro", "day of week 'mon-fro'"),
        ("0 9 * * 1-5", "ambiguous.*write names, e.g. 'mon-fri'"),
        ("0 0 30 2 *", "never fires"),
        ("a * * * *", "minute 'a'"),
    ],
)
def test_what_cannot_be_used_is_named(cron: str, message: str) -> None:
    with pytest.raises(WhenError, match=message):
        check_cron(cron)


def test_steps_of_weekdays_are_no_numbers() -> None:
    check_cron("0 9 * * */2")
    check_cron("0 9 29 2 mon")
