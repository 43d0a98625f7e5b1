"""Saved backtests: read, held against each other, and run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backtest.hand_made_bars import scripted
from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    Commission,
    HistoryError,
    OrchestratorConfig,
    OrchestratorResult,
    PriceHistory,
    Rebalancing,
    ReportGenerator,
    Signal,
    StrategyError,
    StrategyOrchestrator,
    rerun,
)
from trading.backtest.budgets import DrawdownControl, InverseVolatility
from trading.backtest.reports.saved import (
    Difference,
    Repeat,
    SavedResult,
    SavedResultError,
    differences,
    held_against,
    read_saved,
    side_by_side,
)
from trading.backtest.strategies.registry import made

COSTS = BacktestConfig(commission=Commission(bps=5))


def _run(
    history: PriceHistory, config: OrchestratorConfig | None = None, fast: int = 5
) -> OrchestratorResult:
    strategies = [(made("moving_average", fast=fast, slow=20), 0.6), (made("rsi"), 0.4)]
    rules = config or OrchestratorConfig(backtest=COSTS, log_dir=None)
    return StrategyOrchestrator(strategies, rules).run(history, 100_000)


@pytest.fixture
def saved(sample_history: PriceHistory, tmp_path: Path) -> SavedResult:
    return read_saved(ReportGenerator(_run(sample_history)).write(tmp_path / "saved.json"))


def _changed(saved: SavedResult, **changes: Any) -> SavedResult:
    return SavedResult(path=saved.path, content={**saved.content, **changes})


def test_a_saved_portfolio_runs_again_to_the_last_bit(
    saved: SavedResult, sample_history: PriceHistory
) -> None:
    told = held_against(saved, rerun(saved.specification, sample_history))

    assert told.repeat is Repeat.IDENTICAL
    assert told.remarks == ()


def test_a_saved_run_of_one_strategy_runs_again_too(sample_history: PriceHistory, tmp_path: Path) -> None:
    result = BacktestEngine(COSTS).run(made("rsi"), sample_history, 1000)
    saved = read_saved(ReportGenerator(result).write(tmp_path / "one.json"))

    assert held_against(saved, rerun(saved.specification, sample_history)).repeat is Repeat.IDENTICAL


def test_a_rebalanced_portfolio_runs_again_by_its_rule(sample_history: PriceHistory, tmp_path: Path) -> None:
    rule = Rebalancing(budget=DrawdownControl(limit=0.3, base=InverseVolatility(lookback=21)), every=10)
    config = OrchestratorConfig(rebalancing=rule, log_dir=None)
    saved = read_saved(ReportGenerator(_run(sample_history, config)).write(tmp_path / "moved.json"))

    again = rerun(saved.specification, sample_history)

    assert held_against(saved, again).repeat is Repeat.IDENTICAL


def test_a_whole_portfolio_runs_again_from_its_specification_alone(sample_history: PriceHistory) -> None:
    """As arrays, with its costs, and without the log that the first run wrote."""
    config = OrchestratorConfig(backtest=COSTS, arrays=True, logging_level="ERROR", log_dir=None)
    first = _run(sample_history, config)

    again = rerun(json.loads(json.dumps(first.specification)), sample_history)

    assert isinstance(again, OrchestratorResult)
    assert again.equity.tobytes() == first.equity.tobytes()
    assert again.specification == first.specification


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"history": None}, "saved has no history: expected the specification of a result"),
        ({"strategies": None}, "saved has no strategy, arrays: expected"),
        ({"config": {"luck": 1}}, "unknown settings of an orchestrator: luck"),
        ({"config": {"rebalancing": {"every": 1, "budget": {"rule": "constant_mix", "luck": 1}}}}, "luck"),
        ({"config": {"backtest": {"luck": 1}}}, "unknown settings of a backtest: luck"),
    ],
)
def test_what_is_no_specification_is_refused_with_what_it_lacks(
    changes: dict[str, Any], said: str, sample_history: PriceHistory
) -> None:
    changed = {**_run(sample_history).specification, **changes}

    with pytest.raises(ValueError, match=said):
        rerun({name: value for name, value in changed.items() if value is not None}, sample_history)


@pytest.fixture
def unspecified(sample_history: PriceHistory) -> OrchestratorResult:
    """Of a strategy whose parameters are signals, which cannot be saved, and of one that could be."""
    strategies = [(scripted({0: Signal.hold("UP", 1.0)}), 0.5), (made("rsi"), 0.5)]
    return StrategyOrchestrator(strategies, OrchestratorConfig(log_dir=None)).run(sample_history, 1000)


def test_a_parameter_that_cannot_be_saved_spoils_no_run(
    unspecified: OrchestratorResult, sample_history: PriceHistory
) -> None:
    """Only what would run it again says so, as with one strategy alone."""
    saved = json.loads(json.dumps(unspecified.to_dict(), allow_nan=False))

    assert len(unspecified.get_strategy_result("scripted").fills) == 1
    assert saved["specification"] is None
    assert saved["unspecified"].startswith("parameters of scripted")
    assert saved["unspecified"] == unspecified.unspecified
    assert saved["strategy_results"]["rsi"]["specification"]["strategy"]["name"] == "rsi"
    with pytest.raises(StrategyError, match="parameters of scripted"):
        unspecified.specification  # noqa: B018  # it is worked out when it is asked for
    with pytest.raises(StrategyError, match="saved is None"):
        rerun(saved["specification"], sample_history)


@pytest.mark.parametrize("suffix", [".json", ".md", ".html", ".png"])
def test_a_parameter_that_cannot_be_saved_spoils_no_report(
    unspecified: OrchestratorResult, suffix: str, tmp_path: Path
) -> None:
    written = ReportGenerator(unspecified).write(tmp_path / f"report{suffix}").read_bytes()

    assert suffix == ".png" or b"parameters of scripted" in written


def test_a_result_that_cannot_be_run_again_can_be_compared(
    unspecified: OrchestratorResult, saved: SavedResult, tmp_path: Path
) -> None:
    other = read_saved(ReportGenerator(unspecified).write(tmp_path / "other.json"))

    found = {each.setting: each for each in differences(saved, other)}

    assert found["specification"].first is None
    assert str(found["specification"].second).startswith("none: parameters of scripted")
    assert found["strategy rsi"].second is None
    assert differences(other, other) == []
    with pytest.raises(SavedResultError, match=r"other\.json cannot be run again: parameters of scripted"):
        other.specification  # noqa: B018  # it is read when it is asked for


def test_a_rule_of_rebalancing_that_is_unknown_is_named(
    saved: SavedResult, sample_history: PriceHistory
) -> None:
    config = {**saved.specification["config"], "rebalancing": {"every": 5, "budget": {"rule": "by_luck"}}}

    with pytest.raises(ValueError, match=r"'by_luck': expected one of constant_mix"):
        rerun({**saved.specification, "config": config}, sample_history)


def test_other_bars_are_refused(saved: SavedResult, sample_history: PriceHistory) -> None:
    with pytest.raises(HistoryError, match="not the bars of the saved run"):
        rerun(saved.specification, sample_history.head(200))


def test_another_outcome_is_told_with_its_first_date(
    saved: SavedResult, sample_history: PriceHistory
) -> None:
    again = _run(sample_history, OrchestratorConfig(log_dir=None))  # without the fees

    told = held_against(saved, again)

    assert told.repeat is Repeat.DIFFERENT
    assert told.remarks[0].startswith("total: the equity differs from 2000-01-")


def test_a_difference_of_rounding_is_no_other_outcome(
    saved: SavedResult, sample_history: PriceHistory
) -> None:
    equity = [value * (1 + 1e-14) for value in saved.content["equity"]]

    told = held_against(_changed(saved, equity=equity), _run(sample_history))

    assert told.repeat is Repeat.EQUAL


def test_versions_are_named_where_the_outcome_differs(
    saved: SavedResult, sample_history: PriceHistory
) -> None:
    specification = {**saved.specification, "versions": {"numpy": "0.1"}}
    equity = [value + 1 for value in saved.content["equity"]]

    told = held_against(_changed(saved, equity=equity, specification=specification), _run(sample_history))

    assert any(remark.startswith("versions.numpy: 0.1 then") for remark in told.remarks)


def test_a_result_does_not_differ_from_itself(saved: SavedResult) -> None:
    assert differences(saved, saved) == []


def test_differences_name_parameters_and_rules(
    saved: SavedResult, sample_history: PriceHistory, tmp_path: Path
) -> None:
    other = _run(sample_history, OrchestratorConfig(log_dir=None), fast=7)
    second = read_saved(ReportGenerator(other).write(tmp_path / "second.json"))

    assert differences(saved, second) == [
        Difference(setting="strategy moving_average.fast", first="5", second="7"),
        Difference(setting="rules.commission.bps", first="5", second="0.0"),
    ]


def test_a_strategy_that_one_lacks_is_one_difference(
    saved: SavedResult, sample_history: PriceHistory, tmp_path: Path
) -> None:
    alone = StrategyOrchestrator(
        [(made("moving_average", fast=5, slow=20), 0.6)], OrchestratorConfig(backtest=COSTS, log_dir=None)
    ).run(sample_history, 100_000)
    second = read_saved(ReportGenerator(alone).write(tmp_path / "second.json"))

    (found,) = differences(saved, second)

    assert (found.setting, found.second) == ("strategy rsi", None)


def test_other_bars_show_as_a_difference(
    saved: SavedResult, sample_history: PriceHistory, tmp_path: Path
) -> None:
    other = _run(sample_history.head(200))
    second = read_saved(ReportGenerator(other).write(tmp_path / "second.json"))

    settings = [each.setting for each in differences(saved, second)]

    assert settings == ["history.to", "history.instants", "history.fingerprint"]


def test_side_by_side_has_total_and_strategies(saved: SavedResult, sample_history: PriceHistory) -> None:
    result = _run(sample_history)

    found = side_by_side([saved, saved])

    assert list(found) == ["total", "moving_average", "rsi"]
    assert found["total"]["sharpe_ratio"] == [result.aggregate_metrics.sharpe_ratio] * 2
    assert found["rsi"]["trades"] == [result.strategy_results["rsi"].metrics.trades] * 2


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", json.dumps({"specification": {}, "equity": [], "stamps": []})]
)
def test_a_file_that_is_no_result_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(SavedResultError, match=r"other\.json is no "):
        read_saved(path)
