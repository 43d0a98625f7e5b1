"""Whatever one strategy does wrong stays with it: the others go on, and the result says what it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtest.test_rebalancing import holder, priced
from trading.backtest import (
    BacktestEngine,
    Bar,
    OrchestratorConfig,
    OrchestratorResult,
    PriceHistory,
    Strategy,
    StrategyOrchestrator,
    SymbolBars,
)
from trading.backtest.history import Floats
from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
from trading.backtest.strategy import Indicator, IStrategy, Signals, State

HISTORIES = {"one symbol": priced(A=[10.0] * 5), "two": priced(A=[10.0] * 5, B=[20.0] * 5)}
every_history = pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))


@dataclass(frozen=True, slots=True)
class Nothing:
    """No parameters."""


class Answering(Strategy):
    """Answers every bar alike; what it is told besides, it keeps."""

    def __init__(self, answer: Any) -> None:
        super().__init__(Nothing())
        self.answer = answer
        self.told: list[str] = []

    def on_start(self, state: State) -> None:
        self.told.append("start")

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.told.append("bar")
        answer: Signals = self.answer
        return answer

    def on_end(self, state: State) -> None:
        self.told.append("end")


class Raising:
    """An indicator that cannot be worked out."""

    warmup = 0

    def __call__(self, bars: SymbolBars) -> Floats:
        raise ZeroDivisionError("of all things")


class Short:
    """An indicator that lacks the first bar."""

    warmup = 0

    def __call__(self, bars: SymbolBars) -> Floats:
        return bars.close[1:]


class Declaring(Answering):
    """With indicators beforehand."""

    def __init__(self, indicator: Indicator) -> None:
        super().__init__(None)
        self.indicators: Sequence[Indicator] = (indicator,)


def beside_a_holder(strategy: IStrategy, history: PriceHistory) -> OrchestratorResult:
    return StrategyOrchestrator([(strategy, 0.5), (holder("A"), 0.5)], OrchestratorConfig(log_dir=None)).run(
        history, 1000
    )


@every_history
@pytest.mark.parametrize("company", [True, False], ids=["beside another", "alone"])
def test_an_array_for_an_answer_stops_its_strategy_alone(history: PriceHistory, company: bool) -> None:
    lost = Answering(np.array([1.0, 2.0]))

    if company:
        result = beside_a_holder(lost, history)
    else:
        result = StrategyOrchestrator([(lost, 0.5)], OrchestratorConfig(log_dir=None)).run(history, 1000)

    assert "truth value" in result.failures["answering"]
    assert lost.told == ["start", "bar"]


@every_history
@pytest.mark.parametrize(
    ("indicator", "said"),
    [
        (Raising(), "ZeroDivisionError: of all things"),
        (Short(), r"StrategyError: indicator .* of declaring answered the shape \(4,\) for 5 bars of A"),
    ],
)
def test_an_indicator_that_fails_stops_its_strategy_before_the_first_bar(
    history: PriceHistory, indicator: Indicator, said: str
) -> None:
    lost = Declaring(indicator)

    result = beside_a_holder(lost, history)

    failure = result.get_strategy_result("declaring").failure
    assert failure is not None
    assert failure.row == -1
    assert pytest.approx([500.0] * 5) == result.get_strategy_result("declaring").equity
    assert [fill.row for fill in result.get_strategy_result("A").fills] == [1]
    assert lost.told == []
    assert re.match(said, failure.error)


class InArrays(Answering):
    """Answers for all instants at once, with a function of the history."""

    def __init__(self, signals: Callable[[PriceHistory], Floats]) -> None:
        super().__init__(None)
        self.signals = signals


def raising(history: PriceHistory) -> Floats:
    raise ZeroDivisionError("of all things")


def looking_ahead(history: PriceHistory) -> Floats:
    return np.append(history.closes[1:, 0] > history.closes[:-1, 0], False).astype(np.float64)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (InArrays(raising), "ZeroDivisionError: of all things"),
        (InArrays(lambda history: np.zeros(2)), "StrategyError: signals of in_arrays have the shape (2,)"),
        (InArrays(looking_ahead), "LookAheadError: in_arrays looks ahead: for A on "),
        (Answering(None), "StrategyError: answering has no array form: expected a method signals(history)"),
    ],
)
def test_an_array_form_that_fails_stops_its_strategy_alone(lost: Strategy, said: str, tmp_path: Path) -> None:
    history = priced(A=[10.0, 11.0, 10.0, 12.0, 11.0, 13.0, 12.0, 14.0, 13.0])
    going = MovingAverageCross(MovingAverageParameters(fast=1, slow=2))
    config = OrchestratorConfig(arrays=True, log_dir=tmp_path)

    result = StrategyOrchestrator([(lost, 0.5), (going, 0.5)], config).run(history, 1000)

    assert list(result.failures) == [lost.name]
    assert result.failures[lost.name].startswith(said)
    assert len(result.get_strategy_result(going.name).fills) > 1
    lines = (tmp_path / "orchestrator.jsonl").read_text().splitlines()
    failed = [each for each in map(json.loads, lines) if each["event"] == "orchestrator.strategy_failed"]
    assert [(each["level"], each["strategy_id"]) for each in failed] == [("ERROR", lost.name)]


def test_a_failing_indicator_of_a_strategy_alone_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError, match="of all things"):
        BacktestEngine().run(Declaring(Raising()), HISTORIES["two"], 1000)
