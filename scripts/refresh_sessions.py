"""Compile the session tables of the exchanges and hand them to the daemon, with what the broker says of them.

    python -m scripts.refresh_sessions [--exchange XNYS] [--exchange XTKS] [--broker alpaca]

Writes JSON to $ORCHESTRATOR_RESULT, sessions from 400 days ago to 800 days ahead; without it, prints a
summary. With `--broker alpaca` (keys in $broker_key and $broker_secret) the broker's own days, from a week
ago on, go beside the table of XNYS; a broker that cannot be asked is said, and the table is renewed anyway.
Exit codes: 0 done, 2 wrong arguments or an exchange that is not known.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config import BROKERS, Settings
from orchestration.calendar_source import accept_broker, combine_with_broker, zone_of
from orchestration.ctl.compile_sessions import compile_sessions, source
from orchestration.errors import CalendarError, SettingsError
from orchestration.sessions import HOME, mic
from orchestration.types import Session
from trading.execution.errors import BrokerError

Row = list[str | bool | None]
BACK = timedelta(days=400)
AHEAD = timedelta(days=800)
BROKER_BACK = timedelta(days=7)
"""How far back a broker is asked: the days just past are still part of the box's present window."""
KEY, SECRET = "broker_key", "broker_secret"
"""The variables in which the daemon hands over the credentials of these names."""
LONGEST_ASKED_S = 60
"""How long the broker may take to answer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; return its exit code."""
    parser = argparse.ArgumentParser(description="Compile session tables of exchanges.")
    parser.add_argument("--exchange", action="append", metavar="MIC", help="default: XNYS; may be repeated")
    parser.add_argument(
        "--today", type=date.fromisoformat, help="the date to count from (default: today, UTC)"
    )
    parser.add_argument("--broker", choices=BROKERS, default="paper", help="whose calendar to compare")
    options = parser.parse_args(argv)
    today = options.today or datetime.now(UTC).date()
    try:
        tables = {mic(name): _compile(name, today) for name in options.exchange or [HOME]}
    except CalendarError as error:
        print(f"refresh_sessions: {error}", file=sys.stderr)
        return 2
    told = _ask(options.broker, tables[HOME], today) if HOME in tables else {}
    result = os.environ.get("ORCHESTRATOR_RESULT")
    if result:
        _write(Path(result), {name: [_row(s) for s in table] for name, table in tables.items()}, told)
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


def _ask(broker: str, table: Sequence[Session], today: date) -> dict[str, object]:
    """Return the broker's part of the report, and say where it differs from `table`; empty: it has none.

    What keeps the broker from answering is said and put into the report: the table does not depend on it.
    """
    if broker != "alpaca":
        return {}
    try:
        theirs = asyncio.run(asyncio.wait_for(_alpaca(today), LONGEST_ASKED_S))
        accept_broker(theirs)
        differences = combine_with_broker(table, theirs)[1]
    except (BrokerError, PermissionError, CalendarError, SettingsError, ValueError, TimeoutError) as error:
        problem = f"{broker}'s calendar was not compared: {error or 'no answer in time'}"
        print(f"refresh_sessions: {problem}", file=sys.stderr)
        return {"broker": {"name": broker, "problem": problem}}
    for line in differences:
        print(f"{HOME} and {broker} disagree, {line}")
    return {"broker": {"name": broker, "sessions": {HOME: [_row(session) for session in theirs]}}}


async def _alpaca(today: date) -> tuple[Session, ...]:
    from trading.execution.brokers.alpaca.broker import AlpacaBroker

    settings = Settings.from_env()
    broker = AlpacaBroker(
        key=os.environ.get(KEY, ""),
        secret=os.environ.get(SECRET, ""),
        live=settings.broker_live,
        url=settings.broker_url,
    )
    try:
        await broker.connect()
        days = await broker.calendar(today - BROKER_BACK, today + AHEAD)
    finally:
        await broker.close()
    usual_s = max((day.close - day.open).total_seconds() for day in days) if days else 0.0
    return tuple(
        Session(
            exchange=HOME,
            day=day.day,
            open=day.open,
            close=day.close,
            is_early_close=(day.close - day.open).total_seconds() < usual_s,
        )
        for day in days
    )


def _row(session: Session) -> Row:
    moments = (session.open, session.close, session.break_start, session.break_end)
    return [session.day.isoformat(), *map(_text, moments), session.is_early_close]


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, tables: Mapping[str, list[Row]], told: Mapping[str, object]) -> None:
    """Write all or nothing: a half-written report must not be taken for a table."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"sessions": tables, "source": source(), **told}), encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
