"""Sending to one address through apprise, whatever its receiver does.

Light: apprise (25 MB) is loaded when the first address is opened. An address holds secrets: nothing here
logs, repeats or stores one.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final, NoReturn

from observability.alert_addresses import Address

CONNECT_S, READ_S = 10.0, 30.0
"""How long a receiver may take to be reached, and to answer. Apprise's own 4 s for an answer are short: a
slow receiver would take the message and be taken for one that has not."""

ANSWER_S = 10.0
"""How long the rest of an answer may take once its first line says what came of the message."""

MOST_BYTES: Final = 256 * 1024
"""Of an answer: what apprise looks for in one is in its first few kB."""

PAUSE_S: Final = 1.0
"""The most time between two messages to one address; apprise waits 5.5 s with some."""

NOT_UNDERSTOOD: Final = "apprise does not understand the address"
NO_APPRISE: Final = "apprise is not installed: pip install apprise"

KINDS: Final = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}
"""Apprise's kinds of messages by our severities."""


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
        _bound_answers()
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


# --- receivers that do not end ----------------------------------------------------------------------------


def _bound_answers() -> None:
    """Let no more be read of an answer to a message than `MOST_BYTES` within `ANSWER_S`.

    Apprise's plugins ask with `requests`, which would read an answer to its end: one that drips for ever, or
    is larger than the box. Other requests of the process are as they were.
    """
    with suppress(ImportError, AttributeError):
        adapter = importlib.import_module("requests.adapters").HTTPAdapter
        if not hasattr(adapter.send, "__wrapped__"):
            adapter.send = _bounded(adapter.send)


def _bounded(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def send_and_read_in_part(adapter: Any, request: Any, stream: bool = False, **how: Any) -> Any:
        answer = send(adapter, request, stream=stream, **how)
        if not stream and _LINES.get() is not None:
            answer._content, answer._content_consumed = _beginning(answer.raw), True
        return answer

    return send_and_read_in_part


def _beginning(raw: Any) -> bytes:
    """Return the beginning of an answer, nothing of one that drips or breaks off: its first line has said
    whether the message was taken."""
    cut = threading.Timer(ANSWER_S, _cut, (raw,))
    cut.daemon = True
    cut.start()
    try:
        return bytes(raw.read(MOST_BYTES, decode_content=True) or b"")
    except Exception:  # its own errors, urllib3's, a socket's, a decoder's
        return b""
    finally:
        cut.cancel()
        raw.close()


def _cut(raw: Any) -> None:
    with suppress(AttributeError, OSError, RuntimeError, ValueError):  # urllib3 before 2.3; it has just ended
        raw.shutdown()


def leave(main: Callable[[], int]) -> NoReturn:
    """Run a script's `main` and end the process with its code, whatever still hangs.

    Apprise sends in threads that Python waits for at its end; some ways (mail, a name server, the head of an
    answer) have no limit of their own. Nothing that runs at Python's end is needed here.
    """
    try:
        code = main()
    except SystemExit:  # of wrong arguments or settings: nothing was begun
        raise
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
