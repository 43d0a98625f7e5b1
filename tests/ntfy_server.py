"""A receiver of messages on loopback in the style of ntfy, that can be down, slow, in trouble or rude.

It takes `POST /TOPIC` with the text as body and Title, Priority and Tags as headers, and `POST /` with JSON
that names the topic, and answers as ntfy does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. path: with the query."""

    method: str
    path: str
    topic: str
    title: str
    text: str


class NtfyServer:
    """The receiver. Use it as a context manager; `port` stays the same when it is down for a while.

    received: the messages it took, in order. refused: those it did not. status: what it answers.
    before: called before each answer, with what came (it may wait, or end someone). rude: it takes the
    message and closes the connection without an answer.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refused: list[Received] = []
        self.status = 200
        self.rude = False
        self.before: Callable[[Received], None] = lambda message: None
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> NtfyServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.received]

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.received]

    def url(self, topic: str) -> str:
        """Return the address that apprise sends to."""
        return f"ntfy://127.0.0.1:{self.port}/{topic}"

    def web(self, path: str) -> str:
        """Return a plain web address of it."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        """Listen, at the port it had before."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        server.daemon_threads = True
        self.port = server.server_address[1]
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be down: connections are refused."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._take("POST")

            def do_GET(self) -> None:
                self._take("GET")

            def _take(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                message = _read(method, self.path, self.headers.get("Title") or "", body)
                outer.before(message)
                if outer.status == 200:
                    outer.received.append(message)
                else:
                    outer.refused.append(message)
                if outer.rude:
                    self.close_connection = True
                    return
                answer = json.dumps({"event": "message", "topic": message.topic}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


def _read(method: str, path: str, title: str, body: str) -> Received:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict):
        parts = (str(told.get(name, "")) for name in ("topic", "title", "message"))
        return Received(method, path, *parts)
    return Received(method, path, path.strip("/"), title, body)
