"""Copy the databases while they are in use, prove each copy, and keep the newest few.

The copy is SQLite's online backup of one snapshot: the daemon goes on writing. It gets its name only after it
has been opened, checked and compared with the snapshot's row counts. Exit 0: all copied; 1: something is
wrong (said on stderr; the older backups are left alone).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from orchestration.clock import SystemClock
from orchestration.state.backups import (
    backup_name,
    checksum_path,
    connect_readonly,
    find_damage,
    list_backups,
    row_counts,
    sha256_of,
)
from scripts._databases import DATABASES, add_backup_dir, backup_dir, megabytes, state_parser
from scripts._result import sync_directory, write_result


class BackupError(RuntimeError):
    """A copy could not be made, or is not what it should be."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = state_parser("Back up performance.db and, if it is there, ledger.db.")
    add_backup_dir(parser)
    parser.add_argument("--keep", type=int, default=7, metavar="N", help="backups kept of each (default: 7)")
    arguments = parser.parse_args(argv)
    if arguments.keep < 1:
        parser.error(f"--keep {arguments.keep}: expected 1 or more")
    directory, now = backup_dir(arguments), SystemClock().now()
    made: list[dict[str, object]] = []
    problems: list[str] = []
    for name in DATABASES:
        source = arguments.state_dir / f"{name}.db"
        if not source.is_file():
            if name == DATABASES[0]:
                problems.append(f"{source}: there is no such database")
            continue
        try:
            made.append(back_up(name, source, directory, now))
        except (BackupError, sqlite3.Error, OSError) as error:
            problems.append(f"{source}: {error}")
            continue
        rotate(directory, name, arguments.keep)
    for copy in made:
        size = megabytes(int(str(copy["bytes"])))
        print(f"{copy['name']}: {copy['path']}, {size}, {copy['rows']} rows, whole")
    for problem in problems:
        print(f"backup failed: {problem}", file=sys.stderr)
    write_result({"databases": made, "problems": problems})
    return 1 if problems else 0


def back_up(name: str, source: Path, directory: Path, now: datetime) -> dict[str, object]:
    """Copy `source` into `directory` and return what the result file says of it.

    Raises:
        BackupError: if the source is damaged, or the copy is not equal to it.
        sqlite3.Error, OSError: if it cannot be read or written (a full disk). Nothing half is left behind.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = directory / backup_name(name, now)
    temporary = target.with_name(f".{target.name}.tmp")
    _sweep(directory, name)
    try:
        counts = _copy(source, temporary)
        damage = find_damage(temporary)
        if damage is not None:
            raise BackupError(f"the copy is damaged, so the database is: {damage}")
        with closing(connect_readonly(temporary)) as copy:
            copied = row_counts(copy)
        if copied != counts:
            raise BackupError(f"the copy has other rows than the database: {copied}, expected {counts}")
        digest = sha256_of(temporary)
        _write(checksum_path(target), f"{digest}  {target.name}\n")
        _sync(temporary)
        os.replace(temporary, target)
        sync_directory(directory)
    finally:
        temporary.unlink(missing_ok=True)
    size = target.stat().st_size
    return {"name": name, "bytes": size, "rows": sum(counts.values()), "path": str(target), "sha256": digest}


def _copy(source: Path, target: Path) -> dict[str, int]:
    """Copy one snapshot of `source`; return how many rows each of its tables had in it."""
    target.touch(mode=0o600)
    with closing(connect_readonly(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.execute("BEGIN")
        counts = row_counts(reading)
        reading.backup(writing)
        reading.execute("COMMIT")
        # One file, without companions, that can be copied about.
        writing.execute("PRAGMA journal_mode = DELETE")
    return counts


def rotate(directory: Path, name: str, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups of `name`; return those that went. Raises OSError."""
    old = list_backups(directory, name)[:-keep]
    for backup in old:
        backup.unlink()
        checksum_path(backup).unlink(missing_ok=True)
    return old


def _sweep(directory: Path, name: str) -> None:
    """Remove what an interrupted backup left behind."""
    for left in directory.glob(f".{name}-*.db.tmp*"):
        left.unlink()
    for checksum in directory.glob(f"{name}-*.db.sha256"):
        if not checksum.with_suffix("").exists():
            checksum.unlink()


def _write(path: Path, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
