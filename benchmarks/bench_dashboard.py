"""What the dashboard costs the box: memory, idle CPU, a page's time, and what readers do to the daemon.

    python -m benchmarks.bench_dashboard [pages] [idle] [readers] [large] [--seconds 20]

A real daemon, and beside it the dashboard as its unit starts it, at nice 10. `pages`: every page over a small
database, then the resident size. `idle`: CPU without a reader and with one open page. `readers`: how late a
duty of every second starts while 50 readers fetch pages as fast as they are given them, and while nobody
does. `large`: every page over half a million runs. Pages are fetched after a commit, as their content is kept
for a second.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from types import MappingProxyType
from zoneinfo import ZoneInfo

from benchmarks.box import ROOT, TICKS, Box, box, load, percentile, task, verdict
from benchmarks.large_history import write_large_history
from orchestration.sessions import Sessions

RSS_MB, IDLE_PCT, FIRST_MS, LARGE_MS, DELAY_MS = 80.0, 0.5, 100.0, 300.0, 20.0
NICE = 10
"""As in systemd/daily-orchestrator-dashboard.service; the readers are elsewhere and have it here, too."""
READERS = 50
FETCHES = 3
KEPT_S = 0.6
"""After a commit a view is not made again for half a second."""
EXAMPLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "/task/{task}": (
            "performance.db",
            "SELECT task FROM task_runs GROUP BY task ORDER BY count(*) DESC, max(planned_at) DESC",
        ),
        "/run/{run_id}": ("performance.db", "SELECT run_id FROM task_runs ORDER BY planned_at DESC"),
        "/trading/orders/{parent_id}": ("ledger.db", "SELECT parent_id FROM parents ORDER BY session DESC"),
        "/trading/candidates/{candidate_id}": ("ledger.db", "SELECT candidate_id FROM verdicts"),
    }
)
"""What stands for a page's parameter: the first cell of a query."""
SESSIONS = 10


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard that serves. port: of 127.0.0.1."""

    port: int
    pid: int

    def fetch(self, path: str) -> float:
        """Fetch a page over a new connection; return the milliseconds it took. Raises RuntimeError."""
        began = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}")
        return 1000 * (time.perf_counter() - began)

    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    def cpu_s(self) -> float:
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS


@contextmanager
def dashboard(environ: Mapping[str, str], folder: Path) -> Iterator[Dashboard]:
    """Start a dashboard over a box's state and wait until it listens; end it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as asked:
        port = int(asked.getsockname()[1])
    argv = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--address", f"127.0.0.1:{port}"]
    with open(folder / "dashboard.out", "ab") as out:
        process = subprocess.Popen(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=lambda: os.nice(NICE) and None,
        )
    try:
        _until(lambda: _listens(port), 60, "the dashboard listens")
        yield Dashboard(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _until(is_so: Callable[[], bool], limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {limit_s:g} s: {what}")
        time.sleep(0.05)


# --- pages ------------------------------------------------------------------------------------------------


def addresses(state: Path) -> list[str]:
    """Return the address of every page, with an example for a parameter."""
    from observability.dashboard.pages import PAGES

    found = []
    for page in PAGES:
        head, brace, _ = page.path.partition("{")
        if not brace:
            found.append(page.path)
        else:
            found.append(head + _first_cell(state, *EXAMPLES[page.path]))
    return found


def _first_cell(state: Path, database: str, query: str) -> str:
    with closing(sqlite3.connect(f"{(state / database).as_uri()}?mode=ro", uri=True)) as connection:
        return str(connection.execute(query).fetchone()[0])


def write_books(state: Path, now: datetime) -> None:
    """Write a ledger of the last `SESSIONS` sessions as the demo's jobs write theirs."""
    from orchestration.calendar_source import load_shipped
    from scripts._demo_trading import TradingWork

    home = Sessions("XNYS", ZoneInfo("America/New_York"), load_shipped())
    work = TradingWork(state, home)
    for session in [each for each in home.table if each.close < now][-SESSIONS:]:
        work.started("execute_orders", session.open)
        for share in range(1, 7):
            at = session.open + (session.close - session.open) * share / 7
            work.ended("monitor_positions", at)
            work.ended("check_risk_limits", at)
        work.ended("execute_orders", session.close)
        work.ended("calculate_pnl", session.close + timedelta(minutes=20))
        work.ended("run_nightly_research", session.close + timedelta(hours=9))
        work.ended("validate_candidates", session.close + timedelta(hours=10))


def timed_pages(shown: Dashboard, state: Path) -> dict[str, float]:
    """Return the median milliseconds of each page, each fetched after a commit."""
    return {
        path: median(_after_commit(shown, state, path) for _ in range(FETCHES)) for path in addresses(state)
    }


def _after_commit(shown: Dashboard, state: Path, path: str) -> float:
    with closing(sqlite3.connect(state / "performance.db", timeout=10)) as connection, connection:
        connection.execute(
            "INSERT OR REPLACE INTO scheduler_state VALUES ('bench', ?, '')", (str(time.time()),)
        )
    time.sleep(KEPT_S)
    return shown.fetch(path)


def tell_pages(name: str, first: float, pages: Mapping[str, float], target: float) -> bool:
    """Print the first page's time, each page's and the slowest one's; return whether they are in time."""
    for path, took in pages.items():
        print(f"  {took:6.1f} ms  {path}")
    slowest = max(pages, key=lambda path: pages[path])
    good = verdict(f"{name}, the first of a new process", first, "ms", target, load())
    return verdict(f"{name}, the slowest", pages[slowest], "ms", target, f"{slowest}; {load()}") and good


def measure_pages(seconds: float) -> bool:
    """Every page of a box that works, and the resident size afterwards."""
    with box() as made:
        _work(made)
        with dashboard(made.environment(), made.folder) as shown:
            first = shown.fetch("/")
            good = tell_pages("page", first, timed_pages(shown, made.state), FIRST_MS)
            return verdict("resident size after every page", shown.rss_mb(), "MB", RSS_MB) and good


def measure_large(seconds: float) -> bool:
    """Every page over half a million runs; no daemon runs."""
    with box() as made:
        began = time.monotonic()
        made.state.mkdir()
        write_large_history(made.state, datetime.now(UTC))
        write_books(made.state, datetime.now(UTC))
        (made.state / "tasks.toml").replace(made.folder / "tasks.toml")
        print(f"half a million runs made in {time.monotonic() - began:.0f} s", flush=True)
        with dashboard(made.environment(), made.folder) as shown:
            first = shown.fetch("/")
            good = tell_pages("page over 500,000 runs", first, timed_pages(shown, made.state), LARGE_MS)
            return verdict("resident size after them", shown.rss_mb(), "MB", RSS_MB) and good


# --- idle -------------------------------------------------------------------------------------------------


def measure_idle(seconds: float) -> bool:
    """CPU of a dashboard beside a daemon for which nothing is due."""
    with box() as made:
        made.write_tasks(task("never", ["/bin/true"], cron="0 0 1 1 *"))
        made.start()
        _until(lambda: bool(made.rows("SELECT 1 FROM events")), 60, "the daemon has begun")
        with dashboard(made.environment(), made.folder) as shown:
            shown.fetch("/")
            time.sleep(6.0)
            alone = _cpu_pct(shown, seconds)
            ended = threading.Event()
            reader = threading.Thread(target=_follow, args=(shown, ended))
            reader.start()
            time.sleep(1.0)
            watched = _cpu_pct(shown, seconds)
            ended.set()
            reader.join()
    note = f"over {seconds:.0f} s; with one open page {watched:.2g} %; {load()}"
    return verdict("idle CPU", alone, "% of a core", IDLE_PCT, note)


def _cpu_pct(shown: Dashboard, seconds: float) -> float:
    before = shown.cpu_s()
    time.sleep(seconds)
    return 100 * (shown.cpu_s() - before) / seconds


def _follow(shown: Dashboard, ended: threading.Event) -> None:
    """Do what an open page does: fetch the page again whenever it is told to."""
    with closing(http.client.HTTPConnection("127.0.0.1", shown.port, timeout=10)) as connection:
        connection.request("GET", "/live")
        events = connection.getresponse()
        while not ended.is_set():
            if events.fp.readline().startswith(b"event:"):
                shown.fetch("/")


# --- readers ----------------------------------------------------------------------------------------------


def measure_readers(seconds: float) -> bool:
    """How late the daemon starts a duty of every second with 50 readers, and without."""
    with box() as made:
        _work(made)
        with dashboard(made.environment(), made.folder) as shown:
            shown.fetch("/")
            quiet = _lateness(made, seconds)
            with _hammer(shown, addresses(made.state), seconds + 5) as process:
                time.sleep(2.0)
                busy = _lateness(made, seconds)
                fetched = int(process.communicate(timeout=60)[0])
            rss = shown.rss_mb()
    with_ms, without_ms = (1000 * percentile(late, 0.95) for late in (busy, quiet))
    note = f"p95 {with_ms:.0f} ms of {len(busy)} starts, {without_ms:.0f} without; worst "
    note += f"{1000 * max(busy):.0f} and {1000 * max(quiet):.0f}; {fetched} pages; {load()}"
    good = verdict(f"delay of a duty by {READERS} readers", with_ms - without_ms, "ms", DELAY_MS, note)
    return verdict("resident size after them", rss, "MB", RSS_MB) and good


def _work(made: Box) -> None:
    """Start a daemon with the built-in tasks switched off, a duty of every second and some others."""
    quick = [task(f"job_{n}", ["/bin/true"], every=f"{15 + n}s", category="research") for n in range(6)]
    duty = task("duty", ["/bin/true"], every="1s", priority="CRITICAL", category="risk")
    made.environ |= {"USE_UNIFIED_SCHEDULER": "false", "USE_TASK_SCHEDULER": "true"}
    made.write_tasks(duty, *quick)
    made.state.mkdir()
    write_books(made.state, datetime.now(UTC))
    made.start()
    _until(lambda: made.ended() > 10, 60, "the daemon works")


def _lateness(made: Box, seconds: float) -> list[float]:
    """Return how late [s] each start of the duty was, over the next seconds."""
    log = made.folder / "logs" / "orchestrator.log"
    before = log.stat().st_size
    time.sleep(seconds)
    with log.open() as lines:
        lines.seek(before)
        said = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
    starts = [line for line in said if line["event"] == "run.started" and line["task"] == "duty"]
    if len(starts) < 0.8 * seconds:
        raise RuntimeError(f"the duty started {len(starts)} times in {seconds:g} s")
    return [line["late_s"] for line in starts]


@contextmanager
def _hammer(shown: Dashboard, paths: Sequence[str], seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Let 50 readers fetch pages from a process of their own; its output is how many they were given."""
    argv = [sys.executable, "-m", "benchmarks.bench_dashboard", "--hammer", str(shown.port)]
    process = subprocess.Popen(
        [*argv, "--seconds", str(seconds), *paths],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: os.nice(NICE) and None,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def hammer(port: int, paths: Sequence[str], seconds: float) -> int:
    """Fetch pages with 50 readers at once, each of which listens to the events, too; return how many came."""
    end = time.monotonic() + seconds

    async def read(number: int) -> int:
        _events, told = await asyncio.open_connection("127.0.0.1", port)
        told.write(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.monotonic() < end:
            path = paths[(number + count) % len(paths)]
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nHX-Request: true\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            await reader.readexactly(length)
            count += head.startswith(b"HTTP/1.1 200")
        writer.close()
        told.close()
        return count

    return sum(await asyncio.gather(*(read(number) for number in range(READERS))))


PARTS: Mapping[str, Callable[[float], bool]] = MappingProxyType(
    {"pages": measure_pages, "idle": measure_idle, "readers": measure_readers, "large": measure_large}
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each look at idle CPU and lateness")
    parser.add_argument("--hammer", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.hammer is not None:
        print(asyncio.run(hammer(options.hammer, options.parts, options.seconds)))
        return 0
    if unknown := sorted(set(options.parts) - PARTS.keys()):
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    # All of them, also after one that is above its target.
    verdicts = [PARTS[name](options.seconds) for name in options.parts or PARTS]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
