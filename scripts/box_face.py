"""The box's face: the small display, and the button beside it. A service of its own.

    box_face.py

It reads the databases beside the daemon, and orders what the button asks for through control.db, as
orchestratorctl does. A short press: alerts are seen; 2 s: pause research, or go on; 8 s: pause everything and
stop in order, which holds through every restart until a press of 2 s. Settings: ORCHESTRATOR_DISPLAY,
ORCHESTRATOR_BUTTON, ORCHESTRATOR_NIGHT (.env.example); docs/hardware.md has the wiring.

Exit codes: 0 stopped, or there is neither a display nor a button; 78 the settings are wrong.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy.exc import SQLAlchemyError

from hardware.buttons import Press, make_button, press_meaning
from hardware.display import DisplayState, Light, Picture, Run, answer_page, light_at, page_at, shift_at
from hardware.integration import Night, brightness_at
from hardware.oled import Display, make_display, render
from observability.dashboard.source import Source
from observability.metric_families import BY_THE_HOUR
from orchestration.ctl import present
from orchestration.ctl.client import Daemon, WaitingClock
from orchestration.ctl.desk import Desk, View
from orchestration.ctl.exits import NOT_RUNNING, Failure
from orchestration.errors import CalendarError, ControlError, OrchestratorError, SettingsError, SpecError
from orchestration.instance import signal_daemon
from orchestration.state.history import load_stored

EX_CONFIG = 78
LOOK_S = 0.5
"""How often it looks whether a database has changed, and waits for a press at most."""
HELD_LOOK_S = 0.1
REFRESH_S = 10.0
"""How old what is shown may be while nothing is written: memory and heat."""
ANSWER_S = 3.0
RETRY_S = 60.0
"""How often a display that has failed is looked for."""
SEVERITIES = ("critical", "error", "warning", "info")
CLOSED = ("OVERNIGHT", "WEEKEND", "HOLIDAY")
AT_PHASE_END = {"PRE_MARKET": "open", "MARKET_OPEN": "close", "POST_MARKET": "research"}
LETTING_GO = {
    Press.ACKNOWLEDGE: "acknowledges every alert. Hold 2s to pause or go on, 8s to stop.",
    Press.PAUSE_RESUME: "pauses research, or goes on. Hold 8s to stop everything.",
    Press.SAFE_STOP: "pauses everything and stops all runs in order.",
    None: "does nothing.",
}


# --- what is shown ----------------------------------------------------------------------------------------


def state_of(view: View, now: datetime) -> DisplayState:
    """Return what the display says of a view. now: in the zone to be shown."""
    mode = view["mode"] if view["daemon"] else None
    alerts = [alert for alert in view["alerts"] if alert["acknowledged_at"] is None]
    alerts.sort(
        key=lambda alert: SEVERITIES.index(alert["severity"]) if alert["severity"] in SEVERITIES else 0
    )
    name, at = _next(view)
    return DisplayState(
        mode=mode,
        now=now,
        extended=mode == "research" and view["budget"]["is_extended"],
        window=_window(view),
        next_name=name,
        next_change=datetime.fromisoformat(at),
        running=[Run(run.task, run.share) for run in present.running(view)],
        waiting=sum(_waits(task) for task in view["tasks"]),
        alerts=[alert["text"] for alert in alerts],
        fault=view["fault"],
        paused=view["paused"] or None,
        temperature_c=view["resources"]["temperature_c"],
        memory_free_mb=view["resources"]["available_mb"],
    )


def _window(view: View) -> str:
    """Return the kind of window and its research hours; while the market's day lasts, its part."""
    if view["phase"] not in CLOSED:
        return str(view["phase"]).replace("_", " ").lower()
    kind = str(view["budget"]["budget_type"]).replace("_", " ")
    return f"{kind} {present.research_hours(view).whole:.0f} h"


def _next(view: View) -> tuple[str, str]:
    if view["mode"] == "research" and view["phase"] in CLOSED:
        return "PREP", view["prep_start"]
    return AT_PHASE_END.get(view["phase"], "pre market"), view["next_change"]


def _waits(task: Mapping[str, Any]) -> bool:
    """Whether a task's hour is there and something else holds it back."""
    failures = {gate["reason"] for gate in task["failures"]}
    return task["status"] == "waiting" and bool(failures) and not failures & BY_THE_HOUR


# --- what the button does ---------------------------------------------------------------------------------


def carry_out(press: Press, daemon: Daemon, state_dir: Path, is_paused: bool) -> str:
    """Do what a press asks for and return the answer. Each order is an event of the daemon's, by "button"."""
    try:
        if press is Press.SAFE_STOP:
            return _stop(daemon, state_dir)
        if press is Press.ACKNOWLEDGE:
            return daemon.ask("acknowledge", all="true", by="button").text
        answer = daemon.ask("resume" if is_paused else "pause", by="button")
        said = "Goes on." if is_paused else "Research is paused. Hold 2s to go on."
        return said if answer.ok else answer.text
    except Failure as error:
        return "No daemon is running." if error.code == NOT_RUNNING else f"Failed: {error}"
    except ControlError as error:
        return f"Failed: {error}"


def _stop(daemon: Daemon, state_dir: Path) -> str:
    """Pause everything, then have the daemon stop its runs in order and end.

    The pause makes it last: systemd starts the daemon again, as does the end of a power cut, but paused.
    """
    daemon.ask("pause", all="true", by="button", then="stop")
    signal_daemon(state_dir, signal.SIGTERM)
    return "All is paused, runs are stopping. Hold 2s to go on."


# --- the process ------------------------------------------------------------------------------------------


class Face:
    """Shows the box on `display` and carries presses out. Whatever fails is said once, and tried again.

    display: None: there is none. reopen: looks for a display that was lost. held: for how long the button has
    been down, in seconds. night: when it is dim or dark, in the box's own local time. say: where lines go.
    """

    def __init__(
        self,
        source: Source,
        display: Display | None,
        *,
        night: tuple[time, time] | None = None,
        reopen: Callable[[], tuple[Display | None, str | None]] = lambda: (None, None),
        held: Callable[[], float | None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._source, self._clock, self._display = source, source.desk.clock, display
        self._night = None if night is None else Night(start=night[0], end=night[1], brightness=0.0)
        self._reopen, self._held, self._say = reopen, held, say
        self._lost_at: float | None = None
        self._state: DisplayState | None = None
        self._drawn: tuple[Picture, tuple[int, int], Light] | None = None
        self._version: object = None
        self._due_at = self._pressed_at = float("-inf")
        self._answer: tuple[float, str] | None = None
        self._complaint: str | None = None

    @property
    def wait_s(self) -> float:
        """How long to wait for a press before looking again."""
        return LOOK_S if self._held() is None else HELD_LOOK_S

    def press(self, press: Press) -> None:
        """Carry a press out, and show the answer for a while."""
        text = carry_out(press, self._source.desk.daemon, self._source.state_dir, self._is_paused())
        self._say(f"button: {press.value}: {text}")
        self._pressed_at = self._clock.monotonic()
        self._answer = self._pressed_at, text
        self.show()

    def show(self) -> None:
        """Show what is to be shown now."""
        if self._display is None and not self._recovered():
            return
        assert self._display is not None
        state, at = self._look(), self._clock.monotonic()
        since = 0.0 if self._held() is not None else at - self._pressed_at
        light = light_at(state, is_night=self._is_night(), since_press_s=since)
        wanted = self._picture(state, at), shift_at(at), light
        if wanted == self._drawn:
            return
        try:
            self._display.show(render(wanted[0], wanted[1]), light)
            self._drawn = wanted
        except Exception as error:  # luma raises many kinds
            self._say(f"The display failed and is off: {type(error).__name__}: {error}.")
            self._display, self._drawn, self._lost_at = None, None, at

    def close(self) -> None:
        """Put the display out."""
        if self._display is not None:
            with suppress(Exception):
                self._display.close()

    def _is_paused(self) -> bool:
        """Whether the box is paused at this moment: what is shown may be older than the last press."""
        try:
            return bool(load_stored(self._source.engine).values.get("paused"))
        except OrchestratorError:
            return False

    def _recovered(self) -> bool:
        """Whether a display that was lost is there again."""
        at = self._clock.monotonic()
        if self._lost_at is None or at - self._lost_at < RETRY_S:
            return False
        self._lost_at = at
        self._display, _ = self._reopen()
        if self._display is not None:
            self._lost_at = None
            self._say("The display is there again.")
        return self._display is not None

    def _picture(self, state: DisplayState, at: float) -> Picture:
        held = self._held()
        if held is not None:
            return answer_page(state, "LETTING GO", LETTING_GO[press_meaning(max(held, 0.1))])
        if self._answer is not None and at - self._answer[0] < ANSWER_S:
            return answer_page(state, "BUTTON", self._answer[1])
        return page_at(state, at)

    def _is_night(self) -> bool:
        local = self._source.now().astimezone().time()
        return brightness_at(local, self._night) == 0.0

    def _look(self) -> DisplayState:
        """Return what there is to show; read anew when something was written, or it is old."""
        at, version = self._clock.monotonic(), self._source.version()
        now = self._source.now().astimezone(self._source.zone)
        if self._state is None or version != self._version or at >= self._due_at:
            self._due_at = at + REFRESH_S
            self._state, self._version = self._read(now), version
        return self._state

    def _read(self, now: datetime) -> DisplayState:
        try:
            state, complaint = state_of(self._source.view(), now), None
        except (OrchestratorError, SQLAlchemyError) as error:
            runs = self._source.desk.daemon.holder() is not None
            state = DisplayState(mode=None, now=now, is_unread=runs)
            complaint = f"{type(error).__name__}: {error}"
        if complaint is not None and complaint != self._complaint:
            self._say(f"The state cannot be read: {complaint}")
        self._complaint = complaint
        return state


def main(
    environ: Mapping[str, str] | None = None,
    *,
    clock: WaitingClock | None = None,
    make_display: Callable[..., tuple[Display | None, str | None]] = make_display,
    make_button: Callable[..., tuple[Any, str | None]] = make_button,
) -> int:
    """Show the box until a signal; return the exit code."""
    env = os.environ if environ is None else environ
    try:
        desk = Desk(env, clock=clock)
        source, settings = Source(desk), desk.settings
    except (SettingsError, CalendarError, SpecError) as error:
        print(f"box_face: cannot start:\n{error}", file=sys.stderr)
        return EX_CONFIG
    presses: queue.SimpleQueue[Press | None] = queue.SimpleQueue()
    bus, address = settings.display.split(":")
    open_display = partial(make_display, int(bus), int(address, 16))
    display, no_display = open_display()
    runtime = Path(env["LG_WD"]) if env.get("LG_WD") else None
    button, no_button = make_button(presses.put, settings.button_pin, runtime_dir=runtime)
    for missing in (no_display, no_button):
        if missing is not None:
            _say(missing)
    if display is None and button is None:
        _say("Neither a display nor a button: nothing to do. docs/hardware.md says how to connect them.")
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: presses.put(None))
    held = (lambda: None) if button is None else (lambda: button.held_s)
    face = Face(source, display, night=settings.night, reopen=open_display, held=held, say=_say)
    try:
        _serve(face, presses)
    finally:
        face.close()
        if button is not None:
            button.close()
    return 0


def _serve(face: Face, presses: queue.SimpleQueue[Press | None]) -> None:
    """Show and carry out until told to stop (None)."""
    while True:
        face.show()
        try:
            press = presses.get(timeout=face.wait_s)
        except queue.Empty:
            continue
        if press is None:
            return
        face.press(press)


def _say(text: str) -> None:
    print(f"box_face: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
