"""The paper broker's own books: one SQLite file, as a real broker's are somewhere else. Light.

Orders, fills, the news of them in the order in which they happened, and for each symbol how far its bars are
worked and how far own trades have moved its price. Several processes may use one file: each change is
one transaction that first reads what it changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from trading.execution.brokers.broker import BrokerOrder, BrokerOrderState, Report, Ticket
from trading.execution.errors import LedgerError
from trading.execution.orders import Fill, OrderKind, Side

VERSION = 1
BUSY_S = 5.0  # another process's transaction lasts milliseconds
_SCHEMA = """
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE,
    symbol TEXT NOT NULL, side TEXT NOT NULL, quantity INTEGER NOT NULL, kind TEXT NOT NULL,
    limit_price TEXT, display INTEGER,
    arrives_at TEXT NOT NULL, visible_at TEXT NOT NULL, ends_at TEXT NOT NULL, ends_as TEXT NOT NULL,
    state TEXT NOT NULL, filled INTEGER NOT NULL, changed_at TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX orders_open ON orders (number) WHERE state = 'open';
CREATE TABLE fills (
    number INTEGER PRIMARY KEY, execution_id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL, side TEXT NOT NULL, quantity INTEGER NOT NULL, price TEXT NOT NULL,
    at TEXT NOT NULL, fee TEXT NOT NULL);
CREATE INDEX fills_at ON fills (at);
CREATE TABLE news (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, client_order_id TEXT NOT NULL,
    execution_id TEXT, state TEXT, filled INTEGER, reason TEXT);
CREATE INDEX news_at ON news (at);
CREATE TABLE symbols (symbol TEXT PRIMARY KEY, worked_to TEXT NOT NULL, shift TEXT NOT NULL);
"""
_ORDER = (
    "number, client_order_id, symbol, side, quantity, kind, limit_price, display, arrives_at, visible_at, "
    "ends_at, ends_as, state, filled, changed_at, reason"
)
_FILL = "execution_id, client_order_id, symbol, side, quantity, price, at, fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperOrder:
    """An order in the books.

    arrives_at: bars that start earlier do not fill it. visible_at: `find` has it from then on. ends_at,
    ends_as: when and how it ends if it is not filled before (expired at the close, cancelled, rejected);
    bars that end later do not fill it. changed_at: of its state.
    """

    number: int
    ticket: Ticket
    arrives_at: datetime
    visible_at: datetime
    ends_at: datetime
    ends_as: BrokerOrderState
    state: BrokerOrderState
    filled: int
    changed_at: datetime
    reason: str = ""

    @property
    def leaves(self) -> int:
        """Shares still wanted."""
        return self.ticket.quantity - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One report as it will be told. number: its place in the order of events; key: its own for ever."""

    number: int
    key: str
    at: datetime
    report: Report


class PaperStore:
    """The books in a file, or in memory (":memory:") for replays and tests. Close it when done.

    A commit is on the disk before the call returns (WAL, synchronous FULL).

    Raises:
        LedgerError: if the file cannot be opened, or is not such a book.
    """

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.path = str(path)
        try:
            # A caller in a thread of its own (PaperExecutor) uses it while this thread waits.
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be opened as paper broker's books ({error})") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise LedgerError(f"{self.path}: is no file of paper broker's books ({error})") from error
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._db.close()

    def __del__(self) -> None:
        # Books in memory end with the broker that made them for itself; nobody else could close them.
        if hasattr(self, "_db"):
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of what is done within, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return one order; None: never taken."""
        rows = self._db.execute(f"SELECT {_ORDER} FROM orders WHERE client_order_id = ?", (client_order_id,))
        return next((_order(row) for row in rows), None)

    def open_orders(self) -> list[PaperOrder]:
        """Return the open orders in the order in which they were taken."""
        rows = self._db.execute(f"SELECT {_ORDER} FROM orders WHERE state = 'open' ORDER BY number")
        return [_order(row) for row in rows]

    def count(self) -> int:
        """Return how many orders were ever taken."""
        return int(self._db.execute("SELECT count(*) FROM orders").fetchone()[0])

    def add(
        self,
        ticket: Ticket,
        *,
        arrives_at: datetime,
        visible_at: datetime,
        ends_at: datetime,
        ends_as: BrokerOrderState,
        reason: str,
    ) -> PaperOrder:
        """Take an order and report it as open. Raises sqlite3.IntegrityError if its id is known."""
        values: tuple[object, ...] = (
            *(ticket.client_order_id, ticket.symbol, ticket.side, ticket.quantity, ticket.kind),
            None if ticket.limit_price is None else str(ticket.limit_price),
            ticket.display,
            *(_text(arrives_at), _text(visible_at), _text(ends_at), ends_as),
            *(BrokerOrderState.OPEN, 0, _text(arrives_at), reason),
        )
        marks = ",".join("?" * len(values))
        self._db.execute(f"INSERT INTO orders ({_ORDER}) VALUES (NULL,{marks})", values)
        order = self.order(ticket.client_order_id)
        assert order is not None
        self._tell(order, arrives_at, BrokerOrderState.OPEN)
        return order

    def end_by(self, order: PaperOrder, at: datetime, state: BrokerOrderState, reason: str) -> None:
        """Let an order end as `state` at `at` unless it is filled before."""
        self._db.execute(
            "UPDATE orders SET ends_at = ?, ends_as = ?, reason = ? WHERE number = ?",
            (_text(at), state, reason, order.number),
        )

    def book(self, order: PaperOrder, fill: Fill) -> None:
        """Book an execution and report it; a filled order is closed and reported so."""
        self._db.execute(
            f"INSERT INTO fills ({_FILL}) VALUES (?,?,?,?,?,?,?,?)",
            (
                *(fill.execution_id, fill.client_order_id, fill.symbol, fill.side, fill.quantity),
                *(str(fill.price), _text(fill.at), str(fill.fee)),
            ),
        )
        self._db.execute(
            "UPDATE orders SET filled = ?, changed_at = ? WHERE number = ?",
            (order.filled + fill.quantity, _text(fill.at), order.number),
        )
        self._db.execute(
            "INSERT INTO news (at, client_order_id, execution_id) VALUES (?,?,?)",
            (_text(fill.at), fill.client_order_id, fill.execution_id),
        )
        if fill.quantity == order.leaves:
            self.end(order, fill.at, BrokerOrderState.FILLED)

    def end(self, order: PaperOrder, at: datetime, state: BrokerOrderState) -> None:
        """Close an order and report it."""
        reason = order.reason if state is order.ends_as else ""
        self._db.execute(
            "UPDATE orders SET state = ?, changed_at = ?, reason = ? WHERE number = ?",
            (state, _text(at), reason, order.number),
        )
        ended = self.order(order.ticket.client_order_id)
        assert ended is not None
        self._tell(ended, at, state)

    def _tell(self, order: PaperOrder, at: datetime, state: BrokerOrderState) -> None:
        reason = "" if state is BrokerOrderState.OPEN else order.reason
        self._db.execute(
            "INSERT INTO news (at, client_order_id, state, filled, reason) VALUES (?,?,?,?,?)",
            (_text(at), order.ticket.client_order_id, state, order.filled, reason),
        )

    def fills(self, since: datetime | None = None, client_order_id: str | None = None) -> list[Fill]:
        """Return the fills from `since` on (None: all), of one order (None: of all), oldest first."""
        rows = self._db.execute(
            f"SELECT {_FILL} FROM fills WHERE at >= ? AND coalesce(?, client_order_id) = client_order_id "
            f"ORDER BY at, number",
            ("" if since is None else _text(since), client_order_id),
        )
        return [_fill(row) for row in rows]

    def positions(self) -> dict[str, int]:
        """Return the net shares of all fills by symbol, zeros included."""
        rows = self._db.execute(
            "SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) FROM fills "
            "GROUP BY symbol ORDER BY symbol"
        )
        return {symbol: int(shares) for symbol, shares in rows}

    def news_after(self, number: int, since: datetime | None = None) -> Sequence[News]:
        """Return what happened after news `number`, and at `since` or later (None: at any time)."""
        orders = self._db.execute(
            "SELECT number, at, client_order_id, execution_id, state, filled, reason FROM news "
            "WHERE number > ? AND at >= ? ORDER BY number",
            (number, "" if since is None else _text(since)),
        )
        return [self._news(*row) for row in orders.fetchall()]

    def last_news(self) -> int:
        """Return the number of the newest news; 0: there is none."""
        return int(self._db.execute("SELECT coalesce(max(number), 0) FROM news").fetchone()[0])

    def _news(self, number: int, at: str, order_id: str, execution_id: str | None, *state: Any) -> News:
        if execution_id is not None:
            rows = self._db.execute(f"SELECT {_FILL} FROM fills WHERE execution_id = ?", (execution_id,))
            return News(number=number, key=execution_id, at=_instant(at), report=_fill(rows.fetchone()))
        order = self.order(order_id)
        assert order is not None
        told, filled, reason = state
        report = broker_order(order.ticket, BrokerOrderState(told), filled, reason, _instant(at))
        return News(number=number, key=f"{order_id} {told}", at=_instant(at), report=report)

    def symbol(self, symbol: str) -> tuple[datetime | None, Decimal]:
        """Return up to where the symbol's bars are worked (None: none yet) and its permanent shift [$]."""
        rows = self._db.execute("SELECT worked_to, shift FROM symbols WHERE symbol = ?", (symbol,))
        found = rows.fetchone()
        return (None, Decimal(0)) if found is None else (_instant(found[0]), Decimal(found[1]))

    def put_symbol(self, symbol: str, worked_to: datetime, shift: Decimal) -> None:
        """Keep both for a symbol."""
        self._db.execute("REPLACE INTO symbols VALUES (?,?,?)", (symbol, _text(worked_to), str(shift)))

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.writing():
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise LedgerError(
                    f"{self.path}: is version {version} of the paper broker's books, this program writes "
                    f"{VERSION}; move the file away to begin a new account"
                )


def broker_order(
    ticket: Ticket, state: BrokerOrderState, filled: int, reason: str, at: datetime
) -> BrokerOrder:
    """Return an order as the broker tells it."""
    return BrokerOrder(
        client_order_id=ticket.client_order_id,
        broker_order_id=f"paper-{ticket.client_order_id}",
        state=state,
        quantity=ticket.quantity,
        filled=filled,
        reason=reason,
        at=at,
    )


def _text(at: datetime) -> str:
    """Return an instant so that texts sort as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _order(row: tuple[Any, ...]) -> PaperOrder:
    ticket = Ticket(
        client_order_id=row[1],
        symbol=row[2],
        side=Side(row[3]),
        quantity=row[4],
        kind=OrderKind(row[5]),
        limit_price=None if row[6] is None else Decimal(row[6]),
        display=row[7],
    )
    return PaperOrder(
        number=row[0],
        ticket=ticket,
        arrives_at=_instant(row[8]),
        visible_at=_instant(row[9]),
        ends_at=_instant(row[10]),
        ends_as=BrokerOrderState(row[11]),
        state=BrokerOrderState(row[12]),
        filled=row[13],
        changed_at=_instant(row[14]),
        reason=row[15],
    )


def _fill(row: tuple[Any, ...]) -> Fill:
    return Fill(
        execution_id=row[0],
        client_order_id=row[1],
        symbol=row[2],
        side=Side(row[3]),
        quantity=row[4],
        price=Decimal(row[5]),
        at=_instant(row[6]),
        fee=Decimal(row[7]),
    )
