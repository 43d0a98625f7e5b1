"""How the state changes with a start, a result, a skip, a window, an order. `NOW` is a Thursday evening, in
the cycle of Friday 2026-11-20."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestration import transitions
from orchestration.decisions import Gate, Prediction, Reason, SkipSlot, StartRun
from orchestration.ports import RunExit
from orchestration.runs import Outcome, RunKey, SchedulerState, StopCause, TaskRecord, TaskResult
from orchestration.types import OncePer, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import CALENDARS, FRIDAY, MONDAY, NIGHT, active, known, turn
from tests.unit.deciding import started as started_in

NOW = NIGHT
STRETCH = CALENDARS.stretch(NOW)
KEY = RunKey("job", FRIDAY, "once", 1)
SPEC = TaskSpec(name="job", idempotent=True, max_attempts=3, backoff=timedelta(minutes=2))
ORDERS = TaskSpec(name="job", reconciled_by="reconcile", max_attempts=3)


def start(slot: str = "once", attempt: int = 1, cycle: str = FRIDAY, due: datetime | None = None) -> StartRun:
    return StartRun(
        key=RunKey("job", cycle, slot, attempt),
        memory_mb=100,
        cpus=1,
        prediction=Prediction(5, 10),
        predicted_end=NOW + timedelta(minutes=10),
        due_at=due,
    )


def after_start(state: SchedulerState, action: StartRun, at: datetime = NOW) -> SchedulerState:
    run = replace(active("job", at), key=action.key)
    return transitions.after_start(state, action, run)


def result(outcome: Outcome, key: RunKey = KEY, **fields: object) -> TaskResult:
    return TaskResult(key=key, outcome=outcome, started_at=NOW, ended_at=NOW, **fields)  # type: ignore[arg-type]  # names are checked by the call


def ended(
    record: TaskRecord, outcome: Outcome, spec: TaskSpec = SPEC, at: datetime = NOW, **fields: object
) -> TaskRecord:
    """Return the record after one more result at `at`."""
    return transitions.record_after(record, spec, result(outcome, **fields), CALENDARS.stretch(at), at)  # type: ignore[arg-type]  # as above


# --- how a run ended ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exit_code", "cause", "oom", "outcome"),
    [
        (0, None, False, Outcome.SUCCEEDED),
        (0, StopCause.RECLAIM, False, Outcome.SUCCEEDED),  # it was done before it noticed
        (1, None, False, Outcome.FAILED),
        (75, None, False, Outcome.CHECKPOINTED),
        (75, StopCause.WINDOW_END, False, Outcome.CHECKPOINTED),
        (75, StopCause.TIMEOUT, False, Outcome.CHECKPOINTED),
        (-15, StopCause.TIMEOUT, False, Outcome.TIMED_OUT),
        (-15, StopCause.OPERATOR, False, Outcome.KILLED),
        (-9, StopCause.MEMORY, False, Outcome.OUT_OF_MEMORY),
        (-9, None, True, Outcome.OUT_OF_MEMORY),
        (-9, None, False, Outcome.FAILED),  # a stranger's signal
        (None, None, False, Outcome.INTERRUPTED),
    ],
)
def test_an_outcome_says_who_ended_the_run(
    exit_code: int | None, cause: StopCause | None, oom: bool, outcome: Outcome
) -> None:
    exit_ = RunExit(run_id=KEY.run_id, exit_code=exit_code, ended_at=NOW, stop_cause=cause, out_of_memory=oom)

    assert transitions.outcome_of(exit_, SPEC) is outcome


@pytest.mark.parametrize("spec", [ORDERS, None], ids=["not idempotent", "unknown task"])
def test_a_lost_run_that_may_not_be_repeated_is_unknown(spec: TaskSpec | None) -> None:
    exit_ = RunExit(run_id=KEY.run_id, exit_code=None, ended_at=NOW)

    assert transitions.outcome_of(exit_, spec) is Outcome.UNKNOWN


def test_a_result_keeps_what_the_process_left_and_why_it_was_stopped() -> None:
    run = replace(active("job", NOW), stopping=StopCause.RECLAIM)
    exit_ = RunExit(
        run_id=run.run_id,
        exit_code=75,
        ended_at=NOW,
        duration_s=9,
        peak_memory_mb=77,
        report={"summary": "half"},
        detail="told to",
    )

    found = transitions.result_of(exit_, run, SPEC)

    assert (found.duration_s, found.peak_memory_mb, found.exit_code) == (9, 77, 75)
    assert (found.detail, found.report, found.stop_cause) == (
        "told to",
        {"summary": "half"},
        StopCause.RECLAIM,
    )


# --- starts -------------------------------------------------------------------------------------------------


def test_a_start_promises_memory_and_its_result_gives_it_back() -> None:
    state = after_start(SchedulerState(waiting_since={"job": NOW}), start())

    assert (state.estimated_memory_used, list(state.running_tasks), state.waiting_since) == (100, ["job"], {})
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        after = transitions.after_result(state, SPEC, result(outcome), STRETCH, NOW)
        assert (after.estimated_memory_used, after.running_tasks) == (0, {})


def test_a_new_slot_begins_its_own_count_and_a_retry_keeps_it() -> None:
    old = TaskRecord(attempt_cycle=FRIDAY, attempt_slot="once", attempts=1, failures=1, interruptions=1)
    state = SchedulerState(records={"job": old})

    retry = after_start(state, start(attempt=2)).record("job")
    fresh = after_start(state, start(cycle=MONDAY)).record("job")

    assert (retry.attempts, retry.failures, retry.interruptions) == (2, 1, 1)
    assert (fresh.attempts, fresh.failures, fresh.interruptions) == (1, 0, 0)


def test_the_newest_slot_is_remembered_and_an_older_one_does_not_replace_it() -> None:
    newer = after_start(SchedulerState(), start(slot="b", due=NOW))
    older = after_start(newer, start(slot="a", due=NOW - timedelta(hours=1)))

    assert older.record("job").last_slot == NOW


def test_a_run_by_hand_leaves_the_count_of_the_slot_alone() -> None:
    slot = TaskRecord(attempt_cycle=FRIDAY, attempt_slot="once", attempts=2, failures=2)
    state = SchedulerState(records={"job": slot}, manual={"job": "manual:7"})
    key = RunKey("job", FRIDAY, "manual:7", 1)

    begun = after_start(state, start(slot="manual:7"))
    failed = transitions.after_result(begun, SPEC, result(Outcome.FAILED, key), STRETCH, NOW).record("job")

    assert begun.manual == {}
    assert begun.record("job") == replace(slot, last_started_at=NOW)
    assert (failed.attempt_slot, failed.attempts, failed.failures, failed.settled) == ("once", 2, 2, False)
    # The third attempt of the slot goes on under its own number.
    again = turn(SPEC, at=NOW + timedelta(hours=1), state=SchedulerState(records={"job": failed}))
    assert [s.key for s in again.starts] == [RunKey("job", FRIDAY, "once", 3)]


def test_a_run_by_hand_that_works_orders_and_is_lost_leaves_the_same_doubt() -> None:
    record = TaskRecord(settled=True)

    lost = ended(record, Outcome.UNKNOWN, ORDERS, key=RunKey("job", FRIDAY, "manual:7", 1))

    assert (lost.unknown_since, lost.settled) == (NOW, True)


def test_a_run_that_was_asked_to_stop_holds_its_place() -> None:
    state = transitions.after_stop_asked(known(active("job", NOW)), "job", StopCause.RECLAIM, NOW)

    run = state.running_tasks["job"]
    assert (run.stopping, run.stop_asked_at) == (StopCause.RECLAIM, NOW)


# --- success ------------------------------------------------------------------------------------------------


def test_a_success_settles_its_slot_and_forgives_the_failures_before_it() -> None:
    record = TaskRecord(
        failures=2,
        recent_failures=(NOW,),
        quarantine_level=2,
        failed_cycle=FRIDAY,
        not_before=NOW,
        interruptions=1,
    )

    found = ended(record, Outcome.SUCCEEDED, duration_s=60, peak_memory_mb=50)

    assert (found.settled, found.failures, found.quarantine_level, found.interruptions) == (True, 0, 0, 0)
    assert (found.failed_cycle, found.not_before, found.recent_failures) == (None, None, ())
    assert (found.last_success_at, found.last_success_cycle) == (NOW, FRIDAY)
    assert (found.last_success_window, found.last_success_period) == (f"{FRIDAY}/OVERNIGHT", FRIDAY)
    assert (found.estimate.runs, found.estimate.memory_mb) == (1, 50)


@pytest.mark.parametrize(
    ("once_per", "cycle", "period"),
    [
        (OncePer.PHASE, FRIDAY, f"{FRIDAY}/OVERNIGHT"),
        (OncePer.WEEK, "2026-W47", "2026-W47"),
        (OncePer.MONTH, "2026-11", "2026-11"),
        # A run by hand carries the cycle's day: it counts for the week and month that day is in.
        (OncePer.WEEK, FRIDAY, "2026-W47"),
        (OncePer.MONTH, FRIDAY, "2026-11"),
    ],
)
def test_a_success_counts_for_its_period(once_per: OncePer, cycle: str, period: str) -> None:
    found = ended(
        TaskRecord(), Outcome.SUCCEEDED, SPEC.but(once_per=once_per), key=RunKey("job", cycle, "once", 1)
    )

    assert (found.last_success_period, found.last_success_cycle) == (period, FRIDAY)


def test_a_success_is_shown_by_phase_and_teaches_the_average() -> None:
    done = transitions.after_result(SchedulerState(), SPEC, result(Outcome.SUCCEEDED), STRETCH, NOW)

    assert done.phase_completions == {"OVERNIGHT": {"job"}}
    assert done.avg_durations == {"job": 5}  # no duration was measured: the spec's figure


def test_yesterday_s_run_that_ends_today_completes_nothing_of_today() -> None:
    key = RunKey("job", "2026-11-19", "once", 1)

    done = transitions.after_result(SchedulerState(), SPEC, result(Outcome.SUCCEEDED, key), STRETCH, NOW)

    assert done.phase_completions == {}
    assert done.record("job").last_success_cycle == "2026-11-19"


def test_a_result_of_a_task_that_has_left_the_file_frees_its_place_and_teaches_nothing() -> None:
    state = known(active("job", NOW))

    after = transitions.after_result(state, None, result(Outcome.SUCCEEDED), STRETCH, NOW)

    assert (after.running_tasks, after.record("job"), after.phase_completions) == ({}, TaskRecord(), {})


# --- failure ------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_after_a_backoff_that_doubles_and_then_given_up() -> None:
    one = ended(TaskRecord(), Outcome.FAILED)
    two = ended(one, Outcome.FAILED, at=NOW + timedelta(minutes=20))
    three = ended(two, Outcome.FAILED, at=NOW + timedelta(minutes=40))

    assert (one.settled, one.not_before, one.failed_cycle) == (False, NOW + timedelta(minutes=2), None)
    assert two.not_before == NOW + timedelta(minutes=24)
    assert (three.settled, three.failed_cycle) == (True, FRIDAY)


def test_three_failures_within_ten_minutes_are_a_quarantine_that_grows() -> None:
    record, spec = TaskRecord(), SPEC.but(max_attempts=99)
    rests = []
    at = NOW
    for _ in range(8):
        for _ in range(3):
            at += timedelta(minutes=5)
            record = ended(record, Outcome.FAILED, spec, at=at)
        assert record.quarantined_until is not None
        rests.append((record.quarantined_until - at) / timedelta(minutes=30))
        at += timedelta(minutes=1)

    # 30 minutes, doubled each time, at most a day.
    assert rests == [1, 2, 4, 8, 16, 32, 48, 48]


def test_three_failures_over_more_than_ten_minutes_are_no_quarantine() -> None:
    record, spec = TaskRecord(), SPEC.but(max_attempts=99)

    for minutes in (0, 5.1, 10.2):
        record = ended(record, Outcome.FAILED, spec, at=NOW + timedelta(minutes=minutes))

    assert (record.quarantined_until, len(record.recent_failures)) == (None, 2)


def test_an_out_of_memory_run_is_tried_again_with_more_and_not_at_once() -> None:
    # Killed at 150 MB with 100 reserved: the next is promised 1.2 * 150 = 180 MB, after ten minutes.
    record = ended(TaskRecord(), Outcome.OUT_OF_MEMORY, peak_memory_mb=150.0)

    waiting = turn(SPEC, at=NOW + timedelta(minutes=9), state=SchedulerState(records={"job": record}))
    retry = turn(SPEC, at=NOW + timedelta(minutes=10), state=SchedulerState(records={"job": record}))

    assert started_in(waiting) == []
    assert retry.starts[0].memory_mb == pytest.approx(180)


def test_an_unmeasured_out_of_memory_run_needs_more_than_it_was_promised() -> None:
    record = ended(TaskRecord(), Outcome.OUT_OF_MEMORY)

    assert record.estimate.memory_floor_mb == 100


def test_a_timeout_teaches_a_lower_bound_and_a_stopped_run_nothing() -> None:
    timed_out = ended(TaskRecord(), Outcome.TIMED_OUT, duration_s=600)
    cut = ended(TaskRecord(), Outcome.CHECKPOINTED, duration_s=600, stop_cause=StopCause.WINDOW_END)
    just_in_time = ended(TaskRecord(), Outcome.SUCCEEDED, duration_s=600, stop_cause=StopCause.WINDOW_END)

    assert timed_out.estimate.at_least_minutes == 10
    assert cut.estimate == just_in_time.estimate == TaskRecord().estimate


# --- neither ------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_was_asked_for_resumes_in_the_same_cycle_at_once() -> None:
    record = ended(
        TaskRecord(attempt_cycle=FRIDAY, attempt_slot="once", attempts=1),
        Outcome.CHECKPOINTED,
        stop_cause=StopCause.RECLAIM,
    )

    again = turn(SPEC, at=NOW, state=SchedulerState(records={"job": record}))

    assert (record.settled, record.failures) == (False, 0)
    assert [s.key.attempt for s in again.starts] == [2]


def test_exit_75_without_being_asked_is_tried_later_and_no_failure() -> None:
    record = ended(TaskRecord(), Outcome.CHECKPOINTED)

    assert (record.failures, record.settled, record.recent_failures) == (0, False, ())
    assert record.not_before == NOW + timedelta(minutes=2)


def test_a_run_cut_at_its_time_limit_has_used_an_attempt_of_its_slot() -> None:
    cut = ended(TaskRecord(), Outcome.CHECKPOINTED, stop_cause=StopCause.TIMEOUT)
    only_one = ended(
        TaskRecord(), Outcome.CHECKPOINTED, SPEC.but(max_attempts=1), stop_cause=StopCause.TIMEOUT
    )

    assert (cut.failures, cut.settled) == (1, False)
    assert (only_one.failures, only_one.settled) == (1, True)


def test_a_run_that_the_operator_stopped_is_not_started_again() -> None:
    record = ended(TaskRecord(), Outcome.KILLED, stop_cause=StopCause.OPERATOR)

    assert (record.settled, record.failed_cycle, record.failures) == (True, FRIDAY, 0)


def test_a_run_that_was_killed_for_a_duty_may_start_again() -> None:
    record = ended(TaskRecord(), Outcome.KILLED, stop_cause=StopCause.RECLAIM)

    assert (record.settled, record.failed_cycle, record.not_before) == (False, None, None)


def test_a_lost_run_is_run_again_once() -> None:
    once = ended(TaskRecord(), Outcome.INTERRUPTED)
    twice = ended(once, Outcome.INTERRUPTED)

    assert (once.settled, twice.settled, twice.failed_cycle) == (False, True, FRIDAY)


def test_a_run_that_never_came_to_be_costs_nothing() -> None:
    record = TaskRecord(interruptions=1)
    never = transitions.never_started(active("job", NOW), NOW)

    after = transitions.record_after(record, SPEC, never, STRETCH, NOW)

    assert never.outcome is Outcome.INTERRUPTED
    assert (after.interruptions, after.settled) == (1, False)


@pytest.mark.parametrize(
    "outcome", [Outcome.UNKNOWN, Outcome.KILLED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY]
)
def test_orders_whose_run_did_not_speak_for_itself_block_until_reconciled(outcome: Outcome) -> None:
    record = ended(TaskRecord(), outcome, ORDERS)

    assert (record.unknown_since, record.settled) == (NOW, False)


@pytest.mark.parametrize(
    ("exit_code", "blocks"), [(-9, True), (-11, True), (1, False), (137, False), (None, False)]
)
def test_orders_whose_run_a_stranger_s_signal_ended_block_until_reconciled(
    exit_code: int | None, blocks: bool
) -> None:
    record = ended(TaskRecord(), Outcome.FAILED, ORDERS, exit_code=exit_code)

    assert (record.unknown_since is not None) is blocks
    assert not record.settled


@pytest.mark.parametrize(
    ("spec", "outcome", "blocks"),
    [
        (ORDERS, Outcome.FAILED, False),  # it said so itself
        (ORDERS, Outcome.CHECKPOINTED, False),
        (ORDERS.but(reconciled_by=None), Outcome.UNKNOWN, True),
        (ORDERS.but(reconciled_by=None), Outcome.KILLED, False),
        (SPEC, Outcome.KILLED, False),
    ],
)
def test_only_doubt_about_what_must_not_be_repeated_blocks(
    spec: TaskSpec, outcome: Outcome, blocks: bool
) -> None:
    assert (ended(TaskRecord(), outcome, spec).unknown_since is not None) is blocks


def test_a_reconciliation_that_began_after_the_run_clears_it_and_an_older_one_does_not() -> None:
    state = SchedulerState(records={"job": TaskRecord(unknown_since=NOW), "calm": TaskRecord()})
    key = RunKey("reconcile", FRIDAY, "once", 1)
    spec, clears = TaskSpec(name="reconcile"), frozenset({"job", "calm", "never ran"})

    def reconciled(started: datetime | None, outcome: Outcome = Outcome.SUCCEEDED) -> datetime | None:
        found = TaskResult(key=key, outcome=outcome, started_at=started)
        return transitions.after_result(state, spec, found, STRETCH, NOW, clears).record("job").unknown_since

    later = NOW + timedelta(minutes=1)
    assert reconciled(later) is None
    assert reconciled(NOW) == reconciled(None) == reconciled(later, Outcome.FAILED) == NOW


def test_the_operator_s_word_clears_an_unknown_run_too() -> None:
    state = SchedulerState(records={"job": TaskRecord(unknown_since=NOW)})

    assert transitions.after_reconcile(state, "job").record("job").unknown_since is None


# --- skips, windows, orders ---------------------------------------------------------------------------------


def test_a_skipped_slot_is_settled_and_the_grid_goes_on_after_it() -> None:
    skip = SkipSlot(task="job", cycle=FRIDAY, slot="s", last_slot=NOW, gate=Gate(Reason.NOT_DUE, False))

    record = transitions.after_skip(SchedulerState(), skip).record("job")

    assert (record.last_slot, record.attempt_slot, record.settled) == (NOW, "s", True)


@pytest.mark.parametrize(("tried", "attempts"), [("s", 2), ("before", 0)])
def test_a_skipped_slot_has_its_own_attempts_and_not_those_of_the_slot_before(
    tried: str, attempts: int
) -> None:
    before = TaskRecord(attempt_cycle=FRIDAY, attempt_slot=tried, attempts=2, failures=2, interruptions=2)
    skip = SkipSlot(task="job", cycle=FRIDAY, slot="s", last_slot=NOW, gate=Gate(Reason.NOT_DUE, False))

    record = transitions.after_skip(SchedulerState(records={"job": before}), skip).record("job")

    assert (record.attempts, record.failures, record.interruptions) == (attempts, attempts, attempts)


def test_a_window_s_completions_end_with_it_and_a_cycle_s_with_the_close() -> None:
    night = CALENDARS.stretch(ny("2026-11-19T23:00"))
    morning = CALENDARS.stretch(ny("2026-11-20T08:30"))
    after_close = CALENDARS.stretch(ny("2026-11-20T16:30"))
    state = transitions.after_window(SchedulerState(), night)
    state.phase_completions = {"OVERNIGHT": {"a"}, "PRE_MARKET": {"old"}}

    same = transitions.after_window(state, CALENDARS.stretch(ny("2026-11-20T05:00")))
    next_phase = transitions.after_window(state, morning)
    next_cycle = transitions.after_window(state, after_close)

    assert same is state
    assert next_phase.phase_completions == {"OVERNIGHT": {"a"}}
    assert next_cycle.phase_completions == {}
    assert next_cycle.cycle is not None
    assert next_cycle.cycle.isoformat() == MONDAY


def test_waiting_is_counted_from_its_first_turn() -> None:
    first = transitions.after_waits(SchedulerState(), frozenset({"a"}), NOW)
    later = NOW + timedelta(hours=1)

    assert transitions.after_waits(first, frozenset({"a"}), later) is first
    assert transitions.after_waits(first, frozenset({"a", "b"}), later).waiting_since == {
        "a": NOW,
        "b": later,
    }
    assert transitions.after_waits(first, frozenset(), later).waiting_since == {}


def test_pausing_and_resuming_one_task_or_all() -> None:
    state = SchedulerState()

    assert transitions.after_command(state).paused == "research"
    assert transitions.after_command(state, paused="all").paused == "all"
    assert transitions.after_command(replace(state, paused="all"), resume=True).paused is None
    one = transitions.after_command(state, task="job")
    assert one.record("job").paused
    assert not transitions.after_command(one, task="job", resume=True).record("job").paused


def test_an_order_to_run_names_its_command() -> None:
    assert transitions.with_manual(SchedulerState(), "job", "7").manual == {"job": "manual:7"}
