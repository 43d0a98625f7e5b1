"""The Trading page's values: how near a limit is, how old a price, what was planned against what was done."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from observability.dashboard.pages import orders, trading
from orchestration.types import Session
from tests.trading_floor import DAY, MINUTE, OPEN, order_of
from trading.execution.measures import Window, measure
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ChildState, Fill, ParentState, Side
from trading.execution.smart.plan import Choice, ExecutionPlan, PlannedSlice
from trading.portfolio.limits import Action, Kind, Standing
from trading.portfolio.pnl import SessionPnl

SESSION = Session(exchange="XNYS", day=DAY, open=OPEN, close=OPEN + timedelta(hours=6, minutes=30))


def standing(value: str, bound: str | None = "3", action: Action = Action.HALT) -> Standing:
    return Standing(
        kind=Kind.DAILY_LOSS,
        value_pct=Decimal(value),
        bound_pct=None if bound is None else Decimal(bound),
        action=action,
        episode="2026-11-20",
    )


@pytest.mark.parametrize(
    ("value", "level", "words"),
    [
        ("0", "ok", "3.00 % left of 3 % of equity"),
        ("2.39", "ok", "0.61 % left of 3 % of equity"),
        # 80 % of the limit is where it is near.
        ("2.40", "warn", "0.60 % left of 3 % of equity"),
        # Exactly at a limit is within it (docs/portfolio.md).
        ("3", "warn", "0.00 % left of 3 % of equity"),
        ("3.5", "fail", "by 0.50 %; the limit is 3 % of equity"),
        ("Infinity", "fail", "the limit is 3 % of equity"),
    ],
)
def test_a_limit_says_how_far_it_is_in_words_as_well_as_in_a_bar(value: str, level: str, words: str) -> None:
    meter = trading.meter_of(standing(value))

    assert (meter.level, meter.words) == (level, words)
    assert meter.most == 3.0
    assert meter.bar == min(float(value), 3.0)


def test_a_limit_that_is_switched_off_has_no_bar_and_says_so() -> None:
    meter = trading.meter_of(standing("2", None))

    assert (meter.level, meter.state, meter.bar, meter.most) == ("info", "no limit", None, None)


def test_a_price_grows_old_while_the_market_is_open_only() -> None:
    at, close = OPEN + timedelta(hours=6), SESSION.close

    assert trading.age_of(at, SESSION, OPEN + timedelta(hours=6, minutes=10)) == 10 * MINUTE
    assert trading.age_of(at, SESSION, close + timedelta(hours=12)) == 30 * MINUTE
    assert trading.age_of(close + MINUTE, SESSION, close + timedelta(hours=12)) == timedelta(0)


def test_profit_over_time_is_drawn_and_told() -> None:
    earned = [Decimal("10.10"), Decimal("-4.05")]
    sessions = [
        SessionPnl(
            session=DAY + timedelta(days=number),
            closed_at=SESSION.close,
            capital=Decimal(100),
            realised=amount,
            unrealised=Decimal(0),
            fees=Decimal(0),
            profit=sum(earned[: number + 1], Decimal(0)),
        )
        for number, amount in enumerate(earned)
    ]

    line, bars = trading.charts(sessions)

    assert line["chart"]["series"][0]["values"] == [10.1, 6.05]
    assert bars["chart"]["series"][0]["values"] == [10.1, -4.05]
    assert "the best +10 $ on 2026-11-20, the worst -4 $ on 2026-11-21" in bars["words"]
    assert trading.charts(sessions[:1]) == []


def test_every_state_of_an_order_has_a_level_and_words() -> None:
    assert set(orders.STATES) == set(ParentState)
    assert set(orders.CHILD_STATES) == set(ChildState)


# --- planned against done ---------------------------------------------------------------------------------


def plan(number: int, *slices: tuple[int, int, int], filled: int = 0) -> ExecutionPlan:
    """slices: minutes from the open, and shares."""
    return ExecutionPlan(
        parent_id="20261120-ACME-0001",
        number=number,
        made_at=OPEN,
        cause="first plan",
        algorithm="twap",
        inner="twap",
        choice=Choice(algorithm="twap", rule="asked for"),
        quantity=sum(shares for _, _, shares in slices),
        slices=tuple(
            PlannedSlice(
                start=OPEN + start * MINUTE, end=OPEN + end * MINUTE, quantity=shares, expected_volume=1e4
            )
            for start, end, shares in slices
        ),
        expected_cost=1.0,
        variance=1.0,
        expected_cost_bps=1.0,
        price=100.0,
        profile="assumed",
        already_filled=filled,
    )


def record(plans: tuple[ExecutionPlan, ...], *fills: tuple[float, int]) -> OrderRecord:
    """fills: minutes from the open, and shares."""
    order = order_of(600)
    done = tuple(
        Fill(
            execution_id=f"x{number}",
            client_order_id="20261120-ACME-0001-0001",
            symbol="ACME",
            side=Side.BUY,
            quantity=shares,
            price=Decimal(100),
            at=OPEN + minute * MINUTE,
        )
        for number, (minute, shares) in enumerate(fills)
    )
    window = Window()
    measures = measure(order, plans, done, window)
    return OrderRecord(order=order, plans=plans, children=(), fills=done, window=window, measures=measures)


def lines(found: OrderRecord) -> dict[str, dict[float, float | None]]:
    """The drawn lines by name: shares by minutes from the open."""
    drawn = orders.profile(found, "UTC")
    assert drawn is not None
    minutes = [round((at - OPEN.timestamp()) / 60, 4) for at in drawn["chart"]["x"]]
    return {
        each["label"]: dict(zip(minutes, each["values"], strict=True)) for each in drawn["chart"]["series"]
    }


def test_a_plan_is_a_line_and_what_was_done_are_steps() -> None:
    """300 shares in each of two slices of ten minutes: 150 by minute 5, whatever was done by then."""
    found = lines(record((plan(1, (0, 10, 300), (10, 20, 300)),), (5, 100), (12, 200)))

    assert {minute: found["planned"][minute] for minute in (0, 5, 10, 12, 20)} == {
        0: 0, 5: 150.0, 10: 300, 12: 360.0, 20: 600,
    }  # fmt: skip
    assert {minute: found["done"][minute] for minute in (0, 5, 10, 12, 20)} == {
        0: None, 5: 100, 10: 100.0, 12: 300, 20: None,
    }  # fmt: skip


def test_a_new_plan_goes_on_from_what_was_filled() -> None:
    found = lines(record((plan(1, (0, 20, 600)), plan(2, (10, 20, 500), filled=100)), (5, 100)))

    newest = found["plan 2, the newest"]
    assert (newest[0], newest[10], newest[20]) == (None, 100, 600)


def test_ten_thousand_fills_are_drawn_with_hundreds_of_points_and_end_where_they_ended() -> None:
    fills = [(minute / 1000, 1) for minute in range(10_000)]

    drawn = orders.profile(record((plan(1, (0, 10, 600)),), *fills), "UTC")

    assert drawn is not None
    assert len(drawn["chart"]["x"]) <= 2 * orders.DRAWN + 4
    assert max(value for value in drawn["chart"]["series"][-1]["values"] if value is not None) == 10_000


def test_fills_of_one_instant_are_one_step() -> None:
    found = lines(record((plan(1, (0, 10, 600)),), (5, 100), (5, 200), (5, 50)))

    assert found["done"][5] == 350


def test_it_is_said_when_half_of_an_order_was_planned_and_was_done() -> None:
    """300 of 600 shares are planned by the end of the first slice; done by the second fill."""
    drawn = orders.profile(record((plan(1, (0, 10, 300), (10, 20, 300)),), (5, 100), (12, 200)), "UTC")

    assert drawn is not None
    assert drawn["half"] == (OPEN + 10 * MINUTE, OPEN + 12 * MINUTE)


def test_an_order_without_a_plan_has_nothing_to_compare_with() -> None:
    assert orders.profile(record(()), "UTC") is None
    assert orders.steps(record(())) == []


def test_each_slice_counts_the_fills_within_it() -> None:
    """A fill at the very end of a slice is the next one's."""
    found = record((plan(1, (0, 10, 300), (10, 20, 300)),), (5, 100), (10, 200))

    assert [(step.planned.quantity, step.done) for step in orders.steps(found)] == [(300, 100), (300, 200)]
