"""What a report says of a result, worked out once for all its forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any, NamedTuple

from trading.backtest.account import Fill
from trading.backtest.allocation import StrategyAllocation
from trading.backtest.history import Floats, Ints, said
from trading.backtest.orchestrator_result import OrchestratorResult
from trading.backtest.performance.drawdowns import drawdown_periods, drawdown_series
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.performance.monthly import YearOfReturns, monthly_table
from trading.backtest.result import BacktestResult
from trading.backtest.specification import if_any
from trading.backtest.trades import Trade

DEEPEST = 5
"""Drawdowns in the table."""
SHOWN_TRADES = 5
"""Best and worst trades in the tables."""
TOTAL = "total"
"""What all strategies together are called."""


class Curve(NamedTuple):
    """A line over the bars. values: shape (instants,)."""

    name: str
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A result of one strategy or of several, seen alike.

    equity, stamps: of all together, shape (instants,). strategies: by name; one if it ran alone.
    reserve: cash that no strategy had, the same shape, None if it ran alone. allocations: the capital of
    each at the end, empty if it ran alone. specification: what it was made from, None where that cannot be
    saved; unspecified: why.
    """

    metrics: PerformanceMetrics
    initial_capital: float
    equity: Floats
    stamps: Ints
    strategies: Mapping[str, BacktestResult]
    reserve: Floats | None = None
    allocations: Mapping[str, StrategyAllocation] = field(default_factory=dict)
    symbols: tuple[str, ...]
    specification: Mapping[str, Any] | None
    unspecified: str | None = None

    @property
    def is_portfolio(self) -> bool:
        return len(self.strategies) > 1

    @property
    def equities(self) -> list[Curve]:
        """The equity of all together, and of each strategy if there are several."""
        if not self.is_portfolio:
            return [Curve(next(iter(self.strategies)), self.equity)]
        each = [Curve(name, result.equity) for name, result in self.strategies.items()]
        return [Curve(TOTAL, self.equity), *each]

    @property
    def drawdowns(self) -> list[Curve]:
        """How far below its former peak each of `equities` lay; a strategy's without capital that came or
        went."""
        whole = drawdown_series(self.equity, self.initial_capital)
        if not self.is_portfolio:
            return [Curve(next(iter(self.strategies)), whole)]
        each = [
            Curve(name, drawdown_series(result.time_weighted, result.initial_capital))
            for name, result in self.strategies.items()
        ]
        return [Curve(TOTAL, whole), *each]

    @property
    def trades(self) -> list[Trade]:
        """The trades of all strategies, in the order of their ends."""
        every = [trade for result in self.strategies.values() for trade in result.trades]
        return sorted(every, key=lambda trade: trade.exit_row)


def reported(result: OrchestratorResult | BacktestResult) -> Reported:
    """Return the result as a report sees it."""
    specification, unspecified = if_any(lambda: result.specification)
    if isinstance(result, OrchestratorResult):
        return Reported(
            metrics=result.aggregate_metrics,
            initial_capital=result.initial_capital,
            equity=result.equity,
            stamps=result.stamps,
            strategies=result.strategy_results,
            reserve=result.reserve,
            allocations=result.allocations,
            symbols=result.symbols,
            specification=specification,
            unspecified=unspecified,
        )
    return Reported(
        metrics=result.metrics,
        initial_capital=result.initial_capital,
        equity=result.equity,
        stamps=result.stamps,
        strategies={result.strategy_id: result},
        symbols=result.symbols,
        specification=specification,
        unspecified=unspecified,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A drawdown with its dates. peak: None for the initial capital; recovered: None if it was not."""

    depth: float
    peak: str | None
    trough: str
    recovered: str | None
    bars: int


def falls(equity: Floats, stamps: Ints, initial_capital: float) -> list[Fall]:
    """Return the deepest drawdowns, the deepest first."""
    periods = drawdown_periods(drawdown_series(equity, initial_capital), DEEPEST)
    return [
        Fall(
            depth=each.depth,
            peak=None if each.start < 0 else said(stamps[each.start]),
            trough=said(stamps[each.trough]),
            recovered=None if each.recovery is None else said(stamps[each.recovery]),
            bars=each.length,
        )
        for each in periods
    ]


def months(run: Reported) -> tuple[YearOfReturns, ...]:
    """Return the monthly returns of all together."""
    return monthly_table(run.equity, run.stamps, run.initial_capital)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What trading and holding came to, in cash as it moved: what was paid is below 0. Slippage is no part
    of it: it is in the prices. traded: value of all fills, unsigned."""

    fills: int
    traded: float
    fees: float
    interest: float
    borrow: float
    dividends: float

    @property
    def sum(self) -> float:
        return self.fees + self.interest + self.borrow + self.dividends


def costs(results: Iterable[BacktestResult]) -> Costs:
    """Return the costs of some strategies together."""
    runs = list(results)
    fills = [fill for run in runs for fill in run.fills]
    paid = dict.fromkeys(("interest", "borrow", "dividend"), 0.0)
    for run in runs:
        for payment in run.payments:
            paid[payment.kind] += payment.amount
    return Costs(
        fills=len(fills),
        traded=sum(abs(fill.quantity) * fill.price for fill in fills),
        fees=-sum(fill.fee for fill in fills) + 0.0,
        interest=paid["interest"],
        borrow=paid["borrow"],
        dividends=paid["dividend"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capital:
    """Where a strategy's capital went. bound: what its positions ever used; released: what came back as they
    were reduced or closed; used: what open ones use at the end, bound - released. moved: what rebalancing
    gave it (above 0) or took. available: allocated - used at the end, None if it ran alone."""

    given: float
    moved: float
    bound: float
    released: float
    used: float
    available: float | None


def capital(run: Reported, name: str) -> Capital:
    """Return where one strategy's capital went."""
    result = run.strategies[name]
    changes = [entry.used for entry in result.record if isinstance(entry, Fill)]
    bound = sum(change for change in changes if change > 0.0)
    released = -sum(change for change in changes if change < 0.0) + 0.0
    allocation = run.allocations.get(name)
    return Capital(
        given=result.initial_capital,
        moved=sum(amount for _, amount in result.flows),
        bound=bound,
        released=released,
        # Where all is closed, the difference of two sums would be their rounding.
        used=(bound - released if result.positions else 0.0)
        if allocation is None
        else float(allocation.used_capital),
        available=None
        if allocation is None
        else float(allocation.allocated_capital - allocation.used_capital),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesSummary:
    """Closed trades in numbers. Profits after fees; bars: of holding. None: there is no trade."""

    count: int
    won: int
    lost: int
    profit: float
    average: float | None
    best: float | None
    worst: float | None
    mean_bars: float | None
    median_bars: float | None
    longest_bars: int | None


def summed_up(trades: Sequence[Trade]) -> TradesSummary:
    """Return the trades in numbers."""
    profits, bars = [trade.pnl for trade in trades], [trade.bars for trade in trades]
    return TradesSummary(
        count=len(trades),
        won=sum(profit > 0 for profit in profits),
        lost=sum(profit < 0 for profit in profits),
        profit=sum(profits),
        average=mean(profits) if profits else None,
        best=max(profits, default=None),
        worst=min(profits, default=None),
        mean_bars=mean(bars) if bars else None,
        median_bars=median(bars) if bars else None,
        longest_bars=max(bars, default=None),
    )


def best_and_worst(run: Reported) -> tuple[list[tuple[str, Trade]], list[tuple[str, Trade]]]:
    """Return the most winning and the most losing trades with their strategies; no trade is in both."""
    every = [(name, trade) for name, result in run.strategies.items() for trade in result.trades]
    by_profit = sorted(every, key=lambda each: -each[1].pnl)
    best = [each for each in by_profit if each[1].pnl > 0][:SHOWN_TRADES]
    worst = [each for each in reversed(by_profit) if each[1].pnl < 0][:SHOWN_TRADES]
    return best, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Orders of a strategy that were not filled for one reason. requested: the most that one of them would
    have cost, 0 where that played no part."""

    strategy: str
    reason: str
    count: int
    first: str
    last: str
    requested: float


def refusals(run: Reported) -> list[Refusals]:
    """Return the rejected orders by strategy and reason, the most frequent first."""
    found = []
    for name, result in run.strategies.items():
        for reason in dict.fromkeys(each.reason for each in result.rejections):
            these = [each for each in result.rejections if each.reason is reason]
            found.append(
                Refusals(
                    strategy=name,
                    reason=reason.value,
                    count=len(these),
                    first=said(run.stamps[these[0].row]),
                    last=said(run.stamps[these[-1].row]),
                    requested=max(each.requested for each in these),
                )
            )
    return sorted(found, key=lambda each: -each.count)


def failures(run: Reported) -> dict[str, tuple[str, str]]:
    """Return when and why strategies were stopped, by name."""
    found = {}
    for name, result in run.strategies.items():
        failure = result.failure
        if failure is not None:
            when = said(run.stamps[failure.row]) if failure.row >= 0 else "before the first bar"
            found[name] = (when, failure.error)
    return found
