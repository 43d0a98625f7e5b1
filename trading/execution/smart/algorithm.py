"""What an algorithm promises: a plan before the start, and at any instant what to do next. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading.execution.facts import MarketFacts
from trading.execution.markets.market import Quote
from trading.execution.orders import ParentOrder
from trading.execution.smart.plan import Choice, ExecutionPlan, SessionHours


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the day has been like so far, against what was expected of it; each None until it can be told.

    volume_ratio: traded over expected volume since the work began. spread_ratio: quoted spread now over
    the facts'. volatility_ratio: realised over expected volatility since the work began.
    """

    volume_ratio: float | None = None
    spread_ratio: float | None = None
    volatility_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What a plan is made from. quantity: shares still to be planned (not filled, not at the broker);
    start, end: the horizon left, within the session. number, cause: of the plan to be made.
    conditions: None for the first plan; previous: the plan it replaces, None for the first."""

    order: ParentOrder
    facts: MarketFacts
    hours: SessionHours
    choice: Choice
    quantity: int
    start: datetime
    end: datetime
    now: datetime
    number: int = 1
    cause: str = "first plan"
    conditions: Conditions | None = None
    previous: ExecutionPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a parent is, at `now`.

    filled: shares of all its fills. leaves: shares at the broker that may still fill. planned_from: the
    parent's filled shares when `plan` was made (they are not part of it). market_volume: shares traded in
    the market since work began (arrived_at).
    """

    order: ParentOrder
    plan: ExecutionPlan
    now: datetime
    filled: int
    leaves: int
    planned_from: int
    market_volume: int
    quote: Quote
    conditions: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now. release: shares to send now (the executor's guards may lower it). cancel: first
    cancel what is open (nothing is released before that is confirmed). replan: cause of a new plan for
    all that is neither filled nor open, None: keep this one. slice_index: the slice this belongs to.
    wake_at: look again then at the latest; a report wakes earlier."""

    wake_at: datetime
    release: int = 0
    cancel: bool = False
    replan: str | None = None
    slice_index: int = 0


class Algorithm(Protocol):
    """One way to work an order. Lives in one file of `algorithms/`, is named in `ALGORITHMS`. Pure: no
    clock, no state."""

    @property
    def name(self) -> str: ...

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        """Return the plan; an infeasible one says why. Never a slice beyond a cap, never shares lost:
        slices sum to `request.quantity`. A plan that replaces another and has too little room left plans
        what fits: its quantity is less, its reasons say by how much. Raises ValueError for impossible
        arguments only."""
        ...

    def step(self, progress: Progress) -> Step:
        """Return what to do now. Asked again with the same progress it gives the same answer."""
        ...
