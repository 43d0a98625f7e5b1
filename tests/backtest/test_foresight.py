"""Foresight where no decision shows it: one is withheld, the warm-up is filled, or an indicator has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import LookAheadError, StrategyError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal
from trading.backtest.strategy import Indicator, IStrategy, Signals, State, Strategy

DAY = 86_400 * 10**9
UNCHECKED = BacktestConfig(check_look_ahead=False)


def priced(symbol: str, close: Sequence[float] | Floats, first: int = 0) -> SymbolBars:
    """Return daily bars that open, rise and fall nowhere but at their close."""
    closes = np.asarray(close, dtype=np.float64)
    return SymbolBars(
        symbol=symbol,
        stamps=(first + np.arange(len(closes))) * DAY,
        open=closes,
        high=closes,
        low=closes,
        close=closes,
        volume=np.full(len(closes), 1e9),
    )


def walk(bars: int, seed: int = 1) -> PriceHistory:
    random = np.random.default_rng(seed)
    return PriceHistory([priced("WALK", 100 * np.exp(np.cumsum(random.normal(0, 0.01, bars))))])


class InArrays(Strategy):
    """Answers what a function of the history says."""

    def __init__(self, answer: Callable[[PriceHistory], Floats], warmup: int = 0) -> None:
        super().__init__(None)
        self.answer = answer
        self.warmup = warmup

    def signals(self, history: PriceHistory) -> Floats:
        return self.answer(history)


class OnBars(Strategy):
    """Answers at each instant what it was given for it."""

    def __init__(self, plan: dict[int, list[Signal]], warmup: int = 0) -> None:
        super().__init__(None, "in_arrays")
        self.plan = plan
        self.warmup = warmup

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return self.plan.get(state.row) if bar is state.bars[-1] else None


class Following(Strategy):
    """In while its indicator is above the close."""

    def __init__(self, indicator: Indicator) -> None:
        super().__init__(None)
        self.indicators: Sequence[Indicator] = (indicator,)
        self.bars = 0

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.bars += 1
        return [Signal.hold(bar.symbol, 1.0 if bar.values[0] > bar.close else 0.0)]


@dataclass(frozen=True)
class Told:
    """An indicator that says what a function of the bars does; `asked` holds how many it was given."""

    of: Callable[[SymbolBars], Floats]
    warmup: int = 0
    asked: list[int] = field(default_factory=list)

    def __call__(self, bars: SymbolBars) -> Floats:
        self.asked.append(len(bars))
        return self.of(bars)

    def __repr__(self) -> str:
        return f"Told({self.of.__name__})"


def run(strategy: IStrategy, history: PriceHistory, config: BacktestConfig | None = None) -> BacktestResult:
    return BacktestEngine(config).run(strategy, history, 1e5)


def run_arrays(strategy: IStrategy, history: PriceHistory) -> BacktestResult:
    return BacktestEngine().run(strategy, history, 1e5, arrays=True)


# A decision withheld


def sold_at_the_highest_of_all(history: PriceHistory) -> Floats:
    """Buy on the first bar, and sell on the one with the highest close there will ever be."""
    weights = np.full(len(history), np.nan)
    weights[int(np.argmax(history.closes[:, 0]))] = 0.0
    weights[0] = 1.0
    return weights


def bought_at_the_lowest_of_all(history: PriceHistory) -> Floats:
    weights = np.full(len(history), np.nan)
    weights[int(np.argmin(history.closes[:, 0]))] = 1.0
    return weights


def bought_unless_it_will_fall(history: PriceHistory) -> Floats:
    """Buy at a new high of 20 bars, unless the close 60 bars on is known and below; sell at a new low."""
    close = pd.Series(history.closes[:, 0])
    falls = (close.shift(-60) < close).to_numpy()
    high, low = (close == close.rolling(20).max()).to_numpy(), (close == close.rolling(20).min()).to_numpy()
    weights = np.full(len(close), np.nan)
    weights[low] = 0.0
    weights[high & ~falls] = 1.0
    return weights


@pytest.mark.parametrize("instants", [250, 500, 3000, 9000, 10_001, 60_000])
@pytest.mark.parametrize(
    "cheat", [sold_at_the_highest_of_all, bought_at_the_lowest_of_all, bought_unless_it_will_fall]
)
def test_foresight_that_withholds_or_delays_a_decision_is_refused(
    cheat: Callable[[PriceHistory], Floats], instants: int
) -> None:
    with pytest.raises(LookAheadError, match=r"in_arrays looks ahead: for WALK on "):
        run_arrays(InArrays(cheat), walk(instants))


@pytest.mark.parametrize("instants", [500, 9000, 60_000])
@pytest.mark.parametrize("seed", [2, 3, 4, 5, 6, 8, 9, 11, 12, 13])
def test_to_sell_at_the_highest_of_all_is_refused_on_many_histories(instants: int, seed: int) -> None:
    """Not on all: where the first bar, or one of the next few, has the highest close (seeds 7 and 10), the
    whole history says at every cut what is known by then."""
    with pytest.raises(LookAheadError):
        run_arrays(InArrays(sold_at_the_highest_of_all), walk(instants, seed))


def test_a_withheld_decision_is_named_with_what_was_decided_on_the_shorter_history() -> None:
    # Of the first bar alone, and of the first two, the second's close is the highest: 3 comes later.
    history = PriceHistory([priced("ABC", [1.0, 2.0, 1.5, 1.5, 1.5, 1.5, 1.5, 3.0])])

    with pytest.raises(LookAheadError) as refused:
        run_arrays(InArrays(sold_at_the_highest_of_all), history)

    assert "for ABC on 1970-01-02 (instant 1) it decides nothing when it is given all" in str(refused.value)
    assert "but a weight of 0 when it is given those up to 1970-01-02" in str(refused.value)


# A decision in the warm-up


def above_a_mean_filled_backwards(history: PriceHistory) -> Floats:
    """In while above the mean of 50 bars, which on the first 49 is the one known on the 50th."""
    close = pd.Series(history.closes[:, 0])
    return (close > close.rolling(50).mean().bfill()).to_numpy().astype(np.float64)


@pytest.mark.parametrize("instants", [500, 20_000])
@pytest.mark.parametrize("warmup", [0, 10, 49, 50])
def test_a_warm_up_filled_from_later_bars_is_refused(warmup: int, instants: int) -> None:
    with pytest.raises(StrategyError, match=r"for WALK on 1970-"):
        run_arrays(InArrays(above_a_mean_filled_backwards, warmup), walk(instants))


def test_a_decision_in_the_warm_up_is_refused_with_strategy_symbol_and_bar_in_both_forms() -> None:
    history = PriceHistory([priced("ABC", [1.0] * 8), priced("NEW", [1.0] * 4, first=4)])
    weights = np.full((8, 2), np.nan)
    weights[5, 1] = 0.5  # the second bar of NEW, the sixth of ABC
    said = (
        r"^in_arrays decides a weight of 0\.5 for NEW on 1970-01-06, after 2 of its bars: expected nothing "
        r"before its bar 3, as the strategy's warm-up is 2 bars(\n|$)"
    )

    with pytest.raises(StrategyError, match=said):
        run_arrays(InArrays(lambda known: weights[: len(known), : len(known.bars)], warmup=2), history)
    with pytest.raises(StrategyError, match=said):
        run(OnBars({5: [Signal.hold("NEW", 0.5)]}, warmup=2), history)


def test_a_warm_up_ends_after_as_many_bars_of_the_symbol_in_both_forms() -> None:
    history = PriceHistory([priced("ABC", [1.0] * 8), priced("NEW", [1.0] * 4, first=4)])
    weights = np.full((8, 2), np.nan)
    weights[2, 0] = weights[6, 1] = 0.5  # the third bar of each

    arrays = run_arrays(InArrays(lambda known: weights[: len(known), : len(known.bars)], warmup=2), history)
    bars = run(OnBars({2: [Signal.hold("ABC", 0.5)], 6: [Signal.hold("NEW", 0.5)]}, warmup=2), history)

    assert [(fill.row, fill.symbol) for fill in arrays.fills] == [(3, "ABC"), (7, "NEW")]
    assert [(fill.row, fill.symbol) for fill in bars.fills] == [(3, "ABC"), (7, "NEW")]


def test_to_hold_nothing_in_the_warm_up_is_no_decision() -> None:
    weights = np.array([0.0, 0.0, 1.0, np.nan])

    arrays = run_arrays(InArrays(lambda known: weights[: len(known)], warmup=2), walk(4))
    bars = run(
        OnBars({0: [Signal.close("WALK")], 1: [Signal.cancel("WALK")], 2: [Signal.hold("WALK", 1.0)]}, 2),
        walk(4),
    )

    assert [fill.row for fill in arrays.fills] == [fill.row for fill in bars.fills] == [3]


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (Signal.hold("WALK", -0.5), "a weight of -0.5"),
        (Signal(symbol="WALK", quantity=3), "a quantity of 3"),
        (Signal(symbol="WALK", change=-2, limit=5.0), "a change of -2"),
    ],
)
def test_an_order_of_any_kind_is_refused_in_the_warm_up(signal: Signal, said: str) -> None:
    with pytest.raises(StrategyError, match=f"^in_arrays decides {said} for WALK on 1970-01-02, after 2 of"):
        run(OnBars({1: [Signal.close("WALK"), signal]}, warmup=2), walk(5))


def test_a_decision_in_the_warm_up_stops_its_strategy_alone() -> None:
    early = OnBars({1: [Signal.hold("WALK", 1.0)]}, warmup=2)
    other = OnBars({1: [Signal.hold("WALK", 1.0)]})
    other.name = "other"

    result = StrategyOrchestrator([(early, 0.5), (other, 0.5)], OrchestratorConfig(log_dir=None)).run(
        walk(5), 1000
    )

    assert list(result.failures) == ["in_arrays"]
    assert not result.get_strategy_result("in_arrays").fills
    assert [fill.row for fill in result.get_strategy_result("other").fills] == [2]


# An indicator that knows later bars


def of_the_day_after_tomorrow(bars: SymbolBars) -> Floats:
    return np.append(bars.close[2:], [np.nan, np.nan])


def centred(bars: SymbolBars) -> Floats:
    return np.asarray(pd.Series(bars.close).rolling(21, center=True).mean())


def backfilled(bars: SymbolBars) -> Floats:
    return np.asarray(pd.Series(bars.close).rolling(50).mean().bfill())


def in_units_of_the_whole(bars: SymbolBars) -> Floats:
    scaled: Floats = bars.close / bars.close.std()
    return scaled


def turning_points(bars: SymbolBars) -> Floats:
    """A close that is the highest of the 60 bars before it and the 60 after, on its own bar; else NaN."""
    close = pd.Series(bars.close)
    highest = close.rolling(121, center=True, min_periods=61).max()
    return np.asarray(close.where(close == highest))


@pytest.mark.parametrize("instants", [200, 2000, 30_000])
@pytest.mark.parametrize(
    ("of", "warmup"),
    [
        (of_the_day_after_tomorrow, 0),
        (centred, 10),
        (backfilled, 49),
        (in_units_of_the_whole, 0),
        (turning_points, 60),
    ],
)
def test_a_declared_indicator_that_looks_ahead_is_refused_before_the_first_bar(
    of: Callable[[SymbolBars], Floats], warmup: int, instants: int
) -> None:
    strategy = Following(Told(of, warmup))

    with pytest.raises(
        LookAheadError,
        match=rf"^indicator Told\({of.__name__}\) of following looks ahead: for WALK on [-\d]{{10}} \(bar \d",
    ):
        run(strategy, walk(instants))

    assert strategy.bars == 0


def test_a_refused_indicator_is_named_with_bar_symbol_and_both_values() -> None:
    # Of eight bars the cut after seven is the longest: there bars 0 to 4 are known, bar 5 is not.
    history = PriceHistory([priced("ABC", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])])

    with pytest.raises(LookAheadError) as refused:
        run(Following(Told(of_the_day_after_tomorrow)), history)

    assert str(refused.value) == (
        "indicator Told(of_the_day_after_tomorrow) of following looks ahead: for ABC on 1970-01-06 (bar 5) "
        "it says 8 when it is given all bars, but nan when it is given those up to 1970-01-07"
    )


def test_one_symbol_s_foresight_is_enough() -> None:
    def of_the_newer(bars: SymbolBars) -> Floats:
        return of_the_day_after_tomorrow(bars) if bars.symbol == "NEW" else bars.close

    history = PriceHistory([priced("ABC", [1.0] * 40), priced("NEW", [1.0] * 20, first=20)])

    with pytest.raises(LookAheadError, match=r"for NEW on 1970-02-0\d \(bar 1\d\)"):
        run(Following(Told(of_the_newer)), history)


def test_an_indicator_that_looks_ahead_stops_its_strategy_alone() -> None:
    following, other = Following(Told(of_the_day_after_tomorrow)), OnBars({1: [Signal.hold("WALK", 1.0)]})

    result = StrategyOrchestrator([(following, 0.5), (other, 0.5)], OrchestratorConfig(log_dir=None)).run(
        walk(50), 1000
    )

    assert list(result.failures) == ["following"]
    assert result.failures["following"].startswith("LookAheadError: indicator Told(")
    assert following.bars == 0
    assert [fill.row for fill in result.get_strategy_result("in_arrays").fills] == [2]


def summed_in_another_order(bars: SymbolBars) -> Floats:
    """The volume so far, from its total down: as much rounding as the history is long."""
    made: Floats = bars.volume.sum() / 3 - np.append(bars.volume[1:], 0.0)[::-1].cumsum()[::-1] / 3
    return made


def with_gaps_and_infinities(bars: SymbolBars) -> Floats:
    made = bars.close.copy()
    made[::7], made[::5], made[::11] = np.nan, np.inf, -np.inf
    return made


def never_known(bars: SymbolBars) -> Floats:
    return np.full(len(bars), np.nan)


@pytest.mark.parametrize("instants", [1, 2, 60, 3000, 30_000])
@pytest.mark.parametrize("of", [summed_in_another_order, with_gaps_and_infinities, never_known])
def test_an_indicator_of_the_past_passes_however_it_rounds(
    of: Callable[[SymbolBars], Floats], instants: int
) -> None:
    strategy = Following(Told(of))

    run(strategy, walk(instants))

    assert strategy.bars == instants


@pytest.mark.parametrize("early", [np.inf, -np.inf, 1.0])
def test_an_infinite_value_equals_only_itself(early: float) -> None:
    def infinite_at_last(bars: SymbolBars) -> Floats:
        return np.full(len(bars), early if len(bars) < 40 else np.inf)

    if early == np.inf:
        assert run(Following(Told(infinite_at_last)), walk(40)).failure is None
    else:
        with pytest.raises(LookAheadError, match="it says inf when it is given all bars"):
            run(Following(Told(infinite_at_last)), walk(40))


def test_indicators_are_asked_again_a_few_times_whatever_the_number_of_bars() -> None:
    few, many = Told(lambda bars: bars.close), Told(lambda bars: bars.close)

    run(Following(few), walk(1000))
    run(Following(many), walk(8000))

    assert few.asked[0] == 1000
    assert many.asked[0] == 8000
    assert len(few.asked) == len(many.asked) < 12


def test_an_indicator_that_fails_on_fewer_bars_is_told_so() -> None:
    def only_whole(bars: SymbolBars) -> Floats:
        if len(bars) < 100:
            raise ValueError("too short for me")
        return bars.close

    with pytest.raises(ValueError, match="too short for me") as raised:
        run(Following(Told(only_whole)), walk(100))

    assert raised.value.__notes__[0] == (
        "asked for indicator Told(only_whole) of following again, with the first 87 bars alone"
    )


def test_without_the_check_indicators_are_asked_once() -> None:
    indicator = Told(of_the_day_after_tomorrow)

    run(Following(indicator), walk(200), UNCHECKED)

    assert indicator.asked == [200]
