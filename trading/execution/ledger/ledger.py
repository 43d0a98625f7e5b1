"""`Ledger`: what is known of all orders, and the one way to write it. Light: standard library only.

Any number of processes may read while one writes; `turn_lock` sees to it that one works the orders. A commit
is on the disk when `writing` ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from types import TracebackType

from trading.execution.errors import LedgerError, UnknownOrder
from trading.execution.facts import MarketFacts
from trading.execution.ledger.audit import findings
from trading.execution.ledger.book import Book
from trading.execution.ledger.codec import facts_of, plan_of
from trading.execution.ledger.events import Event, event_of
from trading.execution.ledger.file import LedgerFile, damaged
from trading.execution.ledger.rows import child_of, fill_of, instant_text, parent_of
from trading.execution.ledger.schema import OPEN_CHILD
from trading.execution.orders import ChildOrder, Fill, ParentOrder, ParentState, check_instant
from trading.execution.smart.plan import ExecutionPlan


def _nothing(step: str) -> None:
    """Nobody wants to know."""


class Ledger:
    """ledger.db: parent and child orders, fills, plans, facts, and the log of every change.

    path: created if need be, and brought to this program's version; read_only: neither, and `writing` is
    refused. step: called with "before_commit" and "after_commit" around each commit (tests kill there).

    Everything may raise LedgerError, which names the file and the remedy: full disk, damage, another
    process's lock, a file from a newer program. Within `writing` reads see what has been written.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, step: Callable[[str], None] | None = None
    ) -> None:
        self._file = LedgerFile(path, read_only=read_only)
        self._step = step or _nothing

    @property
    def path(self) -> Path:
        return self._file.path

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def writing(self, at: datetime) -> Iterator[Book]:
        """One transaction: all that is written to the book, or, if anything is raised within, none of it.

        at: stamped on its events. Short, and without an `await` within: others wait for it, and another
        coroutine's writing would fall into it.

        Raises:
            RuntimeError: if it is begun within another one.
            ValueError: from the book, for what must not be written.
        """
        if self._file.is_read_only:
            raise LedgerError(f"{self.path} was opened to be read only")
        if self._file.in_transaction:
            raise RuntimeError("writing is begun within writing: one transaction at a time")
        book = Book(self._file, at)
        try:
            with self._file.transaction("IMMEDIATE"):
                yield book
                book.check()
                self._step("before_commit")
        finally:
            book.close()
        self._step("after_commit")

    def parent(self, parent_id: str) -> ParentOrder:
        """Return a parent. Raises UnknownOrder (a KeyError) if there is none of this id."""
        found = self._parents("WHERE parent_id = ?", parent_id)
        if not found:
            raise UnknownOrder(f"{self.path} has no parent {parent_id!r}")
        return found[0]

    def parents(
        self, *, session: date | None = None, states: Collection[ParentState] | None = None
    ) -> list[ParentOrder]:
        """Return the parents of a session (None: all) in any of the states (None: all), as entered."""
        conditions, values = ["true"], []
        if session is not None:
            conditions.append("session = ?")
            values.append(session.isoformat())
        if states is not None:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values.extend(map(str, states))
        return self._parents(f"WHERE {' AND '.join(conditions)} ORDER BY rowid", *values)

    def by_reference(self, reference: str) -> ParentOrder | None:
        """Return the parent that its giver calls so; None if there is none."""
        found = self._parents("WHERE reference = ?", reference)
        return found[0] if found else None

    def children(self, parent_id: str) -> list[ChildOrder]:
        """Return a parent's children by sequence; none for an unknown parent."""
        return self._children("WHERE parent_id = ? ORDER BY sequence", parent_id)

    def child(self, client_order_id: str) -> ChildOrder | None:
        """Return a child; None if it is unknown."""
        found = self._children("WHERE client_order_id = ?", client_order_id)
        return found[0] if found else None

    def open_children(self) -> list[ChildOrder]:
        """Return the children that may still get fills: not final, or final with fills on their way."""
        return self._children(f"WHERE {OPEN_CHILD} ORDER BY parent_id, sequence")

    def fills(self, parent_id: str | None = None, *, since: datetime | None = None) -> list[Fill]:
        """Return the fills of a parent (None: of all) from the instant `since` on (None: ever), by time."""
        conditions, values = ["true"], []
        if parent_id is not None:
            conditions.append("client_order_id IN (SELECT client_order_id FROM children WHERE parent_id = ?)")
            values.append(parent_id)
        if since is not None:
            check_instant("since", since)
            conditions.append("at >= ?")
            values.append(instant_text(since))
        with self._sound():
            rows = self._file.rows(
                f"SELECT * FROM fills WHERE {' AND '.join(conditions)} ORDER BY at, rowid", *values
            )
            return [fill_of(row) for row in rows]

    def filled(self, parent_id: str) -> int:
        """Return the shares that a parent's fills add up to; 0 for an unknown one."""
        shares: int = self._file.value(
            "SELECT coalesce(sum(filled), 0) FROM children WHERE parent_id = ?", parent_id
        )
        return shares

    def plans(self, parent_id: str) -> list[ExecutionPlan]:
        """Return a parent's plans, the first one first."""
        return self._plans("ORDER BY number", parent_id)

    def plan(self, parent_id: str) -> ExecutionPlan | None:
        """Return a parent's newest plan; None if it has none."""
        found = self._plans("ORDER BY number DESC LIMIT 1", parent_id)
        return found[0] if found else None

    def events(self, *, after: int = 0, parent_id: str | None = None) -> list[Event]:
        """Return the events with a number above `after`, of one parent or (None) all, in order."""
        condition, values = ("", ()) if parent_id is None else (" AND parent_id = ?", (parent_id,))
        with self._sound():
            rows = self._file.rows(
                f"SELECT * FROM events WHERE number > ?{condition} ORDER BY number", after, *values
            )
            return [event_of(row) for row in rows]

    def facts(self, symbol: str) -> MarketFacts | None:
        """Return what is known of a symbol; None if nothing is."""
        text = self._file.value("SELECT facts FROM facts WHERE symbol = ?", symbol)
        with self._sound():
            return None if text is None else facts_of(text)

    def meta(self, key: str) -> str | None:
        """Return what the worker has stored under `key`; None if nothing."""
        text: str | None = self._file.value("SELECT value FROM meta WHERE key = ?", key)
        return text

    def positions(self) -> dict[str, int]:
        """Return the shares of each symbol that all fills add up to, short ones negative; no zeros."""
        rows = self._file.rows(
            "SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held FROM fills "
            "GROUP BY symbol HAVING held <> 0 ORDER BY symbol"
        )
        return {row["symbol"]: row["held"] for row in rows}

    def symbols_sent(self) -> set[str]:
        """Return every symbol that a child has ever been in, sent or about to be."""
        return {row["symbol"] for row in self._file.rows("SELECT DISTINCT symbol FROM children")}

    def symbols_filled(self) -> set[str]:
        """Return every symbol that has ever had a fill, those of which no share is left too."""
        return {row["symbol"] for row in self._file.rows("SELECT DISTINCT symbol FROM fills")}

    def change_mark(self) -> int:
        """Return a number that changes when another connection has written. Cheap; reads no table."""
        mark: int = self._file.value("PRAGMA data_version")
        return mark

    def verify(self) -> list[str]:
        """Return what is wrong with the ledger, a sentence each; empty: every table agrees with the others
        and with the event log. Reads everything once, as of one instant."""
        if self._file.in_transaction:
            return findings(self._file)
        with self._file.transaction("DEFERRED"):
            return findings(self._file)

    def _parents(self, where: str, *values: object) -> list[ParentOrder]:
        with self._sound():
            return [parent_of(row) for row in self._file.rows(f"SELECT * FROM parents {where}", *values)]

    def _children(self, where: str, *values: object) -> list[ChildOrder]:
        with self._sound():
            return [child_of(row) for row in self._file.rows(f"SELECT * FROM children {where}", *values)]

    def _plans(self, order: str, parent_id: str) -> list[ExecutionPlan]:
        with self._sound():
            rows = self._file.rows(f"SELECT plan FROM plans WHERE parent_id = ? {order}", parent_id)
            return [plan_of(row["plan"]) for row in rows]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """What is stored can be read: if not, the file is damaged, not the argument wrong."""
        try:
            yield
        except ValueError as error:
            raise damaged(self.path, error) from error
