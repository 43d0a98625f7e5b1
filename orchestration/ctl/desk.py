"""What every command works at: the settings, the box, the daemon, and the view that both give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from config import Settings
from orchestration.calendar_source import zone_of
from orchestration.clock import SystemClock
from orchestration.ctl.box import Box
from orchestration.ctl.client import Client, Daemon, WaitingClock, ask_snapshot
from orchestration.ctl.exits import Failure
from orchestration.errors import CalendarError
from orchestration.halt import FILE_NAME

if TYPE_CHECKING:
    from orchestration.decisions import Policy
    from trading.execution.kill_switch import KillSwitch

NOTHING: Mapping[str, float] = MappingProxyType({})
View = dict[str, Any]
"""`snapshot.snapshot`'s dictionary, with `daemon` (pid, since; None: evaluated here) and `source`."""


class Desk:
    """Made once per command; a test gives it a clock, an environment and a daemon of its own."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        clock: WaitingClock | None = None,
        daemon: Daemon | None = None,
        box: Box | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.clock: WaitingClock = clock or SystemClock()
        self.timeout_s = timeout_s
        self._environ = os.environ if environ is None else environ
        self._daemon, self._box = daemon, box

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return Settings.from_env(self._environ)

    @cached_property
    def box(self) -> Box:
        return self._box or Box(self.settings, self.clock)

    @cached_property
    def daemon(self) -> Daemon:
        return self._daemon or Client(self.settings.state_dir, self.timeout_s)

    @cached_property
    def kill_switch(self) -> KillSwitch:
        """The jobs' own: this process may load them, the daemon may not."""
        from trading.execution.kill_switch import KillSwitch

        return KillSwitch(self.settings.state_dir / FILE_NAME)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The exchange's zone: what instants are shown in."""
        try:
            return zone_of(self.settings.exchange)
        except CalendarError:
            return ZoneInfo("UTC")

    def view(self) -> View:
        """Return what the daemon knows; where none runs, what it would know, evaluated here.

        Raises:
            Failure: if a daemon runs and does not answer.
        """
        who = self.daemon.holder()
        if who is not None:
            view = ask_snapshot(self.daemon)
            view["daemon"] = {key: who.get(key) for key in ("pid", "since", "version")}
            view["source"] = "daemon"
            return view
        return {**evaluate(self.box), "daemon": None, "source": "evaluated here: no daemon is running"}


def evaluate(box: Box, policy: Policy | None = None, used_mb: Mapping[str, float] = NOTHING) -> View:
    """Return the snapshot of a daemon that would start now, from the database and this box.

    policy: None is the settings'. used_mb: what each running run uses, by run id, where it is known.
    """
    from orchestration.agenda import Agenda
    from orchestration.decide import decide
    from orchestration.memory_ladder import check_memory_rung
    from orchestration.snapshot import snapshot

    now, state, resources, agenda = box.clock.now(), box.state(), box.resources(used_mb), Agenda()
    specs, calendars, policy = box.registry.specs, box.calendars, policy or box.policy
    decision = decide(policy, state, now, resources, specs, calendars, agenda)
    view = snapshot(policy, state, decision, resources, specs, calendars, agenda)
    view["rung"] = check_memory_rung()[0]
    view["status"] = "no daemon is running"
    return view


def task_in(view: View, name: str) -> dict[str, Any]:
    """Return the task called `name`. Raises Failure with the nearest name."""
    tasks: list[dict[str, Any]] = view["tasks"]
    for task in tasks:
        if task["name"] == name:
            return task
    raise unknown_task(name, [task["name"] for task in tasks])


def unknown_task(name: str, known: list[str]) -> Failure:
    """Return the failure of a task that nobody knows, with the nearest name."""
    from orchestration.spec_fields import did_you_mean

    return Failure(
        f"no task is called {name!r}{did_you_mean(name, known)} `orchestratorctl tasks` lists them"
    )
