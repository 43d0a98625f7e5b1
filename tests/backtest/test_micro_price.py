"""The micro-price: by hand where two states are all there is, by a second method, and on books to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.backtest.hand_made_books import book, random_books, series
from trading.backtest.books.book import BookSeries, OrderBook
from trading.backtest.books.features import microprice, mid, queue_imbalance, spread
from trading.backtest.books.micro_price import MicroPrice, fit_micro_price
from trading.backtest.books.simulated import ZeroIntelligence, simulate_books

TICK = 0.01
HEAVY, LIGHT = 900.0, 100.0


@pytest.fixture(scope="module")
def learned_from() -> BookSeries:
    return simulate_books(ZeroIntelligence(), events=15_000, seed=1)


@pytest.fixture(scope="module")
def fitted(learned_from: BookSeries) -> MicroPrice:
    return fit_micro_price(learned_from, tick=TICK)


def test_a_chain_of_two_states_by_hand() -> None:
    """Spread always one tick; more is bid, then more is offered, and so on. At heavy bids: the mid stays 1
    time in 3 (with heavy bids), rises a tick 1 time in 3 (to heavy offers), rises a tick 1 time in 3 (to
    heavy bids). So stay = 1/3, G1 = (2/3) / (1 - 1/3) = 1 tick, and the next state is heavy bids with chance
    1/2, heavy offers with 1/2. By symmetry G(offers) = -G(bids): G = 1 + (1/2) G - (1/2) G = 1 tick."""
    states = [(0, HEAVY, LIGHT), (0, HEAVY, LIGHT), (1, HEAVY, LIGHT), (2, LIGHT, HEAVY)]
    made = [
        book([(10.0 + level * TICK, bid)], [(10.01 + level * TICK, ask)], at)
        for at, (level, bid, ask) in enumerate(states)
    ]

    price = fit_micro_price(series(made), tick=TICK, buckets=3, spreads=1)

    assert price.adjustment[:, 0] == pytest.approx([-TICK, 0.0, TICK])
    assert price.of(made[0]) == pytest.approx(10.005 + TICK)


def test_the_sum_over_all_moves_is_what_adding_them_up_gives(learned_from: BookSeries) -> None:
    """The series of the paper, state by state and term by term, from counts made in a plain loop."""
    buckets, spreads = 5, 3
    size = buckets * spreads
    stays, goes, pushed = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    part = learned_from.part(0, 3000)
    imbalance, ticks = queue_imbalance(part), np.round(spread(part) / TICK).astype(int)
    states = []
    for share, wide in zip(imbalance.tolist(), ticks.tolist(), strict=True):
        away = (abs(share) >= 0.2) + (abs(share) >= 0.6)
        states.append((2 + (away if share > 0 else -away), min(wide, spreads) - 1))
    halves = np.round(np.diff(mid(part)) / (TICK / 2)).astype(int)
    for at in range(int(np.flatnonzero(halves)[-1]) + 1):
        for flip, sign in ((False, 1), (True, -1)):
            x, y = ((buckets - 1 - b if flip else b) * spreads + s for b, s in (states[at], states[at + 1]))
            (goes if halves[at] else stays)[x, y] += 1
            pushed[x] += sign * halves[at] * TICK / 2
    seen = np.maximum((stays + goes).sum(axis=1), 1)
    moves = np.linalg.inv(np.eye(size) - stays / seen[:, None])
    term, onwards = moves @ (pushed / seen), moves @ (goes / seen[:, None])
    total = np.zeros(size)
    for _ in range(2000):
        total, term = total + term, onwards @ term

    price = fit_micro_price(part, tick=TICK, buckets=buckets, spreads=spreads)

    assert price.adjustment.ravel() == pytest.approx(total, abs=1e-9)


def test_it_foretells_later_books_better_than_mid_and_weighted_mid(fitted: MicroPrice) -> None:
    """Out of sample, another seed: the mean squared distance from the mid 200 events later."""
    books = simulate_books(ZeroIntelligence(), events=15_000, seed=2)
    later = mid(books)[200:]

    errors = [
        np.mean((later - price[:-200]) ** 2)
        for price in (fitted.series(books), microprice(books), mid(books))
    ]

    assert errors[0] < errors[1] < errors[2]


def test_more_bids_mean_a_higher_price(fitted: MicroPrice) -> None:
    """At the tightest spread, over the buckets that were seen."""
    seen = fitted.adjustment[:, 0][np.abs(fitted.adjustment[:, 0]) > 0]

    assert len(seen) >= 6
    assert np.all(np.diff(seen) > -0.3 * TICK)
    assert seen[0] < -0.5 * TICK < 0.5 * TICK < seen[-1]


@given(random_books())
def test_one_book_and_many_have_the_same_micro_price(books: list[OrderBook]) -> None:
    price = MicroPrice(tick=TICK, adjustment=np.arange(33.0).reshape(11, 3))

    assert price.series(series(books)).tolist() == [price.of(each) for each in books]


@pytest.mark.parametrize(
    ("given_values", "said"),
    [
        ({"buckets": 4}, "buckets is 4: expected an odd number"),
        ({"buckets": 1}, "buckets is 1: expected a whole number from 3 up"),
        ({"spreads": 0}, "spreads is 0: expected a whole number from 1 up"),
        ({"tick": 0.0}, "tick is 0.0: expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(given_values: dict[str, float], said: str) -> None:
    books = series([book([(10.0, 1.0)], [(10.01, 1.0)])])

    with pytest.raises(ValueError, match=said):
        fit_micro_price(books, **{"tick": TICK, **given_values})  # type: ignore[arg-type]  # parametrized


def test_a_mid_that_never_moves_teaches_nothing() -> None:
    books = series([book([(10.0, 1.0)], [(10.01, 1.0)], at) for at in range(5)])

    with pytest.raises(ValueError, match="the mid of 5 books never moves"):
        fit_micro_price(books, tick=TICK)


def test_moves_that_never_change_the_side_are_too_few() -> None:
    """Always heavy bids, always rising: the sum of all moves to come has no end."""
    made = [book([(10.0 + at * TICK, HEAVY)], [(10.01 + at * TICK, LIGHT)], at) for at in range(5)]

    with pytest.raises(ValueError, match="4 moves of the mid are too few"):
        fit_micro_price(series(made), tick=TICK, buckets=3, spreads=1)
