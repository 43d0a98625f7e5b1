"""Modes, windows and budgets through the facade, at instants worked out by hand (docs/calendar.md)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import config
from config import Settings
from daily_orchestrator import TradingOrchestrator
from hardware.integration import OPERATING_MODE_LED_MAP
from orchestration.clock import VirtualClock
from orchestration.errors import SettingsError
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.task_scheduler import OperatingMode, TaskScheduler
from tests.calendars import ny


def scheduler(at: datetime, **flags: str) -> TaskScheduler:
    """Return the facade at `at`; nothing of the state directory is opened."""
    settings = Settings.from_env({"ORCHESTRATOR_STATE_DIR": "/nowhere", **flags})
    return TaskScheduler(TradingOrchestrator(settings, clock=VirtualClock(at), sensors=SteadySensors()))


def at(text: str) -> TaskScheduler:
    return scheduler(ny(text), USE_UNIFIED_SCHEDULER="true")


# --- modes and windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "mode", "window"),
    [
        ("2026-11-20T09:29:59", "prep", "2026-11-20/PRE_MARKET"),
        ("2026-11-20T09:30", "trading", "2026-11-20/MARKET_OPEN"),
        ("2026-11-20T16:00", "trading", "2026-11-20/POST_MARKET"),
        ("2026-11-20T18:00", "research", "2026-11-23/WEEKEND"),
        ("2026-11-23T01:59:59", "research", "2026-11-23/WEEKEND"),
        ("2026-11-23T02:00", "prep", "2026-11-23/WEEKEND"),  # 08:00 - 6 h after a weekend
        ("2026-11-24T03:59:59", "research", "2026-11-24/OVERNIGHT"),
        ("2026-11-24T04:00", "prep", "2026-11-24/OVERNIGHT"),  # 08:00 - 4 h after a night
        ("2026-11-26T12:00", "research", "2026-11-27/HOLIDAY"),  # Thanksgiving
        ("2026-11-27T13:00", "trading", "2026-11-27/POST_MARKET"),  # closes at 13:00
        ("2026-11-27T15:00", "research", "2026-11-30/WEEKEND"),
    ],
)
def test_the_mode_and_the_window_at_an_instant(instant: str, mode: str, window: str) -> None:
    sched = at(instant)

    assert sched.get_operating_mode() is OperatingMode(mode)
    assert sched.get_current_window().id == window
    assert sched.get_current_mode()["mode"] == mode
    assert sched.get_current_mode()["window"] == window


@pytest.mark.parametrize(
    ("instant", "hours"),
    [
        ("2026-11-20T18:00", 56),  # Friday 18:00 to Monday 02:00
        ("2026-09-04T18:00", 80),  # Labor Day: to Tuesday 02:00
        ("2026-11-23T18:00", 10),  # Monday 18:00 to 04:00
        ("2026-11-26T06:00", 22),  # Thanksgiving 06:00 to Friday 04:00
        ("2026-03-06T18:00", 55),  # the clocks go forward
        ("2026-10-30T18:00", 57),  # and back
        ("2026-11-20T11:00", 56),  # in the session: the window to come
        ("2026-11-24T05:00", 0),  # PREP
    ],
)
def test_the_research_window_in_elapsed_hours(instant: str, hours: float) -> None:
    assert at(instant).calculate_research_window() == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("instant", "total", "research", "kind", "extended", "pct"),
    [
        ("2026-11-23T18:00", 14, 10, "overnight", False, 1.0),
        ("2026-11-23T23:00", 9, 5, "overnight", False, 0.5),
        ("2026-11-20T18:00", 62, 56, "weekend", True, 1.0),
        ("2026-11-22T06:00", 26, 20, "weekend", True, 20 / 56),
        ("2026-11-26T06:00", 26, 22, "holiday", True, 22 / 34),  # of Wednesday 18:00 to Friday 04:00
        ("2026-09-04T18:00", 86, 80, "holiday_weekend", True, 1.0),
    ],
)
def test_the_budget(
    instant: str, total: float, research: float, kind: str, extended: bool, pct: float
) -> None:
    budget = at(instant).calculate_research_budget()

    assert (budget.total_hours, budget.research_hours) == (total, research)
    assert (budget.budget_type, budget.is_extended) == (kind, extended)
    assert budget.budget_pct_remaining == pytest.approx(pct)


def test_the_starts_of_research_and_of_the_next_trading_day_are_aware_instants() -> None:
    sched = at("2026-11-20T11:00")

    assert sched._get_research_start() == ny("2026-11-20T18:00")
    assert sched._get_next_trading_premarket() == ny("2026-11-23T08:00")
    friday_evening = ny("2026-09-04T20:00")
    assert sched._get_research_start(friday_evening) == ny("2026-09-04T18:00")
    assert sched._get_next_trading_premarket(friday_evening) == ny("2026-09-08T08:00")
    assert sched._get_research_start().tzinfo is not None


# --- the calendar -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "holiday", "early"),
    [
        ("2025-01-09", True, False),  # a day of mourning
        ("2026-11-26", True, False),
        ("2026-11-27", False, True),
        ("2026-12-24", False, True),
        ("2026-07-02", False, False),
        ("2026-11-21", False, False),  # a Saturday is no holiday
    ],
)
def test_holidays_and_early_closes(day: str, holiday: bool, early: bool) -> None:
    sched = at(f"{day}T12:00")

    assert (sched._is_holiday(), sched._is_early_close()) == (holiday, early)
    other = at("2026-11-20T12:00")
    assert other._is_holiday(date.fromisoformat(day)) is holiday
    assert other._is_early_close(date.fromisoformat(day)) is early


def test_what_the_calendar_says_of_an_instant() -> None:
    open_, closed = at("2026-11-27T12:00").get_market_calendar(), at("2026-11-27T13:00").get_market_calendar()

    assert (open_.is_trading_day, open_.is_early_close, open_.is_market_open) == (True, True, True)
    assert open_.hours_until_trading == 0
    assert not closed.is_market_open
    # Friday 13:00 to Monday 09:30.
    assert (closed.next_trading_day, closed.hours_until_trading) == (date(2026, 11, 30), 68.5)


def test_the_present_mode_as_plain_values() -> None:
    assert at("2026-11-23T23:00").get_current_mode() == {
        "mode": "research",
        "phase": "OVERNIGHT",
        "window": "2026-11-24/OVERNIGHT",
        "calendar": {
            "is_trading_day": True,
            "is_early_close": False,
            "is_market_open": False,
            "next_trading_day": date(2026, 11, 24),
            "hours_until_trading": 10.5,
        },
        "budget": {
            "total_hours": 9.0,
            "research_hours": 5.0,
            "budget_type": "overnight",
            "is_extended": False,
            "budget_pct_remaining": 0.5,
        },
    }


@pytest.mark.parametrize(
    ("instant", "hours"),
    [("2026-11-20T18:00", 62), ("2026-11-19T20:00", 12), ("2026-11-20T12:00", 4), ("2026-11-25T20:00", 28)],
)
def test_the_time_until_the_next_phase(instant: str, hours: float) -> None:
    """A phase goes on through the start of PREP: the weekend until Monday 08:00. From Wednesday before
    Thanksgiving 20:00 the HOLIDAY window reaches to Friday 08:00, which is 36 h."""
    sched = at(instant)
    orch = sched.orchestrator
    assert isinstance(orch, TradingOrchestrator)

    expected = 36 if instant == "2026-11-25T20:00" else hours
    assert orch.time_until_next_phase() == timedelta(hours=expected)


# --- flags and lights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "unified", "policy"),
    [
        ("false", "false", "timetable"),
        ("true", "false", "phases"),
        ("false", "true", "unified"),
        ("TRUE", "True", "unified"),
    ],
)
def test_the_two_flags_choose_the_policy(task: str, unified: str, policy: str) -> None:
    sched = scheduler(ny("2026-11-20T12:00"), USE_TASK_SCHEDULER=task, USE_UNIFIED_SCHEDULER=unified)

    assert sched.orchestrator.policy.name == policy


@pytest.mark.parametrize("value", ["1", "yes", "on", ""])
@pytest.mark.parametrize("flag", ["USE_TASK_SCHEDULER", "USE_UNIFIED_SCHEDULER"])
def test_a_flag_is_true_or_false_and_nothing_else(
    flag: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(flag, value)

    with pytest.raises(SettingsError, match=flag):
        getattr(config, flag)
    with pytest.raises(SettingsError, match=flag):
        Settings.from_env({flag: value})


def test_the_flags_are_importable_booleans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TASK_SCHEDULER", "True")
    monkeypatch.delenv("USE_UNIFIED_SCHEDULER", raising=False)

    assert config.USE_TASK_SCHEDULER is True
    assert config.USE_UNIFIED_SCHEDULER is False


def test_each_mode_has_its_lights() -> None:
    assert OPERATING_MODE_LED_MAP == {
        "trading": {"system": "system_healthy", "trading": "trading_active"},
        "research": {"system": "system_healthy", "research": "research_evolving"},
        "prep": {"system": "system_healthy", "trading": "trading_pending"},
    }
    assert set(OPERATING_MODE_LED_MAP) == {mode.value for mode in OperatingMode}


def test_a_shutdown_is_an_event_that_others_may_wait_for() -> None:
    orch = at("2026-11-20T12:00").orchestrator
    assert isinstance(orch, TradingOrchestrator)

    assert not orch.shutdown_event.is_set()


def test_constructing_the_facade_touches_no_disk() -> None:
    at("2026-11-20T12:00").get_ready_tasks()

    assert not Path("/nowhere").exists()


# --- what runs when -----------------------------------------------------------------------------------------


def test_memory_promised_rises_at_a_start_and_falls_at_the_end_and_at_a_failure() -> None:
    from orchestration.policies import policy_for
    from orchestration.reports import SessionTables
    from orchestration.simulation.box import build
    from orchestration.simulation.stand_ins import Fortune
    from orchestration.types import TaskSpec

    class Fixed:
        def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
            return Fortune(10, 50, 1 if spec.name == "fails" else 0)

    specs = {name: TaskSpec(name=name, memory_mb=150) for name in ("works", "fails")}
    start = ny("2026-11-19T20:00")
    box = build(specs, policy_for("unified"), SessionTables(), start, model=Fixed())

    box.run_until(start + timedelta(minutes=5))
    during = box.loop.state.estimated_memory_used
    box.run_until(start + timedelta(minutes=15))

    assert (during, box.loop.state.estimated_memory_used) == (300, 0)
