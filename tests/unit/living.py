"""A whole loop in virtual time over stand-ins that remember what they were told."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from hardware.panel import RecordingPanel
from orchestration.changes import Change
from orchestration.errors import StoreError
from orchestration.narration import Narrator
from orchestration.policies import policy_for
from orchestration.ports import Command, Wake
from orchestration.reports import SessionTables
from orchestration.simulation.box import Simulation, build
from orchestration.simulation.stand_ins import Fortune, Happening, SteadySensors
from orchestration.state.memory import MemoryStore
from orchestration.types import TaskSpec
from tests.calendars import nyse_2026


class ListedLog:
    """A log whose lines can be looked at."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, **keys: object) -> None:
        self.lines.append(("info", event, keys))

    def warning(self, event: str, **keys: object) -> None:
        self.lines.append(("warning", event, keys))

    def error(self, event: str, **keys: object) -> None:
        self.lines.append(("error", event, keys))

    def of(self, event: str) -> list[dict[str, object]]:
        """Return the keys of every line of `event`."""
        return [keys for _, name, keys in self.lines if name == event]


class ListedInbox:
    """An inbox that is filled by hand; answers by command id."""

    def __init__(self) -> None:
        self.waiting: list[Command] = []
        self.answers: dict[str, tuple[bool, str, str]] = {}

    def pending(self) -> list[Command]:
        taken, self.waiting = self.waiting, []
        return taken

    def answer(self, command_id: str, *, ok: bool, text: str, payload: str = "") -> None:
        self.answers[command_id] = (ok, text, payload)


class ListedNotifier:
    """What the service manager was told, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def ready(self, status: str) -> None:
        self.said.append(f"ready {status}")

    def alive(self, status: str) -> None:
        self.said.append("alive")

    def reloading(self) -> None:
        self.said.append("reloading")

    def stopping(self, status: str) -> None:
        self.said.append(f"stopping: {status}")


class FailingStore(MemoryStore):
    """A store that refuses while `broken`; keeps every change it took."""

    broken = False
    pruned = 0

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Change] = []

    def commit(self, changes: Sequence[Change]) -> None:
        if self.broken:
            raise StoreError(errno.ENOSPC, "no space left")
        super().commit(changes)
        self.taken += changes

    def prune(self, now: datetime) -> int:
        self.pruned += 1
        return super().prune(now)


class Fortunes:
    """Each task's runs one after the other, then the last again; with none, a success as estimated."""

    def __init__(self, fortunes: Mapping[str, Sequence[Fortune]]) -> None:
        self._fortunes = fortunes

    def draw(self, spec: TaskSpec, number: int, occasion: str) -> Fortune:
        listed = self._fortunes.get(spec.name)
        if not listed:
            return Fortune(spec.estimated_minutes, spec.memory_mb / 2)
        return listed[min(number, len(listed)) - 1]


class Box:
    """A loop and everything it talks to."""

    def __init__(
        self,
        *specs: TaskSpec,
        at: datetime,
        policy: str = "unified",
        fortunes: Mapping[str, Sequence[Fortune]] | None = None,
        happenings: Sequence[Happening] = (),
        sensors: SteadySensors | None = None,
    ) -> None:
        self.store, self.inbox, self.notifier = FailingStore(), ListedInbox(), ListedNotifier()
        self.scheduler, self.execute, self.panel = ListedLog(), ListedLog(), RecordingPanel()
        self.sensors = sensors or SteadySensors()
        self.sim: Simulation = build(
            {spec.name: spec for spec in specs},
            policy_for(policy),
            SessionTables({"XNYS": tuple(nyse_2026().table)}),
            at,
            model=Fortunes(fortunes or {}),
            sensors=self.sensors,
            store=self.store,
            happenings=happenings,
        )
        self.loop, self.clock = self.sim.loop, self.sim.clock
        self.loop.narrator = Narrator(self.scheduler, self.execute)
        world = self.loop.world
        world.inbox, world.notifier, world.panel = self.inbox, self.notifier, self.panel

    def tell(self, name: str, **args: str) -> tuple[bool, str]:
        """Send an order, take a turn, and return the answer."""
        ok, text, _ = self.ask(name, **args)
        return ok, text

    def ask(self, name: str, **args: str) -> tuple[bool, str, dict[str, object]]:
        """The same, with the payload."""
        number = str(len(self.inbox.answers))
        self.inbox.waiting.append(Command(id=number, name=name, args=args))
        self.loop.wake(Wake.COMMAND)
        self.loop.turn()
        ok, text, payload = self.inbox.answers[number]
        return ok, text, json.loads(payload) if payload else {}
