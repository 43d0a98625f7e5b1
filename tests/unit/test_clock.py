"""The virtual clock, and what the real one promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestration.clock import SystemClock, VirtualClock

START = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def test_a_virtual_clock_stands_still_until_told() -> None:
    clock = VirtualClock(START)

    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    assert (clock.now(), clock.monotonic()) == (START, 0.0)


def test_time_passes_on_both_clocks() -> None:
    clock = VirtualClock(START)

    clock.advance(timedelta(minutes=90))

    assert clock.now() == datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
    assert clock.monotonic() == 5400.0


def test_a_step_moves_the_wall_clock_alone() -> None:
    clock = VirtualClock(START)
    clock.advance(timedelta(seconds=10))

    clock.step_wall(timedelta(hours=-2))

    assert clock.now() == datetime(2026, 11, 20, 21, 0, 10, tzinfo=UTC)
    assert clock.monotonic() == 10.0


def test_sleeping_on_a_virtual_clock_takes_no_time_of_ours() -> None:
    clock = VirtualClock(START)

    clock.sleep(86_400)
    clock.sleep(-1)

    assert clock.monotonic() == 86_400.0


def test_virtual_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="time does not go back"):
        VirtualClock(START).advance(timedelta(seconds=-1))


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an aware datetime"):
        VirtualClock(START.replace(tzinfo=None))


def test_a_start_in_another_zone_is_told_in_utc() -> None:
    clock = VirtualClock(datetime(2026, 11, 20, 18, 0, tzinfo=ZoneInfo("America/New_York")))

    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_the_system_clock_is_aware_utc_and_monotonic() -> None:
    clock = SystemClock()

    first = clock.monotonic()
    clock.sleep(-1)

    assert clock.now().utcoffset() == timedelta()
    assert clock.monotonic() >= first
