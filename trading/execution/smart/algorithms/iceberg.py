"""iceberg: little is shown at a time, and shown anew when it is filled. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from trading.execution.orders import ParentOrder
from trading.execution.smart.algorithm import PlanRequest, Progress, Step
from trading.execution.smart.algorithms.sliced import infeasible, plan_slices
from trading.execution.smart.algorithms.steps import sliced_step
from trading.execution.smart.algorithms.vwap import by_volume
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.smart.planning import SLICE

SHOWN = 0.10
"""Part of the order shown at a time when it says nothing else."""
SHOWN_OF_SLICE = 0.25
"""And at most this part of its largest slice: one that shows a whole slice hides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Iceberg:
    """Works slices in proportion to expected volume with one child of at most `plan.display` shares at a
    time; the next one follows when it is filled, until the slice has its shares."""

    name: str = "iceberg"
    slice_length: timedelta = SLICE

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        plan = plan_slices(request, self.name, by_volume, self.slice_length)
        largest = max((planned.quantity for planned in plan.slices), default=0)
        display = display_of(request.order, largest)
        if display < request.order.lot_size and display < request.quantity:
            return infeasible(
                request,
                self.name,
                f"display_size {display} is less than one lot of {request.order.lot_size}: none can be shown",
            )
        return replace(plan, display=display)

    def step(self, progress: Progress) -> Step:
        step = sliced_step(progress)
        shown = 0 if progress.leaves else min(step.release, progress.plan.display or 0)
        if shown < step.release and shown > progress.order.lot_size:
            shown -= shown % progress.order.lot_size
        return replace(step, release=shown)


def display_of(order: ParentOrder, largest: int) -> int:
    """Return the most shares shown at a time: the order's own size, else a tenth of it and at most a quarter
    of its largest slice, in whole lots, at least one lot."""
    if order.display_size is not None:
        return order.display_size
    shown = int(min(order.quantity * SHOWN, largest * SHOWN_OF_SLICE))
    return max(order.lot_size, shown // order.lot_size * order.lot_size)


ICEBERG = Iceberg()
