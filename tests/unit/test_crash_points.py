"""Crash points: the named passage dies and no other, and a name that does not exist is refused."""

from __future__ import annotations

import pytest

from orchestration import crash_points
from orchestration.crash_points import POINTS, countdown
from orchestration.errors import SettingsError


def test_the_named_passage_of_the_named_point_dies() -> None:
    deaths: list[str] = []
    pass_by = countdown("spawn.after:2", lambda: deaths.append("died"))

    seen = []
    for point in ("spawn.after", "spawn.before", "spawn.before", "spawn.after", "spawn.after"):
        pass_by(point)
        seen.append(len(deaths))

    assert seen == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("text", ["spawn:1", "spawn.after", "spawn.after:", "spawn.after:0", "spawn.after:x"])
def test_a_crash_that_could_never_come_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ORCHESTRATOR_CRASH_AT=.*expected a point and a number"):
        countdown(text, lambda: None)


def test_without_the_variable_every_point_is_passed_unharmed() -> None:
    for point in POINTS:
        crash_points.passing(point)
