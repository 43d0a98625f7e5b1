"""Each quality check, against hand-made bars with one known defect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from tests.bar_frames import SESSIONS, bars, steady
from trading.marketdata.adjustments import nearest_ratio
from trading.marketdata.findings import MAX_PER_CHECK, Finding, Severity, refusals
from trading.marketdata.quality import check_bars


def found(frame: pd.DataFrame, sessions: pd.DatetimeIndex = SESSIONS[:100]) -> list[Finding]:
    return check_bars("ABC", frame, sessions)


def only(frame: pd.DataFrame, sessions: pd.DatetimeIndex = SESSIONS[:100]) -> Finding:
    (finding,) = found(frame, sessions)
    return finding


def test_bars_without_a_defect_have_no_findings() -> None:
    assert found(steady()) == []


def test_no_bars_or_no_sessions_cannot_be_checked() -> None:
    with pytest.raises(ValueError, match="no bars"):
        check_bars("ABC", steady(0), SESSIONS)
    with pytest.raises(ValueError, match="no sessions"):
        check_bars("ABC", steady(), SESSIONS[:0])


def test_missing_sessions_in_a_row_are_one_gap() -> None:
    frame = steady().drop(SESSIONS[[10, 11, 12]])

    finding = only(frame)

    # 2024-01-01 is a Monday: the eleventh session is Monday the 15th.
    assert (finding.check, finding.day, finding.value) == ("gap", date(2024, 1, 15), 3.0)
    assert "2024-01-17" in finding.text
    assert finding.severity is Severity.WARN


def test_two_holes_are_two_gaps() -> None:
    gaps = found(steady().drop(SESSIONS[[10, 20]]))

    assert [(g.check, g.value) for g in gaps] == [("gap", 1.0), ("gap", 1.0)]


def test_a_bar_on_a_closed_day_is_told() -> None:
    saturday = steady(1).set_axis(pd.DatetimeIndex(["2024-01-06"], name="date"))

    finding = only(pd.concat([steady(5), saturday, steady(95, start=5)]))

    assert (finding.check, finding.day) == ("not_a_session", date(2024, 1, 6))
    assert "was closed" in finding.text


def test_a_bar_after_the_last_closed_session_is_told() -> None:
    finding = only(steady(), SESSIONS[:99])

    assert finding.check == "not_a_session"
    assert "had closed" in finding.text


def test_a_date_twice_is_refused() -> None:
    finding = only(pd.concat([steady(50), steady(51, start=49)]))

    assert (finding.check, finding.day, finding.value) == ("duplicate", SESSIONS[49].date(), 2.0)
    assert finding.severity is Severity.REFUSE


def test_dates_that_fall_are_refused() -> None:
    finding = only(steady().iloc[[0, 2, 1, *range(3, 100)]])

    assert (finding.check, finding.day) == ("order", SESSIONS[1].date())
    assert finding.severity is Severity.REFUSE


def test_a_missing_number_is_refused_by_its_name() -> None:
    frame = steady()
    frame.loc[SESSIONS[7], "high"] = np.nan

    finding = only(frame)

    assert (finding.check, finding.day, finding.severity) == (
        "missing_value",
        SESSIONS[7].date(),
        Severity.REFUSE,
    )
    assert finding.text == "has no high"


@pytest.mark.parametrize(("column", "value"), [("low", 0.0), ("adj_close", -1.0), ("volume", -5.0)])
def test_a_price_or_volume_below_its_least_is_refused(column: str, value: float) -> None:
    frame = steady()
    frame.loc[SESSIONS[7], column] = value

    finding = next(f for f in found(frame) if f.check == "not_positive")

    assert (finding.day, finding.value, finding.severity) == (SESSIONS[7].date(), value, Severity.REFUSE)


@pytest.mark.parametrize(
    ("column", "value", "severity", "expected"),
    [
        ("high", 90.0, Severity.REFUSE, 100.5 * 0.99),  # below the low
        ("high", 100.0, Severity.WARN, 100.5),  # below the close
        ("low", 101.0, Severity.WARN, 100.5),  # above the open
    ],
)
def test_an_impossible_bar_is_refused_and_a_rounded_one_warned_of(
    column: str, value: float, severity: Severity, expected: float
) -> None:
    frame = steady()
    frame.loc[SESSIONS[7], column] = value

    finding = only(frame)

    assert (finding.check, finding.day, finding.severity) == ("high_low", SESSIONS[7].date(), severity)
    assert finding.value == value
    assert finding.expected == pytest.approx(expected)


def test_a_day_without_volume_is_told() -> None:
    frame = steady()
    frame.loc[SESSIONS[7], "volume"] = 0.0

    assert (only(frame).check, only(frame).day) == ("zero_volume", SESSIONS[7].date())


def test_old_bars_are_stale_by_the_sessions_since() -> None:
    finding = only(steady(97))

    assert (finding.check, finding.day, finding.value) == ("stale", SESSIONS[96].date(), 3.0)
    assert finding.severity is Severity.WARN


def test_bars_of_a_source_that_has_ended_are_not_stale() -> None:
    (finding,) = check_bars("ABC", steady(97), SESSIONS[:100], ends_on=SESSIONS[96].date())

    assert (finding.check, finding.severity) == ("ended", Severity.INFO)


def test_a_close_that_jumps_and_comes_back_is_a_bad_tick() -> None:
    closes = list(steady()["close"])
    closes[60] *= 1.3

    finding = only(bars(SESSIONS[:100], closes))

    assert (finding.check, finding.day) == ("bad_tick", SESSIONS[60].date())
    # From 100.5 (odd sessions) down to 100 (even ones), times 1.3.
    assert finding.value == pytest.approx(np.log(1.3 / 1.005), abs=1e-5)


def test_a_jump_that_stays_is_news_and_no_bad_tick() -> None:
    closes = [close * (1.3 if n >= 60 else 1.0) for n, close in enumerate(steady()["close"])]

    assert found(bars(SESSIONS[:100], closes)) == []


def test_a_small_spike_in_a_quiet_stock_is_no_bad_tick() -> None:
    closes = list(steady()["close"])
    closes[60] *= 1.08

    assert found(bars(SESSIONS[:100], closes)) == []


@pytest.mark.parametrize(("column", "factor"), [("open", 1.25), ("open", 0.8), ("high", 1.6), ("low", 0.5)])
def test_a_price_that_is_gone_by_the_close_is_a_bad_tick_of_its_column(column: str, factor: float) -> None:
    frame = steady()
    frame.loc[SESSIONS[60], column] = 100.0 * factor
    frame["high"] = frame[["open", "high"]].max(axis=1)
    frame["low"] = frame[["open", "low"]].min(axis=1)

    (finding,) = [f for f in found(frame) if f.check == f"bad_{column}"]

    assert (finding.day, finding.severity) == (SESSIONS[60].date(), Severity.WARN)
    # From 100.5 (odd sessions) to 100 times the factor.
    assert finding.value == pytest.approx(np.log(factor / 1.005), abs=1e-5)


def test_a_day_that_opens_low_and_stays_there_has_no_bad_tick() -> None:
    closes = [close * (0.7 if n >= 60 else 1.0) for n, close in enumerate(steady()["close"])]

    assert found(bars(SESSIONS[:100], closes)) == []


def test_a_wide_day_of_a_wild_stock_is_no_bad_tick() -> None:
    # 5 % up and down day by day: ten deviations are beyond 50 %.
    frame = bars(SESSIONS[:100], [100.0 * (1.05 if n % 2 else 1.0) for n in range(100)])
    frame.loc[SESSIONS[60], "low"] = 65.0

    assert found(frame) == []


def with_split(ratio: float, *, booked: float | None = None, adjusted: bool = True) -> pd.DataFrame:
    """Steady bars whose raw prices fall by `ratio` at session 60; adj_close follows unless `adjusted`."""
    before = steady()
    frame = bars(SESSIONS[:100], [c / (ratio if n >= 60 else 1.0) for n, c in enumerate(before["close"])])
    if adjusted:
        frame["adj_close"] = before["close"] / ratio
    if booked is not None:
        frame["split"] = 1.0
        frame["dividend"] = 0.0
        frame.loc[SESSIONS[60], "split"] = booked
    return frame


@pytest.mark.parametrize(("ratio", "text"), [(2.0, "2:1"), (1.5, "3:2"), (7.0, "7:1"), (0.1, "1:10")])
def test_a_raw_jump_that_adj_close_does_not_make_is_a_suspected_split(ratio: float, text: str) -> None:
    finding = only(with_split(ratio))

    assert (finding.check, finding.day) == ("split_suspected", SESSIONS[60].date())
    assert finding.expected == pytest.approx(ratio)
    assert f"{text} split" in finding.text
    assert finding.severity is Severity.INFO


def test_a_split_that_the_split_column_names_is_no_finding() -> None:
    assert found(with_split(2.0, booked=2.0)) == []


def test_a_split_that_the_split_column_leaves_out_is_warned_of() -> None:
    findings = found(with_split(2.0, booked=1.0))

    by_check = {f.check: f for f in findings}
    assert by_check["split_suspected"].severity is Severity.WARN
    # adj_close falls by 0.5 % (100.5 to 100), close and split say half of that price: 50 / 100.5 - 1.
    assert by_check["adjusted_close"].value == pytest.approx(100 / 100.5 - 1, abs=1e-6)
    assert by_check["adjusted_close"].expected == pytest.approx(50 / 100.5 - 1, abs=1e-6)


def test_a_jump_off_any_ratio_is_no_split() -> None:
    assert found(with_split(1.8)) == []


def test_a_split_left_out_of_adj_close_is_warned_of() -> None:
    finding = only(with_split(2.0, adjusted=False))

    assert (finding.check, finding.day, finding.expected) == ("split_unadjusted", SESSIONS[60].date(), 2.0)


def test_a_crash_off_any_ratio_is_no_missing_adjustment() -> None:
    assert found(with_split(1.8, adjusted=False)) == []


def test_an_odd_split_is_a_spin_off_in_disguise() -> None:
    assert [(f.check, f.value) for f in found(with_split(1.06, booked=1.06))] == [("odd_split", 1.06)]


def test_a_dividend_of_half_the_price_is_told() -> None:
    frame = with_split(1.0, booked=1.0)
    frame.loc[SESSIONS[60], "dividend"] = 50.0

    by_check = {f.check: f for f in found(frame)}

    assert by_check["large_dividend"].value == 50.0
    assert by_check["large_dividend"].expected == 100.5


def test_many_findings_of_one_check_are_counted_not_listed() -> None:
    frame = steady()
    frame["volume"] = 0.0

    findings = found(frame)

    assert len(findings) == MAX_PER_CHECK + 1
    assert findings[-1].value == 100 - MAX_PER_CHECK


def test_only_defects_that_forbid_use_refuse() -> None:
    frame = steady().drop(SESSIONS[10])
    frame.loc[SESSIONS[20], "close"] = np.nan

    assert [f.check for f in refusals(found(frame))] == ["missing_value"]


@pytest.mark.parametrize(("factor", "ratio"), [(1.99, 2.0), (0.1, 0.1), (1.0, None), (1.054, None)])
def test_a_ratio_is_named_only_within_two_percent(factor: float, ratio: float | None) -> None:
    near = nearest_ratio(factor)

    assert (near is None) == (ratio is None)
    assert near is None or float(near) == pytest.approx(ratio)


def test_a_finding_survives_its_json() -> None:
    finding = only(steady(97))

    assert Finding.from_json(finding.as_json()) == finding


@pytest.mark.parametrize("mutate", [lambda f: f.iloc[:1], lambda f: f.iloc[:2]])
def test_very_short_series_are_checked_too(mutate: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = mutate(steady())

    assert found(frame, SESSIONS[: len(frame)]) == []
