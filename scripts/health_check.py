"""Look at the box: disk, memory, clock, heat, supply, databases, backups, runs, calendar.

Each item is ok, warn, fail or unknown; what cannot be read is unknown, never ok.
Exit codes: 0 nothing failed (warnings are in the report); 1 something needs a person now; 2 wrong arguments.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from hardware.health import BoxHealth, read_health
from orchestration.state.backups import connect_readonly, find_damage, list_backups
from scripts._job import finish, now, parse, parser

MEMINFO = Path("/proc/meminfo")
DATABASES = ("performance.db", "control.db", "ledger.db")
DISK_MB, DISK_PCT = (500.0, 2000.0), (3.0, 10.0)  # fail below, warn below
MEMORY_PCT = (3.0, 10.0)  # of MemAvailable in MemTotal: fail below, warn below
HEAT_C = (75.0, 85.0)  # warn from, fail from: a Pi throttles at 80 and 85
BACKUP_AGE = timedelta(days=2)
HORIZON = timedelta(days=30)
OVERDUE = timedelta(minutes=10)
"""A run this far past the instant at which it should have been stopped is stale."""


class Level(StrEnum):
    """How an item is; `fail` alone makes the job fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Item(NamedTuple):
    """One thing looked at."""

    name: str
    level: Level
    text: str


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    made.add_argument(
        "--backup-dir",
        type=Path,
        metavar="DIR",
        help="default: ORCHESTRATOR_BACKUP_DIR, or backups in the state directory",
    )
    arguments = parse(made, argv)
    state_dir: Path = arguments.state_dir
    instant = now()
    items = [
        *box_items(read_health(disk=state_dir if state_dir.exists() else None, now=instant)),
        memory_item(MEMINFO),
        *database_items(state_dir),
        backup_item(arguments.backup_dir or _backups(state_dir), instant),
        *state_items(state_dir / "performance.db", instant),
    ]
    level = worst(items)
    width = max(len(item.name) for item in items)
    lines = [f"{item.level:<8}{item.name:<{width}}  {item.text}" for item in items]
    report = {"level": level, "items": [item._asdict() for item in items]}
    return finish(1 if level is Level.FAIL else 0, report, "\n".join([*lines, f"health: {level}"]))


def _backups(state_dir: Path) -> Path:
    return Path(os.environ.get("ORCHESTRATOR_BACKUP_DIR") or state_dir / "backups")


def worst(items: Sequence[Item]) -> Level:
    """Return the worst level there is; unknown ranks between ok and warn."""
    order = (Level.OK, Level.UNKNOWN, Level.WARN, Level.FAIL)
    return max((item.level for item in items), key=order.index, default=Level.UNKNOWN)


def box_items(health: BoxHealth) -> Iterator[Item]:
    """Yield disk, clock, temperature and supply."""
    yield _disk(health)
    yield Item("clock", *_clock(health))
    heat = health.temperature_c
    if heat is None:
        yield Item("temperature", Level.UNKNOWN, "no sensor")
    else:
        yield Item("temperature", _above(heat, *HEAT_C), f"{heat:.0f} degrees C")
    if health.under_voltage is None:
        yield Item("supply", Level.UNKNOWN, "no sensor")
    else:
        sagging = health.under_voltage
        yield Item(
            "supply", Level.WARN if sagging else Level.OK, "under-voltage" if sagging else "voltage is fine"
        )
    if health.throttled_now:
        yield Item("throttling", Level.WARN, ", ".join(health.throttled_now))


def _clock(health: BoxHealth) -> tuple[Level, str]:
    if health.clock_synced is None:
        return Level.UNKNOWN, f"nothing says whether it is right ({health.clock_source})"
    if health.clock_synced:
        return Level.OK, f"synchronised ({health.clock_source})"
    return Level.WARN, f"not synchronised: no trading task starts ({health.clock_source})"


def _disk(health: BoxHealth) -> Item:
    mb, pct = health.disk_free_mb, health.disk_free_pct
    if mb is None or pct is None:
        return Item("disk", Level.UNKNOWN, "cannot be read")
    levels = {_below(mb, *DISK_MB), _below(pct, *DISK_PCT)}
    level = next(level for level in (Level.FAIL, Level.WARN, Level.OK) if level in levels)
    return Item("disk", level, f"{mb:,.0f} MB free ({pct:.0f} %)")


def _below(value: float, fail: float, warn: float) -> Level:
    return Level.FAIL if value < fail else Level.WARN if value < warn else Level.OK


def _above(value: float, warn: float, fail: float) -> Level:
    return Level.FAIL if value >= fail else Level.WARN if value >= warn else Level.OK


def memory_item(meminfo: Path) -> Item:
    """Return how much memory a new process could get, from a /proc/meminfo."""
    try:
        rows = (line.split() for line in meminfo.read_text(encoding="ascii").splitlines())
        kib = {row[0]: float(row[1]) for row in rows if len(row) > 1}
        total, free = kib["MemTotal:"], kib["MemAvailable:"]
    except (OSError, ValueError, KeyError):
        return Item("memory", Level.UNKNOWN, f"{meminfo} cannot be read")
    pct = 100 * free / total
    return Item("memory", _below(pct, *MEMORY_PCT), f"{free * 1024 / 1e6:,.0f} MB available ({pct:.0f} %)")


def database_items(state_dir: Path) -> Iterator[Item]:
    """Yield whether each database that exists is whole (SQLite's quick_check, read only)."""
    there = [name for name in DATABASES if (state_dir / name).exists()]
    for name in there:
        damage = find_damage(state_dir / name, quick=True)
        if damage and "locked" in damage:
            yield Item(name, Level.UNKNOWN, "is locked by another process")
        elif damage:
            yield Item(name, Level.FAIL, f"{damage}; see docs/operations.md, restore a backup")
        else:
            yield Item(name, Level.OK, f"whole, {(state_dir / name).stat().st_size / 1e6:.1f} MB")
    if not there:
        yield Item("databases", Level.UNKNOWN, f"none in {state_dir} yet")


def backup_item(backup_dir: Path, instant: datetime) -> Item:
    """Return how old the newest backup is."""
    kept = list_backups(backup_dir)
    if not kept:
        return Item("backup", Level.WARN, f"none in {backup_dir} yet; backup_databases makes one")
    made = datetime.fromtimestamp(kept[-1].stat().st_mtime, tz=UTC)
    hours = (instant - made) / timedelta(hours=1)
    level = Level.WARN if instant - made > BACKUP_AGE else Level.OK
    return Item("backup", level, f"{kept[-1].name}, {hours:.0f} h old")


def state_items(database: Path, instant: datetime) -> Iterator[Item]:
    """Yield stale runs and the calendar's horizon, from the daemon's database."""
    if not database.exists():
        yield Item("runs", Level.UNKNOWN, f"no {database.name} yet: the daemon has not run here")
        return
    try:
        with closing(connect_readonly(database)) as connection:
            query = "SELECT run_id, stop_at FROM task_runs WHERE status != 'ended' AND stop_at IS NOT NULL"
            stops = connection.execute(query).fetchall()
            (horizon,) = connection.execute("SELECT max(day) FROM sessions").fetchone()
    except sqlite3.Error as error:
        yield Item("runs", Level.UNKNOWN, f"{database} cannot be read ({error})")
        return
    stale = [run for run, stop_at in stops if instant - datetime.fromisoformat(stop_at) > OVERDUE]
    text = f"stale: {', '.join(stale)}" if stale else f"{len(stops)} open, none stale"
    yield Item("runs", Level.WARN if stale else Level.OK, text)
    yield _calendar(horizon, instant.date())


def _calendar(horizon: str | None, today: date) -> Item:
    if horizon is None:
        return Item("calendar", Level.WARN, "no session table stored yet; refresh_sessions makes one")
    left = date.fromisoformat(horizon) - today
    if left < timedelta(0):
        return Item(
            "calendar", Level.FAIL, f"ended on {horizon}: no trading task can start; run refresh_sessions"
        )
    return Item(
        "calendar", Level.WARN if left < HORIZON else Level.OK, f"known until {horizon} ({left.days} days)"
    )


if __name__ == "__main__":
    sys.exit(main())
