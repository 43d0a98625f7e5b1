"""What a plan tells a person: why an order cannot be done, and what to doubt. Pure and light."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.facts import MarketFacts
from trading.execution.model.calibration import FAR
from trading.execution.model.impact import athl_temporary_mean_bps
from trading.execution.orders import ParentOrder
from trading.execution.smart.algorithm import PlanRequest
from trading.execution.smart.planning import EARLY_CLOSE_VOLUME, Interval, params_of, share_of

LARGE = 0.10
"""Share of a day's volume from which an order is called large: the model was never fitted far beyond."""
LEAST_DOUBT_BPS = 1.0
"""Two laws that differ by less are not worth a warning."""


def why_not(request: PlanRequest, intervals: Sequence[Interval]) -> str:
    """Return why the quantity does not fit into the intervals, with the numbers that would help."""
    order, quantity = request.order, request.quantity
    until = f"{request.end:%Y-%m-%d %H:%M} UTC"
    if not intervals:
        return f"nothing trades between {request.start:%Y-%m-%d %H:%M} and {until}"
    room = capacity(intervals, order.lot_size)
    if room >= quantity:
        return _why_no_pattern(order, quantity, intervals, until)
    volume = sum(interval.volume for interval in intervals)
    lots = "" if order.lot_size == 1 else f" in lots of {order.lot_size}"
    return (
        f"short by {quantity - room:,} shares by {until}: {order.max_participation:.4g} of the {volume:,.0f} "
        f"shares expected there is room for {room:,}{lots}, the order has {quantity:,}; "
        f"{_what_would_fit(request, intervals)}"
    )


def _why_no_pattern(order: ParentOrder, quantity: int, intervals: Sequence[Interval], until: str) -> str:
    cap = max(interval.cap for interval in intervals)
    return (
        f"{quantity:,} shares cannot be made of slices of 0 or {order.min_slice:,} (min_slice) to at most "
        f"{cap:,} shares in lots of {order.lot_size} by {until}; lower min_slice, change the quantity or "
        f"allow more time"
    )


def _what_would_fit(request: PlanRequest, intervals: Sequence[Interval]) -> str:
    order, quantity = request.order, request.quantity
    per_day = share_of(order.max_participation, request.facts.daily_volume)
    days = f"at {order.max_participation:.4g} it needs {quantity / per_day:.2f} days" if per_day else ""
    for permille in range(max(1, int(order.max_participation * 1000)), 1001):
        room = capacity(intervals, order.lot_size, permille / 1000)
        if room >= quantity:
            return f"it would fit at max_participation {permille / 1000:g}" + (days and f"; {days}")
    return "it would not fit at any rate" + (days and f"; {days}")


def capacity(intervals: Sequence[Interval], lot_size: int, rate: float | None = None) -> int:
    """Return the shares that fit under the caps in whole lots. rate: instead of the intervals' own caps."""
    caps = [share_of(rate, i.volume) if rate is not None else i.cap for i in intervals]
    return sum(cap // lot_size * lot_size for cap in caps)


def doubts(request: PlanRequest, intervals: Sequence[Interval], sizes: Sequence[int]) -> list[str]:
    """Return what a person should know of a plan's numbers."""
    facts, found = request.facts, []
    sources = dict(facts.sources)
    part = request.quantity / facts.daily_volume
    if part >= LARGE:
        found.append(f"the order is {part:.1%} of a day's volume: the model says little about such sizes")
    if request.hours.is_early_close:
        found.append(
            f"the session closes early: {EARLY_CLOSE_VOLUME:.0%} of a usual day's volume is expected"
        )
    if "default" in sources.get("profile", ""):
        found.append(f"the volume curve is not this symbol's own: {sources['profile']}")
    if "assumed" in sources.get("spread", ""):
        found.append(f"the spread is {sources['spread']}")
    if "age" in sources:
        found.append(f"the facts are {sources['age']}")
    return found + _impact_doubt(facts, intervals, sizes)


def _impact_doubt(facts: MarketFacts, intervals: Sequence[Interval], sizes: Sequence[int]) -> list[str]:
    """Say when this plan's temporary cost is far from the empirical law's for the same shares and time."""
    busy = [(interval, size) for interval, size in zip(intervals, sizes, strict=True) if size]
    total = sum(size for _, size in busy)
    if not total:
        return []
    eta = params_of(facts).eta
    linear = 1e4 * sum(eta / i.days * size * size for i, size in busy) / (total * facts.price)
    days = sum(interval.days for interval, _ in busy)
    empirical = athl_temporary_mean_bps(total, facts.daily_volume, facts.daily_volatility, days)
    low, high = sorted((linear, empirical))
    if high <= FAR * low or high - low < LEAST_DOUBT_BPS:
        return []
    return [
        f"the temporary impact is {linear:.1f} bp by the linear rule, which the plan's cost is made of, and "
        f"{empirical:.1f} bp by the empirical law (Almgren, Thum, Hauptmann, Li 2005)"
    ]
