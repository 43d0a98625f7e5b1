"""What a strategy is told, what it may see and touch, and what happens when it breaks the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.backtest.hand_made_bars import bars, run, told
from trading.backtest.bars import Bar
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import StrategyError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.signals import Signal
from trading.backtest.strategy import Signals, State, Strategy

UNALIGNED = PriceHistory(
    [
        bars("A", open=[10, 11, 12, 13]),
        bars("LATE", open=[20, 21], days=[2, 3]),
        bars("GAP", open=[30, 31, 32], days=[0, 2, 3]),
    ]
)


@dataclass(frozen=True, slots=True)
class Nothing:
    """No parameters."""


class Asking(Strategy):
    """Writes down what it finds out, and answers what it was given."""

    def __init__(
        self, ask: Callable[[Bar, State], Any], answer: Callable[[Bar, State], Any] | None = None
    ) -> None:
        super().__init__(Nothing())
        self.ask = ask
        self.answer = answer
        self.found: list[Any] = []

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.found.append(self.ask(bar, state))
        answer: Signals = self.answer(bar, state) if self.answer else None
        return answer


def found(
    ask: Callable[[Bar, State], Any],
    history: PriceHistory = UNALIGNED,
    answer: Callable[[Bar, State], Any] | None = None,
) -> list[Any]:
    strategy = Asking(ask, answer)
    BacktestEngine().run(strategy, history, 1000)
    return strategy.found


# What it is told


def test_every_bar_is_told_once_in_time_order() -> None:
    seen = found(lambda bar, state: (state.row, bar.symbol, bar.close))

    assert seen == [
        (0, "A", 10.0),
        (0, "GAP", 30.0),
        (1, "A", 11.0),
        (2, "A", 12.0),
        (2, "LATE", 20.0),
        (2, "GAP", 31.0),
        (3, "A", 13.0),
        (3, "LATE", 21.0),
        (3, "GAP", 32.0),
    ]


def test_the_bars_of_an_instant_are_all_known_at_its_first() -> None:
    seen = found(lambda bar, state: [each.symbol for each in state.bars])

    assert seen == [["A", "GAP"]] * 2 + [["A"]] + [["A", "LATE", "GAP"]] * 6


def test_start_and_end_are_told_once_before_the_first_and_after_the_last_bar() -> None:
    calls: list[Any] = []

    class Told(Strategy):
        def on_start(self, state: State) -> None:
            calls.append(("start", state.row, state.equity, state.bars, len(state.closes("A", 9))))

        def on_bar(self, bar: Bar, state: State) -> Signals:
            calls.append(("bar", state.row))
            return None

        def on_end(self, state: State) -> None:
            calls.append(("end", state.row, state.equity, len(state.bars), len(state.closes("A", 9))))

    BacktestEngine().run(Told(Nothing()), PriceHistory([bars(open=[10, 11])]), 1000)

    assert calls == [("start", -1, 1000.0, (), 0), ("bar", 0), ("bar", 1), ("end", 1, 1000.0, 1, 2)]


def test_a_strategy_needs_neither_start_nor_end() -> None:
    class Bare:
        name, parameters, warmup = "bare", Nothing(), 0

        def on_bar(self, bar: Bar, state: State) -> Signals:
            return [Signal.hold(bar.symbol, 1.0)] if state.row == 0 else None

    result = BacktestEngine().run(Bare(), PriceHistory([bars(open=[10, 11])]), 1100)

    assert told(result.fills) == [(1, 100.0, 11.0)]


class NothingButTheProtocol:
    """What the protocol asks for, and no name."""

    def __init__(self, parameters: Any = None) -> None:
        self.parameters, self.warmup = parameters or Nothing(), 0

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return [Signal.hold(bar.symbol, 1.0)] if state.row == 0 else None


class Nameless(NothingButTheProtocol):
    """Another one, that cannot be given a name."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_a_strategy_without_a_name_is_called_as_its_class() -> None:
    strategy: Any = NothingButTheProtocol()
    history = PriceHistory([bars(open=[10, 11])])

    alone = BacktestEngine().run(strategy, history, 1100)
    beside = StrategyOrchestrator([(strategy, 1.0)], OrchestratorConfig(log_dir=None)).run(history, 1100)

    assert alone.strategy_id == "nothing_but_the_protocol"
    assert told(alone.fills) == [(1, 100.0, 11.0)]
    assert list(beside.strategy_results) == ["nothing_but_the_protocol"]


def test_a_strategy_without_a_name_that_takes_none_is_refused() -> None:
    strategy: Any = Nameless()

    with pytest.raises(StrategyError, match="has no name and cannot be given one: expected a name"):
        BacktestEngine().run(strategy, PriceHistory([bars(open=[10, 11])]), 1100)


def test_parameters_that_are_no_dataclass_run_and_are_told_when_they_are_asked_for() -> None:
    strategy: Any = NothingButTheProtocol({"weight": 1.0})

    result = BacktestEngine().run(strategy, PriceHistory([bars(open=[10, 11])]), 1100)
    strategy.parameters["weight"] = 0.5

    assert result.specification["strategy"]["parameters"] == {"weight": 0.5}


def test_the_same_object_runs_twice_alike() -> None:
    class Counting(Strategy):
        count = 0

        def on_start(self, state: State) -> None:
            self.count = 0

        def on_bar(self, bar: Bar, state: State) -> Signals:
            self.count += 1
            return [Signal(symbol=bar.symbol, quantity=self.count)]

    strategy, history = Counting(Nothing()), PriceHistory([bars(open=[10, 11, 9, 12])])

    first, second = (BacktestEngine().run(strategy, history, 1000) for _ in range(2))

    assert first.equity.tobytes() == second.equity.tobytes()
    assert first.fills == second.fills


def test_a_bar_that_is_kept_never_changes() -> None:
    history = PriceHistory([bars(open=[10, 11, 12], close=[10.5, 11.5, 12.5])])

    kept = found(lambda bar, state: bar, history)

    assert kept == list(history.bars["A"].as_bars())
    assert len({id(bar) for bar in kept}) == 3


# What it may see


def test_closes_and_history_end_with_the_present_bar() -> None:
    def last(bar: Bar, state: State) -> object:
        part = state.history(bar.symbol, 2)
        return bar.symbol, state.closes(bar.symbol, 2).tolist(), part.close.tolist(), int(part.stamps[-1])

    for symbol, closes, same, stamp in found(last):
        own = UNALIGNED.bars[symbol]
        at = own.stamps.tolist().index(stamp)
        assert closes == same == own.close[max(at - 1, 0) : at + 1].tolist()


def test_of_a_symbol_that_is_not_listed_yet_nothing_is_known() -> None:
    seen = found(lambda bar, state: (state.row, len(state.closes("LATE", 9)), len(state.history("LATE", 9))))

    assert {each for each in seen if each[0] < 2} == {(0, 0, 0), (1, 0, 0)}
    assert {each for each in seen if each[0] >= 2} == {(2, 1, 1), (3, 2, 2)}


def test_equity_and_capital_are_those_of_the_present_closes() -> None:
    # 50 shares at 10; at 12 they are worth 600, and still use 500.
    def ask(bar: Bar, state: State) -> object:
        return state.cash, state.equity, state.available_capital, dict(state.positions)

    history = PriceHistory([bars(open=[10, 10, 11], close=[10, 12, 13])])

    seen = found(ask, history, lambda bar, state: [Signal.hold("A", 0.5)] if state.row == 0 else None)

    assert seen == [
        (1000.0, 1000.0, 1000.0, {}),
        (500.0, 1100.0, 500.0, {"A": 50.0}),
        (500.0, 1150.0, 500.0, {"A": 50.0}),
    ]


def test_the_equity_that_a_strategy_sees_is_that_of_the_result() -> None:
    random = np.random.default_rng(3)
    prices = 100 * np.exp(np.cumsum(random.normal(0, 0.02, (2, 60)), axis=1))
    history = PriceHistory([bars("A", open=prices[0].tolist()), bars("B", open=prices[1].tolist())])
    strategy = Asking(
        lambda bar, state: (state.row, state.equity),
        lambda bar, state: [
            Signal.hold(bar.symbol, [0.5, -0.5, 0.0][(state.row + len(bar.symbol)) // 7 % 3])
        ],
    )

    result = BacktestEngine().run(strategy, history, 1000)

    rows = [row for row, _ in strategy.found]
    np.testing.assert_allclose(result.equity[rows], [equity for _, equity in strategy.found], rtol=1e-12)


# What it may touch


def test_what_a_strategy_does_to_its_arrays_does_not_reach_the_engine() -> None:
    def vandal(bar: Bar, state: State) -> None:
        for array in (state.closes("A", 9), *_arrays(state.history("A", 9))):
            array.setflags(write=True)
            array[:] = 99.0
        positions = state.positions
        if positions:
            positions["A"] = 99.0  # type: ignore[index]  # it is a mapping to read

    given = bars(open=[10, 11, 12], splits={1: 1.0}, dividends={1: 0.0})
    history = PriceHistory([given])
    before = history.fingerprint

    found(vandal, history, lambda bar, state: [Signal.hold("A", 1.0)])

    assert history.fingerprint == before


def _arrays(part: SymbolBars) -> list[Floats]:
    some = [part.open, part.high, part.low, part.close, part.volume, part.dividends, part.splits]
    return [each for each in some if each is not None]


def test_metadata_that_is_changed_afterwards_does_not_reach_the_trade() -> None:
    note = {"why": "cheap"}
    signal = Signal(symbol="A", change=1.0, metadata=note)

    class Changing(Strategy):
        def on_bar(self, bar: Bar, state: State) -> Signals:
            if state.row == 0:
                return [signal]
            note["why"] = "forgotten"
            return [Signal.close("A")] if state.row == 1 else None

    result = BacktestEngine().run(Changing(Nothing()), PriceHistory([bars(open=[10, 11, 12])]), 1000)

    assert [trade.metadata for trade in result.trades] == [{"why": "cheap"}]


# When it breaks the protocol


class Unhappy(Exception):
    """An error of the strategy's own."""


def _raises(bar: Bar, state: State) -> Any:
    raise Unhappy("no")


def test_an_exception_of_the_strategy_is_passed_on_with_when_it_was() -> None:
    with pytest.raises(Unhappy) as caught:
        found(_raises)

    assert caught.value.__notes__ == ["raised by asking on 1970-01-01"]


@pytest.mark.parametrize("when", ["on_start", "on_end"])
def test_an_exception_at_start_or_end_is_passed_on(when: str) -> None:
    strategy = Asking(lambda bar, state: None)
    setattr(strategy, when, lambda state: _raises(None, state))  # type: ignore[arg-type]  # it raises anyway

    with pytest.raises(Unhappy):
        BacktestEngine().run(strategy, UNALIGNED, 1000)


def test_an_exception_of_a_generator_is_passed_on() -> None:
    def answer(bar: Bar, state: State) -> Any:
        yield Signal.hold("A", 0.1)
        raise Unhappy("no")

    with pytest.raises(Unhappy):
        found(lambda bar, state: None, UNALIGNED, answer)


@pytest.mark.parametrize(
    "answer",
    [
        1.0,
        "buy",
        ["A"],
        [Signal.hold("B", 1.0)],
        {"A": 1.0},
        [None],
        [[Signal.hold("A", 1.0)]],
    ],
)
def test_an_answer_that_is_no_signals_is_an_error_that_names_strategy_bar_and_expectation(
    answer: Any,
) -> None:
    said = re.escape(f"asking answered {answer!r} on 1970-01-01: expected signals (")

    with pytest.raises(StrategyError, match=said):
        found(lambda bar, state: None, UNALIGNED, lambda bar, state: answer)


def test_an_answer_of_an_array_is_an_error() -> None:
    with pytest.raises(ValueError, match="truth value") as caught:
        found(lambda bar, state: None, UNALIGNED, lambda bar, state: np.ones(2))

    assert caught.value.__notes__ == ["raised by asking on 1970-01-01"]


def test_a_single_signal_need_not_be_in_a_list() -> None:
    result = run(bars(open=[10, 10]), {0: Signal.hold("A", 1.0)})

    assert told(result.fills) == [(1, 100.0, 10.0)]


# Indicators that it declares


class Column:
    """An indicator of a chosen shape."""

    warmup = 0

    def __init__(self, of: Callable[[SymbolBars], Any]) -> None:
        self.of = of

    def __call__(self, bars: SymbolBars) -> Any:
        return self.of(bars)


def test_declared_indicators_come_with_their_bars() -> None:
    strategy = Asking(lambda bar, state: (bar.symbol, bar.values))
    strategy.indicators = (Column(lambda b: b.close * 2), Column(lambda b: b.volume))  # type: ignore[attr-defined]

    BacktestEngine().run(strategy, UNALIGNED, 1000)

    assert strategy.found[:3] == [("A", (20.0, 1e6)), ("GAP", (60.0, 1e6)), ("A", (22.0, 1e6))]


def test_an_indicator_of_another_length_is_an_error_that_names_it() -> None:
    strategy = Asking(lambda bar, state: None)
    strategy.indicators = (Column(lambda b: b.close[1:]),)  # type: ignore[attr-defined]

    with pytest.raises(StrategyError, match=r"of asking answered the shape \(3,\) for 4 bars of A"):
        BacktestEngine().run(strategy, UNALIGNED, 1000)


def test_an_indicator_cannot_write_to_the_bars() -> None:
    def spoil(b: SymbolBars) -> Floats:
        b.close[0] = 99.0
        return b.close

    strategy = Asking(lambda bar, state: None)
    strategy.indicators = (Column(spoil),)  # type: ignore[attr-defined]

    with pytest.raises(ValueError, match="read-only"):
        BacktestEngine().run(strategy, UNALIGNED, 1000)
