"""After the close: work out the session's profit and loss, in total, by strategy and by symbol, and keep it.

Sessions that were missed since the last one kept are worked out first, in order. What is kept does not
change: a second run says the same, and a fill that is booked later belongs to the next session. Exit codes: 0
kept; 1 the ledger cannot be used, or capital or calendar are not known; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from orchestration.clock import SystemClock
from scripts._execution import CANNOT, NO_DAY, cannot, ledger_of
from scripts._job import finish, parse, parser, settings
from scripts._portfolio import (
    CLOSING,
    NO_STRATEGY,
    NOTHING_TRADED,
    OLD,
    aged,
    capital_of,
    few,
    has_ledger,
    portfolio_of,
)
from scripts._session_hours import SessionBook
from trading.execution.smart.plan import SessionHours
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.pnl import PositionPnl, SessionPnl, total_by_strategy
from trading.portfolio.positions import StrategyFill

MOST_MISSED = 60
"""Days that are gone back for missed sessions; what was earned before falls to the first of them."""

EVER = datetime.max.replace(tzinfo=UTC)


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, now = settings(made), SystemClock().now()
    if not has_ledger(arguments.state_dir):
        return finish(0, {}, NOTHING_TRADED)
    try:
        book = SessionBook(configured, now.date())
        last = book.last_session(now)
        if last is None:
            return finish(1, {"error": NO_DAY}, f"calculate_pnl: {NO_DAY}")
        capital = capital_of(configured)
        with portfolio_of(arguments.state_dir) as books:
            for session in to_close(books, book, last):
                with books.writing():
                    at = session.close + CLOSING
                    worth = books.valuation(session.day, capital=capital, at=at)
                    found = books.close(session.day, worth, now)
            with books.writing(), ledger_of(arguments.state_dir, read_only=True) as ledger:
                # Nobody books a fill meanwhile.
                rows, held = books.position_pnl(last.day), ledger.positions()
                later = books.fills_beyond(books.closed(before=last.day + timedelta(days=1)), until=EVER)
        return conclude(found, rows, few(missing_shares(held, rows, later, last.day), "more shares"))
    except CANNOT as error:
        return cannot("calculate_pnl", error)


def to_close(books: PortfolioBooks, book: SessionBook, last: SessionHours) -> list[SessionHours]:
    """Return the sessions whose books are to be closed, the oldest first; always the last one, too."""
    newest = books.closed()
    if newest is None or newest.session >= last.day:
        return [last]
    first = max(newest.session, last.day - timedelta(days=MOST_MISSED))
    days = (first + timedelta(days=n) for n in range(1, (last.day - first).days))
    return [*(hours for day in days if (hours := book(day)) is not None), last]


def missing_shares(
    held: Mapping[str, int], rows: Iterable[PositionPnl], later: Iterable[StrategyFill], day: date
) -> dict[str, str]:
    """Return an alert for each symbol of which books and later fills together do not hold what all fills add
    up to. held: that. later: fills that are not in the books, for being later or booked too late."""
    booked: Counter[str] = Counter()
    for row in rows:
        booked[row.key.symbol] += row.position.quantity
    after = Counter(booked)
    for each in later:
        after[each.fill.symbol] += each.fill.side.sign * each.fill.quantity
    return {
        f"shares {s}": f"{s}: the books of {day} hold {booked[s]} shares and later fills "
        f"{after[s] - booked[s]}, but all fills add up to {held.get(s, 0)}"
        for s in sorted(held.keys() | after.keys())
        if held.get(s, 0) != after[s]
    }


def conclude(found: SessionPnl, rows: list[PositionPnl], alerts: dict[str, str]) -> int:
    """Say what was earned; return the exit code."""
    old = [
        (row.key.symbol, row.mark)
        for row in rows
        if row.position.quantity and row.mark.at < found.closed_at - CLOSING - OLD
    ]
    if old:
        alerts = {**alerts, "old prices": f"{found.session} is valued at old prices: {aged(old)}"}
    by_strategy = {name or NO_STRATEGY: total for name, total in total_by_strategy(rows).items()}
    report = {
        "session": found.session,
        "total": found.total,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "fees": found.fees,
        "equity": found.equity,
        "by_strategy": by_strategy,
        "positions": sum(row.position.quantity != 0 for row in rows),
        "alerts": alerts,
    }
    lines = [
        f"{found.session}: {found.total:+,.2f} $ (realised {found.realised:+,.2f}, unrealised "
        f"{found.unrealised:+,.2f}, fees {found.fees:,.2f}), equity {found.equity:,.2f} $",
        *(f"  {name}: {total:+,.2f} $" for name, total in by_strategy.items()),
        *alerts.values(),
    ]
    return finish(0, report, "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
