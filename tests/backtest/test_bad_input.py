"""Bars that cannot be used are refused in words: whose, on which date, what it is, what was expected."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.backtest.hand_made_bars import DAY, Scripted, Told, bars, run, scripted
from trading.backtest.bars import Bar
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError, StrategyError
from trading.backtest.history import PriceHistory, SymbolBars
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.signals import Signal
from trading.backtest.strategies.registry import made
from trading.backtest.strategy import State


def frame(**columns: Any) -> pd.DataFrame:
    """Return three good bars, 2020-01-01 to 2020-01-03, with these columns in place of theirs."""
    usual = {name: [10.0, 11.0, 12.0] for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(usual | columns, index=pd.date_range("2020-01-01", periods=3))


def refused(given: Any) -> str:
    with pytest.raises(HistoryError) as caught:
        PriceHistory.from_frames(given)
    return str(caught.value)


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (0.0, "0"), (-1.5, "-1.5"), (np.inf, "inf")])
def test_a_price_that_is_none_is_refused(name: str, value: float, said: str) -> None:
    text = refused({"A": frame(**{name: [10.0, value, 12.0]})})

    assert text == f"{name} of A on 2020-01-02 is {said}: expected a price above 0"


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (-1.0, "-1"), (np.inf, "inf")])
def test_a_volume_that_is_none_is_refused(value: float, said: str) -> None:
    text = refused({"A": frame(volume=[1.0, 0.0, value])})

    assert text == f"volume of A on 2020-01-03 is {said}: expected shares from 0 up"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("dividend", np.nan, "dividend of A on 2020-01-02 is nan: expected cash per share"),
        ("split", 0.0, "split of A on 2020-01-02 is 0: expected new shares per old, above 0"),
        ("split", np.nan, "split of A on 2020-01-02 is nan: expected new shares per old, above 0"),
    ],
)
def test_a_dividend_or_split_that_is_none_is_refused(column: str, value: float, said: str) -> None:
    assert refused({"A": frame(**{column: [1.0, value, 1.0]})}) == said


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([10.0, "11", 12.0], "open of A on 2020-01-02 is '11': expected a number"),
        (["10", "11", "12"], "open of A on 2020-01-01 is '10': expected a number"),
        ([True, True, True], "open of A on 2020-01-01 is True: expected a number"),
        ([10 + 1j, 11 + 0j, 12 + 0j], r"open of A on 2020-01-01 is (10+1j): expected a number"),
        ([10.0, None, 12.0], "open of A on 2020-01-02 is nan: expected a price above 0"),
        (pd.array([10.0, 11.0, None], dtype="Float64"), "open of A on 2020-01-03 is nan: expected a price"),
        (pd.array([10, None, 12], dtype=object), "open of A on 2020-01-02 is nan: expected a price above 0"),
        (pd.to_datetime(["2020-01-01"] * 3), "open of A on 2020-01-01 is Timestamp("),
    ],
)
def test_a_column_that_holds_no_numbers_is_refused(column: Any, said: str) -> None:
    assert refused({"A": frame(open=column)}).startswith(said)


def test_a_dividend_column_of_text_is_not_left_out_in_silence() -> None:
    assert refused({"A": frame(dividend=["0", "0.5", "0"])}).startswith("dividend of A on 2020-01-01 is '0'")


def test_dates_that_fall_are_refused() -> None:
    text = refused({"A": frame().iloc[[0, 2, 1]]})

    assert text == "date 2020-01-02 of A stands after 2020-01-03: expected rising dates"


def test_a_date_that_is_there_twice_is_refused() -> None:
    text = refused({"A": frame().iloc[[0, 1, 1]]})

    assert text == "date 2020-01-02 of A is there twice: expected rising dates"


def test_a_date_that_is_none_is_refused() -> None:
    text = refused({"A": frame().set_axis(pd.DatetimeIndex(["2020-01-01", None, "2020-01-03"]))})

    assert text == "date of A in row 1 is NaT: expected a date in every row"


@pytest.mark.parametrize(
    ("days", "row"), [(["1600-01-01", "2020-01-01"], 0), (["2020-01-01", "2500-01-01"], 1)]
)
def test_a_date_beyond_nanoseconds_is_refused(days: list[str], row: int) -> None:
    index = pd.DatetimeIndex(np.array(days, dtype="datetime64[s]"))

    text = refused({"A": frame().iloc[:2].set_axis(index)})

    assert text.startswith(f"date of A in row {row} is {days[row]} 00:00:00: expected one between 1677-09-21")


def test_an_index_without_dates_is_refused() -> None:
    text = refused({"A": frame().reset_index(drop=True)})

    assert text == "index of the bars of A is a RangeIndex: expected a DatetimeIndex"


def test_dates_with_a_zone_are_turned_to_utc() -> None:
    local = frame().tz_localize("America/New_York")

    (got,) = PriceHistory.from_frames({"A": local}).bars.values()

    assert next(got.as_bars()).at.isoformat() == "2020-01-01T05:00:00+00:00"  # midnight there, in winter


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_may_be_kept_in_any_unit(unit: Any) -> None:
    given = frame()

    history = PriceHistory.from_frames({"A": given.set_axis(pd.DatetimeIndex(given.index).as_unit(unit))})

    assert history.stamps.tolist() == [(18_262 + at) * DAY for at in range(3)]  # days from 1970 to 2020


def test_columns_that_are_missing_are_named() -> None:
    text = refused({"A": frame().drop(columns=["high", "volume"])})

    assert text == "bars of A have no column high, volume: expected open, high, low, close, volume"


def test_a_column_that_is_there_twice_is_refused() -> None:
    given = frame()

    assert refused({"A": pd.concat([given, given["open"]], axis=1)}).startswith(
        "bars of A have the column open 2"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "there are no bars of any symbol"),
        ({"A": frame().iloc[:0]}, "A has no bars: expected at least one"),
        ({"A": None}, "bars of A are a NoneType: expected a pandas DataFrame"),
        ({5: frame()}, "symbol is 5: expected its name as text"),
        ({"": frame()}, "symbol is '': expected its name as text"),
        ([frame()], "bars of ASSET are a list: expected a pandas DataFrame"),
        (None, "bars of ASSET are a NoneType: expected a pandas DataFrame"),
        (frame()["open"], "bars of ASSET are a Series: expected a pandas DataFrame"),
    ],
)
def test_what_is_no_frame_of_bars_is_refused(given: Any, said: str) -> None:
    assert refused(given).startswith(said)


def test_a_symbol_that_is_there_twice_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"symbols are \['A', 'A'\]: expected each one once"):
        PriceHistory([bars("A", open=[1]), bars("A", open=[1])])


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(HistoryError, match="close of A has 1 values for 2 dates"):
        bars(open=[1, 2], close=[1], high=[1, 2], low=[1, 2])


def test_dates_as_datetimes_are_refused_where_nanoseconds_are_meant() -> None:
    one = np.array([10.0])

    with pytest.raises(HistoryError, match=r"dates of A are datetime64\[s\]: expected whole nanoseconds"):
        SymbolBars(
            symbol="A",
            stamps=np.array(["2020-01-01"], dtype="datetime64[s]"),
            open=one,
            high=one,
            low=one,
            close=one,
            volume=one,
        )


def test_prices_in_decimals_and_whole_numbers_are_taken() -> None:
    given = frame(open=[Decimal("10.5")] * 3, close=[10, 11, 12])

    (got,) = PriceHistory.from_frames({"A": given}).bars.values()

    assert (got.open.tolist(), got.close.tolist()) == ([10.5] * 3, [10.0, 11.0, 12.0])


def test_a_high_below_the_close_is_let_pass_as_real_bars_have_it() -> None:
    # SPY on 2015-03-05 in the stored bars; the quality check reports it.
    history = PriceHistory.from_frames({"SPY": frame(high=[9.0, 9.0, 9.0], low=[13.0, 13.0, 13.0])})

    result = BacktestEngine().run(scripted({0: Signal.hold("SPY", 1.0)}), history, 1100)

    assert result.equity.tolist() == [1100.0, 1100.0, 1200.0]


def test_too_little_history_is_refused_with_what_there_is() -> None:
    strategy = scripted({})
    strategy.warmup = 3

    with pytest.raises(HistoryError) as caught:
        BacktestEngine().run(strategy, PriceHistory([bars(open=[1, 2, 3]), bars("B", open=[1])]), 1000)

    assert str(caught.value) == (
        "scripted needs more than 3 bars: A, the longest of 2 symbols, has 3, from 1970-01-01 to 1970-01-03"
    )


LONG_AND_SHORT = [
    bars("L", open=[10.0 + at % 7 for at in range(30)]),
    bars("S", open=[20, 21, 22], days=[4, 5, 6]),
]


@pytest.mark.parametrize(
    ("name", "parameters", "warmup"),
    # What needs 10 bars for an estimate, or 5 for a mean, has the first at the last of them.
    [("pairs", {"window": 10}, 9), ("moving_average", {"fast": 2, "slow": 5}, 4)],
)
def test_a_symbol_that_is_traded_and_has_too_little_history_is_refused_by_name(
    name: str, parameters: dict[str, Any], warmup: int
) -> None:
    """Another one may be long enough; alone or beside other strategies it is the same."""
    strategy = made(name, symbols=("L", "S"), **parameters)
    history = PriceHistory(LONG_AND_SHORT)
    said = f"{name} needs more than {warmup} bars: S, which it trades, has 3, from 1970-01-05 to 1970-01-07"

    with pytest.raises(HistoryError) as alone:
        BacktestEngine().run(strategy, history, 1000)
    with pytest.raises(HistoryError) as beside:
        StrategyOrchestrator([(strategy, 1.0)], OrchestratorConfig(log_dir=None)).run(history, 1000)

    assert (str(alone.value), str(beside.value)) == (said, said)


def test_a_symbol_that_nobody_named_may_be_too_short_and_is_not_traded() -> None:
    strategy = made("moving_average", fast=2, slow=5)

    result = BacktestEngine().run(strategy, PriceHistory(LONG_AND_SHORT), 1000)

    assert {fill.symbol for fill in result.fills} == {"L"}


def test_a_span_without_bars_is_refused_with_what_there_is() -> None:
    history = PriceHistory([bars(open=[1, 2, 3])])

    with pytest.raises(
        HistoryError, match="no bars of A from 2021-01-01 to None: there are bars from 1970-01-01"
    ):
        history.between(date(2021, 1, 1), None)


@pytest.mark.parametrize("capital", [0, -1.0, float("nan"), float("inf"), None, "much"])
def test_capital_that_is_none_is_refused(capital: Any) -> None:
    with pytest.raises(ValueError, match="initial_capital is"):
        run(bars(open=[1, 2]), {}, capital=capital)


class Unfinished:
    """Something that lacks most of a strategy."""

    name = "unfinished"

    def on_bar(self, bar: Bar, state: State) -> None:
        pass

    def __repr__(self) -> str:
        return "Unfinished()"


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (Unfinished(), r"Unfinished\(\) has no parameters, warmup: expected a strategy"),
        (Unfinished, "Unfinished is a class: expected a strategy made of it"),
        (None, "None has no name, parameters, warmup, on_bar: expected a strategy"),
        (Scripted(Told(()), 5), r"name of Scripted\(.*\) is 5: expected text"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_strategy_is_refused_by_what_it_lacks(strategy: Any, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        BacktestEngine().run(strategy, PriceHistory([bars(open=[1, 2])]), 1000)


@pytest.mark.parametrize("warmup", ["5", -1, 0.5])
def test_a_warm_up_that_is_no_number_of_bars_is_refused(warmup: Any) -> None:
    strategy = scripted({})
    strategy.warmup = warmup

    with pytest.raises(ValueError, match="warmup of scripted is"):
        BacktestEngine().run(strategy, PriceHistory([bars(open=[1, 2])]), 1000)
