"""How a backtest is to be run: everything that is not the strategy, its bars and its capital."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any

from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.signals import Timing
from trading.execution.checking import finite


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestConfig:
    """The rules of the simulated market.

    commission, slippage, financing: what trading and holding cost; nothing by default. timing: when an order
    that does not say is filled: at the next bar's open, or its close. fractional: whether parts of shares
    are traded; if not, sizes are cut towards zero. shorting: whether positions may be below 0; if not, an
    order that would sell short is rejected. delisting_recovery: the share (0 to 1) of the last close that a
    long position brings after its symbol's last bar, when other symbols go on; a short one is bought back at
    the whole of it, so that no collapse is a gain that nobody could have taken. check_look_ahead: whether
    array signals and declared indicators are worked out again on cut histories and refused if they differ.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    commission: Commission = field(default_factory=Commission)
    slippage: Slippage = field(default_factory=Slippage)
    financing: Financing = field(default_factory=Financing)
    timing: Timing = Timing.OPEN
    fractional: bool = True
    shorting: bool = True
    delisting_recovery: float = 1.0
    check_look_ahead: bool = True

    def __post_init__(self) -> None:
        check_kind("commission", self.commission, Commission, "a Commission")
        check_kind("slippage", self.slippage, Slippage, "a Slippage")
        check_kind("financing", self.financing, Financing, "a Financing")
        check_kind("timing", self.timing, Timing, "Timing.OPEN or Timing.CLOSE")
        for name in ("fractional", "shorting", "check_look_ahead"):
            check_kind(name, getattr(self, name), bool, "True or False")
        # A Decimal could not be multiplied with the close.
        object.__setattr__(self, "delisting_recovery", _share("delisting_recovery", self.delisting_recovery))

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {**asdict(self), "timing": self.timing.value}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> BacktestConfig:
        """Return what `to_dict` was made from.

        Raises:
            ValueError: naming a field that is unknown or has a value that cannot be used.
        """
        unknown = sorted(set(saved) - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"unknown settings of a backtest: {', '.join(unknown)}")
        kinds = {"commission": Commission, "slippage": Slippage, "financing": Financing}
        try:
            made = {k: kinds[k](**v) if k in kinds else v for k, v in saved.items()}
        except TypeError as error:
            raise ValueError(f"unknown settings of a backtest: {error}") from None
        if "timing" in made:
            made["timing"] = Timing(made["timing"])
        return cls(**made)


def check_kind(name: str, value: object, kind: type | UnionType, expected: str) -> None:
    """Raise a ValueError that names the field, its value and what was expected, if it is of another kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r}: expected {expected}")


def _share(name: str, value: float) -> float:
    try:
        share = finite(name, value)
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{name} is {value!r}: expected a share from 0 to 1")
    return share
