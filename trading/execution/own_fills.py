"""What our own fills say about market impact: the coefficient of the empirical law, with error bars.

Light; `calibrate_from_fills` loads numpy. Nothing reads the result to make plans: it is for a person, who
compares it with what plans expect (`smart.planning.params_of` is where plans get their parameters).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from trading.execution.checking import finite, positive
from trading.execution.model.impact import ATHL_BETA, ATHL_ETA
from trading.execution.order_records import OrderRecord
from trading.marketdata.files import replace_file

LEAST_ORDERS = 50
"""Measured orders below which nothing is calibrated. The price's own moves are ten times the impact and more,
so that even these leave wide bars."""
MOST_ORDERS = 2_000
"""The newest so many are used: enough for bars of a few percent, few enough for a Pi."""
TRADING_DAY = timedelta(hours=6.5)
"""A session of US stocks, the unit of `ImpactSample.days`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactSample:
    """One order as the law sees it. cost: side (average price - arrival price) / arrival price, less half
    the spread that was planned with, in units of the daily volatility. participation: filled part of the
    market's volume while it was worked. days: how long that was [sessions]."""

    parent_id: str
    session: date
    broker: str
    cost: float
    participation: float
    days: float

    def __post_init__(self) -> None:
        finite("cost", self.cost)
        if positive("participation", self.participation) > 1:
            raise ValueError(f"participation is {self.participation!r}: expected at most 1")
        if finite("days", self.days) < 0:
            raise ValueError(f"days is {self.days!r}: expected a number from 0 up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its error bars. error: standard deviation over resampled orders; low, high: the middle
    95 % of them."""

    value: float
    error: float
    low: float
    high: float

    def includes(self, value: float) -> bool:
        """Whether `value` is within the 95 %."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactCalibration:
    """cost = eta participation^beta, fitted to our orders at one broker.

    eta: with beta 0.6, no unit (comparable with 0.142 of Almgren, Thum, Hauptmann and Li 2005; ours holds
    half the permanent impact, too). r2: explained part of the costs' variance, by weight; theirs is below
    0.01. free_beta: fitted as well, with its free_eta, None: the participations are too alike to tell.
    first, last: sessions of the oldest and the newest of the orders.
    """

    broker: str
    orders: int
    first: date
    last: date
    eta: Estimate
    r2: float
    free_beta: Estimate | None
    free_eta: Estimate | None

    @property
    def agrees(self) -> bool:
        """Whether the empirical law's 0.142 is within the error bars."""
        return self.eta.includes(ATHL_ETA)

    @property
    def is_simulated(self) -> bool:
        """Whether the fills are our paper broker's: the answer is then what it was told, not the market's. A
        vendor's own practice account is not told apart from a real one."""
        return self.broker == "paper"

    def __str__(self) -> str:
        eta, verdict = self.eta, "within" if self.agrees else "outside"
        beta = "not to be told, all participations are alike"
        if self.free_beta:
            beta = f"{self.free_beta.value:.2f} ({self.free_beta.low:.2f} to {self.free_beta.high:.2f})"
        simulated = "; SIMULATED fills, which say nothing of the market" if self.is_simulated else ""
        return (
            f"{self.broker}: eta {eta.value:.3f} +- {eta.error:.3f} (95 %: {eta.low:.3f} to {eta.high:.3f}) "
            f"at beta {ATHL_BETA:g} from {self.orders} orders, R2 {self.r2:.3f}; the empirical {ATHL_ETA:g} "
            f"is {verdict}; beta if free: {beta}{simulated}"
        )


def sample_of(record: OrderRecord) -> ImpactSample | None:
    """Return what an order tells of impact; None: it has not ended, has no fills or those of two brokers, or
    its volatility or the market's volume is not known."""
    order, measures, plan = record.order, record.measures, record.plan
    share, lasted, average = measures.participation, measures.duration, measures.average_price
    if not order.state.is_final or plan is None or order.arrival_price is None or len(record.brokers) != 1:
        return None
    numbers = dict(plan.choice.numbers)
    volatility, spread = numbers.get("daily_volatility", 0.0), numbers.get("spread_over_price", 0.0)
    if volatility <= 0 or not share or share > 1 or lasted is None or average is None:
        return None
    move = order.side.sign * float(average / order.arrival_price - 1)
    return ImpactSample(
        parent_id=order.parent_id,
        session=order.session,
        broker=next(iter(record.brokers)),
        cost=(move - spread / 2) / volatility,
        participation=share,
        days=lasted / TRADING_DAY,
    )


def calibrate_from_fills(samples: Sequence[ImpactSample], *, seed: int = 1) -> ImpactCalibration:
    """Return the impact that our orders at one broker have had; of many, the newest `MOST_ORDERS` count.

    seed: of the resampling; the same orders and seed give the same answer.

    Raises:
        ValueError: if there are fewer than 50 orders, or they are of several brokers.
    """
    brokers = sorted({sample.broker for sample in samples})
    if len(samples) < LEAST_ORDERS:
        raise ValueError(
            f"samples are {len(samples)} orders: expected at least {LEAST_ORDERS}; fewer say nothing about "
            f"impact, as the price's own moves hide it"
        )
    if len(brokers) > 1:
        raise ValueError(f"samples are of {', '.join(brokers)}: expected those of one broker")
    from trading.execution.impact_fit import fit

    newest = sorted(samples, key=lambda sample: (sample.session, sample.parent_id))[-MOST_ORDERS:]
    found = fit(newest, seed)
    return ImpactCalibration(
        broker=brokers[0],
        orders=len(newest),
        first=newest[0].session,
        last=newest[-1].session,
        eta=found.eta,
        r2=found.r2,
        free_beta=found.free_beta,
        free_eta=found.free_eta,
    )


def write_calibrations(path: Path, found: Sequence[ImpactCalibration], as_of: date) -> None:
    """Put the calibrations into a JSON file, whole or not at all. Raises OSError."""
    entries = [asdict(each) | {"agrees": each.agrees, "is_simulated": each.is_simulated} for each in found]
    content = {"as_of": as_of, "law": "cost / daily volatility = eta participation^beta", "brokers": entries}
    replace_file(path, (json.dumps(content, indent=1, default=str) + "\n").encode())
