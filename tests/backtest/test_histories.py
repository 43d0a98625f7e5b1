"""The timeline that several symbols share, with bars late, missing and ended, down to one bar."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from tests.backtest.hand_made_bars import DAY, bars, run, told
from trading.backtest.bars import Bar
from trading.backtest.history import PriceHistory, said
from trading.backtest.signals import Signal

UNALIGNED = PriceHistory(
    [
        bars("A", open=[10, 11, 12, 13]),
        bars("LATE", open=[20, 21], days=[2, 3]),
        bars("GAP", open=[30, 31, 32], days=[0, 2, 3]),
        bars("ENDED", open=[40], days=[1]),
    ]
)


def test_a_timeline_is_the_union_of_the_symbols_dates() -> None:
    assert (UNALIGNED.stamps // DAY).tolist() == [0, 1, 2, 3]
    assert {symbol: rows.tolist() for symbol, rows in UNALIGNED.rows.items()} == {
        "A": [0, 1, 2, 3],
        "LATE": [2, 3],
        "GAP": [0, 2, 3],
        "ENDED": [1],
    }


def test_each_instant_has_the_bars_of_those_that_traded_in_the_symbols_order() -> None:
    instants = [[(bar.symbol, bar.open) for bar in instant] for instant in UNALIGNED.instants({})]

    assert instants == [
        [("A", 10.0), ("GAP", 30.0)],
        [("A", 11.0), ("ENDED", 40.0)],
        [("A", 12.0), ("LATE", 20.0), ("GAP", 31.0)],
        [("A", 13.0), ("LATE", 21.0), ("GAP", 32.0)],
    ]


def test_a_symbol_without_a_bar_is_marked_at_its_last_close() -> None:
    expected = [
        [10, np.nan, 30, np.nan],
        [11, np.nan, 30, 40],
        [12, 20, 31, 40],
        [13, 21, 32, 40],
    ]

    np.testing.assert_array_equal(UNALIGNED.closes, expected)


def test_a_head_knows_no_symbol_that_is_listed_later() -> None:
    assert UNALIGNED.head(2).symbols == ("A", "GAP", "ENDED")
    assert len(UNALIGNED.head(2)) == 2


def test_a_span_of_dates_includes_both_ends() -> None:
    part = UNALIGNED.between(date(1970, 1, 2), date(1970, 1, 3))

    assert (part.stamps // DAY).tolist() == [1, 2]


@pytest.mark.parametrize(
    "start",
    [
        date(1970, 1, 3),
        datetime(1970, 1, 3, 15, 30, tzinfo=UTC),
        pd.Timestamp("1970-01-03"),
        pd.Timestamp("1970-01-02 20:00", tz="America/New_York"),
    ],
)
def test_an_instant_stands_for_its_date_in_utc(start: date) -> None:
    history = PriceHistory([bars(open=[1, 2, 3, 4])])

    assert [said(stamp) for stamp in history.between(start, start).stamps] == ["1970-01-03"]


def test_a_span_that_is_told_in_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"end is '1970-01-03': expected a datetime\.date"):
        PriceHistory([bars(open=[1, 2])]).between(None, "1970-01-03")  # type: ignore[arg-type]  # so it is


def test_a_history_says_what_it_is() -> None:
    history = PriceHistory([bars(open=[1, 2]), bars("B", open=[1, 2, 3])])

    assert repr(history) == "<PriceHistory of A, B: 3 instants from 1970-01-01 to 1970-01-03>"


def test_a_span_may_be_as_wide_as_dates_go() -> None:
    assert UNALIGNED.between(date.min, date.max).fingerprint == UNALIGNED.fingerprint


def test_an_order_for_a_symbol_without_a_bar_waits_for_its_next_one() -> None:
    given = [bars("A", open=[10] * 4), bars("GAP", open=[30, 32], days=[0, 3])]

    result = run(given, {0: Signal(symbol="GAP", change=1.0)})

    assert told(result.fills) == [(3, 1.0, 32.0)]


def test_an_order_for_a_symbol_not_listed_yet_waits_for_its_first_bar() -> None:
    given = [bars("A", open=[10] * 4), bars("LATE", open=[20, 22], days=[2, 3])]

    result = run(given, {0: Signal.hold("LATE", 1.0)})

    # 1000 / 20 = 50 shares, marked at 22 on the last day.
    assert told(result.fills) == [(2, 50.0, 20.0)]
    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0, 1100.0]


def test_equity_counts_a_position_at_its_last_close_while_its_symbol_has_no_bar() -> None:
    given = [bars("A", open=[10] * 4), bars("GAP", open=[30, 30, 36], days=[0, 1, 3])]

    result = run(given, {0: Signal(symbol="GAP", quantity=10.0)})

    assert result.equity.tolist() == [1000.0, 1000.0, 1000.0, 1060.0]


def test_a_weight_is_sized_with_the_last_closes_of_symbols_without_a_bar() -> None:
    # 10 of GAP for 300, last seen at 36: the equity is 700 + 360 when A trades alone; a tenth is 106.
    given = [bars("A", open=[10] * 4), bars("GAP", open=[30, 30], close=[30, 36], days=[0, 1])]

    result = run(given, {0: Signal(symbol="GAP", quantity=10.0), 1: Signal.hold("A", 0.1)})

    assert told(result.fills)[-1] == pytest.approx((2, 10.6, 10.0))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_bars_are_a_history(count: int) -> None:
    given = bars(open=[10, 11][:count], close=[10, 12][:count])

    result = run(given, {0: Signal.hold("A", 1.0)}, capital=1100.0)

    # Bought at the second bar's open of 11, 100 shares, marked at its close of 12.
    assert result.equity.tolist() == [1100.0, 1200.0][:count]
    assert result.metrics.total_return == pytest.approx([0.0, 1 / 11][count - 1])


def test_the_same_bars_have_the_same_fingerprint_and_others_do_not() -> None:
    one, same = (PriceHistory([bars(open=[1, 2, 3])]) for _ in range(2))

    others = [
        PriceHistory([bars(open=[1, 2, 3.0000001])]),
        PriceHistory([bars("B", open=[1, 2, 3])]),
        PriceHistory([bars(open=[1, 2, 3], days=[0, 1, 3])]),
        PriceHistory([bars(open=[1, 2, 3], splits={1: 2.0})]),
        PriceHistory([bars(open=[1, 2, 3], dividends={1: 2.0})]),
        PriceHistory([bars(open=[1, 2, 3], volume=1.0)]),
    ]

    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, *(each.fingerprint for each in others)}) == 7


def test_bars_are_the_numbers_of_the_arrays_as_python_s_own() -> None:
    given = bars(open=[10, 11], close=[12, 13], high=[14, 15], low=[8, 9], volume=[5, 6])

    first, second = given.as_bars()

    assert first == Bar("A", 0, 10.0, 14.0, 8.0, 12.0, 5.0)
    assert second == Bar("A", DAY, 11.0, 15.0, 9.0, 13.0, 6.0)
    assert {type(each) for each in first[2:7]} == {float}
    assert type(second.stamp) is int


def test_no_array_of_a_history_can_be_written_to() -> None:
    history = UNALIGNED
    (gap, late) = history.bars["GAP"], history.bars["LATE"]
    arrays = [history.stamps, history.closes, history.rows["GAP"], gap.stamps, gap.close, late.volume]

    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_frame_that_is_changed_afterwards_changes_no_history() -> None:
    frame = pd.DataFrame(
        {name: [10.0, 11.0] for name in ("open", "high", "low", "close", "volume", "rank")},
        index=pd.date_range("2020-01-01", periods=2),
    )
    history = PriceHistory.from_frames(frame)
    before = history.fingerprint

    frame.loc[:, :] = 99.0

    assert history.fingerprint == before
    assert history.bars["ASSET"].extras["rank"].tolist() == [10.0, 11.0]
