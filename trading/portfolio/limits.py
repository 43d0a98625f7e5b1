"""Limits on exposure, concentration and losses, and how near they are. Pure and light.

Everything is in percent of equity, so that the limits stay right as the account grows or shrinks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.portfolio.valuation import Holding, Valuation

WITHOUT_BOUND: Final = Decimal("Infinity")
"""%: any exposure or loss of an account that has no equity left."""


class Action(StrEnum):
    ALERT = "alert"  # a person is told
    HALT = "halt"  # besides, nothing is sent any more until a person resumes


class Kind(StrEnum):
    GROSS_EXPOSURE = "gross_exposure"
    POSITION = "position"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    STOP_LOSS = "stop_loss"


WORDS: Final = {
    Kind.GROSS_EXPOSURE: "gross exposure",
    Kind.POSITION: "position",
    Kind.DAILY_LOSS: "daily loss",
    Kind.DRAWDOWN: "drawdown from the peak",
    Kind.STOP_LOSS: "loss of the position",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Each in percent of equity; None: no such limit.

    max_gross_pct: everything held, short positions counted as positive. max_position_pct: one symbol.
    max_daily_loss_pct: lost since the last close, of the equity then. max_drawdown_pct: lost since the
    highest equity ever, of that. on_exposure: what the first two do; losses halt.
    """

    max_gross_pct: Decimal | None
    max_position_pct: Decimal | None
    max_daily_loss_pct: Decimal | None
    max_drawdown_pct: Decimal | None
    on_exposure: Action = Action.ALERT

    def __post_init__(self) -> None:
        for name in ("max_gross_pct", "max_position_pct", "max_daily_loss_pct", "max_drawdown_pct"):
            bound = getattr(self, name)
            if bound is not None and (not bound.is_finite() or bound <= 0):
                raise ValueError(f"{name} is {bound}: expected a percentage above 0, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one limit stands. subject: the symbol of a position, with its strategy for a stop-loss, else "".
    value_pct: of equity, a stop-loss of the position's cost. bound_pct: None: there is no limit.

    episode: what the value is measured from; only within one episode are values compared.
    """

    kind: Kind
    value_pct: Decimal
    bound_pct: Decimal | None
    action: Action
    episode: str
    subject: str = ""

    @property
    def is_breached(self) -> bool:
        """Whether the value is beyond the limit; exactly at it is within."""
        return self.bound_pct is not None and self.value_pct > self.bound_pct

    @property
    def name(self) -> str:
        """What it is called in alerts and in the ledger: "daily_loss", "position ACME"."""
        return f"{self.kind} {self.subject}".strip()

    def __str__(self) -> str:
        bound = "no limit" if self.bound_pct is None else f"the limit is {self.bound_pct.normalize():f} %"
        return f"{named(self.kind, self.subject)} is {percent(self.value_pct)} of equity, {bound}"


def named(kind: Kind, subject: str) -> str:
    """Return a limit in words: "daily loss", "position in ACME"."""
    return f"{WORDS[kind]} in {subject}" if subject else WORDS[kind]


def percent(value: Decimal) -> str:
    """Return a percentage as it is shown."""
    return "more than all" if value == WITHOUT_BOUND else f"{value:.2f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The highest profit [$] since the ledger began, and in which session (ISO date, "" for the start)."""

    profit: Decimal = Decimal(0)
    session: str = ""

    def __str__(self) -> str:
        """Another one for every peak: a session may have several."""
        return f"peak of {self.profit:+,.2f} $ on {self.session}" if self.session else "peak at the start"


def standings(
    limits: RiskLimits, valuation: Valuation, peak: Peak, session: str, opening: Decimal | None = None
) -> list[Standing]:
    """Return how every limit stands: gross exposure, each symbol (the largest first), losses.

    peak: the highest profit known before; the present one counts if it is higher. session: ISO date of the
    one that is on. opening [$]: the profit with which it began, None: that of the books. Losses are measured
    in profit, so that capital put in or taken out is neither.
    """
    equity = valuation.equity
    exposure, action = valuation.exposure, limits.on_exposure
    found = [
        Standing(
            kind=Kind.GROSS_EXPOSURE,
            value_pct=_percent(valuation.gross, equity),
            bound_pct=limits.max_gross_pct,
            action=action,
            episode=session,
        )
    ]
    for symbol, value in sorted(exposure.items(), key=lambda item: (-abs(item[1]), item[0])):
        found.append(
            Standing(
                kind=Kind.POSITION,
                subject=symbol,
                value_pct=_percent(abs(value), equity),
                bound_pct=limits.max_position_pct,
                action=action,
                episode=session,
            )
        )
    before = valuation.profit_before if opening is None else opening
    return [*found, *_losses(limits, valuation, peak, session, before)]


def _losses(
    limits: RiskLimits, valuation: Valuation, peak: Peak, session: str, before: Decimal
) -> list[Standing]:
    profit = valuation.profit
    highest = Peak(profit=profit, session=session) if profit > peak.profit else peak
    return [
        Standing(
            kind=Kind.DAILY_LOSS,
            value_pct=_percent(max(Decimal(0), before - profit), valuation.capital + before),
            bound_pct=limits.max_daily_loss_pct,
            action=Action.HALT,
            episode=session,
        ),
        Standing(
            kind=Kind.DRAWDOWN,
            value_pct=_percent(highest.profit - profit, valuation.capital + highest.profit),
            bound_pct=limits.max_drawdown_pct,
            action=Action.HALT,
            episode=str(highest),
        ),
    ]


def stop_losses(
    holdings: Iterable[Holding], bound_pct: Decimal | None, session: str
) -> dict[str, tuple[Standing, Holding]]:
    """Return how much of its cost each open position has lost, by "SYMBOL of STRATEGY"; it is only told."""
    found = {}
    for each in holdings:
        if not each.position.quantity:
            continue
        subject = " of ".join(filter(None, (each.key.symbol, each.key.strategy_id)))
        standing = Standing(
            kind=Kind.STOP_LOSS,
            subject=subject,
            value_pct=_percent(max(Decimal(0), -each.unrealised), abs(each.position.cost)),
            bound_pct=bound_pct,
            action=Action.ALERT,
            episode=session,
        )
        found[subject] = standing, each
    return found


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    if not part:
        return Decimal(0)
    return 100 * part / whole if whole > 0 else WITHOUT_BOUND
