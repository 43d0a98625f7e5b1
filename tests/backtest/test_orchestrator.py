"""What an orchestrator promises, one behaviour each: Given, When, Then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtest.test_engine import Decided, Decisions, random_walk
from tests.backtest.test_rebalancing import priced
from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    Bar,
    BooksError,
    Commission,
    HistoryError,
    OrchestratorConfig,
    PriceHistory,
    Signal,
    Strategy,
    StrategyOrchestrator,
)
from trading.backtest.account import Account
from trading.backtest.combined import check_sum, combined_equity
from trading.backtest.strategies.registry import made
from trading.backtest.strategy import Signals, State

Answer = Callable[[Bar, State], Signals]
FLAT = priced(ONE=[10.0] * 6)
"""One symbol that costs 10 all along."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No parameters."""


class Acting(Strategy):
    """Answers a bar with what a function says."""

    def __init__(self, name: str, act: Answer) -> None:
        super().__init__(Nothing(), name)
        self._act = act

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return self._act(bar, state)


def on_rows(**signals: Signals) -> Answer:
    """Answer with signals["r3"] at instant 3, and so on."""
    return lambda bar, state: signals.get(f"r{state.row}")


def shares(quantity: float, symbol: str = "ONE") -> Signals:
    return [Signal(symbol=symbol, quantity=quantity)]


def more(change: float, symbol: str = "ONE") -> Signals:
    return [Signal(symbol=symbol, change=change)]


@pytest.fixture
def config(tmp_path: Path) -> OrchestratorConfig:
    return OrchestratorConfig(log_dir=tmp_path)


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of the log, or those of one event."""
    lines = [json.loads(line) for line in (folder / "orchestrator.jsonl").read_text().splitlines()]
    return [line for line in lines if kind in (None, line["event"].removeprefix("orchestrator."))]


def test_weights_of_more_than_one_are_refused_with_their_sum() -> None:
    strategies = [(Acting("a", on_rows()), 0.7), (Acting("b", on_rows()), 0.5)]

    with pytest.raises(ValueError, match=r"weights sum to 1\.2: expected at most 1"):
        StrategyOrchestrator(strategies)


def test_a_hair_above_one_is_not_said_to_be_one() -> None:
    strategies = [(Acting(name, on_rows()), 0.5000001) for name in ("a", "b")]

    with pytest.raises(ValueError, match=r"weights sum to 1\.0000002: expected at most 1"):
        StrategyOrchestrator(strategies)


def test_weights_of_more_than_one_are_taken_when_they_are_not_validated(tmp_path: Path) -> None:
    config = OrchestratorConfig(validate_weights=False, log_dir=tmp_path)
    strategies = [(Acting("a", on_rows()), 1.0), (Acting("b", on_rows()), 0.5)]

    result = StrategyOrchestrator(strategies, config).run(FLAT, 1000)

    assert result.get_strategy_result("b").initial_capital == 500.0
    assert result.final_equity == 1000.0


def test_weights_that_floats_add_up_to_a_hair_above_one_are_taken() -> None:
    weights = [0.1] * 3 + [0.7]

    made = StrategyOrchestrator([(Acting(str(at), on_rows()), each) for at, each in enumerate(weights)])

    assert len(made.strategies) == 4


@pytest.mark.parametrize(
    ("strategies", "said"),
    [
        ([], "strategies is empty: expected at least one"),
        ([(Acting("a", on_rows()), 0.0)], "weight of a is 0.0: expected a number above 0"),
        ([(Acting("a", on_rows()), -0.5)], "weight of a is -0.5: expected a number above 0"),
        ([(Acting("a", on_rows()), None)], "weight of a is None: expected a finite number"),
        ([(Acting("a", on_rows()), "half")], "weight of a is 'half': expected a finite number"),
        ([Acting("a", on_rows())], r"strategies holds Acting\(.*\): expected pairs \(strategy, weight\)"),
        ({"a": 0.5}, r"strategies holds 'a': expected pairs \(strategy, weight\)"),
        ([("momentum", 0.5)], "'momentum' has no name, parameters, warmup, on_bar: expected a strategy"),
        ([(Acting, 0.5)], "Acting is a class: expected a strategy made of it"),
        ([(Acting("a", on_rows()), 0.5), (Acting("a", on_rows()), 0.5)], "expected each name once, not 'a'"),
    ],
)
def test_strategies_that_cannot_run_side_by_side_are_refused(strategies: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StrategyOrchestrator(strategies)


@pytest.mark.parametrize("capital", [0, -1, float("nan"), float("inf"), None, "much", True])
def test_capital_that_is_none_is_refused(config: OrchestratorConfig, capital: Any) -> None:
    with pytest.raises(ValueError, match="initial_capital is"):
        StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config).run(FLAT, capital)


def test_too_few_bars_for_a_warm_up_are_refused_with_both_numbers(config: OrchestratorConfig) -> None:
    patient = Acting("patient", on_rows())
    patient.warmup = 6

    with pytest.raises(HistoryError, match=r"patient needs more than 6 bars: ONE, .* has 6"):
        StrategyOrchestrator([(patient, 1.0)], config).run(FLAT, 1000)


def test_each_strategy_gets_its_share_of_the_capital(config: OrchestratorConfig) -> None:
    a, b = Acting("a", on_rows()), Acting("b", on_rows())

    result = StrategyOrchestrator([(a, Decimal("0.6")), (b, 0.25)], config).run(FLAT, Decimal(10_000))

    given = {name: each.allocated_capital for name, each in result.allocations.items()}
    assert given == {"a": Decimal(6000), "b": Decimal(2500)}
    assert result.reserve.tolist() == [1500.0] * 6


def test_all_strategies_see_each_bar_once_in_time_order(config: OrchestratorConfig) -> None:
    seen: list[tuple[str, int, str]] = []

    def watching(name: str) -> Acting:
        def act(bar: Bar, state: State) -> Signals:
            seen.append((name, bar.stamp, bar.symbol))
            return None

        return Acting(name, act)

    history = priced(ONE=[10.0] * 3, TWO=[20.0] * 3)
    StrategyOrchestrator([(watching("a"), 0.5), (watching("b"), 0.5)], config).run(history, 1000)

    stamps = history.stamps.tolist()
    expected = [(name, at, symbol) for at in stamps for symbol in ("ONE", "TWO") for name in ("a", "b")]
    assert seen == expected


def test_every_trade_carries_its_strategy(config: OrchestratorConfig) -> None:
    trading = on_rows(r0=[Signal.hold("ONE", 1.0, why="first day")], r2=[Signal.close("ONE")])

    result = StrategyOrchestrator([(Acting("a", trading), 0.5), (Acting("b", trading), 0.5)], config).run(
        FLAT, 1000
    )

    for name in ("a", "b"):
        (trade,) = result.get_strategy_result(name).trades
        assert trade.metadata == {"why": "first day", "strategy_id": name}


def test_a_signal_beyond_the_available_capital_is_rejected_and_logged(
    config: OrchestratorConfig, tmp_path: Path
) -> None:
    # 500 of 1000: 30 shares at 10 are 300, and 30 more would need 300 of the 200 that are left.
    greedy = on_rows(r0=shares(30), r1=more(30))

    result = StrategyOrchestrator([(Acting("greedy", greedy), 0.5)], config).run(FLAT, 1000)

    (refused,) = result.get_strategy_result("greedy").rejections
    assert (refused.requested, refused.available) == (300.0, 200.0)
    (event,) = events(tmp_path, "capital_limit_hit")
    assert (event["level"], event["strategy_id"]) == ("WARNING", "greedy")
    details = {
        key: event["details"][key] for key in ("requested", "allocated", "used", "available", "symbol")
    }
    assert details == {
        "requested": 300.0,
        "allocated": 500.0,
        "used": 300.0,
        "available": 200.0,
        "symbol": "ONE",
    }


def test_one_strategy_cannot_use_what_another_has_left(config: OrchestratorConfig) -> None:
    strategies = [(Acting("greedy", on_rows(r0=shares(60))), 0.5), (Acting("idle", on_rows()), 0.5)]

    result = StrategyOrchestrator(strategies, config).run(FLAT, 1000)

    assert result.get_strategy_result("greedy").fills == []


def test_capital_returns_when_a_position_is_closed(config: OrchestratorConfig, tmp_path: Path) -> None:
    again = on_rows(r0=shares(50), r1=[Signal.close("ONE")], r2=shares(40))

    result = StrategyOrchestrator([(Acting("again", again), 0.5)], config).run(FLAT, 1000)

    assert [fill.quantity for fill in result.get_strategy_result("again").fills] == [50.0, -50.0, 40.0]
    (event,) = events(tmp_path, "capital_released")
    assert event["details"] == {
        "at": "1970-01-03",
        "symbol": "ONE",
        "released": 500.0,
        "allocated": 500.0,
        "used": 0.0,
        "available": 500.0,
    }


def test_what_was_won_is_available_and_what_was_lost_is_not(config: OrchestratorConfig) -> None:
    # 50 shares bought at 10 and sold at 12: 600 are available then, enough for 50 at 12 and no more.
    history = priced(ONE=[10.0, 10.0, 12.0, 12.0, 12.0, 12.0])
    again = on_rows(r0=shares(50), r2=[Signal.close("ONE")], r3=shares(50.1), r4=shares(50))

    result = StrategyOrchestrator([(Acting("again", again), 0.5)], config).run(history, 1000)

    one = result.get_strategy_result("again")
    assert [fill.quantity for fill in one.fills] == [50.0, -50.0, 50.0]
    assert [refused.requested for refused in one.rejections] == [pytest.approx(601.2)]
    assert result.allocations["again"].allocated_capital == Decimal(600)


def test_at_every_fill_used_capital_is_what_the_open_positions_cost(
    config: OrchestratorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums: list[tuple[float, float]] = []
    fill = Account.fill

    def summed(account: Account, *arguments: Any) -> Any:
        done = fill(account, *arguments)
        sums.append((account.used, sum(each.entry_cost for each in account.positions.values())))
        return done

    monkeypatch.setattr(Account, "fill", summed)
    random = np.random.default_rng(2)
    weights = tuple([None, 1.0, 0.5, 0.0, -0.5][pick] for pick in random.integers(0, 5, 200))
    StrategyOrchestrator([(Decided(Decisions(weights)), 1.0)], config).run(random_walk(200), 1000)

    assert len(sums) > 50
    assert all(used == pytest.approx(cost, rel=1e-12) for used, cost in sums)


def test_a_strategy_that_raises_is_stopped_closed_and_reported_while_the_others_go_on(
    config: OrchestratorConfig, tmp_path: Path
) -> None:
    def breaking(bar: Bar, state: State) -> Signals:
        if state.row == 3:
            raise ZeroDivisionError("of all things")
        assert state.row < 3, "a strategy that was stopped is told of no more bars"
        return shares(10) if state.row == 0 else None

    going = Acting("going", on_rows(r0=shares(20), r4=[Signal.close("ONE")]))
    result = StrategyOrchestrator([(Acting("breaking", breaking), 0.5), (going, 0.5)], config).run(FLAT, 1000)

    broken = result.get_strategy_result("breaking")
    assert result.failures == {"breaking": "ZeroDivisionError: of all things"}
    assert broken.failure is not None
    assert broken.failure.row == 3
    assert "of all things" in str(broken.failure.trace)
    assert broken.positions == {}
    assert [fill.row for fill in broken.fills] == [1, 4]
    assert [fill.row for fill in result.get_strategy_result("going").fills] == [1, 5]
    (event,) = events(tmp_path, "strategy_failed")
    assert (event["level"], event["strategy_id"]) == ("ERROR", "breaking")


@pytest.mark.parametrize("where", ["on_start", "on_end"])
def test_a_strategy_that_raises_at_start_or_end_is_reported_too(
    config: OrchestratorConfig, where: str
) -> None:
    def breaking(state: State) -> None:
        raise RuntimeError(where)

    strategy = Acting("breaking", on_rows())
    setattr(strategy, where, breaking)

    result = StrategyOrchestrator([(strategy, 0.5), (Acting("a", on_rows()), 0.5)], config).run(FLAT, 1000)

    assert result.failures == {"breaking": f"RuntimeError: {where}"}


def test_a_signal_for_a_symbol_that_is_not_there_stops_its_strategy(config: OrchestratorConfig) -> None:
    result = StrategyOrchestrator([(Acting("lost", on_rows(r0=shares(1, "NONE"))), 1.0)], config).run(
        FLAT, 1000
    )

    assert "lost answered" in result.failures["lost"]
    assert "no signal for one of ONE" in result.failures["lost"]


def test_a_strategy_fares_as_the_engine_says_it_does_alone(config: OrchestratorConfig) -> None:
    costs = BacktestConfig(commission=Commission(bps=10, per_trade=1))
    together = OrchestratorConfig(backtest=costs, log_dir=config.log_dir)
    weights = tuple([None, 1.0, 0.0][at % 3] for at in range(100))

    result = StrategyOrchestrator(
        [(Decided(Decisions(weights)), 0.4), (Acting("other", on_rows()), 0.6)], together
    ).run(random_walk(100), 5000)

    inside = result.get_strategy_result("decided")
    alone = BacktestEngine(costs).run(Decided(Decisions(weights)), random_walk(100), 0.4 * 5000)
    assert inside.equity.tolist() == alone.equity.tolist()
    assert inside.metrics == alone.metrics
    assert [trade.pnl for trade in inside.trades] == [trade.pnl for trade in alone.trades]


def test_array_forms_come_to_the_result_of_the_bars(
    config: OrchestratorConfig, sample_history: PriceHistory
) -> None:
    from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters

    strategies = [
        (MovingAverageCross(MovingAverageParameters(fast=fast, slow=4 * fast), f"cross{fast}"), 0.5)
        for fast in (3, 5)
    ]
    arrays = OrchestratorConfig(arrays=True, log_dir=config.log_dir)

    by_bar = StrategyOrchestrator(strategies, config).run(sample_history, 10_000)
    by_array = StrategyOrchestrator(strategies, arrays).run(sample_history, 10_000)

    np.testing.assert_allclose(by_array.equity, by_bar.equity, rtol=1e-9)
    for name in ("cross3", "cross5"):
        ours, theirs = by_array.get_strategy_result(name), by_bar.get_strategy_result(name)
        assert [(f.row, f.symbol) for f in ours.fills] == [(f.row, f.symbol) for f in theirs.fills]
        assert [trade.metadata["strategy_id"] for trade in ours.trades] == [name] * len(ours.trades)


def test_a_run_begins_and_ends_with_an_event(config: OrchestratorConfig, tmp_path: Path) -> None:
    StrategyOrchestrator([(Acting("a", on_rows(r0=shares(5))), 0.5)], config).run(FLAT, 1000)

    written = events(tmp_path)
    assert [line["event"] for line in written] == [
        "orchestrator.backtest_started",
        "orchestrator.strategy_signal",
        "orchestrator.backtest_completed",
    ]
    assert all({"timestamp", "event", "strategy_id", "details"} <= set(line) for line in written)
    assert written[0]["details"]["strategies"] == {"a": 0.5}
    assert written[1]["details"] == {"at": "1970-01-01", "symbol": "ONE", "quantity": 5}
    assert written[2]["details"]["final_equity"] == 1000.0


def test_a_second_run_is_written_below_the_first(config: OrchestratorConfig, tmp_path: Path) -> None:
    orchestrator = StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config)

    orchestrator.run(FLAT, 1000)
    orchestrator.run(FLAT, 1000)

    assert len(events(tmp_path, "backtest_started")) == 2


@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("WARNING", ["capital_limit_hit", "strategy_failed"]),
        ("ERROR", ["strategy_failed"]),
    ],
)
def test_events_below_the_logging_level_are_not_written(tmp_path: Path, level: str, kinds: list[str]) -> None:
    config = OrchestratorConfig(logging_level=level, log_dir=tmp_path)
    both = on_rows(r0=shares(500), r2=shares(1, "NONE"))

    StrategyOrchestrator([(Acting("a", both), 1.0)], config).run(FLAT, 1000)

    assert [line["event"].removeprefix("orchestrator.") for line in events(tmp_path)] == kinds


def test_the_log_is_where_the_issue_says_when_nothing_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    StrategyOrchestrator([(Acting("a", on_rows()), 1.0)]).run(FLAT, 1000)

    assert len(events(tmp_path / "logs" / "backtest")) == 2


def test_the_log_s_folder_may_be_given_as_text(tmp_path: Path) -> None:
    config = OrchestratorConfig(log_dir=str(tmp_path))

    StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config).run(FLAT, 1000)

    assert len(events(tmp_path)) == 2


@pytest.mark.parametrize("quantity", [Decimal(5), np.float32(5), np.int64(5)])
def test_sizes_are_numbers_in_the_log_whatever_they_were(
    config: OrchestratorConfig, tmp_path: Path, quantity: Any
) -> None:
    asking = Acting("a", on_rows(r0=[Signal(symbol="ONE", quantity=quantity, limit=quantity)]))

    StrategyOrchestrator([(asking, 1.0)], config).run(FLAT, 1000)

    (event,) = events(tmp_path, "strategy_signal")
    assert (event["details"]["quantity"], event["details"]["limit"]) == (5.0, 5.0)


def test_no_log_is_written_when_none_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = OrchestratorConfig(log_dir=None)

    StrategyOrchestrator([(Acting("a", on_rows(r0=shares(1), r1=shares(0))), 1.0)], config).run(FLAT, 1000)

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_strategy_is_named_with_those_there_are(config: OrchestratorConfig) -> None:
    result = StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config).run(FLAT, 1000)

    with pytest.raises(KeyError, match="no strategy is called 'b'; there are a"):
        result.get_strategy_result("b")


def test_the_comparison_table_has_a_row_for_each_strategy(config: OrchestratorConfig) -> None:
    # 50 shares bought at 10, sold at 12: 500 become 600, 20 %.
    history = priced(ONE=[10.0, 10.0, 12.0, 12.0])
    winning = on_rows(r0=shares(50), r2=[Signal.close("ONE")])

    result = StrategyOrchestrator([(Acting("a", winning), 0.5), (Acting("b", on_rows()), 0.5)], config).run(
        history, 1000
    )

    assert set(result.comparison_table) == {"a", "b"}
    assert result.comparison_table["a"]["total_return"] == pytest.approx(0.2)
    assert result.comparison_table["a"]["win_rate"] == 1.0
    assert set(result.comparison_table["b"]) == {"total_return", "sharpe_ratio", "win_rate", "max_drawdown"}
    assert result.aggregate_metrics.total_return == pytest.approx(0.1)


def test_a_result_is_json_whole_with_definitions_and_configuration(config: OrchestratorConfig) -> None:
    strategies = [(Decided(Decisions((1.0,) + (None,) * 99)), 0.5), (Acting("idle", on_rows()), 0.5)]

    result = StrategyOrchestrator(strategies, config).run(random_walk(100), 1000)

    saved = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert saved["final_equity"] == result.final_equity
    assert saved["comparison_table"]["idle"]["win_rate"] is None
    assert "sqrt" in saved["definitions"]["sharpe_ratio"]["formula"]
    assert saved["specification"]["strategies"][0]["weight"] == 0.5
    assert saved["allocations"]["idle"]["available_capital"] == "500.0"


@pytest.mark.parametrize("arrays", [False, True])
def test_what_is_logged_changes_no_bit_of_the_result(tmp_path: Path, arrays: bool) -> None:
    costs = BacktestConfig(commission=Commission(bps=7))
    crossing = [(made("moving_average", fast=2, slow=5), 0.7)]
    history = random_walk(400)

    results = [
        StrategyOrchestrator(
            crossing,
            OrchestratorConfig(backtest=costs, arrays=arrays, logging_level=level, log_dir=tmp_path / level),
        ).run(history, 1000)
        for level in ("INFO", "ERROR")
    ]

    one, other = (each.get_strategy_result("moving_average") for each in results)
    assert len(one.fills) > 50
    assert one.fills == other.fills
    assert one.equity.tobytes() == other.equity.tobytes()
    assert one.metrics == other.metrics
    assert len(events(tmp_path / "INFO", "strategy_signal")) > 50


def test_two_strategies_may_share_their_parameters() -> None:
    weights = Decisions(tuple([None, 1.0, 0.0][at % 3] for at in range(100)))
    quiet = OrchestratorConfig(log_dir=None)

    result = StrategyOrchestrator([(Decided(weights, "a"), 0.5), (Decided(weights, "b"), 0.5)], quiet).run(
        random_walk(100), 1000
    )

    a, b = result.strategy_results.values()
    assert a.fills == b.fills
    assert len(a.fills) > 50


def test_one_strategy_may_run_in_two_orchestrators_in_turn(sample_history: PriceHistory) -> None:
    shared = made("bollinger")
    quiet = OrchestratorConfig(log_dir=None)
    first, second = (
        StrategyOrchestrator([(shared, 0.4), (made(other), 0.6)], quiet)
        for other in ("rsi", "moving_average")
    )

    before = first.run(sample_history, 1000)
    second.run(sample_history.part(0, 170), 1000)  # it ends in the middle of a position
    after = first.run(sample_history, 1000)

    assert len(before.get_strategy_result("bollinger").fills) > 10
    assert after.equity.tobytes() == before.equity.tobytes()
    assert after.to_dict() == before.to_dict()


def test_fifty_strategies_run_side_by_side() -> None:
    names = [f"s{number}" for number in range(50)]
    holding = on_rows(r0=[Signal.hold("ONE", 1.0)], r3=[Signal.close("ONE")])

    result = StrategyOrchestrator(
        [(Acting(name, holding), 1 / 50) for name in names], OrchestratorConfig(log_dir=None)
    ).run(priced(ONE=[10.0, 10.0, 11.0, 11.0, 11.0]), Decimal("1000.00"))

    # All 1000 at 10 are 100 shares, sold at 11.
    assert list(result.strategy_results) == names
    assert result.final_equity == pytest.approx(1100)
    assert result.reserve == pytest.approx(0, abs=1e-9)


def test_sums_are_held_against_the_fills_in_every_run(
    config: OrchestratorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run can be made to fail at it, so one of the two sums is bent."""

    def bent(*given: Any) -> Any:
        right = combined_equity(*given)
        right[4] += 0.01
        return right

    monkeypatch.setattr("trading.backtest.orchestrator.combined_equity", bent)

    with pytest.raises(
        BooksError, match=r"on 1970-01-05 .* add up to .*1000\.0.*, their fills to .*1000\.01"
    ):
        StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config).run(FLAT, 1000)


def test_the_curve_of_all_is_a_series_by_date(config: OrchestratorConfig) -> None:
    result = StrategyOrchestrator([(Acting("a", on_rows()), 1.0)], config).run(FLAT, 1000)

    curve = result.equity_curve
    assert curve.index[0].isoformat() == "1970-01-01T00:00:00"
    assert curve.tolist() == [1000.0] * 6


def test_sums_that_disagree_name_the_bar_and_both() -> None:
    total = np.array([1000.0, 1000.0, 1000.0])
    combined = np.array([1000.0, 1000.0, 1000.1])

    with pytest.raises(BooksError, match=r"on 1970-01-03 .* add up to .*1000\.0.*, their fills to .*1000\.1"):
        check_sum(total, combined, priced(ONE=[10.0] * 3))
