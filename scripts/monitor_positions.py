"""Every minute of the session: value the open positions, and tell of what is out of bounds.

Asks the market for the price of what is held and records it: the limits and the day's profit and loss are
worked out with these. Told are a position that has lost more than its stop-loss, a price that is old, and
shares that differ between ledger and broker. Sends nothing. Exit codes: 0 looked, whatever was found, also if
the broker does not answer; 1 the ledger cannot be used, or the keys are refused; 2 wrong arguments.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from config import Settings
from orchestration.clock import SystemClock
from scripts._execution import CANNOT, NO_DAY, Venue, cannot, ledger_of
from scripts._job import finish, parse, parser, settings
from scripts._portfolio import (
    NOTHING_TRADED,
    OLD,
    age,
    aged,
    capital_of,
    few,
    has_ledger,
    portfolio_of,
    session_of,
    watching_venue,
)
from scripts._session_hours import SessionBook
from scripts.reconcile_positions import compared, differences
from trading.execution.errors import BrokerError, BrokerUnavailable
from trading.execution.ledger.ledger import Ledger
from trading.execution.markets.market import Market, Quote
from trading.execution.smart.plan import SessionHours
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.decisions import Decision, due, is_told
from trading.portfolio.limits import Standing, stop_losses
from trading.portfolio.valuation import Holding, Mark, Valuation

LONGEST = timedelta(seconds=25)
"""How long broker and market are waited for: the next look is a minute after this one."""
PRICES_SHARE = 0.7
"""Of that, for prices; the rest is for the comparison of shares."""
MOST_ASKED = 60
"""Symbols whose price one look asks for, the oldest first: brokers take 200 questions a minute or follow 100
symbols, and the executor needs most of them. 300 positions still have a price of the last five minutes."""
AT_ONCE = 4
"""Questions under way at a time."""
WIDEST = Decimal("0.05")
"""Spread over mid price from which a quote is none: the far-off prices that some keep before others come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What broker and market said. marks: of the symbols that had a price. differing: by symbol, the shares
    by the ledger and at the broker. trouble: why an answer is missing, empty: none is."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    differing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    trouble: str = ""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    arguments = parse(made, argv)
    configured, clock = settings(made), SystemClock()
    if not has_ledger(arguments.state_dir):
        return finish(0, {}, NOTHING_TRADED)
    try:
        book = SessionBook(configured, clock.now().date())
        session = session_of(book, clock.now())
        if session is None:
            return finish(1, {"error": NO_DAY}, f"monitor_positions: {NO_DAY}")
        if clock.now() > session.close:
            return finish(0, {}, "the market is closed; prices of now are not those of the session")
        return look(arguments.state_dir, configured, book, session, clock)
    except CANNOT as error:
        return cannot("monitor_positions", error)


def look(
    state_dir: Path, configured: Settings, book: SessionBook, session: SessionHours, clock: SystemClock
) -> int:
    """Ask, record and tell; return the exit code."""
    capital = capital_of(configured)
    # The portfolio's books first: they bring an older ledger up to date.
    with portfolio_of(state_dir) as books, ledger_of(state_dir, read_only=True) as ledger:
        held = books.valuation(session.day, capital=capital, at=clock.now()).marks
        seen = Seen()
        if ledger.symbols_filled():
            hours = book.around(clock.now())
            with watching_venue(configured, ledger.facts, hours, clock) as venue:
                seen = asyncio.run(ask(ledger, venue, held, clock))
        with books.writing():
            books.put_marks(session.day, seen.marks)
            worth = books.valuation(session.day, capital=capital, at=clock.now())
            losses = stop_losses(worth.holdings, configured.risk_stop_loss_pct, session.day.isoformat())
            decisions = stopped(books, [standing for standing, _ in losses.values()], session, worth.at)
        earned = worth.profit - books.opening_profit(session.day)
    alerts = {
        **few(beyond_stop(losses, decisions), "more stops"),
        **few(differ(seen.differing), "more differ"),
        **few(old_prices(worth, session), "more old prices"),
    }
    return conclude(worth, earned, seen, alerts, session)


async def ask(ledger: Ledger, venue: Venue, held: Mapping[str, Mark], clock: SystemClock) -> Seen:
    """Return what market and broker say; what does not answer is left out, and named. held: the newest price
    that is known of each symbol."""
    marks: dict[str, Mark] = {}
    differing: dict[str, tuple[int, int]] = {}
    trouble: list[str] = []
    oldest = sorted(held, key=lambda symbol: (held[symbol].at, symbol))[:MOST_ASKED]
    try:
        async with asyncio.timeout(LONGEST.total_seconds()):
            await venue.connect()
            await ask_prices(venue.market, oldest, clock, marks, trouble)
            differing = await settled_differences(ledger, venue)
    except (BrokerUnavailable, TimeoutError) as error:
        trouble.append(str(error) or f"no answer within {LONGEST.total_seconds():g} s")
    finally:
        await venue.close()
    return Seen(marks=marks, differing=differing, trouble="; ".join(dict.fromkeys(trouble)))


async def ask_prices(
    market: Market, symbols: Iterable[str], clock: SystemClock, marks: dict[str, Mark], trouble: list[str]
) -> None:
    """Add what the market says to `marks`, and why something is missing to `trouble`.

    A few are asked for at once: one that does not trade is waited for by some feeds. An answer that makes no
    sense costs its own symbol alone; a feed that does not answer is not asked again in this look.
    """
    left = iter(symbols)

    async def ask_some() -> None:
        for symbol in left:
            try:
                mark = await mark_of(market, symbol, clock.now())
            except BrokerUnavailable as error:
                trouble.append(str(error))
                # Taken from the others as well.
                list(left)
            except (BrokerError, ValueError) as error:
                trouble.append(f"{symbol}: {error}")
            else:
                if mark is not None:
                    marks[symbol] = mark

    limit_s = PRICES_SHARE * LONGEST.total_seconds()
    try:
        async with asyncio.timeout(limit_s):
            await asyncio.gather(*(ask_some() for _ in range(AT_ONCE)))
    except TimeoutError:
        trouble.append(f"not all prices within {limit_s:g} s")


async def mark_of(market: Market, symbol: str, now: datetime) -> Mark | None:
    """Return the mid price as a mark; None: there is no quote, or one that is too wide to say anything."""
    quote: Quote | None = await market.quote(symbol, now)
    if quote is None or quote.spread > WIDEST * quote.mid:
        return None
    # A feed's clock that is ahead must not make a price that no later one replaces.
    return Mark(price=quote.mid, at=min(quote.at, now))


async def settled_differences(ledger: Ledger, venue: Venue) -> dict[str, tuple[int, int]]:
    """Return the symbols whose shares differ although nothing of them is under way: (ledger, broker)."""
    before = ledger.positions()
    theirs = await venue.broker.positions()
    busy = {child.symbol for child in ledger.open_children()}
    after = ledger.positions()
    found = differences(compared(ledger, theirs))
    return {s: both for s, both in found.items() if s not in busy and before.get(s) == after.get(s)}


def stopped(
    books: PortfolioBooks, losses: Iterable[Standing], session: SessionHours, at: datetime
) -> list[Decision]:
    """Keep which stop-losses are newly passed; return the session's decisions, with these."""
    earlier = books.decisions(episodes=[session.day.isoformat()])
    new = [decided for each in losses if (decided := due(each, earlier, session.day, at)) is not None]
    for decision in new:
        books.add_decision(decision)
    return [*earlier, *new]


def beyond_stop(
    losses: Mapping[str, tuple[Standing, Holding]], decisions: Sequence[Decision]
) -> dict[str, str]:
    """Return an alert for each open position that has lost more than its bound, the worst first."""
    told = [each for each in losses.values() if is_told(each[0], decisions)]
    return {
        f"stop {standing.subject}": (
            f"{standing.subject}: {each.position.quantity} shares have lost {standing.value_pct:.1f} % of "
            f"their cost ({each.unrealised:,.2f} $ at {each.mark.price} $), the bound is "
            f"{standing.bound_pct or 0:f} %"
        )
        for standing, each in sorted(told, key=lambda one: -one[0].value_pct)
    }


def differ(found: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return an alert for each symbol whose shares differ."""
    return {
        f"differs {s}": f"{s}: the ledger has {ours} shares, the broker {theirs}"
        for s, (ours, theirs) in found.items()
    }


def old_prices(worth: Valuation, session: SessionHours) -> dict[str, str]:
    """Return an alert for each symbol that is held and has had no new price for minutes of open market."""
    if not session.is_open(worth.at):
        return {}
    old = [(s, mark) for s, mark in worth.marks.items() if age(mark, session, worth.at) > OLD]
    return {f"old price {s}": f"no new price of {aged([(s, mark)])}" for s, mark in old}


def conclude(
    worth: Valuation, earned: Decimal, seen: Seen, alerts: Mapping[str, str], session: SessionHours
) -> int:
    """Say what was found; return the exit code. earned [$]: since the last close."""
    report = {
        "session": session.day,
        "positions": len(worth.exposure),
        "marked": len(seen.marks),
        "equity": worth.equity,
        "gross": worth.gross,
        "trouble": seen.trouble,
        "alerts": alerts,
    }
    lines = [
        f"{session.day}: {len(worth.exposure)} positions, {len(seen.marks)} new prices, "
        f"{worth.gross:,.2f} $ gross, {earned:+,.2f} $ since the last close",
        *([f"not answered: {seen.trouble}"] if seen.trouble else []),
        *alerts.values(),
    ]
    return finish(0, report, "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
