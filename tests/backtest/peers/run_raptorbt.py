"""raptorbt 0.13.4 under the base rule: fill_timing="next_bar_open" (its default fills at the same close).

form: "class" (on_bar with the bar that the context makes, its documented way), "closes" (on_bar, reading
nothing but the context's array of closes: faster), or "arrays" (entries and exits as arrays, a crossover's
from its own means). position_from: "own" keeps its own account of what is held; "context" trusts
ctx.position, which at the bar whose open filled an order still shows what was held before, so that a change
of mind at that very bar is carried out one bar late.
"""

# The environment of our own checks has no peer's package.
# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import os
import time
from typing import Any

# Importing it would ask the network for a newer version.
os.environ["RAPTORBT_NO_VERSION_CHECK"] = "1"

import numpy as np
import raptorbt
from raptorbt.strategy.orders import Market

from tests.backtest.peers.asked import Answer, Asked, Bars, Fill, serve


class Follow(raptorbt.Strategy):
    """Carry out a rule's decisions."""

    def __init__(self, question: Asked) -> None:
        super().__init__()
        self.rule = question.rule()
        self.shares = question.shares
        self.trusts_context = question.position_from == "context"
        self.makes_bars = question.form == "class"
        self.held = False

    def on_bar(self, ctx: raptorbt.StrategyContext) -> None:
        wanted = self.rule(ctx.bar.close if self.makes_bars else float(ctx.close[ctx.idx]))
        if self.trusts_context:
            self.held = ctx.position is not None
        if wanted == self.held:
            return
        self.held = wanted
        if not wanted:
            self.close_position()
        elif self.shares is None:
            self.enter()
        else:
            self.submit_order(Market(side="buy", units=self.shares))


def run(question: Asked, bars: Bars) -> Answer:
    stamps = np.array(bars.dates, dtype="datetime64[ns]").astype(np.int64)
    columns = [np.array(values) for values in bars.columns().values()]
    config = raptorbt.BacktestConfig(
        initial_capital=question.capital,
        fees=question.commission,
        slippage=0.0,
        fill_timing="next_bar_open",
    )
    began = time.process_time()
    if question.form != "arrays":
        result = raptorbt.run_strategy_backtest(Follow(question), stamps, *columns, config=config)
    else:
        longs = decisions(question, columns[3])
        before = np.concatenate(([False], longs[:-1]))
        result = raptorbt.run_single_backtest(
            stamps, *columns, entries=longs & ~before, exits=before & ~longs, config=config
        )
    equity = result.equity_curve()
    seconds = time.process_time() - began
    return Answer(equity=equity.tolist(), fills=fills_of(result), seconds=seconds)


def decisions(question: Asked, closes: np.ndarray) -> np.ndarray:
    """Return for every bar whether to be long after its close."""
    strategy = question.strategy
    if strategy["name"] == "sma":
        # NaN, where there are too few closes, is above nothing.
        longs: np.ndarray = raptorbt.sma(closes, strategy["fast"]) > raptorbt.sma(closes, strategy["slow"])
        return longs
    rule = question.rule()
    return np.array([rule(close) for close in closes.tolist()])


def fills_of(result: Any) -> list[Fill]:
    """Return the entries and exits of every trade; what was open at the end has no exit."""
    fills: list[Fill] = []
    for trade in result.trades():
        fills.append((trade.entry_idx, trade.size, trade.entry_price))
        if trade.exit_reason != "EndOfData":
            fills.append((trade.exit_idx, -trade.size, trade.exit_price))
    return sorted(fills)


if __name__ == "__main__":
    serve(run)
