"""backup_databases, verify_backups and vacuum_databases, as the daemon starts them and by hand."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.changes import ValueSaved
from orchestration.state.backups import backup_name, list_backups, newest_whole_backup
from orchestration.state.store import SqlStore
from scripts import backup_databases, vacuum_databases, verify_backups

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with a database of three values; results go to result.json beside it."""
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))
    monkeypatch.delenv("ORCHESTRATOR_DEADLINE", raising=False)
    monkeypatch.delenv("ORCHESTRATOR_BACKUP_DIR", raising=False)
    directory = tmp_path / "state"
    with closing(SqlStore(directory / "performance.db")) as store:
        store.commit([ValueSaved(key=f"key{n}", value="x" * 3000, at=NOW) for n in range(3)])
    return directory


@pytest.fixture
def store(state: Path) -> Iterator[SqlStore]:
    """The daemon's own connection, open while the scripts run."""
    with closing(SqlStore(state / "performance.db")) as opened:
        yield opened


def result(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state.parent / "result.json").read_text())
    return found


def back_up(state: Path, *more: str) -> int:
    return backup_databases.main(["--state-dir", str(state), *more])


def verify(state: Path) -> int:
    return verify_backups.main(["--state-dir", str(state)])


def vacuum(state: Path, *more: str) -> int:
    return vacuum_databases.main(["--state-dir", str(state), *more])


def damage(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)


def test_a_backup_is_a_whole_copy_of_a_database_in_use(state: Path, store: SqlStore) -> None:
    store.commit([ValueSaved(key="only in the log", value="1", at=NOW)])

    assert back_up(state) == 0

    (backup,) = list_backups(state / "backups")
    (told,) = result(state)["databases"]
    assert told["path"] == str(backup)
    assert (told["name"], told["rows"], told["bytes"]) == (
        "performance",
        5,
        backup.stat().st_size,
    )  # + revision
    assert told["sha256"] == hashlib.sha256(backup.read_bytes()).hexdigest()
    with closing(SqlStore(backup)) as copy:
        assert set(copy.load().values) == {"key0", "key1", "key2", "only in the log"}


def test_a_backup_is_one_file_for_its_owner_alone_and_sha256sum_agrees(state: Path) -> None:
    back_up(state)

    files = sorted((state / "backups").iterdir())
    assert [file.suffix for file in files] == [".db", ".sha256"]
    assert files[0].stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", "--quiet", files[1].name], cwd=files[1].parent, check=True)


def test_the_ledger_is_backed_up_where_there_is_one_and_control_never(state: Path) -> None:
    for name in ("ledger.db", "control.db"):
        with closing(sqlite3.connect(state / name)) as connection:
            connection.executescript("CREATE TABLE orders (id); INSERT INTO orders VALUES (1), (2)")

    assert back_up(state) == 0

    assert [(d["name"], d["rows"]) for d in result(state)["databases"]] == [("performance", 4), ("ledger", 2)]


def test_only_the_newest_are_kept(state: Path) -> None:
    directory = state / "backups"
    directory.mkdir()
    for day in (17, 18, 19):
        old = directory / backup_name("performance", NOW.replace(year=2020, day=day))
        old.touch()
        old.with_name(old.name + ".sha256").touch()
    (directory / "mine.db").touch()
    (directory / ".performance-20260101T000000Z.db.tmp").touch()  # of an interrupted backup
    (directory / "performance-20260101T000000Z.db.sha256").touch()

    assert back_up(state, "--keep", "2") == 0

    names = sorted(file.name for file in directory.iterdir())
    assert len(list_backups(directory, "performance")) == 2
    assert names[:1] == ["mine.db"]
    assert names[1:3] == ["performance-20201119T230000Z.db", "performance-20201119T230000Z.db.sha256"]
    assert len(names) == 5


def test_a_damaged_database_is_no_backup_and_the_old_ones_stay(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back_up(state)
    before = list_backups(state / "backups")
    damage(state / "performance.db")

    assert back_up(state, "--keep", "1") == 1

    assert list_backups(state / "backups") == before
    assert "performance.db: " in capsys.readouterr().err
    assert result(state)["problems"]
    assert len(list((state / "backups").iterdir())) == 2


def test_a_missing_database_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert back_up(tmp_path) == 1
    assert "there is no such database" in capsys.readouterr().err


def test_keeping_none_is_refused(state: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        back_up(state, "--keep", "0")

    assert caught.value.code == 2


def test_the_scripts_run_by_path_and_say_what_they_did(state: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORCHESTRATOR")}
    said = [
        subprocess.run(
            [sys.executable, "-m", f"scripts.{name}", "--state-dir", str(state)],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("backup_databases", "verify_backups", "vacuum_databases")
    ]

    assert "4 rows, whole" in said[0]
    assert "4 rows, restores" in said[1]
    assert said[2].startswith("performance: nothing, ")


def test_good_backups_verify(state: Path) -> None:
    back_up(state)

    assert verify(state) == 0

    assert [(b["ok"], b["rows"]) for b in result(state)["backups"]] == [(True, 4)]


def test_no_backup_at_all_is_a_finding(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(state) == 1
    assert "there is no backup" in capsys.readouterr().err


def rewrite_checksum(backup: Path) -> None:
    digest = hashlib.sha256(backup.read_bytes()).hexdigest()
    backup.with_name(backup.name + ".sha256").write_text(f"{digest}  {backup.name}\n")


@pytest.mark.parametrize("how", ["bit", "damage", "checksum", "meaning", "newer"])
def test_a_bad_backup_is_named(state: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    back_up(state)
    (backup,) = list_backups(state / "backups")
    if how == "bit":
        content = bytearray(backup.read_bytes())
        content[-1] ^= 1
        backup.write_bytes(content)
    elif how == "damage":
        damage(backup)
        rewrite_checksum(backup)
    elif how == "checksum":
        backup.with_name(backup.name + ".sha256").unlink()
    else:
        statement = {
            "meaning": "INSERT INTO scheduler_state VALUES ('record/job', '[', NULL)",
            "newer": "UPDATE alembic_version SET version_num = '9999'",
        }[how]
        with closing(sqlite3.connect(backup)) as connection:
            connection.execute(statement)
            connection.commit()
        rewrite_checksum(backup)
    expected = {
        "bit": "the checksum differs",
        "damage": "it is damaged",
        "checksum": "is missing",
        "meaning": "record/job",
        "newer": "'9999'",
    }

    assert verify(state) == 1

    said = capsys.readouterr().err
    assert backup.name in said
    assert expected[how] in said
    assert not result(state)["backups"][0]["ok"]


def test_the_newest_whole_backup_is_found_past_a_damaged_one(state: Path) -> None:
    back_up(state)
    directory = state / "backups"
    (whole,) = list_backups(directory)
    (directory / backup_name("performance", NOW + timedelta(days=3650))).write_bytes(b"")

    assert newest_whole_backup(directory, "performance") == whole
    assert newest_whole_backup(directory, "ledger") is None
    assert newest_whole_backup(directory / "none", "performance") is None


def grow_and_delete(path: Path, *, incremental: bool = True) -> int:
    """Leave more than half of a database's pages free; return its size."""
    with closing(sqlite3.connect(path)) as connection:
        if not incremental:
            connection.execute("CREATE TABLE events (detail TEXT)")
            connection.executemany("INSERT INTO events VALUES (?)", [("x" * 3000,)] * 1500)
        else:
            row = ("2026-11-20T23:00:00Z", "turn", "x" * 3000)
            connection.executemany("INSERT INTO events (at, name, detail) VALUES (?, ?, ?)", [row] * 1500)
        connection.commit()
        connection.execute("DELETE FROM events")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path.stat().st_size


def test_free_room_is_given_back_while_the_daemon_has_the_file_open(state: Path, store: SqlStore) -> None:
    before = grow_and_delete(state / "performance.db")

    assert vacuum(state) == 0

    (told,) = result(state)["databases"]
    assert told["how"] == "incremental"
    assert told["bytes_before"] >= before > 4_000_000
    assert (state / "performance.db").stat().st_size == told["bytes_after"] < 200_000
    store.commit([ValueSaved(key="after", value="1", at=NOW)])
    assert store.load().values["after"] == "1"


def test_a_ledger_that_cannot_shrink_in_bites_is_rewritten(state: Path) -> None:
    before = grow_and_delete(state / "ledger.db", incremental=False)

    assert vacuum(state) == 0

    told = {d["name"]: d for d in result(state)["databases"]}
    assert told["ledger"]["how"] == "full"
    assert told["ledger"]["bytes_before"] == before
    assert told["ledger"]["bytes_after"] < 20_000


def test_nothing_is_done_where_little_is_free_but_the_log_is_folded_in(state: Path, store: SqlStore) -> None:
    store.commit([ValueSaved(key="more", value="x" * 50_000, at=NOW)])

    assert vacuum(state) == 0

    assert result(state)["databases"][0]["how"] == "nothing"
    assert (state / "performance.db-wal").stat().st_size == 0


def test_a_busy_database_is_for_later(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow_and_delete(state / "performance.db")
    with closing(sqlite3.connect(state / "performance.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert vacuum(state, "--wait", "0.05") == 75

    assert "locked" in capsys.readouterr().err


def test_a_reader_in_the_log_is_waited_for_later(state: Path, store: SqlStore) -> None:
    with closing(sqlite3.connect(state / "performance.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM scheduler_state").fetchone()
        store.commit([ValueSaved(key="more", value="1", at=NOW)])

        assert vacuum(state, "--wait", "0.05") == 75

    assert "log is in use" in result(state)["problems"][0]


def test_out_of_time_is_for_later(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grow_and_delete(state / "performance.db")
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2020-01-01T00:00:00Z")

    assert vacuum(state) == 75

    assert (state / "performance.db").stat().st_size == before


def test_a_damaged_database_is_not_vacuumed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "performance.db").write_bytes(b"hello" * 1000)

    assert vacuum(state) == 1
    assert "not a database" in capsys.readouterr().err


def test_vacuuming_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vacuum(tmp_path) == 1
    assert "there is no such database" in capsys.readouterr().err
