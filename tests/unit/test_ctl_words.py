"""Instants, durations and verdicts in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hardware.patterns import ERRORS
from observability.alert_rules import CONDITIONS
from orchestration.ctl import words
from orchestration.ctl.health import ALERTS_OF, FAULT_OF, complaints
from tests.calendars import NEW_YORK

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (4.25, "4.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (18_600, "5 h 10 min"),
        (86_400, "1 d"),
        (183_600, "2 d 3 h"),
        # Begun before the clock was set back by two days and three hours.
        (-183_600, "-2 d 3 h"),
        (-4.25, "-4.2 s"),
    ],
)
def test_a_duration_has_two_figures_of_meaning(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


def test_an_instant_is_shown_in_the_exchange_s_zone_with_its_date_when_it_is_far() -> None:
    assert words.instant("2026-11-21T07:00:00Z", NEW_YORK, NOW) == "Sat 02:00 EST"
    assert words.instant("2026-07-01T16:00:00Z", NEW_YORK, NOW) == "Wed 2026-07-01 12:00 EDT"
    assert words.instant(NOW, NEW_YORK) == "Fri 2026-11-20 18:00 EST"
    assert words.instant(None, NEW_YORK) == "-"


def test_how_far_off_an_instant_is() -> None:
    assert words.away("2026-11-21T02:20:00Z", NOW) == "in 3 h 20 min"
    assert words.away(NOW - timedelta(minutes=5), NOW) == "5 min ago"
    assert words.away(None, NOW) == ""


def test_what_has_happened_is_never_to_come() -> None:
    """Of rows that are ahead of a clock that was set back."""
    assert words.since(NOW - timedelta(minutes=5), NOW) == "5 min ago"
    assert words.since(NOW + timedelta(days=6), NOW) == "before the clock was set back"
    assert words.since(None, NOW) == ""
    assert words.lasted(200) == "3 min 20 s"
    assert words.lasted(-183_600) == "began before the clock was set back"


@pytest.mark.parametrize(
    ("ends", "reason", "said"),
    [
        # The last of them: until then something still stands in its way.
        (
            ("2026-11-21T02:00:00Z", "2026-11-23T13:00:00Z", None),
            "NOT_DUE",
            "not before Mon 08:00 EST (in 2 d 14 h)",
        ),
        (("2026-11-20T22:00:00Z", None), "NOT_DUE", "none within the known calendar"),
        ((), "NOT_DUE", "none within the known calendar"),
        (("2026-11-23T13:00:00Z",), "PAUSED", "none until `orchestratorctl resume`"),
    ],
)
def test_no_start_is_denied_where_a_reason_names_its_end(
    ends: tuple[str | None, ...], reason: str, said: str
) -> None:
    failures = [{"reason": reason, "clears_at": at} for at in ends]
    task = {"name": "refresh_data", "enabled": True, "next_at": None, "failures": failures}

    assert words.next_start(task, NEW_YORK, NOW) == said


def test_a_bar_shows_a_share_and_what_is_over_it() -> None:
    assert words.bar(25, 100, 4) == "█░░░"
    assert words.bar(150, 100, 4) == "████!"
    assert words.bar(1, 0, 4) == "░░░░"


def test_unknown_is_said() -> None:
    assert words.known(None, " C") == "unknown"
    assert words.known(51.5, " C") == "51.5 C"
    assert words.megabytes(None) == "-"
    assert words.megabytes(24_649.4) == "24,649 MB"


def test_a_reason_has_its_numbers_and_its_end() -> None:
    gate = {
        "reason": "MEMORY",
        "passed": False,
        "detail": "MB",
        "needed": 300.0,
        "available": 50.0,
        "clears_at": "2026-11-21T00:00:00Z",
    }

    assert words.reason(gate, NEW_YORK, NOW) == "MEMORY: MB (needs 300, has 50), until Fri 19:00 EST"
    del gate["clears_at"]
    assert words.reason(gate, NEW_YORK) == "MEMORY: MB (needs 300, has 50)"


def fine() -> dict[str, Any]:
    return {
        "at": "2026-11-20T23:00:00Z",
        "daemon": {"pid": 1},
        "calendar_known": True,
        "calendar_horizon": "2029-01-26",
        "paused": None,
        "resources": {"clock_synced": True, "network_up": True, "too_hot": False, "temperature_c": 50},
        "tasks": [_task("daily_report"), _task("weekly_report", "WRONG_PHASE")],
    }


def _task(name: str, *reasons: str, enabled: bool = True) -> dict[str, Any]:
    return {"name": name, "enabled": enabled, "failures": [{"reason": reason} for reason in reasons]}


def test_a_box_that_only_waits_for_its_hours_is_fine() -> None:
    assert complaints(fine(), []) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"daemon": None}, "no daemon is running"),
        ({"calendar_known": False}, "no session is known for today"),
        ({"calendar_horizon": "2026-12-01"}, "the calendar ends in 11 days"),
        ({"paused": "all"}, "paused: everything"),
        ({"paused": "research"}, "paused: research and maintenance"),
        ({"tasks": [_task("execute_orders", "NEEDS_RECONCILE")]}, "execute_orders needs reconciling"),
        ({"tasks": [_task("flaky", "SLOTS", "QUARANTINED")]}, "flaky is quarantined"),
        ({"tasks": [_task("after", "DEPENDENCY_FAILED")]}, "after waits for a task that failed"),
    ],
)
def test_what_is_not_fine_is_said(change: dict[str, Any], said: str) -> None:
    (found,) = complaints({**fine(), **change}, [])

    assert found.startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clock_synced": None}, "the clock is not known"),
        ({"clock_synced": False}, "the clock is not known"),
        ({"network_up": False}, "the network is down"),
        ({"too_hot": True, "temperature_c": 84.5}, "too hot (84.5 C)"),
    ],
)
def test_what_the_sensors_complain_of_is_said(change: dict[str, Any], said: str) -> None:
    box = fine()
    box["resources"] = {**box["resources"], **change}

    (found,) = complaints(box, [])

    assert found.startswith(said)


def test_an_alert_and_the_task_it_is_about_are_said_once() -> None:
    box = {**fine(), "tasks": [_task("flaky", "QUARANTINED")]}

    assert complaints(box, [{"text": "flaky failed repeatedly", "task": "flaky"}]) == [
        "alert: flaky failed repeatedly"
    ]


def test_a_halt_of_trading_comes_first_and_its_alert_is_not_said_again() -> None:
    box = {**fine(), "daemon": None, "halted": "the fills look wrong (me, 2026-11-20T15:00:00+00:00)"}
    alerts = [{"key": "trading_halted", "text": "trading is halted"}, {"key": "failed:x", "text": "x failed"}]

    first, *rest = complaints(box, alerts)

    assert first.startswith("TRADING IS HALTED: the fills look wrong (me, 2026-11-20T15:00:00+00:00)")
    assert rest == ["no daemon is running", "alert: x failed"]


def test_the_alert_of_a_halt_that_is_over_is_said_until_the_daemon_has_cleared_it() -> None:
    alert = {"key": "trading_halted", "text": "trading is halted: why"}

    assert complaints({**fine(), "halted": None}, [alert]) == ["alert: trading is halted: why"]


def test_a_disabled_task_is_nobody_s_trouble() -> None:
    assert complaints({**fine(), "tasks": [_task("off", "QUARANTINED", enabled=False)]}, []) == []


def test_what_the_leds_and_the_alerts_call_a_complaint_is_what_they_know() -> None:
    """Each name is a fault's, but the calendar's end, which no LED shows; each key is an alert rule's."""
    rules = {key.removesuffix("*") for condition in CONDITIONS.values() for key in condition.keys}

    assert set(ALERTS_OF) - {"calendar_ends"} <= set(ERRORS)
    assert set(FAULT_OF.values()) <= set(ALERTS_OF)
    assert set(ALERTS_OF.values()) <= rules
