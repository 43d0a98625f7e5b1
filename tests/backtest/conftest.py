"""For the tests of backtests: a small history, real bars, and a portfolio of three strategies."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from trading.backtest.history import PriceHistory, SymbolBars
from trading.backtest.strategy import IStrategy

DAY = 86_400 * 10**9
"""Nanoseconds."""
BUNDLED = ("AAPL", "IBM", "MSFT")


@pytest.fixture
def sample_strategies() -> list[IStrategy]:
    """Three strategies of three kinds, fast enough to trade within `sample_history`."""
    from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
    from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters
    from trading.backtest.strategies.rsi import RsiParameters, RsiReversion

    return [
        BuyAndHold(BuyAndHoldParameters()),
        MovingAverageCross(MovingAverageParameters(fast=5, slow=20)),
        RsiReversion(RsiParameters(bars=7)),
    ]


@pytest.fixture
def sample_weights() -> tuple[float, ...]:
    """The shares of the capital that go with `sample_strategies`; their sum is 1."""
    return (0.5, 0.3, 0.2)


@pytest.fixture(scope="session")
def sample_history() -> PriceHistory:
    """Two symbols, UP and DOWN, on the same 250 days: random walks that rise and fall, always the same."""
    random = np.random.default_rng(4)
    stamps = np.arange(250, dtype=np.int64) * DAY + 10_957 * DAY  # from 2000-01-01 on
    return PriceHistory(
        [_walk("UP", stamps, random, drift=0.001), _walk("DOWN", stamps, random, drift=-0.001)]
    )


def _walk(symbol: str, stamps: np.ndarray, random: np.random.Generator, drift: float) -> SymbolBars:
    bars = len(stamps)
    close = np.round(100.0 * np.exp(np.cumsum(random.normal(drift, 0.015, bars))), 2)
    open_ = np.round(np.concatenate([[100.0], close[:-1]]) * (1.0 + random.normal(0.0, 0.003, bars)), 2)
    return SymbolBars(
        symbol=symbol,
        stamps=stamps,
        open=open_,
        high=np.maximum(open_, close) + 0.25,
        low=np.minimum(open_, close) - 0.25,
        close=close,
        volume=np.round(random.uniform(5e5, 2e6, bars)),
    )


@pytest.fixture(scope="session")
def bundled_history() -> PriceHistory:
    """AAPL, IBM and MSFT of the bundled sample, 2000-03-01 to 2013-03-01, adjusted for splits and dividends:
    each price times adj_close / close. Skipped where the package is absent."""
    if find_spec("bokeh_sampledata") is None:
        pytest.skip("the optional package bokeh_sampledata is not installed")
    from trading.marketdata.sources.sample import Sample

    frames = {}
    for symbol in BUNDLED:
        frame = Sample().fetch(symbol).frame
        ratio = frame["adj_close"] / frame["close"]
        adjusted = frame[["open", "high", "low", "close"]].mul(ratio, axis=0)
        frames[symbol] = adjusted.assign(volume=frame["volume"])
    return PriceHistory.from_frames(frames)
