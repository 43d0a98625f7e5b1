"""How a report looks as Markdown and as HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from observability.report_document import (
    FAIL,
    OK,
    WARN,
    Bar,
    Document,
    Heading,
    Notice,
    Picture,
    Table,
    Text,
    Tile,
    Tiles,
    Timeline,
    as_html,
    as_markdown,
)

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DOCUMENT = Document(
    title="Report <1>",
    subtitle="a & b",
    blocks=(
        Tiles((Tile("Failed", "2", FAIL, "of 9"), Tile("Alerts", "0", OK))),
        Notice(WARN, "look | here"),
        Heading("What ran"),
        Text("All <b>of</b> it."),
        Table(("Task", "#Runs"), (("daily_report", "3"), ("x|y", "1")), (OK, FAIL)),
        Table(("Only",), (("cell",),)),
        Timeline(
            START,
            START + timedelta(hours=1),
            (("daily_report", (Bar(START, START + timedelta(minutes=30), OK, "30 <min>"),)),),
            ((START + timedelta(minutes=15), "12:15"), (START + timedelta(hours=1), "13:00")),
        ),
    ),
)


def test_markdown_has_every_block_but_the_timeline() -> None:
    assert as_markdown(DOCUMENT) == (
        "# Report \\<1\\>\n\n"
        "a & b\n\n"
        "- ✗ Failed: **2** (of 9)\n- ✓ Alerts: **0**\n\n"
        "> ! look \\| here\n\n"
        "## What ran\n\n"
        "All \\<b\\>of\\</b\\> it.\n\n"
        "| Task | Runs |\n| --- | ---: |\n| daily_report | 3 |\n| x\\|y | 1 |\n\n"
        "| Only |\n| --- |\n| cell |\n"
    )


def test_html_is_well_formed_and_shows_the_text_as_it_is() -> None:
    page = as_html(DOCUMENT)

    body = page[page.index("<body>") : page.index("</body>") + len("</body>")]
    tree = ElementTree.fromstring(body)
    assert tree.findtext(".//h1") == "Report <1>"
    assert [p.text for p in tree.findall(".//p") if p.get("class") is None] == ["All <b>of</b> it."]
    assert [cell.text for cell in tree.findall(".//td")] == ["daily_report", "3", "x|y", "1", "cell"]
    assert tree.findtext(".//rect/title") == "30 <min>"


def test_html_loads_nothing_from_anywhere() -> None:
    page = as_html(DOCUMENT)

    assert not re.search(r"https?:|<script|<link|<img|@import|url\(", page)


def test_html_follows_the_readers_dark_mode() -> None:
    assert "prefers-color-scheme:dark" in as_html(DOCUMENT)
    assert '<meta name="color-scheme" content="light dark">' in as_html(DOCUMENT)


def test_a_bar_spans_its_share_of_the_timeline() -> None:
    rect = re.search(r'<rect class="ok" x="([\d.]+)" y="\d+" width="([\d.]+)"', as_html(DOCUMENT))

    assert rect is not None
    # Bars lie between 190 and 950 of 960 pixels: half an hour of one is 380.
    assert (float(rect[1]), float(rect[2])) == (190.0, 380.0)


def test_signs_of_markdown_in_a_title_or_a_head_are_shown_as_they_are() -> None:
    document = Document(title="a*b", subtitle="", blocks=(Table(("<x>", "#[y]"), (("1", "2"),)),))

    assert as_markdown(document) == "# a\\*b\n\n\n\n| \\<x\\> | \\[y\\] |\n| --- | ---: |\n| 1 | 2 |\n"


def test_a_picture_is_its_words_in_markdown_and_is_named_by_them_on_the_page() -> None:
    picture = Picture(title="Price & fills", svg='<svg viewBox="0 0 1 1"></svg>', words='rose "fast" | 5 %')
    document = Document(title="t", subtitle="s", blocks=(picture,))

    assert '### Price & fills\n\nrose "fast" \\| 5 %\n' in as_markdown(document)
    page = as_html(document)
    assert '<svg role="img" aria-label="rose &quot;fast&quot; | 5 %" viewBox="0 0 1 1"></svg>' in page
    assert "<h3>Price &amp; fills</h3>" in page
    assert "<figcaption>rose &quot;fast&quot; | 5 %</figcaption>" in page
