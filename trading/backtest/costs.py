"""What trading costs: commissions, slippage, interest and borrowing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trading.execution.checking import not_negative, positive, whole
from trading.execution.model.impact import square_root_mean_cost_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """The fee of one fill: per_trade + per_share * shares + bps * value / 10,000, at least `minimum`.

    per_trade, minimum: cash. per_share: cash. bps: basis points of the traded value.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    per_trade: float = 0.0
    per_share: float = 0.0
    bps: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            not_negative(name, getattr(self, name))

    def of(self, shares: float, price: float) -> float:
        """Return the fee of a fill of this many shares, 0 for none."""
        if shares == 0.0:
            return 0.0
        fee = self.per_trade + shares * (self.per_share + price * self.bps * 1e-4)
        return fee if fee > self.minimum else self.minimum

    def affordable(self, cash: float, price: float) -> float:
        """Return how many shares `cash` buys at `price`, fee included; 0 if it does not cover the fee."""
        per_share = price * (1.0 + self.bps * 1e-4) + self.per_share
        shares = (cash - self.per_trade) / per_share
        if self.minimum and self.of(max(shares, 0.0), price) <= self.minimum:
            shares = min(shares, (cash - self.minimum) / price)
        return shares if shares > 0.0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """How much worse than its bar's price a market order is filled, and how much of a bar it may take.

    per_share: cash per share. spread_bps: the whole quoted spread, half of which is paid. impact: the
    coefficient Y of the square-root law (trading.execution: 2/3 Y sigma sqrt(Q / V)), None for none; sigma
    and V are those of the `impact_bars` bars before the fill, per bar. max_participation: the largest share
    of a bar's volume (0 to 1) that one order may be, None for no bound; the rest waits for the next bar.
    Limit orders pay no slippage.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    per_share: float = 0.0
    spread_bps: float = 0.0
    impact: float | None = None
    impact_bars: int = 20
    max_participation: float | None = None

    def __post_init__(self) -> None:
        not_negative("per_share", self.per_share)
        not_negative("spread_bps", self.spread_bps)
        whole("impact_bars", self.impact_bars, 2)
        if self.impact is not None:
            positive("impact", self.impact)
        if self.max_participation is not None and not 0 < self.max_participation <= 1:
            raise ValueError(
                f"max_participation is {self.max_participation!r}: expected a share above 0, at most 1"
            )

    @property
    def is_none(self) -> bool:
        """Whether every order is filled whole at its bar's price."""
        return self == Slippage(impact_bars=self.impact_bars)

    def per_share_at(self, price: float, shares: float, volume: float, volatility: float) -> float:
        """Return how much worse than `price` each of `shares` is filled, in cash.

        volume: usual shares per bar. volatility: standard deviation of returns per bar. Where the volume is
        0 or unknown (NaN) the impact is that of trading the whole of it.
        """
        worse = self.per_share + price * self.spread_bps * 0.5e-4
        if self.impact is not None and shares > 0.0 and volatility > 0.0:
            traded = volume if volume > 0.0 and math.isfinite(volume) else shares
            worse += price * 1e-4 * square_root_mean_cost_bps(shares, traded, volatility, self.impact)
        return worse


@dataclass(frozen=True, slots=True, kw_only=True)
class Financing:
    """What time costs: interest on cash, and the fee for borrowed shares.

    cash_rate, borrow_rate: per year of 365 days, simple within a bar's step and compounding from bar to bar;
    cash_rate is earned on positive cash only (what a short sale brings in is held by the lender and earns
    nothing), borrow_rate is paid on the value of short positions at the last close.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    cash_rate: float = 0.0
    borrow_rate: float = 0.0

    def __post_init__(self) -> None:
        not_negative("cash_rate", self.cash_rate)
        not_negative("borrow_rate", self.borrow_rate)

    @property
    def is_none(self) -> bool:
        return self.cash_rate == 0.0 and self.borrow_rate == 0.0
