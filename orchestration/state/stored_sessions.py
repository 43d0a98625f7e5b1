"""The stored session tables, read without SQLAlchemy: the tasks are checked against them before the state is
opened, and `orchestratorctl calendar` must answer at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

from orchestration.state.backups import connect_readonly
from orchestration.state.codec import from_instant, from_optional_instant
from orchestration.types import Session


def read_sessions(path: Path) -> dict[str, tuple[Session, ...]]:
    """Return the stored sessions by exchange.

    Raises:
        sqlite3.Error, ValueError: if they cannot be read.
    """
    columns = "exchange, day, open, close, break_start, break_end, early_close"
    found: dict[str, list[Session]] = {}
    with closing(connect_readonly(path)) as connection:
        for row in connection.execute(f"SELECT {columns} FROM sessions ORDER BY exchange, day"):
            exchange, day, start, end, pause, resume, early = row
            session = Session(
                exchange=exchange,
                day=date.fromisoformat(day),
                open=from_instant(start),
                close=from_instant(end),
                break_start=from_optional_instant(pause),
                break_end=from_optional_instant(resume),
                is_early_close=bool(early),
            )
            found.setdefault(exchange, []).append(session)
    return {exchange: tuple(sessions) for exchange, sessions in found.items()}


def sessions_or_none(path: Path | None) -> dict[str, tuple[Session, ...]]:
    """Return the stored sessions, empty where there are none or they cannot be read.

    What is wrong with a file is said when the state is opened. path: None is a database that is no file.
    """
    if path is None or not path.is_file():
        return {}
    try:
        return read_sessions(path)
    except (sqlite3.Error, ValueError):
        return {}
