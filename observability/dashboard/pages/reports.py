"""The reports that the jobs have written: a list of them, and each as it was written.

They are documents of their own, with their own style and without scripts. They are served from the reports'
folder alone, in a sandbox: whatever stands in one can run nothing, load nothing and send nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from observability.dashboard.page import Page
from observability.dashboard.paging import Paging
from observability.dashboard.source import Source

FOLDER: Final = "reports"
"""In the state directory; the jobs write nowhere else what is served here."""
VALIDATION: Final = "validation"
SHOWN: Final = 50
MOST_BYTES: Final = 20_000_000
"""Larger files are no reports of ours."""

HEADERS: Final = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'",
    # A sandboxed document has an origin of its own; with the pages' opener policy browsers refuse to open it.
    "Cross-Origin-Opener-Policy": "unsafe-none",
}

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.html")
_KINDS: Final = (
    ("execution", re.compile(r"execution-(.+)")),
    ("risk", re.compile(r"risk-(.+)")),
    ("reconciliation", re.compile(r"reconciliation-(.+)")),
    ("week", re.compile(r"(\d{4}-W\d\d)")),
    ("day", re.compile(r"(\d{4}-\d\d-\d\d)")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One stored report. kind: what it is about; of: its day, week or candidate. path: below the folder."""

    kind: str
    of: str
    path: str
    written_at: datetime

    @property
    def address(self) -> str:
        return f"/reports/{self.path}"


def stored(source: Source, kind: str | None = None) -> list[Report]:
    """Return the stored reports, of one kind or (None) all, the newest first; none without a folder."""
    folder = source.state_dir / FOLDER
    found = [*_listed(folder, ""), *_listed(folder / VALIDATION, f"{VALIDATION}/")]
    kept = [report for report in found if kind is None or report.kind == kind]
    return sorted(kept, key=lambda each: (each.written_at, each.path), reverse=True)


def newest(source: Source) -> list[Report]:
    """Return the newest report of each kind, the newest first."""
    found: dict[str, Report] = {}
    for report in stored(source):
        found.setdefault(report.kind, report)
    return list(found.values())


def validation_of(source: Source, candidate_id: str) -> str | None:
    """Return the address of the report on a candidate; None: there is none."""
    name = f"{candidate_id}.html"
    path = source.state_dir / FOLDER / VALIDATION / name
    return f"/reports/{VALIDATION}/{name}" if _NAME.fullmatch(name) and path.is_file() else None


def _listed(folder: Path, prefix: str) -> list[Report]:
    try:
        files = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
        return [_report(path, prefix) for path in files]
    except OSError:
        return []


def _report(path: Path, prefix: str) -> Report:
    kind, of = (VALIDATION, path.stem) if prefix else _named(path.stem)
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Report(kind=kind, of=of, path=prefix + path.name, written_at=written_at)


def _named(stem: str) -> tuple[str, str]:
    for kind, pattern in _KINDS:
        named = pattern.fullmatch(stem)
        if named is not None:
            return kind, named[1]
    return "other", stem


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the list shows. wanted: `kind`, and `page` from 1."""
    found, kind = stored(source), wanted.get("kind")
    kinds = sorted({report.kind for report in found})
    if kind is not None and kind not in kinds:
        raise LookupError(f"there is no report of the kind {kind!r}")
    kept = [report for report in found if kind is None or report.kind == kind]
    paging = Paging.of(wanted, len(kept), SHOWN, "/reports", **({"kind": kind} if kind else {}))
    shown = kept[paging.offset : paging.offset + SHOWN]
    return {"reports": shown, "kinds": kinds, "kind": kind, "paging": paging}


async def serve(request: Request) -> Response:
    """Return one report as it was written."""
    source: Source = request.app.state.source
    content = await run_in_threadpool(read, source.state_dir / FOLDER, request.path_params["path"])
    return HTMLResponse(content, headers=HEADERS)


def read(folder: Path, wanted: str) -> bytes:
    """Return the report `wanted` of `folder`. Raises HTTPException (404) for all that is no report in it.

    Links are followed only where they stay inside: a report is never a door to the rest of the disk.
    """
    *above, name = wanted.split("/")
    try:
        place = folder.resolve(strict=True)
        path = place.joinpath(*above, name).resolve(strict=True)
        is_report = above in ([], [VALIDATION]) and _NAME.fullmatch(name) and path.is_relative_to(place)
        if is_report and path.is_file() and path.stat().st_size <= MOST_BYTES:
            return path.read_bytes()
    except (OSError, ValueError):
        pass
    raise HTTPException(404, f"there is no report {wanted[:200]!r} here")


PAGES = (Page(path="/reports", template="reports.html", make=make),)
ROUTES = (Route("/reports/{path:path}", serve, name="report"),)
