"""Between the daemon and its panel: modes and faults in, light out. A panel that breaks is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import time

from hardware.panel import NullPanel
from hardware.patterns import OPERATING_MODE_LED_MAP, worst_of
from orchestration.ports import Panel
from orchestration.types import OperatingMode

__all__ = ["OPERATING_MODE_LED_MAP", "HardwareIntegration", "Night", "brightness_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When the LEDs are dimmed, in the box's own local time, and how far: brightness 0 (dark) to 1."""

    start: time = time(22)
    end: time = time(7)
    brightness: float = 0.1


def brightness_at(local: time, night: Night | None) -> float:
    """Return how bright the LEDs are at `local` time of day, 0 to 1. night: None means never dimmed.

    The night is [start, end), over midnight if it starts later than it ends; none if both are the same.
    """
    if night is None:
        return 1.0
    if night.start <= night.end:
        is_night = night.start <= local < night.end
    else:
        is_night = local >= night.start or local < night.end
    return night.brightness if is_night else 1.0


class HardwareIntegration:
    """The panel as the daemon uses it; itself a `Panel`.

    It hands on changes only. A panel that raises is replaced by none, and `warn` is told once.
    """

    def __init__(self, panel: Panel, *, warn: Callable[[str], None] = lambda text: None) -> None:
        self.panel = panel
        self._warn = warn
        self._mode: tuple[OperatingMode, bool] | None = None
        self._error: str | None = None

    def set_operating_mode(self, mode: OperatingMode | str, *, extended: bool = False) -> None:
        """Show a mode, as a member or by its value ("trading", "research", "prep").

        Raises:
            ValueError: for a mode that is none.
        """
        wanted = (OperatingMode(mode), extended)
        if wanted != self._mode:
            self._mode = wanted
            self._try(lambda panel: panel.set_operating_mode(wanted[0], extended=extended))

    def set_error(self, error: str | None) -> None:
        """Show a fault by its name in `patterns.ERRORS`; None: no fault."""
        if error != self._error:
            self._error = error
            self._try(lambda panel: panel.set_error(error))

    def set_faults(self, faults: Iterable[str]) -> str | None:
        """Show the worst of `faults` and return it; None: there is none."""
        worst = worst_of(faults)
        self.set_error(worst)
        return worst

    def close(self) -> None:
        """Put the panel out."""
        self._try(lambda panel: panel.close())

    def _try(self, act: Callable[[Panel], None]) -> None:
        try:
            act(self.panel)
        except Exception as error:  # a panel stops nothing, whatever its driver raises
            self.panel = NullPanel()
            self._warn(f"The panel failed and is off: {type(error).__name__}: {error}. See docs/hardware.md.")
