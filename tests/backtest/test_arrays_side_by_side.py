"""Several array forms in one orchestrated run: what is worked out from columns, two at once, is the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.test_array_form import NAN, Answering, planned, walk
from trading.backtest import BacktestConfig, Commission, OrchestratorConfig, StrategyOrchestrator
from trading.backtest.account import Fill, Split
from trading.backtest.alternating import AlternatingFills
from trading.backtest.array_form import run_arrays
from trading.backtest.curves import holdings
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.orchestrator_result import OrchestratorResult
from trading.backtest.result import BacktestResult
from trading.backtest.trades import figures_of

Answer = Callable[[PriceHistory], object]
RULES = BacktestConfig(commission=Commission(bps=10.0), check_look_ahead=False)
HISTORY = walk(60)


def decided(values: list[float]) -> Floats:
    return np.array(values + [NAN] * (len(HISTORY) - len(values)))


def in_columns(values: list[float]) -> BacktestResult:
    """Return the result of these decisions, one for each bar, in closed form."""
    return run_arrays(planned(HISTORY, decided(values)), HISTORY, 1e5, RULES, {})


def together(answers: dict[str, Answer], log_dir: Path | None, level: str = "WARNING") -> OrchestratorResult:
    strategies = []
    for name, answer in answers.items():
        strategy = Answering(answer)
        strategy.name = name
        strategies.append((strategy, 1.0 / len(answers)))
    config = OrchestratorConfig(backtest=RULES, arrays=True, log_dir=log_dir, logging_level=level)
    return StrategyOrchestrator(strategies, config).run(HISTORY, 1e5)


def saying(values: list[float]) -> Answer:
    return lambda history: decided(values)[: len(history)]


decisions = st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=len(HISTORY))


@given(decisions)
def test_figures_from_columns_are_those_of_the_trades_to_the_last_bit(values: list[float]) -> None:
    result = in_columns(values)

    assert result.figures.pnls.tolist() == [trade.pnl for trade in result.trades]
    assert result.figures.bars.tolist() == [trade.bars for trade in result.trades]
    traded = sum(abs(fill.quantity) * fill.price for fill in result.fills)
    assert result.figures.traded_value == pytest.approx(traded, rel=1e-14)


@given(decisions)
def test_figures_from_a_record_are_those_of_columns(values: list[float]) -> None:
    result = in_columns(values)

    told, expected = figures_of(result.record), result.figures

    assert told.pnls.tolist() == expected.pnls.tolist()
    assert told.bars.tolist() == expected.bars.tolist()
    assert told.traded_value == pytest.approx(expected.traded_value, rel=1e-14)


@given(decisions)
def test_holdings_from_columns_are_those_of_the_record(values: list[float]) -> None:
    result = in_columns(values)

    expected = holdings(result.record, len(HISTORY))

    assert result.holdings.keys() == expected.keys()
    for symbol, held in expected.items():
        np.testing.assert_array_equal(result.holdings[symbol], held)


@given(decisions)
def test_cash_moved_by_columns_is_that_of_the_fills(values: list[float]) -> None:
    result = in_columns(values)

    expected = np.zeros(len(HISTORY))
    for fill in result.fills:
        expected[fill.row] -= fill.quantity * fill.price + fill.fee

    np.testing.assert_array_equal(result.cash_moved(), expected)


@given(decisions)
def test_the_capital_at_the_end_is_that_of_an_account(values: list[float]) -> None:
    """Won: what the trades brought. Used: what the fills bound and released."""
    result = in_columns(values)

    won = sum(trade.pnl for trade in result.trades)
    assert result.allocated == pytest.approx(1e5 + won, rel=1e-9)
    assert result.used == pytest.approx(sum(fill.used for fill in result.fills), rel=1e-9, abs=1e-4)


def test_a_short_position_closed_at_the_bar_that_opened_it_is_told_by_columns() -> None:
    """5 sold at 10 and bought back at 8 within a bar, a fee of 1 each: 50 - 40 - 2 = 8 won, 90 traded."""
    record = [Fill(2, "X", -5.0, 10.0, 1.0, 51.0, {"why": "dear"}), Fill(2, "X", 5.0, 8.0, 1.0, -51.0, {})]

    columns = AlternatingFills.of(record)

    assert columns is not None
    assert [np.asarray(each).tolist() for each in columns.figures()] == [[8.0], [0.0], 90.0]
    assert columns.moved(4).tolist() == [0.0, 0.0, 8.0, 0.0]
    assert columns.holdings(4)["X"].tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "record",
    [
        [],
        [Fill(0, "X", 5.0, 1.0, 0.0, 5.0, {}), Fill(1, "X", -4.0, 1.0, 0.0, -4.0, {})],
        [Fill(0, "X", 5.0, 1.0, 0.0, 5.0, {}), Fill(1, "Y", -5.0, 1.0, 0.0, 5.0, {})],
        [Fill(0, "X", 5.0, 1.0, 0.0, 5.0, {}), Split(1, "X", 2.0)],
    ],
    ids=["none", "a part", "two symbols", "a split"],
)
def test_what_is_not_opened_and_closed_whole_in_turn_has_no_columns(record: list[Fill | Split]) -> None:
    assert AlternatingFills.of(record) is None


def test_columns_hold_the_fills_of_one_symbol_in_turn() -> None:
    one = np.ones(2)
    columns = AlternatingFills(
        symbol="X", rows=np.array([1, 4]), quantities=one * [5, -5], prices=10 * one, fees=one, used=51 * one
    )

    assert columns.record() == [
        Fill(1, "X", 5.0, 10.0, 1.0, 51.0, {}),
        Fill(4, "X", -5.0, 10.0, 1.0, 51.0, {}),
    ]
    assert columns.holdings(6)["X"].tolist() == [0.0, 5.0, 5.0, 5.0, 0.0, 0.0]
    # Bought for 50 and sold for 50, a fee of 1 each: 2 lost in 3 bars, 100 traded.
    assert [np.asarray(each).tolist() for each in columns.figures()] == [[-2.0], [3.0], 100.0]
    assert columns.moved(6).tolist() == [0.0, -51.0, 0.0, 0.0, 49.0, 0.0]


def test_the_level_of_the_log_changes_nothing_in_the_result(tmp_path: Path) -> None:
    answers = {"a": saying([1.0, NAN, NAN, 0.0] * 10), "b": saying([NAN, 1.0, 0.0])}

    quiet = together(answers, None)
    told = together(answers, tmp_path, "INFO")

    np.testing.assert_allclose(quiet.equity, told.equity, rtol=1e-12)
    for name in answers:
        one, other = quiet.get_strategy_result(name), told.get_strategy_result(name)
        assert [fill.row for fill in one.fills] == [fill.row for fill in other.fills]
        assert list(one.metrics.values().values()) == pytest.approx(
            list(other.metrics.values().values()), rel=1e-9, nan_ok=True
        )
        numbers = (
            [float(each) for each in astuple(given)[1:]]
            for given in (quiet.allocations[name], told.allocations[name])
        )
        assert next(numbers) == pytest.approx(next(numbers), rel=1e-12, abs=1e-7)


def test_a_refusal_is_logged_although_fills_are_not(tmp_path: Path) -> None:
    """Three times the equity cannot be had, whatever the level of the log."""
    answers = {"greedy": saying([3.0]), "fair": saying([1.0])}

    result = together(answers, tmp_path)

    assert [each.reason.name for each in result.get_strategy_result("greedy").rejections] == ["CAPITAL"]
    lines = [json.loads(line) for line in (tmp_path / "orchestrator.jsonl").read_text().splitlines()]
    assert [(line["event"], line["strategy_id"]) for line in lines] == [
        ("orchestrator.capital_limit_hit", "greedy")
    ]
    assert lines[0]["details"]["requested"] == pytest.approx(150_000.0)


def test_what_the_last_bar_decides_is_refused_but_no_matter_of_capital(tmp_path: Path) -> None:
    answers = {"late": saying([NAN] * 59 + [1.0])}

    result = together(answers, tmp_path)

    assert [each.reason.name for each in result.get_strategy_result("late").rejections] == ["NO_MORE_BARS"]
    assert (tmp_path / "orchestrator.jsonl").read_text() == ""


def test_one_that_raises_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    def breaking(history: PriceHistory) -> object:
        raise ZeroDivisionError("of all things")

    answers = {"a": saying([1.0]), "breaking": breaking, "b": saying([1.0])}

    result = together(answers, tmp_path)

    assert result.failures == {"breaking": "ZeroDivisionError: of all things"}
    assert list(result.strategy_results) == ["a", "breaking", "b"]
    assert len(result.get_strategy_result("b").fills) == 1
    (line,) = (tmp_path / "orchestrator.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "orchestrator.strategy_failed"


def test_two_are_asked_at_once_and_stand_in_the_order_given() -> None:
    """Each waits for the other to be asked; the second answers first."""
    asked = {name: threading.Event() for name in ("slow", "fast")}
    answered = threading.Event()

    def slow(history: PriceHistory) -> object:
        asked["slow"].set()
        assert asked["fast"].wait(10)
        assert answered.wait(10)
        return decided([1.0])

    def fast(history: PriceHistory) -> object:
        asked["fast"].set()
        assert asked["slow"].wait(10)
        answered.set()
        return decided([0.0])

    result = together({"slow": slow, "fast": fast}, None)

    assert result.failures == {}
    assert list(result.strategy_results) == ["slow", "fast"]
