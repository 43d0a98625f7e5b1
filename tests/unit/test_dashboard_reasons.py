"""Why a task waits, as the pages say it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from observability.dashboard.reasons import phrase, reason
from orchestration.decisions import Gate, Reason
from orchestration.state.codec import gate_to_dict
from tests.calendars import NEW_YORK

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
AT_SEVEN = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
LEFT = "reserved for deep_search (minutes until it starts)"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (Gate(Reason.DISABLED, False, "enabled = false"), "Switched off: enabled = false"),
        (
            Gate(Reason.QUARANTINED, False, "failed 3 times within 60 minutes", clears_at=AT_SEVEN),
            "Set aside, it failed 3 times within 60 minutes, until Fri 19:00 EST",
        ),
        (
            Gate(Reason.CLOCK_UNSYNCED, False, "the clock is not known to be right"),
            "The clock is not known to be right",
        ),
        (
            Gate(
                Reason.DEADLINE_PASSED,
                False,
                "the latest start was 2026-11-20T14:10:00Z, as it takes 20m and its deadline is "
                "2026-11-20T14:30:00Z",
            ),
            "Too late, the latest start was Fri 09:10 EST, as it takes 20m and its deadline is Fri 09:30 EST",
        ),
        (
            # An older daemon's row, with fractions of a second and minutes to compare.
            Gate(
                Reason.DEADLINE_PASSED,
                False,
                "the latest start was 2026-11-25T08:59:28.350838Z for its deadline 2026-11-25T09:00:00Z "
                "(minutes)",
                0.5274860414374258,
                0.5274693500000001,
            ),
            "Too late, the latest start was Wed 03:59 EST for its deadline Wed 04:00 EST: it takes 31.6 s",
        ),
        (
            Gate(Reason.NEEDS_RECONCILE, False, "a run of 2026-11-20T14:30Z has an unknown end; waits for x"),
            "A run of Fri 09:30 EST has an unknown end; waits for x",
        ),
        (Gate(Reason.PAUSED, False, "the operator paused everything"), "The operator paused everything"),
        (
            Gate(Reason.WRONG_MODE, False, "runs in trading; the mode is research", clears_at=AT_SEVEN),
            "It runs in trading; the mode is research, until Fri 19:00 EST",
        ),
        (
            Gate(Reason.OUTSIDE_WINDOW, False, "outside close..post", clears_at=AT_SEVEN),
            "Not its hours: outside close..post, next Fri 19:00 EST",
        ),
        (
            Gate(Reason.ALREADY_RAN, False, "succeeded in 2026-11-20", clears_at=AT_SEVEN),
            "It succeeded in 2026-11-20, again from Fri 19:00 EST",
        ),
        (
            Gate(Reason.ALREADY_RAN, False, "missed its deadline before it could start", clears_at=AT_SEVEN),
            "It missed its deadline before it could start, again from Fri 19:00 EST",
        ),
        (
            Gate(Reason.NOT_DUE, False, "every 15m", clears_at=AT_SEVEN),
            "Not due yet: every 15m, next Fri 19:00 EST",
        ),
        (
            Gate(Reason.DEPENDENCY_FAILED, False, "failed in this cycle: refresh_eod_data"),
            "What it depends on failed in this cycle: refresh_eod_data",
        ),
        (Gate(Reason.DEPENDENCY, False, "waits for refresh_eod_data"), "It waits for refresh_eod_data"),
        (
            Gate(Reason.THERMAL, False, "the box is too hot (C)", 75.0, 81.5),
            "The box is too hot: 81.5 °C, the limit is 75 °C",
        ),
        (
            Gate(Reason.WONT_FIT, False, "minutes until PREP", 450.0, 330.0),
            "It would not end before PREP: it needs 450 min, 330 min are left",
        ),
        (
            Gate(Reason.CONFLICT, False, "running: run_weekend_research", clears_at=AT_SEVEN),
            "Not beside what is running: run_weekend_research, expected until Fri 19:00 EST",
        ),
        (
            Gate(Reason.MEMORY, False, "MB of memory, 1024 kept for trading duties", 1422.0, 80.5),
            "Too little memory: it needs 1,422 MB, 80.5 MB are free, 1024 kept for trading duties",
        ),
        (
            Gate(Reason.MEMORY, False, "memory pressure (PSI avg10, %)", 10.0, 34.5),
            "Memory is under pressure: 34.5 %, it starts at 10 %",
        ),
        (Gate(Reason.SLOTS, False, "free slots", 1, 0), "No free slot: it takes 1, 0 are free"),
        (
            Gate(Reason.RESERVED, False, LEFT, 300.0, 60.0, AT_SEVEN),
            "Reserved for deep_search: it takes up to 300 min, 60 min are left, until Fri 19:00 EST",
        ),
        (
            Gate(Reason.RESERVED, False, "the timetable policy fills no idle time"),
            "The timetable policy fills no idle time",
        ),
        # An older daemon's row: no more than the code is known of it.
        (Gate(Reason.NO_NETWORK, False), "No network"),
        (Gate(Reason.SLOTS, False, "free slots", 3), "Free slots"),
    ],
)
def test_a_reason_is_said_in_a_sentence(gate: Gate, said: str) -> None:
    assert reason(gate_to_dict(gate), NEW_YORK, NOW) == said


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            Gate(Reason.MEMORY, False, "MB of memory, 1024 kept for trading duties", 1422.0, 80.5),
            "too little memory",
        ),
        (
            Gate(Reason.MEMORY, False, "memory pressure (PSI avg10, %)", 10.0, 34.5),
            "memory was under pressure",
        ),
        (Gate(Reason.SLOTS, False, "free slots", 1, 0), "no free slot"),
        (Gate(Reason.THERMAL, False, "the box is too hot (C)", 75.0, 81.5), "the box was too hot"),
        (
            Gate(Reason.WONT_FIT, False, "minutes until PREP", 450.0, 330.0),
            "it would not have ended before PREP",
        ),
        (Gate(Reason.RESERVED, False, LEFT, 300.0, 60.0, AT_SEVEN), "reserved for deep_search"),
        (
            Gate(Reason.DEADLINE_PASSED, False, "the latest start was 2026-11-20T14:10:00Z"),
            "its deadline had passed",
        ),
        # What names something keeps it.
        (
            Gate(Reason.CONFLICT, False, "running: a, b", clears_at=AT_SEVEN),
            "not beside what is running: a, b",
        ),
        (Gate(Reason.DEPENDENCY, False, "waits for refresh_eod_data"), "it waits for refresh_eod_data"),
        (
            Gate(Reason.NEEDS_RECONCILE, False, "a run of 2026-11-20T14:30Z has an unknown end; waits for x"),
            "a run of Fri 2026-11-20 09:30 EST has an unknown end; waits for x",
        ),
    ],
)
def test_what_held_a_task_back_is_named_without_its_numbers(gate: Gate, said: str) -> None:
    assert phrase(gate, NEW_YORK) == said


@pytest.mark.parametrize("kind", list(Reason))
def test_no_reason_is_left_to_its_code(kind: Reason) -> None:
    gate = gate_to_dict(Gate(kind, False, "some detail", 2.0, 1.0, AT_SEVEN))

    assert str(kind) not in reason(gate, NEW_YORK, NOW)
