"""Tasks run for real by the daemon: ordered with `orchestratorctl run`, their ends read from its database.

The daemon stays the one who decides: its gates for memory, slots, conflicts and dependencies hold, and it
chooses the slot. The agent of a schedule says where the task was expected to run, no more.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, TypeVar

from adaptive.runs import PoolRun
from adaptive.types import WaveTask
from orchestration.clock import SystemClock

T = TypeVar("T")

ORCHESTRATORCTL: Final = (sys.executable, "-m", "orchestration.ctl.main")
"""The control command of this very installation, whatever the PATH."""
REFUSED, NOT_RUNNING, NO_ANSWER = 1, 3, 4
"""Exit codes of the control command that have a meaning here (docs/control.md)."""
DAY_S = 86_400.0
POLL_S = 0.2
BUSY_S = 5.0
"""Seconds that a read waits for the daemon's write."""
ORDER_LIMIT_S = 60.0
"""The command itself gives up on an answer after 10 s; this is for one that hangs."""
RUNS: Final = (
    "SELECT run_id, slot, status, outcome, stop_cause, started_at, ended_at, duration_s, detail "
    "FROM task_runs WHERE task = ?"
)
BY_HAND = "manual:"
PEOPLE_OR_DOUBT = frozenset({"killed", "unknown"})
"""Outcomes after which the daemon waits for a person, or a person has ended it: not to be repeated."""
ENDED_BY_ORDER = frozenset({"operator", "shutdown"})


class DaemonPoolsError(RuntimeError):
    """Nothing can be run: no daemon is running, or the control command does not work."""


class WaitingClock(Protocol):
    """`clock.SystemClock` and `clock.VirtualClock` are."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A run as performance.db has it. Instants are ISO 8601 texts in UTC."""

    run_id: str
    slot: str
    status: str
    outcome: str | None
    stop_cause: str | None
    started_at: str | None
    ended_at: str | None
    duration_s: float | None
    detail: str

    @property
    def has_ended(self) -> bool:
        return self.status == "ended"

    @property
    def duration_ms(self) -> float:
        """How long it ran; 0 if that is not known."""
        if self.duration_s is not None:
            return 1000.0 * self.duration_s
        if self.started_at is None or self.ended_at is None:
            return 0.0
        ran = datetime.fromisoformat(self.ended_at) - datetime.fromisoformat(self.started_at)
        return max(0.0, 1000.0 * ran.total_seconds())


class DaemonPools:
    """Runs tasks in the pools of the daemon that works in `state_dir`.

    timeout_s: how long one run is waited for, from the order to its end; longer than any task takes, since
    an order cannot be taken back. environ: of the control command (None: this process's own); its state
    directory is always `state_dir`.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        timeout_s: float = DAY_S,
        command: Sequence[str] = ORCHESTRATORCTL,
        environ: Mapping[str, str] | None = None,
        clock: WaitingClock | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s is {timeout_s}: expected seconds above 0")
        self._database = state_dir / "performance.db"
        self._timeout_s = timeout_s
        self._command = tuple(command)
        self._environ = {
            **(os.environ if environ is None else environ),
            "ORCHESTRATOR_STATE_DIR": str(state_dir),
        }
        self._clock = clock or SystemClock()
        self._turns: dict[str, Lock] = {}
        self._taking_turns = Lock()

    def run(self, task: WaveTask, agent_id: str) -> PoolRun:
        """Have the daemon run `task.learns_as` as soon as its gates allow; return when that run has ended.

        Two tasks of one kind take turns: the daemon runs a task once at a time. A refusal, and a run that
        has not ended in time, is a failure that is not to be repeated.

        Raises:
            DaemonPoolsError: if no daemon is running, or the control command or its database cannot be used.
        """
        kind = task.learns_as
        with self._turn_of(kind):
            limit = self._clock.monotonic() + self._timeout_s
            if self._await(lambda: self._nothing_runs(kind), limit) is None:
                return self._late(f"{kind} was still running for others")
            known = {row.run_id for row in self._rows(kind)}
            refusal = self._order(kind)
            if refusal is not None:
                return refusal
            row = self._await(lambda: self._ended(kind, known), limit)
        if row is not None:
            return _answer(row)
        if any(each.run_id not in known for each in self._rows(kind)):
            return self._late(f"{kind} is still running")
        return self._late(f"{kind} has not started, and will as soon as the daemon's gates let it")

    def _turn_of(self, kind: str) -> Lock:
        with self._taking_turns:
            return self._turns.setdefault(kind, Lock())

    def _late(self, what: str) -> PoolRun:
        return PoolRun(
            success=False, duration_ms=0.0, detail=f"after {self._timeout_s:g} s {what}", is_final=True
        )

    def _await(self, claim: Callable[[], T | None], limit: float) -> T | None:
        """Return the first answer of `claim` that is not None; None if the limit came first."""
        while (found := claim()) is None and self._clock.monotonic() < limit:
            self._clock.sleep(POLL_S)
        return found

    def _nothing_runs(self, kind: str) -> bool | None:
        return True if all(row.has_ended for row in self._rows(kind)) else None

    def _ended(self, kind: str, known: set[str]) -> _Row | None:
        fresh = (row for row in self._rows(kind) if row.run_id not in known and row.slot.startswith(BY_HAND))
        return next((row for row in fresh if row.has_ended), None)

    def _order(self, kind: str) -> PoolRun | None:
        """Give the order; return None if it was taken, else the failure."""
        try:
            done = subprocess.run(
                (*self._command, "run", kind),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=ORDER_LIMIT_S,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DaemonPoolsError(f"{self._command[0]} cannot be used: {error}") from error
        said = done.stderr.strip() or f"exit code {done.returncode}"
        if done.returncode == 0:
            return None
        if done.returncode in (REFUSED, NO_ANSWER):
            # What was not answered in time is withdrawn: it may be ordered again. A refusal stays one.
            return PoolRun(success=False, duration_ms=0.0, detail=said, is_final=done.returncode == REFUSED)
        if done.returncode == NOT_RUNNING:
            raise DaemonPoolsError(f"{kind} was not run, since there is no daemon: {said}")
        raise DaemonPoolsError(f"{kind} was not run: {said}")

    def _rows(self, kind: str) -> list[_Row]:
        """Return the recorded runs of a task; none while there is no database yet."""
        if not self._database.is_file():
            return []
        uri = f"{self._database.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connection:
                connection.row_factory = sqlite3.Row
                return [_Row(**dict(row)) for row in connection.execute(RUNS, (kind,))]
        except sqlite3.Error as error:
            raise DaemonPoolsError(f"{self._database} cannot be read: {error}") from error


def _answer(row: _Row) -> PoolRun:
    if row.outcome == "succeeded":
        return PoolRun(success=True, duration_ms=row.duration_ms)
    detail = f"{row.outcome}: {row.detail}" if row.detail else str(row.outcome)
    is_final = row.outcome in PEOPLE_OR_DOUBT or row.stop_cause in ENDED_BY_ORDER
    return PoolRun(success=False, duration_ms=row.duration_ms, detail=detail, is_final=is_final)
