"""What is still held after each interval, and what that is expected to cost and to risk."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trading.execution.model.params import AlmgrenChrissParams

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionTrajectory:
    """One way to work an order through N intervals.

    holdings: shape (N + 1,), shares left; holdings[0] == order size, holdings[-1] == 0 when all is
    executed. trade_sizes: shape (N,), shares traded in each interval. times: shape (N + 1,), days.
    expected_cost: E [$], 0.0 without params; variance: V [$^2]. kappa [1/day]; efold_time = 1 / kappa and
    half_life = ln 2 / kappa [days], both infinite for kappa 0 and for a negative lambda, whose kappa is
    that of a sine: nothing decays. risk_aversion: lambda [1/$]. params: None when the schedule was made
    without a cost model. Arrays are copied and made read-only; they are not checked for NaN (a caller's
    trajectory with NaN is compared, and said to have it).
    """

    holdings: Floats
    trade_sizes: Floats
    times: Floats
    expected_cost: float = 0.0
    variance: float = 0.0
    kappa: float = 0.0
    efold_time: float = math.inf
    half_life: float = math.inf
    strategy_name: str = ""
    risk_aversion: float = 0.0
    params: AlmgrenChrissParams | None = field(default=None)

    def __post_init__(self) -> None:
        for name in ("holdings", "trade_sizes", "times"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        n = self.trade_sizes.size
        if self.trade_sizes.ndim != 1 or n == 0:
            raise ValueError(f"trade_sizes has shape {self.trade_sizes.shape}: expected (N,) with N >= 1")
        for name in ("holdings", "times"):
            shape = getattr(self, name).shape
            if shape != (n + 1,):
                raise ValueError(f"{name} has shape {shape}: expected ({n + 1},), one more than trade_sizes")

    @property
    def order_size(self) -> float:
        """Shares at the start."""
        return float(self.holdings[0])

    @property
    def num_slices(self) -> int:
        """Intervals in which something is traded."""
        return int(np.count_nonzero(self.trade_sizes))
