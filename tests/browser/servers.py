"""The dashboards that the browser looks at: over the demo's box, and over a real daemon's."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120.0
"""The demo makes a week first; a small and busy box takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A dashboard. address: without a slash at its end. state: the box's state directory."""

    address: str
    token: str
    state: Path
    process: subprocess.Popen[str]

    def value(self, database: str, query: str) -> str:
        """Return the first cell that a query finds."""
        uri = f"{(self.state / database).as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found = connection.execute(query).fetchone()
        assert found is not None, f"nothing found by {query}"
        return str(found[0])


@contextmanager
def served(
    argv: list[str], environ: Mapping[str, str], folder: Path, state: Path, token: str = ""
) -> Iterator[Served]:
    """Start a dashboard, wait until it says where it is, and end it by its handle."""
    said = folder / "dashboard.out"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(folder), **environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + LIMIT_S
        while not (found := re.search(r"dashboard: (http://\S+?)/?$", said.read_text(), re.MULTILINE)):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, f"it did not begin to serve: {said.read_text()}"
            time.sleep(0.05)
        told = re.search(r"with the token (\w+)", said.read_text())
        yield Served(address=found[1], token=told[1] if told else token, state=state, process=process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


@contextmanager
def demo(folder: Path, *more: str) -> Iterator[Served]:
    """Serve the demo's box, whose time passes as ours does. more: arguments."""
    state = folder / "box"
    argv = ["-m", "scripts.demo", "--port", "0", "--seconds-per-hour", "3600", "--state-dir", str(state)]
    argv += more
    with served(argv, {}, folder, state) as found:
        yield found


@contextmanager
def dashboard(environ: Mapping[str, str], folder: Path, token: str, port: int = 0) -> Iterator[Served]:
    """Serve the box that `environ` describes. port: 0: any that is free."""
    address = f"127.0.0.1:{port or free_port()}"
    argv = ["scripts/dashboard.py", "--address", address]
    told = {**environ, "ORCHESTRATOR_DASHBOARD_TOKEN": token}
    with served(argv, told, folder, Path(environ["ORCHESTRATOR_STATE_DIR"]), token) as found:
        yield found


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as asked:
        return int(asked.getsockname()[1])
