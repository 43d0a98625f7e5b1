"""Holding the account to its limits: judge, record what was decided, then do it. Light.

The order is what makes it safe: a decision is on the disk before the halt, and the halt before the decision
counts as done. Killed anywhere, the next call finishes what was begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading.execution.errors import LedgerError
from trading.execution.kill_switch import KillSwitch
from trading.portfolio.books import PortfolioBooks
from trading.portfolio.decisions import Decision, due
from trading.portfolio.limits import Action, RiskLimits, Standing, standings
from trading.portfolio.valuation import Valuation

WHO: Final = "check_risk_limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check found. opening [$]: the profit with which the session began. earlier: decisions in the
    same episodes before it; decided: its own."""

    valuation: Valuation
    opening: Decimal
    standings: Sequence[Standing]
    earlier: Sequence[Decision]
    decided: Sequence[Decision]

    @property
    def day_profit(self) -> Decimal:
        """Earned since the last close, after fees [$]."""
        return self.valuation.profit - self.opening

    @property
    def decisions(self) -> list[Decision]:
        return [*self.earlier, *self.decided]


def check_limits(
    books: PortfolioBooks,
    kill: KillSwitch,
    limits: RiskLimits,
    *,
    session: date,
    capital: Decimal,
    now: datetime,
) -> Checked:
    """Judge what is held now by the limits, halt trading where that is decided, and keep the equity's range.

    Raises:
        LedgerError: if it cannot be read or written; a halt that could not be recorded is set all the same.
        OSError: if the halt cannot be set; the decision stands, and the next call tries again.
    """
    try:
        carry_out(books, kill, now)
        with books.writing():
            found = judge(books, limits, session=session, capital=capital, now=now)
            for decision in found.decided:
                books.add_decision(decision)
            books.note_equity(session, found.valuation)
    except LedgerError as error:
        unrecorded = judge(books, limits, session=session, capital=capital, now=now).decided
        halting = [str(each) for each in unrecorded if each.action is Action.HALT]
        if not halting:
            raise
        why = "; ".join(halting)
        if not kill.is_set():
            kill.set(f"{why} (not recorded: {error})", WHO, now)
        raise LedgerError(f"{error}; trading is halted all the same: {why}") from error
    carry_out(books, kill, now)
    return found


def judge(
    books: PortfolioBooks, limits: RiskLimits, *, session: date, capital: Decimal, now: datetime
) -> Checked:
    """Return how the limits stand and what is to be decided; writes nothing. Raises LedgerError."""
    valuation = books.valuation(session, capital=capital, at=now)
    opening = books.opening_profit(session)
    found = standings(limits, valuation, books.peak(), session.isoformat(), opening)
    earlier = books.decisions(episodes={standing.episode for standing in found})
    decided = [new for each in found if (new := due(each, earlier, session, now)) is not None]
    return Checked(valuation=valuation, opening=opening, standings=found, earlier=earlier, decided=decided)


def carry_out(books: PortfolioBooks, kill: KillSwitch, now: datetime) -> None:
    """Halt trading for every decision that has not been carried out, and note that it was."""
    undone = books.undone()
    if not undone:
        return
    at = undone[0].at
    standing = kill.read()
    # It may be the halt that alone was done before a kill.
    if standing is None or (standing.by, standing.at) != (WHO, at):
        kill.set("; ".join(str(each) for each in undone), WHO, at)
    with books.writing():
        for each in undone:
            books.mark_done(each.number, now)
