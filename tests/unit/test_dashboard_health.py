"""How the box is said to be: what cannot be read is unknown, never fine."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta

import pytest

from hardware.health import BoxHealth
from observability.alert_rules import SEVERITIES as KNOWN
from observability.dashboard import upkeep
from observability.dashboard.box_state import Line, box_lines, used_by_process, written_line
from observability.dashboard.pages.health import RUNGS, stood
from observability.dashboard.render import SEVERITIES
from orchestration.state.history import AlertRow
from tests.control_desk import FRIDAY_EVENING

HOUR = timedelta(hours=1)


def line(name: str, **readings: object) -> Line:
    """The line of one thing; hottest_c is 80."""
    health = BoxHealth(**readings)  # type: ignore[arg-type]
    return next(each for each in box_lines(health, 80) if each.name == name)


def test_a_box_that_says_nothing_is_unknown_in_everything() -> None:
    found = box_lines(BoxHealth(), 80)

    assert {each.level for each in found} == {"info", "fail"}
    assert all("unknown" in each.text for each in found)


@pytest.mark.parametrize(
    ("celsius", "level"), [(60.0, "ok"), (75.0, "ok"), (75.1, "warn"), (80.0, "warn"), (80.1, "fail")]
)
def test_heat_is_near_five_degrees_below_where_research_stops(celsius: float, level: str) -> None:
    """Above 80, not at it, no research starts (docs/hardware.md)."""
    assert line("temperature", temperature_c=celsius).level == level


def test_throttling_of_the_past_is_told_though_it_is_over() -> None:
    found = line("throttling", throttled_now=(), throttled_since_boot=("under-voltage",))

    assert (found.level, found.text) == ("ok", "not now; since the start of the box: under-voltage")
    assert (
        line("throttling", throttled_now=("throttled",), throttled_since_boot=("throttled",)).level == "warn"
    )


def test_a_sagging_supply_is_bad() -> None:
    assert line("supply", under_voltage=True).level == "fail"
    assert line("supply", under_voltage=False).level == "ok"


@pytest.mark.parametrize(
    ("mb", "pct", "level"),
    [(50_000.0, 60.0, "ok"), (50_000.0, 9.9, "warn"), (1_999.0, 60.0, "warn"), (499.0, 60.0, "fail")],
)
def test_a_disk_is_low_in_megabytes_or_in_percent(mb: float, pct: float, level: str) -> None:
    assert line("disk", disk_free_mb=mb, disk_free_pct=pct).level == level


def test_the_clock_is_said_to_be_right_by_somebody_or_holds_trading_back() -> None:
    assert line("clock", clock_synced=True, clock_source="kernel").text == "right, says the kernel"
    for synced in (False, None):
        found = line("clock", clock_synced=synced, clock_source="kernel")
        assert (found.level, "no trading task starts" in found.text) == ("fail", True)


def test_writes_are_a_rate_once_there_is_one() -> None:
    """50 MB in six hours are 200 MB a day, the budget; 51 are 204."""
    assert written_line(50_000_000, timedelta(minutes=10)).level == "info"
    assert written_line(50_000_000, 6 * HOUR).level == "ok"
    assert written_line(51_000_000, 6 * HOUR) == Line(
        name="written", level="warn", text="51.0 MB since it began, 204 MB a day of 200"
    )


def test_a_process_that_is_gone_cannot_be_asked() -> None:
    own = used_by_process(None, FRIDAY_EVENING)

    assert own is not None
    assert own.rss_mb > 1
    assert used_by_process(2**22 + 1, FRIDAY_EVENING) is None  # above the largest pid there can be


@pytest.mark.parametrize(
    ("left", "is_known", "level"), [(30, True, "ok"), (29, True, "warn"), (300, False, "fail")]
)
def test_the_calendar_warns_a_month_before_it_ends(left: int, is_known: bool, level: str) -> None:
    today = date(2026, 11, 20)
    view = {"calendar_horizon": (today + timedelta(days=left)).isoformat(), "calendar_known": is_known}

    found = upkeep.calendar_line(view, today)

    assert found.level == level
    assert f"{left} days" in found.text


def test_an_alert_stands_until_it_clears() -> None:
    plain = {name.name: None for name in fields(AlertRow)}
    open_ = AlertRow(**{**plain, "raised_at": FRIDAY_EVENING})  # type: ignore[arg-type]
    over = AlertRow(
        **{**plain, "raised_at": FRIDAY_EVENING, "cleared_at": FRIDAY_EVENING + HOUR}  # type: ignore[arg-type]
    )

    assert stood(open_, FRIDAY_EVENING + 3 * HOUR) == 3 * HOUR
    assert stood(over, FRIDAY_EVENING + 3 * HOUR) == HOUR
    # After a step back of the clock it has stood for no time, not for less.
    assert stood(open_, FRIDAY_EVENING - HOUR) == timedelta(0)


def test_every_severity_and_every_rung_has_words() -> None:
    assert set(SEVERITIES) == set(KNOWN)
    assert set(RUNGS) == {"cgroup", "watch"}
