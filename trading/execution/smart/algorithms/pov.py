"""pov: a fixed share of what the market really trades. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from trading.execution.smart.algorithm import PlanRequest, Progress, Step
from trading.execution.smart.algorithms.market import as_early_as_possible
from trading.execution.smart.algorithms.sliced import plan_slices
from trading.execution.smart.algorithms.steps import (
    Place,
    after_the_end,
    in_lots,
    place_of,
    reprice,
    rest,
    unsent,
)
from trading.execution.smart.plan import ExecutionPlan
from trading.execution.smart.planning import SLICE, share_of

CHUNKS = 10
"""A slice's shares go in about so many children: following each trade would send single shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pov:
    """Follows the market's volume with max_participation as its rate; its plan says how that goes if volume
    comes as expected. It never catches up and is never planned anew: the volume leads."""

    name: str = "pov"
    slice_length: timedelta = SLICE

    def plan(self, request: PlanRequest) -> ExecutionPlan:
        plan = plan_slices(request, self.name, as_early_as_possible, self.slice_length)
        return replace(plan, rate=request.order.max_participation)

    def step(self, progress: Progress) -> Step:
        """Release the rate of all volume so far, less what is filled or open; in each slice's middle take
        back what is open."""
        place = place_of(progress.plan, progress.now)
        if place is None:
            return after_the_end(progress)
        return rest(progress, place) or reprice(progress, place) or self._follow(progress, place)

    def _follow(self, progress: Progress, place: Place) -> Step:
        order, now = progress.order, progress.now
        rate = order.max_participation if progress.plan.rate is None else progress.plan.rate
        room = share_of(rate, progress.market_volume) - progress.filled - progress.leaves
        chunk = max(order.lot_size, order.min_slice, place.slice.quantity // CHUNKS)
        release = in_lots(progress, room) if room >= min(chunk, unsent(progress)) else 0
        wake_at = min(place.slice.end, now + place.pause)
        return Step(wake_at=wake_at, release=release, slice_index=place.index)


POV = Pov()
