"""The book of traders without intelligence: repeatable, possible, steady, as predictable as theory says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trading.backtest.books.book import BookSeries
from trading.backtest.books.features import microprice, mid, queue_imbalance, spread
from trading.backtest.books.simulated import ZeroIntelligence, simulate_books

EVENTS = 20_000


@pytest.fixture(scope="module")
def books() -> BookSeries:
    return simulate_books(ZeroIntelligence(), events=EVENTS, seed=7)


def next_move(books: BookSeries) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows after which the mid moves once more, and the direction in which it does (-1 or 1)."""
    steps = np.diff(mid(books))
    moves = np.flatnonzero(np.abs(steps) > 1e-9)
    following = np.searchsorted(moves, np.arange(len(books)))
    rows = np.flatnonzero(following < len(moves))
    return rows, np.sign(steps[moves[following[rows]]])


def test_the_same_seed_gives_the_same_books() -> None:
    rates = ZeroIntelligence(levels=3)
    first, again = (simulate_books(rates, events=500, seed=3, start_ns=10**18) for _ in range(2))

    for name in first.__slots__:
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True)
    assert first.stamps[0] >= 10**18


def test_another_seed_gives_other_books() -> None:
    first, other = (simulate_books(ZeroIntelligence(), events=500, seed=seed) for seed in (1, 2))

    assert not np.array_equal(first.stamps, other.stamps)


def test_prices_are_whole_ticks_and_sizes_whole_lots(books: BookSeries) -> None:
    """Never crossed, sorted and with positive sizes they are by construction: BookSeries checks that."""
    assert np.array_equal(books.bid_price, np.round(books.bid_price, 2), equal_nan=True)
    assert not np.any(books.ask_size % 100)


def test_events_come_at_the_rate_of_the_model(books: BookSeries) -> None:
    """Arrivals are 2 * 0.5 * 20 = 20 a second. In a steady book as many leave, by trade or cancellation:
    40 events a second (the count's standard deviation is below 1 %)."""
    seconds = (books.stamps[-1] - books.stamps[0]) / 1e9

    assert len(books) / seconds == pytest.approx(40.0, rel=0.04)


def test_trades_are_market_orders_of_one_lot_at_their_rate(books: BookSeries) -> None:
    """3 a second on each side, so about 1,500 in these 500 s: standard deviation 2.6 %."""
    assert books.bought is not None
    assert books.sold is not None
    seconds = (books.stamps[-1] - books.stamps[0]) / 1e9

    for shares in (books.bought, books.sold):
        assert set(np.unique(shares)) == {0.0, 100.0}
        assert np.count_nonzero(shares) / seconds == pytest.approx(3.0, rel=0.08)


def test_the_spread_is_steady(books: BookSeries) -> None:
    first, second = np.split(spread(books), 2)

    assert first.mean() == pytest.approx(second.mean(), rel=0.15)


def test_half_the_limit_orders_double_the_spread(books: BookSeries) -> None:
    """Smith et al. (2003): mean spread = (mu / alpha) f(epsilon), where epsilon (of cancel and market rate)
    does not depend on alpha, the limit orders' density; up to the grain of the ticks."""
    sparse = simulate_books(ZeroIntelligence(limit_rate=0.25), events=EVENTS, seed=7)

    assert spread(sparse).mean() / spread(books).mean() == pytest.approx(2.0, rel=0.15)


def test_imbalance_foretells_the_next_move_of_the_mid(books: BookSeries) -> None:
    """The shorter queue is the sooner gone: Cont, Stoikov, Talreja (2010), and Gould, Bonart (2016)."""
    rows, moves = next_move(books)

    correlation = np.corrcoef(queue_imbalance(books)[rows], moves)[0, 1]

    assert correlation > 0.15


def test_the_likelihood_of_a_rise_grows_with_the_imbalance(books: BookSeries) -> None:
    rows, moves = next_move(books)
    imbalance = queue_imbalance(books)[rows]

    rises = [np.mean(moves[imbalance < -0.4] > 0), np.mean(moves[imbalance > 0.4] > 0)]

    assert rises[0] < 0.4
    assert rises[1] > 0.6


def test_the_microprice_is_nearer_to_the_coming_mid_than_the_mid_is(books: BookSeries) -> None:
    later, now = mid(books)[100:], slice(0, -100)

    errors = [np.mean((later - price(books)[now]) ** 2) for price in (microprice, mid)]

    assert errors[0] < errors[1]


def test_the_last_order_of_a_side_stays() -> None:
    """Hardly any limit orders: without that rule a side would soon be empty."""
    rates = ZeroIntelligence(limit_rate=0.001, market_rate=50.0, cancel_rate=5.0, band_ticks=2)

    thin = simulate_books(rates, events=300, seed=1)

    assert thin.best_bid_size.min() == 100.0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("limit_rate", 0.0, "limit_rate is 0.0: expected a number above 0"),
        ("market_rate", -1.0, "market_rate is -1.0: expected a number from 0 up"),
        ("band_ticks", 1, "band_ticks is 1: expected a whole number from 2 up"),
        ("start_price", 1.0, "start_price is 1.0: expected at least ten bands, 2"),
    ],
)
def test_rates_that_cannot_be_are_refused(field: str, value: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ZeroIntelligence(**{field: value})  # type: ignore[arg-type]  # parametrized


def test_no_events_are_refused() -> None:
    with pytest.raises(ValueError, match="events is 0: expected a whole number from 1 up"):
        simulate_books(ZeroIntelligence(), events=0, seed=1)
