"""A stretch of hours as a picture: what was planned above what happened, task by task. Values in, markup out.

It is read without colour: planned is an outline, what happened is filled, and what went wrong has a sign. The
same stands below it as a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from markupsafe import Markup

from observability.dashboard.render import MARKS

WIDTH, LABEL_WIDTH, RIGHT = 960, 190, 12
HEAD, LANE, PLANNED_HEIGHT, ACTUAL_HEIGHT = 44, 28, 8, 11
SHORTEST = 3.0
"""A minute's run is seen as a line so wide."""
TICK_ROOM = 46.0
LETTER = 6.6
"""What a letter takes, about; for words that are left out where they do not fit."""
FEW = 3
"""So many runs of a task are told one by one in the table."""
SIGNS = {**MARKS, "info": "…"}
"""Of levels; what was put off goes on in its next run."""
MEANINGS = {"fail": "failed", "warn": "stopped or lost", "info": "put off, to go on later", "run": "running"}
"""Of the levels that have their sign in the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One run. title: a short sentence, shown on pointing at it and in the table. level: a key of `MARKS`."""

    start: datetime
    end: datetime
    title: str
    level: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One task's runs; link: its page, None for none."""

    label: str
    planned: Sequence[Bar] = ()
    actual: Sequence[Bar] = ()
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch in one mode. name: as "research"; shaded: set off from the others."""

    start: datetime
    end: datetime
    name: str
    shaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where an instant of [start, end) lies in the picture."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"start {self.start} must lie before end {self.end}")

    def x(self, at: datetime) -> float:
        """Return the place of an instant, held inside the picture."""
        share = (at - self.start) / (self.end - self.start)
        return round(LABEL_WIDTH + min(max(share, 0.0), 1.0) * (WIDTH - LABEL_WIDTH - RIGHT), 1)

    def holds(self, bar: Bar | Span) -> bool:
        """Whether any of it is to be seen."""
        return bar.start < self.end and bar.end >= self.start


def timeline(
    lanes: Sequence[Lane],
    *,
    start: datetime,
    end: datetime,
    zone: tzinfo,
    label: str,
    spans: Sequence[Span] = (),
    now: datetime | None = None,
) -> Markup:
    """Return the hours [start, end) as a figure: an SVG, what its signs mean, and the same as a table.

    label: what a reader who does not see it is told. zone: of the hours shown. now: marked if it lies inside.

    Raises:
        ValueError: if start does not lie before end.
    """
    scale = Scale(start=start, end=end)
    lanes = [_seen(lane, scale) for lane in lanes]
    height = HEAD + LANE * len(lanes) + 6
    parts = [
        *_spans(spans, scale, height),
        *_ticks(scale, zone, height),
        *(part for row, lane in enumerate(lanes) for part in _lane(lane, row, scale, zone)),
        *([] if now is None or not start <= now < end else _now(scale.x(now), height)),
    ]
    svg = Markup(
        '<svg class="timeline" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{parts}</svg>'
    ).format(width=WIDTH, height=height, label=label, parts=Markup("").join(parts))
    return Markup(
        '<figure class="timeline"><div class="scroll" tabindex="0" role="group" aria-label="{label}">'
        "{svg}</div><figcaption>{key}</figcaption>{table}</figure>"
    ).format(label=f"{label}: picture", svg=svg, key=_key(lanes), table=_table(lanes, zone, label))


def _seen(lane: Lane, scale: Scale) -> Lane:
    """Return a lane's bars inside the picture, by their start."""
    planned, actual = (
        tuple(sorted(filter(scale.holds, bars), key=lambda bar: (bar.start, bar.end)))
        for bars in (lane.planned, lane.actual)
    )
    return replace(lane, planned=planned, actual=actual)


# --- the picture ------------------------------------------------------------------------------------------


def _spans(spans: Sequence[Span], scale: Scale, height: float) -> Iterator[Markup]:
    rect = Markup('<rect class="shade" x="{x}" y="0" width="{width}" height="{height}"/>')
    text = Markup('<text class="tick" x="{x}" y="13">{name}</text>')
    for span in filter(scale.holds, spans):
        left, right = scale.x(span.start), scale.x(span.end)
        if span.shaded:
            yield rect.format(x=left, width=round(right - left, 1), height=height)
        name = span.name.upper()
        fits = len(name) * (LETTER + 1) < right - left
        yield text.format(x=left + 3, name=name if fits else name[:1])


def _ticks(scale: Scale, zone: tzinfo, height: float) -> Iterator[Markup]:
    """Yield the hours of the day, as far apart as their words need; midnight is told by its day."""
    line = Markup('<line class="rule" x1="{x}" y1="{top}" x2="{x}" y2="{height}"/>')
    text = Markup('<text class="tick" x="{x}" y="32">{words}</text>')
    every = _hours_between(scale)
    at = scale.start.replace(minute=0, second=0, microsecond=0)
    while (at := at + timedelta(minutes=30)) < scale.end:
        local = at.astimezone(zone)
        if at <= scale.start or local.minute or local.hour % every:
            continue
        x = scale.x(at)
        yield line.format(x=x, top=36, height=height)
        # The last words would be cut off at the edge.
        if x < WIDTH - TICK_ROOM:
            yield text.format(x=x - 2, words=f"{local:%a %d}" if local.hour == 0 else f"{local:%H:%M}")


def _hours_between(scale: Scale) -> int:
    room = WIDTH - LABEL_WIDTH - RIGHT
    hours = (scale.end - scale.start) / timedelta(hours=1)
    return next((every for every in (1, 2, 3, 6, 12) if every / hours * room >= TICK_ROOM), 24)


def _lane(lane: Lane, row: int, scale: Scale, zone: tzinfo) -> Iterator[Markup]:
    top = HEAD + LANE * row
    name = lane.label if len(lane.label) <= 27 else f"{lane.label[:26]}…"
    yield Markup('<line class="rule" x1="0" y1="{y}" x2="{width}" y2="{y}"/>').format(y=top, width=WIDTH)
    yield Markup('<text x="0" y="{y}">{name}<title>{label}</title></text>').format(
        y=top + 18, name=name, label=lane.label
    )
    # Outlines need room between them to be told apart.
    for bar in _together(lane.planned, scale, zone, gap=6.0):
        yield _rect("planned", bar, scale, top + 3, PLANNED_HEIGHT)
    drawn = _together(lane.actual, scale, zone)
    # What went wrong is drawn last: nothing hides it.
    for bar in sorted(drawn, key=lambda bar: bar.level == "fail"):
        yield _rect(bar.level, bar, scale, top + 14, ACTUAL_HEIGHT)
        if bar.level in MEANINGS:
            yield _sign(bar, scale, top + 23.5)


def _together(bars: Sequence[Bar], scale: Scale, zone: tzinfo, gap: float = 0.5) -> list[Bar]:
    """Return the bars, neighbours of one level no more than `gap` apart made one: a night's minute runs stay
    small."""
    found: list[Bar] = []
    counts: list[int] = []
    for bar in bars:
        last = found[-1] if found else None
        if last is None or last.level != bar.level or scale.x(bar.start) > _right(last, scale) + gap:
            found.append(bar)
            counts.append(1)
            continue
        counts[-1] += 1
        found[-1] = replace(last, end=max(last.end, bar.end))
    return [
        bar if count == 1 else replace(bar, title=f"{count} runs, {_stretch(bar.start, bar.end, zone)}")
        for bar, count in zip(found, counts, strict=True)
    ]


def _right(bar: Bar, scale: Scale) -> float:
    left = scale.x(bar.start)
    return left + max(SHORTEST, scale.x(bar.end) - left)


def _rect(kind: str, bar: Bar, scale: Scale, y: float, height: float) -> Markup:
    left = scale.x(bar.start)
    return Markup(
        '<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="1.5">'
        "<title>{title}</title></rect>"
    ).format(
        kind=kind, x=left, y=y, width=round(_right(bar, scale) - left, 1), height=height, title=bar.title
    )


def _sign(bar: Bar, scale: Scale, y: float) -> Markup:
    """Return a level's sign: inside its bar where it fits, else behind it."""
    left, right = scale.x(bar.start), _right(bar, scale)
    inside = right - left >= 14
    return Markup('<text class="sign {place}" x="{x}" y="{y}" aria-hidden="true">{mark}</text>').format(
        place="inside" if inside else bar.level,
        x=round((left + right) / 2 - 4, 1) if inside else right + 1,
        y=y,
        mark=SIGNS[bar.level],
    )


def _now(x: float, height: float) -> Iterator[Markup]:
    yield Markup('<line class="now" x1="{x}" y1="36" x2="{x}" y2="{height}"/>').format(x=x, height=height)
    yield Markup('<text class="nowword" x="{x}" y="43">now</text>').format(x=min(x + 3, WIDTH - 26))


# --- the same in words ------------------------------------------------------------------------------------


def _key(lanes: Sequence[Lane]) -> str:
    """Return what the picture's signs mean."""
    levels = {bar.level for lane in lanes for bar in lane.actual}
    signs = [f"{SIGNS[level]} {words}" for level, words in MEANINGS.items() if level in levels]
    return "; ".join(["outlined: planned", "filled: what happened", *signs])


def _table(lanes: Sequence[Lane], zone: tzinfo, label: str) -> Markup:
    head = '<table class="stack"><caption>{label}</caption><thead><tr><th scope="col">Task</th>'
    end = '<th scope="col">Planned</th><th scope="col">What happened</th></tr></thead><tbody>{rows}</tbody>'
    rows = Markup("").join(_table_row(lane, zone) for lane in lanes)
    return Markup(
        "<details><summary>The same as a table</summary>" + head + end + "</table></details>"
    ).format(label=label, rows=rows)


def _table_row(lane: Lane, zone: tzinfo) -> Markup:
    name = Markup('<a href="{link}">{label}</a>') if lane.link else Markup("{label}")
    return Markup(
        '<tr><th scope="row">{name}</th><td data-label="Planned">{planned}</td>'
        '<td data-label="What happened">{actual}</td></tr>'
    ).format(
        name=name.format(link=lane.link, label=lane.label),
        planned=_told(lane.planned, zone, signed=False),
        actual=_told(lane.actual, zone, signed=True),
    )


def _told(bars: Sequence[Bar], zone: tzinfo, *, signed: bool) -> Markup:
    """Return a few runs one by one, many as how many of each kind there were."""
    if not bars:
        return Markup("–")
    if len(bars) <= FEW:
        each = [f"{SIGNS[bar.level]} {bar.title}" if signed else bar.title for bar in bars]
        return Markup("<br>").join(each)
    counts = Counter(bar.level for bar in bars)
    kinds = ", ".join(f"{SIGNS[level]} {counts[level]}" for level in SIGNS if counts[level])
    stretch = _stretch(bars[0].start, bars[-1].end, zone)
    return Markup("{}").format(f"{len(bars)} runs, {stretch}" + (f": {kinds}" if signed else ""))


def _stretch(start: datetime, end: datetime, zone: tzinfo) -> str:
    return f"{start.astimezone(zone):%a %H:%M} to {end.astimezone(zone):%a %H:%M}"
