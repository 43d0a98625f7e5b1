"""What a strategy asks for: a signal becomes an order, which is filled from the next bar on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from trading.execution.checking import finite, positive, whole


class Timing(Enum):
    """When an order without a limit or stop price is filled: at the next bar's open or close."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a strategy wants of a symbol, decided after a bar's close. Give exactly one of the three sizes.

    weight: the share of the account's equity to hold, signed, 1.0 for all in; what buying costs is paid out
    of it. quantity: the shares to hold, signed. change: shares to buy (above 0) or sell (below), 0 to do no
    more than cancel.

    limit, stop: prices; a stop alone becomes a market order when it is reached, with a limit a limit order.
    valid_bars: how many bars of the symbol the order waits, None: until filled or replaced.
    group: a new signal replaces the symbol's waiting orders, unless both name the same group: orders of a
    group wait side by side, and the first that fills cancels the others (a target and a stop).
    metadata: copied into the trades that it opens.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    symbol: str
    weight: float | None = None
    quantity: float | None = None
    change: float | None = None
    timing: Timing | None = None
    limit: float | None = None
    stop: float | None = None
    valid_bars: int | None = None
    group: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is None and self.stop is None and self.valid_bars is None and self.change is None:
            # The short way for most signals; the checks below would find the same.
            only = self.weight if self.quantity is None else self.quantity if self.weight is None else None
            if self.timing is None and (type(only) is float or type(only) is int) and only - only == 0.0:
                return
        sizes = [each for each in (self.weight, self.quantity, self.change) if each is not None]
        if len(sizes) != 1:
            raise ValueError(
                f"a signal for {self.symbol!r} has {len(sizes)} sizes: expected exactly one of weight, "
                f"quantity and change"
            )
        finite(f"size of a signal for {self.symbol!r}", sizes[0])
        for name in ("limit", "stop"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.valid_bars is not None:
            whole("valid_bars", self.valid_bars, 1)
        if self.timing is not None and not isinstance(self.timing, Timing):
            raise ValueError(f"timing is {self.timing!r}: expected Timing.OPEN, Timing.CLOSE or None")
        if self.timing is not None and (self.limit is not None or self.stop is not None):
            raise ValueError(f"timing is {self.timing!r}: expected None for an order with limit or stop")

    @classmethod
    def hold(cls, symbol: str, weight: float, **metadata: object) -> Signal:
        """Return the wish to hold this share of the equity from the next open on."""
        return cls(symbol=symbol, weight=weight, metadata=metadata)

    @classmethod
    def close(cls, symbol: str, **metadata: object) -> Signal:
        """Return the wish to hold nothing from the next open on."""
        return cls(symbol=symbol, quantity=0.0, metadata=metadata)

    @classmethod
    def cancel(cls, symbol: str) -> Signal:
        """Return the wish to withdraw the symbol's waiting orders."""
        return cls(symbol=symbol, change=0.0)
