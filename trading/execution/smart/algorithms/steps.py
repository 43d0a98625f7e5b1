"""What to do now in a plan of slices: release the slice's shares, take back what was not filled, ask for a
new plan. Pure and light: everything follows from the progress, so nothing is forgotten in a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.execution.smart.algorithm import Progress, Step
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice

PAUSES = 20
"""A slice has so many pauses: one is the longest wait for a cancel or a guard before looking again."""
FELL_SHORT = "fell short by"
"""In the cause of a plan that makes up for a shortfall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where `now` is in a plan: in slice number `index`, or before it (its start is still to come).

    before, upto: the plan's shares in all slices before it, and with it.
    """

    index: int
    slice: PlannedSlice
    before: int
    upto: int

    @property
    def pause(self) -> timedelta:
        return (self.slice.end - self.slice.start) / PAUSES

    @property
    def middle(self) -> datetime:
        """From here on what is still open may be priced closer to the market (`pricing`)."""
        return self.slice.start + (self.slice.end - self.slice.start) / 2


def place_of(plan: ExecutionPlan, now: datetime) -> Place | None:
    """Return the slice that `now` lies in, or the next one; None: there is none any more."""
    before = 0
    for index, planned in enumerate(plan.slices):
        if now < planned.end:
            return Place(index=index, slice=planned, before=before, upto=before + planned.quantity)
        before += planned.quantity
    return None


def unsent(progress: Progress) -> int:
    """Return the order's shares that are neither filled nor at the broker."""
    return max(0, progress.order.quantity - progress.filled - progress.leaves)


def done(progress: Progress) -> int:
    """Return the shares filled since the plan was made."""
    return progress.filled - progress.planned_from


def in_lots(progress: Progress, wanted: int) -> int:
    """Return `wanted` shares, from 0 to all that are unsent, in whole lots unless it is all of them."""
    most = unsent(progress)
    if wanted >= most:
        return most
    lot_size = progress.order.lot_size
    return max(0, wanted // lot_size * lot_size)


def is_behind(plan: ExecutionPlan) -> bool:
    """Whether a plan was made because the one before it fell short: it cannot wait for a better price."""
    return FELL_SHORT in plan.cause


def after_the_end(progress: Progress) -> Step:
    """Return what to do when no slice is left: nothing is sent, what is open is taken back."""
    return Step(
        wake_at=progress.now + timedelta(minutes=1),
        cancel=progress.leaves > 0,
        slice_index=max(0, len(progress.plan.slices) - 1),
    )


def rest(progress: Progress, place: Place) -> Step | None:
    """Return what to do before a slice or when nothing is left to do; None: there is work."""
    if progress.now < place.slice.start:
        return Step(wake_at=place.slice.start, cancel=progress.leaves > 0, slice_index=place.index)
    if progress.leaves == 0 and unsent(progress) == 0:
        return Step(wake_at=place.slice.end, slice_index=place.index)
    return None


def sliced_step(progress: Progress, *, is_repriced: bool = True) -> Step:
    """Return what to do now: release what the present slice still lacks.

    What an earlier slice has left open is cancelled; when nothing is open and the plan is behind (or ahead,
    by a late fill), a new one is asked for, over the intervals left: a shortfall is never sent at once.
    is_repriced: in the middle of a slice what is open is taken back, to be sent at a better price.
    """
    place = place_of(progress.plan, progress.now)
    if place is None:
        return after_the_end(progress)
    return rest(progress, place) or _put_right(progress, place) or _work(progress, place, is_repriced)


def _put_right(progress: Progress, place: Place) -> Step | None:
    """Return how to come back to the plan; None: it is kept so far."""
    index, wake_at = place.index, progress.now + place.pause
    short = place.before - done(progress)
    over = done(progress) + progress.leaves - place.upto
    if progress.leaves:
        return Step(wake_at=wake_at, cancel=True, slice_index=index) if short > 0 else None
    if short > 0:
        cause = f"slice {index} {FELL_SHORT} {shares(short)}"
        return Step(wake_at=wake_at, replan=cause, slice_index=index)
    if over > 0:
        cause = f"{shares(over)} more than planned were filled by slice {index + 1}"
        return Step(wake_at=wake_at, replan=cause, slice_index=index)
    return None


def _work(progress: Progress, place: Place, is_repriced: bool) -> Step:
    now, index = progress.now, place.index
    if is_repriced:
        step = reprice(progress, place)
        if step is not None:
            return step
    release = in_lots(progress, place.upto - done(progress) - progress.leaves)
    return Step(wake_at=next_look(now, place, release), release=release, slice_index=index)


def reprice(progress: Progress, place: Place) -> Step | None:
    """Return the cancel for the first pause of a slice's second half; None: it is not that time.

    A pause in which nothing is sent, rather than a moment: so the answer needs no memory of whether this has
    been done.
    """
    until = place.middle + place.pause
    if not place.middle <= progress.now < until:
        return None
    return Step(wake_at=until, cancel=progress.leaves > 0, slice_index=place.index)


def next_look(now: datetime, place: Place, release: int) -> datetime:
    """Return when to look again: soon if something should go out (a guard may have held it back), else at
    the middle or the end of the slice."""
    if release:
        return min(place.slice.end, now + place.pause)
    return place.middle if now < place.middle else place.slice.end


def shares(count: int) -> str:
    """Return "1 share", "2 shares"."""
    return f"{count:,} share" + ("" if count == 1 else "s")
