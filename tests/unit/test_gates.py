"""The gates of a due task: what each needs, what there is, and when it clears."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestration.decisions import Gate, Reason, Room
from orchestration.policies import policy_for
from orchestration.runs import Estimate, SchedulerState, TaskRecord
from orchestration.types import Catchup, TaskPriority, TaskSpec
from tests.calendars import ny
from tests.unit.deciding import (
    FRIDAY,
    NIGHT,
    SESSION,
    THURSDAY,
    active,
    box,
    duty,
    known,
    reasons,
    remembering,
    research,
    started,
    turn,
)

CHORE = TaskSpec(name="job")


def only_gate(spec: TaskSpec, **how: object) -> Gate:
    decision = turn(spec, **how)  # type: ignore[arg-type]  # names are checked by the call
    assert len(decision.blocked[spec.name].failures) == 1
    return decision.blocked[spec.name].failures[0]


# --- memory -------------------------------------------------------------------------------------------------


def test_memory_free_is_available_less_the_reserve_less_what_is_promised_and_not_used() -> None:
    # A run was promised 800 MB and uses 300: 3600 - 300 - (800 - 300) = 2800.
    run = active("other", NIGHT, mb=800)
    resources = box(used_mb={run.run_id: 300.0})

    fits = turn(CHORE.but(memory_mb=2800), at=NIGHT, state=known(run), resources=resources)
    gate = only_gate(CHORE.but(memory_mb=2801), at=NIGHT, state=known(run), resources=resources)

    assert started(fits) == ["job"]
    assert (gate.reason, gate.needed, gate.available) == (Reason.MEMORY, 2801, 2800)


def test_a_run_beyond_its_promise_takes_nothing_twice() -> None:
    # It uses 900 of 800 promised: that is in `available` already, so 3600 - 300 - 0 = 3300.
    run = active("other", NIGHT, mb=800)

    fits = turn(
        CHORE.but(memory_mb=3300), at=NIGHT, state=known(run), resources=box(used_mb={run.run_id: 900.0})
    )

    assert started(fits) == ["job"]


@pytest.mark.parametrize("at", [SESSION, ny("2026-11-20T05:00")], ids=["trading", "prep"])
def test_in_trading_and_prep_memory_and_a_slot_are_kept_for_duties(at: object) -> None:
    # 3600 - 300 - 200 kept = 3100 for a chore, 3300 for a duty; 4 - 1 slots for a chore.
    how = {"at": at}

    chore = only_gate(CHORE.but(memory_mb=3101), **how)
    slots = only_gate(CHORE.but(cpus=4), **how)

    assert (chore.needed, chore.available) == (3101, 3100)
    assert (slots.reason, slots.needed, slots.available) == (Reason.SLOTS, 4, 3)
    assert started(turn(duty(memory_mb=3300, cpus=4), at=SESSION)) == ["duty"]


def test_nothing_is_kept_in_research_time_nor_the_only_slot_of_a_box() -> None:
    assert started(turn(CHORE.but(memory_mb=3300, cpus=4), at=NIGHT)) == ["job"]
    assert started(turn(CHORE, at=SESSION, resources=box(slots=1))) == ["job"]


@pytest.mark.parametrize("at", [NIGHT, SESSION])
def test_a_task_that_takes_no_slot_runs_on_a_full_box_and_leaves_all_as_it_was(at: object) -> None:
    running = active("other", NIGHT, cpus=4)
    light = CHORE.but(cpus=0, memory_mb=40)

    assert started(turn(light, at=at, state=known(running))) == ["job"]  # type: ignore[arg-type]
    beside = turn(light, research("study", cpus=4), at=NIGHT, state=known())
    assert sorted(started(beside)) == ["job", "study"]


def test_a_figure_assigned_above_the_listed_runs_counts_as_promised() -> None:
    state = SchedulerState(estimated_memory_used=3250)

    assert only_gate(CHORE, at=NIGHT, state=state).available == 50


def test_starts_of_one_turn_are_given_what_the_more_important_left() -> None:
    # 3300 free: 2000 for the first, 1300 left.
    specs = [
        CHORE.but(name=name, memory_mb=mb, priority=priority)
        for name, mb, priority in [
            ("first", 2000, TaskPriority.HIGH),
            ("second", 1301, TaskPriority.NORMAL),
            ("third", 1300, TaskPriority.LOW),
        ]
    ]

    decision = turn(*specs, at=NIGHT, policy=policy_for("phases"))

    assert started(decision) == ["first", "third"]
    assert reasons(decision, "second") == [Reason.MEMORY]


def test_a_task_killed_for_memory_again_and_again_is_promised_no_more_than_the_box_can_give() -> None:
    # 1.2 * 3400 = 4080 MB would be more than the box; its most is 4000 - 300 - 200 = 3500.
    record = TaskRecord(estimate=Estimate(memory_floor_mb=3400))

    decision = turn(CHORE, at=NIGHT, state=remembering(job=record), resources=box(available_mb=3800))

    assert decision.starts[0].memory_mb == 3500


def test_a_heavy_task_waits_for_memory_pressure_to_ease_and_a_light_one_does_not() -> None:
    heavy, light = CHORE.but(memory_mb=200), CHORE.but(name="light", memory_mb=199)

    decision = turn(
        heavy, light, duty(memory_mb=300, window="pre..post"), at=SESSION, resources=box(pressure=10.1)
    )

    assert started(decision) == ["duty", "light"]
    assert decision.blocked["job"].failures[0].available == 10.1
    assert started(turn(heavy, at=NIGHT, resources=box(pressure=10.0))) == ["job"]
    assert decision.polls


# --- pools --------------------------------------------------------------------------------------------------


def test_a_task_of_another_pool_takes_that_pool_s_room_and_none_of_the_box() -> None:
    there = active("there", NIGHT, mb=10_000, cpus=7, pool="cluster")
    big = CHORE.but(pool="cluster", memory_mb=6000)
    pools = box(pools={"cluster": Room(slots=8, memory_mb=16_000)}, pressure=50)

    fits = turn(big, CHORE.but(name="local", cpus=4), at=NIGHT, state=known(there), resources=pools)
    full = turn(big.but(memory_mb=6001), at=NIGHT, state=known(there), resources=pools)
    crowded = turn(big.but(cpus=2), at=NIGHT, state=known(there), resources=pools)

    assert started(fits) == ["job", "local"]
    assert fits.starts[0].pool == "cluster"
    assert reasons(full, "job") == [Reason.MEMORY]
    assert reasons(crowded, "job") == [Reason.SLOTS]


def test_conflicts_hold_between_pools() -> None:
    run = active("there", NIGHT, pool="cluster")
    spec = CHORE.but(conflicts={"there"})

    decision = turn(
        spec, at=NIGHT, state=known(run), resources=box(pools={"cluster": Room(slots=8, memory_mb=1)})
    )

    assert reasons(decision, "job") == [Reason.CONFLICT]


def test_a_pool_that_nothing_is_known_of_is_the_box_itself() -> None:
    gate = only_gate(CHORE.but(pool="nowhere", cpus=5), at=NIGHT)

    assert (gate.needed, gate.available) == (5, 4)


# --- conflicts ----------------------------------------------------------------------------------------------


def test_a_task_waits_for_every_run_it_conflicts_with() -> None:
    # The one names the other, whichever it is; the later predicted end is 22:00.
    a, b = active("a", NIGHT, minutes=60), active("b", NIGHT, minutes=120)
    specs = CHORE.but(conflicts={"a"}), TaskSpec(name="b", conflicts={"job"}), TaskSpec(name="a")

    decision = turn(*specs, at=NIGHT, state=known(a, b))

    gate = decision.blocked["job"].failures[0]
    assert (gate.reason, gate.detail) == (Reason.CONFLICT, "running: a, b")
    assert gate.clears_at == ny("2026-11-19T22:00")


# --- dependencies -------------------------------------------------------------------------------------------

DEPENDENT = TaskSpec(name="job", dependencies={"first"})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (TaskRecord(), Reason.DEPENDENCY),
        (TaskRecord(last_success_cycle=THURSDAY, last_success_at=NIGHT), Reason.DEPENDENCY),
        (TaskRecord(failed_cycle=FRIDAY), Reason.DEPENDENCY_FAILED),
        (TaskRecord(failed_cycle=THURSDAY), Reason.DEPENDENCY),
    ],
    ids=["never", "yesterday", "failed for good", "failed yesterday"],
)
def test_a_dependency_is_unmet(record: TaskRecord, reason: Reason) -> None:
    assert only_gate(DEPENDENT, at=NIGHT, state=remembering(first=record)).reason is reason


def test_a_dependency_is_met_by_a_success_in_the_same_cycle_alone() -> None:
    state = remembering(first=TaskRecord(last_success_cycle=FRIDAY))

    assert started(turn(DEPENDENT, at=NIGHT, state=state)) == ["job"]
    assert started(turn(DEPENDENT, at=ny("2026-11-20T16:00"), state=state)) == []


def test_a_dependency_that_failed_and_then_succeeded_is_met() -> None:
    state = remembering(first=TaskRecord(last_success_cycle=FRIDAY, failed_cycle=FRIDAY))

    assert started(turn(DEPENDENT, at=NIGHT, state=state)) == ["job"]


def test_a_declared_age_takes_the_place_of_the_cycle() -> None:
    spec = DEPENDENT.but(dependency_max_age={"first": timedelta(hours=30)})
    fresh = remembering(first=TaskRecord(last_success_at=NIGHT - timedelta(hours=30)))
    stale = remembering(first=TaskRecord(last_success_at=NIGHT - timedelta(hours=30, seconds=1)))

    assert started(turn(spec, at=NIGHT, state=fresh)) == ["job"]
    assert started(turn(spec, at=NIGHT, state=stale)) == []
    assert started(turn(spec, at=NIGHT)) == []


def test_an_assigned_completion_of_a_phase_meets_a_dependency() -> None:
    state = SchedulerState(phase_completions={"POST_MARKET": {"first"}})

    assert started(turn(DEPENDENT, at=NIGHT, state=state)) == ["job"]


def test_every_missing_dependency_is_named_and_a_failed_one_before_them() -> None:
    spec = TaskSpec(name="job", dependencies={"c", "a", "b"})

    missing = only_gate(spec, at=NIGHT)
    failed = only_gate(spec, at=NIGHT, state=remembering(b=TaskRecord(failed_cycle=FRIDAY)))

    assert missing.detail == "waits for a, b, c"
    assert failed.detail == "failed in this cycle: b"


# --- the world outside --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("up", "says"), [(False, "is down"), (None, "is not known to be up")])
def test_a_network_that_is_not_known_to_be_up_is_not_taken_for_up(up: bool | None, says: str) -> None:
    gate = only_gate(CHORE.but(needs={"network"}), at=NIGHT, resources=box(network_up=up))

    assert (gate.reason, gate.detail) == (Reason.NO_NETWORK, f"the network {says}")
    assert started(turn(CHORE, at=NIGHT, resources=box(network_up=up))) == ["job"]


def test_what_needs_a_broker_waits_until_one_is_configured() -> None:
    spec = CHORE.but(needs={"broker", "network"})

    assert only_gate(spec, at=NIGHT, resources=box(broker=False)).detail == "no broker is configured"
    assert started(turn(spec, at=NIGHT)) == ["job"]


def test_a_hot_box_starts_duties_alone() -> None:
    hot = box(too_hot=True, temperature_c=85.0)

    decision = turn(CHORE, duty(), at=NIGHT, resources=hot)

    assert started(decision) == ["duty"]
    gate = decision.blocked["job"].failures[0]
    assert (gate.reason, gate.needed, gate.available) == (Reason.THERMAL, 80, 85)
    assert decision.polls


@pytest.mark.parametrize("synced", [None, False])
def test_until_the_clock_is_known_to_be_right_no_trading_task_starts(synced: bool | None) -> None:
    decision = turn(
        duty(),
        CHORE.but(needs={"clock"}),
        TaskSpec(name="free"),
        at=NIGHT,
        resources=box(clock_synced=synced),
    )

    assert started(decision) == ["free"]
    assert reasons(decision, "duty") == reasons(decision, "job") == [Reason.CLOCK_UNSYNCED]
    assert decision.polls


def test_until_the_clock_is_known_to_be_right_nothing_is_caught_up() -> None:
    spec = TaskSpec(name="job", at="19:00", catchup=Catchup.ONCE, grace=timedelta(hours=3))
    state = remembering(job=TaskRecord(last_slot=ny("2026-11-18T19:00"), last_started_at=NIGHT))
    unsure = box(clock_synced=None)

    late = only_gate(spec, at=NIGHT, state=state, resources=unsure)
    on_time = turn(spec, at=ny("2026-11-19T19:00"), resources=unsure)

    assert late.detail.startswith("nothing is caught up")
    assert started(on_time) == ["job"]


# --- fit ----------------------------------------------------------------------------------------------------


def test_research_starts_only_if_it_is_likely_to_end_before_prep() -> None:
    # No history: ln(minutes) is logistic around ln 60 with scale (0.1 + 0.55 / 1.11) / (2 ln 2) = 0.4296;
    # the 0.8 quantile is 60 * exp(0.4296 * ln 4) = 60 * 1.814 = 108.8 minutes. PREP is at 04:00.
    fits = turn(research(), at=ny("2026-11-20T02:11"))
    gate = only_gate(research(), at=ny("2026-11-20T02:12"))

    assert started(fits) == ["research"]
    assert (gate.reason, gate.needed, gate.available) == (Reason.WONT_FIT, 108.8, 108)


def test_an_interruptible_task_needs_a_slice_and_the_time_to_stop() -> None:
    # 30 minutes and 20 s of grace before 04:00: 03:29:40 is the last start.
    spec = research(interruptible=True, min_slice_minutes=30, estimated_minutes=6000)

    assert started(turn(spec, at=ny("2026-11-20T03:29:40"))) == ["research"]
    gate = only_gate(spec, at=ny("2026-11-20T03:29:41"))
    assert (gate.reason, gate.needed) == (Reason.WONT_FIT, 30.3)


def test_a_start_with_no_time_but_to_stop_is_none() -> None:
    spec = research(interruptible=True)

    assert started(turn(spec, at=ny("2026-11-20T03:59:40"))) == []


def test_a_chore_is_not_held_to_the_research_budget() -> None:
    spec = CHORE.but(estimated_minutes=600)

    assert started(turn(spec, at=ny("2026-11-20T03:59"))) == ["job"]


def test_research_by_hand_is_not_held_to_the_budget_either() -> None:
    state = SchedulerState(manual={"research": "manual:1"})

    assert started(turn(research(), at=ny("2026-11-20T03:59"), state=state)) == ["research"]
    assert started(turn(research(), at=SESSION, state=state)) == ["research"]
