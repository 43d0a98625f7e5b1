"""Talks to the daemon: through control.db and a signal. No port is opened."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from orchestration.control import Answer, ControlDb
from orchestration.ctl.exits import FAILED, NO_ANSWER, NOT_RUNNING, Failure
from orchestration.errors import ControlError
from orchestration.instance import Holder, holder, signal_daemon
from orchestration.ports import Clock

HANDOVER_POLL_S = 0.05


class WaitingClock(Clock, Protocol):
    """A clock that also waits: `clock.SystemClock` and `clock.VirtualClock` do."""

    def sleep(self, seconds: float) -> None: ...


class Daemon(Protocol):
    """What the commands need of the daemon. Real: `Client`."""

    def holder(self) -> Holder | None:
        """Return who the daemon is (pid, since, version); None if none runs."""
        ...

    def ask(self, name: str, **args: str) -> Answer:
        """Give it an order and return its answer, also a refusal.

        Raises:
            Failure: 3 if no daemon runs, 4 if it does not answer in time, 1 if it cannot be reached.
        """
        ...


class Client:
    """The daemon of one state directory. timeout_s: how long an answer is waited for."""

    def __init__(self, state_dir: Path, timeout_s: float = 10.0) -> None:
        self.state_dir = state_dir
        self.timeout_s = timeout_s

    def holder(self) -> Holder | None:
        """See `Daemon`."""
        return holder(self.state_dir)

    def ask(self, name: str, **args: str) -> Answer:
        """See `Daemon`."""
        if self.holder() is None:
            raise not_running(self.state_dir)
        control = ControlDb(self.state_dir / "control.db")
        try:
            command_id = control.post(name, args)
        except ControlError as error:
            raise Failure(f"{error}. Run this as the daemon's user", FAILED) from error
        try:
            signal_daemon(self.state_dir, signal.SIGUSR1)
        except ControlError as error:
            # Withdrawn: a daemon that starts later must not carry it out by surprise.
            with suppress(ControlError):
                control.wait_answer(command_id, 0.0)
            gone = self.holder() is None
            raise (not_running(self.state_dir) if gone else Failure(str(error))) from error
        try:
            return control.wait_answer(command_id, self.timeout_s)
        except ControlError as error:
            raise Failure(str(error), NO_ANSWER) from error


def not_running(state_dir: Path) -> Failure:
    """Return the failure of a command that needs a daemon where there is none."""
    return Failure(
        f"no daemon is running on {state_dir}. Start it (systemctl start daily-orchestrator, or "
        "daily_orchestrator.py), or name its state directory in ORCHESTRATOR_STATE_DIR",
        NOT_RUNNING,
    )


def ask_or_fail(daemon: Daemon, name: str, args: Mapping[str, str]) -> Answer:
    """Return the daemon's answer. Raises Failure, with code 1 for a refusal."""
    answer = daemon.ask(name, **args)
    if not answer.ok:
        raise Failure(answer.text or f"the daemon refused {name}")
    return answer


def ask_snapshot(daemon: Daemon) -> dict[str, Any]:
    """Return what the daemon knows. Raises Failure."""
    payload: dict[str, Any] = json.loads(ask_or_fail(daemon, "snapshot", {}).payload)
    return payload


def wait_until_gone(daemon: Daemon, pid: object, clock: WaitingClock, timeout_s: float) -> bool:
    """Wait until the daemon with `pid` has ended; say whether it has."""
    end = clock.monotonic() + timeout_s
    while (who := daemon.holder()) is not None and who.get("pid") == pid:
        if clock.monotonic() >= end:
            return False
        clock.sleep(HANDOVER_POLL_S)
    return True
