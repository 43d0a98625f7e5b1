"""What holds of every run, whatever is decided: money neither appears nor vanishes, and nobody sees ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backtest.hand_made_bars import DAY, Script, scripted
from trading.backtest.account import Fill, Split
from trading.backtest.combined import combined_equity
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.engine import BacktestEngine, result_of
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.lockstep import run_together
from trading.backtest.rejections import Rejection
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal, Timing
from trading.backtest.strategy_run import Failure, StrategyRun
from trading.backtest.view import View

SYMBOLS = ("A", "B", "C")
INSTANTS = 16
CAPITAL = 10_000.0

RELATIVE = 1e-9
"""Of the largest amount of money in a run: what some hundred roundings may add up to."""


def walk(symbol: str, days: Sequence[int], seed: int) -> SymbolBars:
    """Return bars of a wild random walk, with splits and dividends."""
    random = np.random.default_rng(seed)
    n = len(days)
    splits = random.choice([1.0, 1.0, 1.0, 1.0, 2.0, 0.5, 1.5], n)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.2, n))) / np.cumprod(splits)
    open_ = close * np.exp(random.normal(0, 0.05, n))
    return SymbolBars(
        symbol=symbol,
        stamps=np.array(days, dtype=np.int64) * DAY,
        open=open_,
        high=np.maximum(open_, close) * (1 + random.exponential(0.02, n)),
        low=np.minimum(open_, close) * (1 - np.minimum(random.exponential(0.02, n), 0.5)),
        close=close,
        volume=np.round(random.choice([0.0, 50.0, 1e3, 1e5], n)),
        dividends=random.choice([0.0, 0.0, 0.0, 0.5], n),
        splits=splits,
    )


@st.composite
def histories(draw: st.DrawFn) -> PriceHistory:
    """Draw bars of up to three symbols, on the same days or on some of them."""
    every = list(range(INSTANTS))
    aligned = draw(st.booleans())
    days = every if aligned else st.lists(st.sampled_from(every), min_size=1, unique=True).map(sorted)
    return PriceHistory(
        walk(symbol, days if isinstance(days, list) else draw(days), draw(st.integers(0, 2**16)))
        for symbol in SYMBOLS[: draw(st.integers(1, 3))]
    )


weights = st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5, -0.3, -0.5, -1.0])
shares = st.sampled_from([0.0, 1.0, 7.5, 50.0, 1000.0, -1.0, -20.0, -300.0])
prices = st.sampled_from([None, None, None, None, None, 30.0, 45.0, 50.0, 55.0, 80.0])


@st.composite
def signals(draw: st.DrawFn, symbols: Sequence[str]) -> Signal:
    size = draw(st.sampled_from(["weight", "weight", "quantity", "change"]))
    limit, stop = draw(prices), draw(prices)
    timing = draw(st.sampled_from([None, Timing.CLOSE])) if limit is None and stop is None else None
    return Signal(
        symbol=draw(st.sampled_from(symbols)),
        limit=limit,
        stop=stop,
        timing=timing,
        valid_bars=draw(st.sampled_from([None, None, None, 2])),
        group=draw(st.sampled_from(["", "", "g"])),
        **{size: draw(weights if size == "weight" else shares)},  # type: ignore[arg-type]  # one of three
    )


configs = st.builds(
    BacktestConfig,
    commission=st.sampled_from(
        [Commission(), Commission(bps=10), Commission(per_trade=2.0, per_share=0.01, bps=5, minimum=4.0)]
    ),
    slippage=st.sampled_from(
        [
            Slippage(),
            Slippage(per_share=0.02, spread_bps=20),
            Slippage(impact=1.0, impact_bars=5, max_participation=0.1),
        ]
    ),
    financing=st.sampled_from([Financing(), Financing(cash_rate=0.05, borrow_rate=0.1)]),
    timing=st.sampled_from(Timing),
    fractional=st.booleans(),
    shorting=st.booleans(),
    delisting_recovery=st.sampled_from([0.0, 0.4, 1.0]),
)


@dataclass
class Watch:
    """Looks at the account after every fill."""

    fills: list[Fill] = field(default_factory=list)
    follows_fills: bool = True

    def signalled(self, run: StrategyRun, signal: Signal) -> None: ...

    def filled(self, run: StrategyRun, fill: Fill) -> None:
        account = run.account
        self.fills.append(fill)
        assert fill.quantity != 0.0
        assert account.used == sum(position.entry_cost for position in account.positions.values())
        assert account.available == account.allocated - account.used
        if fill.used > 0.0:
            assert account.available >= -1e-6 * max(account.allocated, 1.0)

    def rejected(self, run: StrategyRun, rejection: Rejection) -> None:
        assert rejection.available == rejection.allocated - rejection.used

    def failed(self, run: StrategyRun, failure: Failure) -> None: ...


@dataclass(frozen=True)
class Ran:
    """A run, and the fills that were told while it went on."""

    history: PriceHistory
    config: BacktestConfig
    script: Script
    result: BacktestResult
    told: Sequence[Fill]


def ran(history: PriceHistory, config: BacktestConfig, script: Script) -> Ran:
    watch = Watch()
    run = StrategyRun(scripted(script), CAPITAL, View(history), config, observer=watch)
    run_together(history, [run])
    return Ran(history, config, script, result_of(run, {}), watch.fills)


@st.composite
def runs(draw: st.DrawFn) -> Ran:
    history = draw(histories())
    some = st.lists(signals(history.symbols), min_size=1, max_size=3)
    script: dict[int, Sequence[Signal]] = draw(
        st.dictionaries(st.integers(0, len(history) - 1), some, min_size=1, max_size=10)
    )
    return ran(history, draw(configs), script)


def scale(result: BacktestResult) -> float:
    return CAPITAL + sum(abs(fill.quantity) * fill.price for fill in result.fills)


many = settings(max_examples=60, deadline=timedelta(seconds=2))


@many
@given(runs())
def test_equity_is_capital_won_lost_unrealised_and_paid_on_every_bar(run: Ran) -> None:
    result = run.result
    expected = np.full(len(run.history), CAPITAL)
    for trade in result.trades:
        expected[trade.exit_row :] += trade.pnl
    for payment in result.payments:
        expected[payment.row :] += payment.amount
    expected += unrealised(run.history, result)

    np.testing.assert_allclose(result.equity, expected, rtol=0, atol=RELATIVE * scale(result))


def unrealised(history: PriceHistory, result: BacktestResult) -> Floats:
    """Return what the open positions would win at each instant's closes, after the fees paid for them."""
    won = np.zeros(len(history))
    for symbol in history.symbols:
        marks = history.marks(symbol)
        entries = [entry for entry in result.record if entry.symbol == symbol]
        held = paid = 0.0
        for entry, following in zip_longest(entries, entries[1:]):
            if isinstance(entry, Split):
                held *= entry.ratio
            elif held == 0.0 or (held > 0.0) == (entry.quantity > 0.0):
                held += entry.quantity
                paid += entry.quantity * entry.price + entry.fee
            else:
                left = 1.0 + entry.quantity / held
                held = 0.0 if entry.quantity == -held else held + entry.quantity
                paid = 0.0 if held == 0.0 else paid * left
            until = len(history) if following is None else following.row
            if held:
                won[entry.row : until] += held * marks[entry.row : until] - paid
    return won


@many
@given(runs())
def test_equity_is_cash_and_holdings_added_up_a_second_way(run: Ran) -> None:
    again = combined_equity([run.result], CAPITAL, run.history)

    np.testing.assert_allclose(run.result.equity, again, rtol=0, atol=RELATIVE * scale(run.result))


@many
@given(runs())
def test_every_fill_is_told_as_it_happens_and_kept(run: Ran) -> None:
    assert run.result.fills == list(run.told)
    rows = [entry.row for entry in run.result.record]
    assert rows == sorted(rows)


@many
@given(runs())
def test_no_fill_comes_before_or_with_the_decision_that_asked_for_it(run: Ran) -> None:
    decided = min(run.script, default=len(run.history))

    assert all(fill.row > decided for fill in run.result.fills)


@many
@given(runs())
def test_fills_happen_within_the_prices_of_their_bar_where_nothing_slips(run: Ran) -> None:
    plain = ran(run.history, replace(run.config, slippage=Slippage(max_participation=0.1)), run.script)

    for fill in plain.result.fills:
        if "reason" in fill.metadata:
            continue
        own = plain.history.bars[fill.symbol]
        at = int(np.searchsorted(plain.history.rows[fill.symbol], fill.row))
        assert plain.history.rows[fill.symbol][at] == fill.row
        assert own.low[at] - 1e-9 <= fill.price <= own.high[at] + 1e-9


@many
@given(runs())
def test_no_bar_fills_more_than_its_share(run: Ran) -> None:
    most = 0.1
    capped = ran(run.history, replace(run.config, slippage=Slippage(max_participation=most)), run.script)
    traded: dict[tuple[int, str], float] = {}
    for fill in capped.result.fills:
        if "reason" not in fill.metadata:
            key = fill.row, fill.symbol
            traded[key] = traded.get(key, 0.0) + abs(fill.quantity)

    for (row, symbol), quantity in traded.items():
        at = int(np.searchsorted(capped.history.rows[symbol], row))
        assert quantity <= most * capped.history.bars[symbol].volume[at] * (1 + 1e-12)


@many
@given(runs())
def test_without_shorting_nothing_is_ever_short(run: Ran) -> None:
    long = ran(run.history, replace(run.config, shorting=False), run.script)

    assert all((held >= 0.0).all() for held in long.result.holdings.values())


@many
@given(runs())
def test_the_same_run_gives_the_same_bits(run: Ran) -> None:
    again = ran(run.history, run.config, run.script)

    assert again.result.equity.tobytes() == run.result.equity.tobytes()
    assert again.result.record == run.result.record
    assert again.result.rejections == run.result.rejections


@many
@given(runs(), st.integers(1, INSTANTS), st.integers(0, 2**16))
def test_bars_to_come_change_nothing_before_them(run: Ran, cut: int, seed: int) -> None:
    before = run.history.stamps[: min(cut, len(run.history))]
    changed = PriceHistory(
        _other_from(each, len(before), before[-1], seed) for each in run.history.bars.values()
    )

    other = ran(changed, run.config, run.script)

    known = len(before)
    assert other.result.equity[:known].tobytes() == run.result.equity[:known].tobytes()
    assert [e for e in other.result.record if e.row < known] == [
        e for e in run.result.record if e.row < known
    ]


def _other_from(own: SymbolBars, known: int, last: int, seed: int) -> SymbolBars:
    """Return bars with other prices, volumes, splits and dividends after the instant `last`."""
    random = np.random.default_rng(seed)
    later = own.stamps > last
    scale_ = np.where(later, np.exp(random.normal(0, 0.5, len(own))), 1.0)
    assert own.dividends is not None
    assert own.splits is not None
    return replace(
        own,
        open=own.open * scale_,
        high=own.high * scale_ * 1.01**later,
        low=own.low * scale_,
        close=own.close * scale_,
        volume=np.where(later, random.permutation(own.volume), own.volume),
        dividends=np.where(later, 0.3, own.dividends),
        splits=np.where(later, 1.0, own.splits),
    )


@pytest.mark.parametrize("capital", [1e-3, 1e12])
def test_the_amount_of_capital_plays_no_part_in_what_weights_earn(capital: float) -> None:
    history = PriceHistory([walk("A", range(INSTANTS), 5), walk("B", range(INSTANTS), 6)])
    script = {
        0: [Signal.hold("A", 0.5), Signal.hold("B", -0.5)],
        6: [Signal.hold("A", -1.0), Signal.close("B")],
    }
    engine = BacktestEngine(BacktestConfig(commission=Commission(bps=10)))

    usual = engine.run(scripted(script), history, CAPITAL)
    other = engine.run(scripted(script), history, capital)

    np.testing.assert_allclose(other.equity / capital, usual.equity / CAPITAL, rtol=1e-11)
