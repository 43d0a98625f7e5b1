"""Receivers that drip or never come to an end keep neither the job nor the OnFailure= command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from config import ROOT
from orchestration.changes import AlertSaved
from orchestration.clock import SystemClock
from orchestration.state.store import SqlStore
from orchestration.task_specs import TASK_SPECS

LIMIT_S = 60.0
"""How long a script is waited for; each has far shorter limits of its own here."""

BIG = 200_000_000

AS_A_COMMAND = """
import runpy, sys
from observability import alert_receiver
alert_receiver.ANSWER_S = 1.0
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""The script as it is started, with a short limit for what comes after the first line of an answer."""

HASTY = """
import functools, importlib, sys
script = importlib.import_module(sys.argv.pop(1))
if hasattr(script, "deliver"):
    script.deliver = functools.partial(script.deliver, limit_s=2.0)
script.LONGEST_S = 2.0
script.leave(script.main)
"""
"""The script with a short limit for a whole message."""


class EndlessReceiver:
    """A receiver on loopback that treats each topic in its own way. took: the topics of what came, in order.

    head: drips the head of its answer for ever. body, chunked: says 200 and drips the rest for ever.
    big: says 200 and sends 200 MB. Any other: answers.
    """

    def __init__(self) -> None:
        self.took: list[str] = []
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, topic: str) -> str:
        return f"{topic}=ntfy://127.0.0.1:{self.server.server_address[1]}/{topic}"

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                topic = json.loads(body)["topic"] if self.path == "/" else self.path.strip("/")
                outer.took.append(topic)
                with suppress(OSError):
                    getattr(self, f"_{topic}", self._answer)()

            def _answer(self) -> None:
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}")

            def _head(self) -> None:
                self._drip(b"HTTP/1.0 200 OK\r\nX-More: ")

            def _body(self) -> None:
                self._drip(b"HTTP/1.0 200 OK\r\n\r\n")

            def _chunked(self) -> None:
                self._drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

            def _drip(self, first: bytes) -> None:
                self.wfile.write(first)
                while not outer.over.wait(0.1):
                    self.wfile.write(b"0")

            def _big(self) -> None:
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
                for _ in range(BIG // 100_000):
                    self.wfile.write(b"x" * 100_000)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def receiver() -> Iterator[EndlessReceiver]:
    made = EndlessReceiver()
    yield made
    made.close()


class Scripts:
    """A box with one alert, and what tells of it: started, and ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[str]]()
        clock = SystemClock()
        store = SqlStore(folder / "performance.db", now=clock.now)
        store.commit([AlertSaved(at=clock.now(), key="disk", severity="error", text="2 % left", task=None)])
        store.close()

    def start(self, script: str, *urls: str, by: str = "") -> subprocess.Popen[str]:
        """Start `script`, as the daemon and systemd do, or by other code."""
        own = {
            "send_alerts": ["--state-dir", str(self.folder)],
            "send_alert": ["--name", "disk", "--text", "2 % left"],
        }
        how = ["-c", by] if by else ["-m"]
        env = {
            "PATH": os.environ["PATH"],
            "alert_urls": " ".join(urls),
            "ORCHESTRATOR_RESULT": str(self.folder / "result.json"),
        }
        command = [sys.executable, *how, f"scripts.{script}", *own[script]]
        pipe = subprocess.PIPE
        self.running.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True))
        return self.running[-1]

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    made = Scripts(tmp_path)
    yield made
    for each in made.running:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("topic", ["body", "chunked"])
def test_a_message_whose_answer_drips_after_its_first_line_is_taken_and_the_job_ends(
    scripts: Scripts, receiver: EndlessReceiver, topic: str
) -> None:
    job = scripts.start("send_alerts", receiver.url(topic), receiver.url("quick"), by=AS_A_COMMAND)

    assert job.wait(LIMIT_S) == 0

    assert scripts.report == {"sent": {topic: 1, "quick": 1}, "waiting": {}, "failed": {}}
    assert sorted(receiver.took) == sorted([topic, "quick"])


def test_the_onfailure_command_ends_though_an_answer_drips(
    scripts: Scripts, receiver: EndlessReceiver
) -> None:
    command = scripts.start("send_alert", receiver.url("body"), receiver.url("quick"), by=AS_A_COMMAND)

    assert command.wait(LIMIT_S) == 0

    assert sorted(receiver.took) == ["body", "quick"]


def test_an_answer_that_never_begins_keeps_the_job_from_neither_its_report_nor_its_end(
    scripts: Scripts, receiver: EndlessReceiver
) -> None:
    job = scripts.start("send_alerts", receiver.url("head"), receiver.url("quick"), by=HASTY)

    assert job.wait(LIMIT_S) == 0

    assert scripts.report["failed"] == {"head": "it took longer than 2 s"}
    assert (scripts.report["sent"], scripts.report["waiting"]) == ({"quick": 1}, {"head": 1})


def test_an_answer_that_never_begins_is_a_problem_of_the_onfailure_command_and_not_its_end(
    scripts: Scripts, receiver: EndlessReceiver
) -> None:
    command = scripts.start("send_alert", receiver.url("head"), receiver.url("quick"), by=HASTY)

    assert command.wait(LIMIT_S) == 1

    assert command.stderr is not None
    assert "the address 'head': it took longer than 2 s" in command.stderr.read()
    assert sorted(receiver.took) == ["head", "quick"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("script", "code"), [("send_alerts", 0), ("send_alert", 1)])
def test_with_the_limits_as_shipped_each_command_ends_by_itself(
    scripts: Scripts, receiver: EndlessReceiver, script: str, code: int
) -> None:
    started = scripts.start(script, receiver.url("head"), receiver.url("body"), receiver.url("quick"))

    assert started.wait(120) == code

    assert sorted(receiver.took) == ["body", "head", "quick"]


@pytest.mark.slow
def test_asked_to_stop_the_job_reports_what_waits_and_ends_with_a_message_under_way(
    scripts: Scripts, receiver: EndlessReceiver
) -> None:
    job = scripts.start("send_alerts", receiver.url("head"), receiver.url("quick"))
    until(lambda: len(receiver.took) == 2)

    job.send_signal(signal.SIGTERM)

    assert job.wait(40) == 0  # a message may take 60 s
    assert scripts.report["failed"] == {"head": "the job was to end before it answered"}
    assert (scripts.report["sent"], scripts.report["waiting"]) == ({"quick": 1}, {"head": 1})


@pytest.mark.slow
def test_what_a_stop_cut_short_is_told_by_the_next_run(scripts: Scripts, receiver: EndlessReceiver) -> None:
    job = scripts.start("send_alerts", receiver.url("head"))
    until(lambda: receiver.took == ["head"])
    job.send_signal(signal.SIGTERM)
    job.wait(LIMIT_S)

    again = scripts.start("send_alerts", receiver.url("head"))

    until(lambda: receiver.took == ["head", "head"])
    assert again.poll() is None


def test_sigterm_ends_the_onfailure_command_at_once(scripts: Scripts, receiver: EndlessReceiver) -> None:
    command = scripts.start("send_alert", receiver.url("head"))
    until(lambda: receiver.took == ["head"])

    command.send_signal(signal.SIGTERM)

    assert command.wait(40) == -signal.SIGTERM  # an address may take 45 s


@pytest.mark.parametrize("script", ["send_alerts", "send_alert"])
def test_of_an_answer_of_200_mb_no_more_is_read_than_the_reservation_has_room_for(
    scripts: Scripts, receiver: EndlessReceiver, script: str
) -> None:
    reserved_mb = next(spec.memory_mb for spec in TASK_SPECS if spec.name == "send_alerts")

    started = scripts.start(script, receiver.url("big"), receiver.url("quick"))
    peak_mb = 0.0
    while started.poll() is None:
        peak_mb = max(peak_mb, most_resident_mb(started.pid))
        time.sleep(0.01)

    assert started.returncode == 0
    assert 10 < peak_mb < reserved_mb
    assert sorted(receiver.took) == ["big", "quick"]


def most_resident_mb(pid: int) -> float:
    """Return the most that a process ever had in memory, of its own program; 0 when it has just ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)
