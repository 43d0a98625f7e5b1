"""The store: what must not be lost, in performance.db or any database that SQLAlchemy knows."""

from __future__ import annotations

import errno
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, and_, delete, func, insert, inspect, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from orchestration.changes import Change, RunPlanned, Stored
from orchestration.clock import SystemClock
from orchestration.crash_points import passing
from orchestration.errors import StoreError
from orchestration.state import schema
from orchestration.state.ballast import release_ballast, reserve_ballast
from orchestration.state.codec import to_instant
from orchestration.state.engine import BUSY_TIMEOUT_S, damaged, explain, file_of, open_engine, to_url
from orchestration.state.reader import Trace, read_stored, read_trace
from orchestration.state.retention import RETENTION, Retention
from orchestration.state.writer import Writer

__all__ = ["SqlStore", "release_ballast", "reserve_ballast"]

MIGRATION_TIMEOUT_S = 600.0


class SqlStore:
    """A `Store` over one connection, for the one process that writes.

    url_or_path: an SQLAlchemy URL, or the path of an SQLite file (made, for its owner alone, if absent).
    backup_dir: where verified backups lie; an error about a damaged file names the newest.
    now: what `updated_at` says of records.

    Raises:
        StoreCorrupt: if the file is damaged; it is left as it is and the message is the way back.
        StoreError: if it cannot be opened, or was written by a newer version.
    """

    def __init__(
        self,
        url_or_path: str | Path,
        *,
        backup_dir: str | Path | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        retention: Retention = RETENTION,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.url = to_url(url_or_path)
        self.path = file_of(self.url)
        self.created = False
        self._backup_dir = None if backup_dir is None else Path(backup_dir)
        self._retention = retention
        self._engine = open_engine(self.url, busy_timeout_s=busy_timeout_s)
        self._connection = self._connect()
        try:
            self.quick_check()
            self._prepare_schema()
        except BaseException:
            self.close()
            raise
        self._writer = Writer(self._engine.dialect, now or SystemClock().now)

    def _connect(self) -> Connection:
        with self._errors():
            return self._engine.connect()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise explain(error, self.path, self._backup_dir) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._errors(), self._connection.begin():
            yield self._connection

    def quick_check(self) -> None:
        """Return if the file is whole. Raises StoreCorrupt. Databases other than SQLite check themselves."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._transaction() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
        if list(found) != ["ok"]:
            raise damaged(str(self.path), "; ".join(map(str, found)), self.path, self._backup_dir)

    def load(self) -> Stored:
        """Read everything back. Raises StoreCorrupt, also for a row that cannot be understood; StoreError."""
        try:
            with self._transaction() as connection:
                stored = read_stored(connection)
        except ValueError as error:
            raise damaged(str(self.path or self.url), str(error), self.path, self._backup_dir) from error
        self._writer.knows({task: record.estimate for task, record in stored.records.items()})
        return stored

    def last_trace(self) -> Trace | None:
        """Return the last sign of life of an earlier daemon; None: there was none. Raises StoreError."""
        with self._transaction() as connection:
            return read_trace(connection)

    def commit(self, changes: Sequence[Change]) -> None:
        """Write all or nothing, in their order; on return it survives a power cut.

        A run that has ended stays as it ended; starting or stopping one that is unknown changes nothing; the
        end of an unknown one is recorded as if it had been planned.

        Raises:
            StoreError: errno ENOSPC: the disk is full; EBUSY: another writer; EEXIST: a run was planned
                twice. Nothing was written, and the store can be used again.
            StoreCorrupt: if the file turned out to be damaged.
        """
        if not changes:
            return
        write = self._writer.write
        try:
            with self._errors(), self._connection.begin():
                for change in changes:
                    write(self._connection, change)
                passing("commit.before")
        except BaseException as error:
            self._writer.rolled_back()
            if isinstance(error.__cause__, IntegrityError):
                raise _planned_twice(changes, error) from error
            raise
        passing("commit.after")
        self._writer.committed()

    def prune(self, now: datetime) -> int:
        """Drop what is older than each table's retention; return how many rows went. Raises StoreError."""
        keep = self._retention
        decisions, events, alerts, runs = schema.decisions, schema.events, schema.alerts, schema.task_runs
        newest = select(func.max(decisions.c.id)).group_by(decisions.c.task)
        old_wait = and_(decisions.c.slot.is_(None), decisions.c.at < to_instant(now - keep.waits))
        old_skip = decisions.c.at < to_instant(now - keep.skips)
        old_run = and_(runs.c.status == "ended", runs.c.planned_at < to_instant(now - keep.runs))
        statements = [
            delete(decisions).where(old_wait | old_skip, decisions.c.id.not_in(newest)),
            delete(events).where(events.c.at < to_instant(now - keep.events)),
            delete(alerts).where(alerts.c.cleared_at < to_instant(now - keep.alerts)),
            delete(runs).where(old_run),
        ]
        with self._transaction() as connection:
            gone = sum(connection.execute(statement).rowcount for statement in statements)
            return gone + self._prune_runs_per_task(connection, keep.runs_per_task)

    @staticmethod
    def _prune_runs_per_task(connection: Connection, cap: int) -> int:
        runs = schema.task_runs
        crowded = select(runs.c.task).group_by(runs.c.task).having(func.count() > cap)
        gone = 0
        for task in connection.execute(crowded).scalars().all():
            of_task = runs.c.task == task
            newest = select(runs.c.planned_at).where(of_task).order_by(runs.c.planned_at.desc())
            oldest_kept = connection.execute(newest.offset(cap - 1).limit(1)).scalar_one()
            old = and_(of_task, runs.c.planned_at < oldest_kept, runs.c.status == "ended")
            gone += connection.execute(delete(runs).where(old)).rowcount
        return gone

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        with suppress(SQLAlchemyError, sqlite3.Error):
            self._connection.close()
        self._engine.dispose()

    def _prepare_schema(self) -> None:
        with self._transaction() as connection:
            revision = self._revision(connection)
            if revision is None:
                schema.metadata.create_all(connection)
                schema.version_metadata.create_all(connection)
                connection.execute(insert(schema.alembic_version).values(version_num=schema.HEAD))
                self.created = True
                return
        if revision == schema.HEAD:
            return
        if revision and revision not in schema.REVISIONS:
            raise StoreError(_too_new(self.path or self.url, revision))
        self._migrate(revision)

    def _revision(self, connection: Connection) -> str | None:
        """Return the database's revision, "" before the first one, None if there is nothing in it."""
        tables = set(inspect(connection).get_table_names())
        if schema.alembic_version.name not in tables:
            if tables & set(schema.metadata.tables):
                raise StoreError(
                    f"{self.path or self.url} holds tables of ours but no revision (table alembic_version); "
                    "it was not made by this program. Move it away, or name another file"
                )
            return None
        return connection.execute(select(schema.alembic_version.c.version_num)).scalar() or ""

    def _migrate(self, revision: str) -> None:
        """Bring the schema up to date in a child process, so that Alembic is never loaded here."""
        import subprocess  # only here: it would cost every daemon 0.4 MB

        self._connection.close()
        url = self.url.render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-m", "orchestration.state.migrate", "-"],
            input=url,
            capture_output=True,
            text=True,
            timeout=MIGRATION_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise StoreError(
                f"{self.path or self.url} has revision {revision or 'none'} and could not be brought to "
                f"{schema.HEAD}; it is as it was. The migration said:\n{done.stderr.strip()}"
            )
        self._connection = self._connect()


def _too_new(where: object, revision: str) -> str:
    return (
        f"{where} has revision {revision!r}; this version knows {', '.join(schema.REVISIONS)}. A newer "
        "version wrote it. Nothing was changed. To roll back: either start that newer version again, or let "
        "it take the database back with\n"
        f"    python -m orchestration.state.migrate --to {schema.HEAD} {where}\n"
        "before this one is installed, or restore a backup from before the upgrade"
    )


def _planned_twice(changes: Sequence[Change], error: BaseException) -> StoreError:
    planned = ", ".join(change.run.run_id for change in changes if isinstance(change, RunPlanned))
    return StoreError(errno.EEXIST, f"a run is never planned twice; nothing was written ({error})", planned)
