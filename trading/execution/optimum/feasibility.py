"""Whether an order can be executed under its constraints, and if not, exactly why. Light.

All arithmetic is in fractions (`intervals.exactly`): a verdict never hangs on a float's last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.intervals import exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the order fits. reasons: in words, empty exactly when it does.

    executable: the most shares of the order that a legal schedule can execute; all of it if it fits.
    """

    executable: Fraction
    reasons: tuple[str, ...]


def caps_of(volumes: Sequence[float], constraints: ScheduleConstraints) -> list[Fraction]:
    """Return the most shares each interval may trade: min(rate * volume, max_slice_size), in whole lots.

    volumes: expected market volume of each interval [shares], finite and not negative; 0: a halt.
    """
    rate = exactly(constraints.max_participation_rate)
    caps = [rate * exactly(volume) for volume in volumes]
    if constraints.max_slice_size != float("inf"):
        most = exactly(constraints.max_slice_size)
        caps = [min(cap, most) for cap in caps]
    if constraints.lot_size is not None:
        lot = constraints.lot_size
        caps = [Fraction(cap // lot * lot) for cap in caps]
    return caps


def least_slice(constraints: ScheduleConstraints) -> Fraction:
    """Return the smallest slice that is not empty [shares]: min_slice_size, rounded up to whole lots."""
    least = exactly(constraints.min_slice_size)
    if constraints.lot_size is None:
        return least
    return Fraction(max(1, -(-least // constraints.lot_size)) * constraints.lot_size)


def judge(order_size: float, caps: Sequence[Fraction], constraints: ScheduleConstraints) -> Verdict:
    """Return whether `order_size` shares fit into intervals of these `caps` (from `caps_of`).

    With j slices the executable sizes are exactly those from j * min_slice to the sum of the j largest
    caps (sizes between can be had by moving single shares or lots). So the order fits if and only if the
    fewest slices that can carry it are allowed, and are not too many for their least size.
    """
    order = exactly(order_size)
    reasons = _odd_lot(order, constraints)
    if constraints.lot_size is not None:
        order = Fraction(order // constraints.lot_size * constraints.lot_size)
    if len(caps) < constraints.min_intervals:
        reasons.append(
            f"the horizon has {len(caps)} intervals: min_intervals asks for at least "
            f"{constraints.min_intervals}"
        )
    executable, reason = _fit(order, caps, constraints)
    return Verdict(executable=executable, reasons=(*reasons, *([reason] if reason else [])))


def _odd_lot(order: Fraction, constraints: ScheduleConstraints) -> list[str]:
    if constraints.lot_size is None or order % constraints.lot_size == 0:
        return []
    return [
        f"order_size {said(order)} is not a whole number of lots of {constraints.lot_size}: "
        f"{said(order % constraints.lot_size)} shares would be left"
    ]


def _fit(order: Fraction, caps: Sequence[Fraction], constraints: ScheduleConstraints) -> tuple[Fraction, str]:
    """Return what of `order` (whole lots) can be executed, and why not all of it ("" if all)."""
    least = least_slice(constraints)
    usable = sorted((cap for cap in caps if cap > 0 and cap >= least), reverse=True)
    sums = [Fraction(0), *accumulate(usable)]
    allowed = min(len(usable), constraints.max_children or len(usable))
    carriers = next((j for j, total in enumerate(sums) if total >= order), None)
    if carriers is None:
        reason = _capacity_short(order, caps, usable, constraints)
    elif carriers > allowed:
        reason = _too_few_children(order, sums, carriers, allowed)
    elif carriers * least > order:
        reason = _gap(order, sums, carriers, least)
    else:
        return order, ""
    # Before the carriers the sums lie below the order, and so do the least sizes (the caps are no smaller).
    most = sums[allowed] if carriers is None or carriers > allowed else sums[carriers - 1]
    return most, reason


def _capacity_short(
    order: Fraction, caps: Sequence[Fraction], usable: Sequence[Fraction], constraints: ScheduleConstraints
) -> str:
    total = sum(usable, Fraction(0))
    traded = sum(1 for cap in caps if cap > 0)
    text = (
        f"capacity is short by {said(order - total)} shares: {len(caps)} intervals take at most "
        f"{said(total)} of {said(order)}"
    )
    if traded > len(usable):
        text += (
            f"; {traded - len(usable)} of them take less than min_slice_size "
            f"{said(exactly(constraints.min_slice_size))} and stay empty"
        )
    return text


def _too_few_children(order: Fraction, sums: Sequence[Fraction], carriers: int, allowed: int) -> str:
    return (
        f"max_children is {allowed}: the {allowed} largest slices take at most {said(sums[allowed])} of "
        f"{said(order)} shares, {said(order - sums[allowed])} short; at least {carriers} are needed"
    )


def _gap(order: Fraction, sums: Sequence[Fraction], carriers: int, least: Fraction) -> str:
    fewer = f"{_slices(carriers - 1)} at most {said(sums[carriers - 1])}, " if carriers > 1 else ""
    return (
        f"no number of slices fits {said(order)} shares: {fewer}{_slices(carriers)} at least "
        f"{said(carriers * least)}"
    )


def _slices(count: int) -> str:
    return "1 slice takes" if count == 1 else f"{count} slices take"


def said(number: Fraction) -> str:
    """Return `number` as a person writes it: whole, or as the shortest decimal of its float."""
    return str(number.numerator) if number.denominator == 1 else repr(float(number))
