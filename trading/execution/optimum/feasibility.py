"""Whether an order can be executed under its constraints, and if not, exactly why. Light.

A verdict never hangs on a float's last digit: floats decide only where they cannot err (`ample_caps`), all
else is arithmetic in fractions (`intervals.exactly`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from trading.execution.optimum.constraints import ScheduleConstraints
from trading.execution.optimum.intervals import exactly

Exact = int | Fraction
"""Shares: whole numbers where slices are whole lots."""
AMPLE = 1 + 1e-9
"""Caps that hold the order this many times do so whatever floats round: 1e-11 of it for 100,000 intervals."""
EXACT = 2**53
"""Whole numbers up to here are floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the order fits. reasons: in words, empty exactly when it does.

    executable: the most shares of the order that a legal schedule can execute; all of it if it fits.
    """

    executable: Exact
    reasons: tuple[str, ...]


def ample_caps(
    order_size: float, volumes: Sequence[float], constraints: ScheduleConstraints
) -> list[float] | None:
    """Return the caps in floats if they are the only limits and surely hold the order; None: ask `judge`.

    They are those of `caps_of` in floats, to the last digit where volumes are whole, else within a rounding.
    Its fractions take twenty times as long.
    """
    rate = exactly(constraints.max_participation_rate)
    if rate.denominator > EXACT or not constraints.are_caps_alone or len(volumes) < constraints.min_intervals:
        return None
    # 0.29 * 100 is 28.999999999999996, but 100 * 29 / 100 is 29.
    top, bottom, most = float(rate.numerator), float(rate.denominator), constraints.max_slice_size
    caps = [volume * top / bottom for volume in volumes]
    if most < math.inf:
        caps = [min(cap, most) for cap in caps]
    return caps if order_size * AMPLE <= sum(caps) < math.inf else None


def caps_of(volumes: Sequence[float], constraints: ScheduleConstraints) -> list[Exact]:
    """Return the most shares each interval may trade: min(rate * volume, max_slice_size), in whole lots.

    volumes: expected market volume of each interval [shares], finite and not negative; 0: a halt.
    """
    rate, lot = exactly(constraints.max_participation_rate), constraints.lot_size
    most = exactly(constraints.max_slice_size) if constraints.max_slice_size < math.inf else None

    def cap_of(volume: float) -> Exact:
        cap = rate * exactly(volume)
        if most is not None:
            cap = min(cap, most)
        return cap if lot is None else cap // lot * lot

    caps = {volume: cap_of(volume) for volume in set(volumes)}
    return [caps[volume] for volume in volumes]


def least_slice(constraints: ScheduleConstraints) -> Exact:
    """Return the smallest slice that is not empty [shares]: min_slice_size, rounded up to whole lots."""
    least = exactly(constraints.min_slice_size)
    lot = constraints.lot_size
    return least if lot is None else max(1, -(-least // lot)) * lot


def judge(order_size: float, caps: Sequence[Exact], constraints: ScheduleConstraints) -> Verdict:
    """Return whether `order_size` shares fit into intervals of these `caps` (from `caps_of`).

    With j slices the executable sizes are exactly those from j * min_slice to the sum of the j largest
    caps (sizes between can be had by moving single shares or lots). So the order fits if and only if the
    fewest slices that can carry it are allowed, and are not too many for their least size.
    """
    order: Exact = exactly(order_size)
    reasons = _odd_lot(order, constraints)
    if constraints.lot_size is not None:
        order = order // constraints.lot_size * constraints.lot_size
    if len(caps) < constraints.min_intervals:
        reasons.append(
            f"the horizon has {len(caps)} intervals: min_intervals asks for at least "
            f"{constraints.min_intervals}"
        )
    executable, misfits = _fit(order, caps, constraints)
    return Verdict(executable=executable, reasons=(*reasons, *misfits))


def _odd_lot(order: Exact, constraints: ScheduleConstraints) -> list[str]:
    if constraints.lot_size is None or order % constraints.lot_size == 0:
        return []
    return [
        f"order_size {said(order)} is not a whole number of lots of {constraints.lot_size}: "
        f"{said(order % constraints.lot_size)} shares would be left"
    ]


def _fit(order: Exact, caps: Sequence[Exact], constraints: ScheduleConstraints) -> tuple[Exact, list[str]]:
    """Return what of `order` (whole lots) can be executed, and why not all of it (nothing if all)."""
    least = least_slice(constraints)
    usable = sorted((cap for cap in caps if cap > 0 and cap >= least), reverse=True)
    sums: list[Exact] = [0, *accumulate(usable)]
    allowed = min(len(usable), constraints.max_children or len(usable))
    carriers = next((j for j, total in enumerate(sums) if total >= order), None)
    if carriers is not None and carriers <= allowed:
        if carriers * least <= order:
            return order, []
        # Before the carriers the sums lie below the order, and so do the least sizes (no cap is smaller).
        return sums[carriers - 1], [_gap(order, sums, carriers, least)]
    reasons = [] if carriers is not None else [_capacity_short(order, caps, usable, constraints)]
    if allowed < len(usable):
        reasons.append(_too_few_children(order, sums, carriers, allowed))
    return sums[allowed], reasons


def _capacity_short(
    order: Exact, caps: Sequence[Exact], usable: Sequence[Exact], constraints: ScheduleConstraints
) -> str:
    total = sum(usable)
    traded = sum(1 for cap in caps if cap > 0)
    lots = f" in whole lots of {constraints.lot_size}" if constraints.lot_size else ""
    text = (
        f"capacity is short by {said(order - total)} shares: {_counted(len(caps), 'interval takes')} at most "
        f"{said(total)} of {said(order)}{lots}"
    )
    thin = traded - len(usable)
    if thin:
        text += (
            f"; {thin} of them {'takes' if thin == 1 else 'take'} less than min_slice_size "
            f"{said(exactly(constraints.min_slice_size))} and stay{'s' if thin == 1 else ''} empty"
        )
    return text


def _too_few_children(order: Exact, sums: Sequence[Exact], carriers: int | None, allowed: int) -> str:
    needed = "" if carriers is None else f"; at least {carriers} are needed"
    slices = "the largest slice takes" if allowed == 1 else f"the {allowed} largest slices take"
    return (
        f"max_children is {allowed}: {slices} at most {said(sums[allowed])} of {said(order)} shares, "
        f"{said(order - sums[allowed])} short{needed}"
    )


def _gap(order: Exact, sums: Sequence[Exact], carriers: int, least: Exact) -> str:
    fewer = carriers - 1
    below = f"{_counted(fewer, 'slice takes')} at most {said(sums[fewer])}, " if fewer else ""
    return (
        f"no number of slices fits {said(order)} shares: {below}{_counted(carriers, 'slice takes')} at least "
        f"{said(carriers * least)}"
    )


def _counted(count: int, one_takes: str) -> str:
    """Return "1 slice takes" or "2 slices take"."""
    return f"1 {one_takes}" if count == 1 else f"{count} {one_takes.replace(' takes', 's take')}"


def said(number: Exact) -> str:
    """Return `number` as a person writes it: whole, or as the shortest decimal of its float."""
    if number.denominator == 1 and -EXACT <= number <= EXACT:
        return str(number.numerator)
    return repr(float(number)).removesuffix(".0")
