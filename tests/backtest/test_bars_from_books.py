"""Bars of a recorded book: by hand, and never from a snapshot after their end."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.hand_made_books import book, random_books, series
from trading.backtest.books.bars_from_books import bars_from_books
from trading.backtest.books.book import BookSeries, OrderBook
from trading.backtest.books.features import queue_imbalance
from trading.backtest.books.simulated import ZeroIntelligence, simulate_books

SECOND = 10**9
# Five snapshots: three in the first two seconds, none in the next two, two in the last.
BOOKS = series(
    [
        book([(10.00, 300.0)], [(10.02, 100.0)], 0),
        book([(10.01, 100.0)], [(10.03, 300.0)], SECOND),
        book([(10.00, 100.0)], [(10.01, 100.0)], 2 * SECOND - 1),
        book([(10.00, 50.0)], [(10.02, 100.0)], 4 * SECOND),
        book([(10.00, 150.0)], [(10.02, 50.0)], 5 * SECOND),
    ]
)
TRADED = BookSeries(
    **{name: getattr(BOOKS, name) for name in BOOKS.__slots__[:5]},
    bought=np.array([0.0, 100.0, 0.0, 0.0, 0.0]),
    sold=np.array([0.0, 0.0, 300.0, 0.0, 0.0]),
)
BAR = timedelta(seconds=2)


def test_a_bar_holds_what_the_mid_did_within_it() -> None:
    bars = bars_from_books(BOOKS, symbol="X", interval=BAR)

    # Mids: 10.01, 10.02, 10.005 | none | 10.01, 10.01.
    assert bars.stamps.tolist() == [0, 4 * SECOND]
    assert bars.open == pytest.approx([10.01, 10.01])
    assert bars.high == pytest.approx([10.02, 10.01])
    assert bars.low == pytest.approx([10.005, 10.01])
    assert bars.close == pytest.approx([10.005, 10.01])


def test_features_stand_as_after_the_last_snapshot_of_the_bar() -> None:
    bars = bars_from_books(BOOKS, symbol="X", interval=BAR)

    # 100 against 100; then 150 against 50.
    assert bars.extras["queue_imbalance"] == pytest.approx([0.0, 0.5])


def test_order_flow_is_summed_over_the_bar() -> None:
    bars = bars_from_books(BOOKS, symbol="X", interval=BAR)

    # Better bid 100, worse ask +100; worse bid -100, better ask -100: 0 in all. Then bid the same (50 - 100),
    # worse ask +100: 50; bid 150 - 50, ask -50 + 100: 150. 200 in all.
    assert bars.extras["order_flow"] == pytest.approx([0.0, 200.0])


def test_the_spread_at_the_open_is_what_a_fill_there_crosses() -> None:
    bars = bars_from_books(BOOKS, symbol="X", interval=BAR)

    assert bars.extras["open_spread_bps"] == pytest.approx([0.02 / 10.01 * 1e4] * 2)


def test_trades_give_the_volume_and_its_direction() -> None:
    bars = bars_from_books(TRADED, symbol="X", interval=BAR)

    assert bars.volume.tolist() == [400.0, 0.0]
    # (100 - 300) / 400; without trades 0.
    assert bars.extras["trade_imbalance"].tolist() == [-0.5, 0.0]


def test_without_recorded_trades_the_volume_is_zero_and_no_direction_is_claimed() -> None:
    bars = bars_from_books(BOOKS, symbol="X", interval=BAR)

    assert bars.volume.tolist() == [0.0, 0.0]
    assert "trade_imbalance" not in bars.extras


def test_only_the_features_asked_for_are_worked_out() -> None:
    bars = bars_from_books(
        BOOKS, symbol="X", interval=BAR, features={"deep": lambda books: queue_imbalance(books, 3)}
    )

    assert set(bars.extras) == {"deep", "order_flow", "open_spread_bps"}


@given(random_books(most=12), st.data())
def test_a_bar_depends_on_no_snapshot_after_its_end(books: list[OrderBook], data: st.DataObject) -> None:
    recorded = series(books, levels=7)
    bars = bars_from_books(recorded, symbol="X", interval=BAR)
    at = data.draw(st.integers(0, len(bars) - 1))
    end = bars.stamps[at] + 2 * SECOND

    known = recorded.part(0, int(np.searchsorted(recorded.stamps, end)))
    cut = bars_from_books(known, symbol="X", interval=BAR)

    assert len(cut) == at + 1
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(cut, name).tolist() == getattr(bars, name)[: at + 1].tolist()
    for name, column in cut.extras.items():
        assert column.tolist() == bars.extras[name][: at + 1].tolist()


def test_all_that_was_traded_is_in_some_bar() -> None:
    books = simulate_books(ZeroIntelligence(), events=2000, seed=2)
    assert books.bought is not None
    assert books.sold is not None

    bars = bars_from_books(books, symbol="X", interval=timedelta(seconds=1))

    assert bars.volume.sum() == books.bought.sum() + books.sold.sum()


def test_an_interval_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a positive duration"):
        bars_from_books(BOOKS, symbol="X", interval=timedelta(0))
