"""SqlStore on real files: damage, a full disk, a second writer, what it must not import."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.changes import RecordSaved, ValueSaved
from orchestration.errors import StoreCorrupt, StoreError
from orchestration.runs import TaskRecord
from orchestration.state.backups import backup_name
from orchestration.state.store import SqlStore, release_ballast, reserve_ballast

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def value(text: str = "1", key: str = "mode") -> ValueSaved:
    return ValueSaved(key=key, value=text, at=NOW)


def filled(path: Path, keys: int = 300) -> Path:
    """Make a database of many pages."""
    with closing(SqlStore(path)) as store:
        store.commit([value("x" * 400, f"key{n}") for n in range(keys)])
    return path


def overwrite(path: Path, at: int, size: int) -> bytes:
    """Damage a file; return what it holds then."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * size)
    return path.read_bytes()


def replace_by(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return content


def test_the_daemons_process_loads_neither_the_orm_nor_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from orchestration.state.store import SqlStore; import orchestration.control; "
        "s = SqlStore(sys.argv[1]); s.load(); s.close(); "
        "print([m for m in sys.modules if m.startswith(('sqlalchemy.orm', 'alembic'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "performance.db")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def test_commits_survive_a_power_cut_and_wait_for_other_writers(tmp_path: Path) -> None:
    with closing(SqlStore(tmp_path / "performance.db", busy_timeout_s=1.5)) as store:
        pragma = store._connection.exec_driver_sql

        assert pragma("PRAGMA journal_mode").scalar() == "wal"
        assert pragma("PRAGMA synchronous").scalar() == 2  # FULL
        assert pragma("PRAGMA busy_timeout").scalar() == 1500
        assert pragma("PRAGMA auto_vacuum").scalar() == 2  # INCREMENTAL


def test_the_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "performance.db"
    with closing(SqlStore(path)) as store:
        store.commit([value()])

        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert modes == dict.fromkeys(["performance.db", "performance.db-wal", "performance.db-shm"], 0o600)


def test_a_store_says_whether_it_began_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"

    with closing(SqlStore(path)) as first:
        assert first.created
    with closing(SqlStore(path)) as second:
        assert not second.created


def test_it_takes_a_url(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/performance.db")) as store:
        store.commit([value()])

    assert (tmp_path / "performance.db").is_file()


def test_a_state_directory_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="state directory must be the daemon's own") as caught:
        SqlStore(tmp_path / "file" / "performance.db")

    assert caught.value.errno == errno.ENOTDIR


DAMAGES: dict[str, Callable[[Path], bytes]] = {
    "header": lambda path: overwrite(path, 0, 100),
    "three pages": lambda path: overwrite(path, 4096 * 12, 4096 * 3),
    "truncated": lambda path: replace_by(path, path.read_bytes()[: 4096 * 9]),
    "no database": lambda path: replace_by(path, b"hello" * 1000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_and_kept_as_it_is(tmp_path: Path, damage: str) -> None:
    path = filled(tmp_path / "performance.db")
    content = DAMAGES[damage](path)

    with pytest.raises(StoreCorrupt, match="is damaged"):
        SqlStore(path).load()

    assert path.read_bytes() == content


def test_the_message_of_a_damaged_file_restores_the_newest_whole_backup(tmp_path: Path) -> None:
    path, backups = tmp_path / "my state" / "performance.db", tmp_path / "the backups"
    backups.mkdir()
    for day, keys in ((17, 1), (18, 2), (19, 3)):
        filled(backups / backup_name("performance", NOW.replace(day=day)), keys)
    overwrite(backups / "performance-20261119T230000Z.db", 0, 100)
    overwrite(filled(path), 0, 100)

    with pytest.raises(StoreCorrupt) as caught:
        SqlStore(path, backup_dir=backups)
    command = str(caught.value).splitlines()[-1]
    subprocess.run(["sh", "-c", command], check=True)

    assert "performance-20261118T230000Z.db" in command
    with closing(SqlStore(path)) as store:
        assert len(store.load().values) == 2
    assert (path.parent / "performance.db.damaged" / "performance.db").is_file()


def test_without_a_backup_the_message_sets_the_file_aside(tmp_path: Path) -> None:
    path = filled(tmp_path / "performance.db")
    overwrite(path, 0, 100)
    (tmp_path / "performance.db.damaged").mkdir()  # from an earlier time

    with pytest.raises(StoreCorrupt, match="no whole backup") as caught:
        SqlStore(path, backup_dir=tmp_path / "none")
    subprocess.run(["sh", "-c", str(caught.value).splitlines()[-1]], check=True)

    assert (tmp_path / "performance.db.damaged1" / "performance.db").is_file()
    with closing(SqlStore(path)) as store:
        assert store.created


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE scheduler_state SET value = 'no json' WHERE key = 'record/job'", "record/job"),
        ("UPDATE sessions SET open = 'noon'", "XNYS 2026-11-20"),
        ("UPDATE task_runs SET planned_at = 'noon'", "job.2026-11-20.once.1"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, statement: str, named: str) -> None:
    path = tmp_path / "performance.db"
    SqlStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "INSERT INTO scheduler_state VALUES ('record/job', '{}', '2026-11-20T23:00:00Z');"
            "INSERT INTO sessions VALUES ('XNYS', '2026-11-20', '2026-11-20T14:30:00Z', "
            "'2026-11-20T21:00:00Z', NULL, NULL, 0, 'test');"
            "INSERT INTO task_runs (run_id, task, cycle, slot, attempt, status, pool, planned_at, "
            "reserved_mb, cpus, filler, detail, report, log) VALUES ('job.2026-11-20.once.1', 'job', "
            "'2026-11-20', 'once', 1, 'planned', 'local', '2026-11-20T23:00:00Z', 1, 1, 0, '', '{}', '');"
            f"{statement};"
        )

    with closing(SqlStore(path)) as store, pytest.raises(StoreCorrupt, match=named):
        store.load()


def test_when_the_file_is_full_nothing_is_lost_and_work_goes_on_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with closing(SqlStore(path)) as store:
        store.commit([value("before")])
        pages = store._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        store._connection.rollback()
        store._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        store._connection.rollback()

        with pytest.raises(StoreError) as caught:
            store.commit([value("during"), value("x" * 100_000, "large")])
        assert caught.value.errno == errno.ENOSPC
        assert store.load().values == {"mode": "before"}

        store._connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        store._connection.rollback()
        store.commit([value("after"), value("x" * 100_000, "large")])

        assert store.load().values["mode"] == "after"


FULL_DISK = """
import errno, sys
from orchestration.errors import StoreError
from orchestration.state.store import SqlStore, release_ballast, reserve_ballast
sys.path.insert(0, sys.argv[1])
from tests.integration.test_state_sqlite import value
assert reserve_ballast("/mnt/ballast", 2_000_000)
assert not reserve_ballast("/mnt/more", 10_000_000)
store = SqlStore("/mnt/performance.db")
done = 0
try:
    while True:
        store.commit([value(str(done)), value("x" * 5000, f"key{done}")])
        done += 1
except StoreError as error:
    assert error.errno == errno.ENOSPC, error
assert store.load().values["mode"] == str(done - 1)
try:
    store.commit([value("again"), value("x" * 5000, "again")])
    raise SystemExit("a full disk took a commit")
except StoreError as error:
    assert error.errno == errno.ENOSPC, error
assert release_ballast("/mnt/ballast") == 2_000_000
store.commit([value("freed"), value("x" * 5000, "freed")])
store.close()
store = SqlStore("/mnt/performance.db")
print(done, store.load().values["mode"], len(store.load().values))
"""


def test_a_really_full_disk_is_survived_and_the_ballast_makes_room() -> None:
    mount = 'mount -t tmpfs -o size=4m tmpfs /mnt && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", mount, "sh"]
    try:
        possible = subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("needs unshare and leave to mount a small file system in a namespace of its own")

    root = str(Path(__file__).resolve().parents[2])
    command = [*inside, sys.executable, "-c", FULL_DISK, root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    commits, mode, keys = done.stdout.split()
    assert int(commits) > 10
    assert (mode, int(keys)) == ("freed", int(commits) + 2)  # the commits' own keys, mode, freed


def test_another_writer_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "performance.db"
    with (
        closing(SqlStore(path, busy_timeout_s=0.05)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError) as caught:
            store.commit([value()])
        other.execute("ROLLBACK")
        store.commit([value("later")])

        assert caught.value.errno == errno.EBUSY
        assert store.load().values == {"mode": "later"}


def test_a_closed_store_says_so_instead_of_losing_a_commit(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "performance.db")
    store.close()
    store.close()

    with pytest.raises(StoreError, match="closed"):
        store.commit([RecordSaved(task="job", record=TaskRecord())])


def test_ballast_that_finds_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)

    assert not reserve_ballast(tmp_path / "ballast", 1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_ballast_is_written_where_it_cannot_be_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("os.posix_fallocate", unsupported)

    assert reserve_ballast(tmp_path / "ballast", 100_001)
    assert (tmp_path / "ballast").stat().st_size == 100_001


def test_ballast_that_fails_for_another_reason_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.posix_fallocate", broken)

    with pytest.raises(OSError, match="Input/output"):
        reserve_ballast(tmp_path / "ballast", 1_000_000)


def test_ballast_is_real_room_and_given_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "ballast"

    assert reserve_ballast(path, 1_000_000)
    assert reserve_ballast(path, 1_000_000)
    assert path.stat().st_blocks * 512 >= 1_000_000
    assert release_ballast(path) == 1_000_000
    assert release_ballast(path) == 0
    assert list(tmp_path.iterdir()) == []
