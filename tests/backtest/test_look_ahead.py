"""A strategy that knows bars to come is found out by changing them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.errors import LookAheadError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.look_ahead import check_look_ahead
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy

DAY = 86_400 * 10**9


def walk(*symbols: str, bars: int = 200) -> PriceHistory:
    random = np.random.default_rng(4)
    made = []
    for symbol in symbols or ("WALK",):
        close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, bars)))
        open_ = close * np.exp(random.normal(0, 0.005, bars))
        made.append(
            SymbolBars(
                symbol=symbol,
                stamps=np.arange(bars) * DAY,
                open=open_,
                high=np.maximum(open_, close),
                low=np.minimum(open_, close),
                close=close,
                volume=np.full(bars, 1e5),
                dividends=np.where(random.random(bars) < 0.02, 0.3, 0.0),
                splits=np.where(random.random(bars) < 0.01, 2.0, 1.0),
                extras={"sentiment": random.normal(0, 1, bars)},
            )
        )
    return PriceHistory(made)


class Rising(Strategy):
    """In while the close is above the one of some bars ago, from what it has seen itself."""

    def __init__(self, ago: int = 5) -> None:
        super().__init__(ago)
        self.seen: list[float] = []

    def on_start(self, state: State) -> None:
        self.seen = []

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.seen.append(bar.close)
        if len(self.seen) <= self.parameters:
            return None
        return [Signal.hold(bar.symbol, float(bar.close > self.seen[-1 - self.parameters]))]


class Handed(Strategy):
    """In while a close that it was handed with all others is above the present one."""

    def __init__(self, history: PriceHistory, ahead: int) -> None:
        super().__init__(ahead)
        self.closes = next(iter(history.bars.values())).close

    def on_bar(self, bar: Bar, state: State) -> Signals:
        later = min(state.row + self.parameters, len(self.closes) - 1)
        return [Signal.hold(bar.symbol, float(self.closes[later] > bar.close))]


class Prying(Strategy):
    """Reaches through its state for the bars that it was not given."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        closes = state._view.history.bars[bar.symbol].close  # type: ignore[attr-defined]  # that is the point
        return [Signal.hold(bar.symbol, 1.0)] if closes[state.row] < closes.mean() else None


@dataclass(frozen=True, slots=True)
class Tomorrow:
    """An indicator that says at each bar what the next one's extra column holds."""

    warmup: int = 0

    def __call__(self, bars: SymbolBars) -> Floats:
        said = bars.extras["sentiment"]
        return np.append(said[1:], np.nan)


class Told(Strategy):
    """Goes by what a declared indicator says."""

    indicators = (Tomorrow(),)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return [Signal.hold(bar.symbol, 1.0 if bar.values[0] > 0 else 0.0)]


class Sized(Strategy):
    """Buys as much as its account lets it, and looks back through its state."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        mean = float(state.closes(bar.symbol, 10).mean())
        held = state.positions.get(bar.symbol, 0.0)
        if bar.close > mean and not held:
            return [Signal(symbol=bar.symbol, quantity=0.4 * state.available_capital / bar.close)]
        return [Signal.close(bar.symbol)] if bar.close < mean and held else None


class Silent(Strategy):
    """Never decides anything."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return None


@pytest.mark.parametrize("ahead", [1, 2, 10])
def test_a_strategy_that_was_handed_all_bars_is_found_out(ahead: int) -> None:
    with pytest.raises(LookAheadError, match="handed looks ahead: at the bar of WALK on 1970-"):
        check_look_ahead(lambda history: Handed(history, ahead), walk())


@pytest.mark.parametrize("cheat", [Prying(None), Told(None)], ids=lambda each: each.name)
def test_a_strategy_that_reaches_bars_to_come_by_itself_is_found_out(cheat: Strategy) -> None:
    with pytest.raises(LookAheadError, match=f"{cheat.name} looks ahead"):
        check_look_ahead(cheat, walk())


def test_one_symbol_of_several_is_enough_to_be_found_out() -> None:
    with pytest.raises(LookAheadError, match=r"at the bar of (OTHER|WALK) on"):
        check_look_ahead(lambda history: Handed(history, 1), walk("OTHER", "WALK"))


def test_the_first_changed_decision_is_named_with_both_answers() -> None:
    def only_tomorrow(history: PriceHistory) -> Strategy:
        return Handed(history, 1)

    with pytest.raises(LookAheadError) as found:
        check_look_ahead(only_tomorrow, walk(bars=40), cuts=1, seed=3)

    said = str(found.value)
    assert "weight=1.0" in said
    assert "weight=0.0" in said
    assert "when the bars from 1970-" in said


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("honest", [Rising(), Sized(None), Silent(None)], ids=lambda each: each.name)
def test_a_strategy_that_goes_by_the_past_passes(honest: Strategy, seed: int) -> None:
    config = BacktestConfig(commission=Commission(bps=5))

    check_look_ahead(
        honest, walk("A", "B") if isinstance(honest, Sized) else walk(), seed=seed, config=config
    )


def test_what_breaks_on_another_future_after_the_change_is_no_look_ahead() -> None:
    class Fragile(Rising):
        def on_bar(self, bar: Bar, state: State) -> Signals:
            if self.seen and bar.close > 1.3 * self.seen[-1]:
                raise ValueError("no market moves like this")
            return super().on_bar(bar, state)

    check_look_ahead(Fragile(), walk())


def test_an_error_on_the_bars_as_they_are_is_passed_on() -> None:
    def broken(history: PriceHistory) -> Strategy:
        return Strategy(None, "silent")

    with pytest.raises(NotImplementedError, match="answers no bars"):
        check_look_ahead(broken, walk(bars=3))


def test_it_is_asked_as_often_as_said() -> None:
    made: list[PriceHistory] = []

    def noted(history: PriceHistory) -> Strategy:
        made.append(history)
        return Rising()

    check_look_ahead(noted, walk(), cuts=4)

    assert len(made) == 1 + 2 * 4
    assert all(replaced.stamps.tolist() == made[0].stamps.tolist() for replaced in made)
