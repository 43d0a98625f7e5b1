"""The real daemon as a process of its own, in a folder of its own: started, watched and ended by the tests.

Its tasks are shell one-liners; the built-in ones are switched off by name unless a test asks for them. What a
job did is told from its witness file, to which every start and stop appends one line. Only processes of this
folder are ever signalled: the daemon by its handle, what it left behind by the path in its environment.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from orchestration.control import Answer, ControlDb
from orchestration.task_specs import TASK_SPECS

ROOT = Path(__file__).resolve().parents[2]
NO_ENV: Mapping[str, str] = MappingProxyType({})
MISSING = object()
LIMIT_S = 60.0
"""What takes longer has failed: a start of the daemon alone takes many seconds on a small and busy box."""
T = TypeVar("T")


def wait_for(claim: Callable[[], T], what: str, *, limit_s: float = LIMIT_S) -> T:
    """Return the first true answer of `claim`; fail, naming `what`, after `limit_s`."""
    end = time.monotonic() + limit_s
    while not (found := claim()):
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        time.sleep(0.01)
    return found


class Daemon:
    """One state directory and the daemons that work with it, one after the other.

    state: the state directory. tasks: the task file. environ: what is set for every start.
    """

    def __init__(self, folder: Path, *, state: Path | None = None, logs: Path | None = None) -> None:
        self.folder = folder
        self.state = state or folder / "state"
        self.logs = logs or folder / "logs"
        self.tasks = folder / "tasks.toml"
        self.environ: dict[str, str] = {"USE_UNIFIED_SCHEDULER": "true"}
        self.process: subprocess.Popen[str] | None = None
        self.write_tasks()

    # --- the task file ------------------------------------------------------------------------------------

    def write_tasks(self, *tasks: str, builtins: bool = False) -> None:
        """Put these `[[task]]` tables into the task file, replacing it as an editor does."""
        off = (
            [] if builtins else [f'[[task]]\nname = "{spec.name}"\nenabled = false\n' for spec in TASK_SPECS]
        )
        fresh = self.tasks.with_suffix(".new")
        fresh.write_text("\n".join([*off, *tasks]))
        fresh.replace(self.tasks)

    @property
    def witness(self) -> Path:
        """The file to which the jobs append."""
        return self.folder / "witness"

    def job(self, name: str, script: str, **fields: object) -> str:
        """Return a task whose shell `script` stands between its start and its stop line in the witness.

        A lock tells whether another run of it, or anything another run left behind, is still there.
        """
        lock = self.folder / f"{name}.lock"
        whole = (
            f'exec 8>>"{lock}"; flock -n 8 || echo "overlap {name} $ORCHESTRATOR_RUN_ID" >>"{self.witness}"\n'
            f'echo "start {name} $ORCHESTRATOR_RUN_ID $$" >>"{self.witness}"\n'
            f"{script}\n"
            f'echo "stop {name} $ORCHESTRATOR_RUN_ID $$" >>"{self.witness}"\n'
        )
        return task(name, ["/bin/sh", "-c", whole], **fields)

    # --- the process --------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "daily_orchestrator.py"), *arguments]

    def environment(self) -> dict[str, str]:
        """Return the daemon's whole environment: nothing of ours but the path."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ORCHESTRATOR_STATE_DIR": str(self.state),
            "ORCHESTRATOR_LOG_DIR": str(self.logs),
            "ORCHESTRATOR_TASKS": str(self.tasks),
            "ORCHESTRATOR_PANEL": "null",
            "ORCHESTRATOR_SLOTS": "8",
            "ORCHESTRATOR_DUTY_SLOTS": "0",
            "ORCHESTRATOR_DUTY_RESERVE_MB": "0",
            "ORCHESTRATOR_STOP_GRACE": "5s",
            "ORCHESTRATOR_STOP_TIMEOUT": "30s",
            "ORCHESTRATOR_ASSUME_CLOCK_SYNCED": "true",
            **self.environ,
        }

    def start(self, environ: Mapping[str, str] = NO_ENV, *, ready: bool = True) -> subprocess.Popen[str]:
        """Start the daemon in its own session; with `ready`, wait until it has said that it works."""
        before = len(self.said("daemon.started"))
        with open(self.folder / "stdout", "ab") as out, open(self.folder / "stderr", "ab") as err:
            self.process = subprocess.Popen(
                self.command(),
                env={**self.environment(), **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        if ready:
            wait_for(lambda: len(self.said("daemon.started")) > before or self._has_ended(), "daemon.started")
            assert self.process.poll() is None, f"it ended: {self.stderr()}"
        return self.process

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def run_to_end(
        self, *arguments: str, environ: Mapping[str, str] = NO_ENV, limit_s: float = LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run the daemon to its end and return what it said."""
        with subprocess.Popen(
            self.command(*arguments),
            env={**self.environment(), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the daemon to end; return its exit code."""
        assert self.process is not None
        return self.process.wait(limit_s)

    def kill(self) -> None:
        """SIGKILL the daemon alone: its runs go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(LIMIT_S)

    def signal(self, signum: int) -> None:
        assert self.process is not None
        self.process.send_signal(signum)

    def stop(self, limit_s: float = LIMIT_S) -> int:
        """SIGTERM the daemon and wait for its end; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(limit_s)

    def rss_mb(self) -> float:
        """Return the daemon's resident memory."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    def clean_up(self) -> None:
        """End the daemon and everything that its runs left."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        wait_for(lambda: not self._end_runs(), "the end of all runs")

    def _end_runs(self) -> list[int]:
        left = self.left_behind()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def left_behind(self) -> list[int]:
        """Return the pids of supervisors and jobs that were started from this state directory."""
        marker = f"ORCHESTRATOR_RESULT={self.state}/runs/".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if marker in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    # --- what it said and recorded ------------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of orchestrator.log that are whole."""
        path = self.logs / "orchestrator.log"
        if not path.is_file():
            return []
        lines = path.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def said(self, event: str, **keys: object) -> list[dict[str, Any]]:
        """Return the log's lines of one event with these keys."""
        return [
            line
            for line in self.log()
            if line.get("event") == event and all(line.get(k, MISSING) == v for k, v in keys.items())
        ]

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return what a query finds in performance.db, which is only read; nothing before it is made."""
        path = self.state / "performance.db"
        if not path.is_file():
            return []
        uri = f"{path.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(query, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "locked" in str(error):
                return []
            raise

    def runs(self, task_name: str) -> list[dict[str, Any]]:
        """Return the recorded runs of a task, the first attempt first."""
        return self.rows("SELECT * FROM task_runs WHERE task = ? ORDER BY planned_at, attempt", task_name)

    def outcomes(self, task_name: str) -> list[str | None]:
        """Return how each run of a task ended (None: it has not)."""
        return [run["outcome"] for run in self.runs(task_name)]

    def wait_outcomes(self, task_name: str, *outcomes: str | None, limit_s: float = LIMIT_S) -> None:
        """Wait until the runs of a task have ended just so."""
        wait_for(
            lambda: self.outcomes(task_name) == list(outcomes),
            f"{task_name} {outcomes}, but {self.outcomes(task_name)}",
            limit_s=limit_s,
        )

    def seen(self, *words: str) -> list[list[str]]:
        """Return the witness's lines that begin with these words, each split into words."""
        if not self.witness.is_file():
            return []
        lines = [line.split() for line in self.witness.read_text().splitlines()]
        return [line for line in lines if line[: len(words)] == list(words)]

    def wait_seen(self, *words: str, count: int = 1, limit_s: float = LIMIT_S) -> list[list[str]]:
        """Wait until the witness has that many lines beginning with these words; return them."""
        what = f"{count} lines {' '.join(words)!r} in the witness"
        return wait_for(
            lambda: found if len(found := self.seen(*words)) >= count else [], what, limit_s=limit_s
        )

    def command_daemon(self, name: str, **arguments: str) -> Answer:
        """Give the running daemon a command, as orchestratorctl does; return its answer."""
        box = ControlDb(self.state / "control.db")
        command_id = box.post(name, arguments)
        self.signal(signal.SIGUSR1)
        return box.wait_answer(command_id, LIMIT_S)


def task(name: str, argv: list[str], **fields: object) -> str:
    """Return a `[[task]]` table; JSON's texts, numbers and lists are TOML's too."""
    values = {
        "name": name,
        "argv": argv,
        "memory_mb": 20,
        "estimated_minutes": 0.1,
        "timeout_minutes": 10,
        "idempotent": True,
        **fields,
    }
    lines = (f"{key} = {_toml(value)}" for key, value in values.items())
    return "\n".join(["[[task]]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
