"""Four other engines, the base rule in plain Python and ours: the same fills, the same equity on real prices.

How each differs from the base rule by itself, and what its script (tests/backtest/peers) does about it:

- backtrader sizes an order when it is decided: cheat-on-open sizes it at the fill. Its all-in is 1e-12 less
  than ours, as rounding would have an order rejected now and then.
- backtesting.py never decides on the first bar: one more is put in front. It trades whole shares: of 2**-40.
- bt knows one price a day: it is given the opens, and is compared with the rule marked at the opens. It finds
  an all-in size in steps, until it is within 1e-8 of the cash.
- raptorbt, as a class, shows at the bar of a fill what was held before it: the script keeps account itself.
- raptorbt, in arrays, needs nothing; of sizes it is asked for all-in alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.backtest.peers.asked import Answer, Fill
from tests.backtest.peers.asking import PACKAGES, REMEDY, ask, has, write_bars
from tests.backtest.peers.reference import account
from tests.backtest.peers.rules import rule_of
from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy
from trading.marketdata.sources import open_source

CAPITAL = 100_000.0
BPS = 10.0
SHARED = Path(
    os.environ.get("ORCHESTRATOR_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)
SAMPLE_SYMBOLS = ("AAPL", "IBM", "MSFT")
SHARED_SYMBOLS = ("BAC", "GE", "JNJ", "NVDA", "XOM")

NEARNESS = {
    "backtrader": 1e-10,
    "backtesting": 1e-12,
    "bt": 1e-10,
    "raptorbt": 1e-12,
    "raptorbt-arrays": 1e-12,
}
"""The largest relative difference of equity and sizes from the base rule; measured on all eight stocks:
backtrader 1e-11 (its trim), backtesting.py 2e-13, bt 1.4e-12, raptorbt 2e-13, ours 1.5e-13."""

FROM_PEERS = 1e-6
"""How near our equity has to be to each peer's; it is as near as NEARNESS."""
FROM_THE_RULE = 1e-9
"""More than this off the base rule is a fault of ours."""


@dataclass(frozen=True)
class Case:
    """A strategy and its sizing, as the scripts are asked; shares: None for all-in."""

    strategy: dict[str, Any]
    shares: float | None = None

    def question(self, bars: Path) -> dict[str, Any]:
        sizing = "allin" if self.shares is None else {"fixed": self.shares}
        return {
            "bars": str(bars),
            "strategy": self.strategy,
            "sizing": sizing,
            "commission_bps": BPS,
            "capital": CAPITAL,
        }


SMA = {"name": "sma", "fast": 20, "slow": 50}
CASES = {
    "buy and hold, all in": Case({"name": "buy_and_hold"}),
    "sma, all in": Case(SMA),
    "sma, 100 shares": Case(SMA, 100.0),
    "rsi, all in": Case({"name": "rsi", "period": 14, "low": 30.0, "high": 70.0}),
    "coin, all in": Case({"name": "coin", "seed": 7}),
    "coin, 100 shares": Case({"name": "coin", "seed": 7}, 100.0),
}


@dataclass(frozen=True)
class Stock:
    """A symbol's adjusted bars, and where the scripts read them."""

    symbol: str
    frame: pd.DataFrame
    path: Path

    @property
    def opens(self) -> list[float]:
        return list(self.frame["open"])

    @property
    def closes(self) -> list[float]:
        return list(self.frame["close"])


def adjusted(raw: pd.DataFrame) -> pd.DataFrame:
    """Return prices as if splits and dividends had never been: all times adj_close / close."""
    factor = raw["adj_close"] / raw["close"]
    frame = raw[["open", "high", "low", "close"]].mul(factor, axis=0)
    # What the source has of faults in high and low is no matter here, where neither is used.
    frame["high"], frame["low"] = frame.max(axis=1), frame.min(axis=1)
    return frame.assign(volume=raw["volume"])


def stocks(source: str, symbols: Sequence[str], folder: Path) -> list[Stock]:
    found = []
    for symbol in symbols:
        frame = adjusted(open_source(source).fetch(symbol).frame)
        found.append(Stock(symbol, frame, write_bars(folder / f"{symbol}.csv", frame)))
    return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[Stock]:
    """Three stocks, 2000-2013: 3,270 bars each."""
    return stocks("sample", SAMPLE_SYMBOLS, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[Stock]:
    """Five stocks, 1999-2021."""
    if not (SHARED / "daily").is_dir():
        pytest.skip("the shared price data is not here (ORCHESTRATOR_SHARED_DATA)")
    return stocks(f"csv:{SHARED / 'daily'}", SHARED_SYMBOLS, tmp_path_factory.mktemp("shared"))


def by_the_rule(stock: Stock, case: Case, *, marked_at_opens: bool = False) -> tuple[list[float], list[Fill]]:
    """Return equity and fills by the base rule in plain Python."""
    rule = rule_of(case.strategy)
    opens, closes = stock.opens, stock.closes
    return account(
        [rule(close) for close in closes],
        opens,
        opens if marked_at_opens else closes,
        capital=CAPITAL,
        commission=BPS / 10_000,
        shares=case.shares,
    )


class Follow(Strategy):
    """A case as a strategy of ours, in both forms; its parameters are the case."""

    def on_start(self, state: State) -> None:
        self.rule = rule_of(self.parameters.strategy)
        self.is_long = False

    def on_bar(self, bar: Bar, state: State) -> Signals:
        was_long, self.is_long = self.is_long, self.rule(bar.close)
        if self.is_long == was_long:
            return None
        if not self.is_long:
            return [Signal.close(bar.symbol)]
        if self.parameters.shares is None:
            return [Signal.hold(bar.symbol, 1.0)]
        return [Signal(symbol=bar.symbol, quantity=self.parameters.shares)]

    def signals(self, history: PriceHistory) -> Floats:
        (bars,) = history.bars.values()
        rule = rule_of(self.parameters.strategy)
        longs = np.array([float(rule(close)) for close in bars.close.tolist()])
        changed = np.diff(longs, prepend=0.0) != 0.0
        return np.where(changed, longs, np.nan)


def by_us(stock: Stock, case: Case, *, arrays: bool = False) -> tuple[list[float], list[Fill]]:
    """Return equity and fills by our engine."""
    engine = BacktestEngine(BacktestConfig(commission=Commission(bps=BPS)))
    result = engine.run(Follow(case, "follow"), stock.frame, CAPITAL, arrays=arrays)
    return result.equity.tolist(), [(fill.row, fill.quantity, fill.price) for fill in result.fills]


def marked(fills: Sequence[Fill], prices: Sequence[float]) -> list[float]:
    """Return the equity that these fills leave when what is held is valued at these prices."""
    cash, held, equity, coming = CAPITAL, 0.0, [], iter([*fills, (len(prices), 0.0, 0.0)])
    bar, quantity, paid = next(coming)
    for now, price in enumerate(prices):
        if now == bar:
            cash -= quantity * paid + abs(quantity) * paid * BPS / 10_000
            held += quantity
            bar, quantity, paid = next(coming)
        equity.append(cash + held * price)
    return equity


def by_the_peer(peer: str, stocks: Sequence[Stock], cases: Sequence[Case]) -> list[Answer]:
    """Return a peer's answers for every stock, all cases of each."""
    name, _, form = peer.partition("-")
    if not has(PACKAGES[name]):
        pytest.skip(f"{name} is not here: {REMEDY}")
    more = {"form": form} if form else {}
    return ask(name, [case.question(stock.path) | more for stock in stocks for case in cases])


def cases_of(peer: str) -> dict[str, Case]:
    """Return the cases that a peer can do."""
    return {name: case for name, case in CASES.items() if peer != "raptorbt-arrays" or case.shares is None}


def worst(found: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest relative difference."""
    assert len(found) == len(expected)
    return max(abs(x / y - 1) for x, y in zip(found, expected, strict=True))


def assert_same_fills(found: Sequence[Sequence[float]], expected: Sequence[Fill], within: float) -> None:
    assert [bar for bar, _, _ in found] == [bar for bar, _, _ in expected]
    for which in (1, 2):
        assert worst([fill[which] for fill in found], [fill[which] for fill in expected]) <= within


def assert_agrees(peer: str, stocks: Sequence[Stock]) -> None:
    """The peer with the base rule, and we with the peer: the same fills, the same equity."""
    cases = cases_of(peer)
    answers = iter(by_the_peer(peer, stocks, list(cases.values())))
    for stock in stocks:
        for name, case in cases.items():
            answer, at_opens = next(answers), peer == "bt"
            equity, fills = by_the_rule(stock, case, marked_at_opens=at_opens)
            assert worst(answer.equity, equity) <= NEARNESS[peer], f"{stock.symbol}, {name}"
            assert_same_fills(answer.fills, fills, within=NEARNESS[peer])
            equity, fills = by_us(stock, case)
            equity = marked(fills, stock.opens) if at_opens else equity
            assert worst(equity, answer.equity) <= FROM_PEERS, f"{stock.symbol}, {name}"
            assert_same_fills(fills, answer.fills, within=FROM_PEERS)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_our_engine_obeys_the_base_rule(sample: list[Stock], case: Case) -> None:
    for stock in sample:
        expected, fills = by_the_rule(stock, case)

        equity, ours = by_us(stock, case)

        assert worst(equity, expected) <= FROM_THE_RULE
        assert_same_fills(ours, fills, within=FROM_THE_RULE)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.shares is None])
def test_our_array_form_obeys_the_base_rule(sample: list[Stock], name: str) -> None:
    for stock in sample:
        expected, fills = by_the_rule(stock, CASES[name])

        equity, ours = by_us(stock, CASES[name], arrays=True)

        assert worst(equity, expected) <= FROM_THE_RULE
        assert_same_fills(ours, fills, within=FROM_THE_RULE)


@pytest.mark.slow
@pytest.mark.parametrize("peer", NEARNESS)
def test_every_peer_agrees_with_us_and_the_base_rule_on_the_sample(peer: str, sample: list[Stock]) -> None:
    assert_agrees(peer, sample)


@pytest.mark.slow
@pytest.mark.parametrize("peer", NEARNESS)
def test_every_peer_agrees_with_us_and_the_base_rule_on_twenty_years_of_five_stocks(
    peer: str, shared: list[Stock]
) -> None:
    assert_agrees(peer, shared)


@pytest.mark.slow
def test_bt_differs_as_it_marks_at_the_opens(sample: list[Stock]) -> None:
    """Same fills, another curve: each value is that of half a day earlier."""
    stock, case = sample[0], CASES["sma, all in"]

    (answer,) = by_the_peer("bt", [stock], [case])

    equity, fills = by_the_rule(stock, case)
    assert_same_fills(answer.fills, fills, within=1e-12)
    # Apple moved by more than 5 % between an open and the close of the same day.
    assert worst(answer.equity, equity) > 0.05


@pytest.mark.slow
def test_raptorbt_closes_a_bar_late_if_its_context_is_believed(sample: list[Stock]) -> None:
    """At the bar whose open filled the order, ctx.position is still empty: the wish to leave at that very bar
    looks like one that is carried out already, and is heard one bar later."""
    stock = sample[0]
    decisions = [bar == 10 for bar in range(len(stock.frame))]
    case = Case({"name": "given", "decisions": decisions})
    if not has("raptorbt"):
        pytest.skip(f"raptorbt is not here: {REMEDY}")

    own, context = ask(
        "raptorbt",
        [case.question(stock.path) | {"position_from": whose} for whose in ("own", "context")],
    )

    assert [fill[0] for fill in own.fills] == [11, 12]
    assert [fill[0] for fill in context.fills] == [11, 13]


def test_the_base_rule_is_what_one_works_out_by_hand() -> None:
    """1,000 at 10 %: after the first close in at 100 with 1,000 / 110 shares, after the third out at 121."""
    equity, fills = account(
        [True, True, False, True], [90, 100, 120, 121], [95, 110, 130, 140], capital=1000, commission=0.1
    )

    assert [(bar, round(shares, 6), price) for bar, shares, price in fills] == [
        (1, 9.090909, 100),
        (3, -9.090909, 121),
    ]
    # 110 / 110 x 1,000; 130 / 110 x 1,000; 121 x 0.9 / 110 x 1,000; the last decision comes too late.
    assert equity == pytest.approx([1000, 1000, 1181.8181818, 990], rel=1e-9)


def test_the_rules_are_those_of_the_books(sample: list[Stock]) -> None:
    """The crossover from whole means, the RSI from Wilder's recursion written out: the same decisions."""
    closes = sample[1].closes[:600]

    crossover, oscillator = rule_of(SMA), rule_of(CASES["rsi, all in"].strategy)

    assert [crossover(close) for close in closes] == [
        bar >= 49 and fmean(closes[bar - 19 : bar + 1]) > fmean(closes[bar - 49 : bar + 1])
        for bar in range(len(closes))
    ]
    moves = [after - before for before, after in pairwise(closes)]
    gain, loss = (fmean(max(sign * move, 0.0) for move in moves[:14]) for sign in (1, -1))
    longs = [False] * 14
    for move in (None, *moves[14:]):
        if move is not None:
            gain, loss = (gain * 13 + max(move, 0.0)) / 14, (loss * 13 + max(-move, 0.0)) / 14
        rsi = 100 - 100 / (1 + gain / loss)
        longs.append(rsi < 30 or (longs[-1] and rsi <= 70))
    assert [oscillator(close) for close in closes] == longs
    assert sum(now != before for before, now in pairwise(longs)) >= 3
