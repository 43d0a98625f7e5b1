"""A report as a list of blocks, and how it looks as Markdown and as one self-contained HTML page.

Standard library only; the page loads nothing, runs no script and follows the reader's dark mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

OK, WARN, FAIL, INFO = "ok", "warn", "fail", "info"
MARKS = {OK: "✓", WARN: "!", FAIL: "✗", INFO: "·"}
"""Levels are told apart by a sign, never by colour alone."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that must be seen. level: ok, warn, fail or info."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure at the top of the page. note: a few words below it."""

    label: str
    value: str
    level: str = INFO
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """The figures at the top of the page."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """head: names of the columns; one that begins with '#' is set to the right, without the sign.

    rows: text by cell. levels: one per row, or empty.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One run on the timeline."""

    start: datetime
    end: datetime
    level: str
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """When what ran, a line per task. ticks: instants with their label. Markdown leaves it out."""

    start: datetime
    end: datetime
    lanes: tuple[tuple[str, tuple[Bar, ...]], ...]
    ticks: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing: its title, the <svg>, and what it shows in words, which is all that Markdown has of it.

    svg: well-formed, from our own code; colours as the page's variables (--ink, --dim, --line, --info).
    """

    title: str
    svg: str
    words: str


Block = Heading | Text | Notice | Tiles | Table | Timeline | Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report. subtitle: one line below the title."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]


def as_markdown(document: Document) -> str:
    """Return it as GitHub-flavoured Markdown."""
    parts = [f"# {_plain(document.title)}", _plain(document.subtitle)]
    for block in document.blocks:
        match block:
            case Heading(text=text):
                parts.append(f"## {_plain(text)}")
            case Text(text=text):
                parts.append(_plain(text))
            case Notice(level=level, text=text):
                parts.append(f"> {MARKS[level]} {_plain(text)}")
            case Tiles(tiles=tiles):
                lines = [_tile_line(tile) for tile in tiles]
                parts.append("\n".join(lines))
            case Table():
                parts.append(_markdown_table(block))
            case Timeline():
                continue
            case Picture(title=title, words=words):
                parts.append(f"### {_plain(title)}\n\n{_plain(words)}")
    return "\n\n".join(parts) + "\n"


def _tile_line(tile: Tile) -> str:
    note = f" ({_plain(tile.note)})" if tile.note else ""
    return f"- {MARKS[tile.level]} {_plain(tile.label)}: **{_plain(tile.value)}**{note}"


def _markdown_table(table: Table) -> str:
    head = "| " + " | ".join(_plain(name.removeprefix("#")) for name in table.head) + " |"
    rule = "|" + "|".join(" ---: " if name.startswith("#") else " --- " for name in table.head) + "|"
    rows = ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join([head, rule, *rows])


def _plain(text: str) -> str:
    one_line = " ".join(text.split())
    for sign in "\\`*<>|[]":
        one_line = one_line.replace(sign, "\\" + sign)
    return one_line


def as_html(document: Document) -> str:
    """Return it as one HTML page."""
    body = "\n".join(_html_block(block) for block in document.blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(document.title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{escape(document.title)}</h1><p class="sub">{escape(document.subtitle)}</p></header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _html_block(block: Block) -> str:
    match block:
        case Heading(text=text):
            return f"<h2>{escape(text)}</h2>"
        case Text(text=text):
            return f"<p>{escape(text)}</p>"
        case Notice(level=level, text=text):
            return f'<p class="notice {level}"><b>{MARKS[level]}</b><span>{escape(text)}</span></p>'
        case Tiles(tiles=tiles):
            return '<section class="tiles">' + "".join(map(_html_tile, tiles)) + "</section>"
        case Table():
            return _html_table(block)
        case Timeline():
            return _html_timeline(block)
        case Picture():
            return _html_picture(block)


def _html_picture(picture: Picture) -> str:
    svg = picture.svg.replace("<svg ", f'<svg role="img" aria-label="{escape(picture.words)}" ', 1)
    return (
        f'<figure><h3>{escape(picture.title)}</h3><div class="wide">{svg}</div>'
        f"<figcaption>{escape(picture.words)}</figcaption></figure>"
    )


def _html_tile(tile: Tile) -> str:
    note = f"<small>{escape(tile.note)}</small>" if tile.note else ""
    return (
        f'<div class="tile {tile.level}"><span>{MARKS[tile.level]} {escape(tile.label)}</span>'
        f"<strong>{escape(tile.value)}</strong>{note}</div>"
    )


def _html_table(table: Table) -> str:
    sides = [' class="n"' if name.startswith("#") else "" for name in table.head]
    head = "".join(
        f"<th{side}>{escape(name.removeprefix('#'))}</th>"
        for name, side in zip(table.head, sides, strict=True)
    )
    levels: Sequence[str] = table.levels or ("",) * len(table.rows)
    rows = "\n".join(
        f'<tr class="{level}">'
        + "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(row, sides, strict=True))
        + "</tr>"
        for row, level in zip(table.rows, levels, strict=True)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


LANE, LEFT, WIDTH, TOP = 22, 190, 960, 24  # pixels of the timeline


def _html_timeline(timeline: Timeline) -> str:
    span = (timeline.end - timeline.start).total_seconds() or 1.0

    def x(instant: datetime) -> float:
        at = (instant - timeline.start).total_seconds() / span
        return LEFT + (WIDTH - LEFT - 10) * min(1.0, max(0.0, at))

    height = TOP + LANE * len(timeline.lanes) + 6
    parts = [f'<div class="wide"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="When what ran">']
    for instant, label in timeline.ticks:
        at = x(instant)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 4}" y2="{height}"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{TOP - 9}" text-anchor="middle" class="tick">{escape(label)}</text>'
        )
    for number, (task, bars) in enumerate(timeline.lanes):
        y = TOP + LANE * number
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(task)}</text>')
        for bar in bars:
            left, width = x(bar.start), max(3.0, x(bar.end) - x(bar.start))
            parts.append(
                f'<rect class="{bar.level}" x="{left:.1f}" y="{y + 3}" width="{width:.1f}" '
                f'height="{LANE - 8}" rx="2"><title>{escape(bar.title)}</title></rect>'
            )
    return "".join(parts) + "</svg></div>"


CSS = """
:root{--bg:#fbfbfa;--card:#fff;--ink:#1d2329;--dim:#5b6670;--line:#dfe3e6;--ok:#1f7a4d;--warn:#9a6200;
--fail:#b3261e;--info:#3b6ea5;--okbg:#e8f4ed;--warnbg:#fdf3dd;--failbg:#fbe9e7;--infobg:#e9f0f8}
@media(prefers-color-scheme:dark){:root{--bg:#14181c;--card:#1c2227;--ink:#e4e8eb;--dim:#9aa6b0;--line:#333c44;
--ok:#6cc795;--warn:#e6b450;--fail:#f28b82;--info:#8ab4e8;--okbg:#19301f;--warnbg:#352a10;--failbg:#3b1d1b;
--infobg:#1b2a3a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.55rem;margin:0;line-height:1.25}
h2{font-size:1.05rem;margin:34px 0 10px;padding-bottom:5px;border-bottom:1px solid var(--line)}
h3{font-size:.95rem;margin:0 0 6px}
p{margin:8px 0;max-width:78ch}
figure{margin:22px 0 30px;break-inside:avoid}
figcaption{color:var(--dim);font-size:.88rem;max-width:90ch}
.sub{color:var(--dim);margin:4px 0 18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:14px 0}
.tile{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--info);border-radius:6px;
padding:10px 12px;display:flex;flex-direction:column}
.tile span{color:var(--dim);font-size:.82rem}
.tile strong{font-size:1.3rem;font-weight:650;line-height:1.35;font-variant-numeric:tabular-nums}
.tile small{color:var(--dim)}
.tile.ok{border-left-color:var(--ok)}.tile.warn{border-left-color:var(--warn)}
.tile.fail{border-left-color:var(--fail)}
.notice{display:flex;gap:10px;max-width:none;padding:9px 13px;border-radius:6px}
.notice.ok{background:var(--okbg)}.notice.warn{background:var(--warnbg)}
.notice.fail{background:var(--failbg)}.notice.info{background:var(--infobg)}
.notice.ok b{color:var(--ok)}.notice.warn b{color:var(--warn)}.notice.fail b{color:var(--fail)}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);font-size:.9rem}
th,td{padding:6px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:600;font-size:.8rem;white-space:nowrap}
tr:last-child td{border-bottom:0}
td:first-child{font-weight:550;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr.fail td:first-child{box-shadow:inset 3px 0 var(--fail)}
tr.warn td:first-child{box-shadow:inset 3px 0 var(--warn)}
svg{display:block;min-width:640px;width:100%;height:auto;background:var(--card);border:1px solid var(--line)}
svg text{fill:var(--ink);font-size:12px}svg .tick{fill:var(--dim);font-size:11px;text-anchor:middle}
svg line{stroke:var(--line)}
rect.ok{fill:var(--ok)}rect.warn{fill:var(--warn)}rect.fail{fill:var(--fail)}rect.info{fill:var(--info)}
@media print{body{background:#fff}h2{break-after:avoid}tr{break-inside:avoid}}
"""
