"""Bars of random walks in a bar store, for the tests of research."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from trading.marketdata.bars import BarStore

DAYS = pd.bdate_range("2004-01-01", periods=1800, name="date")
"""Until 2010-11-24: the newest quarter that ended a year before ends on 2009-09-30."""


def walk(seed: int, index: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    """A trend that turns every few months, with 1.5 % of noise a day: something is there to be found.
    The volume is a thousand times that of the seed below."""
    random = np.random.default_rng(seed)
    count = len(index)
    turns = np.cumprod(np.where(random.random(count) < 1 / 80, -1.0, 1.0))
    close = 100.0 * np.exp(np.cumsum(0.002 * turns + random.normal(0.0, 0.015, count)))
    open_ = np.concatenate([[100.0], close[:-1]])
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.002,
            "low": np.minimum(open_, close) * 0.998,
            "close": close,
            "adj_close": close,
            "volume": 1000.0**seed,
        },
        index=index,
    )


def store(data_dir: Path, **frames: pd.DataFrame) -> Path:
    """Store the frames by symbol; return the data directory."""
    bars = BarStore(data_dir)
    for symbol, frame in frames.items():
        bars.write(symbol, frame, "test")
    return data_dir
