"""Four lines of 21 characters say how the box is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.display import HEIGHT, WIDTH, DisplayState, lines_for
from hardware.patterns import ERRORS

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)
WELL = DisplayState(
    mode="research",
    now=NOW,
    extended=True,
    next_name="PREP",
    next_change=NOW + timedelta(hours=56, minutes=3),
    running=("optimize", "backup"),
    waiting=4,
    temperature_c=53.56,
    memory_free_mb=5120.4,
)


def test_a_busy_weekend_is_told_in_four_lines() -> None:
    assert lines_for(WELL) == (
        "RESEARCH+       18:05",
        "PREP in 56 h 03 min",
        "optimize +1 4 wait",
        "54 C  5120 MB free",
    )


def test_what_is_unknown_is_said_to_be() -> None:
    assert lines_for(DisplayState(mode="prep", now=NOW)) == (
        "PREP            18:05",
        "next: unknown",
        "idle",
        "? C  ? MB",
    )


def test_a_fault_takes_the_last_line_and_a_pause_the_first() -> None:
    lines = lines_for(replace(WELL, extended=False, fault="disk_full", paused=True))

    assert lines[0] == "RESEARCH PAUSED 18:05"
    assert lines[3] == "! the disk is nearly~"


@pytest.mark.parametrize(("left", "text"), [(59, "59 min"), (60, "1 h 00 min"), (-5, "0 min")])
def test_the_time_left_is_in_hours_and_minutes(left: int, text: str) -> None:
    assert lines_for(replace(WELL, next_change=NOW + timedelta(minutes=left)))[1] == f"PREP in {text}"


def test_idle_with_tasks_waiting_says_so() -> None:
    assert lines_for(replace(WELL, running=()))[2] == "idle 4 wait"


@given(
    st.text(min_size=1, max_size=60),
    st.lists(st.text(max_size=60), max_size=30),
    st.integers(0, 10_000),
    st.sampled_from([None, *ERRORS, "moon_phase"]),
    st.booleans(),
)
def test_no_line_is_wider_than_the_display(
    mode: str, running: list[str], waiting: int, fault: str | None, flag: bool
) -> None:
    state = replace(
        WELL, mode=mode, running=running, waiting=waiting, fault=fault, paused=flag, extended=flag
    )

    lines = lines_for(state)

    assert len(lines) == HEIGHT
    assert all(len(line) <= WIDTH for line in lines)
