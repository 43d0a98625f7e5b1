"""Runs as root inside the machine that test_dashboard_service.py boots: asks the dashboard, says what it saw.

Usage: dashboard_probe.py; it prints one line `PROBE {json}`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

AT = "http://127.0.0.1:8480"
UNIT = "daily-orchestrator-dashboard.service"
TOKEN = Path("/etc/daily-orchestrator/credentials/dashboard_token")
LONGEST_WAIT_S = 60.0


def ask(path: str, token: str = "", form: bytes | None = None) -> tuple[int, str]:
    """Return the status and the body of an answer; 0 where nobody answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(AT + path, form, headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def await_page(path: str) -> str:
    """Return the page as soon as it is there."""
    end = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < end:
        status, body = ask(path)
        if status == 200:
            return body
        time.sleep(0.1)
    return f"nothing but {ask(path)}"


def may_write(pid: str, path: str) -> bool:
    """Whether a file can be made there as the dashboard sees the disk; only its mounts stop root."""
    argv = ["nsenter", "--target", pid, "--mount", "touch", path]
    return subprocess.run(argv, capture_output=True, timeout=30).returncode == 0


def systemctl(*arguments: str) -> str:
    argv = ["systemctl", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=90).stdout.strip()


def main() -> int:
    """Look, act, and look what it may not do; then take its token away."""
    systemctl("start", "daily-orchestrator.service")
    token = TOKEN.read_text()
    answer: dict[str, object] = {"step": "dashboard", "shown": "<main" in await_page("/")}
    answer |= {"mode": oct(TOKEN.stat().st_mode & 0o777), "token_length": len(token)}
    answer["wrong"] = ask("/actions/pause", "not the token", b"")
    answer["pause"] = ask("/actions/pause", token, b"")
    answer["halt"] = ask("/actions/halt", token, b"reason=a+trial")
    answer["halted"] = Path("/var/lib/daily-orchestrator/trading.halt").exists()
    systemctl("restart", UNIT)  # so that the folders are there when its mounts are made
    await_page("/")
    pid = systemctl("show", "-p", "MainPID", "--value", UNIT)
    state = "/var/lib/daily-orchestrator"
    places = [state, f"{state}/runs", "/var/log/daily-orchestrator", "/opt/daily-orchestrator", "/etc"]
    answer["writable"] = {f"{place}/x": may_write(pid, f"{place}/x") for place in places}
    TOKEN.unlink()
    systemctl("restart", UNIT)
    answer["without_token"] = "Nobody may act here yet" in await_page("/login")
    print("PROBE " + json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
