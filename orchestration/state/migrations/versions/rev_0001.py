"""The first tables. Frozen: it describes what 0001 was, whatever `schema.py` says later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def upgrade() -> None:
    """Make all tables."""
    _make_runs()
    _make_state()
    _make_history()


def _make_runs() -> None:
    op.create_table(
        "task_runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        _text("task"),
        _text("cycle"),
        _text("slot"),
        _whole("attempt"),
        _text("status"),
        _text("pool"),
        _whole("pid", nullable=True),
        _text("planned_at"),
        _text("started_at", nullable=True),
        _text("ended_at", nullable=True),
        _text("outcome", nullable=True),
        _whole("exit_code", nullable=True),
        _number("duration_s", nullable=True),
        _number("peak_memory_mb", nullable=True),
        _number("reserved_mb"),
        _whole("cpus"),
        _number("predicted_minutes", nullable=True),
        _text("predicted_end", nullable=True),
        _text("stop_at", nullable=True),
        _text("stop_cause", nullable=True),
        _text("stop_asked_at", nullable=True),
        _whole("filler"),
        _text("detail"),
        _text("report"),
        _text("log"),
        sa.UniqueConstraint("task", "cycle", "slot", "attempt", name="uq_task_runs_identity"),
    )
    op.create_index("ix_task_runs_planned_at", "task_runs", ["planned_at"])
    is_open = sa.text("status != 'ended'")
    op.create_index("ix_task_runs_open", "task_runs", ["status"], sqlite_where=is_open)


def _make_state() -> None:
    op.create_table(
        "scheduler_state",
        sa.Column("key", sa.Text, primary_key=True),
        _text("value", nullable=True),
        _text("updated_at", nullable=True),
    )
    op.create_table(
        "task_estimates",
        sa.Column("task", sa.Text, primary_key=True),
        _number("log_mean"),
        _number("log_error"),
        _whole("runs"),
        _number("memory_mb"),
        _number("memory_floor_mb"),
        _number("at_least_minutes"),
        _text("updated_at"),
    )
    op.create_table(
        "sessions",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        _text("open"),
        _text("close"),
        _text("break_start", nullable=True),
        _text("break_end", nullable=True),
        _whole("early_close"),
        _text("source"),
    )


def _make_history() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("at"),
        _text("task"),
        _text("slot", nullable=True),
        _text("reason", nullable=True),
        _text("failures"),
        _text("until", nullable=True),
    )
    op.create_index("ix_decisions_task_at", "decisions", ["task", "at"])
    op.create_table(
        "events", sa.Column("id", sa.Integer, primary_key=True), _text("at"), _text("name"), _text("detail")
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("key"),
        _text("severity"),
        _text("text"),
        _text("task", nullable=True),
        _text("raised_at"),
        _text("cleared_at", nullable=True),
    )
    op.create_index("ix_alerts_key", "alerts", ["key"])
