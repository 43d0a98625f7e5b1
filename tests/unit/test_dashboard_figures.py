"""Numbers in words: from Decimals with all their digits, the same on every page."""

from __future__ import annotations

from decimal import Decimal

import pytest

from observability.dashboard import figures
from observability.dashboard.paging import Paging


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234.5", "1,234.50 $"),
        ("-0.004", "0.00 $"),
        # A float would have made ...112.00 of it.
        ("9007199254740993.11", "9,007,199,254,740,993.11 $"),
    ],
)
def test_money_is_shown_with_cents_from_all_of_its_digits(amount: str, shown: str) -> None:
    assert figures.money(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"), [("12.5", "+12.50 $"), ("-12.5", "-12.50 $"), ("0", "0.00 $"), ("-0.001", "0.00 $")]
)
def test_a_gain_has_its_sign_and_nothing_has_none(amount: str, shown: str) -> None:
    assert figures.gain(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("100", "100.00"),
        ("0.1234", "0.1234"),
        ("100.123456", "100.123456"),
        ("5.10", "5.10"),
        ("12345.5", "12,345.50"),
    ],
)
def test_a_price_keeps_its_own_digits(amount: str, shown: str) -> None:
    assert figures.price(Decimal(amount)) == shown


def test_what_is_not_known_is_a_dash_and_what_has_no_bound_is_said() -> None:
    nothing = (figures.money, figures.gain, figures.price, figures.shares, figures.percent, figures.size)

    assert {show(None) for show in nothing} == {"-"}
    assert figures.percent(Decimal("Infinity")) == "more than all"


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 bytes"), (999, "999 bytes"), (4096, "4.1 kB"), (12_500_000, "12.5 MB")]
)
def test_sizes_are_told_in_units_of_ten_to_the_third(count: int, shown: str) -> None:
    assert figures.size(count) == shown


def test_a_long_list_is_told_page_by_page() -> None:
    """120 rows of 50: 1 to 50, 51 to 100, 101 to 120."""
    pages = [Paging.of({"page": str(number)}, 120, 50, "/rows", kind="risk") for number in (1, 2, 3)]

    assert [(each.offset, each.first, each.last) for each in pages] == [
        (0, 1, 50),
        (50, 51, 100),
        (100, 101, 120),
    ]
    assert [each.newer for each in pages] == [None, "/rows?kind=risk&page=1", "/rows?kind=risk&page=2"]
    assert [each.older for each in pages] == ["/rows?kind=risk&page=2", "/rows?kind=risk&page=3", None]


def test_an_empty_list_has_one_page() -> None:
    empty = Paging.of({}, 0, 50, "/rows")

    assert (empty.first, empty.last, empty.newer, empty.older) == (0, 0, None, None)


@pytest.mark.parametrize("wanted", ["0", "-1", "4", "x", "", "1.5", "٢", "99999999999999999999"])
def test_a_page_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(LookupError, match="expected 1 to 3"):
        Paging.of({"page": wanted}, 120, 50, "/rows")
