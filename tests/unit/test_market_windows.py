"""The market while an order was worked, by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.measured_orders import MINUTE, OPEN, fill_of
from trading.execution.ledger.events import Event
from trading.execution.market_windows import are_of_this_market, joined, window_from_bars, window_seen
from trading.execution.markets.traded import Bar
from trading.execution.measures import Window
from trading.execution.smart.bookkeeping import ENDED


def bar(minute: int, price: str, volume: int, close: str | None = None) -> Bar:
    """Five minutes at one price, (high + low + close) / 3 = price unless it closes elsewhere."""
    at, last = Decimal(price), Decimal(close or price)
    return Bar(OPEN + minute * MINUTE, at, max(at, last), min(at, last), last, volume, timedelta(minutes=5))


BARS = [bar(0, "10", 1_000), bar(5, "11", 3_000), bar(10, "12", 500)]


def test_vwap_is_by_volume_and_twap_by_time() -> None:
    found = window_from_bars(BARS, OPEN, OPEN + 15 * MINUTE)

    # (10 * 1000 + 11 * 3000 + 12 * 500) / 4500 and (10 + 11 + 12) / 3.
    assert found == Window(
        end_price=Decimal(12), vwap=Decimal(49_000) / 4_500, twap=Decimal(11), volume=4_500
    )


def test_of_a_bar_partly_within_that_part_counts() -> None:
    found = window_from_bars(BARS, OPEN + 4 * MINUTE, OPEN + 10 * MINUTE)

    # A fifth of the first (200 shares at 10), all of the second (3,000 at 11); by time 1 and 5 minutes.
    assert found.vwap == Decimal(35_000) / 3_200
    assert found.twap == Decimal(65) / 6
    assert found.volume == 3_200


def test_the_end_price_is_never_one_from_after_the_end() -> None:
    bars = [bar(0, "10", 100, close="10.5"), bar(5, "11", 100, close="13")]

    assert window_from_bars(bars, OPEN, OPEN + 7 * MINUTE).end_price == Decimal("10.5")
    assert window_from_bars(bars, OPEN, OPEN + 3 * MINUTE).end_price == Decimal(10)


def test_minutes_without_a_trade_have_a_price_by_time_and_none_by_volume() -> None:
    found = window_from_bars([bar(0, "10", 0)], OPEN, OPEN + 5 * MINUTE)

    assert (found.vwap, found.twap, found.volume) == (None, Decimal(10), 0)


def test_outside_of_all_bars_nothing_is_known() -> None:
    assert window_from_bars(BARS, OPEN + 60 * MINUTE, OPEN + 70 * MINUTE) == Window()
    assert window_from_bars(BARS, OPEN + MINUTE, OPEN + MINUTE) == Window()


def test_what_the_executor_saw_at_the_end_is_read_from_its_last_note() -> None:
    notes: list[tuple[str, dict[str, object]]] = [
        (ENDED, {"mid": "9.00", "market_volume": 1}),
        ("order.paused", {"mid": "8.00"}),
        (ENDED, {"mid": "10.05", "market_volume": 700}),
    ]
    events = [
        Event(number=n, at=OPEN, kind=kind, details=details) for n, (kind, details) in enumerate(notes, 1)
    ]

    assert window_seen(events) == Window(end_price=Decimal("10.05"), volume=700)
    assert window_seen(events[1:2]) == Window()


def test_the_price_seen_goes_before_the_bars_and_their_volume_before_the_one_seen() -> None:
    seen = Window(end_price=Decimal("10.05"), volume=700)
    recorded = Window(end_price=Decimal("10.00"), vwap=Decimal(9), twap=Decimal(8), volume=900)

    assert joined(seen, recorded) == Window(
        end_price=Decimal("10.05"), vwap=Decimal(9), twap=Decimal(8), volume=900
    )
    assert joined(seen, Window()) == seen


def test_fills_far_outside_a_bars_range_are_of_another_market() -> None:
    assert are_of_this_market(BARS, [fill_of(1, "10.03", 1)], 0.003)
    assert not are_of_this_market(BARS, [fill_of(1, "10.03", 1), fill_of(1, "10.50", 2)], 0.003)


def test_a_fill_at_a_bars_end_may_be_of_that_bar_or_of_the_next() -> None:
    assert are_of_this_market(BARS, [fill_of(1, "10.01", 5), fill_of(1, "11.01", 5)], 0.003)
    assert not are_of_this_market(BARS, [fill_of(1, "10.50", 5)], 0.003)


def test_a_fill_outside_of_all_bars_tells_nothing_of_the_market() -> None:
    assert are_of_this_market(BARS, [fill_of(1, "99.00", 90)], 0.003)
    assert are_of_this_market([], [fill_of(1, "99.00", 1)], 0.003)
