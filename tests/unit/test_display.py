"""A headline and six lines of 21 characters say how the box is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.display import (
    HEIGHT,
    LIT_S,
    MOVE_S,
    MOVES,
    PAGE_S,
    WIDTH,
    DisplayState,
    Light,
    Run,
    answer_page,
    face_of,
    light_at,
    lines_for,
    page_at,
    pages_of,
    shift_at,
)
from hardware.patterns import ERRORS

NOW = datetime(2026, 11, 25, 18, 5, tzinfo=UTC)
WELL = DisplayState(
    mode="research",
    now=NOW,
    extended=True,
    window="holiday weekend 80 h",
    next_name="PREP",
    next_change=NOW + timedelta(hours=79, minutes=55),
    running=(Run("optimize_parameters", 0.42), Run("backup_databases", 0.1)),
    waiting=4,
    temperature_c=53.56,
    memory_free_mb=5120.4,
)


def test_an_extended_window_says_so_and_of_which_kind_it_is() -> None:
    assert lines_for(WELL) == (
        "RESEARCH EXTENDED",
        "holiday weekend 80 h",
        "PREP in 79 h 55 min",
        "optimize_parameters",
        "42%",
        "+1 more  4 wait",
        "54 C  5120 MB free",
    )


def test_an_ordinary_night_is_not_called_extended() -> None:
    lines = lines_for(replace(WELL, extended=False, window="overnight 10 h"))

    assert lines[:2] == ("RESEARCH", "overnight 10 h")


def test_the_clock_and_the_progress_stand_beside_the_words() -> None:
    face = face_of(WELL)

    assert face.clock == "18:05"
    assert [row.share for row in face.rows] == [None, None, None, 0.42, None, None]


def test_what_is_unknown_is_said_to_be() -> None:
    assert lines_for(DisplayState(mode="prep", now=NOW)) == (
        *("PREP", "", "next: unknown", "nothing runs", "", "", "? C  ? MB"),
    )


def test_no_daemon_is_said_with_where_to_look() -> None:
    lines = lines_for(replace(WELL, mode=None))

    assert lines[:2] == ("DAEMON DOWN", "No daemon is running.")
    assert "daily-orchestrator" in lines


def test_a_state_that_cannot_be_read_is_not_taken_for_no_daemon() -> None:
    assert lines_for(replace(WELL, mode=None, is_unread=True))[:5] == (
        *("NOT KNOWN", "A daemon is running;", "its state cannot be", "read.", "orchestratorctl check"),
    )


@pytest.mark.parametrize(
    ("paused", "text"), [("research", "PAUSED +1 4 wait"), ("all", "PAUSED ALL +1 4 wait")]
)
def test_a_pause_stands_out(paused: str, text: str) -> None:
    row = face_of(replace(WELL, paused=paused)).rows[4]

    assert (row.text, row.reversed) == (text, True)


def test_a_fault_takes_the_last_line_and_a_page_of_its_own_with_its_remedy() -> None:
    """The words are those of the table of faults in docs/hardware.md."""
    face, fault = pages_of(replace(WELL, fault="disk_full"))

    assert (face.rows[5].text, face.rows[5].reversed) == ("! the disk is nearly~", True)
    assert fault.headline == "DISK FULL"
    assert fault.lines == ("the disk is nearly", "full", "> orchestratorctl run", "cleanup_logs")


@pytest.mark.parametrize("name", ERRORS)
def test_every_fault_s_meaning_and_remedy_are_there_to_the_last_word(name: str) -> None:
    page = pages_of(replace(WELL, fault=name))[1]

    said = " ".join(page.lines).split()
    wanted = f"{ERRORS[name].meaning} > {ERRORS[name].remedy.replace('`', '')}".split()
    assert said == wanted
    assert len(page.rows) <= HEIGHT


def test_alerts_that_nobody_has_seen_are_counted_and_the_worst_is_shown() -> None:
    text = "refresh_data failed (exit 1) after 3 attempts"
    face, alert = pages_of(replace(WELL, alerts=(text, "another")))

    assert face.rows[5].text == "! 2 alerts to see"
    assert alert.headline == "ALERT 1 OF 2"
    assert " ".join(alert.lines[:3]) == text
    assert (alert.rows[5].text, alert.rows[5].reversed) == ("short press: seen", True)


def test_pages_take_turns_and_a_box_that_is_well_has_one() -> None:
    ill = replace(WELL, fault="disk_full", alerts=("x",))

    turns = [page_at(ill, number * PAGE_S).headline for number in range(4)]

    assert turns == ["RESEARCH EXTENDED", "DISK FULL", "ALERT", "RESEARCH EXTENDED"]
    assert {page_at(WELL, seconds).headline for seconds in range(60)} == {"RESEARCH EXTENDED"}


@pytest.mark.parametrize(("left", "text"), [(59, "59 min"), (60, "1 h 00 min"), (-5, "0 min")])
def test_the_time_left_is_in_hours_and_minutes(left: int, text: str) -> None:
    lines = lines_for(replace(WELL, next_change=NOW + timedelta(minutes=left)))

    assert lines[2] == f"PREP in {text}"


def test_the_time_left_is_written_short_where_the_words_are_long() -> None:
    assert lines_for(replace(WELL, next_name="pre market"))[2] == "pre market in 79h55m"


@pytest.mark.parametrize(("share", "text"), [(0.0, "0%"), (1.0, "100%"), (1.3, "130%"), (60.0, ">9x")])
def test_a_run_past_its_prediction_says_so_beside_a_full_bar(share: float, text: str) -> None:
    row = face_of(replace(WELL, running=(Run("study", share),))).rows[3]

    assert row.text == text
    assert row.share == min(share, 1.0)


def test_an_answer_is_told_in_whole_words() -> None:
    page = answer_page(WELL, "BUTTON", "All is paused, runs are stopping. Hold 2s to go on.")

    assert " ".join(page.lines) == "All is paused, runs are stopping. Hold 2s to go on."


WORDS = st.text(max_size=60)


@given(
    st.one_of(st.none(), st.text(min_size=1, max_size=60)),
    st.lists(st.builds(Run, WORDS, st.floats(-1, 1e9)), max_size=30),
    st.integers(0, 10_000),
    st.sampled_from([None, *ERRORS, "moon_phase"]),
    st.lists(st.text(max_size=400), max_size=3),
    st.sampled_from([None, "research", "all"]),
    WORDS,
)
def test_no_line_is_wider_than_the_display_and_no_page_higher(
    mode: str | None,
    running: list[Run],
    waiting: int,
    fault: str | None,
    alerts: list[str],
    paused: str | None,
    window: str,
) -> None:
    state = replace(
        WELL,
        mode=mode,
        running=running,
        waiting=waiting,
        fault=fault,
        window=window,
        alerts=alerts,
        paused=paused,
    )

    for page in pages_of(state):
        assert len(page.rows) <= HEIGHT
        assert all(len(line) <= WIDTH for line in (page.headline, *page.lines))
        assert all(row.share is None or 0 <= row.share <= 1 for row in page.rows)


# --- sparing the panel ------------------------------------------------------------------------------------


def test_by_day_it_shines_and_by_night_it_is_dark() -> None:
    def light(is_night: bool, since_press_s: float = 1e6) -> Light:
        return light_at(WELL, is_night=is_night, since_press_s=since_press_s)

    assert light(is_night=False) is Light.FULL
    assert light(is_night=True) is Light.DARK
    assert light(True, LIT_S - 1) is Light.DIM
    assert light(True, LIT_S) is Light.DARK


@pytest.mark.parametrize("change", [{"fault": "disk_full"}, {"alerts": ("x",)}, {"mode": None}])
def test_what_must_not_wait_for_the_morning_is_dim_by_night(change: dict[str, object]) -> None:
    state = replace(WELL, **change)  # type: ignore[arg-type]  # fields of the state

    assert light_at(state, is_night=True, since_press_s=1e6) is Light.DIM


def test_the_picture_moves_by_a_pixel_and_comes_back() -> None:
    at = [shift_at(number * MOVE_S) for number in range(len(MOVES) + 1)]

    assert at[0] == at[-1] == (0, 0)
    assert len(set(at)) == len(MOVES)
    steps = [abs(a - c) + abs(b - d) for (a, b), (c, d) in pairwise(at)]
    assert set(steps) == {1}
