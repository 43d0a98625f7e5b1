"""`orchestratorctl top`: the dashboard's first page, live in a terminal.

It reads the database beside the daemon, which never notices. It fits on 80 x 24; on less its end is missing.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from orchestration.ctl import words
from orchestration.ctl.app import AsJson, command, desk_of, print_json
from orchestration.ctl.desk import Desk, View
from orchestration.ctl.exits import Failure
from orchestration.errors import StoreError

if TYPE_CHECKING:
    from rich.text import Text

    from orchestration.ctl.present import Running

REFRESH_S = 2.0
"""How old what is shown may be: time and memory go on without a row."""
LOOK_S = 0.5
"""How often it is looked whether the daemon has written anything."""
MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}
STYLES = {"ok": "bold green", "warn": "bold yellow", "fail": "bold red"}
ENDING = ("q", "Q", "\x03", "\x04", "\x1b")
NAME_WIDTH, BAR, RUN_BAR = 24, 12, 8
MOST_WRONG, MOST_NEXT = 4, 3


@command("top")
def top(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the box live: is all well, what runs against its prediction, what comes next. q ends it.

    It costs the daemon nothing. Where the output is no terminal, and with --json, it is printed once.
    """
    from orchestration.ctl.beside import view_beside
    from orchestration.ctl.tables import console

    desk = desk_of(ctx)
    if as_json:
        print_json(to_json(view_beside(desk)))
        return
    if once or not sys.stdout.isatty():
        made = console()
        for line in lines(view_beside(desk), desk.zone, made.width):
            made.print(line)
        return
    with keyboard() as keys:
        show(desk, keys)


def to_json(view: View) -> dict[str, Any]:
    """Return what is shown as JSON-ready values; `status --json` has the rest."""
    from dataclasses import asdict

    from orchestration.ctl import present
    from orchestration.slots import iso

    found = present.verdict(view)
    return {
        "at": view["at"],
        "mode": view["mode"],
        "phase": view["phase"],
        "window": view["window"],
        "level": found.level,
        "headline": found.headline,
        "wrong": list(found.wrong),
        "alerts": view["alerts"],
        "research_hours": asdict(present.research_hours(view)),
        "running": [asdict(run) for run in present.running(view)],
        "coming": [{"at": iso(entry.at), "text": entry.text} for entry in present.coming(view)],
    }


# --- live -------------------------------------------------------------------------------------------------


class Keys(Protocol):
    """Where a person's keys come from."""

    def pressed(self, timeout_s: float) -> str:
        """Wait for a key, at most so long; return it, "" for none."""
        ...


class Terminal:
    """The keys of a terminal that hands them over one by one."""

    def pressed(self, timeout_s: float) -> str:
        """See `Keys`."""
        ready, _, _ = select.select([sys.stdin], [], [], timeout_s)
        return os.read(sys.stdin.fileno(), 8).decode(errors="replace")[:1] or "q" if ready else ""


class Nobody:
    """No keyboard: only a signal ends it."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def pressed(self, timeout_s: float) -> str:
        """See `Keys`."""
        self._sleep(timeout_s)
        return ""


@contextmanager
def keyboard() -> Iterator[Keys | None]:
    """Give the keys one by one and unechoed, and the terminal back as it was; None: there is no keyboard."""
    if not sys.stdin.isatty():
        yield None
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield Terminal()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def show(desk: Desk, keys: Keys | None) -> None:
    """Draw the view whenever it may have changed, until a key or Ctrl-C ends it."""
    from rich.live import Live

    from orchestration.ctl.beside import stamp
    from orchestration.ctl.tables import console

    made = console()
    ask = keys or Nobody(desk.clock.sleep)
    try:
        with Live(console=made, screen=True, auto_refresh=False) as live:
            while True:
                seen, drawn_at = stamp(desk), desk.clock.monotonic()
                live.update(_screen(desk, made.width, made.height), refresh=True)
                while stamp(desk) == seen and desk.clock.monotonic() - drawn_at < REFRESH_S:
                    if ask.pressed(LOOK_S) in ENDING:
                        return
    except KeyboardInterrupt:
        return


def _screen(desk: Desk, width: int, height: int) -> Text:
    """Return what fits the terminal; a database that cannot be read is said, and read again the next time."""
    from rich.text import Text

    from orchestration.ctl.beside import view_beside

    try:
        found = lines(view_beside(desk), desk.zone, width, height - 1)
        for line in found:
            line.truncate(width, overflow="ellipsis")
    except (StoreError, Failure) as error:
        found = [Text(f"cannot be read: {error}", "bold red")]
    foot = Text("q ends", "dim")
    blank = [Text("")] * max(0, height - 1 - len(found))
    return Text("\n", no_wrap=True, overflow="ellipsis").join([*found, *blank, foot])


# --- what is drawn ----------------------------------------------------------------------------------------


def lines(view: View, zone: tzinfo, width: int, height: int | None = None) -> list[Text]:
    """Return the view in lines for a terminal so wide; at most `height` of them, None: all it takes."""
    from orchestration.ctl import present

    now = datetime.fromisoformat(view["at"])
    head = [_title(view, zone, now, width), *_verdict(view, zone)]
    facts = _facts(view, zone, now)
    coming = _coming(view, zone, now)
    running = [_run(run) for run in present.running(view)]
    room = None if height is None else height - len(head) - len(facts) - len(coming) - 3
    shown = [*head, *_blank(), *facts, *_blank(), *_runs(running, room), *_blank(), *coming]
    return shown if height is None else shown[:height]


def _blank() -> list[Text]:
    from rich.text import Text

    return [Text("")]


def _title(view: View, zone: tzinfo, now: datetime, width: int) -> Text:
    from rich.text import Text

    made = Text(view["mode"].upper(), "bold").append(f" {view['phase'].replace('_', ' ').lower()}", "")
    if view["budget"]["is_extended"]:
        made.append("  EXTENDED", "bold magenta")
    made.append(f"  {view['budget']['budget_type'].replace('_', ' ')} budget", "dim")
    if view["paused"]:
        what = "everything" if view["paused"] == "all" else "research"
        made.append(f"  paused: {what}", "bold yellow")
    clock = words.instant(now, zone, now)
    room = width - made.cell_len - len(clock)
    return made.append(" " * room + clock, "dim") if room > 0 else made


def _verdict(view: View, zone: tzinfo) -> list[Text]:
    from rich.text import Text

    from orchestration.ctl import present

    found = present.verdict(view)
    made = [Text(f"{MARKS[found.level]} {found.headline}", STYLES[found.level])]
    down = present.down_since(view, zone)
    more = [down] if down else []
    more += found.wrong[1:]
    more += found.others
    made += [Text(f"  {text}", "yellow") for text in more[:MOST_WRONG]]
    rest = len(more) - MOST_WRONG
    return [*made, Text(f"  and {rest} more: orchestratorctl status", "yellow")] if rest > 0 else made


def _facts(view: View, zone: tzinfo, now: datetime) -> list[Text]:
    from orchestration.ctl import present

    hours, resources, share = present.research_hours(view), view["resources"], present.window_share(view)
    used = resources["total_mb"] - resources["available_mb"]
    window = f"{view['window']}, ends {words.away(view['window_end'], now)}"
    change = f"{words.instant(view['next_change'], zone, now)} ({words.away(view['next_change'], now)})"
    if hours.begun:
        prep = words.instant(view["prep_start"], zone, now)
        research = f"{hours.used:.1f} h used, {hours.left:.1f} h left, PREP from {prep}"
    else:
        research = f"{hours.whole:.1f} h from {words.instant(view['research_start'], zone, now)}"
    memory = f"{words.megabytes(used)} used, {words.megabytes(resources['available_mb'])} free"
    return [
        _fact("window", window, None if share is None else (share, 1.0)),
        _fact("research", research, (hours.used, hours.whole) if hours.begun and hours.whole else None),
        _fact("memory", memory, (used, resources["total_mb"])),
        _fact("next change", change, None),
        _fact("LEDs", _leds(view), None),
    ]


def _leds(view: View) -> str:
    """Return what the LEDs mean that are lit, and which are dark."""
    from orchestration.ctl import present

    shown = present.leds(view)
    lit = [f"{name}: {pattern.meaning}" for name, pattern in shown.items() if pattern.name != "off"]
    dark = [name for name, pattern in shown.items() if pattern.name == "off"]
    return "; ".join([*lit, *([f"{', '.join(dark)}: dark"] if dark else [])])


def _fact(name: str, text: str, part: tuple[float, float] | None) -> Text:
    from rich.text import Text

    made = Text(f"{name:<12}", "bold")
    bar = f"{words.bar(*part, BAR)} {100 * part[0] / part[1]:3.0f} %  " if part and part[1] else ""
    return made.append(bar, "cyan").append(text, "")


def _runs(running: Sequence[Text], room: int | None) -> list[Text]:
    """Return the runs that fit under their heading; `room`: lines for both."""
    from rich.text import Text

    if not running:
        return [Text("nothing is running", "dim")]
    fits = len(running) if room is None else max(1, room - 1)
    shown = list(running) if len(running) <= fits else list(running[: fits - 1])
    head = f"{'running':<{NAME_WIDTH}} {'time':<{RUN_BAR + 1}} {'memory':<{RUN_BAR + 1}}"
    rest = [Text(f"and {len(running) - len(shown)} more", "dim")] if len(shown) < len(running) else []
    return [Text(head, "bold"), *shown, *rest]


def _run(run: Running) -> Text:
    from rich.text import Text

    late = "bold yellow" if run.overdue else ""
    name = run.task if len(run.task) <= NAME_WIDTH else run.task[: NAME_WIDTH - 1] + "…"
    bar = "" if run.ahead else words.bar(run.share, 1.0, RUN_BAR)
    made = Text(f"{name:<{NAME_WIDTH}} ").append(f"{bar:<{RUN_BAR + 1}} ", late or "cyan")
    memory = "" if run.memory_share is None else words.bar(run.memory_share, 1.0, RUN_BAR)
    made.append(f"{memory:<{RUN_BAR + 1}} ", "magenta" if (run.memory_share or 0) <= 1 else "bold yellow")
    stopping = f", stopping: {run.stopping}" if run.stopping else ""
    return made.append(run.said + stopping, late)


def _coming(view: View, zone: tzinfo, now: datetime) -> list[Text]:
    from rich.text import Text

    from orchestration.ctl import present

    if view["daemon"] is None:
        return [Text("nothing happens until a daemon runs", "dim")]
    made = [Text("next", "bold")]
    for entry in present.coming(view)[:MOST_NEXT]:
        at = f"{words.instant(entry.at, zone, now)}, {words.away(entry.at, now)}"
        made.append(Text(f"  {at:<30} {entry.text}"))
    return made
