"""bt 1.4.1 under the base rule.

It knows one price a day and trades at the price it decides with: it is given the opens, and each decision
one bar late. So its equity is marked at the opens too, after the fill.
"""

# The environment of our own checks has no peer's package.
# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import time

import bt
import pandas as pd

from tests.backtest.peers.asked import Answer, Asked, Bars, Fill, serve

NAME = "stock"


class Follow(bt.Algo):
    """At every open, carry out what was decided after the close before."""

    def __init__(self, question: Asked, closes: list[float]) -> None:
        super().__init__()
        self.rule = question.rule()
        self.shares = question.shares
        self.closes = iter(closes)
        self.wanted = False

    def __call__(self, target: bt.Strategy) -> bool:
        held = target.children[NAME].position if NAME in target.children else 0.0
        if self.wanted and not held:
            if self.shares is None:
                target.rebalance(1.0, NAME)
            else:
                target.transact(self.shares, NAME)
        elif held and not self.wanted:
            target.close(NAME)
        self.wanted = self.rule(next(self.closes))
        return True


def fills_of(backtest: bt.Backtest, dates: pd.DatetimeIndex) -> list[Fill]:
    """Return what was traded, without the day that bt puts in front."""
    bars = {date: bar for bar, date in enumerate(dates)}
    traded = backtest.strategy.get_transactions().reset_index()
    rows = zip(traded["Date"], traded["quantity"], traded["price"], strict=True)
    return [(bars[date], quantity, price) for date, quantity, price in rows]


def run(question: Asked, bars: Bars) -> Answer:
    dates = pd.DatetimeIndex(bars.dates)
    opens = pd.DataFrame({NAME: bars.opens}, index=dates)
    began = time.process_time()
    backtest = bt.Backtest(
        bt.Strategy("follow", [Follow(question, bars.closes)], [NAME]),
        opens,
        initial_capital=question.capital,
        commissions=lambda quantity, price: abs(quantity) * price * question.commission,
        integer_positions=False,
        progress_bar=False,
    )
    backtest.run()
    equity = backtest.strategy.values.tolist()[1:]
    seconds = time.process_time() - began
    return Answer(equity=equity, fills=fills_of(backtest, dates), seconds=seconds)


if __name__ == "__main__":
    serve(run)
