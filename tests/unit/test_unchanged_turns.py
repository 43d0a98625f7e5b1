"""What is carried over from turn to turn says the same as looking at everything again."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.decide import decide
from orchestration.decisions import Decision
from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import LogNormalModel, SteadySensors
from orchestration.types import TaskSpec
from tests.unit.deciding import duty, research

NOON = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)  # a Thursday in New York; RESEARCH from 18:00 to 04:00
SPECS = (
    duty("minute", every=timedelta(minutes=1), window="open..close", memory_mb=300, estimated_minutes=2),
    duty("hour", every=timedelta(hours=1), memory_mb=500, conflicts={"minute"}, estimated_minutes=10),
    duty("fetch", every=timedelta(minutes=20), window="open..close", needs={"network"}),
    TaskSpec(name="after", phases={"POST_MARKET"}, dependencies={"hour"}),
    research("night", interruptible=True, memory_mb=600, opportunistic=True),
    research("week", once_per="week", memory_mb=700),
    research("too_large", memory_mb=5000),
)


def crowded() -> Simulation:
    """Return a box too small for its tasks, a third of whose runs fail, with a network that is not known."""
    return build(
        {spec.name: spec for spec in SPECS},
        policy_for("unified"),
        SessionTables(),
        NOON,
        model=LogNormalModel(failure_rate=0.3),
        sensors=SteadySensors(total_mb=1500.0, slots=2, network_up=None),
        keep_events=False,
    )


def test_what_holds_tasks_back_is_what_a_look_at_every_task_finds() -> None:
    sim = crowded()
    faults: set[str | None] = set()

    def compare(decision: Decision) -> None:
        held = sim.loop.narrator.held.values()
        shown = sim.loop._worst_fault(held, decision.at)
        faults.add(shown)
        assert shown == sim.loop.fault(decision)
        waiting = {task for task, blocked in decision.blocked.items() if blocked.waits_its_turn}
        assert sim.loop.state.waiting_since.keys() == waiting

    sim.watch = compare
    sim.run_until(NOON + timedelta(days=1))

    assert len(faults) > 1, "the box had nothing to compare"


def test_a_kept_agenda_decides_as_one_made_afresh_in_every_turn_of_a_crowded_day() -> None:
    sim = crowded()
    loop = sim.loop

    def compare(decision: Decision) -> None:
        # What the turn has started is in the state by now, and its records are others.
        assert loop.resources is not None
        kept, fresh = (
            decide(loop.policy, loop.state, decision.at, loop.resources, loop.specs, loop.calendars, agenda)
            for agenda in (loop.agenda, None)
        )
        assert (kept.actions, kept.blocked, kept.wake_at) == (fresh.actions, fresh.blocked, fresh.wake_at)

    sim.watch = compare
    sim.run_until(NOON + timedelta(hours=10))

    assert sim.decisions > 500


def test_the_collector_is_as_it_was_after_a_simulation_that_failed() -> None:
    before = gc.get_threshold()
    sim = crowded()
    inside: list[tuple[int, int, int]] = []

    def fail(decision: Decision) -> None:
        inside.append(gc.get_threshold())
        raise ZeroDivisionError

    sim.watch = fail
    with pytest.raises(ZeroDivisionError):
        sim.run_until(NOON + timedelta(days=1))

    assert inside[0][0] > before[0]
    assert gc.get_threshold() == before
