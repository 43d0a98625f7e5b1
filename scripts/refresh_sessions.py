"""Compile the session tables of the exchanges and hand them to the daemon.

    python -m scripts.refresh_sessions [--exchange XNYS] [--exchange XTKS]

Writes JSON to $ORCHESTRATOR_RESULT, sessions from 400 days ago to 800 days ahead; without it, prints a
summary.
Exit codes: 0 done, 2 wrong arguments or an exchange that is not known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestration.calendar_source import zone_of
from orchestration.ctl.compile_sessions import compile_sessions, source
from orchestration.errors import CalendarError
from orchestration.sessions import HOME, mic
from orchestration.types import Session

BACK = timedelta(days=400)
AHEAD = timedelta(days=800)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; return its exit code."""
    parser = argparse.ArgumentParser(description="Compile session tables of exchanges.")
    parser.add_argument("--exchange", action="append", metavar="MIC", help="default: XNYS; may be repeated")
    parser.add_argument(
        "--today", type=date.fromisoformat, help="the date to count from (default: today, UTC)"
    )
    options = parser.parse_args(argv)
    today = options.today or datetime.now(UTC).date()
    try:
        tables = {mic(name): _compile(name, today) for name in options.exchange or [HOME]}
    except CalendarError as error:
        print(f"refresh_sessions: {error}", file=sys.stderr)
        return 2
    result = os.environ.get("ORCHESTRATOR_RESULT")
    if result:
        _write(Path(result), {name: [_row(s) for s in table] for name, table in tables.items()})
    else:
        for name, table in tables.items():
            early = sum(s.is_early_close for s in table)
            print(f"{name}: {len(table)} sessions {table[0].day} to {table[-1].day}, {early} early closes")
        print(f"source: {source()}")
    return 0


def _compile(name: str, today: date) -> tuple[Session, ...]:
    zone = zone_of(name)
    sessions, compiled_zone = compile_sessions(name, today - BACK, today + AHEAD)
    if not sessions or zone.key != compiled_zone.key:
        raise CalendarError(
            f"exchange {name!r}: {len(sessions)} sessions in {compiled_zone}, expected {zone}"
        )
    return sessions


def _row(session: Session) -> list[str | bool | None]:
    moments = (session.open, session.close, session.break_start, session.break_end)
    return [session.day.isoformat(), *map(_text, moments), session.is_early_close]


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, tables: dict[str, list[list[str | bool | None]]]) -> None:
    """Write all or nothing: a half-written report must not be taken for a table."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"sessions": tables, "source": source()}), encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
