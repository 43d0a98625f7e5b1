"""Strategies side by side: what each is expected to cost and to risk, and how it slices the order."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trading.execution.checking import positive
from trading.execution.model.costs import costed
from trading.execution.model.params import AlmgrenChrissParams
from trading.execution.model.trajectory import ExecutionTrajectory
from trading.execution.optimum.schedule import TradeSchedule

if TYPE_CHECKING:
    import pandas as pd

Cell = str | float | bool | None

DEFAULT_BASELINE = "twap"
_NOISE = 1e-9
"""Part of an order below which two numbers of shares are the same: far above what adding floats loses."""


class OrderSizeWarning(UserWarning):
    """The strategies compared execute orders of different sizes: their costs in $ say little beside each
    other."""


@dataclass(frozen=True, slots=True)
class StrategyComparison:
    """Strategies, each under the costs that its trajectory carries (`compare_strategies` makes them equal).

    strategies: at least one, kept as a tuple; a name that occurred before is told apart by a number ("ac",
    "ac 2"), an empty one is "unnamed". baseline_name: the strategy that the others are measured against;
    without a "twap" among them nothing is. order_size [shares]: what 100 % is; None: for each strategy its
    own order. notes: shape (len(strategies),), words on each for the table, or none at all.

    Raises:
        ValueError: if there is no strategy, order_size is not positive, the notes do not match, or a
            baseline other than "twap" is not among the strategies.
    """

    strategies: Sequence[ExecutionTrajectory]
    baseline_name: str = DEFAULT_BASELINE
    order_size: float | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategies", tuple(_told_apart(self.strategies)))
        object.__setattr__(self, "notes", tuple(self.notes) or ("",) * len(self.strategies))
        if not self.strategies:
            raise ValueError("strategies is empty: expected at least one trajectory")
        if len(self.notes) != len(self.strategies):
            raise ValueError(f"notes has {len(self.notes)} texts: expected {len(self.strategies)}, or none")
        if self.order_size is not None:
            positive("order_size", self.order_size)
        if self.baseline is None and self.baseline_name != DEFAULT_BASELINE:
            names = ", ".join(each.strategy_name for each in self.strategies)
            raise ValueError(f"baseline is {self.baseline_name!r}: expected one of {names}")

    def __str__(self) -> str:
        """The summary table, all of its columns however narrow the terminal is."""
        return str(self.summary_table().to_string(index=False))

    @property
    def baseline(self) -> ExecutionTrajectory | None:
        """The strategy named `baseline_name`, None if there is none."""
        return next((each for each in self.strategies if each.strategy_name == self.baseline_name), None)

    def size_of(self, strategy: ExecutionTrajectory) -> float:
        """Return the shares that are 100 % for this strategy."""
        return strategy.order_size if self.order_size is None else self.order_size

    def summary_table(self) -> pd.DataFrame:
        """Return one row for each strategy, in their order, with the columns

        strategy; risk_aversion: lambda [1/$]; expected_cost_bps: E in basis points of the order's value, 0
        without params or price; risk: sqrt(V), the standard deviation of the cost [$]; num_slices: intervals
        in which something is traded; max_slice_pct, min_slice_pct: the largest and the smallest of these in
        percent of the order (0 to 100); front_loaded: more is traded in the first interval than in the last;
        expected_cost: E [$]; cost_vs_baseline, risk_vs_baseline: E and risk less those of the baseline [$],
        NaN without one; note: what a reader must know of this row, "" for nothing.

        Of a trajectory with a number that is not finite, or of no shares, the note says so, and its figures
        are NaN (front_loaded None).
        """
        import pandas as pd  # here: comparing costs without a table needs no pandas

        rows = [self._row(*each) for each in zip(self.strategies, self.notes, strict=True)]
        return pd.DataFrame(rows)

    def _row(self, strategy: ExecutionTrajectory, note: str) -> dict[str, Cell]:
        base = self.baseline
        cost, risk = cost_of(strategy), risk_of(strategy)
        return {
            "strategy": strategy.strategy_name,
            "risk_aversion": strategy.risk_aversion,
            "expected_cost_bps": cost_bps(strategy, self.size_of(strategy)),
            "risk": risk,
            **_slicing(strategy, self.size_of(strategy)),
            "expected_cost": cost,
            "cost_vs_baseline": cost - cost_of(base) if base else math.nan,
            "risk_vs_baseline": risk - risk_of(base) if base else math.nan,
            "note": "; ".join([*remarks_on(strategy), *([note] if note else [])]),
        }


def compare_strategies(
    *trajectories: ExecutionTrajectory | TradeSchedule,
    baseline: str = DEFAULT_BASELINE,
    params: AlmgrenChrissParams | None = None,
    price: float | None = None,
) -> StrategyComparison:
    """Return the strategies, every one costed under the same params, for their table and pictures.

    trajectories: at least two; of a `TradeSchedule` its trajectory is taken, and its warnings become the
    row's note. baseline: name of the strategy that the others are measured against. params: None: those
    that any trajectory carries; every interval then lasts params.tau. price [$/share]: None: that of
    `params`, else the one that any trajectory carries. With no params at all nothing is costed.

    Raises:
        ValueError: if there are fewer than two; if a schedule has no trajectory (the reason is told); if
            several carry different params, or different prices, and none is given; for a bad price or
            baseline.

    Warns:
        OrderSizeWarning: if the orders' sizes differ.
    """
    if len(trajectories) < 2:
        raise ValueError(f"there are {len(trajectories)} strategies: expected at least two to compare")
    plain = [_trajectory_of(each) for each in trajectories]
    model = _common_params(plain, params, price)
    return StrategyComparison(
        strategies=[costed(each, model) if model and not fault_of(each) else each for each in plain],
        baseline_name=baseline,
        order_size=_common_size(plain),
        notes=["; ".join(each.warnings) if isinstance(each, TradeSchedule) else "" for each in trajectories],
    )


def cost_of(strategy: ExecutionTrajectory) -> float:
    """Return E [$], NaN if the strategy cannot be told."""
    return math.nan if fault_of(strategy) else strategy.expected_cost


def risk_of(strategy: ExecutionTrajectory) -> float:
    """Return sqrt(V), the standard deviation of the cost [$], NaN if the strategy cannot be told."""
    usable = strategy.variance >= 0 and not fault_of(strategy)
    return math.sqrt(strategy.variance) if usable else math.nan


def cost_bps(strategy: ExecutionTrajectory, order_size: float) -> float:
    """Return E in basis points of `order_size` [shares] times the price, 0.0 without params or a price."""
    if fault_of(strategy):
        return math.nan
    price = strategy.params.price if strategy.params else None
    return 1e4 * strategy.expected_cost / (abs(order_size) * price) if price else 0.0


def fault_of(strategy: ExecutionTrajectory) -> str:
    """Return why nothing can be told of a strategy, "" if it can: a number that is not finite, no shares."""
    for name in ("holdings", "trade_sizes", "times"):
        values = getattr(strategy, name)
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            return f"{name}[{at}] is {values[at]:g}: nothing can be told"
    return "" if strategy.order_size else "holdings[0] is 0: there is nothing to execute"


def remarks_on(strategy: ExecutionTrajectory) -> Iterator[str]:
    """Yield what a reader of the strategy's figures must know."""
    fault = fault_of(strategy)
    if fault:
        yield fault
        return
    rest, size = strategy.holdings[-1], strategy.order_size
    if abs(rest) > _NOISE * abs(size):
        yield f"leaves {rest:,.10g} of {size:,.10g} shares"
    if not math.isfinite(strategy.expected_cost):
        yield f"expected_cost is {strategy.expected_cost:g}"
    if not 0 <= strategy.variance < math.inf:
        yield f"variance is {strategy.variance:g}"
    if strategy.params is None and not strategy.expected_cost:
        yield "not costed: no params"
    elif strategy.params is None or strategy.params.price is None:
        yield "no price: cost in bp unknown"


def _slicing(strategy: ExecutionTrajectory, order_size: float) -> dict[str, Cell]:
    if fault_of(strategy):
        unknown = dict.fromkeys(("num_slices", "max_slice_pct", "min_slice_pct"), math.nan)
        return {**unknown, "front_loaded": None}
    sizes = strategy.trade_sizes
    slices = 100 * np.abs(sizes[sizes != 0]) / abs(order_size)
    return {
        "num_slices": slices.size,
        "max_slice_pct": float(slices.max(initial=0.0)),
        "min_slice_pct": float(slices.min()) if slices.size else 0.0,
        # Sizes that are equal but for their last digit are not loaded to either end.
        "front_loaded": bool(sizes[0] - sizes[-1] > _NOISE * abs(order_size)),
    }


def _told_apart(strategies: Sequence[ExecutionTrajectory]) -> Iterator[ExecutionTrajectory]:
    """Yield the strategies, renamed where a name is empty or occurred before."""
    taken: set[str] = set()
    for each in strategies:
        base = name = each.strategy_name or "unnamed"
        count = 1
        while name in taken:
            count += 1
            name = f"{base} {count}"
        taken.add(name)
        yield each if name == each.strategy_name else dataclasses.replace(each, strategy_name=name)


def _trajectory_of(strategy: ExecutionTrajectory | TradeSchedule) -> ExecutionTrajectory:
    if isinstance(strategy, ExecutionTrajectory):
        return strategy
    if strategy.trajectory is None:
        raise ValueError(
            f"a schedule cannot be executed ({'; '.join(strategy.warnings)}): expected a feasible one, or "
            "one made with best_effort=True"
        )
    return strategy.trajectory


def _common_params(
    trajectories: Sequence[ExecutionTrajectory], params: AlmgrenChrissParams | None, price: float | None
) -> AlmgrenChrissParams | None:
    """Return the params, price included, under which all are costed; None: there are none."""
    if price is not None:
        positive("price", price)
    carried = [each.params for each in trajectories if each.params is not None]
    if params is None:
        kinds = {dataclasses.replace(each, price=None) for each in carried}
        if not kinds:
            return None
        if len(kinds) > 1:
            raise ValueError(f"params is None and the strategies carry {len(kinds)} different ones: give one")
        params = kinds.pop()
    chosen = price or params.price
    prices = {chosen} if chosen else {each.price for each in carried if each.price}
    if len(prices) > 1:
        raise ValueError(f"price is None and the strategies carry several, {sorted(prices)}: give one")
    return dataclasses.replace(params, price=next(iter(prices), None))


def _common_size(trajectories: Sequence[ExecutionTrajectory]) -> float | None:
    """Return the size of all orders, None (with a warning) if they differ; those that cannot be told are
    left out."""
    sizes = [each.order_size for each in trajectories if not fault_of(each)]
    if sizes and max(sizes) - min(sizes) > _NOISE * max(map(abs, sizes)):
        listed = ", ".join(f"{size:,.10g}" for size in dict.fromkeys(sizes))
        text = f"the orders' sizes differ ({listed} shares): costs in $ are not comparable"
        warnings.warn(text, OrderSizeWarning, stacklevel=3)
        return None
    return sizes[0] if sizes and sizes[0] > 0 else None
