"""alerts.db: what each address knows, what it is owed, and every message, written down before it is sent.

Standard library only. One job at a time has it open (`hold`). A message that was written and never marked as
sent is of a job that was killed on the way: what it told is still owed and is told again.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from observability.alert_delivery import Message, Notice, Owed, RaisedAlert

NAME: Final = "alerts.db"
KEPT: Final = timedelta(days=30)
"""How long messages that were sent stay on record."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS addresses (
    address TEXT PRIMARY KEY, tag TEXT NOT NULL, fingerprint TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0, failing_since TEXT, tried_at TEXT, problem TEXT, digest_until TEXT);
CREATE TABLE IF NOT EXISTS notices (
    address TEXT NOT NULL, alert TEXT NOT NULL, key TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL,
    task TEXT, raised_at TEXT NOT NULL, cleared_at TEXT, acknowledged_at TEXT, told TEXT, told_at TEXT,
    escalated INTEGER NOT NULL, owed TEXT, turn INTEGER NOT NULL, PRIMARY KEY (address, alert));
CREATE TABLE IF NOT EXISTS digests (
    address TEXT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, until TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    severity TEXT NOT NULL, alerts TEXT NOT NULL, written_at TEXT NOT NULL, sent_at TEXT);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
INSTANTS: Final = (
    *(("addresses", column) for column in ("failing_since", "tried_at", "digest_until")),
    *(("notices", "told_at"), ("digests", "until"), ("messages", "written_at"), ("messages", "sent_at")),
)
"""What this database has by the box's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What is known of an address beside its alerts. It is never stored itself.

    name: its tag, numbered where several have it. fingerprint: tells whether the address behind the name has
    changed. failures: how often in a row it took nothing, since when, tried when at last and what came of it.
    digest_until: up to when the last digest it took reached; None: none was.
    """

    name: str
    tag: str
    fingerprint: str
    failures: int = 0
    failing_since: datetime | None = None
    tried_at: datetime | None = None
    problem: str | None = None
    digest_until: datetime | None = None


@contextmanager
def hold(state_dir: Path) -> Iterator[bool]:
    """Keep other jobs from the outbox for as long as the block lasts; False: another one has it.

    The lock goes with the process, however that ends. Raises OSError.
    """
    descriptor = os.open(state_dir / "alerts.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


class Outbox:
    """The outbox, opened. Every change is one transaction that survives a power cut; where nothing changes
    nothing is written. Raises sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # the owner's alone
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
            with self._written():
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def damage(self) -> str | None:
        """Return what is wrong with the file; None: nothing."""
        found = str(self._db.execute("PRAGMA quick_check(1)").fetchone()[0])
        return None if found == "ok" else found

    @contextmanager
    def _written(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- beginning ----------------------------------------------------------------------------------------

    def begin(self, addresses: Mapping[str, tuple[str, str]], now: datetime) -> list[str]:
        """Take the addresses that are set up, by name their tag and fingerprint; return which were dropped.

        What a killed job left is forgotten (its alerts are owed still), and instants that the clock has not
        reached are taken back to it, so that after a step back nothing waits for the old time.
        """
        known = {row["address"]: row for row in self._db.execute("SELECT * FROM addresses")}
        gone = sorted(known.keys() - addresses.keys())
        changed = {
            name: of
            for name, of in addresses.items()
            if name not in known or known[name]["fingerprint"] != of[1]
        }
        ahead = [at for at in INSTANTS if self._db.execute(_any_after(*at), (_text(now),)).fetchone()]
        lost = self._db.execute("SELECT 1 FROM messages WHERE sent_at IS NULL LIMIT 1").fetchone()
        if not (gone or changed or ahead or lost):
            return []
        with self._written():
            for table, column in ahead:
                query = f"UPDATE {table} SET {column} = ? WHERE {column} > ?"  # names of ours
                self._db.execute(query, (_text(now), _text(now)))
            self._db.execute("DELETE FROM messages WHERE sent_at IS NULL")
            for name in gone:
                for table in ("addresses", "notices", "digests"):
                    self._db.execute(f"DELETE FROM {table} WHERE address = ?", (name,))
            for name, (tag, fingerprint) in changed.items():
                self._db.execute(
                    "INSERT INTO addresses (address, tag, fingerprint) VALUES (?, ?, ?) "
                    "ON CONFLICT (address) DO UPDATE SET tag = excluded.tag, "
                    "fingerprint = excluded.fingerprint, failures = 0, "
                    "failing_since = NULL, tried_at = NULL, problem = NULL",
                    (name, tag, fingerprint),
                )
        return gone

    # --- reading ------------------------------------------------------------------------------------------

    def addresses(self) -> list[Address]:
        """Return the addresses, by name."""
        rows = self._db.execute("SELECT * FROM addresses ORDER BY address")
        return [
            Address(
                name=row["address"],
                tag=row["tag"],
                fingerprint=row["fingerprint"],
                failures=row["failures"],
                failing_since=_instant(row["failing_since"]),
                tried_at=_instant(row["tried_at"]),
                problem=row["problem"],
                digest_until=_instant(row["digest_until"]),
            )
            for row in rows
        ]

    def notices(self, address: str) -> dict[str, Notice]:
        """Return what an address knows and is owed, by the alert's identity, in order."""
        rows = self._db.execute("SELECT * FROM notices WHERE address = ? ORDER BY turn", (address,))
        return {row["alert"]: _notice(row) for row in rows}

    def digest(self, address: str) -> tuple[Message, datetime] | None:
        """Return the digest an address is owed, and up to when it reaches."""
        row = self._db.execute("SELECT * FROM digests WHERE address = ?", (address,)).fetchone()
        if row is None:
            return None
        return Message(title=row["title"], text=row["text"]), datetime.fromisoformat(row["until"])

    def sent_since(self, address: str, since: datetime) -> list[datetime]:
        """Return when an address took messages after an instant."""
        query = "SELECT sent_at FROM messages WHERE address = ? AND sent_at > ?"
        return [datetime.fromisoformat(at) for (at,) in self._db.execute(query, (address, _text(since)))]

    def fact(self, name: str) -> str | None:
        """Return what was kept under a name."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def next_turn(self) -> int:
        """Return the place behind all that is owed."""
        return int(self._db.execute("SELECT coalesce(max(turn), 0) + 1 FROM notices").fetchone()[0])

    # --- writing ------------------------------------------------------------------------------------------

    def keep(
        self,
        notices: Iterable[tuple[str, str, Notice | None]],
        facts: Mapping[str, str],
        digests: Iterable[tuple[str, Message, datetime]] = (),
    ) -> None:
        """Keep what addresses are owed now: (address, the alert's identity, notice; None: nothing more).

        A digest takes the place of one that still waits.
        """
        with self._written():
            for address, alert, notice in notices:
                self._put(address, alert, notice)
            for name, value in facts.items():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
            for address, message, until in digests:
                row = (address, message.title, message.text, _text(until))
                self._db.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", row)

    def write(self, address: str, message: Message, now: datetime) -> int:
        """Write down a message that is about to be sent; return its number."""
        alerts = json.dumps([notice.alert.identity for notice in message.notices])
        row = (address, message.title, message.text, message.severity, alerts, _text(now))
        with self._written():
            cursor = self._db.execute(
                "INSERT INTO messages (address, title, text, severity, alerts, written_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return int(cursor.lastrowid or 0)

    def sent(
        self,
        number: int,
        address: str,
        known: Mapping[str, Notice | None],
        until: datetime | None,
        now: datetime,
    ) -> None:
        """Mark a message as sent. known: what the address knows now. until: of a digest; None: it is none."""
        with self._written():
            self._db.execute("UPDATE messages SET sent_at = ? WHERE id = ?", (_text(now), number))
            for alert, notice in known.items():
                self._put(address, alert, notice)
            if until is not None:
                self._db.execute("DELETE FROM digests WHERE address = ?", (address,))
                self._db.execute(
                    "UPDATE addresses SET digest_until = ? WHERE address = ?", (_text(until), address)
                )
            self._db.execute(
                "UPDATE addresses SET failures = 0, failing_since = NULL, tried_at = ?, problem = NULL "
                "WHERE address = ?",
                (_text(now), address),
            )

    def failed(self, number: int | None, address: str, problem: str, now: datetime) -> None:
        """Note that an address took nothing (number: of the message; None: none was made).

        The message is made anew when it is tried again.
        """
        with self._written():
            self._db.execute("DELETE FROM messages WHERE id = ?", (number,))
            self._db.execute(
                "UPDATE addresses SET failures = failures + 1, tried_at = ?, problem = ?, "
                "failing_since = coalesce(failing_since, ?) WHERE address = ?",
                (_text(now), problem, _text(now), address),
            )

    def prune(self, now: datetime) -> None:
        """Forget messages that were sent long ago; at most once a day's worth is written."""
        limit = _text(now - KEPT)
        if self._db.execute("SELECT 1 FROM messages WHERE sent_at < ? LIMIT 1", (limit,)).fetchone():
            with self._written():
                self._db.execute("DELETE FROM messages WHERE sent_at < ?", (limit,))

    def _put(self, address: str, alert: str, notice: Notice | None) -> None:
        if notice is None:
            self._db.execute("DELETE FROM notices WHERE address = ? AND alert = ?", (address, alert))
            return
        of = notice.alert
        values = (
            *(address, alert, of.key, of.severity, of.text, of.task, _text(of.raised_at)),
            *(
                _optional(of.cleared_at),
                _optional(of.acknowledged_at),
                notice.told,
                _optional(notice.told_at),
            ),
            *(int(notice.escalated), notice.owed, notice.turn),
        )
        places = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR REPLACE INTO notices VALUES ({places})", values)


def _notice(row: sqlite3.Row) -> Notice:
    return Notice(
        alert=RaisedAlert(
            key=row["key"],
            severity=row["severity"],
            text=row["text"],
            task=row["task"],
            raised_at=datetime.fromisoformat(row["raised_at"]),
            cleared_at=_instant(row["cleared_at"]),
            acknowledged_at=_instant(row["acknowledged_at"]),
        ),
        told=row["told"],
        told_at=_instant(row["told_at"]),
        escalated=bool(row["escalated"]),
        owed=None if row["owed"] is None else Owed(row["owed"]),
        turn=row["turn"],
    )


def _any_after(table: str, column: str) -> str:
    return f"SELECT 1 FROM {table} WHERE {column} > ? LIMIT 1"  # names of ours


def _text(instant: datetime) -> str:
    """Return an aware instant so that texts compare as instants do."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _optional(instant: datetime | None) -> str | None:
    return None if instant is None else _text(instant)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def open_outbox(path: Path) -> tuple[Outbox, str | None]:
    """Open the outbox; one that is damaged is put aside, and a new one begun in which every alert that stands
    is owed again. Return it, and what was wrong with the old one (None: nothing). Raises sqlite3.Error."""
    try:
        outbox = Outbox(path)
        found = outbox.damage()
        if found is None:
            return outbox, None
        outbox.close()
    except sqlite3.OperationalError:  # it is locked, or the disk is full: nothing that a new file would mend
        raise
    except sqlite3.DatabaseError as error:
        found = str(error)
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{end}", f"{path}.damaged{end}")
    return Outbox(path), found
