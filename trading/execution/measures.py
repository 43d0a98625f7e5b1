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
    against the arrival price. opportunity: what was not filled, against the arrival price at the end. The
    parts add up.
    """

    delay: Decimal
    execution: Decimal
    opportunity: Decimal
    fees: Decimal

    @property
    def total(self) -> Decimal:
        return self.delay + self.execution + self.opportunity + self.fees


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMeasures:
    """What became of one parent order. Money in $, *_bps of decision price * quantity; None: cannot be
    told.

    shortfall: None before work began, or if shares are left and the end price is not known.
    average_price: of the fills. slippage_*_bps: average price against that price, positive is worse.
    expected_cost, expected_risk: E and sqrt(V) of the first plan. z_score: (execution + opportunity - E)
    / sqrt(V), the realised cost against the arrival price in standard deviations from the plan.
    participation: of the market's volume while it was worked. duration: from arrival to the end, or the
    last fill.
    """

    parent_id: str
    algorithm: str
    state: ParentState
    quantity: int
    filled: int
    average_price: Decimal | None
    shortfall: Shortfall | None
    shortfall_bps: float | None
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
        """Filled share of the order, 0 to 1 (above 1 only if the broker overfilled)."""
        return self.filled / self.quantity

    @property
    def succeeded(self) -> bool:
        """Whether all of it was done."""
        return self.state is ParentState.COMPLETED


def measure(
    order: ParentOrder, plans: Sequence[ExecutionPlan], fills: Sequence[Fill], window: Window
) -> OrderMeasures:
    """Return what an order cost. plans: the first one first, none for an order that was never planned."""
    filled = sum(fill.quantity for fill in fills)
    average = average_price(fills)
    parts = shortfall(order, fills, window.end_price)
    first = plans[0] if plans and plans[0].is_feasible else None
    risk = math.sqrt(first.variance) if first else None
    realised = float(parts.execution + parts.opportunity) if parts else None
    decided = order.decision_price
    return OrderMeasures(
        parent_id=order.parent_id,
        algorithm=first.algorithm if first else order.algorithm,
        state=order.state,
        quantity=order.quantity,
        filled=filled,
        average_price=average,
        shortfall=parts,
        shortfall_bps=1e4 * float(parts.total / (decided * order.quantity)) if parts and decided else None,
        slippage_arrival_bps=slippage_bps(order, average, order.arrival_price),
        slippage_vwap_bps=slippage_bps(order, average, window.vwap),
        slippage_twap_bps=slippage_bps(order, average, window.twap),
        expected_cost=first.expected_cost if first else None,
        expected_cost_bps=first.expected_cost_bps if first else None,
        expected_risk=risk,
        z_score=(realised - first.expected_cost) / risk if first and risk and realised is not None else None,
        participation=filled / window.volume if window.volume else None,
        duration=_duration(order, fills),
        plans=len(plans),
    )


def average_price(fills: Sequence[Fill]) -> Decimal | None:
    """Return the fills' average price [$/share]; None: nothing was filled."""
    shares = sum(fill.quantity for fill in fills)
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0)) / shares if shares else None


def shortfall(order: ParentOrder, fills: Sequence[Fill], end_price: Decimal | None) -> Shortfall | None:
    """Return the shortfall in its parts. None: work never began, or shares are left and there is no end
    price.

    With s = +1 for a purchase and -1 for a sale, Q ordered, q filled at p, decision price D, arrival
    price A, end price E: delay = s Q (A - D), execution = s sum q (p - A), opportunity = s (Q - sum q) (E
    - A), fees as charged.
    """
    arrival, decided = order.arrival_price, order.decision_price
    left = order.quantity - sum(fill.quantity for fill in fills)
    if arrival is None or decided is None or (left > 0 and end_price is None):
        return None
    sign = order.side.sign
    missed = (end_price - arrival) * left if left > 0 and end_price is not None else Decimal(0)
    return Shortfall(
        delay=sign * order.quantity * (arrival - decided),
        execution=sign * sum(((fill.price - arrival) * fill.quantity for fill in fills), Decimal(0)),
        opportunity=sign * missed,
        fees=sum((fill.fee for fill in fills), Decimal(0)),
    )


def slippage_bps(order: ParentOrder, average: Decimal | None, against: Decimal | None) -> float | None:
    """Return how much worse the average price was than `against`, in basis points of it; negative is
    better."""
    if average is None or against is None:
        return None
    return 1e4 * order.side.sign * float((average - against) / against)


def _duration(order: ParentOrder, fills: Sequence[Fill]) -> timedelta | None:
    ends = [fill.at for fill in fills]
    if order.arrived_at is None or not (ends or order.completed_at):
        return None
    end = max(ends) if ends and order.state is ParentState.COMPLETED else order.completed_at or max(ends)
    return max(timedelta(), end - order.arrived_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmRecord:
    """One algorithm's record over orders. success_frac: share of its orders that were done in full;
    *_bps: means over the orders that have the figure, None: none has."""

    algorithm: str
    orders: int
    success_frac: float
    fill_frac: float
    shortfall_bps: float | None
    expected_cost_bps: float | None
    mean_z_score: float | None


def record_by_algorithm(measured: Iterable[OrderMeasures]) -> tuple[AlgorithmRecord, ...]:
    """Return each algorithm's record, by name. Orders that were refused before the start are left out."""
    groups: dict[str, list[OrderMeasures]] = {}
    for each in measured:
        if each.state.is_final and each.state is not ParentState.REJECTED:
            groups.setdefault(each.algorithm, []).append(each)
    return tuple(_record(name, groups[name]) for name in sorted(groups))


def _record(name: str, group: Sequence[OrderMeasures]) -> AlgorithmRecord:
    return AlgorithmRecord(
        algorithm=name,
        orders=len(group),
        success_frac=sum(each.succeeded for each in group) / len(group),
        fill_frac=sum(each.filled for each in group) / sum(each.quantity for each in group),
        shortfall_bps=_mean(each.shortfall_bps for each in group),
        expected_cost_bps=_mean(each.expected_cost_bps for each in group),
        mean_z_score=_mean(each.z_score for each in group),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
