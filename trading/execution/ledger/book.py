"""Writing to the ledger: one transaction, in which every change also writes its event. Light.

The book is the last gate before an order exists. It refuses what would lose, double or forget a share, by
whatever mistake or race above it: see `put_child`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from trading.execution.errors import IllegalTransition, UnknownOrder
from trading.execution.facts import MarketFacts
from trading.execution.ledger import events
from trading.execution.ledger.codec import details_text, facts_text, plan_text
from trading.execution.ledger.file import LedgerFile
from trading.execution.ledger.rows import (
    CHILD_COLUMNS,
    FILL_COLUMNS,
    PARENT_COLUMNS,
    Row,
    child_of,
    fill_of,
    instant_text,
    parent_of,
    row_of,
)
from trading.execution.ledger.schema import ENDED_CHILD
from trading.execution.orders import ChildOrder, Fill, ParentOrder, check_instant, child_id
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.transitions import CHILD_MOVES, PARENT_MOVES, reaches

WANTED: Final = (
    "session",
    "symbol",
    "side",
    "quantity",
    "lot_size",
    "algorithm",
    "urgency",
    "risk_aversion",
    "max_participation",
    "min_slice",
    "display_size",
    "limit_price",
    "not_before",
    "not_after",
    "deadline_policy",
    "strategy_id",
)
"""What makes a parent order the one it is; it never changes. Prices and instants at which it was wanted are
news of it: those of its first entry stand."""

_SENT: Final = (
    "client_order_id",
    "parent_id",
    "sequence",
    "symbol",
    "side",
    "quantity",
    "kind",
    "limit_price",
    "slice_index",
    "created_at",
)
"""What never changes of a child."""

_FILL_SUBSTANCE: Final = ("client_order_id", "symbol", "side", "quantity", "price")

_KIND: Final = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")

_EXPOSED: Final = (
    "SELECT coalesce(sum(max(filled, CASE WHEN "
    f"{ENDED_CHILD} THEN reported_filled ELSE quantity END)), 0) FROM children WHERE parent_id = ?"
)
"""Shares of a parent that are filled or may still be: filled + leaves, summed over its children."""


class Book:
    """What may be written, within one `Ledger.writing`; of no use afterwards. at: stamped on its events."""

    def __init__(self, file: LedgerFile, at: datetime) -> None:
        check_instant("at", at)
        self._file = file
        self._at = instant_text(at)
        self._touched: set[str] = set()
        self._is_open = True

    def add_parent(self, order: ParentOrder) -> ParentOrder:
        """Enter an order and return it with its parent_id, "YYYYMMDD-SYMBOL-NNNN"; the one given is ignored.

        The same reference again changes nothing and returns what is stored.

        Raises:
            ValueError: if the reference is empty, or is that of an order that differs (it says in what).
        """
        self._check_open()
        found = self._file.rows("SELECT * FROM parents WHERE reference = ?", order.reference)
        if found:
            stored = parent_of(found[0])
            self._check_same(f"reference {order.reference!r} is {stored.parent_id}'s", stored, order, WANTED)
            return stored
        count = self._file.value(
            "SELECT count(*) FROM parents WHERE session = ? AND symbol = ?",
            order.session.isoformat(),
            order.symbol,
        )
        number = f"{order.session:%Y%m%d}-{order.symbol}-{count + 1:04d}"
        order = replace(order, parent_id=number)
        self._insert("parents", PARENT_COLUMNS, row_of(order))
        self._record(events.PARENT_ADDED, number, "", row_of(order))
        return order

    def put_parent(self, order: ParentOrder) -> None:
        """Store a parent that has changed; the same again writes nothing.

        Raises:
            UnknownOrder: if it was never added.
            IllegalTransition: if its state cannot follow the stored one: this copy is older than that.
            ValueError: if what is wanted has changed (it says in what).
        """
        self._check_open()
        old = self._parent_row(order.parent_id)
        stored = parent_of(old)
        fixed = ("reference", *WANTED, "created_at")
        self._check_same(f"parent {order.parent_id} is stored", stored, order, fixed)
        if not reaches(PARENT_MOVES, stored.state, order.state):
            raise IllegalTransition(
                f"parent {order.parent_id} is {stored.state} in the ledger: it cannot become {order.state}"
            )
        changed = self._update("parents", "parent_id", order.parent_id, old, row_of(order))
        if changed:
            self._record(events.PARENT_CHANGED, order.parent_id, "", changed)

    def next_sequence(self, parent_id: str) -> int:
        """Return the number of the parent's next child, from 1; none is given twice.

        Raises:
            UnknownOrder: if there is no such parent.
        """
        self._check_open()
        number: int | None = self._file.value(
            "UPDATE parents SET last_sequence = last_sequence + 1 WHERE parent_id = ? "
            "RETURNING last_sequence",
            parent_id,
        )
        if number is None:
            raise UnknownOrder(f"the ledger has no parent {parent_id!r}")
        return number

    def put_child(self, child: ChildOrder) -> None:
        """Store a child, new or changed; the same again writes nothing.

        Raises:
            UnknownOrder: if its parent was never added.
            IllegalTransition: if it is new and its parent is final, or its state cannot follow the stored.
            ValueError: if it is new and is not its parent's, has a number that was not given, or more shares
                than are neither filled nor out; or it is known and its order or a count has gone back.
        """
        self._check_open()
        found = self._file.rows("SELECT * FROM children WHERE client_order_id = ?", child.client_order_id)
        self._touched.add(child.client_order_id)
        if not found:
            self._check_new(child)
            self._insert("children", CHILD_COLUMNS, row_of(child))
            self._record(events.CHILD_ADDED, child.parent_id, child.client_order_id, row_of(child))
            return
        self._check_next(child_of(found[0]), child)
        changed = self._update("children", "client_order_id", child.client_order_id, found[0], row_of(child))
        if changed:
            self._record(events.CHILD_CHANGED, child.parent_id, child.client_order_id, changed)

    def add_fill(self, fill: Fill) -> bool:
        """Store a fill; False: its broker's execution id is known. Its child must be put with it.

        A known id with other contents is not booked either, and an event fill.differs says so once.

        Raises:
            UnknownOrder: if the ledger has no such child.
            ValueError: if its symbol or side is another than the child's.
        """
        self._check_open()
        found = self._file.rows("SELECT * FROM children WHERE client_order_id = ?", fill.client_order_id)
        if not found:
            raise UnknownOrder(f"the ledger has no child {fill.client_order_id!r} (fill {fill.execution_id})")
        parent_id = found[0]["parent_id"]
        known = self._file.rows(
            "SELECT * FROM fills WHERE broker = ? AND execution_id = ?", fill.broker, fill.execution_id
        )
        if known:
            self._note_difference(parent_id, fill_of(known[0]), fill)
            return False
        child = child_of(found[0])
        self._check_same(f"child {child.client_order_id} is stored", child, fill, ("symbol", "side"))
        self._insert("fills", FILL_COLUMNS, row_of(fill))
        self._touched.add(fill.client_order_id)
        self._record(events.FILL_BOOKED, parent_id, fill.client_order_id, row_of(fill))
        return True

    def add_plan(self, plan: ExecutionPlan) -> None:
        """Store a plan; the same again writes nothing.

        Raises:
            UnknownOrder: if there is no such parent.
            ValueError: if another plan has its number.
        """
        self._check_open()
        self._parent_row(plan.parent_id)
        text = plan_text(plan)
        stored = self._file.value(
            "SELECT plan FROM plans WHERE parent_id = ? AND number = ?", plan.parent_id, plan.number
        )
        if stored == text:
            return
        if stored is not None:
            raise ValueError(
                f"plan {plan.number} of {plan.parent_id} is stored and differs: expected a new number"
            )
        row: Row = {
            "parent_id": plan.parent_id,
            "number": plan.number,
            "made_at": instant_text(plan.made_at),
            "plan": text,
        }
        self._insert("plans", tuple(row), row)
        told = ("number", "cause", "algorithm", "inner", "quantity", "is_feasible")
        self._record(events.PLAN_MADE, plan.parent_id, "", {name: getattr(plan, name) for name in told})

    def put_facts(self, facts: MarketFacts) -> None:
        """Store what is known of a symbol; the same again writes nothing."""
        self._check_open()
        text = facts_text(facts)
        if self._file.value("SELECT facts FROM facts WHERE symbol = ?", facts.symbol) == text:
            return
        self._file.rows(
            "INSERT OR REPLACE INTO facts (symbol, as_of, facts) VALUES (?, ?, ?)",
            facts.symbol,
            facts.as_of.isoformat(),
            text,
        )
        self._record(events.FACTS_STORED, "", "", {"symbol": facts.symbol, "as_of": facts.as_of})

    def put_meta(self, key: str, value: str) -> None:
        """Store a value of the worker's own under `key`; the same again writes nothing."""
        self._check_open()
        if self._file.value("SELECT value FROM meta WHERE key = ?", key) == value:
            return
        self._file.rows("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value)
        self._record(events.META_STORED, "", "", {"key": key, "value": value})

    def event(self, kind: str, *, parent_id: str = "", client_order_id: str = "", **details: object) -> None:
        """Add an entry that explains; changes write their own. kind: noun.verb.

        Raises:
            ValueError: if the kind is no noun.verb, or one of those that the book writes itself.
            TypeError: for a detail that is neither JSON nor a Decimal, a date or an instant.
        """
        self._check_open()
        if not _KIND.fullmatch(kind) or kind in events.OWN_KINDS:
            raise ValueError(f"kind is {kind!r}: expected noun.verb, and none of the book's own")
        self._record(kind, parent_id, client_order_id, details)

    def check(self) -> None:
        """Check what must hold at the end of the transaction; `Ledger.writing` does so before the commit.

        Raises:
            ValueError: if a child that was written has another count than its fills.
        """
        for name in sorted(self._touched):
            booked = self._file.value("SELECT filled FROM children WHERE client_order_id = ?", name)
            fills = self._file.value(
                "SELECT coalesce(sum(quantity), 0) FROM fills WHERE client_order_id = ?", name
            )
            if booked != fills:
                raise ValueError(
                    f"child {name} has {booked} shares filled and fills of {fills}: expected both in one "
                    "transaction, the fill added and the child put"
                )

    def close(self) -> None:
        """Refuse everything from now on."""
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError(
                "the book is closed: it is written to only inside its `with ledger.writing(...)`"
            )

    def _check_new(self, child: ChildOrder) -> None:
        row = self._parent_row(child.parent_id)
        parent = parent_of(row)
        if parent.state.is_final:
            raise IllegalTransition(
                f"parent {parent.parent_id} is {parent.state}: it gets no new child ({child.client_order_id})"
            )
        self._check_same(f"parent {parent.parent_id} is stored", parent, child, ("symbol", "side"))
        if child.client_order_id != child_id(child.parent_id, child.sequence):
            raise ValueError(
                f"client_order_id is {child.client_order_id!r}: expected "
                f"{child_id(child.parent_id, child.sequence)!r}"
            )
        if child.sequence > row["last_sequence"]:
            raise ValueError(
                f"sequence is {child.sequence}: expected at most {row['last_sequence']}, the last that "
                f"{parent.parent_id} has given"
            )
        unsent = parent.quantity - self._file.value(_EXPOSED, parent.parent_id)
        if child.quantity > unsent:
            raise ValueError(
                f"quantity is {child.quantity}: expected at most {unsent}, the shares of {parent.parent_id} "
                "that are neither filled nor out"
            )

    def _check_next(self, stored: ChildOrder, child: ChildOrder) -> None:
        self._check_same(f"child {child.client_order_id} is stored", stored, child, _SENT)
        if not reaches(CHILD_MOVES, stored.state, child.state):
            raise IllegalTransition(
                f"child {child.client_order_id} is {stored.state} in the ledger: it cannot become "
                f"{child.state}"
            )
        for name in ("filled", "reported_filled"):
            if getattr(child, name) < getattr(stored, name):
                raise ValueError(
                    f"{name} of {child.client_order_id} is {getattr(child, name)}: expected at least "
                    f"{getattr(stored, name)}, which is stored"
                )

    def _check_same(self, what: str, stored: object, given: object, names: tuple[str, ...]) -> None:
        different = [
            f"{name} {getattr(stored, name)} (given: {getattr(given, name)})"
            for name in names
            if getattr(stored, name) != getattr(given, name)
        ]
        if different:
            raise ValueError(f"{what} with {', '.join(different)}")

    def _note_difference(self, parent_id: str, known: Fill, fill: Fill) -> None:
        if all(getattr(known, name) == getattr(fill, name) for name in _FILL_SUBSTANCE):
            return
        text = details_text(row_of(fill))
        if not self._file.value(
            "SELECT 1 FROM events WHERE parent_id = ? AND kind = ? AND details = ?",
            parent_id,
            events.FILL_DIFFERS,
            text,
        ):
            self._record(events.FILL_DIFFERS, parent_id, known.client_order_id, row_of(fill))

    def _parent_row(self, parent_id: str) -> Mapping[str, Any]:
        found = self._file.rows("SELECT * FROM parents WHERE parent_id = ?", parent_id)
        if not found:
            raise UnknownOrder(f"the ledger has no parent {parent_id!r}")
        return found[0]

    def _insert(self, table: str, columns: tuple[str, ...], row: Row) -> None:
        marks = ", ".join("?" * len(columns))
        self._file.rows(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", *row.values())

    def _update(self, table: str, key: str, name: str, old: Mapping[str, object], new: Row) -> Row:
        """Write the columns that are new; return them."""
        changed = {column: value for column, value in new.items() if old[column] != value}
        if changed:
            columns = ", ".join(f"{column} = ?" for column in changed)
            self._file.rows(f"UPDATE {table} SET {columns} WHERE {key} = ?", *changed.values(), name)
        return changed

    def _record(self, kind: str, parent_id: str, client_order_id: str, details: Mapping[str, object]) -> None:
        self._file.rows(
            "INSERT INTO events (at, kind, parent_id, client_order_id, details) VALUES (?, ?, ?, ?, ?)",
            self._at,
            kind,
            parent_id,
            client_order_id,
            details_text(details),
        )
