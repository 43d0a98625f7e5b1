"""From sizes to a trajectory: lots, holdings, times, cost and risk are put together here."""

from __future__ import annotations

import math

import numpy as np

from trading.execution.checking import finite
from trading.execution.model.costs import expected_cost, variance
from trading.execution.model.lots import whole_lots
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory, Floats


def assemble(
    sizes: Floats,
    holdings: Floats,
    params: AlmgrenChrissParams | None,
    *,
    lot_size: int | None = None,
    strategy_name: str,
    risk_aversion: float = 0.0,
    kappa: float = 0.0,
) -> ExecutionTrajectory:
    """Return the trajectory of `sizes` (N,) and `holdings` (N + 1,), costed if there are `params`.

    With a `lot_size` both are rounded to whole lots first, the order's size conserved. Without params
    the intervals last one day and cost and variance are 0.0.

    Raises:
        ValueError: if the cost is beyond the range of numbers, or sizes are negative and lots are wanted.
    """
    if lot_size is not None:
        sizes = np.array(whole_lots(sizes.tolist(), float(holdings[0]), lot_size), dtype=np.float64)
        holdings = held_after(sizes)
    listed = sizes.tolist()
    decays = kappa > 0 and risk_aversion > 0
    return ExecutionTrajectory(
        holdings=holdings,
        trade_sizes=sizes,
        times=np.arange(sizes.size + 1, dtype=np.float64) * (params.tau if params else 1.0),
        expected_cost=finite("expected_cost", expected_cost(listed, params)) if params else 0.0,
        variance=finite("variance", variance(listed, params)) if params else 0.0,
        kappa=kappa,
        efold_time=1 / kappa if decays else math.inf,
        half_life=math.log(2) / kappa if decays else math.inf,
        strategy_name=strategy_name,
        risk_aversion=risk_aversion,
        params=params,
    )


def held_after(sizes: Floats) -> Floats:
    """Return holdings, shape (N + 1,), of `sizes`, shape (N,): added up from the end, which is exactly 0."""
    return np.append(np.cumsum(sizes[::-1])[::-1], 0.0)
