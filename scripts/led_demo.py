"""Show every LED pattern: on the LEDs where there are some, else in the terminal.

    led_demo.py                  each pattern for three seconds, in turn
    led_demo.py --list           every pattern as a line of six seconds
    led_demo.py --pattern disk_full --seconds 10
    led_demo.py --night 0.1      as it looks by night
    led_demo.py --markdown       the tables of docs/hardware.md

Exit codes: 0 done (also after Ctrl-C), 2 wrong use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hardware.panel import Pins, find_chip, frame_at, lgpio_factory, open_leds
from hardware.patterns import (
    ERRORS,
    LEDS,
    OFF,
    ON_ALL_LEDS,
    OPERATING_MODE_LED_MAP,
    PATTERNS,
    Pattern,
    by_night,
    timeline,
)
from orchestration.clock import SystemClock

EACH_S = 3.0
LIST_S = 6.0
COLOURS = {"system": "97", "trading": "94", "research": "93"}  # white, blue, amber: no red beside green


class Sleeper(Protocol):
    """The clock a demo needs."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


Light = Callable[[str, Mapping[str, bool]], None]


def main(
    argv: Sequence[str] | None = None,
    out: TextIO | None = None,
    clock: Sleeper | None = None,
    leds: object = None,
) -> int:
    """Show patterns; return the exit code. leds: a gpiozero pin factory to use instead of the header's."""
    args = _arguments(argv)
    stream = sys.stdout if out is None else out
    patterns = [PATTERNS[args.pattern]] if args.pattern else list(PATTERNS.values())
    if args.night is not None:
        patterns = [by_night(pattern, args.night) for pattern in patterns]
    if args.markdown:
        stream.write("\n".join(markdown()) + "\n")
        return 0
    has_leds = leds is not None or (find_chip() is not None and not args.terminal)
    if args.list or not (has_leds or stream.isatty()):
        stream.write("\n".join(listing(patterns)) + "\n")
        return 0
    seconds = args.seconds or EACH_S
    try:
        if has_leds:
            _on_leds(patterns, seconds, clock or SystemClock(), stream, leds)
        else:
            animate(patterns, seconds, clock or SystemClock(), _terminal(stream))
            stream.write("\n")
    except KeyboardInterrupt:
        stream.write("\n")
    return 0


def listing(patterns: Iterable[Pattern]) -> list[str]:
    """Return each pattern as a line: name, six seconds of it, where it is shown, meaning."""
    head = f"{'':20} 0s{'1s':>9}" + "".join(f"{f'{second}s':>10}" for second in range(2, 6))
    return [head, *(f"{p.name:20} {timeline(p, LIST_S)} {where(p.name):24} {p.meaning}" for p in patterns)]


def where(name: str) -> str:
    """Return the LEDs on which a pattern is shown."""
    if name in ON_ALL_LEDS or name in ("starting", "off"):
        return "all"
    if name in ERRORS or name == "system_healthy":
        return "system"
    return "research" if name.startswith("research") else "trading"


def animate(patterns: Iterable[Pattern], seconds: float, clock: Sleeper, light: Light) -> None:
    """Show each pattern for `seconds`, sleeping from edge to edge."""
    for pattern in patterns:
        shown = {led: pattern if where(pattern.name) in (led, "all") else OFF for led in LEDS}
        begun = clock.monotonic()
        while (t := clock.monotonic() - begun) < seconds:
            frame = frame_at(shown, t)
            light(f"{pattern.name:20} {pattern.meaning}", frame.lit)
            clock.sleep(min(frame.lasts, seconds - t))


def _terminal(stream: TextIO) -> Light:
    def light(caption: str, lit: Mapping[str, bool]) -> None:
        lamps = "  ".join(
            f"\x1b[{COLOURS[led] if lit[led] else '90'}m{'●' if lit[led] else '○'} {led}\x1b[0m"
            for led in LEDS
        )
        stream.write(f"\r\x1b[K{lamps}   {caption}")
        stream.flush()

    return light


def _on_leds(
    patterns: Iterable[Pattern], seconds: float, clock: Sleeper, stream: TextIO, factory: object
) -> None:
    lamps = open_leds(Pins(), factory or lgpio_factory(None))
    said = ""

    def light(caption: str, lit: Mapping[str, bool]) -> None:
        nonlocal said
        if caption != said:
            stream.write(f"{caption}\n")
            said = caption
        for name, lamp in lamps.items():
            (lamp.on if lit[name] else lamp.off)()

    try:
        animate(patterns, seconds, clock, light)
    finally:
        for lamp in lamps.values():
            lamp.off()
            lamp.close()


def markdown() -> list[str]:
    """Return the tables of docs/hardware.md: modes, patterns, faults."""
    modes = [
        f"| {mode} | " + " | ".join(f"`{leds[led]}`" if led in leds else "dark" for led in LEDS) + " |"
        for mode, leds in OPERATING_MODE_LED_MAP.items()
    ]
    plain = [
        f"| `{p.name}` | `{timeline(p, LIST_S)}` | {p.meaning} |"
        for p in PATTERNS.values()
        if p.name not in ERRORS
    ]
    faults = [f"| `{f.name}` | {code(f.pattern)} | {f.meaning} | {f.remedy} |" for f in ERRORS.values()]
    return [
        "| mode | system | trading | research |",
        "|---|---|---|---|",
        *modes,
        "",
        "| pattern | six seconds of it | meaning |",
        "|---|---|---|",
        *plain,
        "",
        "| fault | flashes | meaning | what to do |",
        "|---|---|---|---|",
        *faults,
    ]


def code(pattern: Pattern) -> str:
    """Return a fault's flashes in words, as `2 long, 1 short`."""
    if len(pattern.steps) == 1:
        return f"all three LEDs, {1 / pattern.period:.0f} a second"
    longs = sum(step.on_seconds > 0.5 for step in pattern.steps)
    return f"{longs} long, {len(pattern.steps) - longs} short"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="led_demo.py", description="Show every LED pattern.")
    parser.add_argument("--list", action="store_true", help="print every pattern as six seconds of text")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/hardware.md")
    parser.add_argument("--pattern", choices=sorted(PATTERNS), metavar="NAME", help="show this one only")
    parser.add_argument("--seconds", type=_positive, metavar="N", help=f"how long each is shown ({EACH_S:g})")
    parser.add_argument("--night", type=_fraction, metavar="LEVEL", help="as by night, brightness 0 to 1")
    parser.add_argument("--terminal", action="store_true", help="in the terminal even if there are LEDs")
    return parser.parse_args(argv)


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _fraction(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
