"""Drawings of how orders were worked: what is on them, where, and in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measured_orders import MINUTE, OPEN, fill_of, order_of, plan_of
from trading.execution.execution_pictures import Drawing, day_picture, order_picture
from trading.execution.market_windows import window_from_bars
from trading.execution.markets.traded import Bar
from trading.execution.measures import Window, measure
from trading.execution.order_records import OrderRecord
from trading.execution.orders import Fill, ParentOrder, ParentState, Side
from trading.execution.smart.plan import ExecutionPlan, PlannedSlice
from trading.execution.svg import apart, short, ticks, time_ticks, with_digits

NEW_YORK = ZoneInfo("America/New_York")
FILLS = (fill_of(500, "50.20", 1), fill_of(500, "50.40", 7))


def record(
    order: ParentOrder | None = None,
    fills: tuple[Fill, ...] = FILLS,
    plan: ExecutionPlan | None = None,
    bars: tuple[Bar, ...] = (),
) -> OrderRecord:
    order, plan = order or order_of(), plan or plan_of()
    window = window_from_bars(bars, OPEN, OPEN + 10 * MINUTE) if bars else Window(end_price=Decimal("50.50"))
    measures = measure(order, [plan], fills, window)
    return OrderRecord(
        order=order, plans=(plan,), children=(), fills=fills, window=window, measures=measures, bars=bars
    )


def bars_of(count: int, volume: int) -> tuple[Bar, ...]:
    price = Decimal("50.30")
    return tuple(
        Bar(OPEN + i * MINUTE, price, price, price, price, volume, timedelta(minutes=1)) for i in range(count)
    )


def drawn(found: Drawing | None) -> tuple[ElementTree.Element, str]:
    assert found is not None
    return ElementTree.fromstring(found.svg), found.words


def labels(svg: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in svg.iter("text")]


def test_an_order_is_told_in_words() -> None:
    _, words = drawn(order_picture(record(), NEW_YORK))

    # 50.30 on average, 0.20 above 50.10: 39.9 bp. 14:31 and 14:37 UTC are 9:31 and 9:37 in New York.
    assert words == (
        "1,000 of 1,000 shares bought from 09:31 to 09:37 at 50.30 $ on average, 39.9 bp worse than at "
        "arrival. The first plan had 2 slices, the largest 500 shares at 09:30."
    )


def test_an_order_without_fills_says_why() -> None:
    expired = order_of(state=ParentState.EXPIRED, reason="the horizon ended with 1000 shares left")
    _, words = drawn(order_picture(record(expired, fills=()), NEW_YORK))

    assert words == "0 of 1,000 shares bought: the horizon ended with 1000 shares left."


@pytest.mark.parametrize(("side", "points_up"), [(Side.BUY, True), (Side.SELL, False)])
def test_every_fill_has_a_mark_that_points_up_for_a_purchase(side: Side, points_up: bool) -> None:
    fills = tuple(fill_of(500, "50.20", at, side=side) for at in (1, 7))
    svg, _ = drawn(order_picture(record(order_of(side=side), fills), NEW_YORK))

    marks = [each for each in svg.iter("polygon") if each.find("title") is not None]
    assert [each.findtext("title") for each in marks] == [
        "09:31:00: 500 at 50.20 $",
        "09:37:00: 500 at 50.20 $",
    ]
    for each in marks:
        tip, *base = [float(place.split(",")[1]) for place in each.attrib["points"].split()]
        assert (tip < min(base)) is points_up


def test_lines_are_named_where_they_end() -> None:
    svg, _ = drawn(order_picture(record(bars=bars_of(10, 900)), NEW_YORK))

    names = {"arrival 50.10", "average 50.30", "VWAP 50.30"}
    assert names <= set(labels(svg))
    places = [float(each.attrib["y"]) for each in svg.iter("text") if each.text in names]
    # Average and VWAP are one price: their names stand one below the other.
    assert min(b - a for a, b in pairwise(sorted(places))) >= 12


def test_the_markets_traded_volume_is_drawn_only_where_it_is_known() -> None:
    known, _ = drawn(order_picture(record(bars=bars_of(10, 900)), NEW_YORK))
    unknown, _ = drawn(order_picture(record(), NEW_YORK))

    assert "traded" in labels(known)
    assert "traded" not in labels(unknown)
    # 5 minutes of 900 shares each in both slices.
    assert [each.text for each in known.iter("title")].count("09:30 to 09:35: 4,500") == 1


def test_fills_after_the_first_plans_end_have_columns_of_their_own() -> None:
    late = (*FILLS, fill_of(100, "50.20", 33))
    svg, _ = drawn(order_picture(record(order_of(quantity=1_100), late), NEW_YORK))

    assert "10:00 to 10:05: 100" in [each.text for each in svg.iter("title")]


def test_the_axis_begins_and_ends_with_the_work() -> None:
    """A market order is one slice of a whole day's plan."""
    slices = tuple(
        PlannedSlice(
            start=OPEN + 5 * i * MINUTE,
            end=OPEN + 5 * (i + 1) * MINUTE,
            quantity=1_000 if i == 20 else 0,
            expected_volume=10_000.0,
        )
        for i in range(78)
    )
    fills = (fill_of(1_000, "50.20", 101),)
    svg, words = drawn(order_picture(record(fills=fills, plan=plan_of(slices=slices)), NEW_YORK))

    times = [each for each in labels(svg) if re.fullmatch(r"\d\d:\d\d", each)]
    assert len(times) > 3
    assert all("11:05" <= each <= "11:20" for each in times)
    assert "one slice of 1,000 shares at 11:10" in words


def test_an_order_that_could_not_be_planned_has_no_picture() -> None:
    assert order_picture(record(plan=plan_of(is_feasible=False, slices=())), NEW_YORK) is None


def test_an_order_that_never_began_is_drawn_without_prices() -> None:
    order = order_of(arrival_price=None, arrived_at=None, state=ParentState.KILLED, reason="halted")
    svg, words = drawn(order_picture(record(order, fills=()), NEW_YORK))

    assert "Price: work never began" in labels(svg)
    assert words == "0 of 1,000 shares bought: halted."


def test_a_day_tells_how_far_each_order_was_from_its_plan() -> None:
    # 200 $ paid, 50 $ expected, 100 $ of risk; and with 10 $ of risk, far off the axis.
    svg, words = drawn(day_picture([record(), record(plan=plan_of(variance=100.0))]))

    assert words.startswith("1 of 2 orders cost what was planned within two standard deviations")
    assert "ACME buy 1,000 (twap) +1.5; ACME buy 1,000 (twap) +15.0" in words
    assert [each.findtext("title") for each in svg.iter("polygon")] == [
        "+1.50 standard deviations",
        "+15.00 standard deviations",
    ]


def test_a_day_of_orders_without_risk_has_no_picture() -> None:
    assert day_picture([record(plan=plan_of(variance=0.0))]) is None
    assert day_picture([]) is None


# Axes


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6), st.integers(2, 8))
def test_ticks_are_few_even_and_within(low: float, width: float, most: int) -> None:
    found = ticks(low, low + width, most)

    assert len(found) <= most
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in found)


def test_ticks_are_round() -> None:
    assert ticks(0, 106, 3) == [0, 50, 100]
    assert ticks(189.6, 194.2, 5) == [190, 191, 192, 193, 194]
    assert with_digits(ticks(2.48, 2.71, 5)) == ["2.50", "2.55", "2.60", "2.65", "2.70"]


def test_times_are_the_exchanges() -> None:
    start = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    found = time_ticks(start, start + timedelta(hours=6.5), NEW_YORK)

    assert [label for _, label in found] == [f"{hour}:00" for hour in range(10, 17)]
    assert found[0][0] == start + timedelta(minutes=30)


def test_counts_are_short() -> None:
    assert [short(value) for value in (0, 950, 1_000, 12_500, 3e6)] == ["0", "950", "1k", "12.5k", "3M"]


@given(st.lists(st.floats(0, 200), max_size=8))
def test_names_do_not_cover_each_other(wanted: list[float]) -> None:
    found = apart(wanted, 15, 0, 200)
    places = sorted(found)

    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(places))
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in places)
    assert sorted(range(len(wanted)), key=lambda i: (found[i], i)) == sorted(
        range(len(wanted)), key=lambda i: (wanted[i], i)
    )
