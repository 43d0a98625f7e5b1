"""What the Trading pages read of ledger.db: positions, limits, orders, fills, profit, candidates. Read only.

Through the jobs' own readers where these have one; amounts stay Decimals. A page reads no more rows than it
shows, however long the ledger has grown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from trading.execution.errors import LedgerError
from trading.execution.ledger.file import LedgerFile, damaged
from trading.execution.ledger.ledger import Ledger
from trading.execution.ledger.rows import fill_of, instant_text, parent_of
from trading.execution.ledger.schema import ENDED_CHILD
from trading.execution.order_records import OrderRecord, read_record
from trading.execution.orders import Fill, ParentOrder, ParentState
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.decisions import Decision
from trading.portfolio.guard import Checked, judge
from trading.portfolio.limits import RiskLimits
from trading.portfolio.pnl import SessionPnl
from trading.research.candidates import Candidate, Candidates, CandidateStatus, Verdict

BUSY_S: Final = 1.0
"""How long a page waits for a lock. Readers of a write-ahead log wait for nobody; without one, briefly."""

_OPEN_STATES: Final = ", ".join(repr(str(state)) for state in ParentState if not state.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """A parent order and how far it is. average_price: of its fills, None: there are none. children,
    open_children: pieces ever sent or about to be, and those that have not ended."""

    order: ParentOrder
    filled: int
    average_price: Decimal | None
    children: int
    open_children: int

    @property
    def filled_pct(self) -> float:
        """0 to 100; above only if the broker overfilled."""
        return 100 * self.filled / self.order.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLine:
    """A fill and whose it is."""

    fill: Fill
    parent_id: str
    strategy_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What was traded since an instant: fills, and shares times price [$], purchases and sales alike."""

    fills: int
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateLine:
    """A strategy that a search has found. said, at: the newest verdict's document and instant; None: none."""

    candidate_id: str
    family: str
    symbols: tuple[str, ...]
    status: CandidateStatus
    trials: int
    objective: float
    created_at: datetime
    said: dict[str, Any] | None
    at: datetime | None


class Books:
    """One look at a ledger; `opened` makes it. Everything may raise LedgerError."""

    def __init__(self, path: Path, file: LedgerFile) -> None:
        self._path, self._file = path, file

    # --- what is held, and the limits -----------------------------------------------------------------------

    def checked(self, limits: RiskLimits, *, session: date, capital: Decimal, now: datetime) -> Checked:
        """Return what is held now, what it is worth and how every limit stands, as check_risk_limits judges.

        Nothing is written: `decided` is what that job will do when it runs next.
        """
        with PortfolioBooks(self._path, read_only=True) as books:
            return judge(books, limits, session=session, capital=capital, now=now)

    def passed(self, since: date) -> list[Decision]:
        """Return the limits that were passed in sessions from `since` on, the newest first."""
        with PortfolioBooks(self._path, read_only=True) as books:
            return books.decisions(since=since)[::-1]

    def sessions(self, last: int) -> list[SessionPnl]:
        """Return the last so many sessions whose books are closed, the oldest first."""
        with PortfolioBooks(self._path, read_only=True) as books:
            return books.session_pnls(last)

    def by_strategy(self, since: date) -> dict[str, Decimal]:
        """Return what each strategy earned [$] in the sessions from `since` on; "": orders without one."""
        rows = self._file.rows(
            "SELECT strategy_id, realised, unrealised, fees FROM pnl_daily WHERE session >= ?",
            since.isoformat(),
        )
        found: dict[str, Decimal] = {}
        with self._sound():
            for row in rows:
                earned = Decimal(row["realised"]) + Decimal(row["unrealised"]) - Decimal(row["fees"])
                found[row["strategy_id"]] = found.get(row["strategy_id"], Decimal(0)) + earned
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    # --- orders and fills -----------------------------------------------------------------------------------

    def orders_of(self, session: date) -> list[OrderLine]:
        """Return the orders of a session, and those of others that have not ended, the newest first."""
        condition = f"WHERE session = ? OR state IN ({_OPEN_STATES}) ORDER BY rowid DESC"
        return self._orders(condition, session.isoformat())

    def orders(self, count: int, offset: int = 0) -> list[OrderLine]:
        """Return `count` orders, the newest first."""
        return self._orders("ORDER BY rowid DESC LIMIT ? OFFSET ?", count, offset)

    def fills(self, count: int, offset: int = 0) -> list[FillLine]:
        """Return `count` fills, the newest first."""
        rows = self._file.rows(
            "SELECT f.*, p.parent_id, p.strategy_id FROM fills f JOIN children c USING (client_order_id) "
            "JOIN parents p USING (parent_id) ORDER BY f.at DESC, f.rowid DESC LIMIT ? OFFSET ?",
            count,
            offset,
        )
        with self._sound():
            return [
                FillLine(fill=fill_of(row), parent_id=row["parent_id"], strategy_id=row["strategy_id"])
                for row in rows
            ]

    def count(self, table: str) -> int:
        """Return how many rows a table has. table: a name of the ledger's, never a reader's word."""
        return int(self._file.value(f"SELECT count(*) FROM {table}"))

    def traded(self, since: datetime) -> Traded:
        """Return what was traded from an instant on."""
        rows = self._file.rows(
            "SELECT price, sum(quantity) AS shares, count(*) AS fills FROM fills WHERE at >= ? "
            "GROUP BY price",
            instant_text(since),
        )
        with self._sound():
            value = sum((row["shares"] * Decimal(row["price"]) for row in rows), Decimal(0))
        return Traded(fills=sum(row["fills"] for row in rows), value=value)

    def record(self, parent_id: str) -> OrderRecord:
        """Return all that is known of an order. Raises UnknownOrder (a KeyError) if there is none."""
        with Ledger(self._path, read_only=True) as ledger:
            return read_record(ledger, ledger.parent(parent_id))

    def _orders(self, condition: str, *values: object) -> list[OrderLine]:
        with self._sound():
            parents = [
                parent_of(row) for row in self._file.rows(f"SELECT * FROM parents {condition}", *values)
            ]
        ids = json.dumps([order.parent_id for order in parents])
        pieces = {row["parent_id"]: row for row in self._file.rows(_PIECES, ids)}
        paid = self._paid(ids)
        return [
            _order_line(order, pieces.get(order.parent_id), paid.get(order.parent_id)) for order in parents
        ]

    def _paid(self, ids: str) -> dict[str, tuple[int, Decimal]]:
        """Return shares and shares times price by parent, exactly: the sum over prices is Decimal's."""
        found: dict[str, tuple[int, Decimal]] = {}
        with self._sound():
            for row in self._file.rows(_PRICES, ids):
                shares, paid = found.get(row["parent_id"], (0, Decimal(0)))
                found[row["parent_id"]] = (
                    shares + row["shares"],
                    paid + row["shares"] * Decimal(row["price"]),
                )
        return found

    # --- candidates -----------------------------------------------------------------------------------------

    def candidates(self, count: int, offset: int = 0) -> list[CandidateLine]:
        """Return `count` candidates, the newest first, each with its newest verdict."""
        rows = self._file.rows(
            "SELECT c.*, v.document, v.at FROM candidates c LEFT JOIN verdicts v ON v.number = "
            "(SELECT max(number) FROM verdicts WHERE candidate_id = c.candidate_id) "
            "ORDER BY c.created_at DESC, c.candidate_id LIMIT ? OFFSET ?",
            count,
            offset,
        )
        with self._sound():
            return [_candidate_line(row) for row in rows]

    def candidate(self, candidate_id: str) -> tuple[Candidate, list[Verdict]]:
        """Return a candidate and its verdicts, the newest first. Raises KeyError if there is none."""
        with Candidates(self._path, read_only=True) as candidates:
            return candidates.get(candidate_id), candidates.verdicts(candidate_id)[::-1]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """What is stored can be read: if not, the file is damaged, not the page wrong."""
        try:
            yield
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            raise damaged(self._path, error) from error


@contextmanager
def opened(path: Path) -> Iterator[Books]:
    """Give one look at the ledger.

    Raises:
        LedgerError: in words for the reader: nothing was ever traded, it is of another version, it is
            damaged, or it cannot be opened.
    """
    if not path.exists():
        raise LedgerError("nothing was ever traded here: there is no ledger yet")
    file = LedgerFile(path, read_only=True, busy_timeout_s=BUSY_S)
    try:
        yield Books(path, file)
    finally:
        file.close()


_PIECES: Final = (
    "SELECT parent_id, count(*) AS children, sum(filled) AS filled, "
    f"sum(NOT {ENDED_CHILD}) AS open_children FROM children "
    "WHERE parent_id IN (SELECT value FROM json_each(?)) GROUP BY parent_id"
)
_PRICES: Final = (
    "SELECT c.parent_id, f.price, sum(f.quantity) AS shares FROM children c JOIN fills f "
    "USING (client_order_id) WHERE c.parent_id IN (SELECT value FROM json_each(?)) "
    "GROUP BY c.parent_id, f.price"
)


def _order_line(
    order: ParentOrder, pieces: dict[str, Any] | None, paid: tuple[int, Decimal] | None
) -> OrderLine:
    return OrderLine(
        order=order,
        filled=pieces["filled"] if pieces else 0,
        average_price=paid[1] / paid[0] if paid else None,
        children=pieces["children"] if pieces else 0,
        open_children=pieces["open_children"] if pieces else 0,
    )


def _candidate_line(row: dict[str, Any]) -> CandidateLine:
    return CandidateLine(
        candidate_id=row["candidate_id"],
        family=row["family"],
        symbols=tuple(json.loads(row["symbols"])),
        status=CandidateStatus(row["status"]),
        trials=row["trials"],
        objective=row["objective"],
        created_at=datetime.fromisoformat(row["created_at"]),
        said=None if row["document"] is None else dict(json.loads(row["document"])),
        at=None if row["at"] is None else datetime.fromisoformat(row["at"]),
    )
