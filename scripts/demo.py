"""See the dashboard alive: a simulated box works through its days while you look.

    demo.py [--port 8481] [--seconds-per-hour 2] [--watch-from INSTANT] [--state-dir DIR] [--no-serve]

The loop, its database, the orders and the pages are the real ones; the jobs, the prices and the time are not.
A week of history is made first, in seconds; then an hour of the box passes in two. Ctrl-C ends it. Without
--state-dir everything lies in a temporary folder that is removed. Exit codes: 0 ended, 1 the port is taken
or the folder in use, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from observability.dashboard.app import create_app
from observability.dashboard.security import Access
from observability.dashboard.source import Source
from observability.logs import configure_logging
from orchestration.clock import SystemClock
from orchestration.errors import OrchestratorError
from orchestration.simulation.box import seldom_collecting
from orchestration.simulation.workload import StatedWorkload
from scripts._demo_box import DemoBox, DemoModel
from scripts._demo_trading import TradingWork
from scripts._demo_upkeep import BoxWork
from scripts._portfolio import capital_of, limits_of
from scripts.dashboard import listen, serve

BEGIN = datetime(2026, 11, 18, 14, 0, tzinfo=UTC)
"""A Wednesday, before the open. Of the week after it Thursday is a holiday and Friday closes early."""
LIVE = datetime(2026, 11, 25, 20, 15, tzinfo=UTC)
"""Where watching begins: three quarters of an hour before the close on the day before Thanksgiving."""
MOST_HISTORY = timedelta(days=30)
FAILING = frozenset(
    {
        ("2026-11-20", "refresh_intraday_data"),
        ("2026-11-25", "data_quality"),
        ("2026-11-27", "refresh_intraday_data"),
    }
)
GROWING = frozenset({("2026-11-24", "run_nightly_research")})
HOT = datetime(2026, 11, 26, 2, 0, tzinfo=UTC), datetime(2026, 11, 26, 3, 30, tzinfo=UTC)
"""The evening on which the box is too hot for a while."""
SEED = 7


def main(argv: Sequence[str] | None = None) -> int:
    """Make the days of history and serve what follows; return the exit code."""
    arguments = _parsed(argv)
    try:
        with _folder(arguments.state_dir) as folder:
            return _show(folder, arguments)
    except KeyboardInterrupt:
        return 0
    except (OrchestratorError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    made = argparse.ArgumentParser(prog="demo.py", description="See the dashboard alive.")
    made.add_argument("--port", type=int, default=8481, help="0: any that is free")
    made.add_argument(
        "--seconds-per-hour", type=float, default=2.0, metavar="S", help="how long an hour of the box takes"
    )
    made.add_argument(
        "--watch-from", type=_instant, default=LIVE, metavar="INSTANT", help=f"default: {LIVE.isoformat()}"
    )
    made.add_argument("--state-dir", type=Path, metavar="DIR", help="an empty folder, which is kept")
    made.add_argument("--no-serve", action="store_true", help="make the history and end")
    arguments = made.parse_args(argv)
    if not arguments.seconds_per_hour > 0:
        made.error(f"argument --seconds-per-hour: {arguments.seconds_per_hour:g}: expected seconds above 0")
    if (
        arguments.state_dir is not None
        and arguments.state_dir.exists()
        and any(arguments.state_dir.iterdir())
    ):
        made.error(f"argument --state-dir: {arguments.state_dir} is not empty")
    return arguments


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or not BEGIN <= at <= BEGIN + MOST_HISTORY:
        raise argparse.ArgumentTypeError(
            f"{text}: expected an instant with a zone, in the month from {BEGIN}"
        )
    return at


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Give the folder that was asked for, or one that is removed at the end, however it comes."""
    # Else SIGTERM would end us before the folder is removed.
    signal.signal(signal.SIGTERM, _interrupt)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _show(folder: Path, arguments: argparse.Namespace) -> int:
    token = secrets.token_hex(8)
    with contextlib.ExitStack() as held:
        # First, so that a port that is taken is said at once.
        listening = None if arguments.no_serve else held.enter_context(listen("127.0.0.1", arguments.port))
        box = held.enter_context(contextlib.closing(made_box(folder, token)))
        # The buttons wake the loop as they wake a daemon.
        signal.signal(signal.SIGUSR1, lambda number, frame: box.order())
        began = SystemClock().monotonic()
        with seldom_collecting():
            box.live(until=arguments.watch_from)
        took = SystemClock().monotonic() - began
        days = (arguments.watch_from - BEGIN).days
        print(f"demo: {days} days of history in {took:.0f} s, in {folder}", flush=True)
        if listening is None:
            return 0
        return _serve(box, token, listening, arguments.seconds_per_hour)


def made_box(folder: Path, token: str) -> DemoBox:
    """Return the demo's box at the beginning of its history. token: what acting through the pages needs."""
    environ = {
        "ORCHESTRATOR_STATE_DIR": str(folder),
        "ORCHESTRATOR_LOG_DIR": str(folder / "logs"),
        "ORCHESTRATOR_TASKS": str(folder / "tasks.toml"),
        "ORCHESTRATOR_PANEL": "null",
        "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true",
        "ORCHESTRATOR_RISK_CAPITAL": "150000",
        "ORCHESTRATOR_DASHBOARD_TOKEN": token,
        "USE_UNIFIED_SCHEDULER": "true",
    }
    (folder / "tasks.toml").write_text("# The demo has the built-in tasks alone.\n")
    model = DemoModel(StatedWorkload(seed=SEED, failure_rate=0.04), FAILING, GROWING)

    def work(box: DemoBox) -> BoxWork:
        settings = box.desk.settings
        capital, limits = capital_of(settings), limits_of(settings)
        trading = TradingWork(folder, box.box.calendars.home, SEED, capital, limits)
        learn_from = LIVE - timedelta(days=1)
        return BoxWork(environ, trading, box.planned, box.written, box.health, learn_from=learn_from)

    return DemoBox(environ, BEGIN, model, work, hot=HOT)


def _serve(box: DemoBox, token: str, listening: socket.socket, seconds_per_hour: float) -> int:
    pace = timedelta(hours=1) / timedelta(seconds=seconds_per_hour)
    living = threading.Thread(target=box.live, kwargs={"pace": pace}, name="box")
    print(f"demo: to act, sign in with the token {token}; Ctrl-C ends it", flush=True)
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    with open(os.devnull, "w") as nowhere:
        log = configure_logging(
            box.desk.clock, stream=nowhere, log_dir=box.desk.settings.log_dir, secrets=[token]
        )
        living.start()
        try:
            app = create_app(Source(box.desk, box.used, box.health), Access(token))
            return serve(app, listening, address)
        finally:
            box.end()
            living.join()
            log.close()


if __name__ == "__main__":
    sys.exit(main())
