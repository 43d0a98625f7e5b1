"""The tables of ledger.db, as numbered migrations. Light: standard library only.

The number of the last one applied is the file's `PRAGMA user_version`. A migration that has been released is
never changed; a new table or column is a new migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from trading.execution.orders import ChildState, DeadlinePolicy, OrderKind, ParentState, Side, Urgency

APPLICATION_ID: Final = 0x4C444752
"""Marks the file as a ledger ("LDGR"), so that no other database is taken for one."""

OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables came with it."""


def _one_of(column: str, kind: type[StrEnum]) -> str:
    return f"CHECK ({column} IN ({', '.join(repr(str(member)) for member in kind)}))"


ENDED_CHILD: Final = "state IN ('filled', 'cancelled', 'rejected', 'expired')"

OPEN_CHILD: Final = f"(NOT {ENDED_CHILD} OR reported_filled > filled)"
"""A child that may still get fills. The same words in a query and in an index, so that it is used."""

_FIRST: Final = (
    f"""
    CREATE TABLE parents (
        parent_id TEXT PRIMARY KEY,
        reference TEXT NOT NULL UNIQUE CHECK (reference <> ''),
        session TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL {_one_of("side", Side)},
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        created_at TEXT NOT NULL,
        lot_size INTEGER NOT NULL,
        algorithm TEXT NOT NULL,
        urgency TEXT NOT NULL {_one_of("urgency", Urgency)},
        risk_aversion REAL NOT NULL,
        max_participation REAL NOT NULL,
        min_slice INTEGER NOT NULL,
        display_size INTEGER,
        limit_price TEXT,
        not_before TEXT,
        not_after TEXT,
        deadline_policy TEXT NOT NULL {_one_of("deadline_policy", DeadlinePolicy)},
        strategy_id TEXT NOT NULL,
        decision_price TEXT,
        decided_at TEXT,
        arrival_price TEXT,
        arrived_at TEXT,
        state TEXT NOT NULL {_one_of("state", ParentState)},
        reason TEXT NOT NULL,
        completed_at TEXT,
        last_sequence INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX parents_by_session ON parents (session)",
    """
    CREATE TABLE plans (
        parent_id TEXT NOT NULL REFERENCES parents,
        number INTEGER NOT NULL CHECK (number > 0),
        made_at TEXT NOT NULL,
        plan TEXT NOT NULL,
        PRIMARY KEY (parent_id, number)
    ) STRICT""",
    f"""
    CREATE TABLE children (
        client_order_id TEXT PRIMARY KEY,
        parent_id TEXT NOT NULL REFERENCES parents,
        sequence INTEGER NOT NULL CHECK (sequence > 0),
        symbol TEXT NOT NULL,
        side TEXT NOT NULL {_one_of("side", Side)},
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        kind TEXT NOT NULL {_one_of("kind", OrderKind)},
        created_at TEXT NOT NULL,
        limit_price TEXT CHECK ((kind = 'limit') = (limit_price IS NOT NULL)),
        slice_index INTEGER NOT NULL,
        state TEXT NOT NULL {_one_of("state", ChildState)},
        broker_order_id TEXT NOT NULL,
        filled INTEGER NOT NULL CHECK (filled >= 0),
        reported_filled INTEGER NOT NULL CHECK (reported_filled >= 0),
        submitted_at TEXT,
        cancel_asked_at TEXT,
        closed_at TEXT,
        reason TEXT NOT NULL,
        UNIQUE (parent_id, sequence)
    ) STRICT""",
    f"CREATE INDEX children_open ON children (parent_id, sequence) WHERE {OPEN_CHILD}",
    f"""
    CREATE TABLE fills (
        broker TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL REFERENCES children,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL {_one_of("side", Side)},
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        price TEXT NOT NULL,
        at TEXT NOT NULL,
        fee TEXT NOT NULL,
        PRIMARY KEY (broker, execution_id)
    ) STRICT""",
    "CREATE INDEX fills_by_child ON fills (client_order_id)",
    "CREATE INDEX fills_by_time ON fills (at)",
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX events_by_parent ON events (parent_id)",
    "CREATE TABLE facts (symbol TEXT PRIMARY KEY, as_of TEXT NOT NULL, facts TEXT NOT NULL) STRICT",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    *(
        f"CREATE TRIGGER {table}_refuse_{verb} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added to'); END"
        for table in ("events", "fills")
        for verb in ("update", "delete")
    ),
)

_PORTFOLIO: Final = (
    # Written by `trading.portfolio.books` alone. Profit is that since the ledger began.
    """
    CREATE TABLE marks (
        symbol TEXT NOT NULL,
        session TEXT NOT NULL,
        price TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (symbol, session)
    ) STRICT, WITHOUT ROWID""",
    """
    CREATE TABLE equity_days (
        session TEXT PRIMARY KEY,
        capital TEXT NOT NULL,
        low TEXT NOT NULL,
        high TEXT NOT NULL,
        last TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE risk_limits_hit (
        number INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        episode TEXT NOT NULL,
        value_pct TEXT NOT NULL,
        bound_pct TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('alert', 'halt')),
        at TEXT NOT NULL,
        done_at TEXT
    ) STRICT""",
    "CREATE INDEX risk_limits_hit_undone ON risk_limits_hit (number) WHERE done_at IS NULL",
    "CREATE INDEX risk_limits_hit_by_session ON risk_limits_hit (session)",
    """
    CREATE TABLE pnl_sessions (
        session TEXT PRIMARY KEY,
        closed_at TEXT NOT NULL,
        calculated_at TEXT NOT NULL,
        event_number INTEGER NOT NULL,
        capital TEXT NOT NULL,
        realised TEXT NOT NULL,
        unrealised TEXT NOT NULL,
        fees TEXT NOT NULL,
        profit TEXT NOT NULL
    ) STRICT""",
    """
    CREATE TABLE pnl_daily (
        session TEXT NOT NULL REFERENCES pnl_sessions,
        strategy_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        cost TEXT NOT NULL,
        price TEXT NOT NULL,
        priced_at TEXT NOT NULL,
        realised TEXT NOT NULL,
        unrealised TEXT NOT NULL,
        fees TEXT NOT NULL,
        PRIMARY KEY (session, strategy_id, symbol)
    ) STRICT, WITHOUT ROWID""",
)

_RESEARCH: Final = (
    # Written by `trading.research.candidates` alone: strategies that a search has found, and what validation
    # said of each. Documents are JSON.
    """
    CREATE TABLE candidates (
        candidate_id TEXT PRIMARY KEY,
        family TEXT NOT NULL,
        parameters TEXT NOT NULL,
        symbols TEXT NOT NULL,
        settings TEXT NOT NULL,
        data_fingerprint TEXT NOT NULL,
        data_from TEXT NOT NULL,
        data_to TEXT NOT NULL,
        code_version TEXT NOT NULL,
        code_hash TEXT NOT NULL,
        seed INTEGER NOT NULL,
        study TEXT NOT NULL,
        trials INTEGER NOT NULL CHECK (trials > 0),
        trial_sharpe_variance REAL NOT NULL CHECK (trial_sharpe_variance >= 0),
        objective REAL NOT NULL,
        created_at TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('candidate', 'validated', 'rejected', 'retired'))
    ) STRICT""",
    "CREATE INDEX candidates_by_status ON candidates (status)",
    """
    CREATE TABLE verdicts (
        number INTEGER PRIMARY KEY,
        candidate_id TEXT NOT NULL REFERENCES candidates,
        status TEXT NOT NULL CHECK (status IN ('validated', 'rejected', 'retired')),
        at TEXT NOT NULL,
        document TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX verdicts_by_candidate ON verdicts (candidate_id)",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _PORTFOLIO, _RESEARCH)
"""Number n, from 1, brings a file from version n - 1 to n."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration in the file; 0: none. Raises sqlite3.Error."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file has no tables yet. Raises sqlite3.Error."""
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def is_ledger(connection: sqlite3.Connection) -> bool:
    """Whether a file with tables is a ledger. Raises sqlite3.Error."""
    number: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return number == APPLICATION_ID


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> tuple[int, int]:
    """Apply the migrations that the file lacks, all or none; return its version before and after.

    Two processes may do this at once: the second finds nothing left to do. Raises sqlite3.Error.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        before = version_of(connection)
        for statements in migrations[before:]:
            for statement in statements:
                connection.execute(statement)
        after = max(before, len(migrations))
        connection.execute(f"PRAGMA user_version = {after}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return before, after
