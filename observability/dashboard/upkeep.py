"""How the box is kept: what the jobs found, databases, backups, the calendar, what was learned. Read only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from observability.dashboard.box_state import Line
from orchestration.state.backups import database_of, list_backups, made_at
from orchestration.state.history import RunRow, recent_runs

BACKUP_AGE: Final = timedelta(days=2)
"""Older, the newest backup is too old, as health_check has it."""
HORIZON: Final = timedelta(days=30)
LOOKED_BACK: Final = timedelta(days=1)
"""Before a job's last start: it may run now, and the report of the one before stands."""
LEVELS: Final[Mapping[str, str]] = {"ok": "ok", "warn": "warn", "fail": "fail", "unknown": "info"}
"""From health_check's levels to ours."""
MOST_BYTES: Final = 1_000_000
"""Of a file that a job left for people: more is not read."""


# --- what the jobs found ----------------------------------------------------------------------------------


def newest_report(engine: Engine, view: Mapping[str, Any], task: str, key: str) -> RunRow | None:
    """Return the newest run of `task` whose report has `key`; None: there is none among its last few.

    The task's own record says since when to look: a history of years is not read for it.
    """
    known = next((each for each in view["tasks"] if each["name"] == task), None)
    started = known and known["last_started_at"]
    since = datetime.fromisoformat(started or view["at"]) - LOOKED_BACK
    rows = recent_runs(engine, task, limit=5, since=since)
    return next((row for row in rows if isinstance(row.report.get(key), list)), None)


def newest_of(rows: Iterable[RunRow | None]) -> RunRow | None:
    """Return the run that was planned last."""
    return max((row for row in rows if row is not None), key=lambda row: row.planned_at, default=None)


def item_lines(run: RunRow | None) -> list[Line]:
    """Return the items that health_check or pre_market_check has found."""
    items = run.report.get("items", []) if run is not None else []
    return [
        Line(name=str(each.get("name")), level=LEVELS.get(str(each.get("level")), "info"), text=_said(each))
        for each in items
        if isinstance(each, dict)
    ]


def _said(item: Mapping[str, Any]) -> str:
    text = str(item.get("text", ""))
    return f"unknown: {text}" if item.get("level") == "unknown" else text


# --- databases and backups --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One file. wal_bytes: of its write-ahead log, None: there is none. check: what was found when it was
    last looked through, and `checked_at` when; None: it was not."""

    name: str
    bytes: int
    wal_bytes: int | None
    check: Line | None
    checked_at: datetime | None


def databases(state_dir: Path, check: RunRow | None) -> list[Database]:
    """Return the databases of the state directory by name, with what `check`, a health_check, found."""
    found = {line.name: line for line in item_lines(check)}
    listed = []
    for path in sorted(state_dir.glob("*.db")):
        with suppress(OSError):
            listed.append(
                Database(
                    name=path.name,
                    bytes=path.stat().st_size,
                    wal_bytes=_bytes_of(path.with_name(f"{path.name}-wal")),
                    check=found.get(path.name),
                    checked_at=check.ended_at if check and path.name in found else None,
                )
            )
    return listed


def _bytes_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The newest backup of one database. kept: how many there are. proof: whether it was tried out."""

    database: str
    name: str
    made_at: datetime
    bytes: int | None
    kept: int
    age: Line
    proof: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """The newest backup of each database. problem: why the folder cannot be read; None: it can, or there is
    none yet."""

    newest: tuple[Backup, ...] = ()
    problem: str | None = None


def backups(directory: Path, verified: RunRow | None, now: datetime) -> Backups:
    """Return the newest backup of each database. verified: the newest verify_backups. Never raises."""
    try:
        found = list_backups(directory)
    except OSError as error:
        return Backups(problem=f"{directory} cannot be read: {error.strerror or error}")
    told = {
        Path(str(each.get("path"))).name: each
        for each in (verified.report.get("backups", []) if verified else [])
        if isinstance(each, dict)
    }
    kept: dict[str, list[Path]] = {}
    for path in found:
        kept.setdefault(database_of(path), []).append(path)
    newest = (_backup(name, paths, told.get(paths[-1].name), now) for name, paths in sorted(kept.items()))
    return Backups(newest=tuple(newest))


def _backup(database: str, paths: Sequence[Path], told: Mapping[str, Any] | None, now: datetime) -> Backup:
    path = paths[-1]
    made = made_at(path)
    if told is None:
        proof = Line(name="verified", level="info", text="not tried out yet")
    elif told.get("ok"):
        proof = Line(name="verified", level="ok", text="restores")
    else:
        proof = Line(name="verified", level="fail", text=f"does not restore: {told.get('problem')}")
    old = now - made > BACKUP_AGE
    return Backup(
        database=database,
        name=path.name,
        made_at=made,
        bytes=_bytes_of(path),
        kept=len(paths),
        age=Line(name="age", level="warn" if old else "ok", text="too old" if old else "new enough"),
        proof=proof,
    )


# --- the calendar -----------------------------------------------------------------------------------------


def calendar_line(view: Mapping[str, Any], today: date) -> Line:
    """Return how far the calendar reaches."""
    horizon = date.fromisoformat(view["calendar_horizon"])
    left = horizon - today
    text = f"known until {horizon}, {left.days} days"
    if not view["calendar_known"]:
        return Line(name="calendar", level="fail", text=f"no session is known for today; {text}")
    return Line(name="calendar", level="warn" if left < HORIZON else "ok", text=text)


# --- what was learned -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What adaptive_optimization left. score: 0 to 100, None: unknown. components: scores by name, None: not
    known. anomalies: the newest run's, the worst first. remark: why something is missing, or empty."""

    score: float | None = None
    word: str = ""
    level: str = "info"
    at: datetime | None = None
    components: Mapping[str, float | None] | None = None
    anomalies: tuple[Mapping[str, Any], ...] = ()
    remark: str = ""


_WORDS: Final = {"EXCELLENT": "ok", "GOOD": "ok", "FAIR": "warn", "POOR": "fail"}
_SEVERITIES: Final = ("high", "medium", "low")


def learned(folder: Path) -> Learned:
    """Return the health of the optimisation from its files. Never raises."""
    try:
        told = json.loads(_text(folder / "system_health.json"))
        found = Learned(
            score=float(told["overall_health_score"]),
            word=str(told["health_status"]).lower(),
            level=_WORDS.get(told["health_status"], "info"),
            at=datetime.fromisoformat(told["timestamp"]),
            components={str(name): score for name, score in told["component_scores"].items()},
            anomalies=_anomalies(folder / "scheduling_anomalies.jsonl"),
        )
    except FileNotFoundError:
        return Learned(
            remark="adaptive_optimization has not written a score yet: it needs ten runs of two cycles"
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Learned(remark=f"the score in {folder.name}/ cannot be read: {error}")
    return found


def _anomalies(path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        lines = [json.loads(line) for line in _text(path).splitlines() if line.strip()]
    except FileNotFoundError:
        return ()
    for each in lines:
        each["level"] = {"high": "fail", "medium": "warn"}.get(each["severity"], "info")
    return tuple(sorted(lines, key=lambda each: _SEVERITIES.index(each["severity"])))


def _text(path: Path) -> str:
    with open(path, encoding="utf-8") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_BYTES} characters")
    return text
