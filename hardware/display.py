"""What the small display on the box says: 128 x 64 pixels, a headline and six lines of 21 characters.

Pure: a state and an instant in, pictures in words out; `hardware.oled` draws them. Whatever stands for long
moves by a pixel now and then, and by night the display is dim, or dark while there is nothing to say: an OLED
wears where it shines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from hardware.patterns import fault_of

WIDTH, HEIGHT = 21, 6
"""Characters of a line at 6 pixels each, and lines of 8 pixels below a headline of 16."""
PAGE_S = 5
"""How long each of several pages stands."""
LIT_S = 60
"""How long a press lights a display that was dark."""
MOVE_S = 600
"""How often the picture moves."""
MOVES = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1))
"""Where it moves: pixels to the right and down. What is drawn leaves that much room."""
EXTENDED = "EXTENDED"


class Light(StrEnum):
    """How bright the display is."""

    FULL = "full"
    DIM = "dim"
    DARK = "dark"


class Run(NamedTuple):
    """A task that runs. share: of its predicted time, what has passed; more than 1: it takes longer."""

    name: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayState:
    """What there is to show. None: unknown, or nothing of the kind.

    mode: "research" and its like; None: no daemon runs, or it cannot be known. is_unread: a daemon runs, and
    its state cannot be read: nothing else is known. now, next_change: aware, in the zone to be shown.
    extended: it is research time of a window with more than 12 hours of it. window: what kind of window it is
    as "holiday weekend 80 h" or "market open". next_name: what comes then, as "PREP". running: the one that
    ends first comes first. waiting: how many are due and wait. alerts: the texts of those that nobody has
    acknowledged, the worst first. fault: of `patterns.ERRORS`. paused: "research" or "all".
    """

    mode: str | None
    now: datetime
    is_unread: bool = False
    extended: bool = False
    window: str = ""
    next_name: str | None = None
    next_change: datetime | None = None
    running: Sequence[Run] = ()
    waiting: int = 0
    alerts: Sequence[str] = ()
    fault: str | None = None
    paused: str | None = None
    temperature_c: float | None = None
    memory_free_mb: float | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it has something to say that must not wait for the morning."""
        return self.mode is None or self.fault is not None or bool(self.alerts)


class Row(NamedTuple):
    """One line. share: a bar in its place, filled so far (0 to 1), with the text at its right end.
    reversed: dark on light, for what is not as usual."""

    text: str
    share: float | None = None
    reversed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One page. headline: in large letters; clock: beside it, where there is room."""

    headline: str
    clock: str
    rows: tuple[Row, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The words of the rows."""
        return tuple(row.text for row in self.rows)


def lines_for(state: DisplayState) -> tuple[str, ...]:
    """Return the words of the first page, the headline first, each at most `WIDTH` characters."""
    face = face_of(state)
    return (face.headline, *face.lines)


def pages_of(state: DisplayState) -> tuple[Picture, ...]:
    """Return the pages that take turns: the face, and what is wrong with what to do about it."""
    pages = [face_of(state)]
    if state.fault is not None:
        pages.append(_fault_page(state, state.fault))
    if state.alerts:
        pages.append(_alert_page(state))
    return tuple(pages)


def page_at(state: DisplayState, seconds: float) -> Picture:
    """Return the page whose turn it is; seconds: of a clock that only goes forward."""
    pages = pages_of(state)
    return pages[int(seconds // PAGE_S) % len(pages)]


def face_of(state: DisplayState) -> Picture:
    """Return the first page: mode, window, what comes next, what runs, and how the box is."""
    if state.is_unread:
        rows = ("A daemon is running;", "its state cannot be", "read.", "orchestratorctl check", "")
        return _page(state, "NOT KNOWN", [*map(Row, rows), _foot(state)])
    if state.mode is None:
        rows = ("No daemon is running.", "No duty will start.", "", "systemctl status", "daily-orchestrator")
        return _page(state, "DAEMON DOWN", [*map(Row, rows), _foot(state)])
    mode = state.mode.upper()
    headline = f"{mode} {EXTENDED}" if state.extended else mode
    return _page(
        state, headline, [Row(state.window), _next(state), *_running(state), _rest(state), _foot(state)]
    )


def _page(state: DisplayState, headline: str, rows: Sequence[Row]) -> Picture:
    cut = tuple(row._replace(text=_cut(row.text)) for row in rows[:HEIGHT])
    return Picture(headline=_cut(headline), clock=f"{state.now:%H:%M}", rows=cut)


def _next(state: DisplayState) -> Row:
    if state.next_name is None or state.next_change is None:
        return Row("next: unknown")
    left, words = state.next_change - state.now, f"{state.next_name} in "
    whole = words + _span(left)
    return Row(whole if len(whole) <= WIDTH else words + _span(left, "{}h{:02}m"))


def _span(left: timedelta, form: str = "{} h {:02} min") -> str:
    minutes = max(0, round(left.total_seconds() / 60))
    return form.format(*divmod(minutes, 60)) if minutes >= 60 else f"{minutes} min"


def _running(state: DisplayState) -> tuple[Row, Row]:
    """Return the first run's name, and its progress against its prediction."""
    if not state.running:
        return Row("nothing runs"), Row("")
    name, share = state.running[0]
    percent = f"{100 * share:.0f}%" if share < 10 else ">9x"
    return Row(name), Row(percent, share=min(1.0, max(0.0, share)))


def _rest(state: DisplayState) -> Row:
    """Return how much more runs and waits, and whether a person has paused the box."""
    more, wait = len(state.running) - 1, state.waiting
    if state.paused is None:
        return Row("  ".join([f"+{more} more"] * (more > 0) + [f"{wait} wait"] * (wait > 0)))
    paused = "PAUSED ALL" if state.paused == "all" else "PAUSED"
    return Row(" ".join([paused, *[f"+{more}"] * (more > 0), *[f"{wait} wait"] * (wait > 0)]), reversed=True)


def _foot(state: DisplayState) -> Row:
    if state.fault is not None:
        return Row(f"! {fault_of(state.fault).meaning}", reversed=True)
    if state.alerts:
        count = len(state.alerts)
        return Row(f"! {count} alert{'' if count == 1 else 's'} to see", reversed=True)
    heat = "? C" if state.temperature_c is None else f"{state.temperature_c:.0f} C"
    memory = "? MB" if state.memory_free_mb is None else f"{state.memory_free_mb:.0f} MB free"
    return Row(f"{heat}  {memory}")


def _fault_page(state: DisplayState, name: str) -> Picture:
    """Return what is wrong, and the next thing to do."""
    fault = fault_of(name)
    meaning = _wrapped(fault.meaning)
    remedy = _wrapped("> " + fault.remedy.replace("`", ""), HEIGHT - len(meaning))
    return _page(state, fault.name.replace("_", " ").upper(), [*map(Row, meaning), *map(Row, remedy)])


def _alert_page(state: DisplayState) -> Picture:
    """Return the worst alert that nobody has acknowledged."""
    count = len(state.alerts)
    headline = "ALERT" if count == 1 else f"ALERT 1 OF {count}"
    lines = _wrapped(state.alerts[0], HEIGHT - 1)
    blank = [""] * (HEIGHT - 1 - len(lines))
    return _page(state, headline, [*map(Row, [*lines, *blank]), Row("short press: seen", reversed=True)])


def answer_page(state: DisplayState, headline: str, text: str) -> Picture:
    """Return what the button did or will do."""
    return _page(state, headline, [Row(line) for line in _wrapped(text)])


def _wrapped(text: str, most: int = HEIGHT) -> list[str]:
    """Return `text` in lines, cut where it is too long."""
    lines = textwrap.wrap(text, WIDTH)
    if len(lines) > most:
        lines = [*lines[: most - 1], _cut(f"{lines[most - 1]}{'~' * WIDTH}")]
    return lines


def _cut(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"


def light_at(state: DisplayState, *, is_night: bool, since_press_s: float) -> Light:
    """Return how bright it is: by night it is dark, and dim for what must not wait and after a press."""
    if not is_night:
        return Light.FULL
    return Light.DIM if state.is_urgent or since_press_s < LIT_S else Light.DARK


def shift_at(seconds: float) -> tuple[int, int]:
    """Return by how many pixels the picture is moved; seconds: of a clock that only goes forward."""
    return MOVES[int(seconds // MOVE_S) % len(MOVES)]
