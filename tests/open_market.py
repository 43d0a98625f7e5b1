"""A state directory in which the market is open now, whatever the hour: for tests of the trading jobs as they
are, with the real clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from orchestration.changes import SessionsSaved
from orchestration.sessions import ZONES
from orchestration.state.store import SqlStore
from orchestration.types import Session
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ChildOrder, ParentOrder, ParentState
from trading.marketdata.bars import BarStore

ROOT = Path(__file__).resolve().parents[1]
SYMBOL, OTHER = "ACME", "BETA"
VOLUME = 50_000_000.0
"""Shares a day: a few hundred are far below every cap."""
LIMIT_S = 60.0
"""What takes longer has failed: a start of a job alone takes many seconds on a small and busy box."""
T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


def exchange_by_day() -> str:
    """Return an exchange where it is between 03:00 and 19:00 now: its date does not change during a test."""
    here = {name: now().astimezone(ZoneInfo(ZONES[name])) for name in ("XNYS", "XTKS")}
    return next(name for name, local in here.items() if 3 <= local.hour < 19)


def sessions(exchange: str, opened: timedelta, closes_in: timedelta) -> tuple[Session, ...]:
    """Every day is a session, and always at the hours at which it is open now."""
    at = now().replace(microsecond=0)
    today = at.astimezone(ZoneInfo(ZONES[exchange])).date()
    day = timedelta(days=1)
    return tuple(
        Session(
            exchange=exchange, day=today + n * day, open=at - opened + n * day, close=at + closes_in + n * day
        )
        for n in range(-5, 60)
    )


def store_sessions(state: Path, exchange: str, table: tuple[Session, ...]) -> None:
    state.mkdir(parents=True, exist_ok=True)
    with closing(SqlStore(f"sqlite:///{state / 'performance.db'}")) as store:
        store.commit([SessionsSaved(exchange=exchange, sessions=table, source="test", at=now())])


def store_bars(folder: Path, *symbols: str) -> None:
    """Thirty daily bars to yesterday, 1 % up and down in turn around 100 $."""
    index = pd.date_range(end=now().date() - timedelta(days=1), periods=30, name="date")
    close = pd.Series(np.where(np.arange(30) % 2, 101.0, 100.0), index=index)
    columns = dict.fromkeys(("open", "high", "low", "close", "adj_close"), close)
    for symbol in symbols:
        BarStore(folder).write(symbol, pd.DataFrame({**columns, "volume": VOLUME}), "test")


def wait_for(claim: Callable[[], T], what: str, *, limit_s: float = LIMIT_S) -> T:
    """Return the first true answer of `claim`; fail, naming `what`, after `limit_s`."""
    end = time.monotonic() + limit_s
    while not (found := claim()):
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        time.sleep(0.02)
    return found


@dataclass
class TradingBox:
    """A folder with a state directory, bars and an open market, and the jobs that run in it.

    opened, closes_in: where in its session the market is now. environ: settings besides the places.
    """

    folder: Path
    opened: timedelta = timedelta(hours=1)
    closes_in: timedelta = timedelta(hours=2)
    environ: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = exchange_by_day()
        self.set_hours(self.opened, self.closes_in)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def today(self) -> date:
        """The trading day that is on."""
        return now().astimezone(ZoneInfo(ZONES[self.exchange])).date()

    def set_hours(self, opened: timedelta, closes_in: timedelta) -> None:
        """Move the session around the present instant."""
        store_sessions(self.state, self.exchange, sessions(self.exchange, opened, closes_in))

    def environment(self, **more: str) -> dict[str, str]:
        """Return a job's whole environment."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ORCHESTRATOR_STATE_DIR": str(self.state),
            "ORCHESTRATOR_DATA_DIR": str(self.data),
            "ORCHESTRATOR_LOG_DIR": str(self.folder / "logs"),
            "ORCHESTRATOR_EXCHANGE": self.exchange,
            "ORCHESTRATOR_RESULT": str(self.folder / "result.json"),
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            **self.environ,
            **more,
        }

    def run(self, job: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a job to its end."""
        (self.folder / "result.json").unlink(missing_ok=True)
        return subprocess.run(
            [sys.executable, "-m", f"scripts.{job}", *arguments],
            cwd=ROOT,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def start(self, job: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a job in a session of its own; `end_all` ends it."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"scripts.{job}", *arguments],
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end_all(self) -> None:
        """Kill what was started and has not ended."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
            process.communicate()

    # --- what is in the ledger ------------------------------------------------------------------------------

    def enter(self, *words: str) -> str:
        """Enter an order with `orders add`; return its id."""
        done = self.run("orders", "add", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def ledger(self) -> Ledger:
        return Ledger(self.state / "ledger.db", read_only=True)

    def parent(self, parent_id: str) -> ParentOrder:
        with self.ledger() as ledger:
            return ledger.parent(parent_id)

    def children(self, parent_id: str) -> list[ChildOrder]:
        with self.ledger() as ledger:
            return ledger.children(parent_id)

    def wait_state(self, parent_id: str, state: ParentState, limit_s: float = LIMIT_S) -> None:
        wait_for(
            lambda: self.parent(parent_id).state is state,
            f"{parent_id} {state}, but {self.parent(parent_id).state}",
            limit_s=limit_s,
        )

    def wait_child(self, parent_id: str, limit_s: float = LIMIT_S) -> ChildOrder:
        """Return the parent's newest child, once the broker has taken it."""
        wait_for(
            lambda: [c for c in self.children(parent_id) if c.broker_order_id],
            f"a child of {parent_id}",
            limit_s=limit_s,
        )
        return self.children(parent_id)[-1]


def result_of(box: TradingBox) -> Mapping[str, Any]:
    """Return what the last job that was run to its end reported."""
    found: Mapping[str, Any] = json.loads((box.folder / "result.json").read_text())
    return found
