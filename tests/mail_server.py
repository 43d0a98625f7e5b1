"""A real SMTP server on loopback that can be down, and can refuse a message after having read it."""

from __future__ import annotations

import email
import email.policy
import socket
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was taken."""

    to: tuple[str, ...]
    subject: str
    text: str


class MailServer:
    """The server. Use it as a context manager; `port` stays the same when it is down for a while.

    received: the mails it took, in order. refusals: how many of the next it refuses once it has read them.
    """

    def __init__(self) -> None:
        self.received: list[Mail] = []
        self.refusals = 0
        self.refused = 0
        self.port = _free_port()
        self._controller: Any = None

    def __enter__(self) -> MailServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.received]

    @property
    def url(self) -> str:
        """Return the address that apprise sends to."""
        return f"mailto://localhost:{self.port}?smtp=127.0.0.1&from=box@example.org&to=me@example.org&mode=insecure"

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=30.0)
        self._controller.start()

    def stop(self) -> None:
        """Be down: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # its name
        """Take a mail, or refuse it (aiosmtpd calls this)."""
        if self.refusals > 0:
            self.refusals -= 1
            self.refused += 1
            return "451 try again later"
        message = email.message_from_bytes(envelope.content, _class=EmailMessage, policy=email.policy.default)
        text = message.get_body(("plain",))
        assert text is not None
        subject = str(message["Subject"])
        self.received.append(
            Mail(tuple(envelope.rcpt_tos), subject, text.get_content().replace("\r\n", "\n"))
        )
        return "250 taken"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
