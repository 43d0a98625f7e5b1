"""The public facade: phases, dependencies, conflicts, memory, and what is remembered."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestration import task_scheduler
from orchestration.errors import AlreadyRunning
from orchestration.instance import InstanceLock
from orchestration.runs import ActiveRun, Estimate, RunKey, TaskRecord
from orchestration.task_scheduler import (
    MarketCalendar,
    OperatingMode,
    ResearchBudget,
    SchedulerState,
    TaskCategory,
    TaskPriority,
    TaskResult,
    TaskScheduler,
    TaskSpec,
    TimeWindow,
)
from orchestration.task_specs import TASK_SPECS
from tests.calendars import ny
from tests.facade import Facade

NIGHT = ny("2026-11-19T20:00")  # Thursday: OVERNIGHT, cycle of Friday 2026-11-20
SPECS = {spec.name: spec for spec in TASK_SPECS}
OVERNIGHT = TimeWindow("OVERNIGHT")
JOB = TaskSpec(name="test", phases={"OVERNIGHT"})


@pytest.fixture
def box(tmp_path: Path) -> Facade:
    return Facade(tmp_path, NIGHT)


def a_run(task: str = "study", minutes: float = 60, mb: float = 100) -> ActiveRun:
    return ActiveRun(
        key=RunKey(task, "2026-11-20", "once", 1),
        started_at=NIGHT,
        predicted_end=NIGHT + timedelta(minutes=minutes),
        reserved_mb=mb,
    )


# --- names --------------------------------------------------------------------------------------------------


def test_the_facade_names_everything_a_caller_needs() -> None:
    assert {
        *("MarketCalendar", "OperatingMode", "ResearchBudget", "SchedulerState", "TaskCategory"),
        *("TaskPriority", "TaskResult", "TaskScheduler", "TaskSpec", "TimeWindow"),
    } == set(task_scheduler.__all__)
    assert [mode.value for mode in OperatingMode] == ["trading", "research", "prep"]
    assert TaskPriority.CRITICAL > TaskPriority.HIGH > TaskPriority.NORMAL > TaskPriority.LOW
    assert TaskPriority.LOW > TaskPriority.BACKGROUND
    assert {category.name for category in TaskCategory} == {
        *("TRADING", "RISK", "DATA", "RESEARCH", "OPTIMIZATION", "VALIDATION", "MAINTENANCE", "REPORTING"),
    }


def test_every_field_of_a_spec_but_its_name_has_a_default() -> None:
    spec = TaskSpec(name="test")

    assert (spec.phases, spec.dependencies, spec.conflicts) == (frozenset(), frozenset(), frozenset())
    assert TaskSpec(name="test", phases={"OVERNIGHT"}).phases == {"OVERNIGHT"}
    with pytest.raises(TypeError):
        TaskSpec()  # type: ignore[call-arg]  # that is the test


def test_a_hand_made_calendar_says_whether_the_market_is_open() -> None:
    assert MarketCalendar(True, False, date(2026, 11, 23), 0.0).is_market_open
    assert not MarketCalendar(True, False, date(2026, 11, 23), 1.5).is_market_open
    assert not MarketCalendar(is_trading_day=False).is_market_open


def test_a_hand_made_budget_says_how_much_is_left() -> None:
    assert ResearchBudget(12, 10, "overnight").budget_pct_remaining == 1.0
    assert ResearchBudget(7, 5, "overnight", False, 10).budget_pct_remaining == 0.5
    assert ResearchBudget(4, 0, "overnight").budget_pct_remaining == 0.0


def test_a_window_takes_a_phase_and_names_itself() -> None:
    assert TimeWindow("OVERNIGHT").id == "-/OVERNIGHT"
    assert TimeWindow("HOLIDAY", day=date(2026, 11, 27)).id == "2026-11-27/HOLIDAY"


def test_the_built_in_tasks_keep_their_relations() -> None:
    candidates = SPECS["validate_candidates"]

    assert "reconcile_positions" in SPECS["calculate_pnl"].dependencies
    assert {"refresh_eod_data", "validate_candidates"} <= SPECS["run_nightly_research"].conflicts
    assert candidates.argv[1:] == (
        *("scripts/validate_strategies_subprocess.py", "--all-candidates", "--memory-limit", "1500"),
    )
    assert candidates.timeout_minutes == 60


# --- is a task ready ----------------------------------------------------------------------------------------


def test_a_task_is_ready_in_its_phase_alone(box: Facade) -> None:
    assert box.sched._is_task_ready(JOB, OVERNIGHT)
    assert not box.sched._is_task_ready(JOB, TimeWindow("MARKET_OPEN"))
    assert box.sched._is_task_ready(TaskSpec(name="anywhere"), TimeWindow("MARKET_OPEN"))


def test_a_task_that_is_done_in_its_phase_is_not_ready_unless_it_recurs(box: Facade) -> None:
    box.sched.state.phase_completions = {"OVERNIGHT": {"test"}}

    assert not box.sched._is_task_ready(JOB, OVERNIGHT)
    assert box.sched._is_task_ready(JOB.but(every=timedelta(hours=1)), OVERNIGHT)


def test_a_dependency_must_be_among_the_completions(box: Facade) -> None:
    spec = JOB.but(dependencies={"reconcile_positions"})

    before = box.sched._is_task_ready(spec, OVERNIGHT)
    box.sched.state.phase_completions = {"POST_MARKET": {"reconcile_positions"}}

    assert not before
    assert box.sched._is_task_ready(spec, OVERNIGHT)


def test_a_running_conflict_is_waited_for_whatever_was_assigned(box: Facade) -> None:
    research = SPECS["run_nightly_research"].but(enabled=True)

    assert box.sched._is_task_ready(research, OVERNIGHT)
    for running in ({"refresh_eod_data": a_run("refresh_eod_data")}, {"validate_candidates": object()}):
        box.sched.state.running_tasks = running  # type: ignore[assignment]  # callers may assign bare names
        assert not box.sched._is_task_ready(research, OVERNIGHT)
    box.sched.state.running_tasks = {"refresh_eod_data"}  # type: ignore[assignment]  # a set of names too
    assert not box.sched._is_task_ready(research, OVERNIGHT)


def test_conflicts_hold_both_ways(box: Facade) -> None:
    box.sched.state.running_tasks = {"run_nightly_research": a_run("run_nightly_research")}

    assert not box.sched._is_task_ready(SPECS["refresh_eod_data"], OVERNIGHT)


def test_memory_that_is_promised_already_is_not_promised_again(box: Facade) -> None:
    # 3600 available - 300 in reserve = 3300.
    assert box.sched._is_task_ready(JOB.but(memory_mb=3300), OVERNIGHT)
    assert not box.sched._is_task_ready(JOB.but(memory_mb=3301), OVERNIGHT)

    box.sched.state.estimated_memory_used = 3000

    assert box.sched._get_available_memory() == 300
    assert box.sched._is_task_ready(JOB.but(memory_mb=300), OVERNIGHT)
    assert not box.sched._is_task_ready(JOB.but(memory_mb=301), OVERNIGHT)


def test_slots_and_the_switch_count_too(box: Facade) -> None:
    assert not box.sched._is_task_ready(JOB.but(cpus=5), OVERNIGHT)
    assert not box.sched._is_task_ready(JOB.but(enabled=False), OVERNIGHT)


# --- ready tasks and completions ----------------------------------------------------------------------------


def test_a_completion_makes_the_dependents_ready(box: Facade) -> None:
    before = box.ready()

    box.sched._record_completion(box.orch.specs["first"], TaskResult())

    assert ("first" in before, "second" in before) == (True, False)
    assert ("first" in box.ready(), "second" in box.ready()) == (False, True)
    assert box.sched.state.phase_completions == {"OVERNIGHT": {"first"}}


def test_a_failure_makes_nobody_ready(box: Facade) -> None:
    from orchestration.runs import Outcome

    box.sched._record_completion(
        box.orch.specs["first"], TaskResult(outcome=Outcome.FAILED, ended_at=NIGHT, exit_code=1)
    )

    assert "second" not in box.ready()
    assert box.sched.state.record("first").failures == 1


def test_a_completion_with_its_own_key_keeps_it(box: Facade) -> None:
    key = RunKey("first", "2026-11-19", "once", 1)

    box.sched._record_completion(box.orch.specs["first"], TaskResult(key=key))

    assert box.sched.state.record("first").last_success_cycle == "2026-11-19"
    assert "second" not in box.ready()


def test_yesterday_s_completion_meets_nothing_today(box: Facade) -> None:
    box.sched._record_completion(box.orch.specs["first"], TaskResult())

    box.clock.advance(timedelta(days=1))  # Friday 20:00: the next cycle

    assert "first" in box.ready()
    assert "second" not in box.ready()
    assert box.sched.state.phase_completions == {}


def test_the_most_important_ready_task_comes_first_and_each_is_ready_by_itself(box: Facade) -> None:
    ready, together = box.ready(), [start.key.task for start in box.sched.decide().starts]

    assert ready[0] == together[0] == "first"
    # Four slots take four of them, beside those that take none.
    assert len([task for task in together if box.orch.specs[task].cpus]) == 4
    assert {"first", "study", "filler"} | set(together) <= set(ready)


def test_a_running_task_is_not_ready(box: Facade) -> None:
    box.sched.state.running_tasks = {"first": a_run("first")}

    assert "first" not in box.ready()


def test_execute_next_starts_the_first_ready_task_in_a_real_process(box: Facade) -> None:
    started = box.sched.execute_next()

    assert started == "first"
    open_runs = box.orch.store.load().open_runs
    assert [found.run.task for found in open_runs] == ["first"]
    os.waitpid(-1, 0)  # the supervisor of /bin/true, which ends by itself
    box.orch.store.close()


def test_execute_next_with_nothing_ready_starts_nothing(box: Facade) -> None:
    box.sched.state.paused = "all"

    assert box.sched.execute_next() is None


# --- estimates ----------------------------------------------------------------------------------------------


def test_a_duration_is_assigned_learned_or_the_spec_s(box: Facade) -> None:
    spec = box.orch.specs["filler"]
    assert box.sched._get_estimated_duration(spec) == timedelta(minutes=10)

    # One run of 20 against 0.2 of the spec's 10: exp((ln 20 + 0.2 * ln 10) / 1.2) = 17.8.
    box.sched.state.records = {
        "filler": TaskRecord(estimate=Estimate(log_mean=2.9957, log_error=0.1, runs=1))
    }
    assert box.sched._get_estimated_duration(spec) / timedelta(minutes=1) == pytest.approx(17.8, abs=0.05)

    box.sched.state.avg_durations = {"filler": 7.5}
    assert box.sched._get_estimated_duration(spec) == timedelta(minutes=7.5)


def test_opportunistic_tasks_fill_what_is_left(box: Facade) -> None:
    # filler: the 0.8 quantile of 10 minutes is 18.1; study: a slice of 30 minutes and 20 s to stop.
    def names(minutes: float) -> list[str]:
        return [spec.name for spec in box.sched.backfill_with_opportunistic_tasks(minutes)]

    assert "filler" not in names(18)
    assert "filler" in names(18.2)
    assert "study" not in names(30.3)
    assert "study" in names(30.4)
    assert names(60).index("study") < names(60).index("filler")  # NORMAL before LOW
    box.sched.state.running_tasks = {"study": a_run()}
    assert "study" not in names(60)


def test_an_extendable_run_is_extended_until_prep(box: Facade) -> None:
    assert not box.sched.should_extend_task("study")

    box.sched.state.running_tasks = {"study": a_run()}
    assert box.sched.should_extend_task("study")

    box.clock.advance(timedelta(hours=8))
    assert not box.sched.should_extend_task("study")


def test_a_run_that_is_not_extendable_is_not_extended(box: Facade) -> None:
    box.sched.state.running_tasks = {"filler": a_run("filler")}

    assert not box.sched.should_extend_task("filler")


def test_an_extended_window_is_for_what_an_ordinary_night_is_too_short_for(tmp_path: Path) -> None:
    night, weekend = Facade(tmp_path, NIGHT), Facade(tmp_path, ny("2026-11-20T20:00"))

    assert night.sched.get_extended_window_tasks() == []
    extended = {spec.name for spec in weekend.sched.get_extended_window_tasks()}
    assert {"study", "run_weekend_research"} <= extended
    # Neither extendable nor able to stop and go on.
    assert "filler" not in extended


# --- the state ----------------------------------------------------------------------------------------------


def test_the_state_survives_a_save_and_a_load(box: Facade) -> None:
    box.sched._record_completion(box.orch.specs["first"], TaskResult(duration_s=60, ended_at=NIGHT))
    box.sched.state.paused = "research"
    box.sched._save_state()

    other = TaskScheduler(box.orch)
    other._load_state()

    assert other.state.records == box.sched.state.records
    assert (other.state.paused, other.state.running_tasks) == ("research", {})
    box.orch.store.close()


def test_a_run_left_open_is_loaded_with_its_memory(box: Facade) -> None:
    from orchestration.changes import RunPlanned

    box.orch.store.commit([RunPlanned(run=a_run(mb=250))])

    box.sched._load_state()

    assert list(box.sched.state.running_tasks) == ["study"]
    assert box.sched.state.estimated_memory_used == 250
    box.orch.store.close()


def test_a_fresh_state_is_plain_and_empty() -> None:
    state = SchedulerState()

    assert (state.running_tasks, state.phase_completions, state.avg_durations) == ({}, {}, {})
    assert state.estimated_memory_used == 0


def test_a_scheduler_begins_with_what_the_box_remembers(box: Facade) -> None:
    """What ran before is known to a new shell, so that nothing is started again under the same identity."""
    assert box.sched.execute_next() == "first"
    os.waitpid(-1, 0)

    again = TaskScheduler(box.orch)

    assert "first" in again.state.running_tasks
    assert "first" not in [spec.name for spec in again.get_ready_tasks()]


def test_nothing_is_started_beside_a_daemon_that_holds_the_state(box: Facade) -> None:
    box.orch.settings.state_dir.mkdir(parents=True, exist_ok=True)

    with InstanceLock(box.orch.settings.state_dir), pytest.raises(AlreadyRunning):
        box.sched.execute_next()
