"""What a forecast of the price changes in an order: a little, and never beyond bounds. Pure and light."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date

from trading.execution.orders import ParentOrder, Urgency

LEVELS = tuple(Urgency)
LEAST_TILT = 0.05
"""Probability less its opposite from which the urgency moves by one level: 52.5 % against 47.5 %. A day's
direction is hardly ever known better than 55 to 45."""
FULL_TILT = 0.2
"""From here on risk aversion is changed in full, by MOST."""
MOST = 4.0
"""Risk aversion is at most multiplied, or divided, by it: an arrival-price order's half life is halved, or
doubled (kappa goes with the root of lambda)."""
MEAN_SIZE = math.sqrt(2 / math.pi)
"""Mean size of a normal move, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a model says of a symbol's next session, and whether it is acted on.

    probability: of a rise from open to close, None: there is none, `reason` says why. as_of: the newest bar
    that it knows. acts: whether orders follow it; if not, `reason` says why not.
    """

    symbol: str
    probability: float | None
    as_of: date | None
    acts: bool
    reason: str = ""


def drift_bps(probability: float, daily_volatility: float) -> float:
    """Return the expected move of a session in basis points from the probability p of a rise.

    1e4 * (2 p - 1) * sqrt(2 / pi) * sigma: rises and falls alike are of the mean size of normal moves.
    daily_volatility: sigma, a fraction.
    """
    return 1e4 * (2 * probability - 1) * MEAN_SIZE * daily_volatility


def tilted(order: ParentOrder, forecast: Forecast) -> ParentOrder:
    """Return the order as the forecast wants it worked; the same one if it is not acted on.

    With tilt = side * (2 p - 1), above 0 if the price is expected to move against the order: urgency goes one
    level up from a tilt of 0.05 on, one down from -0.05 on; risk aversion is multiplied by 4^(tilt / 0.2),
    the exponent cut at -1 and 1. So what is expected to run away is done earlier, what is expected to come is
    waited for. The order's size, horizon, limit price and caps stay.
    """
    if not forecast.acts or forecast.probability is None:
        return order
    tilt = order.side.sign * (2 * forecast.probability - 1)
    step = (tilt >= LEAST_TILT) - (tilt <= -LEAST_TILT)
    level = min(max(LEVELS.index(order.urgency) + step, 0), len(LEVELS) - 1)
    factor = MOST ** min(max(tilt / FULL_TILT, -1.0), 1.0)
    return replace(order, urgency=LEVELS[level], risk_aversion=order.risk_aversion * factor)
