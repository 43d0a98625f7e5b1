"""The LEDs themselves: on GPIO, kept in a list, or none. A missing or broken panel warns and stops nothing.

gpiozero is imported when a `GpioPanel` is made, never before.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hardware.patterns import Pattern, by_night, level_at, next_change_at, shown
from orchestration.ports import Panel
from orchestration.types import OperatingMode

KINDS = ("gpio", "recording", "null", "auto")

CHIP_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""The header's chip on a Pi 5, a Pi 4, and all before. Its number changed between kernels."""

RECHECK_S = 60.0
"""How often steady light looks whether night has come."""


class Pins(NamedTuple):
    """BCM numbers of the LEDs' pins."""

    system: int = 17
    trading: int = 27
    research: int = 22


class Led(Protocol):
    """The part of `gpiozero.LED` that the panel uses."""

    def on(self) -> None: ...

    def off(self) -> None: ...

    def close(self) -> None: ...


class Shown(NamedTuple):
    """What a panel was told: mode, extended, error (None: no fault)."""

    mode: str | None
    extended: bool
    error: str | None

    def patterns(self) -> dict[str, Pattern]:
        """Return the pattern of each LED. Raises ValueError for a mode that is none."""
        return shown(self.mode, extended=self.extended, error=self.error)


NOTHING_YET = Shown(None, False, None)


class NullPanel:
    """Shows nothing."""

    def set_operating_mode(self, mode: OperatingMode, *, extended: bool = False) -> None:
        """Do nothing."""

    def set_error(self, error: str | None) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class RecordingPanel:
    """Keeps the newest `keep` states it was told to show, the oldest first; for tests and simulation."""

    def __init__(self, keep: int = 1000) -> None:
        self._keep = keep
        self.history: list[Shown] = []
        self.closed = False

    @property
    def now(self) -> Shown:
        """What it shows now."""
        return self.history[-1] if self.history else NOTHING_YET

    def set_operating_mode(self, mode: OperatingMode, *, extended: bool = False) -> None:
        """Record the mode. Raises ValueError for a mode that is none, as the real one does."""
        self._show(Shown(str(mode), extended, self.now.error))

    def set_error(self, error: str | None) -> None:
        """Record a fault, or (None) its end."""
        self._show(self.now._replace(error=error))

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

    def _show(self, state: Shown) -> None:
        state.patterns()
        self.history.append(state)
        del self.history[: -self._keep]


@dataclass(frozen=True, slots=True)
class Frame:
    """The light of one instant. lit: by LED. lasts: seconds until it changes, at most `RECHECK_S`."""

    lit: Mapping[str, bool]
    lasts: float


def frame_at(patterns: Mapping[str, Pattern], t: float) -> Frame:
    """Return the light `t` seconds after `patterns` began, for LEDs that can only be on or off."""
    changes = [change for p in patterns.values() if (change := next_change_at(p, t)) is not None]
    lasts = min((change - t for change in changes), default=RECHECK_S)
    return Frame({led: level_at(p, t) > 0 for led, p in patterns.items()}, min(lasts, RECHECK_S))


class GpioPanel:
    """Three LEDs on a Raspberry Pi's header, driven by one thread that sleeps from edge to edge.

    factory: a gpiozero pin factory; None: lgpio on the header's chip. brightness: asked at each edge, 0 to 1.
    warn: told once if the LEDs fail later on; the thread then ends and the daemon goes on.

    Raises:
        ImportError: if gpiozero or lgpio is missing. OSError: if no chip has a known label. Whatever else
        gpiozero raises for a pin that is busy or does not exist.
    """

    def __init__(
        self,
        pins: Pins = Pins(),  # noqa: B008  # an immutable value
        *,
        runtime_dir: Path | None = None,
        factory: Any = None,
        brightness: Callable[[], float] = lambda: 1.0,
        warn: Callable[[str], None] = lambda text: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._factory = lgpio_factory(runtime_dir) if factory is None else factory
        self._leds = open_leds(pins, self._factory)
        self._brightness, self._warn, self._monotonic = brightness, warn, monotonic
        self._state, self._since = NOTHING_YET, monotonic()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._drive, name="panel", daemon=True)
        self._thread.start()

    def set_operating_mode(self, mode: OperatingMode, *, extended: bool = False) -> None:
        """Show a mode. Raises ValueError for a mode that is none."""
        self._show(self._state._replace(mode=str(mode), extended=extended))

    def set_error(self, error: str | None) -> None:
        """Show a fault by its name in `patterns.ERRORS`; None: no fault."""
        self._show(self._state._replace(error=error))

    def close(self) -> None:
        """Put the LEDs out and give the pins back."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=2)
        for led in self._leds.values():
            led.off()
            led.close()
        self._factory.close()

    def _show(self, state: Shown) -> None:
        state.patterns()  # a mode that is none is refused here, not in the thread
        with self._changed:
            if state != self._state:
                self._state, self._since = state, self._monotonic()
                self._changed.notify()

    def _drive(self) -> None:
        lit: dict[str, bool] = {}
        try:
            with self._changed:
                while not self._closing:
                    frame = self._frame()
                    _light(self._leds, frame.lit, lit)
                    lit.update(frame.lit)
                    self._changed.wait(frame.lasts)
        except Exception as error:  # whatever a driver raises, the daemon is worth more than its lamps
            self._warn(
                f"The panel failed and stays as it is: {error!r}. See docs/hardware.md for the wiring."
            )

    def _frame(self) -> Frame:
        level = self._brightness()
        patterns = {led: by_night(pattern, level) for led, pattern in self._state.patterns().items()}
        return frame_at(patterns, max(0.0, self._monotonic() - self._since))


def _light(leds: Mapping[str, Led], wanted: Mapping[str, bool], lit: Mapping[str, bool]) -> None:
    for name, on in wanted.items():
        if lit.get(name) is not on:
            (leds[name].on if on else leds[name].off)()


def open_leds(pins: Pins, factory: Any) -> dict[str, Led]:
    """Return one LED per pin; those already opened are closed again if one fails.

    A factory that gpiozero would choose by itself, after failing to load the right one, is an error.
    """
    import gpiozero

    leds: dict[str, Led] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", gpiozero.PinFactoryFallback)
        warnings.simplefilter("error", gpiozero.NativePinFactoryFallback)
        try:
            for name, pin in pins._asdict().items():
                leds[name] = gpiozero.LED(pin, pin_factory=factory)
        except BaseException:
            for led in leds.values():
                led.close()
            raise
    return leds


def lgpio_factory(runtime_dir: Path | None) -> Any:
    """Return gpiozero's lgpio factory on the header's chip. runtime_dir: where lgpio may make its pipes.

    Raises:
        ImportError: if lgpio is not installed. OSError: if no chip has a known label.
    """
    chip = find_chip()
    if chip is None:
        raise OSError(f"no GPIO chip is called {', '.join(CHIP_LABELS)}")
    if runtime_dir is not None:
        # lgpio makes a pipe in the working directory when it is imported, which may be read-only.
        os.environ["LG_WD"] = str(runtime_dir)
    from gpiozero.pins.lgpio import LGPIOFactory

    return LGPIOFactory(chip=chip)


def find_chip(
    devices: Iterable[Path] | None = None, label_of: Callable[[Path], str | None] | None = None
) -> int | None:
    """Return the number of the header's GPIO chip, found by its label; None if there is none.

    devices: /dev/gpiochip* (None: look there). label_of: asks a device for its label (None: ask the kernel).
    """
    ask = label_of or chip_label
    found = {
        ask(device): device for device in sorted(devices or Path("/dev").glob("gpiochip*"), reverse=True)
    }
    device = next((found[label] for label in CHIP_LABELS if label in found), None)
    return None if device is None else int(device.name.removeprefix("gpiochip"))


GPIO_GET_CHIPINFO = 0x8044B401
"""_IOR(0xB4, 0x01, struct gpiochip_info) of linux/gpio.h: char name[32], char label[32], u32 lines."""


def chip_label(device: Path) -> str | None:
    """Return what the kernel calls a GPIO chip; None if the device cannot be asked."""
    try:
        with device.open("rb") as chip:
            answer = fcntl.ioctl(chip, GPIO_GET_CHIPINFO, bytes(68))
    except OSError:
        return None
    return parse_label(answer)


def parse_label(chipinfo: bytes) -> str:
    """Return the label in a `struct gpiochip_info`."""
    label: bytes = struct.unpack("32s32sI", chipinfo)[1]
    return label.split(b"\0")[0].decode(errors="replace")


def make_panel(
    kind: str,
    pins: Pins | Sequence[int] = Pins(),  # noqa: B008  # an immutable value
    runtime_dir: Path | None = None,
    *,
    brightness: Callable[[], float] = lambda: 1.0,
    warn: Callable[[str], None] = lambda text: None,
    gpio: Callable[..., Panel] = GpioPanel,
) -> tuple[Panel, str | None]:
    """Return the panel of `kind` and None, or a stand-in that shows nothing and why.

    kind: "gpio" and "auto" try the header's LEDs, "recording" keeps what was shown, "null" shows nothing.

    Raises:
        ValueError: for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Panel {kind!r} is not one of {', '.join(KINDS)}.")
    if kind == "recording":
        return RecordingPanel(), None
    if kind == "null":
        return NullPanel(), None
    try:
        return gpio(Pins(*pins), runtime_dir=runtime_dir, brightness=brightness, warn=warn), None
    except Exception as error:  # gpiozero and lgpio raise many kinds; none may stop the daemon
        why = f"{type(error).__name__}: {error}"
    return NullPanel(), f"No LEDs: {why}. Going on without; ORCHESTRATOR_PANEL=null says that none are meant."
