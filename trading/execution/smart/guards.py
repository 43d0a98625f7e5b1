"""The last checks before shares leave: whatever an algorithm wants, these hold. Pure and light."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """What may be sent. quantity: shares, 0: nothing. reason: which guard lowered it, empty: none did."""

    quantity: int
    reason: str = ""


def allowed_release(
    wanted: int,
    *,
    unsent: int,
    lot_size: int,
    max_participation: float,
    done: int,
    market_volume: int,
    expected_volume: float,
) -> Release:
    """Return how many of `wanted` shares may be sent now.

    unsent: shares neither filled nor open. done: shares filled and open. market_volume: traded by
    everybody since work began; expected_volume: expected by the end of the present slice. Own shares stay
    within max_participation of both together. Whole lots, but for the order's odd rest.
    """
    if wanted <= 0 or unsent <= 0:
        return Release(0, "nothing is left to send" if unsent <= 0 else "")
    room = math.floor(max_participation * (market_volume + expected_volume) + 1e-9) - done
    quantity = min(wanted, unsent, room)
    if quantity <= 0:
        return Release(0, f"participation: {done} shares done of {market_volume} traded")
    if quantity < unsent:
        quantity -= quantity % lot_size
    if quantity <= 0:
        return Release(0, f"less than a lot of {lot_size} is allowed now")
    return Release(quantity, "" if quantity >= wanted else "participation, lots or the rest of the order")
