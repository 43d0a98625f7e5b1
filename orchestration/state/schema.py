"""The tables of performance.db. SQLAlchemy Core only: the ORM would cost the daemon 9 MiB.

Instants are text, ISO-8601 UTC with six decimals and a Z (so they sort); JSON is text; memory is MB;
durations are seconds unless the name says minutes. Truth values are 0 and 1. What each table is for and how
long its rows are kept: docs/state.md. A change here comes with a revision in migrations/ and a new last entry
in REVISIONS.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISIONS: Final = ("0001", "0002")
"""Every revision this version knows, the oldest first; the last is what a new database is stamped with."""

HEAD: Final = REVISIONS[-1]

metadata = MetaData()

IS_OPEN: Final = text("status != 'ended'")
"""The condition of the partial index on `task_runs`; a query that says it in these words uses the index."""

scheduler_state = Table(
    "scheduler_state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text),
    Column("updated_at", Text),
)

task_runs = Table(
    "task_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("cycle", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("pid", Integer),
    Column("planned_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("outcome", Text),
    Column("exit_code", Integer),
    Column("duration_s", Float),
    Column("peak_memory_mb", Float),
    Column("reserved_mb", Float, nullable=False),
    Column("cpus", Integer, nullable=False),
    Column("predicted_minutes", Float),
    Column("predicted_end", Text),
    Column("stop_at", Text),
    Column("stop_cause", Text),
    Column("stop_asked_at", Text),
    Column("filler", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("log", Text, nullable=False),
    # A run's identity: whatever goes wrong above, the same attempt is never planned twice.
    UniqueConstraint("task", "cycle", "slot", "attempt", name="uq_task_runs_identity"),
    Index("ix_task_runs_planned_at", "planned_at"),
    # Only the few rows that are open are in it: a start finds them without reading the history.
    # (Partial on SQLite alone: to name another database here loads its dialect, 3 MB for PostgreSQL's.)
    Index("ix_task_runs_open", "status", sqlite_where=IS_OPEN),
)

task_estimates = Table(
    "task_estimates",
    metadata,
    Column("task", Text, primary_key=True),
    Column("log_mean", Float, nullable=False),
    Column("log_error", Float, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("memory_floor_mb", Float, nullable=False),
    Column("at_least_minutes", Float, nullable=False),
    Column("updated_at", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("exchange", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("open", Text, nullable=False),
    Column("close", Text, nullable=False),
    Column("break_start", Text),
    Column("break_end", Text),
    Column("early_close", Integer, nullable=False),
    Column("source", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("slot", Text),
    Column("reason", Text),
    Column("failures", Text, nullable=False),
    Column("until", Text),
    Index("ix_decisions_task_at", "task", "at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_events_at", "at"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("task", Text),
    Column("raised_at", Text, nullable=False),
    Column("cleared_at", Text),
    Column("acknowledged_at", Text),
    Index("ix_alerts_key", "key"),
)

version_metadata = MetaData()
alembic_version = Table(
    "alembic_version",
    version_metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, described here so that the daemon stamps a new database without loading Alembic."""
