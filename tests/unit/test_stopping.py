"""The orderly stop, and a store that cannot be written: in virtual time, with simulated runs."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestration.changes import Change
from orchestration.errors import StoreError
from orchestration.policies import policy_for
from orchestration.ports import Wake
from orchestration.reports import SessionTables
from orchestration.runs import Outcome
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import Ended, Fortune, Happening, SimulatedRunner, VirtualWaiter
from orchestration.state.memory import MemoryStore
from orchestration.stopping import stop_all
from orchestration.types import TaskCategory, TaskPriority, TaskSpec
from tests.unit.deciding import NIGHT, SESSION

MINUTE = timedelta(minutes=1)
ORDERS = TaskSpec(
    name="orders",
    category=TaskCategory.TRADING,
    priority=TaskPriority.CRITICAL,
    interruptible=True,
    reconciled_by="reconcile",
)
RECONCILE = TaskSpec(name="reconcile", enabled=False)
CHORE = TaskSpec(name="chore", idempotent=True)


@dataclass
class Fixed:
    """Runs of `orders` and `chore` last so long."""

    minutes: float = 60.0

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        return Fortune(self.minutes, 10.0)


class Disk(MemoryStore):
    """A store whose disk can be full."""

    full = False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.full:
            raise StoreError(errno.ENOSPC, "the disk is full")
        super().commit(changes)


def box(*specs: TaskSpec, minutes: float = 60.0, store: MemoryStore | None = None) -> Simulation:
    by_name = {spec.name: spec for spec in specs}
    tables = SessionTables({}, ())
    at = NIGHT if len(specs) == 1 else SESSION
    return build(by_name, policy_for("unified"), tables, at, model=Fixed(minutes), store=store or Disk())


def ends(simulation: Simulation) -> dict[str, float]:
    """Return after how many seconds each run has ended."""
    return {e.task: (e.at - SESSION).total_seconds() for e in simulation.events if isinstance(e, Ended)}


def test_runs_that_work_orders_wind_down_before_the_others_are_asked() -> None:
    simulation = box(ORDERS, RECONCILE, CHORE)
    simulation.loop.turn()
    assert set(simulation.loop.state.running_tasks) == {"orders", "chore"}
    simulation.runner.checkpoint_s = 30  # longer than the grace of 20 s

    stop_all(simulation.loop, MINUTE)

    # The chore dies of SIGTERM a tenth of a second after it is asked.
    assert ends(simulation) == {"orders": 30.0, "chore": 30.1}
    assert simulation.loop.state.running_tasks == {}


def test_orders_have_the_timeout_but_for_the_grace_of_the_others() -> None:
    simulation = box(ORDERS, RECONCILE, CHORE)
    simulation.loop.turn()
    simulation.runner.checkpoint_s = 600

    stop_all(simulation.loop, MINUTE)

    # 60 s - 20 s of grace - 1 s to record.
    assert ends(simulation) == {"orders": 39.0, "chore": 39.1}


def test_a_timeout_no_longer_than_the_grace_still_lets_orders_go_first() -> None:
    simulation = box(ORDERS, RECONCILE, CHORE)
    simulation.loop.turn()
    simulation.runner.checkpoint_s = 600

    stop_all(simulation.loop, timedelta(seconds=20))

    assert ends(simulation) == {"orders": 19.0, "chore": 19.1}


def test_without_runs_a_stop_takes_no_time() -> None:
    simulation = box(RECONCILE)
    simulation.loop.turn()

    stop_all(simulation.loop, MINUTE)

    assert simulation.clock.now() == NIGHT


def test_a_result_that_cannot_be_written_is_written_when_there_is_room_again() -> None:
    store = Disk()
    simulation = box(CHORE, minutes=1, store=store)
    simulation.loop.turn()
    simulation.loop.wait()
    store.full = True

    simulation.loop.turn()
    fault = simulation.loop.store_fault
    assert simulation.loop.unfinished() == {}
    assert set(simulation.loop.state.running_tasks) == {"chore"}
    store.full = False
    simulation.loop.wait()
    simulation.loop.turn()

    assert fault == "[Errno 28] the disk is full"
    assert simulation.loop.store_fault is None
    assert [result.outcome for result in store.results] == [Outcome.SUCCEEDED]
    assert simulation.loop.state.running_tasks == {}


def test_a_result_found_on_a_full_disk_at_the_start_is_kept_until_it_can_be_written() -> None:
    store = Disk()
    first = box(CHORE, store=store)
    first.loop.turn()
    second = box(CHORE, minutes=1, store=store)
    store.full = True

    second.loop.recover()
    second.loop.turn()
    assert store.results == []
    store.full = False
    second.run_until(second.clock.now() + timedelta(minutes=5))

    assert [result.outcome for result in store.results] == [Outcome.INTERRUPTED, Outcome.SUCCEEDED]


def test_a_stop_that_comes_at_the_moment_a_run_ends_is_not_lost() -> None:
    class Ticking(SimulatedRunner):
        def tick(self) -> float | None:
            return self.clock.monotonic()

    simulation = box(CHORE, minutes=1)
    clock = simulation.clock
    ticking = Ticking(clock, {"chore": CHORE}, Fixed(1))
    simulation.loop.world.runner = ticking
    simulation.loop.turn()
    stop = Happening(clock.monotonic() + 60, Wake.STOP, lambda: None)
    simulation.loop.world.waiter = VirtualWaiter(clock, ticking, [stop])

    wake = simulation.loop.wait()

    assert Wake.STOP in wake
    assert Wake.CHILD in wake
