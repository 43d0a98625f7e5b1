"""The data of an orchestrated backtest: allocations, configuration and result."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.hand_made_bars import bars, run
from trading.backtest import (
    BacktestConfig,
    BacktestEngine,
    BacktestResult,
    Commission,
    IStrategy,
    OrchestratorConfig,
    OrchestratorResult,
    Rebalancing,
    Signal,
    StrategyAllocation,
    StrategyOrchestrator,
)
from trading.backtest.budgets import DrawdownControl, EqualRiskContribution


def allocation(allocated: str = "50000") -> StrategyAllocation:
    return StrategyAllocation("momentum", Decimal(allocated))


def test_a_new_allocation_has_all_its_capital_available() -> None:
    made = allocation()

    assert (made.used_capital, made.available_capital) == (Decimal(0), Decimal(50_000))


def test_an_allocation_may_be_told_all_four_fields() -> None:
    made = StrategyAllocation("momentum", Decimal(100), Decimal(40), Decimal(60))

    assert made.available_capital == Decimal(60)


def test_allocated_capital_moves_from_available_to_used() -> None:
    made = allocation()

    made.allocate(Decimal("12500.50"))

    assert made.used_capital == Decimal("12500.50")
    assert made.available_capital == Decimal("37499.50")


def test_released_capital_is_available_again() -> None:
    made = allocation()
    made.allocate(Decimal(20_000))

    made.release(Decimal(5_000))

    assert (made.used_capital, made.available_capital) == (Decimal(15_000), Decimal(35_000))


def test_all_that_is_available_can_be_allocated_and_not_a_cent_more() -> None:
    made = allocation()

    assert made.can_allocate(Decimal(50_000))
    assert not made.can_allocate(Decimal("50000.01"))


def test_allocating_more_than_is_available_names_both_and_changes_nothing() -> None:
    made = allocation()
    made.allocate(Decimal(30_000))

    with pytest.raises(ValueError, match="amount is 20001: momentum has 20000 available, 50000 allocated"):
        made.allocate(Decimal(20_001))

    assert made.used_capital == Decimal(30_000)


def test_releasing_more_than_is_used_names_both() -> None:
    made = allocation()
    made.allocate(Decimal(10))

    with pytest.raises(ValueError, match="amount is 11: momentum uses 10"):
        made.release(Decimal(11))


@pytest.mark.parametrize("call", ["allocate", "release", "can_allocate"])
@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Decimal(-1), "amount is -1: expected an amount from 0 up"),
        (Decimal("NaN"), "amount is .*NaN.*: expected a finite amount"),
        (True, "amount is True: expected a finite amount"),
        ("much", "amount is 'much': expected a finite amount"),
        (float("inf"), "amount is inf: expected a finite amount"),
    ],
)
def test_what_is_no_amount_is_refused(call: str, amount: Decimal, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        getattr(allocation(), call)(amount)


def test_a_float_is_taken_as_it_is_written() -> None:
    made = StrategyAllocation("momentum", 0.3)  # type: ignore[arg-type]  # what a person may write

    made.allocate(0.1)
    made.allocate(0.2)

    assert made.available_capital == Decimal(0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("", 100), "strategy_id is '': expected a name"),
        (("a", 0), "allocated_capital is 0: expected an amount above 0"),
        (("a", -5), "allocated_capital is -5: expected an amount above 0"),
        (("a", "x"), "allocated_capital is 'x': expected a finite amount"),
        (("a", 100, -1), "used_capital is -1: expected an amount from 0 up"),
        (("a", 100, 40, 50), "available_capital is 50: expected 60, allocated less used"),
    ],
)
def test_an_allocation_that_cannot_be_is_refused(fields: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StrategyAllocation(*fields)  # type: ignore[arg-type]  # that is the point


STEPS = ("allocate", "release", "allocated_capital", "used_capital", "available_capital")


@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.decimals("-1000000", "1000000", places=2)),
        max_size=30,
    )
)
def test_available_is_always_allocated_less_used(steps: list[tuple[str, Decimal]]) -> None:
    """Whatever is called or set, by whomever; a refusal changes nothing."""
    made = allocation("500000")
    allocated, used = Decimal(500_000), Decimal(0)

    for step, amount in steps:
        if step == "allocate" and 0 <= amount <= allocated - used:
            used += amount
        elif step == "release" and 0 <= amount <= used:
            used -= amount
        elif step == "allocated_capital" and amount > 0:
            allocated = amount
        elif step == "used_capital" and amount >= 0:
            used = amount
        elif step != "available_capital" or amount != allocated - used:
            with pytest.raises(ValueError, match=r"amount|_capital is"):
                _do(made, step, amount)
            assert made == StrategyAllocation("momentum", allocated, used)
            continue
        _do(made, step, amount)
        assert (made.allocated_capital, made.used_capital) == (allocated, used)
        assert made.available_capital == allocated - used


def _do(made: StrategyAllocation, step: str, amount: Decimal) -> None:
    if step.endswith("_capital"):
        setattr(made, step, amount)
    else:
        getattr(made, step)(amount)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("strategy_id", "", "strategy_id is '': expected a name"),
        ("allocated_capital", Decimal(-5), "allocated_capital is -5: expected an amount above 0"),
        ("allocated_capital", Decimal(0), "allocated_capital is 0: expected an amount above 0"),
        ("used_capital", Decimal(-1), "used_capital is -1: expected an amount from 0 up"),
        ("used_capital", "much", "used_capital is 'much': expected a finite amount"),
        ("available_capital", Decimal(61), "available_capital is 61: expected 60, allocated less used"),
    ],
)
def test_a_field_is_checked_when_it_is_set_later_too(field: str, value: object, said: str) -> None:
    made = StrategyAllocation("momentum", Decimal(100), Decimal(40))

    with pytest.raises(ValueError, match=said):
        setattr(made, field, value)

    assert made == StrategyAllocation("momentum", Decimal(100), Decimal(40), Decimal(60))


def test_used_capital_that_is_set_leaves_less_available() -> None:
    made = allocation("100")

    made.used_capital = Decimal(40)

    assert made.available_capital == Decimal(60)
    assert not made.can_allocate(Decimal(61))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_an_allocation_that_lost_more_than_it_had_can_be_copied(
    copied: Callable[[StrategyAllocation], StrategyAllocation],
) -> None:
    made = allocation("100")
    made.follow(Decimal(-20), Decimal(5))

    again = copied(made)

    assert again == made
    assert again.available_capital == Decimal(-25)


def test_what_was_won_can_be_allocated_too() -> None:
    made = allocation("100")
    made.allocate(Decimal(100))

    made.follow(Decimal("110"), Decimal(0))

    assert made.can_allocate(Decimal(110))


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_four_logging_levels_are_known(level: str) -> None:
    assert OrchestratorConfig(logging_level=level).logging_level == level


def test_another_logging_level_is_named_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="logging_level is 'LOUD': expected one of DEBUG, INFO, WARNING, ERROR"
    ):
        OrchestratorConfig(logging_level="LOUD")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("backtest", None, "backtest is None: expected a BacktestConfig"),
        ("rebalancing", "monthly", "rebalancing is 'monthly': expected a Rebalancing or None"),
        ("validate_weights", None, "validate_weights is None: expected True or False"),
        ("arrays", "yes", "arrays is 'yes': expected True or False"),
        ("log_dir", 5, "log_dir is 5: expected a folder or None"),
        ("logging_level", None, "logging_level is None: expected one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_rules_of_another_kind_are_refused_by_name(field: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OrchestratorConfig(**{field: value})  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("commission", 5, "commission is 5: expected a Commission"),
        ("commission", None, "commission is None: expected a Commission"),
        ("slippage", "2bps", "slippage is '2bps': expected a Slippage"),
        ("slippage", Commission(), r"slippage is Commission\(.*\): expected a Slippage"),
        ("financing", 0.05, "financing is 0.05: expected a Financing"),
        ("timing", "open", "timing is 'open': expected Timing.OPEN or Timing.CLOSE"),
        ("fractional", "no", "fractional is 'no': expected True or False"),
        ("shorting", 0, "shorting is 0: expected True or False"),
        ("check_look_ahead", None, "check_look_ahead is None: expected True or False"),
        ("delisting_recovery", "x", "delisting_recovery is 'x': expected a share from 0 to 1"),
        ("delisting_recovery", None, "delisting_recovery is None: expected a share from 0 to 1"),
        ("delisting_recovery", True, "delisting_recovery is True: expected a share from 0 to 1"),
        ("delisting_recovery", float("nan"), "delisting_recovery is nan: expected a share from 0 to 1"),
        ("delisting_recovery", 1.5, "delisting_recovery is 1.5: expected a share from 0 to 1"),
    ],
)
def test_rules_of_the_market_of_another_kind_are_refused_by_name(
    field: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        BacktestConfig(**{field: value})  # type: ignore[arg-type]  # that is the point


def test_a_recovery_in_decimals_is_kept_as_a_float() -> None:
    recovery = BacktestConfig(delisting_recovery=Decimal("0.25")).delisting_recovery  # type: ignore[arg-type]

    assert (type(recovery), recovery) == (float, 0.25)


@pytest.mark.parametrize("config", [{"commission": 1}, {}, OrchestratorConfig(), 5])
def test_an_engine_refuses_rules_that_are_none(config: Any) -> None:
    with pytest.raises(ValueError, match=r"config is .*: expected a BacktestConfig or None"):
        BacktestEngine(config)


@pytest.mark.parametrize("config", [{"logging_level": "INFO"}, {}, BacktestConfig(), "INFO"])
def test_an_orchestrator_refuses_rules_that_are_none(config: Any, sample_strategies: list[IStrategy]) -> None:
    with pytest.raises(ValueError, match=r"config is .*: expected an OrchestratorConfig or None"):
        StrategyOrchestrator([(sample_strategies[0], 1.0)], config)


def test_array_forms_and_a_rebalancing_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="arrays is True: expected False with a rebalancing"):
        OrchestratorConfig(arrays=True, rebalancing=Rebalancing(budget=EqualRiskContribution()))


def test_a_configuration_can_be_written_down_whole() -> None:
    rebalancing = Rebalancing(
        budget=DrawdownControl(limit=0.1, base=EqualRiskContribution(lookback=60)), every=5
    )

    saved = OrchestratorConfig(logging_level="ERROR", rebalancing=rebalancing).to_dict()

    assert saved["logging_level"] == "ERROR"
    assert saved["rebalancing"] == {
        "every": 5,
        "budget": {
            "rule": "drawdown_control",
            "limit": 0.1,
            "floor": 0.25,
            "base": {"rule": "equal_risk_contribution", "lookback": 60},
        },
    }
    assert saved["backtest"]["timing"] == "open"


# The result


def flat_run(capital: float, closes: list[float], first: int = 0) -> BacktestResult:
    """Return the result of holding everything from the second bar's open on, at 10 a share."""
    given = bars("A", open=[10.0] * len(closes), close=closes, days=range(first, first + len(closes)))
    return run(given, {0: Signal.hold("A", 1.0)}, capital=capital)


def table(results: dict[str, BacktestResult]) -> dict[str, dict[str, float]]:
    compared = ("total_return", "sharpe_ratio", "win_rate", "max_drawdown")
    return {name: {key: getattr(each.metrics, key) for key in compared} for name, each in results.items()}


@pytest.mark.parametrize("by_keyword", [False, True])
def test_a_result_can_be_put_together_of_its_three_parts(by_keyword: bool) -> None:
    results = {"one": flat_run(100.0, [10, 10, 12]), "two": flat_run(300.0, [10, 10, 5])}
    parts: dict[str, Any] = {
        "aggregate_metrics": results["one"].metrics,
        "strategy_results": results,
        "comparison_table": table(results),
    }

    made = OrchestratorResult(**parts) if by_keyword else OrchestratorResult(*parts.values())

    # 10 shares at 12 and 30 at 5.
    assert made.final_equity == 120 + 150
    assert made.initial_capital == 400
    assert made.equity_curve.tolist() == [400, 400, 270]
    assert made.get_strategy_result("two") is results["two"]
    with pytest.raises(KeyError, match="no strategy is called 'three'; there are one, two"):
        made.get_strategy_result("three")


def test_a_result_of_its_three_parts_can_be_written_down_whole() -> None:
    results = {"one": flat_run(100.0, [10, 10, 12])}

    saved = OrchestratorResult(results["one"].metrics, results, table(results)).to_dict()

    assert json.loads(json.dumps(saved, allow_nan=False)) == saved
    assert saved["final_equity"] == 120
    assert saved["reserve"] == [0, 0, 0]
    assert saved["comparison_table"]["one"]["total_return"] == pytest.approx(0.2)
    assert saved["comparison_table"]["one"]["win_rate"] is None  # nothing was closed
    assert saved["specification"] is None
    assert saved["unspecified"] == "the result was put together without saying what it was made from"


def test_a_result_without_strategies_is_one_too() -> None:
    made = OrchestratorResult(flat_run(100.0, [10, 10]).metrics, {}, {})

    assert (made.final_equity, made.symbols, made.failures) == (0.0, (), {})
    assert made.to_dict()["strategy_results"] == {}


def test_results_of_different_instants_make_none_together() -> None:
    results = {"one": flat_run(100.0, [10, 10]), "two": flat_run(100.0, [10, 10], first=5)}

    with pytest.raises(ValueError, match="strategy_results are of different instants"):
        OrchestratorResult(results["one"].metrics, results, table(results))
