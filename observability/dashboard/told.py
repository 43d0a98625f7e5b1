"""Who was told of an alert, and which address takes nothing: from alerts.db, where the delivery keeps it.

Read defensively: the file is another job's, and a page is shown without it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from orchestration.state.backups import connect_readonly
from orchestration.state.history import AlertRow

NAME: Final = "alerts.db"
"""In the state directory."""
MESSAGES: Final = 500
"""The newest ones, which are looked through for an alert's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address by its name, never the address itself. failures: in a row; problem: the last one's words."""

    name: str
    failures: int
    failing_since: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """addresses: all that are set up. told, owed: by an alert's identity, the names of the addresses that
    took it (and when first), and of those that still wait for it. remark: why nothing is known, or empty."""

    addresses: tuple[Address, ...] = ()
    told: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    owed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remark: str = ""

    def of(self, alert: AlertRow) -> str:
        """Return in words who was told of an alert, without the times."""
        name = identity(alert)
        parts = [", ".join(sorted(self.told[name]))] if name in self.told else []
        if name in self.owed:
            parts.append(f"not yet: {', '.join(self.owed[name])}")
        return "; ".join(parts) or ("unknown" if self.remark else "nobody")


def identity(alert: AlertRow) -> str:
    """Return what tells an alert from every other one, as alerts.db has it."""
    return f"{alert.key}@{alert.raised_at.isoformat()}"


def deliveries(path: Path) -> Deliveries:
    """Return what is on record. Never raises."""
    if not path.exists():
        return Deliveries(
            remark="nothing was delivered yet: send_alerts has not run, or no address is set up"
        )
    try:
        with closing(connect_readonly(path, timeout_s=1.0)) as connection:
            connection.row_factory = sqlite3.Row
            return _read(connection)
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        return Deliveries(remark=f"{path.name} cannot be read: {error}")


def _read(connection: sqlite3.Connection) -> Deliveries:
    addresses = tuple(
        Address(
            name=row["address"],
            failures=row["failures"],
            failing_since=None
            if row["failing_since"] is None
            else datetime.fromisoformat(row["failing_since"]),
            problem=row["problem"],
        )
        for row in connection.execute("SELECT * FROM addresses ORDER BY address")
    )
    told: dict[str, dict[str, datetime]] = defaultdict(dict)
    query = "SELECT address, alerts, sent_at FROM messages WHERE sent_at IS NOT NULL ORDER BY id DESC LIMIT ?"
    for row in connection.execute(query, (MESSAGES,)):
        for name in json.loads(row["alerts"]):
            # From the newest to the oldest: the first time stays.
            told[name][row["address"]] = datetime.fromisoformat(row["sent_at"])
    owed: dict[str, list[str]] = defaultdict(list)
    query = "SELECT address, alert FROM notices WHERE owed IS NOT NULL ORDER BY address"
    for row in connection.execute(query):
        owed[row["alert"]].append(row["address"])
    return Deliveries(
        addresses=addresses,
        told=dict(told),
        owed={name: tuple(names) for name, names in owed.items()},
    )
