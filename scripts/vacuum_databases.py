"""Give unused room in the databases back to the disk, in bites that never keep the daemon waiting.

A database is touched only if more than 20 % of its pages are free. performance.db is made for incremental
vacuuming and shrinks by a few pages per transaction; one that is not is rewritten by VACUUM as a whole. Then
the write-ahead log is folded in. The daemon is the writer and comes first: who waits too long for its lock
exits 75, to be tried again later. Exit 0: done or nothing to do; 1: a database is damaged or missing; 75:
busy, or out of time.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.clock import SystemClock
from scripts._databases import DATABASES, EX_TEMPFAIL, megabytes, state_parser
from scripts._result import run_deadline, write_result

FREE_SHARE = 0.2
"""With fewer free pages than this, vacuuming wears the card for nothing."""

BITE_PAGES = 256
"""One transaction's worth: 1 MiB, a few milliseconds of the writer's lock."""

STOP_BEFORE = timedelta(seconds=5)
INCREMENTAL = 2


@dataclass(frozen=True, kw_only=True)
class Vacuumed:
    """What was done to one database. how: "nothing", "incremental" or "full"."""

    name: str
    how: str
    bytes_before: int
    bytes_after: int
    free_pages: int


class OutOfTime(Exception):
    """The run's deadline is near."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = state_parser("Give unused room in performance.db and ledger.db back to the disk.")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for the lock (default: 10)")
    arguments = parser.parse_args(argv)
    deadline = run_deadline()
    until = None if deadline is None else deadline - STOP_BEFORE
    done: list[Vacuumed] = []
    problems: list[str] = []
    code = 0
    for name in DATABASES:
        path = arguments.state_dir / f"{name}.db"
        if not path.is_file():
            if name == DATABASES[0]:
                problems.append(f"{path}: there is no such database")
                code = 1
            continue
        try:
            done.append(vacuum(name, path, arguments.wait, until))
        except OutOfTime:
            problems.append(f"{path}: the run's deadline is near; the rest next time")
            code = code or EX_TEMPFAIL
        except sqlite3.Error as error:
            problems.append(f"{path}: {error}")
            code = code or EX_TEMPFAIL if _is_busy(error) else 1
    for item in done:
        print(f"{item.name}: {item.how}, {megabytes(item.bytes_before)} -> {megabytes(item.bytes_after)}")
    for problem in problems:
        print(f"not vacuumed: {problem}", file=sys.stderr)
    write_result({"databases": [asdict(item) for item in done], "problems": problems})
    return code


def vacuum(name: str, path: Path, wait_s: float, until: datetime | None) -> Vacuumed:
    """Shrink one database if it is worth it and fold its write-ahead log in.

    Raises:
        sqlite3.Error: if it is damaged, or (SQLITE_BUSY) its lock was not free within `wait_s`.
        OutOfTime: if `until` has passed; what was done so far is there to stay.
    """
    before = _bytes_on_disk(path)
    with closing(sqlite3.connect(path, timeout=wait_s, isolation_level=None)) as connection:
        pages, free = _number(connection, "page_count"), _number(connection, "freelist_count")
        how = "nothing"
        if pages and free / pages > FREE_SHARE:
            if _number(connection, "auto_vacuum") == INCREMENTAL:
                how = "incremental"
                _shrink(connection, until)
            else:
                how = "full"
                connection.execute("VACUUM")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise _Busy("its write-ahead log is in use by a reader or the daemon")
    return Vacuumed(
        name=name, how=how, bytes_before=before, bytes_after=_bytes_on_disk(path), free_pages=free
    )


class _Busy(sqlite3.OperationalError):
    """The checkpoint could not finish. SQLite says so in a row, not as an error."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


def _shrink(connection: sqlite3.Connection, until: datetime | None) -> None:
    clock = SystemClock()
    while _number(connection, "freelist_count"):
        if until is not None and clock.now() >= until:
            raise OutOfTime
        # Each row of the answer is one page given back.
        connection.execute(f"PRAGMA incremental_vacuum({BITE_PAGES})").fetchall()


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _bytes_on_disk(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


if __name__ == "__main__":
    sys.exit(main())
