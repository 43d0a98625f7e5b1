"""All that is known of one parent order, read from the ledger, and its measures. Light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trading.execution.ledger.ledger import Ledger
from trading.execution.market_windows import are_of_this_market, joined, window_from_bars, window_seen
from trading.execution.markets.traded import Bar
from trading.execution.measures import OrderMeasures, Window, measure
from trading.execution.orders import ChildOrder, Fill, ParentOrder
from trading.execution.smart.plan import ExecutionPlan

NEAR = 0.003
"""How far beyond a bar's range, in parts of the price and next to the spread, a fill may lie and still be a
trade of that market: impact and the difference between two feeds, not another day's price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One parent with its plans (the first one first), children, fills (by time), and what they add up to.

    window: the market while it was worked. bars: the session's recorded ones, oldest first; empty: none, or
    of another market. has_other_market: there were bars, but the fills are not of their market.
    """

    order: ParentOrder
    plans: tuple[ExecutionPlan, ...]
    children: tuple[ChildOrder, ...]
    fills: tuple[Fill, ...]
    window: Window
    measures: OrderMeasures
    bars: tuple[Bar, ...] = ()
    has_other_market: bool = False

    @property
    def plan(self) -> ExecutionPlan | None:
        """The first plan, if it could be done."""
        return self.plans[0] if self.plans and self.plans[0].is_feasible else None

    @property
    def brokers(self) -> frozenset[str]:
        """Where it was filled."""
        return frozenset(fill.broker for fill in self.fills)


def read_record(
    ledger: Ledger, order: ParentOrder, bars: Sequence[Bar] = (), *, is_their_market: bool = False
) -> OrderRecord:
    """Return what the ledger knows of an order. bars: of its session, oldest first; empty: none are stored.
    is_their_market: the fills are known to be trades of the bars' market; else they are judged by the bars.

    Raises LedgerError.
    """
    plans, fills = ledger.plans(order.parent_id), ledger.fills(order.parent_id)
    spread = dict(plans[0].choice.numbers).get("spread_over_price", 0.0) if plans else 0.0
    fits = is_their_market or are_of_this_market(bars, fills, NEAR + spread)
    window = window_seen(ledger.events(parent_id=order.parent_id))
    end = ended_at(order, fills)
    if fits and order.arrived_at is not None and end is not None:
        window = joined(window, window_from_bars(bars, order.arrived_at, end))
    return OrderRecord(
        order=order,
        plans=tuple(plans),
        children=tuple(ledger.children(order.parent_id)),
        fills=tuple(fills),
        window=window,
        measures=measure(order, plans, fills, window),
        bars=tuple(bars) if fits else (),
        has_other_market=not fits,
    )


def ended_at(order: ParentOrder, fills: Sequence[Fill]) -> datetime | None:
    """Return when an order came to its end, or was filled last if it has not; None: neither."""
    return order.completed_at or max((fill.at for fill in fills), default=None)
