"""Market facts out of stored bars: figures by hand, nothing from the day itself, every source said."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bar_frames import SESSIONS, steady
from tests.intraday_files import SHARED
from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.facts_from_bars import market_facts
from trading.execution.profile_store import Profile, ProfileStore
from trading.execution.volume_profiles import u_shape
from trading.marketdata.bars import BarStore
from trading.marketdata.sources import open_source

LAST = SESSIONS[99].date()
NEXT = SESSIONS[100].date()


def facts(folder: Path, before: date | None = NEXT, quotes: Path | None = None) -> MarketFacts:
    return market_facts("ABC", BarStore(folder), ProfileStore(folder), before=before, quotes=quotes)


def stored(folder: Path, frame: pd.DataFrame) -> Path:
    BarStore(folder).write("ABC", frame, "x")
    return folder


def profile(as_of: date) -> Profile:
    return Profile(
        symbol="ABC", shape=(0.6, 0.4), early_shape=(0.5, 0.5), days=40, minutes=1, first=as_of, as_of=as_of
    )


def test_the_facts_of_steady_bars_are_those_of_a_hand_calculation(tmp_path: Path) -> None:
    """Closes 100 and 100.5 in turn (the hundredth: 100.5), volume 1000. 60 returns of +-ln(1.005), mean 0:
    the standard deviation is ln(1.005) * sqrt(60/59)."""
    got = facts(stored(tmp_path, steady()))

    assert (got.symbol, got.as_of, got.daily_volume) == ("ABC", LAST, 1000.0)
    assert got.price == pytest.approx(100.5)
    assert got.daily_volatility == pytest.approx(math.log(1.005) * math.sqrt(60 / 59), rel=1e-9)


def test_the_volume_is_the_median_of_twenty_sessions(tmp_path: Path) -> None:
    """The last twenty have 1..20 hundred shares in some order: median 1050. One day of a billion before."""
    frame = steady()
    frame.loc[frame.index[-20:], "volume"] = [100.0 * n for n in (*range(11, 21), *range(1, 11))]
    frame.loc[frame.index[-21], "volume"] = 1e9

    assert facts(stored(tmp_path, frame)).daily_volume == 1050


def test_nothing_of_the_day_itself_or_later_is_used(tmp_path: Path) -> None:
    frame = steady()
    before = facts(stored(tmp_path, frame), SESSIONS[90].date())
    later = frame.copy()
    later.iloc[90:] *= 17

    assert facts(stored(tmp_path, later), SESSIONS[90].date()) == before
    assert before.as_of == SESSIONS[89].date()


@pytest.mark.parametrize("has_split_column", [True, False])
def test_volume_before_a_split_counts_in_the_shares_of_today(tmp_path: Path, has_split_column: bool) -> None:
    """A 4:1 split before the last five sessions: 1000 old shares a day are 4000 new ones, as traded after."""
    frame = steady(price=400.0)
    frame.iloc[-5:, :4] /= 4
    frame["adj_close"] = frame["close"].where(frame.index >= frame.index[-5], frame["close"] / 4)
    frame.loc[frame.index[-5:], "volume"] = 4000.0
    if has_split_column:
        frame["split"] = np.where(frame.index == frame.index[-5], 4.0, 1.0)

    got = facts(stored(tmp_path, frame))

    assert got.daily_volume == pytest.approx(4000)
    assert got.daily_volatility < 0.01


@pytest.mark.parametrize(("price", "spread"), [(10.0, 0.01), (1000.0, 0.2)])
def test_a_spread_that_nobody_knows_is_assumed_and_said_so(
    tmp_path: Path, price: float, spread: float
) -> None:
    """Two basis points of 1000 $ are 0.20 $; of 10 $ they are less than a tick."""
    got = facts(stored(tmp_path, steady(99, price=price)), SESSIONS[99].date())

    assert got.daily_spread == pytest.approx(spread)
    assert dict(got.sources)["spread"] == "assumed: 2 bp of the price, at least a tick of 0.01"


def test_a_spread_from_quotes_is_the_median_of_days_before(tmp_path: Path) -> None:
    quotes = tmp_path / "spreads.csv"
    rows = [f"{SESSIONS[97].date()},abc,0.03", f"{SESSIONS[98].date()},ABC,0.05", f"{LAST},ABC,0.04"]
    quotes.write_text("\n".join(["date,symbol,spread", *rows, f"{NEXT},ABC,9", f"{LAST},XYZ,7"]))

    got = facts(stored(tmp_path, steady()), quotes=quotes)

    assert got.daily_spread == 0.04
    assert dict(got.sources)["spread"] == f"median of 3 days to {LAST} in spreads.csv"


@pytest.mark.parametrize("line", ["ABC,2024-05-01,0", "ABC,2024-05-01,nan", "ABC,May,0.01", "ABC"])
def test_quotes_that_cannot_be_read_are_an_error_with_the_line(tmp_path: Path, line: str) -> None:
    quotes = tmp_path / "spreads.csv"
    quotes.write_text(f"symbol,date,spread\n{line}\n")

    with pytest.raises(PlanError, match=r"spreads\.csv:2: cannot be read"):
        facts(stored(tmp_path, steady()), quotes=quotes)


def test_quotes_without_the_symbol_leave_the_assumption(tmp_path: Path) -> None:
    (tmp_path / "spreads.csv").write_text("symbol,date,spread\n")

    got = facts(stored(tmp_path, steady()), quotes=tmp_path / "spreads.csv")

    assert dict(got.sources)["spread"].startswith("assumed")


def test_old_bars_are_said_to_be_old(tmp_path: Path) -> None:
    stored(tmp_path, steady())

    assert "age" not in dict(facts(tmp_path).sources)
    assert "age" not in dict(facts(tmp_path, None).sources)
    assert dict(facts(tmp_path, date(2024, 12, 24)).sources)["age"].startswith(
        f"old: the last bar is of {LAST}, 221 days before"
    )


def test_a_stored_profile_is_used_and_without_one_the_default(tmp_path: Path) -> None:
    stored(tmp_path, steady())
    without = facts(tmp_path)
    ProfileStore(tmp_path).write({"ABC": profile(LAST)})
    with_one = facts(tmp_path)

    assert (without.shape, without.early_shape) == (u_shape(26), ())
    assert dict(without.sources)["profile"].startswith("default U shape")
    assert (with_one.shape, with_one.early_shape) == ((0.6, 0.4), (0.5, 0.5))
    assert dict(with_one.sources)["profile"] == f"median of 40 sessions to {LAST}"


def test_a_profile_that_has_seen_the_day_is_not_used_for_it(tmp_path: Path) -> None:
    stored(tmp_path, steady())
    ProfileStore(tmp_path).write({"ABC": profile(NEXT)})

    got = facts(tmp_path)

    assert got.shape == u_shape(26)
    assert dict(got.sources)["profile"].endswith(f"are stored before {NEXT}")


def test_a_damaged_profile_file_leaves_the_default_and_is_said(tmp_path: Path) -> None:
    stored(tmp_path, steady())
    ProfileStore(tmp_path).path.write_text("torn")

    got = facts(tmp_path)

    assert got.shape == u_shape(26)
    assert "cannot be read as volume profiles" in dict(got.sources)["profile"]


def test_missing_and_too_few_bars_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no daily bars of ABC.*refresh_eod_data\.py"):
        facts(tmp_path)
    stored(tmp_path, steady(30))
    with pytest.raises(PlanError, match=r"ABC has 20 daily bars before 2024-01-29.*at least 21"):
        facts(tmp_path, SESSIONS[20].date())
    assert facts(tmp_path, SESSIONS[21].date()).daily_volatility > 0


def test_bars_without_volume_give_no_facts(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"daily_volume is 0\.0"):
        facts(stored(tmp_path, steady().assign(volume=0.0)))


@pytest.mark.skipif(not (SHARED / "daily").is_dir(), reason="the shared price data is not here")
def test_a_real_split_does_not_look_like_a_crash(tmp_path: Path) -> None:
    """Apple split 7:1 on 2014-06-09. Raw closes fall by 85 % that day; the volatility of the quarter stays
    that of a calm stock, and the median volume is in new shares (ten million old ones: seventy million)."""
    store = BarStore(tmp_path)
    store.write("AAPL", open_source(f"csv:{SHARED / 'daily'}").fetch("AAPL").frame, "x")

    old, new = (
        market_facts("AAPL", store, ProfileStore(tmp_path), before=day)
        for day in (date(2014, 6, 9), date(2014, 6, 10))
    )

    assert (old.price, new.price) == (645.57, 93.7)
    assert 0.01 < new.daily_volatility < 0.02
    assert new.daily_volume / old.daily_volume == pytest.approx(7, rel=0.1)
