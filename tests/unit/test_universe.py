"""Which symbols there are: who is new, who has ended or is missing, since when, and under which name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.bar_frames import SESSIONS, steady
from trading.marketdata.revisions import is_continued
from trading.marketdata.universe import (
    Listing,
    Span,
    Standing,
    Universe,
    changes,
    could_be_renamed,
    newest_of,
    renew,
    with_rename,
)

FRIDAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=7)


def until(last: date, first: date = date(2010, 1, 4)) -> Span:
    return Span(first=first, last=last)


CURRENT = {"AAA": until(FRIDAY), "BBB": until(FRIDAY), "CCC": until(FRIDAY)}


def universe(offered: dict[str, Span | None], before: Universe | None = None, **stored: Span) -> Universe:
    return renew(before, "csv:x", offered, stored, NOW if before is None else LATER)


def said(before: Universe | None, after: Universe) -> list[tuple[str, str]]:
    return [(change.symbol, change.what) for change in changes(before, after)]


def test_in_the_first_universe_nothing_is_news() -> None:
    first = universe({**CURRENT})

    assert first.symbols(Standing.ACTIVE) == ["AAA", "BBB", "CCC"]
    assert (first.newest, changes(None, first)) == (FRIDAY, [])


def test_a_new_listing_is_told_once() -> None:
    first = universe({**CURRENT})
    young = until(FRIDAY, first=date(2026, 11, 16))

    second = universe({**CURRENT, "NEW": young}, first)
    third = universe({**CURRENT, "NEW": young}, second)

    assert said(first, second) == [("NEW", "listed")]
    assert said(second, third) == []
    assert third == second


@pytest.mark.parametrize(
    ("behind", "standing"), [(30, Standing.ACTIVE), (31, Standing.ENDED), (4000, Standing.ENDED)]
)
def test_a_symbol_has_ended_when_the_others_went_on_for_more_than_thirty_days(
    behind: int, standing: Standing
) -> None:
    found = universe({**CURRENT, "OLD": until(FRIDAY - timedelta(days=behind))})

    assert found.listings["OLD"].standing is standing


def test_what_has_ended_is_told_with_its_last_day_and_kept_with_its_instant() -> None:
    first = universe({**CURRENT, "OLD": until(FRIDAY - timedelta(days=28))})
    moved = {name: until(FRIDAY + timedelta(days=7)) for name in CURRENT}

    second = universe({**moved, "OLD": until(FRIDAY - timedelta(days=28))}, first)

    (change,) = changes(first, second)
    assert (change.symbol, change.what) == ("OLD", "ended")
    assert "no bar since 2026-10-23; the others go to 2026-11-27" in change.text
    assert second.listings["OLD"].since == LATER
    assert second.listings["AAA"].since == NOW


def test_a_source_that_has_ended_as_a_whole_ends_no_symbol() -> None:
    old = universe({name: until(date(2013, 3, 1)) for name in CURRENT})

    assert old.symbols(Standing.ACTIVE) == ["AAA", "BBB", "CCC"]


def test_one_new_file_among_old_ones_ends_nobody() -> None:
    assert newest_of({**CURRENT, "NEW": until(date(2026, 11, 1))}, FRIDAY) == FRIDAY
    assert newest_of(
        {"A": until(FRIDAY), "B": until(date(2020, 1, 2)), "C": until(date(2020, 1, 3))}, FRIDAY
    ) == (date(2020, 1, 3))


def test_a_mistyped_year_is_no_witness() -> None:
    wrong = {"X": until(date(2062, 1, 2)), "Y": until(date(2062, 1, 2))}

    assert newest_of({**CURRENT, **wrong}, FRIDAY) == FRIDAY


def test_a_symbol_that_is_stored_and_no_longer_offered_is_missing_until_it_is_back() -> None:
    first = universe({**CURRENT})
    left = {name: span for name, span in CURRENT.items() if name != "CCC"}

    second = universe({**left}, first, CCC=CURRENT["CCC"])
    third = universe({**CURRENT}, second)

    assert second.listings["CCC"].standing is Standing.MISSING
    assert second.listings["CCC"].span == CURRENT["CCC"]
    assert (said(first, second), said(second, third)) == ([("CCC", "missing")], [("CCC", "back")])


def test_a_symbol_neither_offered_nor_stored_is_gone() -> None:
    first = universe({**CURRENT})

    second = universe({"AAA": CURRENT["AAA"], "BBB": CURRENT["BBB"]}, first)

    assert said(first, second) == [("CCC", "gone")]


def test_a_symbol_that_cannot_be_read_stands_as_before_with_its_stored_dates() -> None:
    first = universe({**CURRENT, "OLD": until(date(2020, 1, 2))})

    second = universe({**CURRENT, "OLD": None, "AAA": None}, first, AAA=until(date(2019, 1, 2)))

    assert said(first, second) == []
    assert second.listings["AAA"].span == until(date(2019, 1, 2))


def test_only_a_new_symbol_that_reaches_over_a_missing_one_could_be_its_new_name() -> None:
    first = universe({**CURRENT, "FB": until(FRIDAY)})
    new = {"META": until(FRIDAY + timedelta(days=7)), "IPO": until(FRIDAY, first=FRIDAY + timedelta(days=3))}

    second = universe({**CURRENT, **new}, first, FB=until(FRIDAY))

    assert could_be_renamed(first, second) == [("FB", "META")]
    assert could_be_renamed(None, second) == []


def test_a_new_name_is_told_from_both_sides_and_remembered() -> None:
    first = universe({**CURRENT, "FB": until(FRIDAY)})
    offered: dict[str, Span | None] = {**CURRENT, "META": until(FRIDAY)}

    second = with_rename(universe(offered, first, FB=until(FRIDAY)), "FB", "META")
    third = universe(offered, second, FB=until(FRIDAY))

    assert said(first, second) == [("FB", "missing"), ("META", "renamed")]
    assert "it is META now" in changes(first, second)[0].text
    assert (third.listings["FB"].renamed_to, third.listings["META"].renamed_from) == ("META", "FB")
    assert said(second, third) == []


def test_a_name_that_comes_back_is_no_one_s_former_one() -> None:
    first = universe({**CURRENT, "FB": until(FRIDAY)})
    second = with_rename(universe({**CURRENT, "META": until(FRIDAY)}, first, FB=until(FRIDAY)), "FB", "META")

    third = universe({**CURRENT, "META": until(FRIDAY), "FB": until(FRIDAY)}, second)

    assert (third.listings["FB"].renamed_to, third.listings["META"].renamed_from) == ("", "")


@pytest.mark.parametrize(
    "listing",
    [
        Listing(symbol="ABC", standing=Standing.ENDED, since=NOW, span=until(FRIDAY), renamed_from="XYZ"),
        Listing(symbol="ABC", standing=Standing.MISSING, since=NOW, renamed_to="DEF"),
    ],
)
def test_a_listing_comes_back_from_json_as_it_was(listing: Listing) -> None:
    assert Listing.from_json("ABC", listing.as_json()) == listing


def test_the_same_closes_and_volumes_are_one_share_and_equal_prices_alone_are_not() -> None:
    old, longer = steady(80), steady(100)

    assert is_continued(old, longer)
    assert is_continued(old, longer.assign(adj_close=1.0))
    assert not is_continued(old, longer.assign(volume=999.0))
    assert not is_continued(old.loc[SESSIONS[:59]], longer)  # less than a quarter of a year
    assert not is_continued(old, longer.iloc[10:])  # 70 of 80 bars are below 95 %
