"""One button on the box: short is "I have seen it", two seconds pause or resume, eight seconds stop safely.

What a press means is a pure function of its length; gpiozero is imported when `GpioButton` is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from hardware.panel import lgpio_factory

BOUNCE_S = 0.05
"""Shorter than a finger: the contact's own chatter."""
HOLD_S, STOP_S = 2.0, 8.0
STUCK_S = 30.0
"""Longer than anybody means it: something lies on the button, or its wire has a fault."""

DEFAULT_PIN = 23


class Press(StrEnum):
    """What the person at the box asks for."""

    ACKNOWLEDGE = "acknowledge"
    PAUSE_RESUME = "pause_resume"
    SAFE_STOP = "safe_stop"


def press_meaning(duration_s: float) -> Press | None:
    """Return what a press of this length asks for; None for a bounce, and for a button that is stuck."""
    if duration_s < BOUNCE_S or duration_s >= STUCK_S:
        return None
    if duration_s >= STOP_S:
        return Press.SAFE_STOP
    return Press.PAUSE_RESUME if duration_s >= HOLD_S else Press.ACKNOWLEDGE


class PressTimer:
    """Turns the button's edges into presses. Edges come with a monotonic instant in seconds.

    A second press without a release between (an edge was lost) begins anew; a release alone is none.
    """

    def __init__(self) -> None:
        self._down_at: float | None = None

    def pressed(self, at: float) -> None:
        """The button went down."""
        self._down_at = at

    def held_s(self, at: float) -> float | None:
        """Return for how long it has been down; None: it is up."""
        return None if self._down_at is None else at - self._down_at

    def released(self, at: float) -> Press | None:
        """The button went up; return what the press asked for."""
        down_at, self._down_at = self._down_at, None
        return None if down_at is None else press_meaning(at - down_at)


class GpioButton:
    """A button between `pin` (BCM) and ground. `on_press` is called from gpiozero's thread.

    Raises what `panel.GpioPanel` raises.
    """

    def __init__(
        self,
        on_press: Callable[[Press], None],
        pin: int = DEFAULT_PIN,
        *,
        runtime_dir: Path | None = None,
        factory: Any = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        import gpiozero

        self._on_press, self._monotonic, self._timer = on_press, monotonic, PressTimer()
        self._factory = lgpio_factory(runtime_dir) if factory is None else factory
        self._button = gpiozero.Button(pin, pull_up=True, bounce_time=BOUNCE_S, pin_factory=self._factory)
        self._button.when_pressed = self._down
        self._button.when_released = self._up

    @property
    def held_s(self) -> float | None:
        """For how long it has been down; None: it is up."""
        return self._timer.held_s(self._monotonic())

    def close(self) -> None:
        """Give the pin back."""
        self._button.close()

    def _down(self) -> None:
        self._timer.pressed(self._monotonic())

    def _up(self) -> None:
        press = self._timer.released(self._monotonic())
        if press is not None:
            self._on_press(press)


def make_button(
    on_press: Callable[[Press], None], pin: int = DEFAULT_PIN, **given: Any
) -> tuple[Any, str | None]:
    """Return a `GpioButton` and None, or None and why there is none."""
    try:
        return GpioButton(on_press, pin, **given), None
    except Exception as error:  # gpiozero and lgpio raise many kinds; none may stop the daemon
        return None, f"No button on pin {pin}: {type(error).__name__}: {error}. Going on without."
