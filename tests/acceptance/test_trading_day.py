"""The real daemon in an open market: it starts the executor, and an order survives whatever ends either."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestration.task_specs import TASK_SPECS
from tests.acceptance.daemon import Daemon, wait_for
from tests.open_market import SYMBOL, TradingBox, store_bars
from trading.execution.orders import ChildState, ParentState

TASKS = {
    "execute_orders": 'backoff = "1s"\n',
    # Two minutes are long for a test.
    "reconcile_orders": 'every = "3s"\ntimeout_minutes = 0.5\n',
}


@pytest.fixture
def box(daemon: Daemon) -> Iterator[TradingBox]:
    box = TradingBox(daemon.folder)
    store_bars(box.data, SYMBOL)
    daemon.environ |= {"ORCHESTRATOR_EXCHANGE": box.exchange, "ORCHESTRATOR_DATA_DIR": str(box.data)}
    off = [f'[[task]]\nname = "{s.name}"\nenabled = false\n' for s in TASK_SPECS if s.name not in TASKS]
    on = [f'[[task]]\nname = "{name}"\n{fields}' for name, fields in TASKS.items()]
    daemon.tasks.write_text("\n".join([*off, *on]))
    yield box
    box.end_all()


def processes_of(daemon: Daemon, task: str) -> tuple[int, int]:
    """Return the pids of a task's supervisor and of its job."""
    run_id = next(run["run_id"] for run in daemon.runs(task) if run["outcome"] is None)
    found: dict[bool, int] = {}
    for pid in daemon.left_behind():
        with suppress(OSError):
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
            if f"ORCHESTRATOR_RUN_ID={run_id}\0".encode() in environ:
                found[b"scripts." + task.encode() in argv and b"python" in argv.split(b"\0")[0]] = pid
    return found[False], found[True]


def test_the_daemon_starts_the_executor_and_an_order_entered_then_is_sent(
    daemon: Daemon, box: TradingBox
) -> None:
    daemon.start()
    daemon.wait_outcomes("execute_orders", None)

    parent = box.enter(SYMBOL, "buy", "300")

    assert box.wait_child(parent).quantity == 300
    wait_for(lambda: "succeeded" in daemon.outcomes("reconcile_orders"), "a reconciliation beside it")
    assert daemon.outcomes("execute_orders") == [None]


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["the job", "its supervisor too"])
def test_a_killed_executor_is_reconciled_and_the_next_attempt_sends_nothing_twice(
    daemon: Daemon, box: TradingBox, whole: bool
) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    daemon.start()
    daemon.wait_outcomes("execute_orders", None)
    child = box.wait_child(parent)

    supervisor, job = processes_of(daemon, "execute_orders")
    for pid in (supervisor, job) if whole else (job,):
        os.kill(pid, signal.SIGKILL)
    lost = "unknown" if whole else "failed"
    daemon.wait_outcomes("execute_orders", lost, None)
    box.wait_state(parent, ParentState.WORKING)

    rows = daemon.rows("SELECT key FROM alerts WHERE key = 'unknown:execute_orders'")
    assert len(rows) == 1
    blocked = "SELECT 1 FROM decisions WHERE task = 'execute_orders' AND reason = 'NEEDS_RECONCILE'"
    assert daemon.rows(blocked) != []
    second = daemon.runs("execute_orders")[1]
    cleared = [run for run in daemon.runs("reconcile_orders") if run["outcome"] == "succeeded"]
    assert any(run["ended_at"] <= second["planned_at"] for run in cleared)
    assert [c.client_order_id for c in box.children(parent)] == [child.client_order_id]
    assert second["attempt"] == 2


def test_stopping_the_daemon_lets_the_executor_take_its_orders_back_first(
    daemon: Daemon, box: TradingBox
) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    daemon.start()
    box.wait_child(parent)

    assert daemon.stop() == 0

    [run] = daemon.runs("execute_orders")
    assert (run["outcome"], run["exit_code"]) == ("checkpointed", 75)
    assert [c.state for c in box.children(parent)] == [ChildState.CANCELLED]
    assert box.parent(parent).state is ParentState.PAUSED
    assert daemon.left_behind() == []


@pytest.mark.slow
def test_a_daemon_that_dies_leaves_the_executor_at_work_and_the_next_adopts_it(
    daemon: Daemon, box: TradingBox
) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    daemon.start()
    box.wait_child(parent)
    _, job = processes_of(daemon, "execute_orders")

    daemon.kill()
    later = box.enter(SYMBOL, "sell", "100")
    box.wait_child(later)
    daemon.start()

    wait_for(lambda: daemon.said("run.recovered", fate="adopted"), "the adopted run")
    assert processes_of(daemon, "execute_orders")[1] == job
    assert len(box.children(parent)) == 1


@pytest.mark.slow
def test_a_halt_reaches_the_executor_and_the_panel(daemon: Daemon, box: TradingBox) -> None:
    parent = box.enter(SYMBOL, "buy", "300")
    daemon.start()
    box.wait_child(parent)

    assert box.run("orders", "halt", "looks wrong").returncode == 0
    box.wait_state(parent, ParentState.KILLED)

    wait_for(lambda: daemon.said("alert.raised", alert="trading_halted"), "the alert")
    assert '"fault": "act_now"' in daemon.command_daemon("snapshot").payload
    assert [c.state for c in box.children(parent)] == [ChildState.CANCELLED]
