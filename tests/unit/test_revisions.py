"""What a source has changed in stored bars: counted by kind, its size and place named."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.bar_frames import SESSIONS, steady
from trading.marketdata.findings import MAX_PER_CHECK, Severity
from trading.marketdata.revisions import Difference, check_revisions, check_whole_history, compare, is_same


def with_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(dividend=0.0, split=1.0)


def test_changes_are_counted_by_kind_and_the_largest_is_named() -> None:
    old = with_columns(steady(60)).drop(SESSIONS[[7, 8]])
    new = with_columns(steady(63))
    new.loc[SESSIONS[20], "volume"] = 2000.0
    new.loc[SESSIONS[30], "open"] = 104.0  # from 100: 4 %, the largest
    new.loc[SESSIONS[10:15], "adj_close"] *= 0.98
    new.loc[SESSIONS[40], "dividend"] = 0.25

    found = compare(old, new)

    assert (found.added, found.filled) == (3, 2)
    assert (found.revised, found.readjusted, found.rebooked, found.changed) == (2, 5, 1, 8)
    assert found.first == SESSIONS[10].date()
    assert found.largest == pytest.approx(0.04)
    assert (found.largest_at, found.largest_in) == (SESSIONS[30].date(), "open")


def test_equal_bars_do_not_differ() -> None:
    assert compare(steady(), steady()) == Difference()
    assert is_same(steady(), steady())


def test_a_stored_value_that_is_no_number_is_revised() -> None:
    old = steady()
    old.loc[SESSIONS[3], "close"] = float("nan")

    assert compare(old, steady()).revised == 1
    assert not is_same(old, steady())


def test_a_dividend_since_scales_every_adjusted_close_by_one_factor() -> None:
    # 1.00 paid on a close of 80.00: the factor is 1 - 1/80 = 0.9875 (CRSP's and every vendor's rule).
    old, new = steady(50, price=80.0), steady(50, price=80.0)
    new["adj_close"] *= 0.9875

    (finding,) = check_revisions("ABC", old, new)

    assert (finding.check, finding.severity, finding.value) == ("readjusted", Severity.INFO, 50.0)
    assert "by the factor 0.9875" in finding.text


def test_adjusted_closes_rounded_to_the_cent_still_have_one_factor() -> None:
    # 0.40 and 0.402 in turn, times 0.9875, to the cent: 0.40 for all, off by up to 1.3 % of the price.
    old, new = steady(50, price=0.4), steady(50, price=0.4)
    new["adj_close"] = (old["adj_close"] * 0.9).round(2)

    (finding,) = check_revisions("ABC", old, new)

    assert finding.severity is Severity.INFO


def test_adjusted_closes_that_change_unevenly_are_a_warning() -> None:
    old, new = steady(50), steady(50)
    new.loc[SESSIONS[:25], "adj_close"] *= 0.5
    new.loc[SESSIONS[25:50], "adj_close"] *= 0.99

    (finding,) = check_revisions("ABC", old, new)

    assert finding.severity is Severity.WARN
    assert "from 0.5 to 0.99" in finding.text


def test_many_revisions_do_not_hide_a_new_adjustment() -> None:
    old, new = steady(60), steady(60)
    new.loc[SESSIONS[:40], "volume"] = 5.0
    new["adj_close"] *= 0.99

    findings = check_revisions("ABC", old, new)

    assert [f.check for f in findings] == ["revision"] * (MAX_PER_CHECK + 1) + ["readjusted"]


def test_a_compared_history_is_one_finding_with_its_size_and_first_date() -> None:
    new = steady()
    new.loc[SESSIONS[40], "close"] = 101.0  # from 100: 1 %
    new.loc[SESSIONS[:10], "adj_close"] *= 0.999

    (finding,) = check_whole_history("ABC", compare(steady(), new), marked=True)

    assert (finding.day, finding.value, finding.severity) == (SESSIONS[0].date(), 11.0, Severity.WARN)
    assert "1 raw, 10 adj_close only" in finding.text
    assert "at most 1 % (close of 2024-02-26)" in finding.text


def test_a_change_that_the_source_did_not_mark_is_a_warning_that_says_so() -> None:
    new = steady().assign(adj_close=steady()["adj_close"] * 0.99)

    (finding,) = check_whole_history("ABC", compare(steady(), new), marked=False)

    assert finding.severity is Severity.WARN
    assert "mark had not changed" in finding.text


def test_new_bars_alone_are_no_change_of_history() -> None:
    assert check_whole_history("ABC", compare(steady(90), steady(100)), marked=True) == []
