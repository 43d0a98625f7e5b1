"""A result says what it was made from, and that, saved as JSON, makes it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Flag, StrEnum, auto
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from tests.backtest.hand_made_bars import bars, run, scripted
from tests.backtest.test_engine import Decided, Decisions, random_walk
from trading.backtest.again import rerun
from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError, StrategyError
from trading.backtest.history import PriceHistory
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal, Timing
from trading.backtest.specification import strategy_from
from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
from trading.backtest.strategy import Signals, State, Strategy

CONFIG = BacktestConfig(
    commission=Commission(per_trade=1.0, per_share=0.01, bps=5, minimum=2.0),
    slippage=Slippage(per_share=0.01, spread_bps=3, impact=0.7, impact_bars=10, max_participation=0.1),
    financing=Financing(cash_rate=0.02, borrow_rate=0.05),
    timing=Timing.CLOSE,
    fractional=False,
    shorting=False,
    delisting_recovery=0.5,
    check_look_ahead=False,
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


def test_every_rule_comes_back_from_json() -> None:
    assert BacktestConfig.from_dict(through_json(CONFIG.to_dict())) == CONFIG


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"comission": {}}, "unknown settings of a backtest: comission"),
        ({"commission": {"bip": 1.0}}, "unknown settings of a backtest: .*bip"),
        ({"timing": "noon"}, "noon"),
        ({"commission": {"bps": -1.0}}, "bps is -1.0"),
    ],
)
def test_saved_rules_that_make_no_sense_are_refused(saved: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BacktestConfig.from_dict(saved)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_saved_run_makes_the_same_result_again(arrays: bool) -> None:
    history = random_walk(300)
    strategy = MovingAverageCross(MovingAverageParameters(fast=3, slow=9), "mine")
    first = BacktestEngine(CONFIG).run(strategy, history, 12_345.67, arrays=arrays)

    again = rerun(through_json(first.specification), history)

    assert again.equity.tobytes() == first.equity.tobytes()
    assert through_json(again.to_dict()) == through_json(first.to_dict())


def test_parameters_with_tuples_and_missing_values_come_back() -> None:
    history = random_walk(4)
    first = BacktestEngine().run(Decided(Decisions((1.0, None, 0.5, None))), history, 1000)

    again = rerun(through_json(first.specification), history)

    assert isinstance(again, BacktestResult)
    assert again.fills == first.fills
    assert len(again.fills) == 2


def test_other_bars_than_the_saved_ones_are_refused_with_both() -> None:
    result = BacktestEngine().run(Decided(Decisions((None,) * 10)), random_walk(10), 1000)

    with pytest.raises(HistoryError, match=r"it had 10 instants of WALK .* here are 10"):
        rerun(result.specification, random_walk(10, seed=2))


class Pace(StrEnum):
    """Text that is more than its text."""

    SLOW = "slow"


class Sides(Flag):
    """Members that can be joined to others that have no name."""

    LONG = auto()
    SHORT = auto()


@dataclass(frozen=True, slots=True)
class Nested:
    """Parameters of every kind that can be saved."""

    pairs: tuple[tuple[str, float], ...] = (("A", 1.5), ("B", -0.5))
    share: Any = 0.25
    levels: Any = None


class Still(Strategy):
    """Does nothing."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        return None


def _specified(parameters: Any) -> dict[str, Any]:
    return BacktestEngine().run(Still(parameters), random_walk(3), 1000).specification


def test_nested_parameters_are_saved_as_what_json_gives_back() -> None:
    saved = _specified(Nested(share=np.float64(0.25), levels={"low": (1, 2)}))["strategy"]["parameters"]

    assert saved == through_json(saved)
    assert saved == {"pairs": [["A", 1.5], ["B", -0.5]], "share": 0.25, "levels": {"low": [1, 2]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.50"), {"$decimal": "0.50"}),
        (Decimal("-Infinity"), {"$decimal": "-Infinity"}),
        (float("inf"), {"$float": "inf"}),
        (float("-inf"), {"$float": "-inf"}),
        (date(2020, 1, 2), {"$date": "2020-01-02"}),
        (datetime.fromisoformat("2020-01-02T14:30:00.000007"), {"$datetime": "2020-01-02T14:30:00.000007"}),
        (datetime(2020, 1, 2, tzinfo=UTC), {"$datetime": "2020-01-02T00:00:00+00:00"}),
        (Timing.CLOSE, {"$enum": "trading.backtest.signals:Timing.CLOSE"}),
        (Pace.SLOW, {"$enum": f"{__name__}:Pace.SLOW"}),
        (Sides.SHORT, {"$enum": f"{__name__}:Sides.SHORT"}),
        (frozenset({"B", "A"}), {"$frozenset": ["A", "B"]}),
        (
            (Decimal(1), {"until": (date(2020, 1, 2),)}),
            [{"$decimal": "1"}, {"until": [{"$date": "2020-01-02"}]}],
        ),
        (
            frozenset({(1, Decimal(2)), (1, Decimal(1))}),
            {"$frozenset": [[1, {"$decimal": "1"}], [1, {"$decimal": "2"}]]},
        ),
    ],
)
def test_what_json_has_no_word_for_comes_back_as_it_was(value: Any, text: Any) -> None:
    saved = _specified(Nested(levels=value))

    again = rerun(through_json(saved), random_walk(3))

    assert isinstance(again, BacktestResult)
    assert saved["strategy"]["parameters"]["levels"] == text
    made = strategy_from(through_json(saved["strategy"])).parameters.levels
    assert (type(made), made) == (type(value), value)


@pytest.mark.parametrize(
    "text", [{"$decimal": "much"}, {"$date": "May"}, {"$enum": f"{__name__}:Pace.FAST"}, {"$frozenset": 5}]
)
def test_a_saved_value_that_makes_no_sense_is_named(text: Any) -> None:
    saved = _specified(Nested(levels=1.0))
    saved["strategy"]["parameters"]["levels"] = text

    with pytest.raises(StrategyError, match=r"Still' cannot be made again"):
        rerun(saved, random_walk(3))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        object,
        {1: 2},
        CONFIG,
        (1, {3}),
        {"$decimal": "1"},
        frozenset({CONFIG}),
        Decimal("NaN"),
        time(9, 30),
        timedelta(days=1),
        datetime(2020, 1, 2, tzinfo=ZoneInfo("America/New_York")),
        pd.Timestamp("2020-01-02"),
        np.datetime64("2020-01-02"),
        Sides.LONG | Sides.SHORT,
    ],
)
def test_a_parameter_that_would_not_come_back_is_refused_by_name(value: Any) -> None:
    with pytest.raises(
        StrategyError, match=r"parameters of still\['levels'\].* is .*: expected text, a truth"
    ):
        _specified(Nested(levels=value))


def test_a_class_that_nobody_can_import_is_named() -> None:
    class Local(Still):
        """Of this test alone."""

    history = random_walk(3)
    result = BacktestEngine().run(Local(Nested()), history, 1000)

    with pytest.raises(StrategyError, match="Local' cannot be made again"):
        rerun(through_json(result.specification), history)


# Results as JSON


def eventful() -> BacktestResult:
    """Return a run with trades, payments, refusals, odd metadata, and all that was lost in the end."""
    given = [
        bars("A", open=[10, 10, 11, 12, 40, 50], dividends={2: 0.5}, splits={3: 1.0}),
        bars("B", open=[5, 5, 5, 5, 5, 5]),
    ]
    odd = {
        "nan": float("nan"),
        "inf": -float("inf"),
        "array": np.arange(2),
        "whole": np.int64(3),
        "none": None,
    }
    script = {
        0: Signal(symbol="A", change=10.0, metadata=odd),
        1: Signal(symbol="B", quantity=1e6),
        2: Signal(symbol="A", quantity=-50.0),
    }
    return run(given, script, financing=Financing(cash_rate=0.1, borrow_rate=0.1))


def test_a_whole_result_is_json_without_nan() -> None:
    result = BacktestEngine(CONFIG).run(
        MovingAverageCross(MovingAverageParameters(fast=3, slow=9)), random_walk(100), 1000
    )

    assert through_json(result.to_dict()) == result.to_dict()


def test_a_result_of_an_eventful_run_is_json_but_for_parameters_that_are_none() -> None:
    result = eventful()
    result.__dict__["specification"] = {}  # signals as parameters cannot be saved

    told = through_json(result.to_dict())

    assert told["failure"] == "it has lost all its capital"
    assert {each["kind"] for each in told["payments"]} == {"dividend", "interest", "borrow"}
    assert told["rejections"][0]["requested"] == 5e6
    assert told["trades"][0]["metadata"]["nan"] == "nan"


def test_array_form_results_are_json_too() -> None:
    history = random_walk(100)
    strategy = MovingAverageCross(MovingAverageParameters(fast=3, slow=9))

    result = BacktestEngine().run(strategy, history, 1000, arrays=True)

    assert through_json(result.to_dict())["trades"]


def test_a_run_gives_the_same_bits_twice() -> None:
    first, second = eventful(), eventful()

    assert first.equity.tobytes() == second.equity.tobytes()
    assert repr(first.trades) == repr(second.trades)
    assert first.rejections == second.rejections
    assert PriceHistory([bars(open=[1])]).fingerprint == PriceHistory([bars(open=[1])]).fingerprint


def test_signals_as_parameters_cannot_be_saved() -> None:
    result = BacktestEngine().run(scripted({0: Signal.hold("WALK", 1.0)}), random_walk(3), 1000)

    with pytest.raises(StrategyError, match="parameters of scripted"):
        result.specification  # noqa: B018  # it is worked out when it is asked for


def test_a_result_without_a_specification_is_told_with_the_reason() -> None:
    """It ran; what cannot be done is to run it again."""
    history = random_walk(3)
    result = BacktestEngine().run(scripted({0: Signal.hold("WALK", 1.0)}), history, 1000)

    saved = through_json(result.to_dict())

    assert saved["final_equity"] == result.final_equity
    assert saved["specification"] is None
    assert saved["unspecified"] == result.unspecified
    assert saved["unspecified"].startswith("parameters of scripted['script'][0][1][0] is Signal(")
    with pytest.raises(StrategyError, match=r"saved is None: .* says why under unspecified"):
        rerun(saved["specification"], history)


def test_a_result_with_a_specification_has_no_reason_against_it() -> None:
    result = BacktestEngine().run(Still(Nested()), random_walk(3), 1000)

    assert (result.to_dict()["unspecified"], result.unspecified) == (None, None)
