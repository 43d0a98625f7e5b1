"""What one turn chooses: order, reservations, deadlines foretold, what must stop, when to wake.

No history: ln(minutes) is logistic around ln(estimate) with scale 0.4296 (see test_gates), so the 0.9
quantile is 2.570 and the 0.7 quantile 1.439 times the estimate, never above the timeout.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestration.decisions import RaiseAlert, Reason, SkipSlot
from orchestration.policies import policy_for
from orchestration.runs import Estimate, RunKey, SchedulerState, StopCause, TaskRecord
from orchestration.types import TaskCategory, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import (
    FRIDAY,
    NIGHT,
    SESSION,
    active,
    box,
    duty,
    known,
    reasons,
    remembering,
    research,
    started,
    stopped,
    turn,
)

PREP = ny("2026-11-20T04:00")
CUT = PREP - timedelta(seconds=20)
PHASES = policy_for("phases")


def alerts(actions: tuple[object, ...]) -> list[str]:
    return [action.text for action in actions if isinstance(action, RaiseAlert)]


# --- order --------------------------------------------------------------------------------------------------


def test_the_order_is_priority_then_slack_then_chain_then_name() -> None:
    specs = [
        TaskSpec(name="b_plain"),
        TaskSpec(name="a_plain"),
        TaskSpec(name="has_dependent"),
        TaskSpec(name="dependent", dependencies={"has_dependent"}),
        TaskSpec(name="z_slack", window="20:00..24:00", deadline="23:00"),
        TaskSpec(name="y_slack", window="20:00..24:00", deadline="22:00"),
        TaskSpec(name="urgent", priority=TaskPriority.CRITICAL),
        TaskSpec(name="later", priority=TaskPriority.LOW),
    ]

    decision = turn(*specs, at=NIGHT, resources=box(slots=16))

    assert started(decision) == [
        *("urgent", "y_slack", "z_slack", "has_dependent", "a_plain", "b_plain", "later"),
    ]


def test_a_task_passed_over_rises_a_step_every_two_hours_within_its_category() -> None:
    # LOW (2) after four hours stands at 4 and passes NORMAL (3); another category is not overtaken.
    specs = (
        research("normal", estimated_minutes=10),
        research("low", estimated_minutes=10, priority=TaskPriority.LOW),
        TaskSpec(name="report", category=TaskCategory.REPORTING, priority=TaskPriority.HIGH),
    )
    waiting = SchedulerState(waiting_since={"low": NIGHT - timedelta(hours=4)})
    not_yet = SchedulerState(waiting_since={"low": NIGHT - timedelta(hours=3)})

    assert started(turn(*specs, at=NIGHT)) == ["report", "normal", "low"]
    assert started(turn(*specs, at=NIGHT, state=waiting)) == ["report", "low", "normal"]
    early = turn(*specs, at=NIGHT, state=not_yet)
    assert started(early) == ["report", "normal", "low"]
    # It rises next four hours after it began to wait.
    assert early.wake_at <= NIGHT + timedelta(hours=1)


def test_a_running_task_is_not_started_again_nor_said_to_wait() -> None:
    decision = turn(TaskSpec(name="job"), at=NIGHT, state=known(active("job", NIGHT)))

    assert decision.actions == ()
    assert "job" not in decision.blocked


# --- what a start says --------------------------------------------------------------------------------------


def test_a_start_carries_its_prediction_its_timeout_and_its_place() -> None:
    decision = turn(TaskSpec(name="job", estimated_minutes=10, timeout_minutes=60, cpus=2), at=NIGHT)

    start = decision.starts[0]
    assert start.key == RunKey("job", FRIDAY, "once", 1)
    assert (start.memory_mb, start.cpus, start.filler) == (100, 2, False)
    assert start.stop_at == NIGHT + timedelta(minutes=60)
    assert start.prediction.median == 10
    assert start.prediction.high == pytest.approx(25.70, abs=0.01)  # 10 * 9 ** 0.4296
    assert decision.wake_at <= NIGHT + timedelta(minutes=60)


def test_research_is_told_to_be_done_when_prep_begins_or_by_its_own_deadline() -> None:
    own = research("own", window="20:00..24:00", deadline="23:00")

    decision = turn(research(), own, at=NIGHT)

    assert {s.key.task: s.deadline for s in decision.starts} == {
        "research": CUT,
        "own": ny("2026-11-19T23:00"),
    }
    assert {s.key.task: s.must_end_by for s in decision.starts} == {
        "research": None,
        "own": ny("2026-11-19T23:00"),
    }


def test_a_timeout_of_nothing_means_none() -> None:
    assert turn(TaskSpec(name="job", timeout_minutes=0), at=NIGHT).starts[0].stop_at is None


# --- reservations -------------------------------------------------------------------------------------------

BIG = TaskSpec(name="big", cpus=4, conflicts=set())


def test_a_lesser_task_starts_only_if_it_ends_before_a_waiting_one_could_start() -> None:
    # `other` leaves its slot at 21:00, `big` takes all four then. High quantiles: 20 min 51.4, 60 min 154.2.
    run = active("other", NIGHT, minutes=60, cpus=1)
    short = TaskSpec(name="short", priority=TaskPriority.LOW, estimated_minutes=20)
    long = TaskSpec(name="long", priority=TaskPriority.LOW, estimated_minutes=60, timeout_minutes=600)

    decision = turn(BIG, short, long, at=NIGHT, state=known(run))

    assert started(decision) == ["short"]
    gate = decision.blocked["long"].failures[0]
    assert gate.reason is Reason.RESERVED
    assert gate.detail == "reserved for big (minutes until it starts)"
    assert (gate.needed, gate.available) == (154.2, 60)
    assert gate.clears_at == ny("2026-11-19T21:00")


def test_a_lesser_task_starts_beside_a_reservation_that_it_does_not_touch() -> None:
    # At 21:00 four slots are free, `big` takes three: one is spare.
    run = active("other", NIGHT, minutes=60, cpus=2)
    long = TaskSpec(name="long", priority=TaskPriority.LOW, estimated_minutes=60, timeout_minutes=600)

    beside = turn(BIG.but(cpus=3), long, at=NIGHT, state=known(run))
    against = turn(BIG.but(cpus=3), long.but(conflicts={"big"}), at=NIGHT, state=known(run))
    heavy = turn(
        BIG.but(cpus=3, memory_mb=3000), long.but(memory_mb=301), at=NIGHT, state=known(run)
    )  # 3300 - 3000 = 300

    assert started(beside) == ["long"]
    assert reasons(against, "long") == [Reason.RESERVED]
    assert reasons(heavy, "long") == [Reason.RESERVED]


def test_a_run_past_its_prediction_is_expected_to_need_five_minutes_more() -> None:
    run = active("other", NIGHT - timedelta(hours=2), minutes=60, cpus=1)
    small = TaskSpec(name="small", priority=TaskPriority.LOW, estimated_minutes=1)
    longer = TaskSpec(name="longer", priority=TaskPriority.LOW, estimated_minutes=3)

    decision = turn(BIG, small, longer, at=NIGHT, state=known(run))

    # 1 minute: 2.6 high, in time; 3 minutes: 7.7 high, not.
    assert started(decision) == ["small"]
    assert decision.blocked["longer"].failures[0].available == 5


def test_no_reservation_is_held_for_what_foreign_memory_decides() -> None:
    # Nothing of ours runs: 3500 MB come only when others let go.
    heavy = TaskSpec(name="heavy", memory_mb=3500)
    light = TaskSpec(name="light", priority=TaskPriority.LOW, estimated_minutes=600)

    decision = turn(heavy, light, at=NIGHT)

    assert reasons(decision, "heavy") == [Reason.MEMORY]
    assert started(decision) == ["light"]
    assert decision.polls


def test_no_reservation_is_held_for_research_that_another_window_will_start() -> None:
    # The slots come free at 04:30, after PREP has begun.
    run = active("other", NIGHT, minutes=510, cpus=1)
    lesser = TaskSpec(name="lesser", priority=TaskPriority.LOW, estimated_minutes=600)

    decision = turn(research(cpus=4), lesser, at=NIGHT, state=known(run))

    assert reasons(decision, "research") == [Reason.SLOTS]
    assert started(decision) == ["lesser"]


def test_the_phases_policy_holds_no_reservation() -> None:
    run = active("other", NIGHT, minutes=60, cpus=1)
    long = TaskSpec(name="long", priority=TaskPriority.LOW, estimated_minutes=60, timeout_minutes=600)

    assert started(turn(BIG, long, at=NIGHT, state=known(run), policy=PHASES)) == ["long"]


# --- room for known duties ----------------------------------------------------------------------------------

AT_TEN = duty("at_ten", at="22:00", memory_mb=3000)  # two hours after NIGHT


def test_the_next_slot_of_a_duty_is_reserved_ahead() -> None:
    # 3300 - 3000 = 300 MB are left beside it; the 0.9 quantile of an hour is 154 minutes, of 40 minutes 103.
    fits_beside = research(memory_mb=300)
    too_big = research("too_big", memory_mb=301)
    in_time = research("in_time", memory_mb=3000, estimated_minutes=40)

    beside = turn(AT_TEN, fits_beside, at=NIGHT)
    decision = turn(AT_TEN, too_big, at=NIGHT)

    assert started(beside) == ["research"]
    assert reasons(decision, "too_big") == [Reason.RESERVED]
    # The stop time counts: room by 21:59:40.
    assert decision.blocked["too_big"].until == ny("2026-11-19T21:59:40")
    assert started(turn(AT_TEN, in_time, at=NIGHT)) == ["in_time"]


def test_interruptible_research_runs_up_to_a_duty_if_it_gets_a_slice() -> None:
    # 15 minutes and 20 s of grace before 21:59:40.
    spec = research(memory_mb=3000, interruptible=True, min_slice_minutes=15)

    assert started(turn(AT_TEN, spec, at=ny("2026-11-19T21:44:20"))) == ["research"]
    assert reasons(turn(AT_TEN, spec, at=ny("2026-11-19T21:44:21")), "research") == [Reason.RESERVED]


def test_research_of_another_pool_leaves_a_duty_s_room_alone() -> None:
    from orchestration.decisions import Room

    spec = research(memory_mb=3000, pool="cluster")

    decision = turn(AT_TEN, spec, at=NIGHT, resources=box(pools={"cluster": Room(4, 8000)}))

    assert started(decision) == ["research"]


def test_research_in_the_way_is_stopped_early_enough_for_a_duty_to_start_on_time() -> None:
    run = active("research", NIGHT, minutes=600, mb=400)

    early = turn(AT_TEN, research(), at=ny("2026-11-19T21:59:39"), state=known(run))
    on_time = turn(AT_TEN, research(), at=ny("2026-11-19T21:59:40"), state=known(run))

    assert stopped(early) == []
    assert early.wake_at == ny("2026-11-19T21:59:40")
    assert stopped(on_time) == ["research"]
    assert on_time.stops[0].cause is StopCause.RECLAIM
    assert on_time.stops[0].for_task == "at_ten"


def test_research_beside_a_duty_is_left_alone() -> None:
    run = active("research", NIGHT, minutes=600, mb=300)
    chore = active("chore", NIGHT, minutes=600, mb=0)

    decision = turn(AT_TEN, research(), at=ny("2026-11-19T21:59:50"), state=known(run, chore))

    assert decision.stops == ()


def test_a_duty_that_is_due_takes_its_memory_from_the_least_important_research() -> None:
    # 3300 - 2 * 1000 = 1300 free; 2000 needed: one of the two must go, the LOW one.
    specs = research("normal"), research("low", priority=TaskPriority.LOW), duty(memory_mb=2000)
    state = known(active("normal", NIGHT, mb=1000), active("low", NIGHT, mb=1000))

    decision = turn(*specs, at=NIGHT, state=state)

    assert stopped(decision) == ["low"]
    assert (decision.stops[0].cause, decision.stops[0].for_task) == (StopCause.RECLAIM, "duty")
    assert reasons(decision, "duty") == [Reason.MEMORY]


def test_a_duty_that_no_ending_of_research_would_help_stops_none() -> None:
    specs = research("normal"), duty(memory_mb=3500)

    decision = turn(*specs, at=NIGHT, state=known(active("normal", NIGHT, mb=100)))

    assert decision.stops == ()


def test_a_duty_that_waits_for_more_than_room_stops_nothing() -> None:
    specs = research("normal"), duty(memory_mb=2800, dependencies={"first"})

    decision = turn(*specs, at=NIGHT, state=known(active("normal", NIGHT, mb=1000)))

    assert decision.stops == ()


# --- what must stop -----------------------------------------------------------------------------------------


def test_at_prep_less_the_grace_interruptible_research_is_asked_to_stop() -> None:
    run = active("research", NIGHT, minutes=600)
    spec = research(interruptible=True)

    before = turn(spec, at=CUT - timedelta(seconds=1), state=known(run))
    at = turn(spec, at=CUT, state=known(run))

    assert stopped(before) == []
    assert before.wake_at == CUT
    assert [(s.task, s.cause) for s in at.stops] == [("research", StopCause.WINDOW_END)]


def test_other_research_and_a_run_by_hand_go_on_into_prep() -> None:
    by_hand = replace(active("hand", NIGHT, minutes=600), key=RunKey("hand", FRIDAY, "manual:1", 1))
    state = known(active("stubborn", NIGHT, minutes=600), by_hand)

    decision = turn(research("stubborn"), research("hand", interruptible=True), at=PREP, state=state)

    assert decision.stops == ()


def test_under_the_phases_policy_prep_stops_nothing() -> None:
    state = known(active("research", NIGHT, minutes=600))

    assert turn(research(interruptible=True), at=PREP, state=state, policy=PHASES).stops == ()


def test_a_run_is_stopped_at_its_timeout_and_only_once() -> None:
    run = active("job", NIGHT, stop_at=NIGHT + timedelta(minutes=30))
    stopping = replace(run, stopping=StopCause.TIMEOUT)
    at = NIGHT + timedelta(minutes=30)

    early = turn(TaskSpec(name="job"), at=at - timedelta(seconds=1), state=known(run))
    due = turn(TaskSpec(name="job"), at=at, state=known(run))
    again = turn(TaskSpec(name="job"), at=at, state=known(stopping))

    assert early.wake_at == at
    assert [(s.task, s.cause) for s in due.stops] == [("job", StopCause.TIMEOUT)]
    assert again.stops == ()


def test_a_run_whose_task_has_left_the_file_is_still_stopped_at_its_timeout() -> None:
    run = active("gone", NIGHT, stop_at=NIGHT)

    assert stopped(turn(TaskSpec(name="job"), at=NIGHT, state=known(run))) == ["gone"]


def test_an_extendable_run_goes_on_past_its_timeout_while_its_window_lasts() -> None:
    run = active("research", NIGHT - timedelta(hours=1), stop_at=NIGHT)
    spec = research(extendable=True)

    assert turn(spec, at=NIGHT, state=known(run)).stops == ()
    assert stopped(turn(spec, at=PREP, state=known(run))) == ["research"]
    assert stopped(turn(spec, at=NIGHT, state=known(run), policy=PHASES)) == ["research"]


def test_an_extended_run_ends_when_something_more_important_waits_for_its_place() -> None:
    # Both want all four slots; the hour it was predicted to take ended at 20:00.
    run = active("research", NIGHT - timedelta(hours=1), minutes=60, cpus=4)
    spec = research(extendable=True)
    more, same = BIG.but(priority=TaskPriority.HIGH), BIG.but(name="same", priority=TaskPriority.NORMAL)
    # `more` is HIGH research, so it reclaims nothing as a duty would.
    more = more.but(category=TaskCategory.RESEARCH)

    within = turn(spec, more, at=NIGHT - timedelta(minutes=1), state=known(run))
    over = turn(spec, more, at=NIGHT, state=known(run))
    equal = turn(spec, same, at=NIGHT, state=known(run))

    assert (stopped(within), within.wake_at) == ([], NIGHT)
    assert [(s.task, s.for_task) for s in over.stops] == [("research", "big")]
    assert equal.stops == ()


def test_a_run_that_cannot_be_extended_is_left_to_end_by_itself() -> None:
    run = active("research", NIGHT - timedelta(hours=1), minutes=60, cpus=4)

    assert turn(research(), BIG, at=NIGHT, state=known(run)).stops == ()


# --- deadlines ----------------------------------------------------------------------------------------------

DUE_AT_930 = TaskSpec(name="job", window="pre..open", deadline="open", estimated_minutes=10, memory_mb=3900)


def test_a_miss_is_foretold_when_its_chance_reaches_three_in_ten() -> None:
    # The 0.7 quantile of 10 minutes is 10 * exp(0.4296 * ln(7 / 3)) = 14.39: from 09:15:36 on the chance of a
    # miss is above 0.3. At 09:16: 1 / (1 + 1.4 ** (1 / 0.4296)) = 1 / 3.189 = 0.31.
    calm = turn(DUE_AT_930, at=ny("2026-11-20T09:15"))
    raised = turn(DUE_AT_930, at=ny("2026-11-20T09:16"))

    assert alerts(calm.actions) == []
    assert ny("2026-11-20T09:15:30") < calm.wake_at < ny("2026-11-20T09:15:40")
    assert alerts(raised.actions) == ["job waits (MEMORY) and will miss its deadline with p = 0.31"]


def running_until(deadline: datetime, began: datetime) -> SchedulerState:
    return known(active("job", began, deadline=deadline))


def test_a_running_task_that_will_miss_its_deadline_is_foretold_too() -> None:
    # S(t) = 1 / (1 + (t / 10) ** 2.328). At 09:25 of 09:00: 1 - (1 - S(30) / S(25)) = 0.0719 / 0.1059 = 0.68.
    began, deadline = ny("2026-11-20T09:00"), ny("2026-11-20T09:30")

    fresh = turn(DUE_AT_930, at=began, state=running_until(deadline, began))
    late = turn(DUE_AT_930, at=ny("2026-11-20T09:25"), state=running_until(deadline, began))

    assert alerts(fresh.actions) == []
    assert fresh.wake_at == began + timedelta(minutes=30) / 8
    assert alerts(late.actions) == ["job is running and will miss its deadline with p = 0.68"]


def test_a_slot_is_not_given_up_while_its_run_is_under_way() -> None:
    state = known(active("job", ny("2026-11-20T09:00")))

    decision = turn(DUE_AT_930, at=ny("2026-11-20T09:29"), state=state)

    assert [a for a in decision.actions if isinstance(a, SkipSlot)] == []


# --- what is learned, and when to wake ----------------------------------------------------------------------


def test_the_timetable_does_not_learn() -> None:
    record = TaskRecord(estimate=Estimate(runs=9, log_mean=3.0, log_error=0.1, memory_mb=900))
    spec, timetable = TaskSpec(name="job", estimated_minutes=1), policy_for("timetable")

    learned = turn(spec, at=NIGHT, state=remembering(job=record)).starts[0]
    fixed = turn(spec, at=NIGHT, state=remembering(job=record), policy=timetable).starts[0]

    assert (fixed.memory_mb, fixed.prediction.median) == (100, 1)
    assert learned.memory_mb > 900
    assert learned.prediction.median > 15


def test_a_turn_with_nothing_to_do_sleeps_until_the_mode_changes() -> None:
    decision = turn(TaskSpec(name="job", modes={"trading"}), at=SESSION - timedelta(hours=4))

    # 07:00 in PREP: the next change is PRE_MARKET at 08:00.
    assert (decision.actions, decision.wake_at) == ((), ny("2026-11-20T08:00"))
    assert decision.mode.value == "prep"
    assert decision.window.id == f"{FRIDAY}/OVERNIGHT"


def test_the_instant_a_blocked_task_is_known_to_clear_is_the_latest_of_its_gates() -> None:
    a, b = active("a", NIGHT, minutes=30), active("b", NIGHT, minutes=60, cpus=4)
    spec = TaskSpec(name="job", conflicts={"a"})

    known_end = turn(spec, at=NIGHT, state=known(a))
    unknown_end = turn(spec, at=NIGHT, state=known(a, b))

    assert known_end.blocked["job"].until == NIGHT + timedelta(minutes=30)
    assert reasons(unknown_end, "job") == [Reason.CONFLICT, Reason.SLOTS]
    assert unknown_end.blocked["job"].until is None


# --- several duties at once ---------------------------------------------------------------------------------


def test_two_duties_due_together_have_room_made_for_both() -> None:
    # Two slots, both taken by research: one of them each.
    specs = research("one"), research("two"), duty("first", at="22:00"), duty("second", at="22:00")
    state = known(active("one", NIGHT, minutes=600), active("two", NIGHT, minutes=600))
    small = box(slots=2)

    ahead = turn(*specs, at=ny("2026-11-19T21:59:40"), state=state, resources=small)
    due = turn(*specs, at=ny("2026-11-19T22:00"), state=state, resources=small)

    assert sorted(stopped(ahead)) == ["one", "two"]
    assert sorted(stopped(due)) == ["one", "two"]


def test_a_run_that_is_stopped_for_its_timeout_is_room_enough_for_a_duty() -> None:
    over = active("over", NIGHT - timedelta(hours=2), mb=1000, stop_at=NIGHT)
    other = active("other", NIGHT, mb=1000)

    decision = turn(
        research("over"), research("other"), duty(memory_mb=2000), at=NIGHT, state=known(over, other)
    )

    # 3300 - 2000 = 1300; 2000 needed: the 1000 of the one that ends anyway are enough.
    assert [(s.task, s.cause) for s in decision.stops] == [("over", StopCause.TIMEOUT)]


def test_a_duty_that_takes_an_overstayed_run_s_place_stops_it_once() -> None:
    run = active("research", NIGHT - timedelta(hours=1), minutes=60, cpus=4)

    decision = turn(research(extendable=True), duty(), at=NIGHT, state=known(run))

    assert stopped(decision) == ["research"]


def test_a_run_that_the_same_turn_starts_is_not_stopped_by_it() -> None:
    # The phases policy reserves nothing ahead, so research starts ten seconds before the duty.
    spec = research(memory_mb=3000)

    decision = turn(AT_TEN, spec, at=ny("2026-11-19T21:59:50"), policy=PHASES)

    assert (started(decision), stopped(decision)) == (["research"], [])


def test_a_duty_that_cannot_have_room_takes_none_from_the_next_one() -> None:
    # 3400 MB are more than 3300 whatever ends; the small one finds its place beside the research.
    specs = research(), duty("huge", at="22:00", memory_mb=3400), duty("small", at="22:00")

    decision = turn(*specs, at=ny("2026-11-19T21:59:50"), state=known(active("research", NIGHT, minutes=600)))

    assert decision.stops == ()
