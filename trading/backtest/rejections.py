"""What did not happen, and why: no order is dropped without a word."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from trading.backtest.signals import Signal


class Reason(Enum):
    """Why an order, or the rest of it, was not filled."""

    CAPITAL = "it costs more than the capital that is available"
    SHORTING = "it would sell shares that are not held, and shorting is off"
    EXPIRED = "its bars have passed"
    NO_MORE_BARS = "its symbol has no further bar"
    STOPPED = "its strategy has been stopped"
    TOO_SMALL = "what its size leaves after fees is less than can be traded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An order that was not filled. row: the instant it was refused at. requested: what it would have cost;
    allocated, used, available: the capital then. All in cash; requested is 0 where it plays no part."""

    row: int
    symbol: str
    signal: Signal
    reason: Reason
    requested: float
    allocated: float
    used: float
    available: float
