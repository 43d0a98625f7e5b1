"""What a press asks for is a matter of its length alone."""

from __future__ import annotations

import pytest

from hardware.buttons import Press, PressTimer, press_meaning


@pytest.mark.parametrize(
    ("seconds", "meaning"),
    [
        (0.0, None),
        (0.049, None),
        (0.05, Press.ACKNOWLEDGE),
        (1.99, Press.ACKNOWLEDGE),
        (2.0, Press.PAUSE_RESUME),
        (7.99, Press.PAUSE_RESUME),
        (8.0, Press.SAFE_STOP),
        (29.9, Press.SAFE_STOP),
        (30.0, None),
        (3600.0, None),
    ],
)
def test_short_acknowledges_two_seconds_pause_eight_stop_and_a_stuck_button_does_nothing(
    seconds: float, meaning: Press | None
) -> None:
    assert press_meaning(seconds) is meaning


def test_a_press_is_told_when_the_button_is_let_go() -> None:
    timer = PressTimer()

    timer.pressed(100.0)

    assert timer.released(102.5) is Press.PAUSE_RESUME
    assert timer.released(110.0) is None


def test_a_lost_edge_begins_the_press_anew() -> None:
    timer = PressTimer()

    timer.pressed(100.0)
    timer.pressed(107.5)

    assert timer.released(108.0) is Press.ACKNOWLEDGE
