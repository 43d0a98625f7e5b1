"""The capital of one strategy: how much it was given, how much of it its positions use."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Amount = Decimal | int | float | str
"""Money as a person writes it; floats are taken by their shortest text, 0.1 as 0.1."""


@dataclass(slots=True)
class StrategyAllocation:
    """A strategy's capital, in Decimal throughout: available is always allocated less used.

    allocated_capital: above 0. used_capital: from 0 up, what its open positions cost. available_capital:
    None for the difference; given, it must be that. The same holds for fields that are set later:
    available_capital follows the other two.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    strategy_id: str
    allocated_capital: Decimal
    used_capital: Decimal = Decimal(0)
    available_capital: Decimal | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "strategy_id" and not value:
            raise ValueError(f"strategy_id is {value!r}: expected a name")
        if name.endswith("_capital") and (value is not None or name != "available_capital"):
            value = money(name, value)
        if name == "allocated_capital" and value <= 0:
            raise ValueError(f"allocated_capital is {value}: expected an amount above 0")
        if name == "used_capital" and value < 0:
            raise ValueError(f"used_capital is {value}: expected an amount from 0 up")
        if name != "available_capital":
            object.__setattr__(self, name, value)
        elif value is not None and value != self._left:
            raise ValueError(f"available_capital is {value}: expected {self._left}, allocated less used")
        # Not before both of them are there: the fields are set one by one at first.
        if name != "strategy_id" and hasattr(self, "used_capital"):
            object.__setattr__(self, "available_capital", self._left)

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:
        """Take a copy's fields as they are: what was lost may have left less than nothing."""
        for name, value in state[1].items():
            object.__setattr__(self, name, value)

    def can_allocate(self, amount: Amount) -> bool:
        """Return whether so much is available. Raises ValueError for no amount, or one below 0."""
        return _from_zero(amount) <= self._left

    def allocate(self, amount: Amount) -> None:
        """Bind capital for a position.

        Raises:
            ValueError: if more is asked for than is available, naming both.
        """
        wanted = _from_zero(amount)
        if wanted > self._left:
            raise ValueError(
                f"amount is {wanted}: {self.strategy_id} has {self._left} available, "
                f"{self.allocated_capital} allocated"
            )
        self.used_capital += wanted

    def release(self, amount: Amount) -> None:
        """Free capital of a position that was closed.

        Raises:
            ValueError: if more is to be freed than is used, naming both.
        """
        freed = _from_zero(amount)
        if freed > self.used_capital:
            raise ValueError(f"amount is {freed}: {self.strategy_id} uses {self.used_capital}")
        self.used_capital -= freed

    def follow(self, allocated: Amount, used: Amount) -> None:
        """Take over what the strategy's account says: allocated grows by what was won and falls by what was
        lost, to 0 or below where all of it was."""
        given = money("allocated", allocated)
        self.used_capital = money("used", used)
        object.__setattr__(self, "allocated_capital", given)
        object.__setattr__(self, "available_capital", self._left)

    @property
    def _left(self) -> Decimal:
        return self.allocated_capital - self.used_capital


def money(name: str, amount: Amount) -> Decimal:
    """Return an amount as a Decimal. Raises ValueError if it is no finite number."""
    try:
        exact = Decimal(repr(float(amount))) if isinstance(amount, float) else Decimal(amount)
    except (InvalidOperation, TypeError, ValueError):
        exact = Decimal("NaN")
    if isinstance(amount, bool) or not exact.is_finite():
        raise ValueError(f"{name} is {amount!r}: expected a finite amount")
    return exact


def _from_zero(amount: Amount) -> Decimal:
    exact = money("amount", amount)
    if exact < 0:
        raise ValueError(f"amount is {exact}: expected an amount from 0 up")
    return exact
