"""An execution plan: what will be sent and when, what it should cost and risk, and why it is done so.
Light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from trading.execution.orders import check_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHours:
    """One trading day of the exchange: aware UTC; `close` is the early one on a half day.

    pauses: lunch breaks, [start, end) each.
    """

    day: date
    open: datetime
    close: datetime
    is_early_close: bool = False
    pauses: tuple[tuple[datetime, datetime], ...] = ()

    def __post_init__(self) -> None:
        check_instant("open", self.open)
        check_instant("close", self.close)
        if self.open >= self.close:
            raise ValueError(f"close is {self.close}: expected later than the open {self.open}")

    def is_open(self, at: datetime) -> bool:
        """Whether orders may be worked at `at`."""
        return self.open <= at < self.close and not any(start <= at < end for start, end in self.pauses)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlice:
    """Shares to trade within [start, end). expected_volume: of the whole market there [shares]."""

    start: datetime
    end: datetime
    quantity: int
    expected_volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which algorithm was taken and by which rule; numbers: what the rule looked at, by name."""

    algorithm: str
    rule: str
    numbers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """How one parent order will be worked. Made before anything is sent; every re-plan is a new one.

    number: 1 for the first. cause: why it was made ("first plan", "slice 3 fell short by 120 shares").
    algorithm: what the order's type stays; inner: what works it now (adaptive switches it). quantity:
    shares this plan is for (all that are neither filled nor at the broker). slices: in time order, empty
    for an infeasible plan. display: most shares shown at a time, None: no limit. rate: POV's share of
    volume, None for others. expected_cost [$], variance [$^2] of this plan's quantity against its first
    price; expected_cost_bps against price * quantity. profile: where the volume curve is from.
    is_feasible: False: `reasons` says why, in words, and nothing may be sent. warnings: what a person
    should know. already_filled: the parent's filled shares when it was made (set by the planner).
    """

    parent_id: str
    number: int
    made_at: datetime
    cause: str
    algorithm: str
    inner: str
    choice: Choice
    quantity: int
    slices: tuple[PlannedSlice, ...]
    expected_cost: float
    variance: float
    expected_cost_bps: float
    price: float
    profile: str
    display: int | None = None
    rate: float | None = None
    is_feasible: bool = True
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    already_filled: int = 0

    @property
    def end(self) -> datetime:
        """The end of the last slice. Raises IndexError for an infeasible plan."""
        return self.slices[-1].end
