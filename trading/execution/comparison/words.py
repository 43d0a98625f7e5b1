"""The pictures of a comparison in words, for those who do not see them."""

from __future__ import annotations

from collections.abc import Sequence

from trading.execution.comparison.comparison import StrategyComparison, cost_bps, cost_of, fault_of, risk_of
from trading.execution.comparison.marks import short
from trading.execution.comparison.panels import Drawn
from trading.execution.model.trajectory import ExecutionTrajectory


def holdings_words(strategies: Sequence[Drawn]) -> str:
    """Return when each strategy holds half of the order or less."""
    parts = []
    for each in strategies:
        times = each.strategy.times[each.holdings_pct <= 50 + 1e-9]
        when = f"after {days(times[0])}" if times.size else "never"
        parts.append(f"{each.name} {when}")
    return f"Holdings over time. Half of the order or less is held: {', '.join(parts)}."


def slices_words(strategies: Sequence[Drawn]) -> str:
    """Return how many slices each strategy has, and the sizes of the largest and the smallest."""
    parts = []
    for each in strategies:
        slices = abs(each.slices_pct[each.slices_pct != 0])
        ends = dict.fromkeys(f"{size:.3g}" for size in (slices.min(initial=100), slices.max(initial=0)))
        count = "1 slice" if slices.size == 1 else f"{slices.size} slices"
        parts.append(f"{each.name} {count} of {' to '.join(ends)} %" if slices.size else f"{each.name} none")
    return f"Size of the slices in percent of the order, on one scale. {'; '.join(parts)}."


def cost_words(strategies: Sequence[Drawn], frontier: Sequence[ExecutionTrajectory]) -> str:
    """Return cost and risk of each strategy, and what the line is."""
    parts = []
    for each in strategies:
        bps = cost_bps(each.strategy, each.order_size)
        cost = f"{short(cost_of(each.strategy))} $" + (f" ({short(bps)} bp)" if bps else "")
        parts.append(f"{each.name} {cost}, risk {short(risk_of(each.strategy))} $")
    line = ""
    if frontier:
        count = frontier[0].trade_sizes.size
        line = f" The line is the efficient frontier: the least cost for each risk over {count} intervals."
    return f"Expected cost against its standard deviation. {'; '.join(parts)}.{line}"


def days(count: float) -> str:
    """Return a time in trading days."""
    return f"{count:.4g} trading {'day' if count == 1 else 'days'}"


def undrawn_words(comparison: StrategyComparison) -> str:
    """Return which strategies are not drawn and why, "" if all are."""
    parts = [f"{each.strategy_name} ({fault})" for each in comparison.strategies if (fault := fault_of(each))]
    return f"Not drawn: {'; '.join(parts)}." if parts else ""
