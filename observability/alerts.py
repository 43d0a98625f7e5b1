"""Alerts on their way to a person: into the log, and to a command of theirs. Standard library only."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

LONGEST_S = 10.0
"""How long an alert command may take before it is killed."""

MOST_WAITING = 20
"""Alerts that may wait for the command; further ones are dropped and counted, so that a storm ends."""

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "XDG_RUNTIME_DIR")
"""What an alert command sees of our environment; secrets are not among it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something a person must see. name: the same thing has the same name. severity: info, warning, error or
    critical. cleared: it is over."""

    name: str
    text: str
    severity: str = "warning"
    task: str | None = None
    cleared: bool = False

    @property
    def message(self) -> str:
        """The text as a command gets it on its standard input: one headline, then what there is to say."""
        state = "cleared" if self.cleared else self.severity
        about = f" ({self.task})" if self.task else ""
        return f"[{state}] {self.name}{about}\n{self.text}\n"


class AlertSink(Protocol):
    """Where alerts go. It never raises and never blocks the caller."""

    def send(self, alert: Alert) -> None: ...

    def close(self, timeout_s: float) -> None:
        """Wait for what is on its way, at most `timeout_s`."""
        ...


class LogSink:
    """Writes alerts to the log. write: called with the level's name, the event and its keys."""

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    def send(self, alert: Alert) -> None:
        """Log `alert.raised` at its severity, or `alert.cleared`."""
        level = "info" if alert.cleared else alert.severity
        event = "alert.cleared" if alert.cleared else "alert.raised"
        self._write(level, event, alert=alert.name, text=alert.text, task=alert.task)

    def close(self, timeout_s: float) -> None:
        """Do nothing; a line is written at once."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a command took an alert. problem: None if it ended with 0 in time."""

    alert: str
    problem: str | None


def run_command(argv: Sequence[str], alert: Alert, *, limit_s: float = LONGEST_S) -> Delivery:
    """Run the operator's command with the alert's message on its standard input, `limit_s` at most.

    It also gets ALERT_NAME, ALERT_SEVERITY and ALERT_TASK. Blocks; never raises.
    """
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env |= {"ALERT_NAME": alert.name, "ALERT_SEVERITY": alert.severity, "ALERT_TASK": alert.task or ""}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Delivery(alert.name, f"cannot be started: {error}")
    try:
        process.communicate(alert.message.encode(errors="replace"), timeout=limit_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        return Delivery(alert.name, f"took longer than {limit_s:g} s")
    code = process.returncode
    return Delivery(alert.name, None if code == 0 else f"ended with {code}")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Its own session: what it started goes with it. Not waited for yet, so the number is still its own.
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class CommandSink:
    """Hands alerts to a command, one at a time, from a thread that lives only while there are some.

    told: called from that thread with each delivery. argv: the command, never through a shell.
    """

    def __init__(
        self,
        argv: Sequence[str],
        told: Callable[[Delivery], None] = lambda delivery: None,
        *,
        limit_s: float = LONGEST_S,
    ) -> None:
        self._argv, self._told, self._limit_s = tuple(argv), told, limit_s
        self._waiting: queue.Queue[Alert] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def send(self, alert: Alert) -> None:
        """Queue an alert; when `MOST_WAITING` wait already it is dropped and counted in `dropped`."""
        with self._lock:
            try:
                self._waiting.put_nowait(alert)
            except queue.Full:
                self.dropped += 1
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Wait for the alerts on their way, at most `timeout_s`."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting.empty():
                    self._thread = None
                    return
                alert = self._waiting.get_nowait()
            self._told(run_command(self._argv, alert, limit_s=self._limit_s))


def failed_unit(environ: Mapping[str, str], unit: str) -> Alert:
    """Return the alert for a failed unit, from what systemd (251 and later) tells its OnFailure= unit."""
    name = environ.get("MONITOR_UNIT") or unit
    result = environ.get("MONITOR_SERVICE_RESULT")
    status = " ".join(
        environ[key] for key in ("MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS") if environ.get(key)
    )
    why = f"{result or 'failed'}{f' ({status})' if status else ''}"
    text = f"{name} has failed: {why}.\nSee: systemctl status {name}; journalctl -u {name} -n 50"
    return Alert(name="unit_failed", text=text, severity="critical")
