"""What kept backups are called, and whether a database file is whole. Standard library only.

A backup is `performance-20261120T181300Z.db` with `performance-20261120T181300Z.db.sha256` beside it; it
gets this name only after it has been opened and checked.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<database>[a-z_]+)-(?P<stamp>\d{8}T\d{6}Z)\.db")


def backup_name(database: str, at: datetime) -> str:
    """Return the file name of a backup of `database` made at the aware instant `at`."""
    return f"{database}-{at.astimezone(UTC).strftime(STAMP)}.db"


def made_at(backup: Path) -> datetime:
    """Return when a backup was made, from its name. Raises ValueError: the name holds no instant."""
    return datetime.strptime(backup.stem.rpartition("-")[2], STAMP).replace(tzinfo=UTC)


def list_backups(directory: str | Path, database: str | None = None) -> list[Path]:
    """Return the kept backups, oldest first, of one database or (None) of all; none without a directory.

    What is only called like one, at an instant that there is not, is none and left alone. Raises OSError: the
    directory is there and cannot be read.
    """
    try:
        found = [path for path in Path(directory).iterdir() if _is_called_like_one(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    kept = [path for path in found if database is None or database_of(path) == database]
    return sorted(kept, key=lambda path: (path.name.rpartition("-")[2], path.name))


def _is_called_like_one(path: Path) -> bool:
    if _NAME.fullmatch(path.name) is None:
        return False
    try:
        made_at(path)
    except ValueError:
        return False
    return True


def database_of(backup: Path) -> str:
    """Return the name of the database that `backup` is a copy of, without `.db`."""
    return backup.name.rpartition("-")[0]


def checksum_path(backup: Path) -> Path:
    """Return the path of the file that holds the SHA-256 of `backup`, in the format of `sha256sum`."""
    return backup.with_name(backup.name + ".sha256")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def connect_readonly(path: str | Path, timeout_s: float = 5.0) -> sqlite3.Connection:
    """Open an existing SQLite file for reading. Raises sqlite3.Error (missing file: OperationalError)."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many rows each table has. Raises sqlite3.Error."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    count = 'SELECT count(*) FROM "{}"'
    return {name: connection.execute(count.format(name)).fetchone()[0] for (name,) in names}


def find_damage(path: str | Path, *, quick: bool = False) -> str | None:
    """Return what is wrong with a database file in one line, None if it is whole.

    quick: SQLite's quick_check, which does not compare indexes with their tables.
    """
    check = "quick_check" if quick else "integrity_check"
    try:
        if Path(path).stat().st_size == 0:
            return "the file is empty"
        with closing(connect_readonly(path)) as connection:
            found = [row[0] for row in connection.execute(f"PRAGMA {check}(3)")]
    except (OSError, sqlite3.Error) as error:
        return str(error)
    return None if found == ["ok"] else "; ".join(line.strip() for line in found)


def newest_whole_backup(directory: str | Path, database: str) -> Path | None:
    """Return the newest backup of `database` that opens and passes a check now, None if there is none, or
    the directory cannot be read."""
    with suppress(OSError):
        for backup in reversed(list_backups(directory, database)):
            if find_damage(backup, quick=True) is None:
                return backup
    return None


def restore_command(backup: Path, target: Path) -> str:
    """Return the shell command that sets a damaged database aside and puts `backup` in its place."""
    return (
        f"{set_aside_command(target)} && install -m 600 {shlex.quote(str(backup))} {shlex.quote(str(target))}"
    )


def set_aside_command(target: Path) -> str:
    """Return the shell command that moves a database into a directory beside it that does not exist yet.

    The write-ahead log goes with it: applied to another file it would damage that one too.
    """
    names = (f"{target.name}.damaged{number or ''}" for number in itertools.count())
    aside = shlex.quote(str(next(p for name in names if not (p := target.with_name(name)).exists())))
    old = shlex.quote(str(target))
    return f'mkdir {aside} && for f in {old} {old}-wal {old}-shm; do [ ! -e "$f" ] || mv "$f" {aside}/; done'
