"""The ways to work an order, one file each, named in `ALGORITHMS`. Pure and light."""

from __future__ import annotations

from trading.execution.smart.algorithm import Algorithm
from trading.execution.smart.algorithms.adaptive import ADAPTIVE
from trading.execution.smart.algorithms.arrival_price import ARRIVAL_PRICE
from trading.execution.smart.algorithms.iceberg import ICEBERG
from trading.execution.smart.algorithms.market import MARKET
from trading.execution.smart.algorithms.pov import POV
from trading.execution.smart.algorithms.twap import TWAP
from trading.execution.smart.algorithms.vwap import VWAP

ALGORITHMS: dict[str, Algorithm] = {
    each.name: each for each in (MARKET, TWAP, VWAP, ADAPTIVE, ICEBERG, POV, ARRIVAL_PRICE)
}
