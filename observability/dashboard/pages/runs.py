"""One run: everything that is recorded of it, what it reported, and its log, followed while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from observability.dashboard.lanes import LEVELS
from observability.dashboard.logs import LogPart, LogReader, NoLog, Place
from observability.dashboard.page import Page
from observability.dashboard.source import Source
from observability.redact import Redactor
from observability.secret_values import known_secrets
from orchestration.runs import RunStatus
from orchestration.state.history import RunRow, run_named

MOST_NODES = 400
LONGEST_VALUE = 600
"""Characters shown of one value of a report."""
DEEPEST = 6


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows. Raises LookupError if no run is called so."""
    run = _run(source, wanted["run_id"])
    is_over = run.status is RunStatus.ENDED
    part, complaint = None, None
    try:
        part = reader_of(source).tail(run.log, over=is_over) if run.log else None
    except NoLog as error:
        complaint = str(error)
    return {
        "run": run,
        "is_over": is_over,
        "level": LEVELS.get(run.outcome, "fail"),
        "outcome": (run.outcome or run.status).value.replace("_", " "),
        "running_s": None if is_over else (source.now() - (run.started_at or run.planned_at)).total_seconds(),
        "report": report_tree(run.report, known_secrets(source.desk.settings)),
        "part": part,
        "complaint": complaint,
        "is_shared": Path(run.log).name == f"{run.key.task}.log",
        "log_path": f"/run/{quote(run.run_id)}/log",
    }


def _run(source: Source, run_id: str) -> RunRow:
    run = run_named(source.engine, run_id)
    if run is None:
        raise LookupError(f"No run is called {run_id[:120]!r}: it may be older than what is kept.")
    return run


# --- what it reported -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of a report. text: None where it has parts. left_out: how many parts are not shown."""

    name: str
    text: str | None = None
    parts: tuple[Node, ...] = ()
    left_out: int = 0


def report_tree(report: Mapping[str, Any], secrets: Iterable[str] = ()) -> Node:
    """Return a report without secrets as a tree of at most `MOST_NODES` values, `DEEPEST` deep.

    secrets: values that are hidden wherever they stand; what a secret name holds is hidden in any case.
    """
    plain = Redactor(secrets).mapping(report)
    return _node("report", plain, iter(range(MOST_NODES)), DEEPEST)


def _node(name: str, value: Any, room: Iterator[int], depth: int) -> Node:
    if isinstance(value, dict) and value and depth:
        return _with_parts(name, value.items(), len(value), room, depth)
    if isinstance(value, list) and value and depth and any(isinstance(each, dict | list) for each in value):
        numbered = ((str(number), each) for number, each in enumerate(value, 1))
        return _with_parts(name, numbered, len(value), room, depth)
    return Node(name=name, text=_text(value))


def _with_parts(
    name: str, items: Iterable[tuple[str, Any]], count: int, room: Iterator[int], depth: int
) -> Node:
    parts = []
    for key, each in items:
        if next(room, None) is None:
            break
        parts.append(_node(str(key)[:100], each, room, depth - 1))
    return Node(name=name, parts=tuple(parts), left_out=count - len(parts))


def _text(value: Any) -> str:
    """Return a value in words; a list of plain values in one line."""
    if isinstance(value, list):
        text = ", ".join(_text(each) for each in islice(value, LONGEST_VALUE)) or "none"
    elif isinstance(value, dict):
        text = "{…}" if value else "none"
    elif value is None or value == "":
        text = "none"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


# --- its log ----------------------------------------------------------------------------------------------


def reader_of(source: Source) -> LogReader:
    """Return what reads this box's logs."""
    settings = source.desk.settings
    return LogReader(settings.log_dir, known_secrets(settings))


async def log(request: Request) -> Response:
    """Answer with a part of a run's log as plain text: its end, or with `before` or `after` what lies there.

    Headers: X-Log-Start (to ask for what lies before; empty at the beginning), X-Log-End (to ask for what
    comes after), X-Log-State (open, over), X-Log-More (yes: ask again at once), X-Log-Note (percent-coded).
    """
    return await run_in_threadpool(_log, request)


def _log(request: Request) -> Response:
    source: Source = request.app.state.source
    try:
        run = _run(source, request.path_params["run_id"])
        is_over = run.status is RunStatus.ENDED
        part = _part(source, run, request.query_params, over=is_over)
    except LookupError as error:
        raise HTTPException(404, str(error.args[0])) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    headers = {
        "X-Log-Start": str(part.start or ""),
        "X-Log-End": str(part.end),
        "X-Log-State": "over" if is_over else "open",
        "X-Log-More": "yes" if part.more else "no",
        "X-Log-Note": quote(part.note or ""),
    }
    return PlainTextResponse(part.text, headers=headers)


def _part(source: Source, run: RunRow, wanted: Mapping[str, str], *, over: bool) -> LogPart:
    if not run.log:
        raise NoLog("No log is recorded of this run.")
    reader = reader_of(source)
    if wanted.get("before"):
        return reader.before(run.log, Place.parse(wanted["before"]))
    if wanted.get("after"):
        return reader.after(run.log, Place.parse(wanted["after"]), over=over)
    return reader.tail(run.log, over=over)


PAGES = (Page(path="/run/{run_id}", template="run.html", make=make),)
ROUTES = (Route("/run/{run_id}/log", log),)
