"""Features of order books, by hand on small books, and alike in both forms on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backtest.hand_made_books import book, random_books, series
from trading.backtest.books.book import OrderBook
from trading.backtest.books.features import (
    FEATURES,
    OrderFlow,
    depth,
    micro_deviation_bps,
    microprice,
    mid,
    order_flow,
    queue_imbalance,
    spread,
    spread_bps,
    vwap_to_mid_bps,
)

# Bid 10.00 for 300 and 9.98 for 100; offered 10.04 for 100, 10.06 for 200, 10.10 for 100.
BOOK = book([(10.0, 300.0), (9.98, 100.0)], [(10.04, 100.0), (10.06, 200.0), (10.10, 100.0)])


def test_mid_and_spread_of_a_book_by_hand() -> None:
    assert mid(BOOK) == pytest.approx(10.02, abs=1e-12)
    assert spread(BOOK) == pytest.approx(0.04, abs=1e-12)
    # 0.04 / 10.02 = 39.92015968... basis points.
    assert spread_bps(BOOK) == pytest.approx(39.92015968063872, rel=1e-12)


def test_the_microprice_leans_to_the_side_with_the_shorter_queue() -> None:
    # (10.04 * 300 + 10.00 * 100) / 400 = 4012 / 400.
    assert microprice(BOOK) == pytest.approx(10.03, abs=1e-12)
    # 0.01 / 10.02 = 9.98003992... basis points above the mid.
    assert micro_deviation_bps(BOOK) == pytest.approx(9.98003992015968, rel=1e-9)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (1, 200 / 400),  # 300 against 100
        (2, 100 / 700),  # 400 against 300
        (3, 0.0),  # 400 against 400: the bid side has no third level
        (9, 0.0),
    ],
)
def test_queue_imbalance_over_levels_by_hand(levels: int, expected: float) -> None:
    assert queue_imbalance(BOOK, levels) == pytest.approx(expected, abs=1e-15)


def test_depth_counts_both_sides() -> None:
    assert [depth(BOOK, levels) for levels in (1, 2, 3)] == [400.0, 700.0, 800.0]


def test_vwap_to_mid_by_hand() -> None:
    # Two levels: (3000 + 998 + 1004 + 2012) / 700 = 7014 / 700 = 10.02, the mid itself.
    assert vwap_to_mid_bps(BOOK, 2) == pytest.approx(0.0, abs=1e-9)
    # One level: (3000 + 1004) / 400 = 10.01, 0.01 below the mid: -9.98003992... basis points.
    assert vwap_to_mid_bps(BOOK, 1) == pytest.approx(-9.98003992015968, rel=1e-9)


def test_levels_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="levels is 0: expected a whole number from 1 up"):
        queue_imbalance(BOOK, 0)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        ((10.00, 350.0), (10.04, 100.0), 50.0),  # 50 more are bid
        ((10.00, 300.0), (10.04, 40.0), 60.0),  # 60 offered are bought or withdrawn
        ((10.01, 80.0), (10.04, 100.0), 80.0),  # a better bid: all of it is new
        ((9.98, 100.0), (10.04, 100.0), -300.0),  # the best bid is gone: all that was there
        ((10.00, 300.0), (10.03, 70.0), -70.0),  # a better offer
        ((10.00, 300.0), (10.06, 200.0), 100.0),  # the best offer is gone
        ((10.00, 300.0), (10.04, 100.0), 0.0),  # nothing happened at the touch
    ],
)
def test_order_flow_of_one_event_by_hand(
    bid: tuple[float, float], ask: tuple[float, float], expected: float
) -> None:
    """The cases of Cont, Kukanov, Stoikov (2014), section 2.1, from bid 10.00 x 300, ask 10.04 x 100."""
    after = book([bid], [ask], 1)

    assert order_flow(series([BOOK, after])).tolist() == pytest.approx([0.0, expected])


def test_order_flow_while_no_price_moves_is_the_change_of_the_queues() -> None:
    """At constant prices the sum telescopes: bids added less offers added, whatever lay between."""
    queues = [(300.0, 100.0), (20.0, 250.0), (90.0, 10.0), (500.0, 70.0)]
    books = series([book([(10.0, b)], [(10.01, a)], at) for at, (b, a) in enumerate(queues)])

    assert order_flow(books).sum() == pytest.approx((500 - 300) - (70 - 100))


@given(random_books(), st.integers(1, 8))
def test_each_feature_is_the_same_number_for_one_book_and_for_many(
    books: list[OrderBook], levels: int
) -> None:
    recorded = series(books, levels=7)

    for feature in (mid, spread, spread_bps, microprice, micro_deviation_bps):
        assert feature(recorded).tolist() == [feature(each) for each in books]
    for deep in (queue_imbalance, depth, vwap_to_mid_bps):
        assert deep(recorded, levels).tolist() == [deep(each, levels) for each in books]


@given(random_books())
def test_order_flow_is_the_same_event_by_event(books: list[OrderBook]) -> None:
    flow = OrderFlow()

    assert order_flow(series(books, levels=7)).tolist() == [flow.update(each) for each in books]


@given(random_books(), st.data())
def test_no_feature_looks_ahead(books: list[OrderBook], data: st.DataObject) -> None:
    """Cutting the recording off changes nothing of what was said before the cut."""
    recorded = series(books, levels=7)
    kept = data.draw(st.integers(1, len(books)))

    for feature in (*FEATURES.values(), order_flow):
        whole, cut = feature(recorded), feature(recorded.part(0, kept))
        assert np.array_equal(whole[:kept], cut)


@given(random_books())
def test_features_stay_within_their_bounds(books: list[OrderBook]) -> None:
    for each in books:
        assert spread(each) > 0
        assert each.best_bid - 1e-9 <= microprice(each) <= each.best_ask + 1e-9
        assert -1 <= queue_imbalance(each, 3) <= 1


@given(random_books(most=1))
def test_a_mirrored_book_says_the_opposite(books: list[OrderBook]) -> None:
    """Bids and asks exchanged around the mid: imbalance and the microprice's deviation turn their sign."""
    one = books[0]
    twice = one.best_bid + one.best_ask
    mirrored = OrderBook(
        stamp=one.stamp,
        bid_price=tuple(twice - price for price in one.ask_price),
        bid_size=one.ask_size,
        ask_price=tuple(twice - price for price in one.bid_price),
        ask_size=one.bid_size,
    )

    assert queue_imbalance(mirrored, 2) == pytest.approx(-queue_imbalance(one, 2), abs=1e-12)
    assert micro_deviation_bps(mirrored) == pytest.approx(-micro_deviation_bps(one), abs=1e-6)
