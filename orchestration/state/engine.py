"""Opening a database so that what is committed survives a power cut, and saying what went wrong."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from orchestration.errors import StoreCorrupt, StoreError
from orchestration.state.backups import newest_whole_backup, restore_command, set_aside_command

BUSY_TIMEOUT_S: Final = 5.0
"""How long a statement waits for another process's lock."""

_CHECKPOINT_BYTES: Final = 4_000_000
"""What the write-ahead log is cut back to after a checkpoint."""

_FULL_BELOW_BYTES: Final = 65_536
"""With less room than this an I/O error means a full disk, which is all that SQLite says of some."""


def to_url(url_or_path: str | Path) -> URL:
    """Return the SQLAlchemy URL of a URL or of a path to an SQLite file."""
    text = str(url_or_path)
    return make_url(text) if "://" in text else URL.create("sqlite", database=str(Path(text).absolute()))


def file_of(url: URL) -> Path | None:
    """Return the path of an SQLite file; None for other databases and for one in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def open_engine(url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return an engine for the one writer; each `connect` is a connection of its own.

    SQLite: WAL, synchronous=FULL, and every transaction takes the write lock at its beginning (a deferred one
    that turns into a writer fails at once instead of waiting). The file is created for its owner alone.

    Raises:
        StoreError: if the directory or the file cannot be made.
    """
    path = file_of(url)
    if path is not None:
        _create(path)
    engine = create_engine(url, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        _tune(engine, busy_timeout_s)
    return engine


def _create(path: Path) -> None:
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            error.errno,
            f"cannot be written ({error.strerror}); the state directory must be the daemon's own",
            str(path),
        ) from error


def _tune(engine: Engine, busy_timeout_s: float) -> None:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own implicit BEGIN would be a deferred one.
        connection.isolation_level = None
        execute = connection.execute
        execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")
        if execute("PRAGMA page_count").fetchone() == (0,):
            # Only a file without tables takes it; in any other it would be a write at every start.
            execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        # Where there is no WAL (some network file systems) only EXTRA also syncs the directory.
        execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
        execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_BYTES}")
        execute("PRAGMA cache_size = -1000")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)


def explain(error: Exception, path: Path | None, backup_dir: Path | None) -> StoreError:
    """Return the error of ours that says what the driver's `error` means for the person at the box."""
    original: Any = getattr(error, "orig", None) or error
    code = getattr(original, "sqlite_errorcode", None)
    where = "the database" if path is None else str(path)
    if code is None:
        return StoreError(f"{where}: {original}")
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(where, str(original), path, backup_dir)
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreError(
            errno.ENOSPC, "the disk is full; nothing of this turn was written. Make room on it", where
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(errno.EBUSY, "another process holds the database's write lock", where)
    if primary == sqlite3.SQLITE_READONLY:
        return StoreError(errno.EROFS, "the database is read-only for this user", where)
    return StoreError(errno.EIO, f"{original} ({getattr(original, 'sqlite_errorname', code)})", where)


def _is_full(path: Path | None) -> bool:
    if path is None:
        return False
    try:
        space = os.statvfs(path.parent)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < _FULL_BELOW_BYTES


def damaged(where: str, what: str, path: Path | None, backup_dir: Path | None) -> StoreCorrupt:
    """Return the error for a damaged database: what is wrong, and the exact way back."""
    lines = [f"{where} is damaged: {what}. The file has been left as it is."]
    backup = None if backup_dir is None else newest_whole_backup(backup_dir, "performance")
    if path is None:
        lines.append("Restore it with the means of its database server.")
    elif backup is not None:
        lines += [
            f"The newest whole backup is {backup}. What was recorded after it will be missing:",
            "before trading goes on, compare the broker's orders with yours (reconcile). With the daemon",
            "stopped, restore it by",
            f"    {restore_command(backup, path)}",
        ]
    else:
        where_looked = "no backup directory was given" if backup_dir is None else f"none in {backup_dir}"
        lines += [
            f"There is no whole backup ({where_looked}). To begin with an empty history, with the daemon",
            "stopped, set the file aside by",
            f"    {set_aside_command(path)}",
        ]
    return StoreCorrupt("\n".join(lines))
