"""The ledger's event log: what was done, in order, and the state that follows from it alone. Pure, light."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trading.execution.ledger.rows import child_of, fill_of, parent_of
from trading.execution.orders import ChildOrder, Fill, ParentOrder

PARENT_ADDED: Final = "parent.added"
PARENT_CHANGED: Final = "parent.changed"
CHILD_ADDED: Final = "child.added"
CHILD_CHANGED: Final = "child.changed"
FILL_BOOKED: Final = "fill.booked"
FILL_DIFFERS: Final = "fill.differs"
PLAN_MADE: Final = "plan.made"
FACTS_STORED: Final = "facts.stored"
META_STORED: Final = "meta.stored"

OWN_KINDS: Final = frozenset(
    {
        PARENT_ADDED,
        PARENT_CHANGED,
        CHILD_ADDED,
        CHILD_CHANGED,
        FILL_BOOKED,
        FILL_DIFFERS,
        PLAN_MADE,
        FACTS_STORED,
        META_STORED,
    }
)
"""Written by the book itself, one for each change. *.added and fill.booked hold the whole row, *.changed the
columns that are new; fill.differs: a known execution id came again with other contents, which were not
booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the log. number: from 1, rising; kind: noun.verb; parent_id, client_order_id: "" if it is
    of none; details: JSON values by name, Decimals and instants as text."""

    number: int
    at: datetime
    kind: str
    parent_id: str = ""
    client_order_id: str = ""
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """All orders and fills, by parent_id, by client_order_id, and by (broker, execution_id)."""

    parents: Mapping[str, ParentOrder]
    children: Mapping[str, ChildOrder]
    fills: Mapping[tuple[str, str], Fill]


def event_of(row: Mapping[str, Any]) -> Event:
    """Return the event of a row of the table. Raises ValueError if none fits."""
    return Event(
        number=row["number"],
        at=datetime.fromisoformat(row["at"]),
        kind=row["kind"],
        parent_id=row["parent_id"],
        client_order_id=row["client_order_id"],
        details=json.loads(row["details"]),
    )


def replay(events: Iterable[Event]) -> Replayed:
    """Return what the tables hold after all of these events, from the log alone.

    events: from number 1 on, of all orders or of one parent. Raises ValueError if they do not begin there.
    """
    parents: dict[str, dict[str, Any]] = {}
    children: dict[str, dict[str, Any]] = {}
    fills: list[Fill] = []
    for event in events:
        try:
            if event.kind == PARENT_ADDED:
                parents[event.parent_id] = dict(event.details)
            elif event.kind == PARENT_CHANGED:
                parents[event.parent_id].update(event.details)
            elif event.kind == CHILD_ADDED:
                children[event.client_order_id] = dict(event.details)
            elif event.kind == CHILD_CHANGED:
                children[event.client_order_id].update(event.details)
            elif event.kind == FILL_BOOKED:
                fills.append(fill_of(event.details))
        except KeyError as missing:
            raise ValueError(
                f"event {event.number} changes {missing}, which no event before it added"
            ) from None
    return Replayed(
        parents={name: parent_of(row) for name, row in parents.items()},
        children={name: child_of(row) for name, row in children.items()},
        fills={(fill.broker, fill.execution_id): fill for fill in fills},
    )
