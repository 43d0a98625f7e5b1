"""Occasions that pass unused are kept with their reason, so that "why did it not run" has an answer later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestration.changes import BlockedSaved
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import build
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.state.memory import MemoryStore
from orchestration.types import TaskSpec

FRIDAY_MORNING = datetime(2026, 11, 20, 13, 30, tzinfo=UTC)


def skipped(spec: TaskSpec, start: datetime, days: float, **box: float) -> list[BlockedSaved]:
    """Return the skip rows of `days` on a box with one task."""
    store = MemoryStore()
    sensors = SteadySensors(total_mb=box.get("total_mb", 4000.0))
    simulation = build(
        {spec.name: spec}, policy_for("unified"), SessionTables(), start, sensors=sensors, store=store
    )
    simulation.run_until(start + timedelta(days=days))
    return [row for row in store.decisions if row.slot is not None]


def test_a_window_that_ended_while_the_task_was_held_back_is_kept_with_what_held_it() -> None:
    # 4000 MB fit in no box of 2000 MB: the overnight task waits for memory until the window is over.
    task = TaskSpec(name="huge", phases={"POST_MARKET"}, memory_mb=1900)

    rows = skipped(task, FRIDAY_MORNING, 1, total_mb=2000.0)

    (row,) = rows
    assert (row.task, row.slot) == ("huge", "2026-11-20/POST_MARKET")
    assert row.blocked is not None
    assert row.blocked.failures[0].reason == "MEMORY"
    # POST_MARKET of a full day ends at close + 2 h = 18:00 New York = 23:00 UTC.
    assert row.at == datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def test_a_slot_that_missed_its_deadline_is_kept_once() -> None:
    # From 10:00 to noon every half hour, to be done by 10:20: the first slot cannot be, the others are of
    # the day after's 10:20.
    task = TaskSpec(
        name="late",
        every=timedelta(minutes=30),
        window="10:00..12:00",
        deadline="10:20",
        estimated_minutes=40,
        memory_mb=50,
    )

    rows = skipped(task, FRIDAY_MORNING, 0.3)

    # 10:00 in New York is 15:00 UTC.
    assert [row.slot for row in rows] == ["2026-11-20T15:00:00Z"]


def test_a_task_that_ran_leaves_no_skipped_window() -> None:
    task = TaskSpec(name="small", phases={"POST_MARKET"}, memory_mb=50, estimated_minutes=1)

    assert skipped(task, FRIDAY_MORNING, 1) == []


def test_a_short_day_without_an_instant_of_the_window_is_kept_as_skipped() -> None:
    # 2026-11-27 closes at 13:00, so 13:30 to the close is empty; the 25th is a full day, the 26th a holiday.
    task = TaskSpec(name="late", window="open+4h..close", memory_mb=50, estimated_minutes=1)

    rows = skipped(task, datetime(2026, 11, 27, 4, 0, tzinfo=UTC), 1)

    (row,) = rows
    assert row.slot == "2026-11-27"
    assert row.blocked is not None
    assert row.blocked.reason == "OUTSIDE_WINDOW"
    assert "2026-11-27" in row.blocked.failures[0].detail


def test_a_weekend_is_no_short_day() -> None:
    task = TaskSpec(name="daily", window="open..close", memory_mb=50, estimated_minutes=1)

    assert skipped(task, datetime(2026, 11, 21, 4, 0, tzinfo=UTC), 2) == []
