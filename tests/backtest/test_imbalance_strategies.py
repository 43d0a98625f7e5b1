"""The imbalance strategies: their scores by hand, both forms alike, and what is left after the spread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.intraday_files import SHARED
from trading.backtest.books.bars_from_books import bars_from_books
from trading.backtest.books.simulated import ZeroIntelligence, simulate_books
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Slippage
from trading.backtest.engine import BacktestEngine
from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.specification import described_strategy, strategy_from
from trading.backtest.strategies.book_imbalance import BookImbalance, BookImbalanceParameters
from trading.backtest.strategies.order_imbalance import (
    BulkVolumeImbalance,
    OrderImbalance,
    OrderImbalanceParameters,
)
from trading.backtest.strategies.score_following import ScoreFollower
from trading.backtest.strategy import State

MINUTE = 60 * 10**9
NO_STATE = cast(State, None)
"""The followers ask nothing of it."""


def bars_of(
    opens: Sequence[float],
    closes: Sequence[float],
    volumes: Sequence[float],
    symbol: str = "X",
    **extras: Sequence[float],
) -> SymbolBars:
    opened, closed = np.array(opens, dtype=float), np.array(closes, dtype=float)
    return SymbolBars(
        symbol=symbol,
        stamps=np.arange(len(opened)) * MINUTE,
        open=opened,
        high=np.maximum(opened, closed),
        low=np.minimum(opened, closed),
        close=closed,
        volume=np.array(volumes, dtype=float),
        extras={name: np.array(values, dtype=float) for name, values in extras.items()},
    )


def scored(scores: Sequence[float], symbol: str = "X") -> SymbolBars:
    """Bars of one price whose book is as imbalanced as said."""
    ones = [1.0] * len(scores)
    return bars_of(ones, ones, ones, symbol, queue_imbalance=scores)


def asked_bar_by_bar(strategy: ScoreFollower, history: PriceHistory) -> Floats:
    """Return what `on_bar` asks for, in the shape of the array form."""
    asked = np.full((len(history), len(history.symbols)), np.nan)
    values = {symbol: [each(bars) for each in strategy.indicators] for symbol, bars in history.bars.items()}
    strategy.on_start(NO_STATE)
    for row, instant in enumerate(history.instants(values)):
        for bar in instant:
            for signal in strategy.on_bar(bar, NO_STATE) or ():
                assert signal.weight is not None
                asked[row, history.symbols.index(signal.symbol)] = signal.weight
    return asked


def test_the_volume_of_a_bar_is_signed_by_its_move_in_standard_deviations() -> None:
    """d = 0.01, -0.01: s = 0.01, so bar 1 moved by -1 s, and 2 Z(-1) - 1 = -0.6826894921 (the 68 % rule)."""
    bars = bars_of([100.0, 100.0], [100.0 * np.exp(0.01), 100.0 * np.exp(-0.01)], [500.0, 200.0])

    score = BulkVolumeImbalance(volatility_bars=2, imbalance_bars=1)(bars)

    assert score == pytest.approx([np.nan, -0.6826894921370859], nan_ok=True, rel=1e-12)


def test_imbalance_weighs_its_bars_by_volume() -> None:
    """d = 0.01, -0.01, 0.01, s = 0.01: bars 1 and 2 moved by -1 s and 1 s, on 200 and 600 shares:
    0.6827 * (600 - 200) / 800."""
    closes = 100.0 * np.exp([0.01, -0.01, 0.01])

    score = BulkVolumeImbalance(volatility_bars=2, imbalance_bars=2)(
        bars_of([100.0] * 3, closes.tolist(), [500.0, 200.0, 600.0])
    )

    assert score == pytest.approx([np.nan, np.nan, 0.6826894921370859 / 2], nan_ok=True, rel=1e-12)


def test_a_jump_over_night_is_no_trading() -> None:
    """Twice the price between close and open, and no move within the bars."""
    score = BulkVolumeImbalance(volatility_bars=2, imbalance_bars=1)(
        bars_of([10.0, 10.0, 20.0, 20.0], [10.0, 10.0, 20.0, 20.0], [100.0] * 4)
    )

    assert score[1:].tolist() == [0.0, 0.0, 0.0]


def test_bars_without_volume_are_in_balance() -> None:
    score = BulkVolumeImbalance(volatility_bars=2, imbalance_bars=2)(
        bars_of([10.0] * 4, [10.1, 10.2, 10.1, 10.3], [100.0, 0.0, 0.0, 100.0])
    )

    assert score[2] == 0.0


def test_a_history_shorter_than_the_warm_up_has_no_score() -> None:
    indicator = BulkVolumeImbalance(volatility_bars=3, imbalance_bars=2)

    score = indicator(bars_of([10.0] * 3, [10.1] * 3, [1.0] * 3))

    assert indicator.warmup == 3
    assert np.isnan(score).all()


@given(
    moves=st.lists(st.tuples(st.floats(-0.05, 0.05), st.floats(0, 1e6)), min_size=6, max_size=40),
    kept=st.integers(4, 40),
)
def test_the_bulk_imbalance_is_bounded_and_knows_no_future(
    moves: list[tuple[float, float]], kept: int
) -> None:
    closes, volumes = [100.0 * np.exp(move) for move, _ in moves], [volume for _, volume in moves]
    bars = bars_of([100.0] * len(moves), closes, volumes)
    indicator = BulkVolumeImbalance(volatility_bars=3, imbalance_bars=2)

    score = indicator(bars)

    kept = min(kept, len(bars))
    assert np.array_equal(indicator(bars.part(0, kept)), score[:kept], equal_nan=True)
    assert np.all(np.abs(score[indicator.warmup :]) <= 1)


def test_the_bulk_classification_knows_who_took_the_trades_of_a_book() -> None:
    """On simulated books the true signs are recorded: the guess from prices alone goes with them."""
    books = simulate_books(ZeroIntelligence(), events=12_000, seed=4)
    bars = bars_from_books(books, symbol="X", interval=timedelta(seconds=1))
    guessed = BulkVolumeImbalance(volatility_bars=10, imbalance_bars=1)(bars)[9:]

    assert np.corrcoef(guessed, bars.extras["trade_imbalance"][9:])[0, 1] > 0.25


def test_positions_begin_beyond_entry_and_end_at_exit() -> None:
    scores = [0.1, 0.4, 0.25, 0.05, 0.25, -0.4, -0.2, -0.05, np.nan, 0.31, -0.31, np.nan]
    #          -    in   stay  out   -    short stay  out    -      in    turn    stay
    expected = [None, 0.5, None, 0.0, None, -0.5, None, 0.0, None, 0.5, -0.5, None]
    rules = BookImbalanceParameters(entry=0.3, exit=0.1, weight=0.5)

    asked = BookImbalance(rules).signals(PriceHistory([scored(scores)]))

    assert asked[:, 0] == pytest.approx([np.nan if e is None else e for e in expected], nan_ok=True)


def test_without_shorting_a_low_score_is_only_not_held() -> None:
    rules = BookImbalanceParameters(entry=0.3, shorting=False)

    asked = BookImbalance(rules).signals(PriceHistory([scored([0.4, -0.4, -0.5, 0.4])]))

    assert asked[:, 0].tolist() == pytest.approx([1.0, 0.0, np.nan, 1.0], nan_ok=True)


SCORES = st.one_of(st.just(np.nan), st.sampled_from([-0.3, -0.1, 0.0, 0.1, 0.3]), st.floats(-1, 1))


@given(
    first=st.lists(SCORES, min_size=1, max_size=25),
    second=st.lists(SCORES, min_size=1, max_size=25),
    exit_at=st.sampled_from([0.0, 0.1, 0.3]),
    shorting=st.booleans(),
)
def test_the_array_form_asks_for_what_the_bars_ask_for(
    first: list[float], second: list[float], exit_at: float, shorting: bool
) -> None:
    rules = BookImbalanceParameters(entry=0.3, exit=exit_at, weight=0.4, shorting=shorting)
    history = PriceHistory([scored(first, "A"), scored(second, "B")])
    strategy = BookImbalance(rules)

    assert np.array_equal(strategy.signals(history), asked_bar_by_bar(strategy, history), equal_nan=True)


def test_bars_without_the_feature_are_refused_by_name() -> None:
    strategy = BookImbalance(BookImbalanceParameters(feature="microprice"))

    with pytest.raises(
        HistoryError, match=r"bars of X have no column 'microprice': .* there are queue_imbalance"
    ):
        strategy.signals(PriceHistory([scored([0.1])]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"entry": 0.0}, "entry is 0.0: expected a number above 0"),
        ({"exit": 0.4}, "exit is 0.4: expected a number from 0 to entry = 0.3"),
        ({"weight": -1.0}, "weight is -1.0: expected a number above 0"),
        ({"volatility_bars": 1}, "volatility_bars is 1: expected a whole number from 2 up"),
        ({"imbalance_bars": 0}, "imbalance_bars is 0: expected a whole number from 1 up"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OrderImbalanceParameters(**given)  # type: ignore[arg-type]  # parametrized


@pytest.mark.parametrize(
    "strategy",
    [
        OrderImbalance(OrderImbalanceParameters(entry=0.2, volatility_bars=20)),
        BookImbalance(BookImbalanceParameters(feature="micro_deviation_bps")),
    ],
)
def test_a_strategy_is_made_again_from_what_is_saved(strategy: ScoreFollower) -> None:
    again = strategy_from(described_strategy(strategy))

    assert (type(again), again.parameters) == (type(strategy), strategy.parameters)


def test_following_the_book_earns_before_the_spread_and_loses_after_it() -> None:
    """The forecast is real and worth less than it costs to act on: 500 s of a random book, seconds bars."""
    books = simulate_books(ZeroIntelligence(), events=20_000, seed=11)
    bars = bars_from_books(books, symbol="X", interval=timedelta(seconds=1))
    history, strategy = PriceHistory([bars]), BookImbalance(BookImbalanceParameters())
    spread = float(np.mean(bars.extras["open_spread_bps"]))

    free = BacktestEngine().run(strategy, history, 100_000)
    crossing = BacktestEngine(BacktestConfig(slippage=Slippage(spread_bps=spread))).run(
        strategy, history, 100_000
    )

    assert free.final_equity > 101_000
    assert crossing.final_equity < 99_000
    # What is lost between the two is half a spread on everything that was traded.
    traded = sum(abs(fill.quantity) * fill.price for fill in crossing.fills)
    assert free.final_equity - crossing.final_equity == pytest.approx(traded * spread / 2e4, rel=0.05)


@pytest.mark.skipif(
    not (SHARED / "intraday").is_dir(), reason="the shared price data is not here (ORCHESTRATOR_SHARED_DATA)"
)
def test_real_intraday_bars_are_traded_alike_in_both_forms() -> None:
    """Thirty sessions of 15-minute bars, where minutes without a trade, and so bars, may be missing."""
    from trading.marketdata.sources.csv_intraday import CsvIntraday

    series = CsvIntraday(str(SHARED)).fetch_batch("us20_15min_2019.csv.gz")
    frames = {each.symbol: each.frame for each in series if each.symbol in ("AAPL", "DFS", "SPY")}
    history = PriceHistory.from_frames(frames)
    strategy = OrderImbalance(OrderImbalanceParameters(volatility_bars=26, imbalance_bars=4, weight=0.3))

    result = BacktestEngine().run(strategy, history, 100_000)

    assert not history.aligned
    assert len(result.fills) > 100
    assert np.array_equal(strategy.signals(history), asked_bar_by_bar(strategy, history), equal_nan=True)
