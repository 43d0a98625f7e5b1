"""The imbalance of an order book, followed on bars that carry its features (`bars_from_books`)."""

from __future__ import annotations

from dataclasses import dataclass

from trading.backtest.indicators import Column
from trading.backtest.strategies.score_following import FollowParameters, ScoreFollower


@dataclass(frozen=True, slots=True, kw_only=True)
class BookImbalanceParameters(FollowParameters):
    """`FollowParameters`, and which feature is followed: one that is above 0 when the price is to rise, such
    as queue_imbalance, queue_imbalance_5 (both from -1 to 1) or micro_deviation_bps (basis points)."""

    feature: str = "queue_imbalance"


class BookImbalance(ScoreFollower):
    """Long while more is bid than offered, short while more is offered: the shorter queue is the sooner gone.

    Gould, Bonart (2016), Queue imbalance as a one-tick-ahead price predictor in a limit order book. The
    forecast is worth a fraction of a tick, and taking it costs half a spread each way: a backtest without
    `Slippage.spread_bps` shows what nobody earns with market orders.
    """

    def __init__(self, parameters: BookImbalanceParameters, name: str | None = None) -> None:
        super().__init__(parameters, Column(name=parameters.feature), name)
