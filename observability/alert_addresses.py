"""Where alerts go: the addresses a person has set up, and sending to one of them through apprise.

Light: apprise (25 MB) is loaded when the first address is opened. An address holds secrets: nothing here
logs, repeats or stores one.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SECRET: Final = "alert_urls"
"""The credential's file, and the variable in which a job gets it."""
SETTING: Final = "ORCHESTRATOR_ALERT_URLS"
FOLDERS: Final = ("ORCHESTRATOR_CREDENTIALS_DIR", "CREDENTIALS_DIRECTORY")

CONNECT_S, READ_S = 10.0, 30.0
"""How long a receiver may take to be reached, and to answer. Apprise's own 4 s for an answer are short: a
slow receiver would take the message and be taken for one that has not."""

PAUSE_S: Final = 1.0
"""The most time between two messages to one address; apprise waits 5.5 s with some."""

NOT_UNDERSTOOD: Final = "apprise does not understand the address"
NO_APPRISE: Final = "apprise is not installed: pip install apprise"

KINDS: Final = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}
"""Apprise's kinds of messages by our severities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address. name: its tag, numbered where several have the same. url: a secret."""

    name: str
    tag: str
    url: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What changes when the address behind the name does; the address cannot be had from it."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]


def read_addresses(text: str) -> list[Address]:
    """Return the addresses of a setting: separated by blanks, each with `TAG=` before it or without.

    Without a tag an address is called as its kind, ntfy in `ntfy://...`.
    """
    found: list[Address] = []
    tags: Counter[str] = Counter()
    for word in text.split():
        tagged = re.fullmatch(r"([A-Za-z][A-Za-z0-9_-]{0,30})=(.+)", word)
        tag, url = (tagged[1], tagged[2]) if tagged else (word.partition(":")[0][:31], word)
        tags[tag] += 1
        found.append(Address(name=tag if tags[tag] == 1 else f"{tag}-{tags[tag]}", tag=tag, url=url))
    return found


def find_addresses(env: Mapping[str, str]) -> list[Address]:
    """Return the addresses that are set up."""
    return read_addresses(find_secret(env, SECRET, SETTING))


def find_secret(env: Mapping[str, str], name: str, setting: str) -> str:
    """Return a secret: a job's own (a variable `name`), else the file `name` among the credentials, else the
    setting; empty if it is nowhere."""
    given = env.get(name, "").strip()
    for folder in [env[each] for each in FOLDERS if env.get(each)]:
        with suppress(OSError, UnicodeDecodeError):
            given = given or (Path(folder) / name).read_text(encoding="utf-8").strip()
    return given or env.get(setting, "").strip()


class Receiver:
    """An address that is open. Of use in several threads at once."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender

    @classmethod
    def open(cls, address: Address) -> Receiver | str:
        """Return the receiver at an address, or why there is none."""
        try:
            apprise = importlib.import_module("apprise")
        except ImportError:
            return NO_APPRISE
        _listen()
        sender = apprise.Apprise()
        if not sender.add(address.url):
            return NOT_UNDERSTOOD
        for service in sender:
            for name, least in (("socket_connect_timeout", CONNECT_S), ("socket_read_timeout", READ_S)):
                with suppress(AttributeError, TypeError):
                    setattr(service, name, max(getattr(service, name), least))
            with suppress(AttributeError, TypeError):
                service.request_rate_per_sec = min(service.request_rate_per_sec, PAUSE_S)
        return cls(sender)

    def send(self, title: str, text: str, severity: str = "info") -> str | None:
        """Send; return why it was not taken, None if it was. Blocks; never raises or names the address."""
        said = _SAID.begin()
        try:
            taken = self._sender.notify(
                title=title, body=text, body_format="text", notify_type=KINDS.get(severity, "warning")
            )
        except Exception as error:  # whatever a plugin does: its text may hold the address
            return f"it failed with {type(error).__name__}"
        return None if taken else _told_why(said)


class _Said(logging.Handler):
    """Keeps what apprise says from every stream, as it may hold an address; each message has its own list."""

    def begin(self) -> list[str]:
        lines: list[str] = []
        _LINES.set(lines)
        return lines

    def emit(self, record: logging.LogRecord) -> None:
        lines = _LINES.get()
        if lines is not None:
            lines.append(record.getMessage())


_LINES: ContextVar[list[str] | None] = ContextVar("lines", default=None)
"""A context, as apprise passes that on to its own threads."""
_SAID: Final = _Said(logging.WARNING)


def _listen() -> None:
    logger = logging.getLogger("apprise")
    if _SAID not in logger.handlers:
        logger.addHandler(_SAID)
        logger.propagate = False


def _told_why(said: list[str]) -> str:
    """Return the receiver's answer as a number, which is all of it that surely holds no secret."""
    codes = [code for line in said for code in re.findall(r"error=(\d{3})\b", line)]
    return f"it answered {codes[-1]}" if codes else "it was not reached, or did not take it"
