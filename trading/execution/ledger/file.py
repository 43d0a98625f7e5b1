"""The file of a ledger: opened so that a commit survives a power cut, its failures put in words. Light."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from trading.execution.errors import LedgerError
from trading.execution.ledger.schema import (
    MIGRATIONS,
    OLDEST_SQLITE,
    is_empty,
    is_ledger,
    migrate,
    version_of,
)

BUSY_TIMEOUT_S: Final = 5.0
"""How long a statement waits for another process's lock."""

_CHECKPOINT_BYTES: Final = 4_000_000
"""What the write-ahead log is cut back to after a checkpoint."""

_FULL_BELOW_BYTES: Final = 65_536
"""With less room than this an I/O error means a full disk, which is all that SQLite says of some."""

Row = dict[str, Any]

_RESTORE: Final = (
    "The file has been left as it is. `python -m scripts.verify_backups` says which backups restore: with "
    "nothing running, move the file and its -wal and -shm aside together, copy the newest good backup into "
    "its place, and reconcile with the broker before anything is sent"
)


class LedgerFile:
    """One connection to ledger.db. Every sqlite3.Error leaves it as a LedgerError or a ValueError."""

    def __init__(self, path: Path, *, read_only: bool, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = Path(path)
        self.is_read_only = read_only
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise LedgerError(
                f"SQLite here is {sqlite3.sqlite_version}: {path} needs {'.'.join(map(str, OLDEST_SQLITE))}"
            )
        if not read_only:
            _create(self.path)
        with _explained(self.path):
            mode = "ro" if read_only else "rw"
            self._connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=busy_timeout_s,
                # The driver's own implicit BEGIN would be a deferred one.
                isolation_level=None,
            )
        try:
            with _explained(self.path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Execute one statement; return its rows, each as its columns by name.

        Raises:
            LedgerError: if the file cannot be read or written.
            ValueError: if the tables refuse the values.
        """
        with _explained(self.path):
            cursor = self._connection.execute(statement, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def value(self, statement: str, *values: object) -> Any:
        """Execute one statement; return the only column of its first row, None without a row."""
        found = self.rows(statement, *values)
        return next(iter(found[0].values())) if found else None

    @contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        """BEGIN `kind`, COMMIT; ROLLBACK if anything is raised within, by the commit too."""
        self.rows(f"BEGIN {kind}")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            # What made the statement fail may have ended the transaction, or may make this fail too.
            if self.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA cache_size = -2000")
        if is_empty(self._connection):
            if self.is_read_only:
                raise LedgerError(f"{self.path} holds no ledger yet: the first plan or order begins it")
        elif not is_ledger(self._connection):
            raise LedgerError(f"{self.path} is another program's database, not a ledger: name another file")
        self._check_version()
        if self.is_read_only:
            return
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        # Where there is no WAL (some network file systems) only EXTRA also syncs the directory.
        execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
        execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_BYTES}")
        if version_of(self._connection) < len(MIGRATIONS):
            migrate(self._connection)
            self._check_version()

    def _check_version(self) -> None:
        version, ours = version_of(self._connection), len(MIGRATIONS)
        if version > ours:
            raise LedgerError(
                f"{self.path} has version {version}, this program knows {ours}: it was written by a newer "
                "one. Update this program, or restore the backup made before the update"
            )
        if version < ours and self.is_read_only:
            raise LedgerError(
                f"{self.path} has version {version}, this program reads {ours}: the next run that writes "
                "orders brings it up to date"
            )


def _create(path: Path) -> None:
    """Create the file, for its owner alone, if there is none.

    One that is there is not opened: closing it again would drop every lock that this process holds on it
    through another connection (fcntl(2)).
    """
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise LedgerError(
            error.errno, f"the ledger cannot be written ({error.strerror}); it must be this user's", str(path)
        ) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ValueError(f"{path} refuses it: {error}") from error
    except sqlite3.Error as error:
        raise explain(error, path) from error


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """Return the error of ours that says what the driver's means for the person at the box."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return LedgerError(f"{path}: {error}")
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, error)
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path)):
        return LedgerError(
            errno.ENOSPC, "the disk is full; nothing of this step was written. Make room on it", str(path)
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(errno.EBUSY, "another process holds the ledger's write lock", str(path))
    if primary == sqlite3.SQLITE_READONLY:
        return LedgerError(errno.EROFS, "the ledger is read-only here", str(path))
    if primary == sqlite3.SQLITE_CANTOPEN:
        return LedgerError(errno.ENOENT, "there is no ledger that could be opened", str(path))
    return LedgerError(errno.EIO, f"{error} ({getattr(error, 'sqlite_errorname', code)})", str(path))


def damaged(path: Path, what: object) -> LedgerError:
    """Return the error for a file that opens, but whose rows make no sense."""
    return LedgerError(f"{path} is damaged: {what}. {_RESTORE}")


def _is_full(path: Path) -> bool:
    try:
        space = os.statvfs(path.parent)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < _FULL_BELOW_BYTES
