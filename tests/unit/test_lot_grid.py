"""The best whole lots, against every composition of the order looked at one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import pytest

from trading.execution.optimum.lot_grid import best_of_all, rounded, solve_on_lots, walk


def compositions(order: int, caps: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all ways to trade `order` lots, those that trade early first."""
    return (sizes for sizes in product(*(range(cap, -1, -1) for cap in caps)) if sum(sizes) == order)


def cost(sizes: Sequence[int], risk: Fraction, fee: Fraction) -> Fraction:
    """Return sum n^2 + risk sum x^2 + fee per slice, exactly."""
    left, total = sum(sizes), Fraction(0)
    for size in sizes:
        left -= size
        total += size * size + risk * left * left + (fee if size else 0)
    return total


def best_by_enumeration(
    order: int,
    caps: Sequence[int],
    risk: Fraction = Fraction(0),
    fee: Fraction = Fraction(0),
    min_lots: int = 0,
    max_children: int | None = None,
) -> list[int] | None:
    legal: list[tuple[int, ...]] = [
        sizes
        for sizes in compositions(order, caps)
        if all(size == 0 or size >= min_lots for size in sizes)
        and (max_children is None or sum(size > 0 for size in sizes) <= max_children)
    ]
    costs = [cost(sizes, risk, fee) for sizes in legal]
    return list(legal[costs.index(min(costs))]) if legal else None


def solved(
    order: int,
    caps: Sequence[int],
    risk: Fraction = Fraction(0),
    fee: Fraction = Fraction(0),
    min_lots: int = 0,
    max_children: int | None = None,
) -> list[int] | None:
    return solve_on_lots(
        order,
        caps,
        eta_tilde=1.0,
        risk=float(risk),
        tau=1.0,
        lot_size=1,
        min_lots=min_lots,
        max_children=max_children,
        ticket_fee=float(fee),
    )


RISKS = [Fraction(0), Fraction(1, 8), Fraction(1), Fraction(20)]
CAPS = [(3, 3, 3, 3), (1, 5, 0, 4), (6, 2, 2, 6), (0, 0, 7, 2), (2, 3, 4, 5)]


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("order", [1, 5, 7])
def test_lots_under_caps_are_those_of_enumeration(order: int, caps: tuple[int, ...], risk: Fraction) -> None:
    assert solved(order, caps, risk) == best_by_enumeration(order, caps, risk)


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("min_lots", [1, 2, 3])
@pytest.mark.parametrize("max_children", [None, 1, 2])
@pytest.mark.parametrize("fee", [Fraction(0), Fraction(5, 2)])
def test_lots_with_a_least_slice_a_limit_or_a_fee_are_those_of_enumeration(
    caps: tuple[int, ...], risk: Fraction, min_lots: int, max_children: int | None, fee: Fraction
) -> None:
    assert solved(7, caps, risk, fee, min_lots, max_children) == best_by_enumeration(
        7, caps, risk, fee, min_lots, max_children
    )


@pytest.mark.parametrize("risk", [0.0, 1e-4, 0.05, 3.0])
def test_going_downhill_and_visiting_every_state_agree(risk: float) -> None:
    """Two methods of the same module that share no step: 120 lots, 25 uneven intervals."""
    caps = [3 + (7 * k) % 11 for k in range(25)]

    downhill = best_of_all(120, caps, eta_tilde=1.0, risk=risk, tau=1.0)

    assert downhill == walk(120, caps, risk_weight=risk, fee_weight=0.0, min_lots=1, max_children=None)


def test_ties_go_to_the_schedule_that_trades_earliest() -> None:
    # 4 slices of 5 in 10 intervals: C(10, 4) = 210 lists of equal cost without risk.
    assert solved(20, [5] * 10, min_lots=5) == [5, 5, 5, 5, 0, 0, 0, 0, 0, 0]


def test_an_odd_lot_goes_to_the_first_intervals() -> None:
    assert solved(10, [9] * 4) == [3, 3, 2, 2]


def test_a_slice_that_is_once_off_stays_off_under_equal_caps() -> None:
    sizes = solved(23, [6] * 9, Fraction(1, 50), Fraction(12))

    assert sizes is not None
    assert sizes.index(0) == sum(1 for size in sizes if size > 0)


def test_a_slice_may_come_back_under_unequal_caps() -> None:
    # 2 children, the wide intervals are 1 and 4: 12 = 6 + 6, and nothing else fits.
    assert solved(12, [6, 2, 2, 6], max_children=2) == [6, 0, 0, 6]


def test_a_high_fee_gathers_the_order_into_fewer_slices() -> None:
    # n slices of 12 / n cost 144 / n + 30 n: 174, 132, 138, 156, so two slices.
    assert solved(12, [12] * 4, fee=Fraction(30)) == [6, 6, 0, 0]


def test_more_lots_than_the_caps_hold_have_no_schedule() -> None:
    assert solved(10, [3, 3, 3]) is None
    assert solved(10, [3, 3, 3], fee=Fraction(1)) is None


def test_a_gap_has_no_schedule() -> None:
    # 15 lots in slices of 10 to 12: one is too small, two are too much.
    assert solved(15, [12] * 5, min_lots=10) is None


def test_a_million_lots_take_no_longer_than_a_hundred() -> None:
    # Lots of one share: the number of lots does not enter. All states would be 78 million.
    sizes = solved(1_000_000, [20_000] * 78)

    # 1,000,000 = 78 * 12820 + 40
    assert sizes == [12_821] * 40 + [12_820] * 38


def test_the_units_of_time_and_lots_enter_the_weights() -> None:
    """eta~/tau = 2e-4 $ and risk tau = 5e-5 $ per share squared: ratio 1/4; a fee of 8 $ is 4 in these units.

    With lots of 100 shares a lot squared costs 2 $, so a fee of 8 $ weighs 4.
    """
    sizes = solve_on_lots(
        9, [9] * 5, eta_tilde=2e-5, risk=5e-4, tau=0.1, lot_size=100, ticket_fee=8.0, max_children=4
    )

    assert sizes == best_by_enumeration(9, [9] * 5, Fraction(1, 4), Fraction(4), 0, 4)


def test_rounding_conserves_the_total_between_limits() -> None:
    assert rounded([2.6, 2.6, 2.6, 0.2], 8, [0, 0, 3, 0], [9, 9, 9, 9]) == [3, 2, 3, 0]
    assert rounded([5.0, 5.0], 7, [0, 4], [5, 5]) == [3, 4]
