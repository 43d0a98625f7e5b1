"""Serve the dashboard: what the box does, on a page for a browser at home. A service of its own.

    dashboard.py [--address 127.0.0.1:8480]

It reads the databases beside the daemon and needs no daemon to start. Settings: ORCHESTRATOR_DASHBOARD_* and
those of the daemon (.env.example); docs/dashboard.md says how to sign in and how to listen elsewhere. Exit
codes: 0 stopped, 1 it cannot listen there, 78 the settings are wrong.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn
from starlette.applications import Starlette

from config import Settings
from observability.dashboard.app import create_app, warm
from observability.dashboard.security import Access, is_loopback
from observability.dashboard.source import Source
from observability.logs import configure_logging
from orchestration.ctl.desk import Desk
from orchestration.errors import CalendarError, SettingsError, SpecError
from orchestration.setting_values import SHORTEST_TOKEN

EX_CONFIG = 78
TOKEN_FILE = "dashboard_token"
MOST_CONNECTIONS = 400
"""More than the readers of the events, and so few that no flood of them fills the memory."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    made = argparse.ArgumentParser(prog="dashboard.py", description="Serve the dashboard.")
    made.add_argument("--address", metavar="HOST:PORT", help="default: ORCHESTRATOR_DASHBOARD_ADDRESS")
    arguments = made.parse_args(argv)
    wanted = dict(os.environ if environ is None else environ)
    if arguments.address:
        wanted["ORCHESTRATOR_DASHBOARD_ADDRESS"] = arguments.address
    try:
        desk = Desk(wanted)
        settings, source = desk.settings, Source(desk)
        token = token_of(settings)
        access = access_of(settings, token)
    except (SettingsError, CalendarError, SpecError) as error:
        print(f"dashboard: cannot start:\n{error}", file=sys.stderr)
        return EX_CONFIG
    app = create_app(source, access)
    warm(app)
    try:
        listening = listen(*host_and_port(settings))
    except OSError as error:
        # Newer Pythons add the address, which is said already.
        why = str(error.strerror).partition(" (while")[0]
        print(f"dashboard: cannot listen on {settings.dashboard_address}: {why}", file=sys.stderr)
        return 1
    log = configure_logging(desk.clock, level=settings.log_level, secrets=[token] if token else [])
    try:
        return serve(app, listening, settings.dashboard_address)
    finally:
        log.close()


def serve(app: Starlette, listening: socket.socket, address: str) -> int:
    """Serve on an open socket until a signal."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        # A proxy on this box may say who asks, and whether by https.
        forwarded_allow_ips="127.0.0.1,::1",
    )
    server = uvicorn.Server(config)
    # When it has ended, uvicorn raises the signal that told it to once more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    print(f"dashboard: http://{address}/", flush=True)
    server.run(sockets=[listening])
    return 0 if server.started else 1


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def token_of(settings: Settings) -> str | None:
    """Return what a person must know to act: the credential's file before the setting. None: nobody may act.

    Raises:
        SettingsError: if the file cannot be read, or holds too short a token. An empty one holds none.
    """
    file = None if settings.credentials_dir is None else settings.credentials_dir / TOKEN_FILE
    try:
        found = "" if file is None else file.read_text().strip()
    except FileNotFoundError:
        found = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    if found and len(found) < SHORTEST_TOKEN:
        raise SettingsError(
            f"the token in {file} is too short: expected at least {SHORTEST_TOKEN} characters, as "
            "`openssl rand -hex 16` prints"
        )
    return found or settings.dashboard_token


def access_of(settings: Settings, token: str | None) -> Access:
    """Return who may look and who may act. Raises SettingsError where everybody at home could look."""
    host, _ = host_and_port(settings)
    if token is None and not is_loopback(host):
        raise SettingsError(
            f"ORCHESTRATOR_DASHBOARD_ADDRESS is {settings.dashboard_address}, where others can reach it, and "
            f"no token is set: put one into the file {TOKEN_FILE} among the credentials, or into "
            "ORCHESTRATOR_DASHBOARD_TOKEN; or listen on 127.0.0.1"
        )
    here = socket.gethostname()
    names = [host, here, f"{here}.local", *(settings.dashboard_names or "").split()]
    return Access(token, names=names, is_open=is_loopback(host))


def host_and_port(settings: Settings) -> tuple[str, int]:
    """Return where to listen."""
    host, _, port = settings.dashboard_address.rpartition(":")
    return host.strip("[]"), int(port)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises OSError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


if __name__ == "__main__":
    sys.exit(main())
