"""Saying what a reader of performance.db met: damage, another version's database; and what to do about it.

One sentence each, without the statement that failed: it is for the person at the box.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from orchestration.errors import StoreCorrupt, StoreError
from orchestration.state import schema
from orchestration.state.engine import explain, file_of

RESTORE: Final = "restore a backup; `orchestratorctl check` gives the command, docs/operations.md the steps"

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection to read from. Within it the driver's errors, and ValueErrors of rows that make no
    sense, become a StoreError (see `unreadable`)."""
    try:
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, ValueError) as error:
        raise unreadable(error, engine) from error


def unreadable(error: Exception, engine: Engine) -> StoreError:
    """Return the error of ours for what a reader met: StoreCorrupt for a damaged file, which is to be put
    back from a backup; for a newer or an older version's database, which of the two it is."""
    path = file_of(engine.url)
    where, code = "the database" if path is None else str(path), _code(error)
    if code in _DAMAGE:
        return _damaged(where, said(error))
    if code not in (None, sqlite3.SQLITE_ERROR):
        return explain(error, path, None)
    try:
        with engine.connect() as connection:
            found = connection.execute(select(schema.alembic_version.c.version_num)).scalar()
    except SQLAlchemyError as other:
        if _code(other) in _DAMAGE:
            return _damaged(where, said(other))
        found = None
    return _of_revision(found, where, error)


def said(error: BaseException) -> str:
    """Return the driver's own words for what SQLAlchemy raised, without the statement; of another error its
    text."""
    return str(getattr(error, "orig", None) or error)


def _code(error: Exception) -> int | None:
    """Return SQLite's primary result code; None where SQLite had no part in it."""
    code: int | None = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _damaged(where: str, what: str) -> StoreCorrupt:
    return StoreCorrupt(f"{where} is damaged ({what}): {RESTORE}")


def _of_revision(found: str | None, where: str, error: Exception) -> StoreError:
    if not found:
        return StoreError(f"{where} is not this program's: the history cannot be read ({said(error)})")
    if found not in schema.REVISIONS:
        return StoreError(
            f"{where} was written by a newer version (its revision is {found}, this one knows up to "
            f"{schema.HEAD}): update this program, or start it again if that is done"
        )
    if found != schema.HEAD:
        return StoreError(
            f"{where} is of an older version (its revision is {found}, this one reads {schema.HEAD}): it can "
            "be read as soon as this version's daemon has started"
        )
    if isinstance(error, SQLAlchemyError):
        return _damaged(where, f"it is not as its revision {found} says: {said(error)}")
    return StoreError(
        f"{where} holds what this version cannot understand ({error}): update this program if a newer one "
        f"has written it, else {RESTORE}"
    )
