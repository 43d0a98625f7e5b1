"""market: everything at once, for orders too small to matter. Pure and light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from trading.execution.smart.algorithm import PlanRequest, Progress, Step
from trading.execution.smart.algorithms.apportion import fill_from_the_front
from trading.execution.smart.algorithms.sliced import Division, infeasible, plan_slices
from trading.execution.smart.algorithms.steps import sliced_step
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.smart.planning import SLICE


def as_early_as_possible(given: Division) -> Sequence[float]:
    return fill_from_the_front(given.caps, given.lots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Sends all of the order in its first slice, if that slice's cap has room for it.

    A first plan that would need a second slice is infeasible: that would not be a market order. What the
    market did not fill goes as early as the caps allow.
    """

    name: str = "market"
    slice_length: timedelta = SLICE

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        plan = plan_slices(request, self.name, as_early_as_possible, self.slice_length, longer=(1,))
        if request.previous is None and any(planned.quantity for planned in plan.slices[1:]):
            first = plan.slices[0]
            return infeasible(
                request,
                self.name,
                f"{request.quantity:,} shares cannot go at once: by {first.end:%H:%M} UTC there is room for "
                f"{first.quantity:,} ({request.order.max_participation:.4g} of the volume expected); use "
                f"an algorithm that spreads them, or 'auto'",
            )
        return plan

    def step(self, progress: Progress) -> Step:
        return sliced_step(progress, is_repriced=False)


MARKET = Market()
