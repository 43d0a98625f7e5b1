"""What the LEDs show, as pure data: patterns told apart by rhythm, not by colour. Standard library only.

A pattern is a repeating row of flashes. Only `act_now` flashes more than three times in a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

LEDS = ("system", "trading", "research")
"""The three positions, from the left."""


class Step(NamedTuple):
    """One flash and the dark after it. brightness: 0 (dark) to 1 (full), while it is on."""

    on_seconds: float
    off_seconds: float
    brightness: float = 1.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A rhythm. steps: repeated for ever; one step without a dark part is steady light.

    Raises:
        ValueError: for no step, a brightness outside 0..1, or a flash without length or dark part.
    """

    name: str
    meaning: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(Step(*step) for step in self.steps))
        if not self.steps:
            raise ValueError(f"Pattern {self.name!r} has no step; give it at least one, as Step(0.5, 0.5).")
        for step in self.steps:
            if not 0 <= step.brightness <= 1:
                raise ValueError(
                    f"Pattern {self.name!r}: brightness {step.brightness} is not within 0 and 1."
                )
            if round(step.on_seconds * 1000) < 1 or (
                not self.is_steady and round(step.off_seconds * 1000) < 1
            ):
                raise ValueError(
                    f"Pattern {self.name!r}: {step} needs an on and an off time of at least 1 ms."
                )

    @property
    def is_steady(self) -> bool:
        """Whether its light never changes."""
        return len(self.steps) == 1 and (self.steps[0].off_seconds == 0 or self.steps[0].brightness == 0)

    @property
    def period(self) -> float:
        """Seconds until it repeats."""
        return sum(step.on_seconds + step.off_seconds for step in self.steps)


def level_at(pattern: Pattern, t: float) -> float:
    """Return the brightness (0 to 1) at `t` seconds after the pattern began; `t` is not negative."""
    if pattern.is_steady:
        return pattern.steps[0].brightness
    into = _into_ms(pattern, t)
    return next(level for edge, level in _edges_ms(pattern) if into < edge)


def next_change_at(pattern: Pattern, t: float) -> float | None:
    """Return the first instant after `t` at which the brightness changes, in seconds after the pattern began;
    None: never."""
    if pattern.is_steady:
        return None
    into = _into_ms(pattern, t)
    begun = _ms(t) - into
    return next((begun + edge) / 1000 for edge, _ in _edges_ms(pattern) if into < edge)


def _ms(t: float) -> int:
    # Whole milliseconds, with a nudge: an edge given in seconds must fall on its own side after rounding.
    return int(t * 1000 + 1e-3)


def _into_ms(pattern: Pattern, t: float) -> int:
    return _ms(t) % round(pattern.period * 1000)


def _edges_ms(pattern: Pattern) -> Iterable[tuple[int, float]]:
    """Yield each part's end and its brightness."""
    at = 0
    for step in pattern.steps:
        at += round(step.on_seconds * 1000)
        yield at, step.brightness
        at += round(step.off_seconds * 1000)
        yield at, 0.0


def _steady(name: str, meaning: str, brightness: float = 1.0) -> Pattern:
    return Pattern(name, meaning, (Step(1, 0, brightness),))


OFF = _steady("off", "nothing to show", 0.0)

LONG, SHORT = Step(0.7, 0.3), Step(0.2, 0.3)
CODE_PAUSE_S = 1.5
"""The dark after a code: five times as long as any dark within it, so that the count has an end."""


def coded(name: str, meaning: str, longs: int, shorts: int) -> Pattern:
    """Return a fault's code: `longs` long flashes, `shorts` short ones, and a pause."""
    flashes = [LONG] * longs + [SHORT] * shorts
    flashes[-1] = flashes[-1]._replace(off_seconds=CODE_PAUSE_S)
    return Pattern(name, meaning, tuple(flashes))


@dataclass(frozen=True, slots=True)
class Fault:
    """What the panel can complain of. remedy: the next thing to do."""

    name: str
    meaning: str
    remedy: str
    pattern: Pattern


def _fault(name: str, code: tuple[int, int], meaning: str, remedy: str) -> Fault:
    return Fault(name, meaning, remedy, coded(name, meaning, *code))


ACT_NOW = Pattern("act_now", "act now: positions or orders need a person", (Step(0.1, 0.1),))

_FAULTS = (
    Fault("act_now", ACT_NOW.meaning, "`orchestratorctl status`, then the broker's own screen", ACT_NOW),
    _fault("needs_reconcile", (4, 1), "a run that works orders was lost", "`orchestratorctl reconcile`"),
    _fault("duty_late", (4, 2), "a trading duty is late, or will be", "`orchestratorctl why TASK`"),
    _fault(
        "clock_unsynced",
        (1, 1),
        "the clock is not known to be right; no trading",
        "check the network and NTP",
    ),
    _fault(
        "calendar_stale",
        (1, 2),
        "no session is known for today; no trading",
        "`orchestratorctl run refresh_sessions`",
    ),
    _fault(
        "calendar_disagrees",
        (1, 3),
        "calendar and broker disagree",
        "`orchestratorctl calendar`, then the overrides file",
    ),
    _fault("store_failing", (2, 1), "the state cannot be written", "check the disk; `orchestratorctl check`"),
    _fault("disk_full", (2, 2), "the disk is nearly full", "`orchestratorctl run cleanup_logs`"),
    _fault("tasks_invalid", (2, 3), "a file of yours is wrong; the old one holds", "`orchestratorctl check`"),
    _fault("undervoltage", (3, 1), "the supply is too weak", "a better supply or cable"),
    _fault("overheating", (3, 2), "the box is too hot; no research starts", "air, a heat sink or a fan"),
    _fault("memory_low", (3, 3), "other programs hold the memory", "`orchestratorctl status`"),
    _fault("network_down", (3, 4), "there is no way to the network", "check the cable or the radio"),
    _fault("quarantined", (4, 3), "a task failed again and again", "`orchestratorctl tasks`, then its log"),
    _fault("unknown_fault", (4, 4), "a fault without a code of its own", "`orchestratorctl status`"),
)

ERRORS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _FAULTS})
"""Faults by name, the worst first. A fault overrides the mode: its code is on the system LED alone."""

ON_ALL_LEDS = frozenset({"act_now"})

_PLAIN = (
    OFF,
    Pattern("starting", "the daemon has begun, no turn is done yet", (Step(0.9, 0.1),)),
    Pattern("system_healthy", "the box is well", (Step(0.1, 2.9),)),
    _steady("trading_active", "trading hours: duties on time come first"),
    Pattern("trading_pending", "preparation: trading comes next", (Step(2.0, 2.0),)),
    Pattern("research_evolving", "research time", (Step(0.5, 0.5),)),
    Pattern(
        "research_extended",
        "research time over a weekend or a holiday",
        (Step(0.5, 0.5), Step(0.5, 0.5), Step(1.5, 0.5)),
    ),
)

PATTERNS: Mapping[str, Pattern] = MappingProxyType(
    {pattern.name: pattern for pattern in (*_PLAIN, *(fault.pattern for fault in _FAULTS))}
)
"""Every pattern by name."""

OPERATING_MODE_LED_MAP: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "trading": {"system": "system_healthy", "trading": "trading_active"},
        "research": {"system": "system_healthy", "research": "research_evolving"},
        "prep": {"system": "system_healthy", "trading": "trading_pending"},
    }
)
"""An operating mode's LEDs and the pattern of each; an LED that is not named is dark."""

EXTENDED = MappingProxyType({"research_evolving": "research_extended"})
"""What takes a pattern's place in an extended window."""


def fault_of(name: str) -> Fault:
    """Return the fault called `name`; `unknown_fault` where there is none, since a panel never refuses."""
    return ERRORS.get(name, ERRORS["unknown_fault"])


def worst_of(names: Iterable[str]) -> str | None:
    """Return the worst of several faults by the order of `ERRORS`; None for none."""
    rank = {name: place for place, name in enumerate(ERRORS)}
    return min(names, key=lambda name: (rank.get(name, len(rank)), name), default=None)


def shown(mode: str | None, *, extended: bool = False, error: str | None = None) -> dict[str, Pattern]:
    """Return what each LED shows. mode: a key of `OPERATING_MODE_LED_MAP`, None before the first turn.

    Raises:
        ValueError: for a mode that is none.
    """
    if error is not None:
        pattern = fault_of(error).pattern
        return {led: pattern if led == "system" or error in ON_ALL_LEDS else OFF for led in LEDS}
    if mode is None:
        return dict.fromkeys(LEDS, PATTERNS["starting"])
    if mode not in OPERATING_MODE_LED_MAP:
        known = ", ".join(OPERATING_MODE_LED_MAP)
        raise ValueError(f"Operating mode {mode!r} is not one of {known}.")
    names = dict(OPERATING_MODE_LED_MAP[mode])
    if extended:
        names = {led: EXTENDED.get(name, name) for led, name in names.items()}
    return {led: PATTERNS[names.get(led, "off")] for led in LEDS}


NIGHT_FLASH_S = 0.03
"""The shortest flash by night: still seen in a dark room."""
NIGHT_STEADY = Step(0.2, 4.8)
"""What steady light becomes by night on LEDs that can only be on or off."""


def by_night(pattern: Pattern, brightness: float) -> Pattern:
    """Return `pattern` for LEDs that can only be on or off: as many flashes, as far apart, each shorter.

    brightness: 0 to 1; 1 changes nothing, 0 is dark. A fault is never dimmed: its code has to be read.
    """
    if brightness >= 1 or pattern.name in ERRORS or pattern == OFF:
        return pattern
    if brightness <= 0:
        return OFF
    if pattern.is_steady:
        return replace(pattern, steps=(NIGHT_STEADY,))
    return replace(pattern, steps=tuple(_shorter(step, brightness) for step in pattern.steps))


def _shorter(step: Step, brightness: float) -> Step:
    on = min(step.on_seconds, max(NIGHT_FLASH_S, step.on_seconds * brightness))
    return Step(on, step.on_seconds + step.off_seconds - on, step.brightness)


def timeline(pattern: Pattern, seconds: float = 6.0, per_second: int = 10) -> str:
    """Return the pattern as text, one character for each part of a second: `#` on, `+` dim, `.` dark."""
    levels = (level_at(pattern, (i + 0.5) / per_second) for i in range(round(seconds * per_second)))
    return "".join("#" if level > 0.5 else "+" if level > 0 else "." for level in levels)
