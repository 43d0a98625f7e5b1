"""What the control command shows of the research."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime

from rich.console import Console
from typer.testing import CliRunner

from orchestration.ctl.main import app
from orchestration.ctl.researching import drawn
from tests.control_desk import make_desk
from trading.research.candidates import Candidate, CandidateStatus
from trading.research.status import ResearchStatus, StudyStatus

STUDY = StudyStatus(
    name="ma-1",
    kind="daily",
    family="moving_average",
    symbols=("AAPL", "IBM", "JPM", "MSFT", "XOM"),
    data_from="2000-03-01",
    data_to="2012-03-01",
    seed=1,
    goal=100,
    complete=32,
    pruned=7,
    failed=1,
    seconds=400.0,
    best_value=0.6123456,
    best_parameters={"fast": 15, "slow": 130, "symbols": ("AAPL", "IBM")},
    conclusion={"trials": 40, "candidate": None, "reason": "it lost money"},
)
CANDIDATE = Candidate(
    family="moving_average",
    parameters={"fast": 15},
    symbols=("AAPL",),
    settings={},
    data_fingerprint="f" * 64,
    data_from=date(2000, 3, 1),
    data_to=date(2012, 3, 1),
    code_version="1",
    code_hash="c" * 64,
    seed=1,
    study="ma-1",
    trials=40,
    trial_sharpe_variance=0.1,
    objective=0.5,
    created_at=datetime(2026, 11, 20, tzinfo=UTC),
    candidate_id="moving_average-0123456789abcdef",
    status=CandidateStatus.REJECTED,
)


def _shown(found: ResearchStatus) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(drawn(found))
    return out.getvalue()


def test_a_box_that_never_searched_says_so() -> None:
    result = CliRunner().invoke(app, ["research", "status"], obj=make_desk())

    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["no study has begun", "", "candidates: none"]


def test_it_is_told_as_json_too() -> None:
    result = CliRunner().invoke(app, ["research", "status", "--json"], obj=make_desk())

    assert json.loads(result.stdout) == {"studies": [], "candidates": [], "remark": "", "by_status": {}}


def test_a_study_is_shown_with_its_trials_and_its_best() -> None:
    line = _shown(ResearchStatus(studies=(STUDY,))).splitlines()[1]

    # 32 + 7 + 1 trials; 400 s.
    assert "ma-1 (daily)  moving_average  AAPL, IBM, JPM and 2 more  2000-03-01 to 2012-03-01" in line
    assert line.split("2012-03-01")[1].split() == [
        *("40", "of", "100", "7", "1", "6", "min", "40", "s", "0.6123"),
        "fast=15:slow=130:symbols=AAPL+IBM",
    ]


def test_a_study_at_its_goal_says_what_became_of_it() -> None:
    assert "ma-1: no candidate: it lost money" in _shown(ResearchStatus(studies=(STUDY,)))


def test_candidates_are_counted_and_listed() -> None:
    shown = _shown(ResearchStatus(candidates=(CANDIDATE,), by_status={"rejected": 1}))

    assert "candidates: 1 rejected" in shown
    assert shown.splitlines()[-1].split() == [
        "moving_average-0123456789abcdef",
        "moving_average",
        "rejected",
        "0.5",
        "fast=15",
    ]


def test_what_cannot_be_read_is_said() -> None:
    assert "research.db cannot be read" in _shown(ResearchStatus(remark="research.db cannot be read: x"))
