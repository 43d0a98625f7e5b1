"""backtrader 1.9.78.123 under the base rule.

Its own way to fill at the next open is a market order from next(), sized at the decision. All-in needs the
size of the fill's moment: cheat-on-open, where next_open() of bar i + 1 does what next() decided at bar i.
"""

# The environment of our own checks has no peer's package.
# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import time

import backtrader
import pandas as pd

from tests.backtest.peers.asked import Answer, Asked, Bars, Fill, serve


class Follow(backtrader.Strategy):
    """Carry out a rule's decisions, one bar later at the open."""

    params = (("asked", None),)

    def __init__(self) -> None:
        self.asked: Asked = self.p.asked
        self.rule = self.asked.rule()
        self.wanted = False
        self.equity: list[float] = []
        self.fills: list[Fill] = []

    def next_open(self) -> None:
        held = self.position.size
        if self.wanted and not held:
            self.buy(size=self.size(self.data.open[0]))
        elif held and not self.wanted:
            self.sell(size=held)

    def size(self, price: float) -> float:
        if self.asked.shares is not None:
            return self.asked.shares
        # Without the trim rounding now and then takes the cash below zero, and the order is rejected.
        return float(self.broker.getcash() / (price * (1 + self.asked.commission)) * (1 - 1e-12))

    def next(self) -> None:
        self.equity.append(self.broker.getvalue())
        self.wanted = self.rule(self.data.close[0])

    def notify_order(self, order: backtrader.Order) -> None:
        if order.status == order.Completed:
            self.fills.append((len(self) - 1, order.executed.size, order.executed.price))
        elif order.status in (order.Margin, order.Rejected):
            raise RuntimeError(f"bar {len(self) - 1}: rejected")


def run(question: Asked, bars: Bars) -> Answer:
    frame = pd.DataFrame(bars.columns(), index=pd.DatetimeIndex(bars.dates))
    began = time.process_time()
    cerebro = backtrader.Cerebro(stdstats=False, cheat_on_open=True)
    cerebro.broker.setcash(question.capital)
    cerebro.broker.setcommission(commission=question.commission)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Follow, asked=question)
    (strategy,) = cerebro.run()
    return Answer(equity=strategy.equity, fills=strategy.fills, seconds=time.process_time() - began)


if __name__ == "__main__":
    serve(run)
