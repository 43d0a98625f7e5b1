"""backtesting.py 0.6.6 under the base rule: its default fills at the next open, and its all-in is ours.

Two things stand in the way. next() is never called on the first bar: a copy of that bar is put in front.
Sizes are whole: prices are divided by 2**40 (which changes no digit of them), so that the unit is 1e-12
of a share.
"""

# The environment of our own checks has no peer's package.
# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import os
import time
import warnings
from datetime import timedelta

# Its progress bar; read when the package is imported.
os.environ["TQDM_DISABLE"] = "1"

import pandas as pd
from backtesting import Backtest, Strategy

from tests.backtest.peers.asked import Answer, Asked, Bars, Fill, serve

UNITS = 2.0**40


def follower(question: Asked) -> type[Strategy]:
    """Return the strategy that carries out the question's rule."""
    rule = question.rule()

    class Follow(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            wanted = rule(self.data.Close[-1] * UNITS)
            if wanted and not self.position:
                if question.shares is None:
                    self.buy()
                else:
                    self.buy(size=question.shares * UNITS)
            elif self.position and not wanted:
                self.position.close()

    return Follow


def scaled(bars: Bars) -> pd.DataFrame:
    """Return the bars with one more in front, prices in units."""
    dates = [bars.dates[0] - timedelta(days=1), *bars.dates]
    columns = {name.title(): [values[0], *values] for name, values in bars.columns().items()}
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(dates))
    frame[["Open", "High", "Low", "Close"]] /= UNITS
    return frame


def fills_of(strategy: Strategy) -> list[Fill]:
    """Return the entries and exits of every trade, in the order of time, counted without the bar in front."""
    fills: list[Fill] = []
    for trade in (*strategy.closed_trades, *strategy.trades):
        shares = trade.size / UNITS
        fills.append((trade.entry_bar - 1, shares, trade.entry_price * UNITS))
        if trade.exit_bar is not None:
            fills.append((trade.exit_bar - 1, -shares, trade.exit_price * UNITS))
    return sorted(fills)


def run(question: Asked, bars: Bars) -> Answer:
    frame = scaled(bars)
    # A trade that is open at the end, which is meant.
    warnings.filterwarnings("ignore", "Some trades remain open")
    began = time.process_time()
    test = Backtest(
        frame,
        follower(question),
        cash=question.capital,
        commission=question.commission,
        finalize_trades=False,
    )
    stats = test.run()
    seconds = time.process_time() - began
    equity = stats["_equity_curve"]["Equity"].tolist()[1:]
    return Answer(equity=equity, fills=fills_of(stats["_strategy"]), seconds=seconds)


if __name__ == "__main__":
    serve(run)
