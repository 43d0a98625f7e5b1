"""A real daemon in a folder of its own, for the benchmarks: start it, look at it in /proc, end it.

The folder lies on a disk, not in memory: what is measured includes the waits for it. Every process is started
in a session of its own, and only what was started here is ever signalled.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
MB = 1e6


def task(name: str, argv: Sequence[str], **fields: object) -> str:
    """Return a `[[task]]` table; JSON's texts, numbers and lists are TOML's too."""
    values = {
        "name": name,
        "argv": list(argv),
        "memory_mb": 20,
        "estimated_minutes": 0.05,
        "timeout_minutes": 5,
        "idempotent": True,
        **fields,
    }
    return "\n".join(["[[task]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])


def builtins_off() -> list[str]:
    """Return the tables that switch every built-in task off."""
    from orchestration.task_specs import TASK_SPECS

    return [f'[[task]]\nname = "{spec.name}"\nenabled = false\n' for spec in TASK_SPECS]


@dataclass(frozen=True)
class Usage:
    """What a process has used so far. cpu_s: user and system. switches: voluntary ones. written: bytes of
    write calls (children that it has waited for included); to_disk: bytes sent to a disk, its own alone."""

    cpu_s: float
    switches: int
    written: int
    to_disk: int


@dataclass
class Box:
    """A daemon's folder, and the daemon in it. environ: settings beside the usual ones."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        return self.folder / "var"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def write_tasks(self, *tables: str, builtins: bool = False) -> None:
        """Put these tables into the task file."""
        off = [] if builtins else builtins_off()
        (self.folder / "tasks.toml").write_text("\n".join([*off, *tables]))

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ORCHESTRATOR_STATE_DIR": str(self.state),
            "ORCHESTRATOR_LOG_DIR": str(self.folder / "logs"),
            "ORCHESTRATOR_TASKS": str(self.folder / "tasks.toml"),
            "ORCHESTRATOR_PANEL": "null",
            "ORCHESTRATOR_SLOTS": "32",
            "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true",
            "USE_UNIFIED_SCHEDULER": "true",
            **self.environ,
        }

    def start(self) -> None:
        """Start the daemon; it is not waited for."""
        with open(self.folder / "stdout", "ab") as out, open(self.folder / "stderr", "ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "daily_orchestrator.py")],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def stop(self) -> None:
        """SIGTERM the daemon, which ends its runs; SIGKILL it after 30 s."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process = None

    def wait_until(self, is_so: Callable[[], bool], limit_s: float, every_s: float = 0.2) -> bool:
        """Look until it is so; return whether it was within the limit. Raises RuntimeError if it ended."""
        limit = time.monotonic() + limit_s
        while not is_so():
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended: {(self.folder / 'stderr').read_text()[-2000:]}")
            if time.monotonic() > limit:
                return False
            time.sleep(every_s)
        return True

    # --- what it is and has done --------------------------------------------------------------------------

    def memory_mb(self) -> tuple[float, float]:
        """Return its resident and its proportional share (VmRSS, Pss) in MB."""
        return _kilobytes(f"/proc/{self.pid}/status", "VmRSS:"), _kilobytes(
            f"/proc/{self.pid}/smaps_rollup", "Pss:"
        )

    def usage(self) -> Usage:
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        status = Path(f"/proc/{self.pid}/status").read_text()
        io = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
        return Usage(
            cpu_s=(int(stat[11]) + int(stat[12])) / TICKS,
            switches=int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]),
            written=int(io["wchar"]),
            to_disk=int(io["write_bytes"]),
        )

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return what a query finds in performance.db, which is only read; nothing before there is one."""
        path = self.state / "performance.db"
        if not path.is_file():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in connection.execute(query, values)]
            except sqlite3.OperationalError:
                return []

    def ended(self) -> int:
        """Return how many runs have ended."""
        found = self.rows("SELECT count(*) AS n FROM task_runs WHERE status = 'ended'")
        return int(found[0]["n"]) if found else 0

    def tree(self) -> tuple[int, int]:
        """Return how many files lie under the folder, and their bytes."""
        sizes = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    sizes.append(os.stat(os.path.join(folder, name)).st_size)
        return len(sizes), sum(sizes)


@contextmanager
def box(**environ: str) -> Iterator[Box]:
    """Make a box in a temporary folder; afterwards its daemon is stopped and the folder is gone."""
    # /tmp may be in memory; /var/tmp is a disk wherever there is one.
    place = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-", dir=place))
    made = Box(folder, dict(environ))
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _kilobytes(path: str, key: str) -> float:
    """Return a kB figure of a /proc file in MB."""
    return int(Path(path).read_text().split(key)[1].split()[0]) * 1024 / MB


def verdict(name: str, figure: float, unit: str, target: float, note: str = "") -> bool:
    """Print one line; return whether the figure is below its target."""
    good = figure < target
    mark = "" if good else "  ABOVE"
    tail = f", {note}" if note else ""
    number = f"{figure:.0f}" if figure >= 1000 else f"{figure:.3g}"
    print(f"{name}: {number} {unit} (target < {target:g}{tail}){mark}", flush=True)
    return good


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]


def load() -> str:
    """Return what else the machine does, for the reader to judge a figure by."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
