"""The daily and the weekly report, put together from facts. No pandas: this must be quick on a Pi."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from hardware.health import BoxHealth
from observability.report_document import (
    FAIL,
    INFO,
    OK,
    WARN,
    Bar,
    Block,
    Document,
    Heading,
    Notice,
    Table,
    Text,
    Tile,
    Tiles,
    Timeline,
    as_html,
    as_markdown,
)
from observability.report_facts import RunFact
from scripts._report_values import (
    Inputs,
    by_task,
    level_of,
    share_busy,
    shown,
    shown_seconds,
    shown_short,
    shown_span,
    some_of,
)
from trading.marketdata.files import replace_file
from trading.marketdata.findings import Severity

TICK_MINUTES = (1, 2, 5, 10, 30, 60, 120, 180, 240, 360, 720, 1440)
LISTED = 30
"""Rows of one kind in a table; the rest is counted."""


def write_report(document: Document, folder: Path, name: str) -> tuple[Path, Path]:
    """Write folder/name.md and .html, each whole or not at all; return both paths. Raises OSError."""
    markdown, html = folder / f"{name}.md", folder / f"{name}.html"
    replace_file(markdown, as_markdown(document).encode())
    replace_file(html, as_html(document).encode())
    return markdown, html


def compose(title: str, inputs: Inputs, *, with_timeline: bool) -> Document:
    """Return the report. with_timeline: draw when what ran (a day; a week would be too dense)."""
    blocks: list[Block] = [_tiles(inputs), *_notices(inputs), Heading("What ran")]
    if with_timeline:
        blocks += _timeline(inputs)
    blocks += [*_ran(inputs), *_failures(inputs)]
    blocks += [Heading("What waited, and why"), *_waited(inputs)]
    blocks += [Heading("Research time"), *_research(inputs)]
    blocks += [Heading("Price data"), *_data(inputs), *_quality(inputs)]
    blocks += [Heading("Alerts"), *_alerts(inputs)]
    blocks += [Heading("The box"), _box(inputs.health), Heading("Next session"), _next(inputs)]
    ends = [shown(instant, inputs.zone) for instant in (inputs.since, inputs.until)]
    subtitle = f"{ends[0]} to {ends[1]} ({inputs.zone.key})"
    return Document(title=title, subtitle=subtitle, blocks=tuple(blocks))


def _tiles(inputs: Inputs) -> Tiles:
    runs = [run for run in inputs.facts.runs if run.status == "ended"]
    bad = [run for run in runs if level_of(run) == FAIL]
    open_alerts = [alert for alert in inputs.facts.alerts if alert.cleared_at is None]
    refuse = sum(f.severity is Severity.REFUSE for f in inputs.findings)
    warn = sum(f.severity is Severity.WARN for f in inputs.findings)
    tiles = [
        Tile("Runs", str(len(runs)), INFO, f"{len(by_task(runs))} tasks"),
        Tile("Failed", str(len(bad)), FAIL if bad else OK),
        Tile("Open alerts", str(len(open_alerts)), WARN if open_alerts else OK),
        _research_tile(inputs),
        Tile("Data findings", str(warn + refuse), FAIL if refuse else WARN if warn else OK, "to look at"),
    ]
    peaks = [run.peak_memory_mb for run in runs if run.peak_memory_mb is not None]
    tiles.append(Tile("Largest run", f"{max(peaks):,.0f} MB" if peaks else "unknown", INFO, "peak memory"))
    return Tiles(tuple(tiles))


def _research_tile(inputs: Inputs) -> Tile:
    if not inputs.windows:
        return Tile("Research used", "unknown", INFO, "no window has ended yet")
    span = sum(((w.prep - w.start) for w in inputs.windows), timedelta(0))
    busy = sum((share_busy(inputs.window_runs[w.name], w, inputs.now) for w in inputs.windows), timedelta(0))
    return Tile(
        "Research used", f"{100 * busy / span:.0f} %", INFO, f"{shown_span(busy)} of {shown_span(span)}"
    )


def _notices(inputs: Inputs) -> list[Block]:
    notices: list[Block] = [Notice(INFO, note) for note in inputs.facts.notes]
    ended = sorted({entry.ends_on for entry in inputs.bars.values() if entry.ends_on is not None})
    if ended:
        count = sum(entry.ends_on is not None for entry in inputs.bars.values())
        text = (
            f"{count} of {len(inputs.bars)} symbols are the bundled sample: real prices, but they end on "
            f"{ended[-1]}. Set ORCHESTRATOR_DATA_SOURCE to csv:FOLDER for present ones."
        )
        notices.append(Notice(WARN, text))
    return notices


def _timeline(inputs: Inputs) -> list[Block]:
    runs = [run for run in inputs.facts.runs if run.started_at is not None]
    if not runs:
        return []
    start = max(inputs.since, min(run.started_at for run in runs if run.started_at))
    end = max(inputs.until, start + timedelta(minutes=1))
    lanes = tuple(
        (task, tuple(_bar(run, inputs) for run in group))
        for task, group in sorted(by_task(runs).items(), key=lambda item: str(item[1][0].started_at))
    )
    return [Timeline(start, end, lanes[:LISTED], _ticks(start, end, inputs.zone))]


def _ticks(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[tuple[datetime, str], ...]:
    """Whole minutes or hours at which the timeline has a mark, eight at most."""
    step = next((m for m in TICK_MINUTES if end - start <= timedelta(minutes=8 * m)), TICK_MINUTES[-1])
    first = -(-int(start.timestamp()) // (60 * step)) * 60 * step
    found, at = [], datetime.fromtimestamp(first, tz=zone)
    while at <= end:
        found.append((at, at.strftime("%H:%M")))
        at = datetime.fromtimestamp(at.timestamp() + 60 * step, tz=zone)
    return tuple(found)


def _bar(run: RunFact, inputs: Inputs) -> Bar:
    start = run.started_at or inputs.since
    end = run.ended_at or inputs.now
    title = f"{run.task}: {run.outcome or run.status}, {shown_span(end - start)}"
    return Bar(start, end, INFO if run.outcome is None else level_of(run), title)


def _ran(inputs: Inputs) -> list[Block]:
    if not inputs.facts.runs:
        return [Text("Nothing ran.")]
    rows, levels = [], []
    for task, runs in sorted(by_task(inputs.facts.runs).items()):
        ended = [run for run in runs if run.status == "ended"]
        outcomes = Counter(run.outcome or run.status for run in runs)
        took = [run.duration_s for run in ended if run.duration_s is not None]
        told = [run.predicted_minutes for run in ended if run.predicted_minutes]
        peaks = [run.peak_memory_mb for run in ended if run.peak_memory_mb is not None]
        rows.append(
            (
                task,
                str(len(runs)),
                ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())),
                shown_seconds(median(took)) if took else "–",
                shown_seconds(max(took)) if took else "–",
                shown_seconds(60 * told[-1]) if told else "–",
                f"{max(peaks):,.0f}" if peaks else "–",
            )
        )
        levels.append(max((level_of(run) for run in ended), key=(OK, WARN, FAIL).index, default=OK))
    head = ("Task", "#Runs", "Outcome", "#Median", "#Longest", "#Predicted", "#Peak MB")
    return [Table(head, tuple(rows), tuple(levels))]


def _failures(inputs: Inputs) -> list[Block]:
    bad = [run for run in inputs.facts.runs if run.status == "ended" and level_of(run) in (FAIL, WARN)]
    if not bad:
        return []
    rows = tuple(
        (
            run.task,
            shown_short(run.ended_at, inputs.zone),
            str(run.outcome),
            "–" if run.exit_code is None else str(run.exit_code),
            run.detail or "no reason was recorded",
        )
        for run in bad[-LISTED:]
    )
    levels = tuple(level_of(run) for run in bad[-LISTED:])
    more = [Text(f"and {len(bad) - LISTED} earlier ones.")] if len(bad) > LISTED else []
    return [
        Heading("What went wrong"),
        Table(("Task", "When", "Outcome", "#Exit", "Reason"), rows, levels),
        *more,
    ]


def _waited(inputs: Inputs) -> list[Block]:
    if not inputs.facts.waits:
        return [Text("Nothing that was due had to wait.")]
    rows = tuple(
        (wait.task, wait.reason, shown_span(wait.waited), str(wait.times), str(wait.skipped), wait.detail)
        for wait in inputs.facts.waits[:LISTED]
    )
    return [Table(("Task", "Reason", "#Waited", "#Times", "#Slots given up", "Latest detail"), rows)]


def _research(inputs: Inputs) -> list[Block]:
    if not inputs.windows:
        return [Text("No research window has ended in this time.")]
    rows = []
    for window in inputs.windows:
        runs, span = inputs.window_runs[window.name], window.prep - window.start
        busy = share_busy(runs, window, inputs.now)
        dates = f"{shown(window.start, inputs.zone)} to {shown(window.prep, inputs.zone)}"
        rows.append(
            (
                window.name,
                dates,
                shown_span(span),
                shown_span(busy),
                f"{100 * busy / span:.0f} %",
                str(len(runs)),
            )
        )
    head = ("Before", "Window", "#Length", "#Busy", "#Used", "#Runs")
    return [Table(head, tuple(rows)), Text("Busy: at least one run was going.")]


def _data(inputs: Inputs) -> list[Block]:
    if not inputs.bars:
        return [Notice(WARN, "No price bars are stored yet. refresh_eod_data fetches them.")]
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for symbol, entry in sorted(inputs.bars.items()):
        ends = f"the source ends on {entry.ends_on}" if entry.ends_on else ""
        groups[entry.last.isoformat(), entry.source, ends].append(symbol)
    rows = tuple(
        (last, str(len(symbols)), some_of(symbols), source, ends)
        for (last, source, ends), symbols in sorted(groups.items(), reverse=True)
    )
    return [Table(("Last bar", "#Symbols", "Which", "Source", "Note"), rows)]


def _quality(inputs: Inputs) -> list[Block]:
    worth = [f for f in inputs.findings if f.severity is not Severity.INFO]
    if not worth:
        quiet = len(inputs.findings)
        return [Notice(OK, f"No quality findings to look at ({quiet} for information).")]
    worth.sort(key=lambda f: (f.severity is not Severity.REFUSE, f.symbol, str(f.day)))
    rows = tuple(
        (f.symbol, f.day.isoformat() if f.day else "–", f.check.replace("_", " "), f.severity.value, f.text)
        for f in worth[:LISTED]
    )
    levels = tuple(FAIL if f.severity is Severity.REFUSE else WARN for f in worth[:LISTED])
    more = [Text(f"and {len(worth) - LISTED} more in quality/findings.jsonl.")] if len(worth) > LISTED else []
    return [Table(("Symbol", "Date", "Check", "Severity", "Finding"), rows, levels), *more]


def _alerts(inputs: Inputs) -> list[Block]:
    if not inputs.facts.alerts:
        return [Text("None.")]
    rows = tuple(
        (
            "open" if alert.cleared_at is None else f"cleared {shown(alert.cleared_at, inputs.zone)}",
            shown_short(alert.raised_at, inputs.zone),
            alert.severity,
            alert.task or "–",
            alert.text,
        )
        for alert in inputs.facts.alerts[-LISTED:]
    )
    levels = tuple(WARN if alert.cleared_at is None else OK for alert in inputs.facts.alerts[-LISTED:])
    return [Table(("State", "Raised", "Severity", "Task", "Alert"), rows, levels)]


def _box(health: BoxHealth) -> Table:
    def known(value: float | bool | None, shown: Callable[[], str]) -> str:
        return "unknown" if value is None else shown()

    clock = known(health.clock_synced, lambda: "synchronised" if health.clock_synced else "NOT synchronised")
    supply = known(health.under_voltage, lambda: "UNDER-VOLTAGE" if health.under_voltage else "fine")
    disk = known(
        health.disk_free_mb, lambda: f"{health.disk_free_mb:,.0f} MB free ({health.disk_free_pct:.0f} %)"
    )
    heat = known(health.temperature_c, lambda: f"{health.temperature_c:.0f} °C")
    throttled = (
        "unknown"
        if health.throttled_since_boot is None
        else ", ".join(health.throttled_since_boot) or "never"
    )
    rows = (
        ("Disk", disk),
        ("Clock", f"{clock} ({health.clock_source})"),
        ("Temperature", heat),
        ("Supply", supply),
        ("Throttled since boot", throttled),
    )
    return Table(("Part", "State"), rows)


def _next(inputs: Inputs) -> Text:
    session = inputs.next_session
    if session is None:
        return Text("Unknown: the session table does not reach that far; refresh_sessions extends it.")
    opens, closes = (
        instant.astimezone(inputs.zone).strftime("%H:%M") for instant in (session.open, session.close)
    )
    short = " (early close)" if session.is_early_close else ""
    return Text(f"{session.day:%A}, {session.day}, {opens} to {closes} ({inputs.zone.key}){short}.")
