"""A small OLED display of four lines. What it says is a pure function; its driver (luma.oled) is optional and
imported when `OledDisplay` is made."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from hardware.patterns import fault_of

WIDTH, HEIGHT = 21, 4
"""Characters of a 128 x 64 display in its 6 x 8 font, at 16 pixels a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayState:
    """What there is to show. None: unknown, or nothing of the kind.

    now, next_change: aware, in the zone to be shown. next_name: what comes then, as "PREP".
    running: names of the tasks that run. waiting: how many are due and wait. fault: of `patterns.ERRORS`.
    """

    mode: str
    now: datetime
    extended: bool = False
    next_name: str | None = None
    next_change: datetime | None = None
    running: Sequence[str] = ()
    waiting: int = 0
    fault: str | None = None
    paused: bool = False
    temperature_c: float | None = None
    memory_free_mb: float | None = None


def lines_for(state: DisplayState) -> tuple[str, str, str, str]:
    """Return the four lines, each at most `WIDTH` characters.

    Mode and time; what comes next; what runs; the fault, or else how the box is.
    """
    lines = (_head(state), _next(state), _running(state), _foot(state))
    first, second, third, fourth = (_cut(line) for line in lines)
    return first, second, third, fourth


def _head(state: DisplayState) -> str:
    mode = f"{state.mode.upper()}{'+' if state.extended else ''}{' PAUSED' if state.paused else ''}"
    clock = f"{state.now:%H:%M}"
    return f"{mode[: WIDTH - len(clock) - 1]:<{WIDTH - len(clock)}}{clock}"


def _next(state: DisplayState) -> str:
    if state.next_name is None or state.next_change is None:
        return "next: unknown"
    return f"{state.next_name} in {_span(state.next_change - state.now)}"


def _span(left: timedelta) -> str:
    minutes = max(0, round(left.total_seconds() / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _running(state: DisplayState) -> str:
    waiting = f" {state.waiting} wait" if state.waiting else ""
    if not state.running:
        return f"idle{waiting}"
    more = f" +{len(state.running) - 1}" if len(state.running) > 1 else ""
    room = WIDTH - len(more) - len(waiting)
    return f"{_cut(state.running[0], room)}{more}{waiting}"


def _foot(state: DisplayState) -> str:
    if state.fault is not None:
        return f"! {fault_of(state.fault).meaning}"
    heat = "? C" if state.temperature_c is None else f"{state.temperature_c:.0f} C"
    memory = "? MB" if state.memory_free_mb is None else f"{state.memory_free_mb:.0f} MB free"
    return f"{heat}  {memory}"


def _cut(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"


class Display(Protocol):
    """Shows a state."""

    def show(self, state: DisplayState) -> None: ...

    def close(self) -> None: ...


class OledDisplay:
    """A 128 x 64 SSD1306 on the I2C bus. Draws only when the lines have changed.

    Raises:
        ImportError: if luma.oled is not installed. Whatever luma raises if there is no display.
    """

    def __init__(self, port: int = 1, address: int = 0x3C) -> None:
        serial = importlib.import_module("luma.core.interface.serial")
        self._canvas = importlib.import_module("luma.core.render").canvas
        oled = importlib.import_module("luma.oled.device")
        self._device: Any = oled.ssd1306(serial.i2c(port=port, address=address))
        self._lines: tuple[str, ...] = ()

    def show(self, state: DisplayState) -> None:
        """Draw a state."""
        lines = lines_for(state)
        if lines == self._lines:
            return
        with self._canvas(self._device) as draw:
            for row, line in enumerate(lines):
                draw.text((0, row * 16), line, fill="white")
        self._lines = lines

    def close(self) -> None:
        """Clear the display."""
        self._device.cleanup()


def make_display(port: int = 1, address: int = 0x3C) -> tuple[Display | None, str | None]:
    """Return the display and None, or None and why there is none."""
    try:
        return OledDisplay(port, address), None
    except Exception as error:  # luma raises many kinds; none may stop the daemon
        why = f"{type(error).__name__}: {error}"
    return None, f"No display: {why}. Going on without; it needs luma.oled and I2C switched on."
