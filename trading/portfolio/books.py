"""The portfolio's tables of ledger.db: marks, the equity's range, limits that were hit, closed books. Light.

The orders' own tables are only read here. Amounts are text of Decimals, instants UTC text, days ISO dates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from trading.execution.ledger.events import FILL_BOOKED
from trading.execution.ledger.file import LedgerFile, damaged
from trading.execution.ledger.rows import fill_of, instant_text
from trading.portfolio.decisions import Decision
from trading.portfolio.limits import Peak
from trading.portfolio.pnl import EquityDay, PositionPnl, SessionPnl, pnl_of, position_pnls
from trading.portfolio.positions import StrategyFill
from trading.portfolio.rows import cell, mark_of, noun_of, position_pnl_of
from trading.portfolio.valuation import ClosedBooks, Holding, Mark, Valuation, value

SETTLED = "capital", "realised", "unrealised", "fees", "profit"


class PortfolioBooks:
    """Reads and writes the portfolio's tables; begins the ledger's file if there is none.

    step: called with "before_commit" and "after_commit" around each commit (tests kill there). Everything may
    raise LedgerError.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, step: Callable[[str], None] = lambda name: None
    ) -> None:
        self._file = LedgerFile(path, read_only=read_only)
        self._step = step

    def __enter__(self) -> PortfolioBooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, for all that is read and written within: all of it or nothing."""
        with self._file.transaction("IMMEDIATE"):
            yield
            self._step("before_commit")
        self._step("after_commit")

    # --- what is held and what it is worth ------------------------------------------------------------------

    def valuation(self, session: date, *, capital: Decimal, at: datetime) -> Valuation:
        """Return what is held at `at` in a session, by the books of the session before it, all fills since
        that are booked, and the newest marks. `at` of a past session: without what came later."""
        books = self.closed(before=session)
        return value(books, self.fills_beyond(books, until=at), self.quotes(session), capital=capital, at=at)

    def closed(self, *, before: date | None = None) -> ClosedBooks | None:
        """Return the newest closed books, of a session before that day (None: of any); None: there are
        none."""
        limit = "9999-12-31" if before is None else before.isoformat()
        rows = self._file.rows(
            "SELECT * FROM pnl_sessions WHERE session < ? ORDER BY session DESC LIMIT 1", limit
        )
        if not rows:
            return None
        with self._sound():
            row = rows[0]
            session = date.fromisoformat(row["session"])
            held = [each for each in self.position_pnl(session) if each.position.quantity]
            return ClosedBooks(
                session=session,
                closed_at=datetime.fromisoformat(row["closed_at"]),
                event_number=row["event_number"],
                profit=Decimal(row["profit"]),
                holdings=tuple(
                    Holding(key=each.key, position=each.position, mark=each.mark) for each in held
                ),
            )

    def fills_beyond(self, books: ClosedBooks | None, *, until: datetime) -> list[StrategyFill]:
        """Return the fills up to `until` that are not in `books`: later ones, and earlier ones that were
        booked after these were closed. books: None: all fills."""
        closed_at = "" if books is None else instant_text(books.closed_at)
        rows = self._file.rows(
            "SELECT f.*, p.strategy_id FROM fills f JOIN children c USING (client_order_id) "
            "JOIN parents p USING (parent_id) WHERE f.at > ? AND f.at <= ? ORDER BY f.at, f.rowid",
            closed_at,
            instant_text(until),
        )
        late = [] if books is None else self._late(books)
        with self._sound():
            return [*late, *(StrategyFill(row["strategy_id"], fill_of(row)) for row in rows)]

    def _late(self, books: ClosedBooks) -> list[StrategyFill]:
        rows = self._file.rows(
            "SELECT e.details, p.strategy_id FROM events e JOIN parents p USING (parent_id) "
            "WHERE e.number > ? AND e.kind = ? ORDER BY e.number",
            books.event_number,
            FILL_BOOKED,
        )
        with self._sound():
            found = (StrategyFill(row["strategy_id"], fill_of(json.loads(row["details"]))) for row in rows)
            return [each for each in found if each.fill.at <= books.closed_at]

    # --- marks ----------------------------------------------------------------------------------------------

    def quotes(self, session: date) -> dict[str, Mark]:
        """Return the newest mark of each symbol that was recorded in this session or before it."""
        rows = self._file.rows(
            "SELECT symbol, price, at, max(session) FROM marks WHERE session <= ? GROUP BY symbol",
            session.isoformat(),
        )
        with self._sound():
            return {row["symbol"]: mark_of(row) for row in rows}

    def put_marks(self, session: date, marks: Mapping[str, Mark]) -> None:
        """Keep the newest mark of each symbol in the session; an older one changes nothing."""
        for symbol, mark in marks.items():
            self._file.rows(
                "INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET price = excluded.price, at = excluded.at WHERE excluded.at >= at",
                symbol,
                session.isoformat(),
                str(mark.price),
                instant_text(mark.at),
            )

    # --- the equity's range ---------------------------------------------------------------------------------

    def peak(self) -> Peak:
        """Return the highest profit that was ever seen, the start's 0 included."""
        rows = self._file.rows("SELECT session, high FROM equity_days ORDER BY session")
        with self._sound():
            found = [Peak(profit=Decimal(row["high"]), session=row["session"]) for row in rows]
        return max([Peak(), *found], key=lambda peak: peak.profit)

    def note_equity(self, session: date, valuation: Valuation) -> None:
        """Widen the session's range by what is now; nothing is written while nothing changes."""
        row = self._file.rows("SELECT * FROM equity_days WHERE session = ?", session.isoformat())
        profit = valuation.profit
        with self._sound():
            old = [noun_of(EquityDay, each) for each in row]
        if any((day.last, day.capital) == (profit, valuation.capital) for day in old):
            return
        self._file.rows(
            "INSERT OR REPLACE INTO equity_days VALUES (?, ?, ?, ?, ?, ?)",
            session.isoformat(),
            str(valuation.capital),
            str(min([profit, *(day.low for day in old)])),
            str(max([profit, *(day.high for day in old)])),
            str(profit),
            instant_text(valuation.at),
        )

    def opening_profit(self, session: date) -> Decimal:
        """Return the profit with which a session began: that of the newest books closed before it, or, if
        those of the sessions since are not closed, as the limits saw it last. Where neither is known: what
        fills of earlier days add up to, at their own last prices."""
        closed = self.closed(before=session)
        rows = self._file.rows(
            "SELECT * FROM equity_days WHERE session < ? ORDER BY session DESC LIMIT 1", session.isoformat()
        )
        with self._sound():
            seen = [noun_of(EquityDay, row) for row in rows]
        later = [day.last for day in seen if closed is None or day.session > closed.session]
        if later:
            return later[0]
        return self._earlier_profit(session) if closed is None else closed.profit

    def _earlier_profit(self, session: date) -> Decimal:
        midnight = datetime.combine(session, time(), UTC)
        fills = self.fills_beyond(None, until=midnight)
        return value(None, fills, {}, capital=Decimal(0), at=midnight).profit

    def equity_days(self) -> list[EquityDay]:
        """Return the range of every session, the oldest first."""
        rows = self._file.rows("SELECT * FROM equity_days ORDER BY session")
        with self._sound():
            return [noun_of(EquityDay, row) for row in rows]

    # --- limits that were hit -------------------------------------------------------------------------------

    def decisions(self, *, since: date | None = None, episodes: Iterable[str] = ()) -> list[Decision]:
        """Return the decisions of sessions from `since` on (None: ever), or of these episodes, in order."""
        names = list(episodes)
        condition = f"episode IN ({', '.join('?' * len(names))})" if names else "session >= ?"
        values = names or ["" if since is None else since.isoformat()]
        rows = self._file.rows(f"SELECT * FROM risk_limits_hit WHERE {condition} ORDER BY number", *values)
        with self._sound():
            return [noun_of(Decision, row) for row in rows]

    def undone(self) -> list[Decision]:
        """Return the decisions that were not carried out yet, in order."""
        rows = self._file.rows("SELECT * FROM risk_limits_hit WHERE done_at IS NULL ORDER BY number")
        with self._sound():
            return [noun_of(Decision, row) for row in rows]

    def add_decision(self, decision: Decision) -> None:
        """Record a decision; its number is given here."""
        names = [each.name for each in fields(decision) if each.name != "number"]
        self._file.rows(
            f"INSERT INTO risk_limits_hit ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            *(cell(getattr(decision, name)) for name in names),
        )

    def mark_done(self, number: int, at: datetime) -> None:
        """Note that a decision was carried out."""
        self._file.rows("UPDATE risk_limits_hit SET done_at = ? WHERE number = ?", instant_text(at), number)

    # --- closed books ---------------------------------------------------------------------------------------

    def last_event(self) -> int:
        """Return the number of the ledger's newest event; 0: none."""
        return int(self._file.value("SELECT coalesce(max(number), 0) FROM events"))

    def close(self, session: date, valuation: Valuation, at: datetime) -> SessionPnl:
        """Store a session's profit and loss, valued at its close; within `writing`, with the valuation.

        Closed books do not change: closing them again returns what is stored. Raises ValueError if those of a
        later session are closed.
        """
        stored = self.session_pnl(session)
        if stored is not None:
            return stored
        newest = self.closed()
        if newest is not None and newest.session > session:
            raise ValueError(
                f"session is {session}: expected one after {newest.session}, whose books are closed and "
                "hold what came before"
            )
        found = pnl_of(session, valuation)
        self._file.rows(
            "INSERT INTO pnl_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            session.isoformat(),
            instant_text(found.closed_at),
            instant_text(at),
            self.last_event(),
            *(str(getattr(found, name)) for name in SETTLED),
        )
        for row in position_pnls(session, valuation):
            self._file.rows(
                "INSERT INTO pnl_daily VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(cell(given) for given in (session, *row.key, row.position.quantity, row.position.cost)),
                *(cell(given) for given in (row.mark.price, row.mark.at)),
                *(cell(given) for given in (row.realised, row.unrealised, row.fees)),
            )
        return found

    def session_pnl(self, session: date) -> SessionPnl | None:
        """Return a session's profit and loss; None: its books are not closed."""
        found = self._session_pnls("WHERE session = ?", session.isoformat())
        return found[0] if found else None

    def session_pnls(self, last: int) -> list[SessionPnl]:
        """Return the last so many closed sessions, the oldest first."""
        return self._session_pnls("ORDER BY session DESC LIMIT ?", last)[::-1]

    def position_pnl(self, session: date, until: date | None = None) -> list[PositionPnl]:
        """Return what each position earned in a session (until: and in those up to this one)."""
        rows = self._file.rows(
            "SELECT * FROM pnl_daily WHERE session BETWEEN ? AND ? ORDER BY session, strategy_id, symbol",
            session.isoformat(),
            (until or session).isoformat(),
        )
        with self._sound():
            return [position_pnl_of(row) for row in rows]

    def _session_pnls(self, rest: str, *values: object) -> list[SessionPnl]:
        rows = self._file.rows(f"SELECT * FROM pnl_sessions {rest}", *values)
        with self._sound():
            return [noun_of(SessionPnl, row) for row in rows]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """What is stored can be read: if not, the file is damaged, not the argument wrong."""
        try:
            yield
        except (ValueError, ArithmeticError, LookupError) as error:
            raise damaged(self._file.path, error) from error
