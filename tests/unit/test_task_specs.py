"""The built-in tasks: what is promised of them by name, and that they hold together."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orchestration.registry import Registry, build_registry
from orchestration.task_specs import TASK_SPECS
from orchestration.types import Phase, TaskCategory, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.living import Box
from tests.unit.weekdays import weekday_calendars

TODAY = date(2026, 11, 20)
SPECS = {spec.name: spec for spec in TASK_SPECS}
ENABLED = {
    "pre_market_check",
    "refresh_data",
    "optimize_execution",
    "execute_orders",
    "reconcile_orders",
    "monitor_positions",
    "check_risk_limits",
    "reconcile_positions",
    "calculate_pnl",
    "risk_report",
    "refresh_eod_data",
    "refresh_intraday_data",
    "refresh_symbols",
    "refresh_history",
    "refresh_volume_profiles",
    "calibrate_execution",
    "train_models",
    "data_quality",
    "execution_report",
    "daily_report",
    "refresh_sessions",
    "plan_window",
    "health_check",
    "backup_databases",
    "verify_backups",
    "vacuum_databases",
    "cleanup_logs",
    "weekly_report",
    "validate_candidates",
    "validate_strategies",
    "run_weekend_research",
    "run_nightly_research",
    "optimize_parameters",
    "walk_forward_study",
    "bootstrap_backtests",
    "adaptive_optimization",
}


def built(*, every_job: bool = False) -> Registry:
    specs = [spec.but(enabled=True) for spec in TASK_SPECS] if every_job else TASK_SPECS
    calendars = weekday_calendars(TODAY - timedelta(days=30), 500)
    return build_registry(
        specs, total_mb=4000, slots=2, calendars=calendars, today=TODAY, is_file=lambda path: True
    )


def test_the_shipped_tasks_pass_every_check() -> None:
    assert {spec.name for spec in built().enabled} == ENABLED


def test_every_task_can_run_once_its_job_is_there_and_no_window_is_ever_empty() -> None:
    registry = built(every_job=True)

    assert len(registry.enabled) == len(TASK_SPECS) == 39
    assert registry.empty_days == {}


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_a_task_of_its_own(phase: Phase) -> None:
    assert any(phase in spec.phases for spec in TASK_SPECS)


def test_every_category_is_served() -> None:
    assert {spec.category for spec in TASK_SPECS} == set(TaskCategory)


@pytest.mark.parametrize("spec", TASK_SPECS, ids=lambda spec: spec.name)
def test_every_task_says_in_a_sentence_what_it_does(spec: TaskSpec) -> None:
    assert spec.description.endswith(".")
    assert 20 < len(spec.description) < 120


@pytest.mark.parametrize("spec", TASK_SPECS, ids=lambda spec: spec.name)
def test_only_the_task_that_works_orders_may_not_simply_run_again(spec: TaskSpec) -> None:
    assert spec.idempotent is (spec.name != "execute_orders")


def test_the_first_run_of_an_empty_box_has_real_work_whatever_the_hour() -> None:
    setup = {spec.name for spec in TASK_SPECS if spec.setup}

    assert setup == {
        "refresh_sessions",
        "refresh_eod_data",
        "data_quality",
        "backup_databases",
        "health_check",
        "daily_report",
    }
    # What they wait for is due at once, too, and none of them needs a broker, a network or the clock.
    assert all(SPECS[name].dependencies <= setup and not SPECS[name].needs for name in setup)


def test_alerts_and_the_heartbeat_go_out_on_a_full_box_without_stopping_research() -> None:
    for name in ("send_alerts", "send_heartbeat"):
        spec = SPECS[name]
        # HIGH, so that heat and a full disk do not hold them back; no slot, so that nothing makes way.
        assert (spec.is_duty, spec.cpus, spec.needs) == (True, 0, frozenset())
        assert spec.phases == spec.modes == frozenset()


def test_orders_are_sent_at_most_once_and_reconciled() -> None:
    orders = SPECS["execute_orders"]

    assert orders.reconciled_by == "reconcile_orders"
    assert orders.needs == {"clock", "broker"}
    assert orders.phases == {"MARKET_OPEN"}


def test_a_box_that_comes_up_during_the_session_works_the_day_s_orders() -> None:
    names = ("refresh_data", "optimize_execution", "execute_orders", "reconcile_orders")
    at = ny("2026-11-20T10:05")
    box = Box(*(SPECS[name].but(secrets=frozenset()) for name in names), at=at)

    box.sim.run_until(at + timedelta(minutes=5))

    assert "execute_orders" in {event.task for event in box.sim.events}


def test_minute_duties_recur_from_bell_to_bell() -> None:
    for name in ("monitor_positions", "check_risk_limits"):
        assert SPECS[name].every == timedelta(minutes=1)
        assert SPECS[name].window == "open..close"
        assert SPECS[name].priority is TaskPriority.CRITICAL
        # One minute's run is over before the next one is due.
        assert SPECS[name].timeout_minutes < 1


def test_nightly_research_keeps_clear_of_the_data_refresh_and_the_validation() -> None:
    registry = built()

    assert {"refresh_eod_data", "validate_candidates"} <= registry.conflicts_of("run_nightly_research")
    assert "run_nightly_research" in registry.conflicts_of("refresh_eod_data")
    assert SPECS["run_nightly_research"].estimated_minutes == 8 * 60
    assert SPECS["run_weekend_research"].estimated_minutes == 36 * 60


def test_two_searches_never_run_at_once() -> None:
    searches = ("run_nightly_research", "run_weekend_research", "optimize_parameters")

    for search in searches:
        # Every task conflicts with itself.
        assert set(searches) - {search} <= built().conflicts_of(search)


def test_profit_and_loss_waits_for_the_reconciliation() -> None:
    assert SPECS["calculate_pnl"].dependencies == {"reconcile_positions"}


def test_candidates_are_validated_by_the_named_script() -> None:
    spec = SPECS["validate_candidates"]

    assert " ".join(spec.argv) == (
        "{python} scripts/validate_strategies_subprocess.py --all-candidates --memory-limit 1500"
    )
    assert (spec.timeout_minutes, spec.memory_mb) == (60, 1500)


def test_long_research_can_stop_and_resume() -> None:
    for spec in TASK_SPECS:
        if spec.is_research and spec.estimated_minutes >= 60:
            assert spec.interruptible, spec.name
