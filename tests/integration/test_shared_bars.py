"""Real daily bars of 21 years against the facts that their README states. Skipped where they are absent."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from trading.marketdata.findings import Finding
from trading.marketdata.quality import check_bars
from trading.marketdata.sessions import closed_sessions
from trading.marketdata.sources import open_source

SHARED = Path(
    os.environ.get("ORCHESTRATOR_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)

pytestmark = pytest.mark.skipif(
    not (SHARED / "daily").is_dir(), reason="the shared price data is not here (ORCHESTRATOR_SHARED_DATA)"
)


@pytest.fixture(scope="module")
def sessions() -> pd.DatetimeIndex:
    return closed_sessions(date(1999, 11, 1), datetime(2021, 4, 21, 22, tzinfo=UTC))


def found(symbol: str, sessions: pd.DatetimeIndex, folder: str = "daily") -> list[Finding]:
    return check_bars(symbol, open_source(f"csv:{SHARED / folder}").fetch(symbol).frame, sessions)


@pytest.mark.parametrize("symbol", ["BAC", "CAT", "CSCO", "IBM", "NVDA", "UPS"])
def test_clean_files_have_no_findings_through_crashes_and_splits(
    symbol: str, sessions: pd.DatetimeIndex
) -> None:
    """0 gaps, duplicates, NaN, OHLC violations; splits (3:2, 4:1 among them) are booked. 2000-2002, 2008 and
    2020 are no bad ticks."""
    assert found(symbol, sessions) == []


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        # Trades that no other price of the day knows: 25.00 and 29.20 in a stock at 49, 44.75 in one at 24.
        ("C", [("bad_low", date(2002, 1, 16)), ("bad_low", date(2005, 2, 4))]),
        ("T", [("bad_high", date(2003, 5, 15))]),
        # The crashes of minutes: 199.25 (7:1 to come) on 2010-05-06, 50.07 on 2015-08-24. Both were traded.
        ("AAPL", [("bad_low", date(2010, 5, 6))]),
        ("JPM", [("bad_low", date(2015, 8, 24))]),
    ],
)
def test_highs_and_lows_that_no_other_price_knows_are_found(
    symbol: str, expected: list[tuple[str, date]], sessions: pd.DatetimeIndex
) -> None:
    assert [(f.check, f.day) for f in found(symbol, sessions)] == expected


def test_the_class_c_shares_of_google_look_like_the_split_they_were(sessions: pd.DatetimeIndex) -> None:
    findings = {f.check: f for f in found("GOOGL", sessions)}

    assert set(findings) == {"split_suspected", "large_dividend"}
    assert {f.day for f in findings.values()} == {date(2014, 4, 3)}
    assert findings["large_dividend"].value == pytest.approx(567.97, abs=0.01)


def test_spin_offs_booked_as_split_or_cash_are_found(sessions: pd.DatetimeIndex) -> None:
    pfizer, abbott = found("PFE", sessions), found("ABT", sessions)

    assert [(f.check, f.day, f.value) for f in pfizer if f.check != "bad_low"] == [
        ("odd_split", date(2020, 11, 17), 1.054)
    ]
    assert {(f.check, f.day) for f in abbott} == {
        ("odd_split", date(2004, 5, 3)),
        ("adjusted_close", date(2004, 5, 3)),
        ("large_dividend", date(2013, 1, 2)),
    }


def test_lows_above_the_body_are_found_in_the_fund(sessions: pd.DatetimeIndex) -> None:
    bad = [f for f in found("SPY", sessions, "daily_etf") if f.check == "high_low"]

    assert [f.day for f in bad] == [date(2015, 3, 5), date(2015, 3, 30)]
