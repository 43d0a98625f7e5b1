"""When a task is due. Instants are New York's; Friday 2026-11-20 is a full day, the 26th a holiday, the 27th
closes at 13:00, Monday the 23rd is a full day."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestration.decisions import RaiseAlert, Reason, SkipSlot
from orchestration.policies import policy_for
from orchestration.runs import Outcome, SchedulerState, TaskRecord
from orchestration.slots import iso, with_instants
from orchestration.transitions import after_skip
from orchestration.types import Catchup, OncePer, ShortDay, TaskCategory, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import (
    FRIDAY,
    MONDAY,
    NIGHT,
    SESSION,
    THURSDAY,
    box,
    duty,
    reasons,
    remembering,
    research,
    started,
    turn,
)

HALF_HOURLY = TaskSpec(name="job", every=timedelta(minutes=30), window="open..close")
AT_230 = TaskSpec(name="job", at="02:30")


def done(slot: str, at: str = "", cycle: str = FRIDAY, **fields: object) -> TaskRecord:
    """Return the record of a task whose `slot` (instant `at`) has succeeded."""
    return TaskRecord(
        attempt_cycle=cycle,
        attempt_slot=slot,
        attempts=1,
        settled=True,
        last_slot=ny(at) if at else None,
        last_started_at=ny(at) if at else None,
        **fields,  # type: ignore[arg-type]  # names are checked by the call
    )


def skips(decision_actions: tuple[object, ...]) -> list[SkipSlot]:
    return [action for action in decision_actions if isinstance(action, SkipSlot)]


# --- every ------------------------------------------------------------------------------------------------


def test_ticks_of_every_align_to_the_start_of_the_window() -> None:
    # 09:30 + 2 * 30 min = 10:30 is the newest tick at 10:47.
    decision = turn(HALF_HOURLY, at=ny("2026-11-20T10:47"))

    assert [start.key.slot for start in decision.starts] == ["2026-11-20T15:30:00Z"]
    assert decision.starts[0].due_at == ny("2026-11-20T10:30")


def test_a_late_tick_runs_once_and_the_ticks_before_it_never() -> None:
    state = remembering(job=done("2026-11-20T14:30:00Z", "2026-11-20T09:30"))

    late = turn(HALF_HOURLY, at=ny("2026-11-20T12:10"), state=state)

    assert [start.key.slot for start in late.starts] == ["2026-11-20T17:00:00Z"]


def test_after_a_tick_has_run_the_next_one_is_waited_for() -> None:
    state = remembering(job=done("2026-11-20T15:30:00Z", "2026-11-20T10:30"))

    decision = turn(HALF_HOURLY, at=ny("2026-11-20T10:47"), state=state)

    assert reasons(decision, "job") == [Reason.NOT_DUE]
    assert decision.blocked["job"].until == ny("2026-11-20T11:00")
    assert decision.wake_at == ny("2026-11-20T11:00")


def test_the_last_tick_of_a_window_names_no_next_one() -> None:
    state = remembering(job=done("2026-11-20T20:30:00Z", "2026-11-20T15:30"))

    decision = turn(HALF_HOURLY, at=ny("2026-11-20T15:40"), state=state)

    assert decision.blocked["job"].until is None
    assert decision.wake_at == ny("2026-11-20T16:00")


def test_a_changed_grid_starts_after_the_last_recorded_slot() -> None:
    state = remembering(job=done("2026-11-20T15:30:00Z", "2026-11-20T10:30"))
    finer = HALF_HOURLY.but(every=timedelta(minutes=20))

    # The finer grid has ticks at 10:10, 10:30, 10:50: the one of 10:30 was used.
    before, after = (turn(finer, at=ny(f"2026-11-20T{t}"), state=state) for t in ("10:45", "10:50"))

    assert started(before) == []
    assert [start.key.slot for start in after.starts] == ["2026-11-20T15:50:00Z"]


def test_a_failed_tick_that_is_not_given_up_is_tried_again_under_the_next_number() -> None:
    record = TaskRecord(
        attempt_cycle=FRIDAY,
        attempt_slot="2026-11-20T15:30:00Z",
        attempts=1,
        failures=1,
        last_slot=ny("2026-11-20T10:30"),
        last_started_at=ny("2026-11-20T10:30"),
        not_before=ny("2026-11-20T10:40"),
    )
    spec = HALF_HOURLY.but(max_attempts=3)

    waiting = turn(spec, at=ny("2026-11-20T10:39"), state=remembering(job=record))
    retry = turn(spec, at=ny("2026-11-20T10:40"), state=remembering(job=record))

    assert reasons(waiting, "job") == [Reason.BACKOFF]
    assert waiting.wake_at == ny("2026-11-20T10:40")
    assert [(s.key.slot, s.key.attempt) for s in retry.starts] == [("2026-11-20T15:30:00Z", 2)]


# --- once per -----------------------------------------------------------------------------------------------


def test_a_task_runs_once_per_cycle_and_again_after_the_close() -> None:
    spec = TaskSpec(name="job")
    state = remembering(job=done("once", last_success_period=FRIDAY))

    same = turn(spec, at=ny("2026-11-20T15:59"), state=state)
    fresh = turn(spec, at=ny("2026-11-20T16:00"), state=state)

    assert reasons(same, "job") == [Reason.ALREADY_RAN]
    assert same.blocked["job"].until == ny("2026-11-20T16:00")
    assert [start.key.cycle for start in fresh.starts] == [MONDAY]


@pytest.mark.parametrize(
    ("once_per", "period", "cycle", "slot", "again"),
    [
        # A weekend's phases: POST_MARKET 16:00, WEEKEND 18:00.
        (OncePer.PHASE, f"{FRIDAY}/POST_MARKET", MONDAY, "once-WEEKEND", "2026-11-20T18:00"),
        # The cycle of Monday 2026-11-23 begins at Friday's close; 2026-11-20 is in ISO week 47.
        (OncePer.WEEK, "2026-W47", "2026-W48", "once", "2026-11-20T16:00"),
        # The cycle of Tuesday 2026-12-01 begins at Monday's close.
        (OncePer.MONTH, "2026-11", "2026-12", "once", "2026-11-30T16:00"),
    ],
)
def test_once_per_counts_phases_weeks_and_months(
    once_per: OncePer, period: str, cycle: str, slot: str, again: str
) -> None:
    spec = TaskSpec(name="job", once_per=once_per)
    state = remembering(job=TaskRecord(last_success_period=period))

    before = turn(spec, at=ny(again) - timedelta(seconds=1), state=state)
    after = turn(spec, at=ny(again), state=state)

    assert reasons(before, "job") == [Reason.ALREADY_RAN]
    assert [(s.key.cycle, s.key.slot) for s in after.starts] == [(cycle, slot)]


@pytest.mark.parametrize(
    ("attempts", "outcome", "said"),
    [
        (1, Outcome.FAILED, "gave up after 1 attempt, the last failed"),
        (3, Outcome.TIMED_OUT, "gave up after 3 attempts, the last timed out"),
    ],
)
def test_a_slot_that_was_given_up_waits_for_the_next_cycle(
    attempts: int, outcome: Outcome, said: str
) -> None:
    record = replace(done("once", last_outcome=outcome, last_ended_at=NIGHT), attempts=attempts)

    decision = turn(TaskSpec(name="job"), at=NIGHT, state=remembering(job=record))

    assert reasons(decision, "job") == [Reason.ALREADY_RAN]
    assert decision.blocked["job"].failures[0].detail == said


def test_a_window_that_spans_the_close_counts_once() -> None:
    spec = TaskSpec(name="job", window="close-1h..close+1h")

    before = turn(spec, at=ny("2026-11-20T15:30"))
    after = turn(
        spec, at=ny("2026-11-20T16:30"), state=remembering(job=done("once", last_success_period=FRIDAY))
    )

    assert before.starts[0].key.cycle == FRIDAY
    assert reasons(after, "job") == [Reason.ALREADY_RAN]


def test_an_attempt_continues_the_count_of_its_slot() -> None:
    record = TaskRecord(attempt_cycle=FRIDAY, attempt_slot="once", attempts=2)

    decision = turn(TaskSpec(name="job", max_attempts=5), at=NIGHT, state=remembering(job=record))

    assert decision.starts[0].key.attempt == 3


def test_a_clock_set_back_into_the_last_cycle_runs_nothing_again() -> None:
    # It ran in Friday's cycle, at 16:00 in Monday's; then the clock went back to 14:00.
    record = done("once", "2026-11-20T16:00", cycle=MONDAY, last_success_period=MONDAY)
    fresh = TaskRecord(attempt_cycle=MONDAY, attempt_slot="setup", attempts=1)

    decision = turn(
        TaskSpec(name="job"),
        TaskSpec(name="fresh", setup=True),
        at=ny("2026-11-20T14:00"),
        state=remembering(job=record, fresh=fresh),
    )

    assert reasons(decision, "job") == reasons(decision, "fresh") == [Reason.NOT_DUE]


def test_a_clock_set_back_into_the_last_phase_runs_nothing_again() -> None:
    # Once in POST_MARKET, once in WEEKEND at 18:00; then the clock went back to 17:00.
    record = done("once-WEEKEND", "2026-11-20T18:00", cycle=MONDAY, last_success_period=f"{MONDAY}/WEEKEND")
    spec = TaskSpec(name="job", once_per=OncePer.PHASE)

    decision = turn(spec, at=ny("2026-11-20T17:00"), state=remembering(job=record))

    assert reasons(decision, "job") == [Reason.NOT_DUE]
    assert decision.blocked["job"].until == ny("2026-11-20T18:00")


# --- set-up -------------------------------------------------------------------------------------------------


def test_a_setup_task_is_due_at_once_whatever_the_hour_until_its_first_success() -> None:
    spec = TaskSpec(name="job", setup=True, phases={"POST_MARKET"}, window="close+30m..post")

    first = turn(spec, at=SESSION)
    later = turn(spec, at=SESSION, state=remembering(job=TaskRecord(last_success_at=NIGHT)))

    assert [(s.key.slot, s.key.attempt) for s in first.starts] == [("setup", 1)]
    assert reasons(later, "job") == [Reason.WRONG_PHASE, Reason.OUTSIDE_WINDOW]


def test_a_setup_task_that_gave_up_is_tried_again_in_the_next_cycle() -> None:
    record = TaskRecord(attempt_cycle=FRIDAY, attempt_slot="setup", attempts=1, settled=True)
    spec = TaskSpec(name="job", setup=True)

    given_up = turn(spec, at=SESSION, state=remembering(job=record))
    again = turn(spec, at=ny("2026-11-20T16:00"), state=remembering(job=record))

    assert reasons(given_up, "job") == [Reason.ALREADY_RAN]
    assert started(again) == ["job"]


# --- at and cron --------------------------------------------------------------------------------------------


def test_a_clock_time_in_the_spring_gap_runs_at_the_first_instant_after_it() -> None:
    # 2026-03-08: 01:59:59 EST is followed by 03:00:00 EDT = 07:00 UTC.
    early = turn(AT_230, at=ny("2026-03-08T01:59"))
    decision = turn(AT_230, at=ny("2026-03-08T03:00"))

    assert early.wake_at == ny("2026-03-08T03:00")
    assert [start.key.slot for start in decision.starts] == ["2026-03-08T07:00:00Z"]


def test_a_repeated_clock_time_runs_once() -> None:
    # 2026-11-01: 01:30 comes at 05:30 UTC (EDT) and again at 06:30 UTC (EST).
    spec = TaskSpec(name="job", at="01:30", tolerance=timedelta(hours=2))
    first, second = ny("2026-11-01T01:30"), ny("2026-11-01T01:30") + timedelta(hours=1)

    one = turn(spec, at=first)
    two = turn(spec, at=second, state=remembering(job=done(one.starts[0].key.slot, "2026-11-01T01:30")))

    assert one.starts[0].key.slot == "2026-11-01T05:30:00Z"
    assert reasons(two, "job") == [Reason.NOT_DUE]


def test_a_start_within_its_tolerance_is_still_the_slot_s() -> None:
    decision = turn(AT_230, at=ny("2026-11-20T02:30:59"))

    assert [start.key.slot for start in decision.starts] == ["2026-11-20T07:30:00Z"]


HAS_RUN = TaskRecord(last_slot=ny("2026-11-19T02:30"), last_started_at=ny("2026-11-19T02:30"))


def test_a_missed_slot_is_skipped_and_recorded_with_its_reason() -> None:
    decision = turn(AT_230, at=ny("2026-11-20T02:31"), state=remembering(job=HAS_RUN))

    skip = skips(decision.actions)[0]
    assert (skip.slot, skip.last_slot) == ("2026-11-20T07:30:00Z", ny("2026-11-20T02:30"))
    assert skip.gate.reason is Reason.NOT_DUE
    assert "not started by 2026-11-20T07:31:00Z, the end of its tolerance" in skip.gate.detail
    assert started(decision) == []


def test_a_missed_slot_is_caught_up_once_within_its_grace_and_not_after() -> None:
    spec = AT_230.but(catchup=Catchup.ONCE, grace=timedelta(hours=3))
    state = remembering(job=HAS_RUN)

    within = turn(spec, at=ny("2026-11-20T05:29"), state=state)
    after = turn(spec, at=ny("2026-11-20T05:30"), state=state)

    assert [start.key.slot for start in within.starts] == ["2026-11-20T07:30:00Z"]
    assert "the end of its grace" in skips(after.actions)[0].gate.detail


def test_two_missed_slots_are_caught_up_by_one_run_of_the_newer() -> None:
    spec = AT_230.but(catchup=Catchup.ONCE, grace=timedelta(days=5))
    record = TaskRecord(last_slot=ny("2026-11-17T02:30"), last_started_at=ny("2026-11-17T02:30"))

    decision = turn(spec, at=ny("2026-11-20T12:00"), state=remembering(job=record))

    assert [start.key.slot for start in decision.starts] == ["2026-11-20T07:30:00Z"]


def test_a_box_that_was_just_set_up_has_missed_nothing() -> None:
    spec = AT_230.but(catchup=Catchup.ONCE, grace=timedelta(hours=12))

    decision = turn(spec, at=ny("2026-11-20T05:00"))

    assert decision.actions == ()
    assert decision.blocked["job"].until == ny("2026-11-21T02:30")


def test_a_trading_task_is_never_caught_up_after_the_close() -> None:
    spec = duty("job", at="open+5m", catchup=Catchup.ONCE, grace=timedelta(days=1))
    record = TaskRecord(last_slot=ny("2026-11-19T09:35"), last_started_at=ny("2026-11-19T09:35"))

    before = turn(spec, at=ny("2026-11-20T15:59"), state=remembering(job=record))
    after = turn(spec, at=ny("2026-11-20T16:00"), state=remembering(job=record))

    assert started(before) == ["job"]
    assert started(after) == []
    assert [skip.slot for skip in skips(after.actions)] == ["2026-11-20T14:35:00Z"]


def test_a_trading_task_of_a_day_without_session_has_its_grace_alone() -> None:
    spec = duty("job", at="10:00", catchup=Catchup.ONCE, grace=timedelta(hours=9))

    decision = turn(spec, at=ny("2026-11-21T18:00"), state=remembering(job=HAS_RUN))

    assert started(decision) == ["job"]


def test_a_retry_is_not_late_whatever_its_backoff() -> None:
    record = TaskRecord(
        attempt_cycle=FRIDAY,
        attempt_slot="2026-11-20T07:30:00Z",
        attempts=1,
        last_slot=ny("2026-11-20T02:30"),
        last_started_at=ny("2026-11-20T02:30"),
    )
    spec = AT_230.but(max_attempts=2)

    decision = turn(spec, at=ny("2026-11-20T07:00"), state=remembering(job=record))

    assert [(s.key.slot, s.key.attempt) for s in decision.starts] == [("2026-11-20T07:30:00Z", 2)]


def test_a_retry_of_a_cron_slot_is_found_without_a_memory_of_it() -> None:
    # A grid that no other test uses, so that nothing has been remembered of it.
    record = TaskRecord(
        attempt_cycle=FRIDAY,
        attempt_slot="2026-11-20T07:41:00Z",
        attempts=1,
        last_slot=ny("2026-11-20T02:41"),
        last_started_at=ny("2026-11-20T02:41"),
    )
    spec = TaskSpec(name="job", cron="41 2 * * *", max_attempts=2)

    decision = turn(spec, at=ny("2026-11-20T02:42"), state=remembering(job=record))

    assert [(s.key.slot, s.key.attempt) for s in decision.starts] == [("2026-11-20T07:41:00Z", 2)]


def test_a_cron_slot_fires_in_the_exchange_s_zone_and_only_where_it_may() -> None:
    spec = TaskSpec(name="job", cron="0 20 * * *", phases={"WEEKEND"}, tolerance=timedelta(minutes=10))

    night = turn(spec, at=ny("2026-11-19T20:00"))
    weekend = turn(spec, at=ny("2026-11-20T20:00"))

    assert reasons(night, "job") == [Reason.WRONG_PHASE]
    assert night.wake_at == ny("2026-11-19T20:10")  # the slot's end
    assert [start.key.slot for start in weekend.starts] == ["2026-11-21T01:00:00Z"]


def test_at_speaks_of_trading_days_where_it_names_a_session() -> None:
    # Saturday: the next close+10m is Monday's.
    decision = turn(TaskSpec(name="job", at="close+10m"), at=ny("2026-11-21T12:00"))

    assert decision.blocked["job"].until == ny("2026-11-23T16:10")


def test_at_a_session_that_the_table_does_not_reach_is_not_known() -> None:
    # Tokyo's table ends with November.
    decision = turn(TaskSpec(name="job", calendar="XTKS", at="open"), at=ny("2026-12-15T12:00"))

    assert reasons(decision, "job") == [Reason.NOT_DUE]
    assert decision.blocked["job"].until is None


# --- deadlines ----------------------------------------------------------------------------------------------


def test_the_latest_start_is_the_deadline_less_the_predicted_duration() -> None:
    # Deadline 09:30, 20 minutes predicted: 09:10 is the latest start.
    spec = TaskSpec(name="job", window="pre..close", deadline="open", estimated_minutes=20)

    last = turn(spec, at=ny("2026-11-20T09:10"))
    late = turn(spec, at=ny("2026-11-20T09:11"))

    assert started(last) == ["job"]
    assert last.starts[0].deadline == ny("2026-11-20T09:30")
    assert started(late) == []
    assert [skip.gate.reason for skip in skips(late.actions)] == [Reason.DEADLINE_PASSED]
    assert skips(late.actions)[0].gate.detail == (
        "the latest start was 2026-11-20T14:10:00Z, as it takes 20m and its deadline is 2026-11-20T14:30:00Z"
    )


def test_a_slot_that_missed_its_deadline_says_so_whatever_an_older_one_did() -> None:
    # Thursday's run succeeded; Friday's slot is skipped at 09:11, and the next cycle begins at 16:00.
    spec = TaskSpec(name="job", window="pre..close", deadline="open", estimated_minutes=20)
    before = remembering(job=done("once", cycle=THURSDAY, last_outcome=Outcome.SUCCEEDED))
    (skip,) = skips(turn(spec, at=ny("2026-11-20T09:11"), state=before).actions)

    later = turn(spec, at=ny("2026-11-20T09:12"), state=after_skip(before, skip))

    assert reasons(later, "job") == [Reason.ALREADY_RAN]
    assert later.blocked["job"].failures[0].detail == "missed its deadline before it could start"


def test_a_latest_start_is_told_in_whole_seconds() -> None:
    # 31.65 s before 09:30 is 09:29:28.35.
    spec = TaskSpec(name="job", window="pre..close", deadline="open", estimated_minutes=31.65 / 60)

    late = turn(spec, at=ny("2026-11-20T09:29:29"))

    assert skips(late.actions)[0].gate.detail == (
        "the latest start was 2026-11-20T14:29:28Z, as it takes 32s and its deadline is 2026-11-20T14:30:00Z"
    )


def test_a_start_past_the_deadline_s_latest_is_alerted() -> None:
    spec = TaskSpec(name="job", window="pre..close", deadline="open", estimated_minutes=20)

    decision = turn(spec, at=ny("2026-11-20T09:15"))

    alerts = [a for a in decision.actions if not isinstance(a, SkipSlot)]
    text = (
        "job was not started: the latest start was Fri 09:10 EST, as it takes 20m and its deadline is "
        "Fri 09:30 EST"
    )
    assert alerts == [RaiseAlert(key="deadline:job:once", text=text, task="job")]


def test_a_deadline_that_never_comes_binds_nothing() -> None:
    # Tokyo's table ends with November: no close is known after it.
    spec = TaskSpec(name="job", calendar="XTKS", deadline="close")

    decision = turn(spec, at=ny("2026-12-08T20:00"))

    assert started(decision) == ["job"]
    assert decision.starts[0].deadline is None


# --- standing reasons ---------------------------------------------------------------------------------------


def test_a_disabled_task_says_only_that() -> None:
    decision = turn(TaskSpec(name="job", enabled=False), at=NIGHT)

    assert reasons(decision, "job") == [Reason.DISABLED]
    assert decision.blocked["job"].until is None


def test_a_quarantined_task_rests_until_its_end_and_says_why() -> None:
    record = TaskRecord(quarantined_until=NIGHT + timedelta(minutes=30))

    resting = turn(TaskSpec(name="job"), at=NIGHT, state=remembering(job=record))
    back = turn(TaskSpec(name="job"), at=NIGHT + timedelta(minutes=30), state=remembering(job=record))

    assert resting.blocked["job"].failures[0].detail == "failed 3 times within 10 minutes"
    assert resting.wake_at == NIGHT + timedelta(minutes=30)
    assert started(back) == ["job"]


@pytest.mark.parametrize(
    ("by", "names"), [("reconcile_positions", "reconcile_positions"), (None, "orchestratorctl reconcile job")]
)
def test_an_unknown_run_blocks_and_says_who_may_clear_it(by: str | None, names: str) -> None:
    record = TaskRecord(unknown_since=NIGHT)

    decision = turn(TaskSpec(name="job", reconciled_by=by), at=NIGHT, state=remembering(job=record))

    assert reasons(decision, "job") == [Reason.NEEDS_RECONCILE]
    assert names in decision.blocked["job"].failures[0].detail


def test_without_a_session_table_trading_is_refused_and_the_rest_goes_on() -> None:
    beyond = ny("2027-03-01T11:00")  # the table ends with 2026

    decision = turn(duty("trade"), TaskSpec(name="broker", needs={"broker"}), TaskSpec(name="job"), at=beyond)

    assert started(decision) == ["job"]
    assert reasons(decision, "trade") == reasons(decision, "broker") == [Reason.CALENDAR_STALE]


def test_pausing_research_leaves_the_duties_and_pausing_all_leaves_nothing() -> None:
    specs = duty(), TaskSpec(name="chore")

    research_only = turn(*specs, at=NIGHT, state=SchedulerState(paused="research"))
    everything = turn(*specs, at=NIGHT, state=SchedulerState(paused="all"))
    one = turn(*specs, at=NIGHT, state=remembering(duty=TaskRecord(paused=True)))

    assert started(research_only) == ["duty"]
    assert started(everything) == []
    assert started(one) == ["chore"]
    assert reasons(one, "duty") == [Reason.PAUSED]


def test_a_run_asked_for_by_hand_is_due_outside_its_window_but_not_while_it_is_disabled() -> None:
    spec = TaskSpec(name="job", phases={"WEEKEND"})
    state = SchedulerState(manual={"job": "manual:7"})

    asked = turn(spec, at=SESSION, state=state)
    disabled = turn(spec.but(enabled=False), at=SESSION, state=state)

    assert [(s.key.slot, s.key.attempt) for s in asked.starts] == [("manual:7", 1)]
    assert reasons(disabled, "job") == [Reason.DISABLED]


# --- places -------------------------------------------------------------------------------------------------


def test_a_task_outside_mode_phase_and_window_says_all_three_and_the_latest_opening() -> None:
    # Friday 11:00: RESEARCH comes with WEEKEND at 18:00, the next 02:00..03:00 on Saturday.
    spec = TaskSpec(name="job", modes={"research"}, phases={"WEEKEND"}, window="02:00..03:00")

    decision = turn(spec, at=SESSION)

    assert reasons(decision, "job") == [Reason.WRONG_MODE, Reason.WRONG_PHASE, Reason.OUTSIDE_WINDOW]
    assert [gate.clears_at for gate in decision.blocked["job"].failures] == [
        ny("2026-11-20T18:00"),
        ny("2026-11-20T18:00"),
        ny("2026-11-21T02:00"),
    ]


def test_a_window_over_midnight_is_open_on_both_sides_of_it() -> None:
    spec = TaskSpec(name="job", window="22:00..02:00")

    assert started(turn(spec, at=ny("2026-11-19T23:00"))) == ["job"]
    assert started(turn(spec, at=ny("2026-11-20T01:59"))) == ["job"]
    assert started(turn(spec, at=ny("2026-11-20T02:00"))) == []


def test_a_task_runs_on_its_days_only() -> None:
    spec = TaskSpec(name="job", on="sat")

    friday = turn(spec, at=ny("2026-11-20T23:59"))
    saturday = turn(spec, at=ny("2026-11-21T00:00"))

    assert reasons(friday, "job") == [Reason.OUTSIDE_WINDOW]
    assert friday.blocked["job"].until == ny("2026-11-21T00:00")
    assert started(saturday) == ["job"]


def test_a_day_that_does_not_come_within_ten_days_has_no_next_instant() -> None:
    spec = TaskSpec(name="job", on="first trading of quarter")

    decision = turn(spec, at=NIGHT)

    assert decision.blocked["job"].until is None
    assert decision.wake_at <= ny("2026-11-20T00:00")  # the next day is looked at again


def test_a_short_day_is_left_out_where_the_task_says_so() -> None:
    spec = TaskSpec(name="job", short_day=ShortDay.SKIP, window="open..close")
    timed = TaskSpec(name="timed", short_day=ShortDay.SKIP, at="open+1h")

    full = turn(spec, timed, at=ny("2026-11-25T10:30"))
    short = turn(spec, timed, at=ny("2026-11-27T10:30"))

    assert started(full) == ["job", "timed"]
    assert started(short) == []
    assert "closes early and short_day = skip" in short.blocked["job"].failures[0].detail
    assert short.blocked["timed"].until == ny("2026-11-30T10:30")


def test_a_short_day_rule_without_a_window_holds_for_the_whole_day() -> None:
    spec = TaskSpec(name="job", short_day=ShortDay.SKIP)

    assert started(turn(spec, at=ny("2026-11-21T12:00"))) == ["job"]
    assert started(turn(spec, at=ny("2026-11-27T12:00"))) == []


def test_a_window_that_is_empty_on_a_short_day_says_so() -> None:
    spec = TaskSpec(name="job", window="14:00..close")

    decision = turn(spec, at=ny("2026-11-27T12:00"))

    gate = decision.blocked["job"].failures[0]
    assert gate.reason is Reason.OUTSIDE_WINDOW
    assert "empty on 2026-11-27, an early close" in gate.detail
    assert gate.clears_at == ny("2026-11-30T14:00")


# --- the timetable ------------------------------------------------------------------------------------------


def test_the_timetable_is_blind_to_holidays() -> None:
    # Thanksgiving is a Thursday: 21:30 is a nightly slot of the fixed table.
    spec = research("run_nightly_research", phases={"OVERNIGHT"})

    decision = turn(spec, at=ny("2026-11-26T21:30"), policy=policy_for("timetable"))

    assert started(decision) == ["run_nightly_research"]
    # The table allows it four hours.
    assert decision.starts[0].stop_at == ny("2026-11-27T01:30")


def test_research_that_the_timetable_does_not_name_never_starts() -> None:
    decision = turn(research("own_study"), TaskSpec(name="chore"), at=NIGHT, policy=policy_for("timetable"))

    assert started(decision) == ["chore"]
    assert reasons(decision, "own_study") == [Reason.DISABLED]


def test_session_memory_conflict_and_clock_gates_hold_under_the_timetable() -> None:
    spec = research("run_nightly_research", needs={"clock"}, memory_mb=3000, conflicts={"other"})
    at, table = ny("2026-11-19T21:30"), policy_for("timetable")

    unsynced = turn(spec, at=at, policy=table, resources=box(clock_synced=None))
    full = turn(spec, at=at, policy=table, resources=box(available_mb=3299))
    stale = turn(duty("trade"), at=ny("2027-03-01T11:00"), policy=table)

    assert reasons(unsynced, spec.name) == [Reason.CLOCK_UNSYNCED]
    assert reasons(full, spec.name) == [Reason.MEMORY]  # 3299 - 300 in reserve < 3000
    assert reasons(stale, "trade") == [Reason.CALENDAR_STALE]


def test_the_phases_policy_knows_no_budget() -> None:
    # 30 minutes before PREP a task of ten hours may start: nothing is held to a budget.
    spec = research(estimated_minutes=600, phases={"OVERNIGHT"})
    at = ny("2026-11-20T03:30")

    assert started(turn(spec, at=at, policy=policy_for("phases"))) == ["research"]
    assert reasons(turn(spec, at=at), "research") == [Reason.WONT_FIT]


def test_instants_in_a_text_are_spelled_as_asked_and_nothing_else_is() -> None:
    text = "a 2026-11-20T14:30:00Z, b 2026-11-20T14:30Z; c 2026-11-20T14:30:00.500000Z, d 2026-11-20 at 14:30"

    def spell(at: datetime) -> str:
        return f"<{at.timestamp() - NIGHT.timestamp():g}>"

    # The night's 20:00 is 01:00 UTC: half past two in the afternoon is 13.5 h later, 48,600 s.
    assert with_instants(text, spell) == "a <48600>, b <48600>; c <48600.5>, d 2026-11-20 at 14:30"


def test_an_instant_s_name_ends_in_z() -> None:
    assert iso(ny("2026-11-20T09:30")) == "2026-11-20T14:30:00Z"
    assert TaskCategory.RISK.value == "risk"
