"""From stored bars to the bars of a backtest."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trading.backtest
from trading.backtest.errors import HistoryError
from trading.backtest.historical_data import HistoricalDataManager, Prices
from trading.marketdata.bars import BarStore

DAYS = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], name="date")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """TWO splits 2:1 on its third day; DIVI pays 1 of 100 on its third, so its past is worth 1 % less."""
    store = BarStore(tmp_path)
    close = np.array([100.0, 100.0, 50.0, 50.0])
    store.write("TWO", frame(close, np.full(4, 50.0), dividend=[0, 0, 0, 0], split=[1, 1, 2, 1]), "test")
    paid = np.array([100.0, 100.0, 99.0, 99.0])
    store.write("DIVI", frame(paid, np.array([99.0, 99.0, 99.0, 99.0]), [0, 0, 1, 0], [1, 1, 1, 1]), "test")
    store.write("BARE", frame(paid, paid).drop(columns=["dividend", "split"]), "test")
    return tmp_path


def frame(
    close: np.ndarray, adjusted: np.ndarray, dividend: object = 0.0, split: object = 1.0
) -> pd.DataFrame:
    columns = {"open": close * 0.98, "high": close * 1.02, "low": close * 0.96, "close": close}
    rest = {"adj_close": adjusted, "volume": 1000.0, "dividend": dividend, "split": split}
    return pd.DataFrame({**columns, **rest}, index=DAYS).astype("float64")


def test_adjusted_prices_make_no_jump_of_a_split(data_dir: Path) -> None:
    history = HistoricalDataManager(data_dir).load(["TWO"])

    bars = history.bars["TWO"]
    assert bars.close.tolist() == [50.0, 50.0, 50.0, 50.0]
    # 0.98 * 100 before the split is 0.98 * 50 in today's shares.
    assert bars.open.tolist() == pytest.approx([49.0] * 4)
    assert bars.volume.tolist() == [2000.0, 2000.0, 1000.0, 1000.0]
    assert bars.splits is None


def test_traded_prices_come_with_their_splits_and_dividends(data_dir: Path) -> None:
    history = HistoricalDataManager(data_dir).load(["TWO", "DIVI"], prices=Prices.TRADED)

    two, divi = history.bars["TWO"], history.bars["DIVI"]
    assert two.close.tolist() == [100.0, 100.0, 50.0, 50.0]
    assert two.splits is not None
    assert two.splits.tolist() == [1.0, 1.0, 2.0, 1.0]
    assert divi.dividends is not None
    assert divi.dividends.tolist() == [0.0, 0.0, 1.0, 0.0]


def test_traded_prices_without_splits_are_refused(data_dir: Path) -> None:
    with pytest.raises(HistoryError, match=r"BARE have no column dividend, split.*Prices\.ADJUSTED"):
        HistoricalDataManager(data_dir).load(["BARE"], prices=Prices.TRADED)


def test_a_symbol_that_is_not_stored_is_named_with_those_that_are(data_dir: Path) -> None:
    with pytest.raises(HistoryError, match="NONE is not stored; there are: BARE, DIVI, TWO"):
        HistoricalDataManager(data_dir).load(["TWO", "NONE"])


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"no bars are stored; run scripts/refresh_eod_data\.py"):
        HistoricalDataManager(tmp_path).load()


def test_a_range_without_bars_names_the_range_there_is(data_dir: Path) -> None:
    with pytest.raises(HistoryError, match="there are bars from 2024-01-02 to 2024-01-05"):
        HistoricalDataManager(data_dir).load(["TWO"], date(2025, 1, 1))


def test_one_symbol_need_not_be_in_a_list(data_dir: Path) -> None:
    assert HistoricalDataManager(data_dir).load("TWO").symbols == ("TWO",)


def test_a_list_of_no_symbols_is_refused(data_dir: Path) -> None:
    with pytest.raises(ValueError, match="symbols is empty: expected at least one, or None for all"):
        HistoricalDataManager(data_dir).load([])


def test_a_symbol_of_an_empty_store_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"TWO is not stored; there are: none in .*; run scripts/refresh"):
        HistoricalDataManager(tmp_path).load(["TWO"])


def test_prices_may_be_named(data_dir: Path) -> None:
    manager = HistoricalDataManager(data_dir)

    for prices in Prices:
        named = manager.load(["DIVI"], prices=prices.value)  # type: ignore[arg-type]  # what a person may write
        assert named.fingerprint == manager.load(["DIVI"], prices=prices).fingerprint


def test_both_ends_of_a_range_are_included(data_dir: Path) -> None:
    history = HistoricalDataManager(data_dir).load(None, date(2024, 1, 3), date(2024, 1, 4))

    assert history.symbols == ("BARE", "DIVI", "TWO")
    assert len(history) == 2


def test_findings_are_those_of_the_quality_check(data_dir: Path) -> None:
    manager = HistoricalDataManager(data_dir)

    found = manager.findings(["TWO"], pd.DatetimeIndex([*DAYS, pd.Timestamp("2024-01-08")]))

    assert [finding.check for finding in found] == ["stale"]


def test_every_name_of_the_package_is_told_once_and_loads() -> None:
    """The lazy names stand in three places: for readers of types, for the loader, and for `import *`."""
    source = Path(trading.backtest.__file__).read_text(encoding="utf-8")
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    typed = {
        alias.name: node.module
        for block in blocks
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert typed == {name: f"trading.backtest.{home}" for name, home in trading.backtest._HOME.items()}
    assert sorted(typed) == trading.backtest.__all__
    for name in trading.backtest.__all__:
        assert getattr(trading.backtest, name).__name__ == name
