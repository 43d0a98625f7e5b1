"""The page of a simulated year as files: written from a report.json, or refused with one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from orchestration.policies import policy_for
from orchestration.reports import SessionTables
from orchestration.simulation.comparison import Study, compare
from orchestration.simulation.workload import StatedWorkload
from orchestration.task_specs import TASK_SPECS
from scripts import research_time, simulation_report
from tests.simulated_years import policy_json, score_json, year_json

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "year" / "report.json"
    path.parent.mkdir()
    path.write_text(json.dumps(year_json() | {"ablations": {"without_backfill": policy_json()}}))
    return path


class _Page(HTMLParser):
    """Collects tags, attributes and words, and refuses a tag that is closed by another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data + " "


def page_of(path: Path) -> _Page:
    assert simulation_report.main([str(path)]) == 0
    return _Page(path.with_suffix(".html").read_text())


def test_the_page_is_one_file_beside_the_report(report: Path) -> None:
    page = page_of(report)

    assert sorted(path.name for path in report.parent.iterdir()) == ["report.html", "report.json"]
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href")]


def test_the_page_has_a_picture_of_hours_of_demand_and_of_the_week(report: Path) -> None:
    assert page_of(report).tags.count("svg") == 3


def test_every_section_has_its_heading(report: Path) -> None:
    words = page_of(report).words

    for heading in (
        "What falls short",
        "Research hours in use",
        "The finite demand",
        "Duties, conflicts and intrusions",
        "Predicted durations",
        "What waited, and why",
        "What each part is worth",
        "Special days",
        "Run by run",
    ):
        assert heading in words


def test_what_was_missed_is_said_before_the_tables(tmp_path: Path) -> None:
    low = policy_json(memory_conflicts=4, prediction={**policy_json()["prediction"], "coverage": 0.5})
    path = tmp_path / "report.json"
    path.write_text(json.dumps(year_json(10, "stated", unified=low)))

    words = page_of(path).words

    assert words.index("memory conflicts: 4, wanted 0.") < words.index("Target")
    assert "runs within their predicted duration, all tasks: 50.0 %, wanted at least 85 %." in words
    assert "Every target" not in words


def test_one_policy_alone_makes_a_page(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(year_json(10, "history", phases=policy_json())))

    words = page_of(path).words

    assert "the box's own recorded runs" in words
    assert "What each part is worth" not in words


def test_a_trace_makes_a_page_without_a_demand(tmp_path: Path) -> None:
    trace = {
        "submitted": 120,
        "finished": 118,
        "mean_wait_hours": 1.5,
        "longest_wait_hours": 9.0,
        "bounded_slowdown": 2.25,
        "last_end": "2026-11-24T05:00:00+00:00",
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(year_json(5, "trace", unified=policy_json(demand=None, trace=trace))))

    words = page_of(path).words

    assert "What became of the trace" in words
    assert "The finite demand" not in words
    assert "2.250" in words


def test_a_trace_s_page_says_why_the_timetable_leaves_its_research_alone(tmp_path: Path) -> None:
    trace = {
        "submitted": 3,
        "finished": 0,
        "mean_wait_hours": None,
        "longest_wait_hours": None,
        "bounded_slowdown": None,
    }
    path, told = tmp_path / "report.json", "a trace's research never runs under it"
    figures = policy_json(demand=None, trace=trace)

    path.write_text(json.dumps(year_json(5, "trace", timetable=figures, unified=figures)))
    assert told in page_of(path).words

    path.write_text(json.dumps(year_json(5, "trace", unified=figures)))
    assert told not in page_of(path).words


def test_pictures_are_written_as_files_that_the_markdown_links_to(report: Path, tmp_path: Path) -> None:
    markdown, folder = tmp_path / "out" / "page.md", tmp_path / "out" / "img"

    argv = [str(report), "--html", str(tmp_path / "p.html"), "--markdown", str(markdown)]
    assert simulation_report.main([*argv, "--pictures", str(folder)]) == 0

    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown.read_text())
    assert len(links) == 3
    assert all((markdown.parent / link).read_bytes().startswith(PNG) for link in links)
    assert sorted(path.name for path in folder.iterdir()) == sorted(Path(link).name for link in links)


def without(key: str) -> str:
    found = year_json()
    del found["policies"]["unified"][key]
    return json.dumps(found)


def with_unified(**changes: Any) -> str:
    return json.dumps(year_json(10, "stated", unified=policy_json(**changes)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"simulated": ', "report.json is not JSON"),
        ("[]", "the whole is []: expected an object"),
        (without("demand"), "policies.unified.demand is missing"),
        (with_unified(late_duties="3"), 'policies.unified.late_duties is "3": expected a whole number'),
        (with_unified(late_duties=True), "late_duties is true: expected a whole number"),
        (with_unified(wall_seconds=float("nan")), "wall_seconds is NaN: expected a finite number"),
        (with_unified(starved="none"), 'starved is "none": expected a list'),
        (
            with_unified(special_days=[{"day": "soon", "what": "", "window": "", "utilisation": None}]),
            'special_days[0].day is "soon": expected a date',
        ),
        (
            with_unified(timeline=policy_json()["timeline"] | {"from": "2026-11-16T05:00:00"}),
            'timeline.from is "2026-11-16T05:00:00": expected an instant with its zone',
        ),
        (json.dumps(year_json() | {"policies": {}}), "policies is empty"),
    ],
)
def test_a_broken_report_is_refused_with_one_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)

    assert simulation_report.main([str(path)]) == 1

    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation_report.main([str(tmp_path / "report.json")]) == 1
    assert "report.json" in capsys.readouterr().err


def test_what_a_simulation_writes_makes_a_page(tmp_path: Path) -> None:
    """The writer and the reader of report.json agree."""
    first = date(2026, 11, 26)
    study = Study(
        specs={spec.name: spec for spec in TASK_SPECS},
        tables=SessionTables(),
        first=first,
        days=1,
        seed=1,
        make_model=lambda: StatedWorkload(first=first),
    )
    unified = policy_for("unified")
    ablations = {"without_backfill": replace(unified, backfill=False)}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(compare(study, {"unified": unified}, ablations), allow_nan=False))

    assert "Thanksgiving" in page_of(path).words


# --- docs/research-time.md ----------------------------------------------------------------------------------


@pytest.fixture
def docs(report: Path, tmp_path: Path) -> Path:
    low = policy_json(prediction={**policy_json()["prediction"], "tasks": {"slow": score_json(ratio=1.5)}})
    report.write_text(json.dumps(year_json(365, "stated", timetable=policy_json(), unified=low)))
    folder = tmp_path / "docs"

    where = ["--report", str(report.parent), "--docs", str(folder)]
    assert research_time.main([*where, "--seeds", "0"]) == 0

    return folder


def test_the_documents_page_is_made_from_a_report_that_is_there(docs: Path) -> None:
    text = (docs / "research-time.md").read_text()

    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(links) == 3
    assert all(re.fullmatch(r"img/research-time-\w+\.png", link) for link in links)
    assert all((docs / link).read_bytes().startswith(PNG) for link in links)


def test_the_documents_page_lists_every_target_that_was_missed(docs: Path) -> None:
    text = (docs / "research-time.md").read_text()

    # The timetable's shares of this report are unified's, far from what a timetable reaches.
    assert re.findall(r"^> [✗!] ([^:]+):", text, re.MULTILINE) == [
        "their over-estimate, over the best plain rule's at the same coverage",
        "the fixed timetable's use of weekends",
        "the fixed timetable's use of nights",
    ]


def test_the_documents_page_writes_the_timetable_out(docs: Path) -> None:
    text = (docs / "research-time.md").read_text()

    # As the issue of the old box states it: Mon-Thu 21:30 for four hours, Fri 20:00 for eight.
    assert "| run_nightly_research | Mon-Thu 21:30 | 240 min |" in text
    assert "| run_weekend_research | Fri 20:00 | 480 min |" in text


def test_a_simulation_that_fails_is_told_and_writes_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"

    assert research_time.main(["--docs", str(docs), "--jobs", "0"]) == 1

    assert "exit status 2" in capsys.readouterr().err
    assert not docs.exists()


def test_the_year_is_simulated_with_nobody_s_own_settings(tmp_path: Path) -> None:
    mine = {"ORCHESTRATOR_TASKS": "mine.toml", "USE_TASK_SCHEDULER": "true", "PATH": "/bin"}

    found = research_time.shipped(mine, tmp_path)

    assert found["PATH"] == "/bin"
    assert found["ORCHESTRATOR_BROKER"] == "paper"
    assert found["ORCHESTRATOR_STATE_DIR"] == str(tmp_path / "state")
    assert not {"ORCHESTRATOR_TASKS", "USE_TASK_SCHEDULER"} & found.keys()
