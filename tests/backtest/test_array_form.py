"""The array form of a strategy comes to the very same as its bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.backtest.again import rerun
from trading.backtest.array_form import run_arrays
from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import LookAheadError, StrategyError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal, Timing
from trading.backtest.strategy import Signals, State, Strategy

DAY = 86_400 * 10**9
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Plan:
    """Target weights by instant and symbol, NaN for nothing new."""

    symbols: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


class Planned(Strategy):
    """Says what it was told to say, bar by bar or all at once."""

    parameters: Plan

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if bar is not state.bars[-1]:
            return None
        told = zip(self.parameters.symbols, self.parameters.weights[state.row], strict=True)
        return [Signal.hold(symbol, weight) for symbol, weight in told if weight == weight]

    def signals(self, history: PriceHistory) -> Floats:
        columns = [self.parameters.symbols.index(symbol) for symbol in history.symbols]
        return np.array(self.parameters.weights)[: len(history), columns]


class Answering(Strategy):
    """Answers whatever a function of the history says."""

    def __init__(self, answer: Callable[[PriceHistory], object]) -> None:
        super().__init__(None)
        self.answer = answer

    def signals(self, history: PriceHistory) -> object:
        return self.answer(history)


def made_bars(
    symbol: str, rows: np.ndarray, random: np.random.Generator, actions: bool = False
) -> SymbolBars:
    """Return bars at these rows; with actions, a split and a dividend now and then."""
    count = len(rows)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.03, count)))
    open_ = close * np.exp(random.normal(0, 0.01, count))
    return SymbolBars(
        symbol=symbol,
        stamps=rows * DAY,
        open=open_,
        high=np.maximum(open_, close) * 1.01,
        low=np.minimum(open_, close) * 0.99,
        close=close,
        volume=np.round(random.uniform(0, 3000, count)),
        dividends=np.where(random.random(count) < 0.1, 0.5, 0.0) if actions else None,
        splits=np.where(random.random(count) < 0.1, 2.0, 1.0) if actions else None,
    )


def walk(bars: int, seed: int = 1) -> PriceHistory:
    return PriceHistory([made_bars("WALK", np.arange(bars), np.random.default_rng(seed))])


def planned(history: PriceHistory, weights: Floats) -> Planned:
    return Planned(
        Plan(history.symbols, tuple(tuple(row) for row in weights.reshape(len(history), -1).tolist()))
    )


def both(strategy: Strategy, history: PriceHistory, config: BacktestConfig) -> tuple[BacktestResult, ...]:
    """Return the run over the bars, and the one from arrays; a plan made beforehand is no foresight here."""
    engine = BacktestEngine(replace(config, check_look_ahead=False))
    return engine.run(strategy, history, 1e5), engine.run(strategy, history, 1e5, arrays=True)


def assert_same(bars: BacktestResult, arrays: BacktestResult, rtol: float) -> None:
    """Fills, payments and refusals must be the same ones; what they come to, as good as the same.

    Cash is the difference of sums of the capital's size (1e5): there, 1e-9 of it are 1e-4 of nothing.
    """
    np.testing.assert_allclose(arrays.equity, bars.equity, rtol=rtol)
    for one, other in (
        (arrays.record, bars.record),
        (arrays.payments, bars.payments),
        (
            [(r.row, r.symbol, r.reason, r.signal, r.requested, r.allocated) for r in arrays.rejections],
            [(r.row, r.symbol, r.reason, r.signal, r.requested, r.allocated) for r in bars.rejections],
        ),
    ):
        assert [_without_floats(entry) for entry in one] == [_without_floats(entry) for entry in other]
        for entry, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(_floats(entry), _floats(expected), rtol=rtol, atol=1e5 * rtol)
    assert arrays.failure == bars.failure


def _floats(entry: tuple[object, ...]) -> list[float]:
    return [value for value in entry if isinstance(value, float)]


def _without_floats(entry: tuple[object, ...]) -> list[object]:
    return [type(entry), *(value for value in entry if not isinstance(value, float))]


@st.composite
def histories(draw: st.DrawFn) -> PriceHistory:
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    count, instants = draw(st.integers(1, 3)), draw(st.integers(2, 40))
    aligned, actions = draw(st.booleans()), draw(st.booleans())
    made = []
    for at in range(count):
        rows = np.arange(instants)
        if not aligned and at:
            rows = rows[random.random(instants) < 0.7]
            rows = rows if len(rows) else np.array([instants - 1])
        made.append(made_bars(f"S{at}", rows, random, actions))
    return PriceHistory(made)


CONFIGS = st.builds(
    BacktestConfig,
    commission=st.builds(
        Commission,
        per_trade=st.sampled_from([0.0, 5.0]),
        per_share=st.sampled_from([0.0, 0.01]),
        bps=st.sampled_from([0.0, 10.0]),
        minimum=st.sampled_from([0.0, 8.0]),
    ),
    slippage=st.builds(
        Slippage,
        per_share=st.sampled_from([0.0, 0.02]),
        spread_bps=st.sampled_from([0.0, 4.0]),
        impact=st.sampled_from([None, 1.0]),
        max_participation=st.sampled_from([None, 0.1]),
    ),
    financing=st.builds(
        Financing, cash_rate=st.sampled_from([0.0, 0.05]), borrow_rate=st.sampled_from([0.0, 0.2])
    ),
    timing=st.sampled_from(Timing),
    fractional=st.booleans(),
    shorting=st.booleans(),
    delisting_recovery=st.sampled_from([1.0, 0.5]),
)


@given(history=histories(), config=CONFIGS, seed=st.integers(0, 10**6))
def test_signals_in_arrays_come_to_what_the_same_signals_bar_by_bar_do(
    history: PriceHistory, config: BacktestConfig, seed: int
) -> None:
    random = np.random.default_rng(seed)
    choices = [NAN, NAN, NAN, 0.0, 0.3, 0.5, 1.0, -0.5, 1.5]
    weights = random.choice(choices, (len(history), len(history.bars)))

    bars, arrays = both(planned(history, weights), history, config)

    assert_same(bars, arrays, rtol=1e-9)


@given(
    instants=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    bps=st.sampled_from([0.0, 10.0, 300.0]),
    silence=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_all_in_or_all_out_in_closed_form_comes_to_what_the_bars_do(
    instants: int, seed: int, bps: float, silence: float
) -> None:
    random, history = np.random.default_rng(seed), walk(instants, seed)
    weights = random.choice([NAN, 0.0, 1.0], instants, p=[silence, (1 - silence) / 2, (1 - silence) / 2])
    config = BacktestConfig(commission=Commission(bps=bps))

    bars, arrays = both(planned(history, weights), history, config)

    assert_same(bars, arrays, rtol=1e-11)


def test_the_closed_form_keeps_to_the_plain_rule_over_many_fills() -> None:
    history = walk(5000)
    only = history.bars["WALK"]
    weights = np.where(np.arange(5000) % 3 == 0, 1.0, np.where(np.arange(5000) % 3 == 1, 0.0, NAN))
    expected, cash, shares = [], 1e5, 0.0
    for row, (open_, close) in enumerate(zip(only.open.tolist(), only.close.tolist(), strict=True)):
        if row % 3 == 1:
            cash, shares = 0.0, cash / (open_ * 1.001)
        elif row and row % 3 == 2:
            cash, shares = shares * open_ * 0.999, 0.0
        expected.append(cash + shares * close)

    _, arrays = both(planned(history, weights), history, BacktestConfig(commission=Commission(bps=10)))

    np.testing.assert_allclose(arrays.equity, expected, rtol=1e-11)


def test_the_closed_form_agrees_with_the_bars_down_to_the_last_cent() -> None:
    # At 10 % a trade, 300 of them leave 1e5 * 0.9 ** 300 = 2e-9 of 1e5.
    history = walk(400)
    weights = np.where(np.arange(400) % 2 == 0, 1.0, 0.0)
    config = BacktestConfig(commission=Commission(bps=1000))

    bars, arrays = both(planned(history, weights), history, config)

    assert bars.final_equity < 1e-8
    assert_same(bars, arrays, rtol=1e-11)


def test_a_result_of_arrays_runs_again_as_arrays() -> None:
    history = walk(50)
    config = BacktestConfig(check_look_ahead=False)
    strategy = planned(history, np.full(50, 1.0))

    result = BacktestEngine(config).run(strategy, history, 1e5, arrays=True)

    assert result.specification["arrays"] is True
    again = rerun(result.specification, history)
    np.testing.assert_array_equal(again.equity, result.equity)


def test_the_metadata_of_a_run_is_in_every_trade_of_its_arrays() -> None:
    history = walk(4)
    config = BacktestConfig(check_look_ahead=False)

    result = run_arrays(
        planned(history, np.array([1.0, 0.0, NAN, NAN])), history, 1e5, config, {"strategy_id": "a"}
    )

    assert [trade.metadata for trade in result.trades] == [{"strategy_id": "a"}]


def test_a_strategy_without_an_array_form_is_refused_by_name() -> None:
    with pytest.raises(StrategyError, match="bare has no array form"):
        BacktestEngine().run(Strategy(None, "bare"), walk(5), 1e5, arrays=True)


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 2), (1, 5), ()])
def test_signals_of_another_shape_are_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(StrategyError, match=r"have the shape .*expected \(5, 1\)"):
        BacktestEngine().run(Answering(lambda _: np.zeros(shape)), walk(5), 1e5, arrays=True)


def test_one_column_may_be_left_out_for_one_symbol_alone() -> None:
    two = PriceHistory([made_bars(s, np.arange(5), np.random.default_rng(1)) for s in ("A", "B")])

    with pytest.raises(StrategyError, match=r"expected \(5, 2\).*A, B"):
        BacktestEngine().run(Answering(lambda h: np.zeros(len(h))), two, 1e5, arrays=True)


def test_an_infinite_signal_is_refused_with_its_symbol_and_date() -> None:
    def infinite(history: PriceHistory) -> Floats:
        return np.where(np.arange(len(history)) == 3, np.inf, 0.0)

    with pytest.raises(StrategyError, match="for WALK on 1970-01-04 is inf"):
        BacktestEngine().run(Answering(infinite), walk(5), 1e5, arrays=True)


def test_signals_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(StrategyError, match="something else than numbers"):
        BacktestEngine().run(Answering(lambda h: ["buy"] * len(h)), walk(5), 1e5, arrays=True)


def test_an_error_of_the_strategy_itself_is_passed_on() -> None:
    def broken(history: PriceHistory) -> Floats:
        raise ZeroDivisionError("no bars that day")

    with pytest.raises(ZeroDivisionError, match="no bars that day"):
        BacktestEngine().run(Answering(broken), walk(5), 1e5, arrays=True)


def test_an_isolated_error_is_the_failure_of_the_result() -> None:
    history = walk(5)

    result = run_arrays(Strategy(None, "bare"), history, 1e5, BacktestConfig(), {}, isolated=True)

    assert result.failure is not None
    assert "bare has no array form" in result.failure.error
    assert result.equity.tolist() == [1e5] * 5


def smoothed(history: PriceHistory, bars: int) -> Floats:
    """Return the mean of the last closes of the first symbol, NaN while there are too few."""
    close = history.closes[:, 0]
    means = np.full(len(close), NAN)
    if len(close) >= bars:
        means[bars - 1 :] = np.lib.stride_tricks.sliding_window_view(close, bars).mean(axis=1)
    return means


def turns(is_in: np.ndarray) -> Floats:
    """Return weights where the wish changes, and nothing new elsewhere."""
    wish = is_in.astype(float)
    return np.where(np.diff(wish, prepend=0.0) != 0.0, wish, NAN)


def honest(history: PriceHistory) -> Floats:
    return turns(smoothed(history, 3) > smoothed(history, 8))


def shifted(history: PriceHistory) -> Floats:
    above = smoothed(history, 3) > smoothed(history, 8)
    return turns(np.append(above[1:], above[-1:]))


def rolled(history: PriceHistory) -> Floats:
    return turns(np.roll(smoothed(history, 3) > smoothed(history, 8), -1))


def centred(history: PriceHistory) -> Floats:
    close = history.closes[:, 0]
    means = np.convolve(np.pad(close, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    return turns(close > means)


def above_the_mean_of_all(history: PriceHistory) -> Floats:
    close = history.closes[:, 0]
    return turns(close > close.mean())


def scaled_by_the_largest_of_all(history: PriceHistory) -> Floats:
    close = history.closes[:, 0]
    shares: Floats = close / close.max()
    return shares


def out_at_the_end(history: PriceHistory) -> Floats:
    weights = honest(history)
    weights[-1] = 0.0
    return weights


@pytest.mark.parametrize("instants", [60, 3000, 30_000])
@pytest.mark.parametrize(
    "cheat",
    [shifted, rolled, centred, above_the_mean_of_all, scaled_by_the_largest_of_all, out_at_the_end],
)
def test_signals_that_look_ahead_are_refused(cheat: Callable[[PriceHistory], Floats], instants: int) -> None:
    with pytest.raises(
        LookAheadError, match=r"for WALK on \d{4}-\d\d-\d\d \(instant \d+\) it decides .* but "
    ):
        BacktestEngine().run(Answering(cheat), walk(instants), 1e5, arrays=True)


@pytest.mark.parametrize("instants", [2, 60, 3000, 30_000])
def test_signals_from_the_past_alone_pass(instants: int) -> None:
    result = BacktestEngine().run(Answering(honest), walk(instants), 1e5, arrays=True)

    assert result.failure is None


def test_a_refused_look_ahead_names_bar_symbol_and_both_decisions() -> None:
    # Closes 10, 11, 12, 11: the next one is higher after the first two bars alone.
    close = np.array([10.0, 11.0, 12.0, 11.0])
    stamps = np.arange(4) * DAY
    volume = np.ones(4)
    bars = SymbolBars(
        symbol="ABC", stamps=stamps, open=close, high=close, low=close, close=close, volume=volume
    )

    def tomorrow(history: PriceHistory) -> Floats:
        closes = history.closes[:, 0]
        return np.append(closes[1:] > closes[:-1], False).astype(float)

    with pytest.raises(LookAheadError) as refused:
        BacktestEngine().run(Answering(tomorrow), PriceHistory([bars]), 1e5, arrays=True)

    assert "for ABC on 1970-01-01 (instant 0) it decides a weight of 1 when" in str(refused.value)
    assert "but a weight of 0 when it is given those up to 1970-01-01" in str(refused.value)


def test_a_weight_for_a_symbol_that_is_not_listed_yet_is_a_look_ahead() -> None:
    random = np.random.default_rng(1)
    history = PriceHistory(
        [made_bars("OLD", np.arange(40), random), made_bars("NEW", np.arange(30, 40), random)]
    )

    def equal(known: PriceHistory) -> Floats:
        return np.full((len(known), len(known.bars)), 0.25)

    with pytest.raises(LookAheadError, match="for NEW on 1970-01-01"):
        BacktestEngine().run(Answering(equal), history, 1e5, arrays=True)


def test_to_want_nothing_of_a_symbol_that_is_not_listed_yet_is_none() -> None:
    random = np.random.default_rng(1)
    history = PriceHistory(
        [made_bars("OLD", np.arange(40), random), made_bars("NEW", np.arange(30, 40), random)]
    )

    def of_the_listed(known: PriceHistory) -> Floats:
        return np.where(np.isnan(known.closes), 0.0, 0.25)

    result = BacktestEngine().run(Answering(of_the_listed), history, 1e5, arrays=True)

    assert {fill.symbol for fill in result.fills} == {"OLD", "NEW"}


def test_an_error_on_a_cut_history_says_that_it_was_cut() -> None:
    def only_whole(known: PriceHistory) -> Floats:
        if len(known) < 100:
            raise ValueError("too short for me")
        return honest(known)

    with pytest.raises(ValueError, match="too short for me") as raised:
        BacktestEngine().run(Answering(only_whole), walk(100), 1e5, arrays=True)

    assert "signals of answering again, with the first" in raised.value.__notes__[0]


def test_the_check_can_be_turned_off() -> None:
    config = BacktestConfig(check_look_ahead=False)

    result = BacktestEngine(config).run(Answering(shifted), walk(200), 1e5, arrays=True)

    assert result.fills
