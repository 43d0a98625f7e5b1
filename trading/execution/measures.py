"""What an order cost: implementation shortfall in its parts, against plan, VWAP and TWAP. Pure and light.

Perold (1988), "The implementation shortfall: paper versus reality", in the parts of Wagner and Edwards
(1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trading.execution.orders import Fill, ParentOrder, ParentState
from trading.execution.smart.plan import ExecutionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The market while an order was worked. end_price: when it ended [$/share]; vwap, twap: of the
    market's trades in between [$/share]; volume: its shares. None: not known."""

    end_price: Decimal | None = None
    vwap: Decimal | None = None
    twap: Decimal | None = None
    volume: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Implementation shortfall [$]; positive is a cost, for purchases and sales alike.

    delay: what the price moved between decision and arrival, on the whole order. execution: the fills
    against the arrival price. opportunity: what was not filled, at the end against the arrival price. The
    parts add up.
    """

    delay: Decimal
    execution: Decimal
    opportunity: Decimal
    fees: Decimal

    @property
    def total(self) -> Decimal:
        return self.delay + self.execution + self.opportunity + self.fees

    @property
    def since_arrival(self) -> Decimal:
        """Execution and opportunity: what a plan foretells, which knows neither delay nor fees."""
        return self.execution + self.opportunity


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMeasures:
    """What became of one parent order. Money in $; None: cannot be told.

    notional: quantity at the decision price, what *_bps of the shortfall refer to. shortfall: None before
    work began, or if shares are left and the end price is not known. average_price: of the fills.
    slippage_*_bps: average price against that price, of it; positive is worse, negative better.
    expected_cost, expected_risk: E and sqrt(V) of the first plan; expected_cost_bps as the plan has it.
    z_score: (shortfall since arrival - E) / sqrt(V), how many standard deviations dearer than planned; None
    for a plan without risk, too. participation: filled part of the market's volume while it was worked.
    duration: from arrival to the last fill of a completed order, to the end of another.
    """

    parent_id: str
    algorithm: str
    state: ParentState
    quantity: int
    filled: int
    average_price: Decimal | None
    notional: Decimal | None
    shortfall: Shortfall | None
    slippage_arrival_bps: float | None
    slippage_vwap_bps: float | None
    slippage_twap_bps: float | None
    expected_cost: float | None
    expected_cost_bps: float | None
    expected_risk: float | None
    z_score: float | None
    participation: float | None
    duration: timedelta | None
    plans: int

    @property
    def fill_frac(self) -> float:
        """Filled part of the order, 0 to 1 (above 1 only if the broker overfilled)."""
        return self.filled / self.quantity

    @property
    def succeeded(self) -> bool:
        """Whether all of it was done."""
        return self.state is ParentState.COMPLETED

    @property
    def shortfall_bps(self) -> float | None:
        """The whole shortfall."""
        return self.bps(self.shortfall.total) if self.shortfall else None

    @property
    def realised_bps(self) -> float | None:
        """The shortfall since arrival: what was foretold as `expected_cost_bps`."""
        return self.bps(self.shortfall.since_arrival) if self.shortfall else None

    def bps(self, amount: Decimal) -> float | None:
        """Return an amount [$] in basis points of the notional; None before work began."""
        return 1e4 * float(amount / self.notional) if self.notional else None


def measure(
    order: ParentOrder, plans: Sequence[ExecutionPlan], fills: Sequence[Fill], window: Window
) -> OrderMeasures:
    """Return what an order cost. plans: the first one first, none for an order that was never planned."""
    average = average_price(fills)
    parts = shortfall(order, fills, window.end_price)
    first = plans[0] if plans and plans[0].is_feasible else None
    filled, base = shares(fills), order.decision_price or order.arrival_price
    return OrderMeasures(
        parent_id=order.parent_id,
        algorithm=first.algorithm if first else order.algorithm,
        state=order.state,
        quantity=order.quantity,
        filled=filled,
        average_price=average,
        notional=base * order.quantity if base else None,
        shortfall=parts,
        slippage_arrival_bps=slippage_bps(order, average, order.arrival_price),
        slippage_vwap_bps=slippage_bps(order, average, window.vwap),
        slippage_twap_bps=slippage_bps(order, average, window.twap),
        expected_cost=first.expected_cost if first else None,
        expected_cost_bps=first.expected_cost_bps if first else None,
        expected_risk=math.sqrt(first.variance) if first else None,
        z_score=z_score(parts, first) if parts and first else None,
        participation=filled / window.volume if window.volume else None,
        duration=duration(order, fills),
        plans=len(plans),
    )


def shares(fills: Iterable[Fill]) -> int:
    """Return the shares of all fills."""
    return sum(fill.quantity for fill in fills)


def average_price(fills: Sequence[Fill]) -> Decimal | None:
    """Return the fills' average price [$/share]; None: nothing was filled."""
    total = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
    return total / shares(fills) if fills else None


def shortfall(order: ParentOrder, fills: Sequence[Fill], end_price: Decimal | None) -> Shortfall | None:
    """Return the shortfall in its parts. None: work never began, or shares are left and there is no end
    price.

    With s = +1 for a purchase and -1 for a sale, Q ordered, q filled at p, decision price D, arrival
    price A, end price E: delay = s Q (A - D), execution = s sum q (p - A), opportunity = s (Q - sum q) (E
    - A), fees as charged. Without a decision price it begins at arrival. Shares beyond Q (a broker's
    mistake) are in execution, and leave no opportunity.
    """
    arrival = order.arrival_price
    left = max(0, order.quantity - shares(fills))
    if arrival is None or (left and end_price is None):
        return None
    missed = (end_price - arrival) * left if left and end_price else Decimal(0)
    moved = arrival - (order.decision_price or arrival)
    sign = order.side.sign
    return Shortfall(
        delay=sign * order.quantity * moved,
        execution=sign * sum(((fill.price - arrival) * fill.quantity for fill in fills), Decimal(0)),
        opportunity=sign * missed,
        fees=sum((fill.fee for fill in fills), Decimal(0)),
    )


def slippage_bps(order: ParentOrder, average: Decimal | None, against: Decimal | None) -> float | None:
    """Return how much worse the average price was than `against`, in basis points of it; negative is
    better. None: one of them is not known."""
    if average is None or against is None:
        return None
    return 1e4 * order.side.sign * float((average - against) / against)


def z_score(parts: Shortfall, plan: ExecutionPlan) -> float | None:
    """Return the cost since arrival in the plan's standard deviations from what it expected; None: the plan
    has no risk (all is sent at once)."""
    if plan.variance <= 0:
        return None
    return (float(parts.since_arrival) - plan.expected_cost) / math.sqrt(plan.variance)


def duration(order: ParentOrder, fills: Sequence[Fill]) -> timedelta | None:
    """Return how long an order was worked, as `OrderMeasures` says; None: not begun, or no end is known."""
    last = max((fill.at for fill in fills), default=None)
    is_whole = order.state is ParentState.COMPLETED
    end = last or order.completed_at if is_whole else order.completed_at or last
    if order.arrived_at is None or end is None:
        return None
    return max(timedelta(), end - order.arrived_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmRecord:
    """One algorithm's record over orders. completed: those that were done in full; a person's cancel and
    the kill switch count as not done. fill_frac: filled part of all their shares. *_bps and mean_z_score:
    means over the orders that have the figure, None: none has."""

    algorithm: str
    orders: int
    completed: int
    fill_frac: float
    shortfall_bps: float | None
    realised_bps: float | None
    expected_cost_bps: float | None
    mean_z_score: float | None

    @property
    def success_frac(self) -> float:
        """Part of its orders that were done in full, 0 to 1."""
        return self.completed / self.orders


def record_by_algorithm(measured: Iterable[OrderMeasures]) -> tuple[AlgorithmRecord, ...]:
    """Return each algorithm's record, by name. Orders that have not ended are left out, and those that were
    refused before the start."""
    groups: dict[str, list[OrderMeasures]] = {}
    for each in measured:
        if each.state.is_final and each.state is not ParentState.REJECTED:
            groups.setdefault(each.algorithm, []).append(each)
    return tuple(_record(name, groups[name]) for name in sorted(groups))


def _record(name: str, group: Sequence[OrderMeasures]) -> AlgorithmRecord:
    return AlgorithmRecord(
        algorithm=name,
        orders=len(group),
        completed=sum(each.succeeded for each in group),
        fill_frac=sum(each.filled for each in group) / sum(each.quantity for each in group),
        shortfall_bps=_mean(each.shortfall_bps for each in group),
        realised_bps=_mean(each.realised_bps for each in group),
        expected_cost_bps=_mean(each.expected_cost_bps for each in group),
        mean_z_score=_mean(each.z_score for each in group),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
