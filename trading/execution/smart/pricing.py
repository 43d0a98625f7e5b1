"""How a child is priced: by the order's urgency, the time left in its slice, and never beyond the order's own
limit. Pure and light."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading.execution.markets.market import Quote
from trading.execution.orders import DeadlinePolicy, OrderKind, ParentOrder, Side, Urgency
from trading.execution.smart.algorithms.steps import is_behind, place_of
from trading.execution.smart.plan import ExecutionPlan

LEVELS = (Urgency.LOW, Urgency.MEDIUM, Urgency.HIGH)
CENT, SUBCENT = Decimal("0.01"), Decimal("0.0001")


def limit_for(
    order: ParentOrder, quote: Quote, plan: ExecutionPlan, *, at: datetime, tick: Decimal | None = None
) -> tuple[OrderKind, Decimal | None]:
    """Return kind and limit price [$] of a child sent at `at`.

    By `level_of`: LOW joins the own side's best price, MEDIUM goes to the mid price, HIGH crosses the
    spread and may pay `spreads_to_pay` more. A market order only for the algorithm market, and with
    DeadlinePolicy.FORCE in the plan's last slice; with a limit on the order it is a limit order at that.
    Prices are on the tick, rounded to the careful side (a purchase down, a sale up) and within the
    order's limit. tick: None: 0.01, below one dollar 0.0001 (Regulation NMS, rule 612).
    """
    step = tick or (CENT if quote.bid >= 1 else SUBCENT)
    own_limit = None if order.limit_price is None else _on_tick(order.limit_price, step, order.side)
    if goes_to_market(order, plan, at):
        return (OrderKind.MARKET, None) if own_limit is None else (OrderKind.LIMIT, own_limit)
    more = spreads_to_pay(plan, at) * max(quote.spread, step)
    price = _price(order.side, quote, level_of(order, plan, at), step, more)
    if own_limit is not None:
        price = min(price, own_limit) if order.side is Side.BUY else max(price, own_limit)
    return OrderKind.LIMIT, price


def goes_to_market(order: ParentOrder, plan: ExecutionPlan, at: datetime) -> bool:
    """Whether a child may be sent without a limit of its own."""
    place = place_of(plan, at)
    is_last = place is not None and place.index == len(plan.slices) - 1
    return plan.inner == "market" or (order.deadline_policy is DeadlinePolicy.FORCE and is_last)


def level_of(order: ParentOrder, plan: ExecutionPlan, at: datetime) -> Urgency:
    """Return the order's urgency, one level up in the second half of a slice and while a shortfall is made
    up for, one level down while an adaptive order waits for a wide spread to narrow."""
    level = LEVELS.index(order.urgency)
    place = place_of(plan, at)
    if place is not None and at >= place.middle:
        level += 1
    if is_behind(plan):
        level += 1
    if plan.algorithm == "adaptive" and plan.inner == "twap":
        level -= 1
    return LEVELS[min(max(level, 0), len(LEVELS) - 1)]


def spreads_to_pay(plan: ExecutionPlan, at: datetime) -> Decimal:
    """Return how many spreads beyond the other side's best price a child may go: the impact its plan expects,
    one spread for each 1 % of the slice's volume (the rule its cost is made of), at least one."""
    place = place_of(plan, at)
    if place is None or place.slice.expected_volume <= 0:
        return Decimal(1)
    share = place.slice.quantity / place.slice.expected_volume
    return max(Decimal(1), Decimal(repr(round(100 * share, 4))))


def _price(side: Side, quote: Quote, level: Urgency, tick: Decimal, more: Decimal) -> Decimal:
    own, other = (quote.bid, quote.ask) if side is Side.BUY else (quote.ask, quote.bid)
    if level is Urgency.LOW:
        return _on_tick(own, tick, side)
    if level is Urgency.MEDIUM:
        return _on_tick(quote.mid, tick, side)
    far = other + side.sign * more
    return _on_tick(far, tick, side)


def _on_tick(price: Decimal, tick: Decimal, side: Side) -> Decimal:
    """Return `price` on the tick: down for a purchase, up for a sale; at least one tick."""
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    return max((price / tick).to_integral_value(rounding) * tick, tick)
