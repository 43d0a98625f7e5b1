"""Serve the dashboard: what the box does, on a page for a browser at home. A service of its own.

    dashboard.py [--address 127.0.0.1:8480]

It reads the databases beside the daemon and needs no daemon to start. Settings: ORCHESTRATOR_DASHBOARD_* and
those of the daemon (.env.example). Exit codes: 0 stopped, 1 the address is taken, 78 the settings are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn

from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from orchestration.ctl.desk import Desk
from orchestration.errors import CalendarError, SettingsError, SpecError

EX_CONFIG = 78


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    made = argparse.ArgumentParser(prog="dashboard.py", description="Serve the dashboard.")
    made.add_argument("--address", metavar="HOST:PORT", help="default: ORCHESTRATOR_DASHBOARD_ADDRESS")
    arguments = made.parse_args(argv)
    try:
        desk = Desk(os.environ if environ is None else environ)
        source, address = Source(desk), arguments.address or desk.settings.dashboard_address
        app = create_app(source, Access(desk.settings.dashboard_token))
    except (SettingsError, CalendarError, SpecError) as error:
        print(f"dashboard: cannot start:\n{error}", file=sys.stderr)
        return EX_CONFIG
    host, _, port = address.rpartition(":")
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=int(port),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = uvicorn.Server(config)
    print(f"dashboard: http://{address}/", flush=True)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
