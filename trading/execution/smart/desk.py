"""One parent order as it is worked: its rows in memory, and the sums that decisions need. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading.execution.facts import MarketFacts
from trading.execution.orders import ChildOrder, ChildState, ParentOrder
from trading.execution.smart.conditions import PriceTrack
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice


@dataclass(slots=True, kw_only=True)
class Desk:
    """A mirror of the ledger's rows of one parent; changed only after the ledger has committed the same.

    wake_at: when its algorithm wants to be asked next, None: at once. look_up_at: when each unclear child is
    looked up next, by id. refusals: refused by the broker one after the other. mid: newest mid price seen
    [$/share]; market_volume: shares traded by everybody since work began, as last seen; None: not seen yet.
    """

    order: ParentOrder
    plan: ExecutionPlan | None = None
    facts: MarketFacts | None = None
    children: dict[str, ChildOrder] = field(default_factory=dict)
    wake_at: datetime | None = None
    look_up_at: dict[str, datetime] = field(default_factory=dict)
    refusals: int = 0
    track: PriceTrack = field(default_factory=PriceTrack)
    mid: Decimal | None = None
    market_volume: int | None = None

    @property
    def filled(self) -> int:
        """Shares of all fills that are booked."""
        return sum(child.filled for child in self.children.values())

    @property
    def leaves(self) -> int:
        """Shares that may still be filled by children that were sent."""
        return sum(child.leaves for child in self.children.values())

    @property
    def unsent(self) -> int:
        """Shares that are neither filled nor at the broker; negative only if the broker overfilled."""
        return self.order.quantity - self.filled - self.leaves

    @property
    def planned_from(self) -> int:
        """Shares filled when the present plan was made: plans are made while nothing is open."""
        return self.plan.already_filled if self.plan else 0

    def open_children(self) -> list[ChildOrder]:
        """Children that may still be filled, in the order they were made."""
        return [child for child in self.children.values() if not child.state.is_final]

    def unclear(self) -> list[ChildOrder]:
        """Children of which nobody knows whether the broker has them."""
        return [c for c in self.open_children() if c.state in (ChildState.UNKNOWN, ChildState.INTENT)]

    def slice_at(self, now: datetime) -> PlannedSlice | None:
        """The planned slice that `now` lies in; None outside of all."""
        slices = self.plan.slices if self.plan else ()
        return next((s for s in slices if s.start <= now < s.end), None)

    def nothing_is_open(self) -> bool:
        """Whether no share is at the broker, or on its way back from there."""
        return self.leaves == 0 and not self.open_children()
