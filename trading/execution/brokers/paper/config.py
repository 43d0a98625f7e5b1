"""How the paper broker behaves: its share of volume, fees, and what goes wrong. Pure and light."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from trading.execution.checking import finite, whole
from trading.execution.markets.traded import check_amount

_RATES = (
    "reject_rate",
    "late_reject_rate",
    "unclear_arrived_rate",
    "unclear_lost_rate",
    "duplicate_rate",
    "reorder_rate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperConfig:
    """Settings of the paper broker. By default nothing goes wrong and nothing is late.

    max_share_of_bar: all own orders of a symbol together get at most this share of a bar's volume, in (0,
    1]. fee_per_share [$], minimum_fee [$ per order that was filled at all]. opening_cash [$],
    opening_positions [shares by symbol, short ones negative]: what the account began with.

    The rest is drawn from `seed`, for each order and purpose by itself (`draw`): neither the order of calls
    nor a restart changes it. least_latency, most_latency: of an order, a cancel and a report on its way,
    drawn evenly. Rates are probabilities, from 0 to 1: reject_rate: submit is refused. late_reject_rate: it
    is taken and refused by a report. unclear_arrived_rate, unclear_lost_rate: submit's answer is lost
    (SubmitUnclear), the order arrived or did not. duplicate_rate: a report comes twice. reorder_rate: a
    report is up to `reorder_delay` late, so that others overtake it.
    """

    seed: int = 0
    max_share_of_bar: float = 0.10
    fee_per_share: Decimal = Decimal(0)
    minimum_fee: Decimal = Decimal(0)
    opening_cash: Decimal = Decimal(0)
    opening_positions: Mapping[str, int] = field(default_factory=dict)
    least_latency: timedelta = timedelta()
    most_latency: timedelta = timedelta()
    reject_rate: float = 0.0
    late_reject_rate: float = 0.0
    unclear_arrived_rate: float = 0.0
    unclear_lost_rate: float = 0.0
    duplicate_rate: float = 0.0
    reorder_rate: float = 0.0
    reorder_delay: timedelta = timedelta(seconds=90)

    def __post_init__(self) -> None:
        if not 0 < finite("max_share_of_bar", self.max_share_of_bar) <= 1:
            raise ValueError(f"max_share_of_bar is {self.max_share_of_bar!r}: expected above 0, at most 1")
        for name in _RATES:
            if not 0 <= finite(name, getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected from 0 to 1")
        for name in ("fee_per_share", "minimum_fee"):
            check_amount(name, getattr(self, name))
        check_amount("opening_cash", abs(self.opening_cash))
        for symbol, quantity in self.opening_positions.items():
            whole(f"opening_positions[{symbol!r}]", quantity, -(10**12))
        if not timedelta() <= self.least_latency <= self.most_latency:
            raise ValueError(
                f"most_latency is {self.most_latency}: expected at least least_latency, "
                f"and that ({self.least_latency}) from 0 up"
            )
        if self.reorder_delay < timedelta():
            raise ValueError(f"reorder_delay is {self.reorder_delay}: expected from 0 up")

    @property
    def longest_delay(self) -> timedelta:
        """No report is later than this after what it reports, a duplicate included."""
        return self.most_latency + 2 * self.reorder_delay

    def draw(self, key: str, purpose: str) -> float:
        """Return a number in [0, 1) that belongs to this seed, key and purpose for ever."""
        return random.Random(f"{self.seed}|{purpose}|{key}").random()

    def latency(self, key: str, purpose: str) -> timedelta:
        """Return how long one message is on its way."""
        spread = self.most_latency - self.least_latency
        return self.least_latency + (spread * self.draw(key, f"latency of {purpose}") if spread else spread)

    def deliveries(self, key: str) -> tuple[timedelta, ...]:
        """Return how long after the event its report is there: once, or twice for a duplicated one."""
        first = self.latency(key, "report")
        if self.reorder_rate and self.draw(key, "reorder") < self.reorder_rate:
            first += self.reorder_delay * self.draw(key, "reorder delay")
        if self.duplicate_rate and self.draw(key, "duplicate") < self.duplicate_rate:
            return first, first + self.reorder_delay * self.draw(key, "duplicate delay")
        return (first,)

    def fee(self, filled: int) -> Decimal:
        """Return the whole fee [$] of an order of which `filled` shares are filled."""
        return max(self.minimum_fee, self.fee_per_share * filled) if filled else Decimal(0)
