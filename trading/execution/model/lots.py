"""Fractional slices become whole lots, and not a share is lost. Pure and light: standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

from trading.execution.checking import not_negative, positive, whole

_TIE = 6
"""Decimals of a lot that count: below lie the roundings of float arithmetic, which must not break a tie."""


@overload
def whole_lots(
    sizes: Sequence[float], total: int, lot_size: int, caps: Sequence[float] | None = None
) -> list[int]: ...
@overload
def whole_lots(
    sizes: Sequence[float], total: float, lot_size: int, caps: Sequence[float] | None = None
) -> list[float]: ...
def whole_lots(
    sizes: Sequence[float], total: float, lot_size: int, caps: Sequence[float] | None = None
) -> list[float] | list[int]:
    """Return slices of whole lots that sum to `total` exactly, as near to the proportions of `sizes` as
    lots allow (largest remainder; ties go to the earliest).

    sizes: shape (N,), from 0 up, not all 0; a slice of 0 stays empty. total [shares]; what is left of it
    beyond whole lots goes to the last slice that is not empty. caps: shape (N,), most shares of each slice,
    infinity for none: what goes beyond one is moved to slices with room, first to those with a size, then
    to empty ones. If whole lots within the caps cannot hold `total` it is still placed, beyond them: the
    total comes first, so a caller for whom the caps are law compares the slices with them.

    Raises:
        ValueError: naming the argument, its value and what was expected.
    """
    positive("total", total)
    lot = whole("lot_size", lot_size, 1)
    weights = [not_negative(f"sizes[{i}]", size) for i, size in enumerate(sizes)]
    if not any(weights):
        raise ValueError(f"sizes is {sizes!r}: expected at least one size above 0")
    limits = _limits(caps, len(weights), total)
    lots = int(total) // lot
    room = [int(limit) // lot for limit in limits]
    placed = _placed(lots, weights, room)
    rest = total - lots * lot
    odd = _place_of_rest(rest, [count * lot for count in placed], weights, limits) if rest else -1
    return [count * lot + (rest if i == odd else 0) for i, count in enumerate(placed)]


def _limits(caps: Sequence[float] | None, n: int, total: float) -> list[float]:
    """Return the caps, none above `total`."""
    if caps is None:
        return [total] * n
    if len(caps) != n:
        raise ValueError(f"caps has {len(caps)} values: expected {n}, one for each of sizes")
    return [
        total if cap == math.inf else min(total, not_negative(f"caps[{i}]", cap))
        for i, cap in enumerate(caps)
    ]


def _placed(lots: int, weights: list[float], room: list[int]) -> list[int]:
    """Return lots per slice: by weight within the room; then wherever there is room; then by weight."""
    placed, left = _fill(lots, weights, room)
    for others, free in (
        (list(map(float, room)), [r - p for r, p in zip(room, placed, strict=True)]),
        (weights, [left] * len(room)),
    ):
        more, left = _fill(left, others, free)
        placed = [p + m for p, m in zip(placed, more, strict=True)]
    return placed


def _fill(lots: int, weights: list[float], room: list[int]) -> tuple[list[int], int]:
    """Return (lots given to each slice, lots left when no slice with a weight has room)."""
    given = [0] * len(weights)
    while lots:
        free = [r - g for r, g in zip(room, given, strict=True)]
        live = [w if f > 0 else 0.0 for w, f in zip(weights, free, strict=True)]
        if not any(live):
            break
        # Each turn either places every lot or fills a slice, so there are at most N of them.
        more = _largest_remainder(lots, live, free)
        given = [g + m for g, m in zip(given, more, strict=True)]
        lots -= sum(more)
    return given, lots


def _largest_remainder(lots: int, weights: list[float], room: list[int]) -> list[int]:
    """Return at most `lots` shared by weight, none beyond its room."""
    scale = math.fsum(weights)
    quotas = [lots * (weight / scale) for weight in weights]
    counts = [min(int(quota), r) for quota, r in zip(quotas, room, strict=True)]
    excess = sum(counts) - lots
    if excess > 0:  # beyond 2^53 lots a quota is rounded, up or down
        counts[counts.index(max(counts))] -= excess
    open_ = [i for i, weight in enumerate(weights) if weight > 0 and counts[i] < room[i]]
    open_.sort(key=lambda i: (-round(quotas[i] - counts[i], _TIE), i))
    for i in open_[: lots - sum(counts)]:
        counts[i] += 1
    return counts


def _place_of_rest(rest: float, placed: list[int], weights: list[float], limits: list[float]) -> int:
    """Return the slice that takes the odd rest: the last that is not empty, within its cap if one can."""
    fits = [i for i, shares in enumerate(placed) if shares + rest <= limits[i]]
    busy = [i for i, shares in enumerate(placed) if shares]
    if busy:
        return max(set(busy) & set(fits) or fits or busy)
    # Less than one lot in all: one slice, the one that asked for most.
    return max(fits or range(len(placed)), key=lambda i: (weights[i], -i))
