"""Prove that every kept backup could be restored today.

Each one is compared with its checksum, copied to a temporary file as a restore would, and that file is
checked page by page; a copy of performance.db is then opened by the daemon's own store and read back whole.
Exit 0: all are good; 1: one is not, or there is none (said on stderr, by name).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from orchestration.errors import StoreError
from orchestration.state.backups import (
    checksum_path,
    connect_readonly,
    database_of,
    find_damage,
    list_backups,
    row_counts,
    sha256_of,
)
from scripts._databases import add_backup_dir, backup_dir, megabytes, state_parser
from scripts._result import write_result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = state_parser("Verify every kept backup by restoring it into a temporary file.")
    add_backup_dir(parser)
    directory = backup_dir(parser.parse_args(argv))
    backups = list_backups(directory)
    checked: list[dict[str, object]] = []
    problems: list[str] = [] if backups else [f"there is no backup in {directory}"]
    for backup in backups:
        rows, problem = verify(backup)
        checked.append({"path": str(backup), "ok": problem is None, "rows": rows, "problem": problem})
        if problem is None:
            print(f"{backup.name}: {megabytes(backup.stat().st_size)}, {rows} rows, restores")
        else:
            problems.append(f"{backup}: {problem}")
    for line in problems:
        print(f"bad backup: {line}", file=sys.stderr)
    write_result({"backups": checked, "problems": problems})
    return 1 if problems else 0


def verify(backup: Path) -> tuple[int | None, str | None]:
    """Return how many rows `backup` restores to, and what is wrong with it (None: nothing)."""
    try:
        digest = checksum_path(backup).read_text(encoding="ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return None, f"its checksum {checksum_path(backup).name} is missing or unreadable"
    if sha256_of(backup) != digest:
        return None, "its content is not what was written: the checksum differs"
    with tempfile.TemporaryDirectory(prefix="verify-backup-") as directory:
        restored = Path(directory) / f"{database_of(backup)}.db"
        try:
            shutil.copyfile(backup, restored)
        except OSError as error:
            return None, f"it could not be restored into {directory}: {error.strerror}"
        return _check(restored)


def _check(restored: Path) -> tuple[int | None, str | None]:
    damage = find_damage(restored)
    if damage is not None:
        return None, f"it is damaged: {damage}"
    with closing(connect_readonly(restored)) as connection:
        rows = sum(row_counts(connection).values())
    return rows, _open_as_daemon(restored) if restored.stem == "performance" else None


def _open_as_daemon(restored: Path) -> str | None:
    """Return why a daemon could not start from `restored`, None if it could."""
    # Loaded here: the other databases are verified without SQLAlchemy.
    from orchestration.state.store import SqlStore

    try:
        with closing(SqlStore(restored)) as store:
            store.load()
    except StoreError as error:
        return f"the daemon could not start from it: {str(error).splitlines()[0]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
