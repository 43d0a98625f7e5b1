"""The demo's upkeep: plans, backups, checks and what was learned, by the jobs' own functions.

    python -m scripts._demo_upkeep INSTANT      learn from the box of the environment as if it were then

Learning loads scipy, so it has a process of its own, as in a real box.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from config import Settings
from hardware.health import BoxHealth
from orchestration.clock import SystemClock
from orchestration.state.backups import list_backups
from scripts._demo_box import Work
from scripts.backup_databases import back_up, rotate
from scripts.health_check import (
    MEMINFO,
    Item,
    backup_item,
    box_items,
    database_items,
    memory_item,
    state_items,
    worst,
)
from scripts.verify_backups import verify

ROOT = Path(__file__).resolve().parents[1]
KEPT = 2
"""Backups of each database."""
CHECKED_EVERY = timedelta(hours=6)
"""A health_check looks through whole databases; one that comes sooner tells what the last found in them."""


@dataclass
class BoxWork:
    """A `Work`: what keeps the box, before `rest`, which does all else.

    environ: the box's settings. planned: makes plan_window's report. health: how the box is. learn_from:
    nothing is learned before, as each time costs seconds.
    """

    environ: Mapping[str, str]
    rest: Work
    planned: Callable[[], Mapping[str, object]]
    written: Callable[[], None]
    health: Callable[[], BoxHealth]
    learn_from: datetime
    _checked: tuple[datetime, list[Item]] | None = None
    _learning: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._state = Path(self.environ["ORCHESTRATOR_STATE_DIR"])
        self._backups = self._state / "backups"

    def started(self, task: str, at: datetime) -> None:
        """See `Work`."""
        self.rest.started(task, at)

    def ended(self, task: str, at: datetime) -> Mapping[str, object]:
        """See `Work`."""
        acts: Mapping[str, Callable[[datetime], Mapping[str, object]]] = {
            "plan_window": lambda at: self.planned(),
            "backup_databases": self._back_up,
            "verify_backups": self._verify,
            "health_check": self._check,
            "pre_market_check": self._check,
            "adaptive_optimization": self._learn,
        }
        return acts[task](at) if task in acts else self.rest.ended(task, at)

    def close(self) -> None:
        """Wait for what still learns."""
        for process in self._learning:
            process.wait()

    def _back_up(self, at: datetime) -> Mapping[str, object]:
        self.written()
        made = []
        for name in ("performance", "ledger"):
            if (self._state / f"{name}.db").exists():
                made.append(back_up(name, self._state / f"{name}.db", self._backups, at))
                rotate(self._backups, name, KEPT)
                os.utime(str(made[-1]["path"]), (at.timestamp(), at.timestamp()))
        return {"databases": made, "problems": []}

    def _verify(self, at: datetime) -> Mapping[str, object]:
        found = [(path, *verify(path)) for path in list_backups(self._backups)]
        told = [
            {"path": str(path), "ok": problem is None, "rows": rows, "problem": problem}
            for path, rows, problem in found
        ]
        return {"backups": told, "problems": [each["problem"] for each in told if not each["ok"]]}

    def _check(self, at: datetime) -> Mapping[str, object]:
        items = [*box_items(self.health()), memory_item(MEMINFO), *self._looked_through(at)]
        return {"level": worst(items), "items": [item._asdict() for item in items]}

    def _looked_through(self, at: datetime) -> list[Item]:
        if self._checked is None or at - self._checked[0] >= CHECKED_EVERY:
            self.written()
            found = [
                *database_items(self._state),
                backup_item(self._backups, at),
                *state_items(self._state / "performance.db", at),
            ]
            self._checked = at, found
        return self._checked[1]

    def _learn(self, at: datetime) -> Mapping[str, object]:
        if at < self.learn_from:
            return {}
        self.written()
        self._learning.append(
            subprocess.Popen(
                [sys.executable, "-m", "scripts._demo_upkeep", at.isoformat()],
                cwd=ROOT,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return {}


class StoppedClock(SystemClock):
    """A wall clock that stands still; seconds pass."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def learn(at: datetime) -> int:
    """Do what adaptive_optimization does, as if it were `at`; return its exit code."""
    from scripts._job import StopRequest
    from scripts._next_window import PlannedBox
    from scripts.adaptive_optimization import FOLDER, Learning, too_little

    settings, clock = Settings.from_env(os.environ), StoppedClock(at)
    database = settings.state_dir / "performance.db"
    box = PlannedBox.read(settings, database, clock)
    learning = Learning(box, database, settings.state_dir / FOLDER, clock)
    return learning.run(StopRequest()) if learning.is_enough else too_little(learning.runs)


if __name__ == "__main__":
    sys.exit(learn(datetime.fromisoformat(sys.argv[1])))
