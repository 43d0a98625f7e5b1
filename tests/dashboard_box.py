"""A box with a real database and its dashboard, for tests of the pages. No daemon runs, the clock stands."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from config import Settings
from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from orchestration.changes import Change, RunEnded, RunPlanned, RunStarted
from orchestration.clock import VirtualClock
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk
from orchestration.runs import ActiveRun, Outcome, RunKey, TaskResult
from orchestration.simulation.stand_ins import SteadySensors
from orchestration.state.store import SqlStore
from tests.control_desk import FRIDAY_EVENING, FakeDaemon

with warnings.catch_warnings():
    # Starlette would rather have httpx's successor; that is not to fail every test.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient as TestClient

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardBox:
    """What a test of a page works with. store: what the daemon writes with; logs: where run logs lie."""

    folder: Path
    clock: VirtualClock
    store: SqlStore
    source: Source
    daemon: FakeDaemon

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def client(self, access: Access | None = None) -> TestClient:
        """Return a browser without JavaScript."""
        return TestClient(create_app(self.source, access or Access()), raise_server_exceptions=True)


@contextmanager
def dashboard_box(
    folder: Path,
    *changes: Change,
    at: datetime = FRIDAY_EVENING,
    environ: Mapping[str, str] | None = None,
    daemon: FakeDaemon | None = None,
) -> Iterator[DashboardBox]:
    """Give a box in `folder` with `changes` written by the real store, seen at `at`."""
    wanted = {
        "ORCHESTRATOR_STATE_DIR": str(folder),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "USE_UNIFIED_SCHEDULER": "true",
        **(environ or {}),
    }
    clock, who = VirtualClock(at), daemon or FakeDaemon()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with closing(SqlStore(folder / "performance.db", now=clock.now)) as store:
        store.commit(changes)
        box = Box(Settings.from_env(wanted), clock, SteadySensors())
        source = Source(Desk(wanted, clock=clock, daemon=who, box=box))
        yield DashboardBox(folder=folder, clock=clock, store=store, source=source, daemon=who)


def planned(
    task: str,
    at: datetime,
    *,
    slot: str = "once",
    cycle: str = "2026-11-23",
    minutes: float = 5.0,
    log: str = "",
) -> RunPlanned:
    """Return the planning of a run at `at`; minutes: its predicted median."""
    key = RunKey(task, cycle, slot, 1)
    run = ActiveRun(key=key, started_at=at, predicted_end=at + 2 * minutes * MINUTE, reserved_mb=100.0)
    return RunPlanned(run=run, predicted_minutes=minutes, log=log)


def running(change: RunPlanned, pid: int = 4711) -> tuple[Change, ...]:
    """Return the changes of a planned run that goes on."""
    return change, RunStarted(run_id=change.run.run_id, pid=pid, started_at=change.run.started_at)


def ended(
    change: RunPlanned,
    minutes: float,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    peak_mb: float | None = 80.0,
    detail: str = "",
    report: Mapping[str, object] | None = None,
) -> tuple[Change, ...]:
    """Return the changes of a planned run that ended after `minutes`."""
    start = change.run.started_at
    result = TaskResult(
        key=change.run.key,
        outcome=outcome,
        started_at=start,
        ended_at=start + minutes * MINUTE,
        duration_s=60 * minutes,
        peak_memory_mb=peak_mb,
        exit_code=0 if outcome is Outcome.SUCCEEDED else 1,
        detail=detail,
        report=report or {},
    )
    return (*running(change), RunEnded(result=result))
