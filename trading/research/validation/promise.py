"""What a validation promises of a strategy in use, in the numbers that can be held against it. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trading.research.validation.outcome import TestOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """sharpe, sharpe_error: per year, with its standard error over the resamples. periods: the days these
    rest on. drawdown: the deepest fall from a peak to be expected, from -1 to 0: the deeper of what one in
    twenty sequences of trades and one in forty resamples of days exceed. trades: closed in these days.
    cost_bps: of the traded value: fees and half the spread.
    """

    sharpe: float
    sharpe_error: float
    periods: int
    drawdown: float
    trades: int
    cost_bps: float

    def to_dict(self) -> dict[str, Any]:
        """Return every field."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Promise:
        """Return what `to_dict` was made from. Raises KeyError."""
        return cls(**{each.name: saved[each.name] for each in fields(cls)})


def promise_of(outcomes: Mapping[str, TestOutcome], cost_bps: float) -> Promise:
    """Return what the outcomes of a VALIDATED candidate promise. Raises KeyError if one is missing."""
    returns, trades = outcomes["bootstrap"].figures, outcomes["drawdown"]
    return Promise(
        sharpe=returns["estimate"],
        sharpe_error=returns["standard_error"],
        periods=returns["periods"],
        drawdown=min(returns["deep_drawdown"], trades.value or 0.0),
        trades=trades.figures["trades"],
        cost_bps=cost_bps,
    )
