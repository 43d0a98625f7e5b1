"""The health check: each item's level, from real files."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from hardware.health import BoxHealth
from orchestration.state import schema
from scripts import health_check
from scripts.health_check import (
    Item,
    Level,
    backup_item,
    box_items,
    database_items,
    memory_item,
    state_items,
    worst,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def levels(health: BoxHealth) -> dict[str, Level]:
    return {item.name: item.level for item in box_items(health)}


def test_what_cannot_be_read_is_unknown_and_not_ok() -> None:
    assert set(levels(BoxHealth()).values()) == {Level.UNKNOWN}


@pytest.mark.parametrize(
    ("health", "name", "level"),
    [
        (BoxHealth(disk_free_mb=9000, disk_free_pct=50), "disk", Level.OK),
        (BoxHealth(disk_free_mb=1500, disk_free_pct=50), "disk", Level.WARN),
        (BoxHealth(disk_free_mb=9000, disk_free_pct=9), "disk", Level.WARN),
        (BoxHealth(disk_free_mb=9000, disk_free_pct=2), "disk", Level.FAIL),
        (BoxHealth(disk_free_mb=499, disk_free_pct=50), "disk", Level.FAIL),
        (BoxHealth(clock_synced=True), "clock", Level.OK),
        (BoxHealth(clock_synced=False), "clock", Level.WARN),
        (BoxHealth(temperature_c=60), "temperature", Level.OK),
        (BoxHealth(temperature_c=75), "temperature", Level.WARN),
        (BoxHealth(temperature_c=85), "temperature", Level.FAIL),
        (BoxHealth(under_voltage=False), "supply", Level.OK),
        (BoxHealth(under_voltage=True), "supply", Level.WARN),
        (BoxHealth(throttled_now=("throttled",)), "throttling", Level.WARN),
    ],
)
def test_each_reading_has_its_level(health: BoxHealth, name: str, level: Level) -> None:
    assert levels(health)[name] is level


@pytest.mark.parametrize(
    ("available", "level"), [(900, Level.OK), (90, Level.WARN), (20, Level.FAIL), (None, Level.UNKNOWN)]
)
def test_memory_is_what_a_new_process_could_get(tmp_path: Path, available: int | None, level: Level) -> None:
    meminfo = tmp_path / "meminfo"
    if available is not None:
        meminfo.write_text(f"MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")

    assert memory_item(meminfo).level is level


def state(tmp_path: Path) -> Path:
    path = tmp_path / "performance.db"
    engine = create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    engine.dispose()
    return path


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def test_a_whole_database_is_ok_and_a_damaged_one_fails(tmp_path: Path) -> None:
    state(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)

    found = {item.name: item.level for item in database_items(tmp_path)}

    assert found == {"performance.db": Level.OK, "ledger.db": Level.FAIL}


def test_no_database_yet_is_unknown(tmp_path: Path) -> None:
    assert [item.level for item in database_items(tmp_path)] == [Level.UNKNOWN]
    assert [item.level for item in state_items(tmp_path / "performance.db", NOW)] == [Level.UNKNOWN]


def test_a_backup_older_than_two_days_is_warned_of(tmp_path: Path) -> None:
    assert backup_item(tmp_path, NOW).level is Level.WARN
    backup = tmp_path / "performance-20261119T120000Z.db"
    backup.write_bytes(b"x")
    os.utime(backup, (NOW.timestamp() - 86_400,) * 2)
    assert backup_item(tmp_path, NOW).level is Level.OK

    os.utime(backup, (NOW.timestamp() - 3 * 86_400,) * 2)

    assert backup_item(tmp_path, NOW).level is Level.WARN


@pytest.mark.parametrize(
    ("horizon", "level"),
    [(None, Level.WARN), ("2026-11-19", Level.FAIL), ("2026-12-01", Level.WARN), ("2028-12-01", Level.OK)],
)
def test_the_calendar_must_reach_ahead(tmp_path: Path, horizon: str | None, level: Level) -> None:
    path = state(tmp_path)
    if horizon:
        execute(path, "INSERT INTO sessions VALUES ('XNYS', ?, '', '', NULL, NULL, 0, 'test')", horizon)

    found = {item.name: item.level for item in state_items(path, NOW)}

    assert found == {"runs": Level.OK, "calendar": level}


@pytest.mark.parametrize(
    ("stop_at", "level"),
    [("2026-11-20T11:55:00.000000Z", Level.OK), ("2026-11-20T11:45:00.000000Z", Level.WARN)],
)
def test_a_run_long_past_its_stop_is_stale(tmp_path: Path, stop_at: str, level: Level) -> None:
    path = state(tmp_path)
    execute(
        path,
        """INSERT INTO task_runs (run_id, task, cycle, slot, attempt, status, pool, planned_at, reserved_mb,
        cpus, stop_at, filler, detail, report, log)
        VALUES ('r', 't', 'c', 's', 1, 'running', 'local', '', 1, 1, ?, 0, '', '', '')""",
        stop_at,
    )

    assert next(item for item in state_items(path, NOW) if item.name == "runs").level is level


def test_a_database_of_another_kind_is_unknown(tmp_path: Path) -> None:
    execute(tmp_path / "performance.db", "CREATE TABLE x (y)")

    assert [item.level for item in state_items(tmp_path / "performance.db", NOW)] == [Level.UNKNOWN]


def test_the_worst_item_decides_and_unknown_is_milder_than_a_warning() -> None:
    def items(*levels: Level) -> list[Item]:
        return [Item("x", level, "") for level in levels]

    assert worst(items(Level.OK, Level.UNKNOWN)) is Level.UNKNOWN
    assert worst(items(Level.WARN, Level.UNKNOWN)) is Level.WARN
    assert worst(items(Level.WARN, Level.FAIL, Level.OK)) is Level.FAIL
    assert worst([]) is Level.UNKNOWN


@pytest.mark.parametrize(("content", "code"), [(None, 0), (b"SQLite format 3\0" + b"x" * 5000, 1)])
def test_only_a_failure_fails_the_job(
    tmp_path: Path, content: bytes | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))
    monkeypatch.setenv("ORCHESTRATOR_BACKUP_DIR", str(tmp_path / "elsewhere"))
    good = BoxHealth(disk_free_mb=9000, disk_free_pct=50, clock_synced=True, temperature_c=50)
    monkeypatch.setattr(health_check, "read_health", lambda disk, now: good)
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    monkeypatch.setattr(health_check, "MEMINFO", meminfo)
    if content:
        (tmp_path / "control.db").write_bytes(content)

    assert health_check.main(["--state-dir", str(tmp_path)]) == code

    report = json.loads((tmp_path / "result.json").read_text())
    items = {item["name"]: item for item in report["items"]}
    assert report["level"] == ("fail" if content else "warn")  # no backup yet is a warning
    assert str(tmp_path / "elsewhere") in items["backup"]["text"]
    assert items["disk"]["level"] == "ok"


def test_a_locked_database_is_unknown_and_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state(tmp_path)
    monkeypatch.setattr(health_check, "find_damage", lambda path, quick: "database is locked")

    assert [item.level for item in database_items(tmp_path)] == [Level.UNKNOWN]


def test_the_check_is_quick_and_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from scripts import health_check; "
        f"health_check.main(['--state-dir', {str(tmp_path)!r}]); "
        "print(sorted({'pandas', 'numpy', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )

    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert child.stdout.splitlines()[-1] == "[]"
