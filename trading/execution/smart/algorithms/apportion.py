"""Shares over intervals under caps: first as fractions, then as whole lots that lose nothing. Pure and
light."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

SizesOf = Callable[[int, list[int]], Sequence[float]]
"""From (lots, caps in lots) to the wanted lots of each interval: they sum to the first, none is above its
cap."""
_FUZZ = 1e-9


def water_fill(weights: Sequence[float], caps: Sequence[float], total: float) -> list[float]:
    """Return n_k = min(cap_k, mu weight_k) that sum to `total`, which the caps must have room for.

    It is what the cheapest schedule without risk looks like: even (or in proportion) wherever no cap binds.
    What intervals with a weight cannot hold goes to the others, the earliest first.
    """
    sizes = [0.0] * len(caps)
    left, weight = total, math.fsum(weights)
    for i in sorted((i for i, w in enumerate(weights) if w > 0), key=lambda i: caps[i] / weights[i]):
        sizes[i] = min(caps[i], left * min(1.0, weights[i] / weight) if weight > 0 else left)
        left -= sizes[i]
        weight -= weights[i]
    for i, size in enumerate(sizes):
        more = min(max(left, 0.0), caps[i] - size)
        sizes[i] += more
        left -= more
    return sizes


def fill_from_the_front(caps: Sequence[int], total: int) -> list[float]:
    """Return `total` placed as early as the caps allow."""
    sizes: list[float] = []
    left = total
    for cap in caps:
        sizes.append(min(cap, left))
        left -= min(cap, left)
    return sizes


def whole_slices(
    quantity: int, caps: Sequence[int], lot_size: int, least: int, sizes_of: SizesOf
) -> list[int] | None:
    """Return shares per interval that sum to `quantity`; None: no such slices exist.

    Each is 0 or at least `least`, at most its cap, and a whole number of lots, but for the last that is not
    empty: it takes the odd rest of an order that is not in whole lots.
    """
    lots, rest = divmod(quantity, lot_size)
    least_lots = max(1, -(-least // lot_size))

    def placed(room: list[int]) -> list[int] | None:
        if sum(room) < lots:
            return None
        return round_to_lots(sizes_of(lots, room) if lots else [0] * len(room), room, least_lots, lots)

    sizes = placed([cap // lot_size for cap in caps])
    if sizes is None or not rest:
        return None if sizes is None else [size * lot_size for size in sizes]
    return _with_rest(sizes, rest, caps, lot_size, least, placed)


def _with_rest(
    sizes: list[int],
    rest: int,
    caps: Sequence[int],
    lot_size: int,
    least: int,
    placed: Callable[[list[int]], list[int] | None],
) -> list[int] | None:
    """Return the slices in shares with the odd rest in the last that is not empty, or in one after it."""
    last = max((i for i, size in enumerate(sizes) if size), default=-1)
    shares = [size * lot_size for size in sizes]
    if last >= 0 and shares[last] + rest <= caps[last]:
        shares[last] += rest
        return shares
    after = next((i for i in range(last + 1, len(caps)) if caps[i] >= rest >= least), None)
    if after is not None:
        shares[after] = rest
        return shares
    for k in (k for k in range(last, -1, -1) if caps[k] >= rest):
        room = [(cap - (rest if i == k else 0)) // lot_size if i <= k else 0 for i, cap in enumerate(caps)]
        again = placed(room)
        if again is not None and again[k] * lot_size + rest >= least:
            return [size * lot_size + (rest if i == k else 0) for i, size in enumerate(again)]
    return None


def round_to_lots(targets: Sequence[float], caps: Sequence[int], least: int, total: int) -> list[int] | None:
    """Return whole lots near `targets` that sum to `total`, each 0 or within [least, cap]; None: impossible.

    The sum up to each interval is rounded, not each target: where caps allow, what has been traded is never
    more than half a slice of `least` away from what should have been. (Largest remainders would send the
    six lots of a small, even order in the first six of 78 intervals.)
    """
    if not _is_possible(caps, least, total):
        return None
    sizes, wanted, sent = [], 0.0, 0
    for target, cap in zip(targets, caps, strict=True):
        wanted += target
        size = math.floor(wanted + 0.5 + _FUZZ) - sent
        if size < least and wanted - sent >= least / 2 - _FUZZ:
            size = least
        size = min(size, cap, total - sent)
        sizes.append(size if size >= least else 0)
        sent += sizes[-1]
    return _topped_up(sizes, caps, least, total - sent) or _packed(caps, least, total)


def _is_possible(caps: Sequence[int], least: int, total: int) -> bool:
    return total == 0 or _fewest(caps, least, total) > 0


def _fewest(caps: Sequence[int], least: int, total: int) -> int:
    """Return the smallest number m of slices with m * least <= total <= the m largest caps; 0: none."""
    room = 0
    for m, cap in enumerate(sorted((cap for cap in caps if cap >= least), reverse=True), start=1):
        room += cap
        if m * least > total:
            return 0
        if total <= room:
            return m
    return 0


def _topped_up(sizes: list[int], caps: Sequence[int], least: int, missing: int) -> list[int] | None:
    """Return `sizes` with `missing` more lots, in slices that trade anyway where they have room."""
    sizes = list(sizes)
    for is_busy in (True, False):
        for i in reversed(range(len(sizes))):
            more = min(missing, caps[i] - sizes[i])
            if missing and bool(sizes[i]) == is_busy and sizes[i] + more >= least:
                sizes[i] += more
                missing -= more
    return None if missing else sizes


def _packed(caps: Sequence[int], least: int, total: int) -> list[int]:
    """Return `total` in the fewest slices, those with the largest caps: it exists when anything does."""
    fewest = _fewest(caps, least, total)
    chosen = sorted(range(len(caps)), key=lambda i: (-caps[i], i))[:fewest]
    sizes = [0] * len(caps)
    extra = total - least * fewest
    for i in sorted(chosen):
        more = min(extra, caps[i] - least)
        sizes[i] = least + more
        extra -= more
    return sizes
