"""Tell the operator: into the log, by their own command and through apprise. The unit's OnFailure= handler.

    send_alert.py --unit daily-orchestrator.service      (from systemd; reads MONITOR_* of its environment)
    send_alert.py --name disk_full --text "2 % left" --severity error

It reads only ORCHESTRATOR_LOG_DIR (where alerts.log goes), ORCHESTRATOR_ALERT_COMMAND (a command that gets
the text on its standard input), the credential `alert_urls` and ORCHESTRATOR_ALERT_URLS (apprise addresses,
separated by blanks): it works when the other settings, or the databases, are what made the daemon fail.
Exit codes: 0 delivered, 1 a way failed, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from observability.alert_addresses import find_addresses
from observability.alert_receiver import Receiver, leave
from observability.alerts import Alert, failed_unit, run_command
from observability.log_sinks import RotatingFile
from observability.logs import SYSLOG, is_journal
from observability.redact import Redactor
from orchestration.clock import SystemClock

SEVERITIES = ("info", "warning", "error", "critical")
LONGEST_S = 45.0
"""How long the addresses may take; systemd gives the handler 60 s."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Send one alert every way that is set up; return the exit code."""
    env = os.environ if environ is None else environ
    args = _arguments(argv)
    if args.unit:
        alert = failed_unit(env, args.unit)
    else:
        alert = Alert(name=args.name, text=args.text or sys.stdin.read().strip(), severity=args.severity)
    problems = [*_by_command(alert, env), *_by_apprise(alert, env)]
    clock = SystemClock()
    line = log_line(alert, problems, clock.now())
    write_stream(sys.stdout, line, alert.severity, env)
    if env.get("ORCHESTRATOR_LOG_DIR"):
        path = Path(env["ORCHESTRATOR_LOG_DIR"]) / "alerts.log"
        file = RotatingFile(path, 1_000_000, 2, clock.monotonic)
        if not file.write(line):
            problems.append(f"{path} cannot be written: {file.failure}")
        file.close()
    for problem in problems:
        print(f"send_alert: {problem}", file=sys.stderr)
    return 1 if problems else 0


def log_line(alert: Alert, problems: Sequence[str], now: datetime) -> str:
    """Return the alert as a line of the log, without secrets."""
    line = {
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": alert.severity,
        "logger": "send_alert",
        "event": "alert.raised",
        "alert": alert.name,
        "text": alert.text,
        "problems": list(problems),
    }
    return json.dumps(Redactor().mapping(line), ensure_ascii=False)


def write_stream(stream: TextIO, line: str, severity: str, env: Mapping[str, str]) -> None:
    """Write a line, with its priority before it where the stream is the journal's."""
    prefix = f"<{SYSLOG[severity]}>" if is_journal(stream, env.get("JOURNAL_STREAM", "")) else ""
    print(prefix + line, file=stream, flush=True)


def _by_command(alert: Alert, env: Mapping[str, str]) -> list[str]:
    """Return what went wrong with the operator's command; nothing if there is none."""
    command = env.get("ORCHESTRATOR_ALERT_COMMAND", "")
    try:
        argv = shlex.split(command)
    except ValueError as error:
        return [f"ORCHESTRATOR_ALERT_COMMAND={command!r} cannot be split into words: {error}"]
    if not argv:
        return []
    problem = run_command(argv, alert).problem
    return [f"the alert command {argv[0]!r} {problem}"] if problem else []


def _by_apprise(alert: Alert, env: Mapping[str, str]) -> list[str]:
    """Return what went wrong with the addresses, all told at once; they hold secrets and are not repeated."""
    headline, _, text = alert.message.partition("\n")
    problems: dict[str, str | None] = {}
    threads = []
    for address in find_addresses(env):
        receiver = Receiver.open(address)
        if isinstance(receiver, str):
            problems[address.name] = receiver
            continue

        def tell(name: str = address.name, receiver: Receiver = receiver) -> None:
            problems[name] = receiver.send(headline, text.rstrip("\n"), alert.severity)

        problems[address.name] = f"it took longer than {LONGEST_S:g} s"
        threads.append(threading.Thread(target=tell, daemon=True))
        threads[-1].start()
    clock = SystemClock()
    limit = clock.monotonic() + LONGEST_S
    for thread in threads:
        thread.join(max(0.0, limit - clock.monotonic()))
    return [f"the address {name!r}: {problem}" for name, problem in list(problems.items()) if problem]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="send_alert.py", description="Send one alert to the operator.")
    about = parser.add_mutually_exclusive_group(required=True)
    about.add_argument("--unit", help="the systemd unit that has failed")
    about.add_argument("--name", help="what the alert is called, as disk_full")
    parser.add_argument("--text", help="what there is to say (standard input without it)")
    parser.add_argument("--severity", choices=SEVERITIES, default="warning")
    return parser.parse_args(argv)


if __name__ == "__main__":
    leave(main)
