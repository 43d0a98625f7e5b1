"""What the panel shows for held-back duties, and alerts of tasks that are no more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from orchestration.decisions import RaiseAlert
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.state.memory import MemoryStore
from orchestration.types import TaskCategory, TaskPriority, TaskSpec
from tests.calendars import nyse_2026

OPEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DUTY = TaskSpec(
    name="duty",
    every=timedelta(minutes=5),
    window="open..close",
    category=TaskCategory.RISK,
    priority=TaskPriority.CRITICAL,
    memory_mb=500,
)


def box(spec: TaskSpec, **sensors: float) -> Simulation:
    steady = SteadySensors(total_mb=sensors.get("total_mb", 4000.0))
    steady.network_up = sensors.get("network_up", 1.0) == 1.0
    return build({spec.name: spec}, policy_for("unified"), SessionTables(), OPEN, sensors=steady)


def test_a_duty_without_memory_is_late_and_nothing_is_worse() -> None:
    # 1100 MB - 400 foreign - 300 reserve = 400 MB: less than the 500 the duty needs.
    sim = box(DUTY, total_mb=1100.0)

    decision = sim.loop.turn()

    assert sim.loop.fault(decision) == "duty_late"


def test_a_task_that_needs_the_network_shows_that_it_is_down() -> None:
    sim = box(TaskSpec(name="fetch", needs={"network"}), network_up=0.0)

    decision = sim.loop.turn()

    assert sim.loop.fault(decision) == "network_down"


def test_alerts_of_a_task_that_is_no_more_are_cleared() -> None:
    sim = box(DUTY)
    narrator = sim.loop.narrator
    for key in ("failed:gone", "failed:duty", "deadline:gone:once", "state:new"):
        narrator.alert(RaiseAlert(key=key, text="it happened"), OPEN)

    rows = narrator.forget_tasks({"duty"}, OPEN)

    assert [row.key for row in rows] == ["deadline:gone:once", "failed:gone"]  # type: ignore[union-attr]  # AlertSaved


def test_calendar_and_broker_that_disagree_are_shown_told_and_over_when_the_day_is() -> None:
    ours = tuple(nyse_2026().table)
    closed = {f"2026-11-{day}" for day in (23, 24, 25, 30)} | {f"2026-12-0{day}" for day in (1, 2, 3)}
    theirs = tuple(s for s in ours if s.day.isoformat() not in closed)
    tables = SessionTables({"XNYS": ours, "XNYS@alpaca": theirs}, broker="alpaca")
    spec = TaskSpec(name="chore")
    sim = build({"chore": spec}, policy_for("unified"), tables, OPEN, store=MemoryStore())

    decision = sim.loop.turn()

    assert sim.loop.fault(decision) == "calendar_disagrees"
    assert sim.loop.calendars.is_holiday(date(2026, 11, 23))
    # The next five of seven.
    told = {f"calendar:2026-11-{day}" for day in (23, 24, 25, 30)} | {"calendar:2026-12-01"}
    sim.loop.flush()
    assert sim.loop.world.store.load().alerts == told

    sim.clock.advance(timedelta(days=30))
    decision = sim.loop.turn()
    sim.loop.flush()

    assert sim.loop.fault(decision) is None
    assert sim.loop.world.store.load().alerts == frozenset()
