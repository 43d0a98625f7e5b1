"""The pages name what is there: folders, modules, commands, flags, and each other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _kept_files() -> list[Path]:
    """Return the files that git keeps or would keep; a copy without git has no others."""
    argv = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, capture_output=True, text=True)
    if listed.returncode == 0:
        return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    hidden = {".venv", "var", "logs", "build", "__pycache__"}
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [path for path in files if not hidden & set(path.parts)]


def test_every_top_level_folder_and_module_is_on_the_map() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    wanted = {f"`{path.parts[0]}/`" for path in _kept_files() if len(path.parts) > 1}
    wanted |= {f"`{path.name}`" for path in _kept_files() if len(path.parts) == 1 and path.suffix == ".py"}

    assert len(wanted) > 8
    assert sorted(name for name in wanted if name not in page) == [], "name these in docs/architecture.md"


def test_every_module_of_the_daemon_is_on_the_map() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    here = ROOT / "orchestration"
    wanted = {f"`{path.name}`" for path in here.glob("*.py") if path.stem != "__init__"}
    wanted |= {f"`{path.name}/`" for path in here.iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert sorted(name for name in wanted if name not in page) == [], "name these in docs/architecture.md"


def test_the_map_names_no_module_that_is_not_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    present = {path.name for path in _kept_files()}

    named = set(re.findall(r"`(?:[a-z_./]+/)?([a-z_]+\.(?:py|sh|toml|md|db))`", page)) - {"control.db"}

    assert sorted(named - present) == []


def test_make_test_runs_every_folder_with_tests() -> None:
    """It names them, to run two halves at once."""
    script = (ROOT / "scripts" / "run_tests.sh").read_text()
    tests = [path for path in _kept_files() if path.parts[0] == "tests" and path.name.startswith("test_")]

    places = {"/".join(path.parts[:2]) for path in tests}
    assert len(places) > 5
    assert sorted(place for place in places if place not in script.split()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_make_target_on_a_page_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    # In code only: a span in backticks, or an indented line.
    code = [
        span for page in PAGES for span in re.findall(r"`[^`\n]+`|^ {4}.+$", page.read_text(), re.MULTILINE)
    ]

    named = {name for span in code for name in re.findall(r"\bmake ([a-z][a-z-]*)", span)}

    # `apt install git make python3` names the program.
    assert sorted(named - targets - {"python"}) == []
    assert {"run", "test", "lint", "install-service"} <= named
