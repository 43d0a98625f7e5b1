"""Telling systemd how we are (sd_notify(3)), over its datagram socket; silent where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from datetime import timedelta

from orchestration.clock import SystemClock
from orchestration.ports import Clock

SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class SystemdNotifier:
    """Sends READY, STATUS, WATCHDOG, RELOADING, STOPPING and EXTEND_TIMEOUT_USEC.

    Takes its three variables out of `environ`, so that children do not report in our name. A socket that is
    gone, full or refused costs a message and nothing else: systemd's watchdog is what notices.
    """

    def __init__(self, environ: MutableMapping[str, str], clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        address = environ.pop(SOCKET, "")
        self._interval = _half(environ.pop(WATCHDOG_USEC, ""), environ.pop(WATCHDOG_PID, ""))
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._status = ""
        if address.startswith(("@", "/")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def watchdog_interval(self) -> timedelta | None:
        """Return how often `alive` is due: half of what systemd allows; None: no watchdog watches us."""
        return self._interval

    def ready(self, status: str) -> None:
        self._send("READY=1", *self._changed(status))

    def alive(self, status: str) -> None:
        """Feed the watchdog and say what we do; nothing is sent where neither is news."""
        self._send(*(["WATCHDOG=1"] if self._interval is not None else []), *self._changed(status))

    def reloading(self) -> None:
        """Say that files are being read again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", *self._changed(status))

    def extend(self, duration: timedelta) -> None:
        """Ask for `duration` from now to get ready or to stop in, beyond the unit's timeout."""
        self._send(f"EXTEND_TIMEOUT_USEC={duration // timedelta(microseconds=1)}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _changed(self, status: str) -> list[str]:
        line = " ".join(status.split())
        if line == self._status:
            return []
        self._status = line
        return [f"STATUS={line}"]

    def _send(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            self._status = ""  # say it again next time


def _half(microseconds: str, pid: str) -> timedelta | None:
    """Return half of WATCHDOG_USEC if it is meant for this process."""
    if not microseconds.isdigit() or int(microseconds) == 0:
        return None
    if pid and pid != str(os.getpid()):
        return None
    return timedelta(microseconds=int(microseconds)) / 2
