"""Positions out of fills, at average cost. Pure and light: standard library only.

Shares are whole, money is Decimal and exact: nothing is lost to rounding, however often it is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple

from trading.execution.orders import Fill

MONEY_STEP: Final = Decimal("1E-10")
"""$: to what a part of a cost is rounded, down: the shares that are left keep what was rounded off."""


class Key(NamedTuple):
    """Whose position in what. strategy_id: "" for orders entered without a strategy."""

    strategy_id: str
    symbol: str


class StrategyFill(NamedTuple):
    """A fill and the strategy of its parent order ("" for none)."""

    strategy_id: str
    fill: Fill

    @property
    def key(self) -> Key:
        return Key(self.strategy_id, self.fill.symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One strategy's shares of one symbol.

    quantity: shares, short ones negative. cost [$]: what was paid for the shares that are held, with the sign
    of `quantity`; without fees. realised [$]: earned by shares that were sold (or bought back), without fees.
    fees [$]: paid for all fills. Realised and fees count from wherever the position was begun with 0.
    """

    quantity: int = 0
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if (self.quantity > 0) != (self.cost > 0) or (self.quantity < 0) != (self.cost < 0):
            raise ValueError(f"cost is {self.cost} for {self.quantity} shares: expected the same sign")

    @property
    def average_cost(self) -> Decimal | None:
        """[$/share]; None: nothing is held."""
        return self.cost / self.quantity if self.quantity else None

    def unrealised(self, price: Decimal) -> Decimal:
        """Return what selling (buying back) everything at `price` would earn [$], without fees."""
        return self.quantity * price - self.cost


def after_fill(position: Position, fill: Fill) -> Position:
    """Return the position after a fill.

    A fill in the position's direction adds its cost. One against it realises (price - average cost) for each
    share that it closes; what goes beyond zero opens the other side at the fill's price.
    """
    signed = fill.side.sign * fill.quantity
    closed = min(fill.quantity, abs(position.quantity)) if signed * position.quantity < 0 else 0
    released, proceeds = Decimal(0), Decimal(0)
    if closed:
        # Everything is closed without a division, so that no cost is left on no shares.
        part = position.cost * closed / abs(position.quantity)
        whole = closed == abs(position.quantity)
        released = position.cost if whole else part.quantize(MONEY_STEP, ROUND_DOWN)
        proceeds = -fill.side.sign * closed * fill.price
    opened = fill.side.sign * (fill.quantity - closed)
    return replace(
        position,
        quantity=position.quantity + signed,
        cost=position.cost - released + opened * fill.price,
        realised=position.realised + proceeds - released,
        fees=position.fees + fill.fee,
    )


def after_fills(held: Mapping[Key, Position], fills: Iterable[StrategyFill]) -> dict[Key, Position]:
    """Return all positions after fills in the order given; those that are flat then are still there."""
    positions = dict(held)
    for each in fills:
        positions[each.key] = after_fill(positions.get(each.key, Position()), each.fill)
    return positions
