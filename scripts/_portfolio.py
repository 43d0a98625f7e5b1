"""What the portfolio's jobs share: capital and limits from the settings, the session that counts, and a
connection to the broker that does not disturb the executor's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.clock import SystemClock
from scripts._execution import LEDGER, Facts, Venue, venue_of
from scripts._session_hours import SessionBook
from trading.execution.smart.plan import SessionHours
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.limits import Action, RiskLimits, Standing
from trading.portfolio.valuation import Mark, Source

if TYPE_CHECKING:
    from config import Settings

PRACTICE_CAPITAL = Decimal(1_000_000)
"""$: where nobody says with how much a practice account trades."""
OLD = timedelta(minutes=5)
"""The age from which a price is told to be old: five of the minute's marks were missed."""
CLOSING = timedelta(minutes=15)
"""How long after the close a fill still belongs to the session: those of the closing auction come then."""
MOST_OF_A_KIND = 5
"""Alerts of one kind that a job tells; the rest share one."""
MOST_NAMED = 8
"""Symbols that one text names: of an alert, 500 characters are kept."""
NO_STRATEGY = "(none)"
"""How orders that were entered without a strategy are called."""
NOTHING_TRADED = "nothing was ever traded: there is no ledger yet"


def capital_of(settings: Settings) -> Decimal:
    """Return what the box trades with [$]. Raises ValueError for real money if nobody said how much."""
    if settings.risk_capital is not None:
        return settings.risk_capital
    if settings.broker != "paper" and settings.broker_live:
        raise ValueError(
            "ORCHESTRATOR_RISK_CAPITAL is not set: with real money the limits need to know of how much"
        )
    return PRACTICE_CAPITAL


def limits_of(settings: Settings) -> RiskLimits:
    """Return the limits that are set."""
    return RiskLimits(
        max_gross_pct=settings.risk_max_gross_pct,
        max_position_pct=settings.risk_max_position_pct,
        max_daily_loss_pct=settings.risk_max_daily_loss_pct,
        max_drawdown_pct=settings.risk_max_drawdown_pct,
        on_exposure=Action(settings.risk_on_exposure),
    )


def session_of(book: SessionBook, now: datetime) -> SessionHours | None:
    """Return the session that is on, or else the last one; None: none is known."""
    known = [hours for hours in book.around(now) if hours.open <= now]
    return known[-1] if known else None


def has_ledger(state_dir: Path) -> bool:
    """Whether anything was ever entered on this box."""
    return (state_dir / LEDGER).exists()


def portfolio_of(state_dir: Path, *, read_only: bool = False) -> PortfolioBooks:
    """Open the portfolio's books of this box. Raises LedgerError."""
    return PortfolioBooks(state_dir / LEDGER, read_only=read_only)


@contextmanager
def watching_venue(
    settings: Settings, facts: Facts, hours: Sequence[SessionHours], clock: SystemClock
) -> Iterator[Venue]:
    """Open the configured broker and market to look on while the executor may be connected, too."""
    if settings.broker != "ibkr":
        with venue_of(settings, facts, hours, clock) as venue:
            yield venue
        return
    from trading.execution.brokers.ibkr.broker import CLIENT_ID, IbkrBroker
    from trading.execution.markets.ibkr import IbkrMarket

    # The gateway takes one connection for each client id.
    broker = IbkrBroker(address=settings.broker_url, live=settings.broker_live, client_id=CLIENT_ID + 1)
    yield Venue(broker=broker, market=IbkrMarket(broker))


def age(mark: Mark, session: SessionHours, now: datetime) -> timedelta:
    """Return how long the market has been open without a newer price than this one."""
    resumed = [session.open, *(end for _, end in session.pauses if end <= now)]
    return now - max(mark.at, *resumed)


def aged(marks: Iterable[tuple[str, Mark]]) -> str:
    """Return prices with their age in words: "ACME (2026-11-20 14:03Z, own fill)"; the oldest ones, and how
    many more there are."""
    found = sorted(marks, key=lambda each: (each[1].at, each[0]))
    words = [f"{s} ({mark.at:%Y-%m-%d %H:%M}Z{_ORIGIN[mark.source]})" for s, mark in found[:MOST_NAMED]]
    more = [f"{len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return ", ".join([*words, *more])


def few(alerts: Mapping[str, str], rest: str) -> dict[str, str]:
    """Return the first alerts of a kind, and one for all others: the daemon takes 20 of a run, and nobody
    reads more. rest: what that one is called."""
    found = dict(list(alerts.items())[:MOST_OF_A_KIND])
    left = list(alerts)[MOST_OF_A_KIND:]
    if left:
        names = ", ".join(left[:MOST_NAMED]) + (", ..." if len(left) > MOST_NAMED else "")
        found[rest] = f"{len(left)} more like these: {names}"
    return found


_ORIGIN = {Source.QUOTE: "", Source.FILL: ", own fill", Source.BOOKS: ""}


def told_standings(found: Iterable[Standing]) -> dict[str, list[str | None]]:
    """Return value and bound [%] of each limit for a result file, by name; a bound that is off is None."""
    return {
        each.name: [f"{each.value_pct:.4f}", None if each.bound_pct is None else str(each.bound_pct)]
        for each in found
    }
