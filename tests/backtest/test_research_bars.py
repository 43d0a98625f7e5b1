"""The bars that a search is given."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.backtest.stored_walks import DAYS, store, walk
from trading.backtest.errors import HistoryError
from trading.research.bars import TooFewBars, Universe, cut_before, research_bars, universe_of

CUT = date(2009, 9, 30)


@pytest.mark.parametrize(
    ("newest", "cut"),
    [
        # A year before is 2012-03-01; the newest quarter that had ended was that of 2011.
        (date(2013, 3, 1), date(2011, 12, 31)),
        # A year before is a quarter's last day itself, and the day before it.
        (date(2013, 3, 31), date(2012, 3, 31)),
        (date(2013, 3, 30), date(2011, 12, 31)),
        (date(2014, 1, 1), date(2012, 12, 31)),
    ],
)
def test_a_search_ends_with_a_quarter_a_year_ago(newest: date, cut: date) -> None:
    assert cut_before(newest) == cut


def test_the_largest_turnovers_are_searched_on(tmp_path: Path) -> None:
    """Volumes rise with the seed, by far more than prices differ."""
    store(tmp_path, A=walk(1), B=walk(3), C=walk(2))

    assert universe_of(tmp_path, at_most=2, least=1000) == Universe(("B", "C"), CUT)


def test_only_the_named_symbols_are_chosen_from(tmp_path: Path) -> None:
    store(tmp_path, A=walk(1), B=walk(3))

    assert universe_of(tmp_path, symbols=["A"], at_most=8, least=1000) == Universe(("A",), CUT)


def test_symbols_that_came_late_ended_early_or_have_gaps_take_no_part(tmp_path: Path) -> None:
    store(
        tmp_path,
        WHOLE=walk(1),
        LATE=walk(2).iloc[400:],
        ENDED=walk(3).iloc[:1400],
        GAPS=walk(4).iloc[np.arange(1800) % 10 != 3],
    )

    assert universe_of(tmp_path, at_most=8, least=1000) == Universe(("WHOLE",), CUT)


def test_too_few_bars_are_told_in_words(tmp_path: Path) -> None:
    store(tmp_path, A=walk(1))

    found = universe_of(tmp_path, at_most=8, least=1600)

    # Business days from 2004-01-01 to 2009-09-30.
    assert found == TooFewBars("there are 1500 bars until 2009-09-30, a search needs 1600")


def test_an_empty_store_is_told_in_words(tmp_path: Path) -> None:
    found = universe_of(tmp_path, at_most=8, least=100)

    assert isinstance(found, TooFewBars)
    assert "no bars are stored" in found.reason


def test_a_symbol_that_is_not_stored_is_named(tmp_path: Path) -> None:
    store(tmp_path, A=walk(1))

    with pytest.raises(HistoryError, match="AX"):
        universe_of(tmp_path, symbols=["AX"], at_most=8, least=100)
    with pytest.raises(HistoryError, match="AX"):
        research_bars(tmp_path, ["AX"], CUT)


def test_no_bar_after_the_cut_is_seen(tmp_path: Path) -> None:
    store(tmp_path, A=walk(1))

    history = research_bars(tmp_path, ["A"], CUT)

    assert history.stamps[-1] == pd.Timestamp(CUT).value
    assert len(history) == 1500


def test_bars_that_come_later_leave_the_history_as_it_was(tmp_path: Path) -> None:
    before = research_bars(store(tmp_path / "1", A=walk(1).iloc[:1600]), ["A"], CUT)

    after = research_bars(store(tmp_path / "2", A=walk(1)), ["A"], CUT)

    assert after.fingerprint == before.fingerprint


def test_a_dividend_after_the_cut_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    """A source that adjusts for one of 1.37 % multiplies every earlier adjusted close, and rounds it."""
    frame = walk(1)
    paid_before = frame["adj_close"].where(frame.index >= "2006-05-02", frame["adj_close"] * 0.98)
    old = frame.assign(adj_close=paid_before)
    new = frame.assign(adj_close=(paid_before * 0.9863).where(frame.index < "2010-06-01", paid_before))

    fingerprints = {
        research_bars(store(tmp_path / name, A=bars), ["A"], CUT).fingerprint
        for name, bars in (("old", old), ("new", new))
    }

    assert len(fingerprints) == 1


def test_a_dividend_before_the_cut_is_reinvested(tmp_path: Path) -> None:
    frame = walk(1)
    paid = frame.assign(
        adj_close=frame["adj_close"].where(frame.index >= "2006-05-02", frame["close"] * 0.98)
    )

    history = research_bars(store(tmp_path, A=paid), ["A"], CUT)

    at = int(DAYS.searchsorted(pd.Timestamp("2006-05-02")))
    closes = history.bars["A"].close
    assert closes[at] / closes[at - 1] == pytest.approx(
        frame["close"].iloc[at] / (frame["close"].iloc[at - 1] * 0.98)
    )
    assert closes[-1] == frame["close"].iloc[1499]


def test_a_corrected_bar_changes_the_fingerprint(tmp_path: Path) -> None:
    frame = walk(1)
    corrected = frame.assign(open=frame["open"].where(frame.index != "2007-03-01", frame["open"] * 1.0001))

    fingerprints = {
        research_bars(store(tmp_path / name, A=bars), ["A"], CUT).fingerprint
        for name, bars in (("old", frame), ("new", corrected))
    }

    assert len(fingerprints) == 2
