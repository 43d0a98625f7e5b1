"""Hand-made bars for the tests of marketdata, and CSV files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

SESSIONS = pd.bdate_range("2024-01-01", "2024-06-28", name="date")
"""Weekdays of half a year: the sessions of an exchange without holidays (130 of them)."""


def steady(count: int = 100, start: int = 0, price: float = 100.0) -> pd.DataFrame:
    """Bars of `count` sessions from session `start` on, 0.5 % up and down in turn: nothing is wrong."""
    index = SESSIONS[start : start + count]
    closes = [price * (1.005 if n % 2 else 1.0) for n in range(start, start + count)]
    return bars(index, closes)


def bars(index: pd.DatetimeIndex, closes: Sequence[float]) -> pd.DataFrame:
    """Bars with these closes; each opens at its close and spans 1 % to either side."""
    close = pd.Series(closes, index=index, dtype="float64")
    return pd.DataFrame(
        {
            "open": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "adj_close": close,
            "volume": 1000.0,
        }
    )


def write_csv(folder: Path, symbol: str, frame: pd.DataFrame) -> Path:
    """Write bars as folder/SYMBOL.csv and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{symbol}.csv"
    frame.to_csv(path, index_label="Date", date_format="%Y-%m-%d")
    return path
