"""Limits: how near each is, which one is hit, and when a hit leads to a decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.valued import CAPITAL, DAY, NOON, fill, limits, mark, of, valued
from trading.portfolio.decisions import Decision, due, is_told
from trading.portfolio.limits import WITHOUT_BOUND, Action, Kind, Peak, RiskLimits, Standing, standings
from trading.portfolio.valuation import Valuation

TODAY = DAY.isoformat()


def standing_of(
    kind: Kind, valuation: Valuation, bounds: RiskLimits | None = None, peak: int = 0
) -> Standing:
    found = standings(bounds or limits(), valuation, Peak(profit=Decimal(peak), session="2026-11-02"), TODAY)
    return next(each for each in found if each.kind is kind)


def losing(amount: int) -> Valuation:
    """100,000 $ of capital, 100 shares bought at 1,000 $ that have lost so much together."""
    price = str(Decimal(100_000 - amount) / 100)
    return valued(of("", fill(100, "1000")), {"ACME": mark(price, 1)})


# --- how near ----------------------------------------------------------------------------------------------


def test_gross_exposure_is_a_share_of_equity() -> None:
    # 60,000 long and 40,000 short, equity 100,000.
    found = valued(of("", fill(600, "100"), fill(-400, "100", symbol="BETA", minute=1)))

    standing = standing_of(Kind.GROSS_EXPOSURE, found)

    assert (standing.value_pct, standing.is_breached) == (Decimal(100), False)


def test_every_symbol_has_its_share_the_largest_first() -> None:
    found = valued(of("", fill(100, "100"), fill(-300, "100", symbol="BETA", minute=1)))

    shares = [(s.subject, s.value_pct) for s in standings(limits(), found, Peak(), TODAY) if s.subject]

    assert shares == [("BETA", Decimal(30)), ("ACME", Decimal(10))]


def test_the_day_s_loss_is_measured_by_the_equity_at_the_last_close() -> None:
    # 3,100 lost today of 100,000 + 24,000.
    found = replace(losing(3_100), profit_before=Decimal(24_000))

    assert standing_of(Kind.DAILY_LOSS, found).value_pct == Decimal("2.5")


def test_a_day_s_gain_is_no_loss() -> None:
    assert standing_of(Kind.DAILY_LOSS, losing(-500)).value_pct == 0


def test_drawdown_is_measured_from_the_highest_equity() -> None:
    # Peak 100,000 + 25,000; 1,000 lost since the start: 26,000 of 125,000.
    assert standing_of(Kind.DRAWDOWN, losing(1_000), peak=25_000).value_pct == Decimal("20.8")


def test_a_new_peak_is_no_drawdown() -> None:
    assert standing_of(Kind.DRAWDOWN, losing(-500), peak=100).value_pct == 0


def test_capital_taken_out_is_neither_a_loss_nor_a_drawdown() -> None:
    found = replace(losing(0), capital=CAPITAL / 2)

    assert standing_of(Kind.DAILY_LOSS, found).value_pct == 0
    assert standing_of(Kind.DRAWDOWN, found).value_pct == 0


def test_an_account_without_equity_is_beyond_every_limit() -> None:
    found = standings(limits(), replace(losing(0), capital=Decimal(-1)), Peak(), TODAY)

    assert [s.value_pct for s in found if s.kind is Kind.GROSS_EXPOSURE] == [WITHOUT_BOUND]


@pytest.mark.parametrize(("lost", "is_breached"), [(3_000, False), (3_001, True)])
def test_exactly_at_a_limit_is_within_it(lost: int, is_breached: bool) -> None:
    assert standing_of(Kind.DAILY_LOSS, losing(lost)).is_breached is is_breached


def test_a_limit_that_is_off_is_never_breached() -> None:
    assert not standing_of(Kind.DAILY_LOSS, losing(50_000), limits(daily_loss=None)).is_breached


def test_losses_halt_and_exposure_does_what_the_limit_says() -> None:
    def actions(bounds: RiskLimits) -> dict[Kind, Action]:
        return {s.kind: s.action for s in standings(bounds, losing(0), Peak(), TODAY)}

    halt, alert = Action.HALT, Action.ALERT
    kinds = (Kind.GROSS_EXPOSURE, Kind.POSITION, Kind.DAILY_LOSS, Kind.DRAWDOWN)
    assert actions(limits()) == dict(zip(kinds, (alert, alert, halt, halt), strict=True))
    assert set(actions(replace(limits(), on_exposure=halt)).values()) == {halt}


def test_a_standing_says_value_and_limit() -> None:
    assert (
        str(standing_of(Kind.DAILY_LOSS, losing(3_100))) == "daily loss is 3.10 % of equity, the limit is 3 %"
    )
    assert str(standing_of(Kind.POSITION, losing(0))) == (
        "position in ACME is 100.00 % of equity, the limit is 25 %"
    )


@pytest.mark.parametrize("bound", ["0", "-1", "NaN", "Infinity"])
def test_a_limit_that_is_none_is_refused(bound: str) -> None:
    with pytest.raises(ValueError, match=r"max_gross_pct is .*: expected a percentage above 0, or None"):
        limits(gross=bound)


# --- decisions ---------------------------------------------------------------------------------------------


def decided(lost: int, *earlier: Decision, day: date = DAY) -> Decision | None:
    found = replace(standing_of(Kind.DAILY_LOSS, losing(lost)), episode=day.isoformat())
    return due(found, earlier, day, NOON)


def test_a_breach_is_decided_once() -> None:
    first = decided(3_100)

    assert first is not None
    assert (first.kind, first.action, first.value_pct, first.done_at) == (
        Kind.DAILY_LOSS,
        Action.HALT,
        Decimal("3.1"),
        None,
    )
    assert decided(3_100, first) is None
    assert decided(3_500, first) is None


def test_what_is_within_the_limit_is_no_decision() -> None:
    assert decided(2_999) is None


def test_a_breach_that_is_worse_by_a_quarter_of_the_limit_is_decided_again() -> None:
    # Decided at 3.1 %; a quarter of 3 % is 0.75: again from 3.85 % on.
    first = decided(3_100)

    assert first is not None
    assert decided(3_849, first) is None
    assert decided(3_850, first) is not None


def test_only_the_worst_of_the_earlier_decisions_counts() -> None:
    first, second = decided(3_100), decided(4_000)

    assert first is not None
    assert second is not None
    assert decided(4_500, second, first) is None


def test_the_next_day_begins_anew() -> None:
    first = decided(3_100)

    assert first is not None
    assert decided(3_100, first, day=date(2026, 11, 23)) is not None


def test_an_alert_is_carried_out_with_its_decision() -> None:
    found = due(standing_of(Kind.POSITION, losing(0)), (), DAY, NOON)

    assert found is not None
    assert (found.action, found.subject, found.done_at) == (Action.ALERT, "ACME", NOON)


def test_a_loss_without_bound_is_decided_once() -> None:
    found = replace(standing_of(Kind.DAILY_LOSS, losing(0)), value_pct=WITHOUT_BOUND)
    first = due(found, (), DAY, NOON)

    assert first is not None
    assert due(found, [first], DAY, NOON) is None


def test_a_loss_that_has_become_without_bound_is_decided_again() -> None:
    first = decided(3_100)

    assert first is not None
    found = replace(standing_of(Kind.DAILY_LOSS, losing(0)), value_pct=WITHOUT_BOUND)
    assert due(found, [first], DAY, NOON) is not None


def test_a_limit_that_now_halts_is_decided_although_it_was_told() -> None:
    told = due(standing_of(Kind.POSITION, losing(0)), (), DAY, NOON)
    bounds = replace(limits(), on_exposure=Action.HALT)

    assert told is not None
    assert due(standing_of(Kind.POSITION, losing(0), bounds), [told], DAY, NOON) is not None


# --- what is told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "told"),
    [(3_001, True), (2_999, True), (2_701, True), (2_700, False), (0, False)],
)
def test_a_loss_that_wavers_around_its_limit_is_told_until_it_is_a_tenth_below(lost: int, told: bool) -> None:
    """It was decided at 3.1 %: at 2.999 % an alert that clears would come again with the next minute."""
    first = decided(3_100)

    assert first is not None
    standing = replace(standing_of(Kind.DAILY_LOSS, losing(lost)), episode=TODAY)
    assert is_told(standing, [first]) is told


def test_what_came_near_its_limit_and_never_passed_it_is_not_told() -> None:
    assert not is_told(standing_of(Kind.DAILY_LOSS, losing(2_999)), [])


def test_what_a_limit_did_yesterday_is_not_told_today() -> None:
    first = decided(3_100)

    assert first is not None
    standing = replace(standing_of(Kind.DAILY_LOSS, losing(2_999)), episode="2026-11-23")
    assert not is_told(standing, [first])
