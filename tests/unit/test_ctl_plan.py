"""The plan: the loop run ahead in virtual time from what runs and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from orchestration.ctl.plan import Plan, PlannedRun, make_plan, minutes_left, notes_on
from orchestration.ctl.timeline import bars, timeline
from orchestration.decisions import Policy, Rules
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.runs import ActiveRun, Estimate, RunKey, SchedulerState, TaskRecord
from orchestration.types import OncePer, TaskCategory, TaskPriority, TaskSpec
from tests.calendars import NEW_YORK, ny, nyse_2026

EVENING = ny("2026-11-17T18:30")
"""A Tuesday evening: research until PREP at Wednesday 04:00, ready at 08:00."""
READY = ny("2026-11-18T08:00")
HOUR = timedelta(hours=1)

RESOURCES = {
    "total_mb": 4000,
    "available_mb": 3600,
    "slots": 4,
    "clock_synced": True,
    "network_up": True,
    "too_hot": False,
    "broker": True,
}
VIEW: dict[str, object] = {
    "resources": RESOURCES,
    "running": [],
    "manual": {},
    "paused": None,
    "calendar_known": True,
}


RUN_ID = "first.2026-11-18.once.1"


def unified() -> Policy:
    return policy_for("unified", Rules())


def study(name: str, minutes: float, **more: object) -> TaskSpec:
    return TaskSpec(
        name=name,
        category=TaskCategory.RESEARCH,
        argv=("x",),
        estimated_minutes=minutes,
        timeout_minutes=0,
        memory_mb=500,
    ).but(**more)


def upkeep(name: str, minutes: float = 10, **more: object) -> TaskSpec:
    return TaskSpec(name=name, argv=("x",), estimated_minutes=minutes, memory_mb=100).but(**more)


def run_of(task: str, started: datetime) -> ActiveRun:
    return ActiveRun(
        key=RunKey(task, "2026-11-18", "once", 1),
        started_at=started,
        predicted_end=started + HOUR,
        reserved_mb=700.0,
    )


def plan_of(
    *specs: TaskSpec,
    state: SchedulerState | None = None,
    view: Mapping[str, object] | None = None,
    until: datetime = READY,
) -> Plan:
    tables = SessionTables({"XNYS": nyse_2026().table})
    return make_plan(
        {spec.name: spec for spec in specs},
        unified(),
        tables,
        state or SchedulerState(),
        view or VIEW,
        EVENING,
        until,
    )


def times(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return New York start and end of each task's only run."""
    return {
        run.task: (f"{run.start.astimezone(NEW_YORK):%H:%M}", f"{run.end.astimezone(NEW_YORK):%H:%M}")
        for run in plan.runs
    }


def test_tasks_in_conflict_follow_one_another_and_each_takes_its_median() -> None:
    plan = plan_of(
        upkeep("first", 30, priority=TaskPriority.HIGH),
        upkeep("second", 20, conflicts={"first"}),
        upkeep("third", 5, dependencies={"second"}),
    )

    assert times(plan) == {
        "first": ("18:30", "19:00"),
        "second": ("19:00", "19:20"),
        "third": ("19:20", "19:25"),
    }


def test_a_run_that_is_running_is_in_the_plan_as_such_and_holds_its_conflict() -> None:
    spec = upkeep("first", 60)
    state = SchedulerState(running_tasks={"first": run_of("first", EVENING - 0.25 * HOUR)})

    plan = plan_of(spec, upkeep("second", 20, conflicts={"first"}), state=state)

    running, waiting = plan.runs
    assert (running.task, running.kind, running.memory_mb) == ("first", "running", 700.0)
    assert running.start == EVENING - 0.25 * HOUR
    # It has taken 15 of a median of 60 minutes: what is left is about 45, and the other waits for it.
    assert timedelta(minutes=43) < running.end - EVENING < timedelta(minutes=60)
    assert waiting.start == running.end


def test_a_run_beyond_its_median_is_given_more_the_longer_it_has_taken() -> None:
    spec = study("slow", 60)
    left = [
        minutes_left(spec, SchedulerState(), run_of("slow", EVENING - hours * HOUR), EVENING)
        for hours in (2, 8)
    ]

    assert 0 < left[0] < left[1]


def test_a_run_at_its_timeout_is_given_a_tenth_of_what_it_has_taken() -> None:
    spec = upkeep("slow", 50, timeout_minutes=60)

    left = minutes_left(spec, SchedulerState(), run_of("slow", EVENING - 2 * HOUR), EVENING)

    assert left == pytest.approx(12.0)


def test_a_run_of_a_task_that_is_no_more_is_left_out() -> None:
    state = SchedulerState(running_tasks={"gone": run_of("gone", EVENING)})

    assert [run.task for run in plan_of(upkeep("first"), state=state).runs] == ["first"]


def test_long_research_checkpoints_when_prep_begins() -> None:
    plan = plan_of(study("long", 2000, interruptible=True))

    # PREP is at 04:00; it is asked 20 s before and takes 5 s to write its checkpoint.
    (run,) = plan.runs
    assert (run.kind, run.ends) == ("research", "checkpoint")
    assert run.end == ny("2026-11-18T04:00") - timedelta(seconds=15)


def test_what_goes_on_past_the_plan_ends_at_its_median() -> None:
    plan = plan_of(upkeep("long", 50), until=EVENING + 0.5 * HOUR)

    (run,) = plan.runs
    assert run.ends == "beyond"
    assert run.minutes == 50.0


def test_a_running_run_that_goes_on_past_the_plan_is_said_to() -> None:
    state = SchedulerState(running_tasks={"long": run_of("long", EVENING)})

    (run,) = plan_of(upkeep("long", 50), state=state, until=EVENING + 0.5 * HOUR).runs

    assert (run.kind, run.ends) == ("running", "beyond")


def test_what_has_run_in_this_cycle_does_not_run_again() -> None:
    done = TaskRecord(
        last_success_at=EVENING,
        last_success_cycle="2026-11-18",
        last_success_period="2026-11-18",
        attempt_cycle="2026-11-18",
        attempt_slot="once",
        settled=True,
    )
    state = SchedulerState(records={"first": done})

    assert plan_of(upkeep("first", once_per=OncePer.CYCLE), state=state).runs == ()


def test_learned_durations_and_memory_take_the_place_of_the_spec_s() -> None:
    # ln(30 min) = 3.401; after 50 runs the spec's 10 minutes hardly count.
    record = TaskRecord(estimate=Estimate(log_mean=3.401, log_error=0.1, runs=50, memory_mb=400))

    (run,) = plan_of(upkeep("first"), state=SchedulerState(records={"first": record})).runs

    assert run.minutes == pytest.approx(30, rel=0.05)
    assert run.memory_mb == pytest.approx(440, rel=0.01)


def test_an_order_to_run_is_in_the_plan_whatever_the_hour() -> None:
    spec = upkeep("first", phases={"MARKET_OPEN"})
    view = {**VIEW, "manual": {"first": "manual:c0ffee"}}

    (run,) = plan_of(spec, view=view).runs

    assert (run.kind, run.start) == ("manual", EVENING)


def test_the_kinds_tell_duties_and_fillers_apart() -> None:
    plan = plan_of(
        upkeep("duty", priority=TaskPriority.HIGH, category=TaskCategory.DATA),
        study("filler", 30, opportunistic=True, priority=TaskPriority.LOW),
        upkeep("upkeep"),
    )

    kinds = {run.task: run.kind for run in plan.runs}
    assert kinds == {"duty": "duty", "filler": "filler", "upkeep": "upkeep"}


def test_foreign_memory_stays_taken() -> None:
    # 3,600 of 4,000 are others': 400 - 300 reserved leave room for one of the two at a time.
    view = {**VIEW, "resources": {**RESOURCES, "available_mb": 400}}

    plan = plan_of(upkeep("first", 30), upkeep("second", 30), view=view)

    first, second = plan.runs
    assert second.start >= first.end


def test_memory_that_runs_use_is_not_foreign() -> None:
    state = SchedulerState(running_tasks={"first": run_of("first", EVENING)})
    view = {
        **VIEW,
        "resources": {**RESOURCES, "available_mb": 700},
        "running": [{"run_id": RUN_ID, "used_mb": 3000.0}, {"run_id": "other", "used_mb": None}],
    }

    plan = plan_of(upkeep("first", 5), upkeep("big", memory_mb=2500), state=state, view=view)

    # When the first has ended its 3,000 MB are there for the big one.
    assert [run.task for run in plan.runs] == ["first", "big"]


def test_the_modes_cover_the_plan_without_a_gap() -> None:
    plan = plan_of(upkeep("tick", every=HOUR, estimated_minutes=1), until=EVENING + 24 * HOUR)

    assert plan.spans[0].start == EVENING
    assert plan.spans[-1].end == EVENING + 24 * HOUR
    assert all(a.end == b.start for a, b in zip(plan.spans, plan.spans[1:], strict=False))
    modes = [span.mode.value for span in plan.spans]
    assert [m for i, m in enumerate(modes) if i == 0 or m != modes[i - 1]] == [
        "research",
        "prep",
        "trading",
        "research",
    ]


def test_the_same_snapshot_gives_the_same_plan() -> None:
    specs = (study("a", 100), study("b", 50), upkeep("c", every=HOUR))

    assert plan_of(*specs) == plan_of(*specs)


def test_as_json_it_names_instants_in_utc() -> None:
    (run,) = plan_of(upkeep("first", 30)).runs

    assert run.to_dict() == {
        "task": "first",
        "run_id": "first.2026-11-18.once.1",
        "start": "2026-11-17T23:30:00Z",
        "end": "2026-11-18T00:00:00Z",
        "minutes": 30.0,
        "memory_mb": 100.0,
        "cpus": 1,
        "kind": "upkeep",
        "ends": "done",
    }


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"resources": {**RESOURCES, "clock_synced": None}}, "clock is not known to be right"),
        ({"resources": {**RESOURCES, "network_up": False}}, "network is down"),
        ({"resources": {**RESOURCES, "too_hot": True}}, "too hot"),
        ({"paused": "research"}, "Only trading duties start"),
        ({"paused": "all"}, "Nothing starts"),
        ({"calendar_known": False}, "No session is known"),
    ],
)
def test_the_plan_notes_what_it_takes_for_lasting(change: dict[str, object], note: str) -> None:
    (found,) = notes_on({**VIEW, **change})

    assert note in found


def test_a_fine_box_needs_no_note() -> None:
    assert notes_on(VIEW) == []


# --- on the terminal --------------------------------------------------------------------------------------


def planned(task: str, start: datetime, hours: float, kind: str = "upkeep") -> PlannedRun:
    return PlannedRun(
        task=task,
        run_id=f"{task}.x.once.1",
        start=start,
        end=start + hours * HOUR,
        minutes=60 * hours,
        memory_mb=100,
        cpus=1,
        kind=kind,
    )


def text_of(plan: Plan, width: int = 127) -> str:
    from rich.console import Console

    console = Console(width=width, markup=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(timeline(plan, NEW_YORK, width))
    return captured.get()


def test_bars_stand_under_their_hours_and_modes() -> None:
    ten = plan_of(until=EVENING + 10 * HOUR)
    runs = (planned("early", EVENING, 2), planned("late", EVENING + 5 * HOUR, 5))
    plan = Plan(start=ten.start, end=ten.end, runs=runs, spans=ten.spans)

    # 26 for the names, 1 to spare and 100 cells: ten to the hour.
    clock, mode, early, late = (line.plain for line in bars(plan, NEW_YORK, 127))

    assert early == f"{'early':<26}" + "█" * 21 + "·" * 79
    assert late == f"{'late':<26}" + "·" * 50 + "█" * 50
    # PREP at 04:00 is 9.5 h after 18:30.
    assert mode == f"{'mode':<26}" + "R" * 95 + "P" * 5
    assert clock.startswith("hours (EST)")
    assert clock[26 + 15 : 26 + 18] == "|20"  # 1.5 h after 18:30
    assert clock[26 + 55 : 26 + 59] == "|Wed"


def test_a_task_with_many_runs_is_one_line_of_the_table() -> None:
    ticks = [planned("tick", EVENING + n * 0.25 * HOUR, 0.1) for n in range(5)]
    plan = Plan(start=EVENING, end=READY, runs=(*ticks, planned("once", EVENING, 1)), spans=())

    shown = text_of(plan)

    assert "5 times, mostly every 15 min" in shown
    assert shown.count("tick") == 2  # the table and the bars


def test_many_runs_of_which_the_first_is_running_say_so() -> None:
    ticks = [planned("tick", EVENING + n * HOUR, 0.1, "running" if n == 0 else "upkeep") for n in range(4)]

    shown = text_of(Plan(start=EVENING, end=READY, runs=tuple(ticks), spans=()))

    assert "runs now, in all 4 times" in shown


def test_an_empty_plan_says_so() -> None:
    plan = Plan(start=EVENING, end=READY, runs=(), spans=(), notes=("Paused.",))

    shown = text_of(plan)

    assert "nothing will run" in shown
    assert "Paused." in shown
