"""One strategy's account: cash, positions, the capital they use, and a record of every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Fill(NamedTuple):
    """One execution. quantity: shares, signed. price: per share, slippage included. fee: cash.

    used: capital that the position's change bound (above 0) or released (below 0).
    """

    row: int
    symbol: str
    quantity: float
    price: float
    fee: float
    used: float
    metadata: Mapping[str, object]


_new_tuple = tuple.__new__
"""Twice as fast as Fill(...), and as good: the fields come in their order."""


class Split(NamedTuple):
    """Old shares became `ratio` new ones each, before the open of that instant."""

    row: int
    symbol: str
    ratio: float


class Payment(NamedTuple):
    """Cash that came (above 0) or went without a trade. kind: dividend, interest or borrow; symbol: whose
    dividend or borrowed shares, empty for interest."""

    row: int
    kind: str
    symbol: str
    amount: float


@dataclass(slots=True)
class Position:
    """What is held of a symbol. quantity: shares, signed. entry_cost: the capital it uses: what a long one
    cost with its fees; for a short one the value sold and its fees. entry_value: shares times prices paid or
    received, without fees."""

    quantity: float
    entry_cost: float
    entry_value: float


class Account:
    """Cash and positions in floats; every change is recorded with the instant it happened at.

    allocated: the capital given and what was won or lost with it; used: the sum of the open positions' entry
    costs. What new positions may cost is allocated - used: without short positions that is the cash.
    """

    __slots__ = ("allocated", "cash", "changes", "initial", "payments", "positions", "record", "used")

    def __init__(self, capital: float) -> None:
        self.initial = capital
        self.cash = capital
        self.allocated = capital
        self.used = 0.0
        self.positions: dict[str, Position] = {}
        self.record: list[Fill | Split] = []
        self.payments: list[Payment] = []
        self.changes: list[tuple[int, float]] = []
        """The cash after each change of it, with its instant."""

    @property
    def available(self) -> float:
        return self.allocated - self.used

    def held(self, symbol: str) -> float:
        """Return the shares held, signed, 0 for none."""
        position = self.positions.get(symbol)
        return 0.0 if position is None else position.quantity

    def fill(
        self,
        row: int,
        symbol: str,
        quantity: float,
        price: float,
        fee: float,
        metadata: Mapping[str, object],
    ) -> Fill:
        """Book an execution that only opens or adds to a position, or only reduces or closes it."""
        position = self.positions.get(symbol)
        if position is None or (position.quantity > 0.0) == (quantity > 0.0):
            used = self._open(symbol, position, quantity, price, fee)
        else:
            used = self._reduce(symbol, position, quantity, price, fee)
        # Added up anew: a running sum would drift from the positions it stands for.
        self.used = 0.0
        for position in self.positions.values():
            self.used += position.entry_cost
        self.cash -= quantity * price + fee
        if not self.positions:
            # The same on paper; the sum of all gains and losses would keep the roundings of richer days.
            self.allocated = self.cash
        fill: Fill = _new_tuple(Fill, (row, symbol, quantity, price, fee, used, metadata))
        self.record.append(fill)
        self.changes.append((row, self.cash))
        return fill

    def _open(
        self, symbol: str, position: Position | None, quantity: float, price: float, fee: float
    ) -> float:
        value = abs(quantity) * price
        cost = value + fee
        if position is None:
            self.positions[symbol] = Position(quantity, cost, value)
        else:
            position.quantity += quantity
            position.entry_cost += cost
            position.entry_value += value
        return cost

    def _reduce(self, symbol: str, position: Position, quantity: float, price: float, fee: float) -> float:
        share = min(-quantity / position.quantity, 1.0)
        released, value = position.entry_cost * share, position.entry_value * share
        if quantity == -position.quantity:
            released, value = position.entry_cost, position.entry_value
            del self.positions[symbol]
        else:
            position.quantity += quantity
            position.entry_cost -= released
            position.entry_value -= value
        # released - value: the entry's fees. A long position won what it brought less what it had cost.
        gain = -quantity * price - value if quantity < 0.0 else value - quantity * price
        self.allocated += gain - (released - value) - fee
        return -released

    def split(self, row: int, symbol: str, ratio: float) -> None:
        """Turn each old share into `ratio` new ones; what the position cost stays."""
        position = self.positions.get(symbol)
        if position is not None:
            position.quantity *= ratio
            self.record.append(Split(row, symbol, ratio))

    def pay(self, row: int, kind: str, symbol: str, amount: float) -> None:
        """Book cash that comes (above 0) or goes without a trade: it is won or lost capital."""
        self.cash += amount
        self.allocated += amount
        self.payments.append(Payment(row, kind, symbol, amount))
        self.changes.append((row, self.cash))

    def adjust(self, row: int, amount: float) -> None:
        """Give capital to the account (above 0) or take it away: neither won nor lost."""
        self.cash += amount
        self.allocated += amount
        self.changes.append((row, self.cash))
