"""A desk for tests of the control command: no box, a clock that stands, a daemon of words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestration.clock import VirtualClock
from orchestration.control import Answer
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk, View, evaluate
from orchestration.ctl.exits import NO_ANSWER, Failure
from orchestration.instance import Holder
from orchestration.simulation.stand_ins import SteadySensors

FRIDAY_EVENING = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
"""18:30 in New York: the first half hour of a weekend's research (it starts at 18:00)."""

ENVIRON = {"ORCHESTRATOR_STATE_DIR": "/nonexistent/state", "USE_UNIFIED_SCHEDULER": "true"}
HOLDER: Holder = {"pid": 4242, "since": "2026-11-20T22:30:00+00:00", "version": "0.1.0"}


class FakeDaemon:
    """Answers as told and remembers what it was asked. who: None when it does not run; view: its snapshot."""

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        who: Holder | None = None,
        view: View | None = None,
        is_mute: bool = False,
    ) -> None:
        self.answers = dict(answers or {})
        self.who, self.view, self.is_mute = who, view, is_mute
        self.asked: list[tuple[str, dict[str, str]]] = []

    def holder(self) -> Holder | None:
        return self.who

    def ask(self, name: str, **args: str) -> Answer:
        self.asked.append((name, args))
        if self.is_mute:
            raise Failure("the daemon did not take the command in 10 s", NO_ANSWER)
        if name == "snapshot":
            return Answer(ok=True, text="", payload=json.dumps(self.view))
        if name == "handover":
            self.who = None
        return self.answers.get(name, Answer(ok=True, text=f"{name} done"))


def make_box(
    at: datetime = FRIDAY_EVENING,
    environ: Mapping[str, str] | None = None,
    sensors: SteadySensors | None = None,
) -> Box:
    """Return a box without a database."""
    from config import Settings

    settings = Settings.from_env(ENVIRON if environ is None else environ)
    return Box(settings, VirtualClock(at), sensors or SteadySensors())


def running_daemon(box: Box | None = None, **changes: object) -> FakeDaemon:
    """Return a daemon that runs and knows what the box shows, with `changes` to its snapshot."""
    view = {**evaluate(box or make_box()), **changes}
    return FakeDaemon(who=dict(HOLDER), view=view)


def make_desk(daemon: FakeDaemon | None = None, box: Box | None = None) -> Desk:
    """Return a desk at `box` and `daemon` (None: none runs)."""
    box = box or make_box()
    clock = box.clock
    assert isinstance(clock, VirtualClock)
    return Desk(ENVIRON, clock=clock, daemon=daemon or FakeDaemon(), box=box)
