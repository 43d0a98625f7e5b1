"""Write the page of a simulated year from its report.json: figures against targets, tables and pictures.

The page is one HTML file with everything in it, written beside the report unless --html says where. If asked
for, it is written as Markdown, too, and its pictures as PNG files. Exit codes: 0 written; 1 the report cannot
be read, or the page not be written; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from observability.report_document import Document, as_html, as_markdown
from scripts._job import finish
from scripts._shapes import Drawing, png
from scripts._year_facts import read_year
from scripts._year_page import page
from scripts._year_pictures import pictures
from trading.marketdata.files import replace_file


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = _parser().parse_args(argv)
    source: Path = arguments.report
    html: Path = arguments.html or source.with_suffix(".html")
    try:
        year = read_year(source)
        document, drawings = page(year), pictures(year)
        written = [_write(html, as_html(document))]
        if arguments.pictures is not None:
            written += write_pictures(arguments.pictures, "", drawings)
        if arguments.markdown is not None:
            written.append(_write_markdown(arguments.markdown, arguments.pictures, document, drawings))
    except (OSError, ValueError) as error:
        return finish(1, {"error": str(error)}, f"simulation_report: {error}")
    return finish(0, {"written": written}, "written: " + ", ".join(str(path) for path in written))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("report", metavar="REPORT_JSON", type=Path, help="what --simulate --report wrote")
    made.add_argument("--html", metavar="PATH", type=Path, help="the page (default: beside the report)")
    made.add_argument("--markdown", metavar="PATH", type=Path, help="the page as Markdown, too")
    made.add_argument("--pictures", metavar="DIR", type=Path, help="the pictures as PNG files, too")
    return made


def write_pictures(folder: Path, prefix: str, drawings: Sequence[Drawing]) -> list[Path]:
    """Write each drawing as a PNG called by `prefix` and its name; return the paths. Raises OSError."""
    return [_write_bytes(folder / f"{prefix}{drawing.name}.png", png(drawing)) for drawing in drawings]


def with_pictures(text: str, folder: str, prefix: str, drawings: Sequence[Drawing]) -> str:
    """Return a page's Markdown with links to the pictures above their words. folder: for the links."""
    for drawing in drawings:
        image = f"![{drawing.title}]({folder}/{prefix}{drawing.name}.png)"
        text = text.replace(f"### {drawing.title}\n", f"### {drawing.title}\n\n{image}\n", 1)
    return text


def _write_markdown(path: Path, folder: Path | None, document: Document, drawings: Sequence[Drawing]) -> Path:
    text = as_markdown(document)
    if folder is not None:
        text = with_pictures(text, Path(os.path.relpath(folder, path.parent)).as_posix(), "", drawings)
    return _write(path, text)


def _write(path: Path, text: str) -> Path:
    return _write_bytes(path, text.encode())


def _write_bytes(path: Path, content: bytes) -> Path:
    replace_file(path, content)
    return path


if __name__ == "__main__":
    sys.exit(main())
