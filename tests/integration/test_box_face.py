"""The display and the button on the box: what is shown of a real database, and orders to a real daemon."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hardware.buttons import GpioButton, Press
from hardware.display import MOVES, DisplayState, Light, Picture, answer_page, face_of, pages_of
from hardware.oled import render
from observability.dashboard.source import Source
from orchestration.changes import AlertSaved, Change, ValueSaved
from orchestration.clock import VirtualClock
from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import NOT_RUNNING, Failure
from orchestration.state.history import alerts_open, load_readonly, load_stored, recent_events
from scripts import box_face
from scripts.box_face import ANSWER_S, REFRESH_S, RETRY_S, Face, carry_out, state_of
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon
from tests.dashboard_box import MINUTE, DashboardBox, dashboard_box, ended, planned, running
from tests.integration.running import wait_for
from tests.integration.test_ctl import RealBox

ROOT = Path(__file__).resolve().parents[2]
UP = FakeDaemon(who=dict(HOLDER))
STUDY = planned("run_weekend_research", FRIDAY_EVENING - 20 * MINUTE, minutes=50)


def alert(key: str, severity: str, text: str) -> Change:
    return AlertSaved(at=FRIDAY_EVENING, key=key, severity=severity, text=text)


@dataclass
class Screen:
    """A display that keeps what it was shown. fails: it raises as a display that was unplugged does."""

    shown: list[tuple[bytes, Light]] = field(default_factory=list)
    fails: bool = False
    closed: bool = False

    def show(self, image: Image.Image, light: Light) -> None:
        if self.fails:
            raise OSError(121, "Remote I/O error")
        self.shown.append((image.tobytes(), light))

    def close(self) -> None:
        self.closed = True

    def shows(self, picture: Picture) -> bool:
        """Whether it shows `picture` now, wherever it has moved to."""
        moved = [render(picture, shift).tobytes() for shift in MOVES]
        return self.shown[-1][0] in moved


# --- what is shown ----------------------------------------------------------------------------------------


def test_a_weekend_s_first_half_hour_is_told_from_the_database(tmp_path: Path) -> None:
    """Friday 18:30 in New York: 56 h of research until Monday 02:00, a run that has used 20 of 50 minutes."""
    changes = [*running(STUDY), alert("b", "warning", "second"), alert("a", "critical", "first")]
    with dashboard_box(tmp_path, *changes, daemon=UP) as box:
        state = state_of(box.source.view(), box.source.now().astimezone(box.source.zone))

    assert (state.mode, state.extended, state.window) == ("research", True, "weekend 56 h")
    assert state.next_name == "PREP"
    assert state.next_change is not None
    assert state.next_change - state.now == timedelta(hours=55, minutes=30)
    assert [(run.name, round(run.share, 2)) for run in state.running] == [
        ("run_weekend_research", state_share())
    ]
    assert state.alerts == ["first", "second"]
    assert (state.fault, state.paused) == (None, None)
    assert face_of(state).clock == "18:30"


def state_share() -> float:
    """20 minutes of the task's own estimate, as nothing has been learnt of it yet."""
    from orchestration.task_specs import TASK_SPECS

    (spec,) = [spec for spec in TASK_SPECS if spec.name == "run_weekend_research"]
    return round(20 / spec.estimated_minutes, 2)


@pytest.mark.parametrize(
    ("at", "window", "comes"),
    [
        ("2026-11-20T15:00:00+00:00", "market open", "close"),
        ("2026-11-20T13:30:00+00:00", "pre market", "open"),
        ("2026-11-20T22:00:00+00:00", "post market", "research"),
        ("2026-11-23T09:00:00+00:00", "weekend 56 h", "pre market"),
        ("2026-11-19T02:00:00+00:00", "overnight 10 h", "PREP"),
        ("2026-11-26T12:00:00+00:00", "holiday 34 h", "PREP"),
    ],
)
def test_every_part_of_the_day_has_its_name_and_what_comes_next(
    tmp_path: Path, at: str, window: str, comes: str
) -> None:
    """2026-11-20 is a Friday, the 26th is Thanksgiving: 18:00 on the 25th to 04:00 on the 27th are 34 h."""
    with dashboard_box(tmp_path, daemon=UP, at=datetime.fromisoformat(at)) as box:
        state = state_of(box.source.view(), box.source.now())

    assert (state.window, state.next_name) == (window, comes)
    assert state.extended == (window == "holiday 34 h")


def test_a_pause_and_a_fault_are_what_the_daemon_has_left(tmp_path: Path) -> None:
    said = [
        ValueSaved(key="paused", value="all", at=FRIDAY_EVENING),
        ValueSaved(
            key="panel",
            value='{"mode": "research", "extended": true, "error": "disk_full"}',
            at=FRIDAY_EVENING,
        ),
    ]
    with dashboard_box(tmp_path, *said, daemon=UP) as box:
        state = state_of(box.source.view(), box.source.now())

    assert (state.paused, state.fault) == ("all", "disk_full")


def test_without_a_daemon_the_display_says_so(tmp_path: Path) -> None:
    with dashboard_box(tmp_path) as box:
        screen = Screen()
        Face(box.source, screen).show()

        assert state_of(box.source.view(), box.source.now()).mode is None
    assert len(screen.shown) == 1


def test_a_box_that_has_never_run_is_shown_as_down_and_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    environ = {"ORCHESTRATOR_STATE_DIR": str(tmp_path / "none"), "USE_UNIFIED_SCHEDULER": "true"}
    clock = VirtualClock(FRIDAY_EVENING)
    source, screen = Source(Desk(environ, clock=clock)), Screen()
    face = Face(source, screen, say=said.append)

    for _ in range(3):
        face.show()
        clock.sleep(REFRESH_S)

    assert len(said) == 1
    assert "no daemon has run" in said[0]
    assert len(screen.shown) == 1, "what has not changed is not drawn again"


def test_a_daemon_whose_state_cannot_be_read_is_not_shown_as_down(tmp_path: Path) -> None:
    (tmp_path / "performance.db").write_bytes(b"not a database" * 1000)
    environ, clock = {"ORCHESTRATOR_STATE_DIR": str(tmp_path)}, VirtualClock(FRIDAY_EVENING)
    source, screen = Source(Desk(environ, clock=clock, daemon=UP)), Screen()

    Face(source, screen).show()

    now = FRIDAY_EVENING.astimezone(source.zone)
    assert screen.shows(face_of(DisplayState(mode=None, now=now, is_unread=True)))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[DashboardBox]:
    with dashboard_box(tmp_path, *running(STUDY), daemon=FakeDaemon(who=dict(HOLDER))) as made:
        yield made


def face_now(box: DashboardBox) -> Picture:
    return face_of(state_of(box.source.view(), box.source.now().astimezone(box.source.zone)))


def test_what_is_written_shows_at_the_next_look_and_time_after_ten_seconds(box: DashboardBox) -> None:
    screen = Screen()
    face = Face(box.source, screen)
    face.show()
    before = screen.shown[-1]

    box.clock.sleep(1)
    face.show()
    assert screen.shown[-1] == before

    box.store.commit(ended(STUDY, 20)[-1:])
    box.clock.sleep(1)
    face.show()
    assert screen.shows(face_now(box))
    assert "nothing runs" in face_now(box).lines

    box.clock.sleep(60)
    face.show()
    assert face_now(box).clock == "18:31"
    assert screen.shows(face_now(box))


def test_by_night_it_is_dark_until_an_alert_or_a_press(box: DashboardBox) -> None:
    screen, held = Screen(), list[float | None]([None])
    night = (box.source.now().astimezone() - MINUTE).time(), time(23, 59, 59)
    face = Face(box.source, screen, night=night, held=lambda: held[0])

    face.show()
    held[0] = 0.5
    face.show()
    held[0] = None
    face.press(Press.ACKNOWLEDGE)
    box.clock.sleep(100)
    face.show()
    box.store.commit([alert("a", "error", "look")])
    box.clock.sleep(1)
    face.show()

    lights = [light for _, light in screen.shown]
    assert lights == [Light.DARK, Light.DIM, Light.DIM, Light.DARK, Light.DIM]


def test_while_the_button_is_held_the_display_says_what_letting_go_does(box: DashboardBox) -> None:
    screen, held = Screen(), [0.0]
    face = Face(box.source, screen, held=lambda: held[0])
    state = state_of(box.source.view(), box.source.now().astimezone(box.source.zone))

    for seconds, press in [
        (0.02, Press.ACKNOWLEDGE),
        (2.0, Press.PAUSE_RESUME),
        (9.0, Press.SAFE_STOP),
        (31.0, None),
    ]:
        held[0] = seconds
        face.show()
        assert screen.shows(answer_page(state, "LETTING GO", box_face.LETTING_GO[press]))


def test_the_answer_stands_for_three_seconds(box: DashboardBox) -> None:
    screen, said = Screen(), list[str]()
    face = Face(box.source, screen, say=said.append)
    state = state_of(box.source.view(), box.source.now().astimezone(box.source.zone))
    answer = answer_page(state, "BUTTON", "acknowledge done")

    face.press(Press.ACKNOWLEDGE)
    assert screen.shows(answer)
    box.clock.sleep(ANSWER_S - 0.1)
    face.show()
    assert screen.shows(answer)
    box.clock.sleep(0.2)
    face.show()
    assert screen.shows(face_now(box))
    assert said == ["button: acknowledge: acknowledge done"]


def test_a_fault_and_its_remedy_take_turns_with_the_face(tmp_path: Path) -> None:
    panel = '{"mode": "research", "extended": true, "error": "overheating"}'
    change = ValueSaved(key="panel", value=panel, at=FRIDAY_EVENING)
    with dashboard_box(tmp_path, change, daemon=UP) as box:
        screen, seen = Screen(), set()
        face = Face(box.source, screen)
        for _ in range(4):
            face.show()
            state = state_of(box.source.view(), box.source.now().astimezone(box.source.zone))
            seen |= {page.headline for page in pages_of(state) if screen.shows(page)}
            box.clock.sleep(5)

    assert seen == {"RESEARCH EXTENDED", "OVERHEATING"}


def test_a_display_that_is_unplugged_is_said_once_and_comes_back(box: DashboardBox) -> None:
    first, second, said = Screen(fails=True), Screen(), list[str]()
    found: list[Screen | None] = [None, second]
    face = Face(box.source, first, reopen=lambda: (found.pop(0), None), say=said.append)

    for _ in range(5):
        face.show()
        box.clock.sleep(RETRY_S / 2)

    assert said[0].startswith("The display failed and is off: OSError")
    assert said[1:] == ["The display is there again."]
    assert second.shown


# --- what the button does ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("press", "is_paused", "order"),
    [
        (Press.ACKNOWLEDGE, False, ("acknowledge", {"all": "true", "by": "button"})),
        (Press.PAUSE_RESUME, False, ("pause", {"by": "button"})),
        (Press.PAUSE_RESUME, True, ("resume", {"by": "button"})),
    ],
)
def test_a_press_is_an_order_to_the_daemon(
    tmp_path: Path, press: Press, is_paused: bool, order: tuple[str, dict[str, str]]
) -> None:
    daemon = FakeDaemon(who=dict(HOLDER))

    text = carry_out(press, daemon, tmp_path, is_paused)

    assert daemon.asked == [order]
    assert text


class Away(FakeDaemon):
    """No daemon runs."""

    def ask(self, name: str, **args: str) -> Any:
        raise Failure("no daemon is running on /x. Start it", NOT_RUNNING)


@pytest.mark.parametrize("press", list(Press))
def test_a_press_without_a_daemon_says_so(tmp_path: Path, press: Press) -> None:
    assert carry_out(press, Away(), tmp_path, False) == "No daemon is running."


def test_a_daemon_that_does_not_answer_is_an_answer_too(tmp_path: Path) -> None:
    mute = FakeDaemon(who=dict(HOLDER), is_mute=True)

    assert carry_out(Press.ACKNOWLEDGE, mute, tmp_path, False).startswith("Failed: the daemon did not take")


# --- a real daemon ----------------------------------------------------------------------------------------

TASKS = """
[[task]]
name = "sleeper"
argv = ["/bin/sh", "-c", "trap 'exit 75' TERM; while :; do sleep 0.1; done"]
every = "10m"
memory_mb = 50
idempotent = true
"""


def real_environ(folder: Path) -> dict[str, str]:
    from orchestration.task_specs import TASK_SPECS

    quiet = "".join(f'[[task]]\nname = "{s.name}"\nenabled = false\n' for s in TASK_SPECS if s.enabled)
    (folder / "tasks.toml").write_text(TASKS + quiet)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "ORCHESTRATOR_TASKS": str(folder / "tasks.toml"),
        "ORCHESTRATOR_PANEL": "null",
        "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true",
        "ORCHESTRATOR_SLOTS": "8",
        "ORCHESTRATOR_STOP_GRACE": "2s",
        "ORCHESTRATOR_STOP_TIMEOUT": "10s",
        "USE_UNIFIED_SCHEDULER": "true",
    }


@dataclass
class Finger:
    """Presses the button on gpiozero's mock pin; time passes only for the button."""

    pin: Any
    at: float = 100.0

    def holds(self, seconds: float) -> None:
        self.pin.drive_low()
        self.at += seconds
        self.pin.drive_high()


@pytest.fixture
def finger() -> Iterator[tuple[Finger, Callable[[Callable[[Press], None]], GpioButton]]]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    hand = Finger(factory.pin("GPIO23"))
    yield hand, lambda told: GpioButton(told, 23, factory=factory, monotonic=lambda: hand.at)
    factory.reset()


def test_the_button_reaches_a_real_daemon_and_a_safe_stop_outlasts_its_restart(
    tmp_path: Path, finger: tuple[Finger, Callable[[Callable[[Press], None]], GpioButton]]
) -> None:
    """Two seconds pause and go on; eight stop the run in order and end the daemon; started again, as systemd
    does it, the daemon starts nothing until two seconds more."""
    hand, make = finger
    real = RealBox(tmp_path, real_environ(tmp_path))
    presses: queue.SimpleQueue[Press] = queue.SimpleQueue()
    button = make(presses.put)
    source = Source(Desk(real.environ, timeout_s=60.0))
    face = Face(source, Screen(), held=lambda: button.held_s)

    def held(seconds: float) -> None:
        hand.holds(seconds)
        face.press(presses.get(timeout=60))

    def paused() -> str | None:
        found: str | None = real.json("status")["paused"]
        return found

    def stored() -> bool:
        return bool(load_stored(source.engine).values.get("paused"))

    try:
        real.start()
        wait_for(lambda: real.running() == ["sleeper"], "sleeper runs")
        held(0.3)
        held(2.5)
        assert paused() == "research"
        wait_for(stored, "the pause is written")
        held(2.5)
        assert paused() is None
        wait_for(lambda: not stored(), "its end is written")

        held(9.0)
        assert real.process is not None
        assert real.process.wait(60) == 0
        real.start()

        assert paused() == "all"
        assert real.running() == []
        held(2.5)
        wait_for(lambda: real.running() == ["sleeper"], "sleeper runs again")
    finally:
        real.stop()
        button.close()

    engine = load_readonly(tmp_path / "state" / "performance.db")
    events = [(row.name, dict(row.detail)) for row in reversed(recent_events(engine, 100))]
    by_button = [event for event in events if event[1].get("by") == "button"]
    assert by_button == [
        ("command.acknowledge", {"all": "true", "by": "button"}),
        ("command.pause", {"by": "button"}),
        ("command.resume", {"by": "button"}),
        ("command.pause", {"all": "true", "by": "button", "then": "stop"}),
        ("command.resume", {"by": "button"}),
    ]
    assert all(row.acknowledged_at is not None for row in alerts_open(engine))


# --- the process ------------------------------------------------------------------------------------------


def test_without_a_display_and_a_button_it_ends_well_and_says_so(tmp_path: Path) -> None:
    """systemd then leaves it alone: it is restarted on failure only."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "box_face.py")],
        env={**real_environ(tmp_path), "ORCHESTRATOR_DISPLAY": "99:0x3c"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert "Neither a display nor a button" in done.stdout
    assert "No display: " in done.stdout
    assert "No button on pin 23: " in done.stdout


def test_wrong_settings_are_said_and_not_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert box_face.main({"ORCHESTRATOR_DISPLAY": "here"}) == 78

    assert "ORCHESTRATOR_DISPLAY='here'" in capsys.readouterr().err


def test_a_signal_ends_it_and_puts_the_display_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, handlers = Screen(), dict[int, Any]()
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.update({number: handler}))

    def display(bus: int, address: int) -> tuple[Screen, None]:
        assert (bus, address) == (2, 0x3D)
        return screen, None

    def no_button(told: object, pin: int, **_: object) -> tuple[None, str]:
        # Registered before the loop waits; the signal comes while it shows its first page.
        screen.show = lambda image, light: handlers[signal.SIGTERM](signal.SIGTERM, None)  # type: ignore[method-assign]
        return None, f"No button on pin {pin}: none"

    environ = {**real_environ(tmp_path), "ORCHESTRATOR_DISPLAY": "2:0x3d", "ORCHESTRATOR_BUTTON": "5"}
    code = box_face.main(environ, make_display=display, make_button=no_button)

    assert code == 0
    assert screen.closed
    assert "No button on pin 5: none" in capsys.readouterr().out
