"""The jobs that judge candidates and watch strategies in use: a real ledger, stored bars, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts import validate_strategies, validate_strategies_subprocess
from tests.judged_box import AT, CUT, STUDY, another, search, write_bars
from tests.traded_ledger import trade
from trading.execution.ledger.ledger import Ledger
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.trials import FILE, TrialLog, TrialReturns
from trading.research.validation import battery

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "validate_strategies_subprocess.py"


@pytest.fixture(scope="module")
def made_box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars with trends, a study of five on them, and its best: a candidate."""
    box = tmp_path_factory.mktemp("box")
    write_bars(box / "data", drift=0.002)
    search(box / "state", box / "data")
    return box


@pytest.fixture
def box(made_box: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_box, tmp_path / "box"))


pytestmark = pytest.mark.usefixtures("result_file")


def places(box: Path) -> list[str]:
    return ["--state-dir", str(box / "state"), "--data-dir", str(box / "data")]


def judge(box: Path, *arguments: str) -> int:
    return validate_strategies_subprocess.main([*(arguments or ("--all-candidates",)), *places(box)])


def check(box: Path) -> int:
    return validate_strategies.main(places(box))


def the_only(box: Path) -> Candidate:
    with Candidates(box / "state" / "ledger.db", read_only=True) as candidates:
        (found,) = candidates.of_status()
        return found


def result(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read


@pytest.fixture(scope="module")
def judged_box(made_box: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a validation that nothing interrupted, with memory to spare."""
    box = Path(shutil.copytree(made_box, tmp_path_factory.mktemp("judged") / "box"))
    assert judge(box) == 0
    return box


@pytest.fixture
def unbroken(judged_box: Path) -> dict[str, Any]:
    """The document of that validation."""
    return dict(the_only(judged_box).verdict or {})


@pytest.fixture
def in_use(judged_box: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged_box, tmp_path / "in_use"))


def test_a_candidate_is_judged_recorded_and_reported(box: Path, result_file: Path) -> None:
    assert judge(box) == 0

    judged = the_only(box)
    assert judged.status is CandidateStatus.VALIDATED
    assert judged.verdict is not None
    folder = box / "state" / "reports" / "validation"
    for kind in ("md", "html"):
        text = (folder / f"{judged.candidate_id}.{kind}").read_text()
        for test in judged.verdict["tests"]:
            assert test["name"].replace("_", " ") in text
            assert f"{test['value']:.4g}" in text
            assert f"{test['rule']} {test['threshold']:g}" in text
        assert str(judged.candidate_id) in (folder / f"overview.{kind}").read_text()
    assert result(result_file)["judged"] == [
        {"candidate": judged.candidate_id, "verdict": "validated", "reasons": []}
    ]
    assert not list((box / "state" / "validation").iterdir())


def test_it_runs_by_its_path_within_little_memory_to_the_same_verdict(
    box: Path, unbroken: dict[str, Any], tmp_path: Path, result_file: Path
) -> None:
    """As the daemon starts it, from elsewhere, with a limit that only small pieces keep: 2,000 resamples of
    2,277 days at once would take 364 MB."""
    command = [sys.executable, str(SCRIPT), "--all-candidates", "--memory-limit", "200", *places(box)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr
    assert result(result_file)["peak_memory_mb"] < 200
    assert the_only(box).verdict == unbroken


def test_one_killed_in_the_middle_ends_with_the_same_verdict(box: Path, unbroken: dict[str, Any]) -> None:
    killed = (
        "import os, signal, sys\n"
        "from scripts import validate_strategies_subprocess as job\n"
        "from trading.research.validation.battery import TESTS\n"
        "TESTS['bootstrap'] = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "job.main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", killed, "--all-candidates", *places(box)]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert the_only(box).status is CandidateStatus.CANDIDATE
    (kept,) = (box / "state" / "validation").iterdir()
    before = list(battery.TESTS)[: list(battery.TESTS).index("bootstrap")]
    assert [test["name"] for test in json.loads(kept.read_text())["tests"]] == before

    assert judge(box) == 0

    assert the_only(box).verdict == unbroken


def test_one_asked_to_stop_finishes_its_test_and_goes_on_next_time(
    box: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    own, asked = battery.TESTS["walk_forward"], []

    def interrupted(*given: Any) -> Any:
        asked.append(given)
        os.kill(os.getpid(), signal.SIGTERM)
        return own(*given)

    monkeypatch.setitem(battery.TESTS, "walk_forward", interrupted)

    assert judge(box) == 75
    assert result(result_file)["left"] == 1
    assert the_only(box).status is CandidateStatus.CANDIDATE
    assert judge(box) == 0
    assert len(asked) == 1
    assert the_only(box).verdict == unbroken


def test_out_of_time_nothing_is_begun(box: Path, monkeypatch: pytest.MonkeyPatch, result_file: Path) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2020-01-01T00:00:00Z")

    assert judge(box) == 75
    assert result(result_file)["judged"] == []


def test_without_a_ledger_there_is_nothing_to_judge_and_none_is_made(tmp_path: Path) -> None:
    assert judge(tmp_path) == 0
    assert check(tmp_path) == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("arguments", [(), ("--candidate", "x", "--all-candidates"), ("--candidate", "x-1")])
def test_wrong_arguments_are_refused(box: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as refused:
        validate_strategies_subprocess.main([*arguments, *places(box)])
    assert refused.value.code == 2


def test_a_memory_limit_of_nothing_is_refused(box: Path) -> None:
    with pytest.raises(SystemExit):
        judge(box, "--all-candidates", "--memory-limit", "0")


def test_what_cannot_be_looked_at_stays_a_candidate_and_keeps_no_other_from_being_judged(
    box: Path, result_file: Path
) -> None:
    first = the_only(box)
    another(box / "state", first, symbols=("GONE",), created_at=AT - timedelta(days=1))
    another(box / "state", first, family="no_such", created_at=AT - timedelta(days=1))

    assert judge(box) == 0

    verdicts = {each["candidate"]: each for each in result(result_file)["judged"]}
    kinds = sorted(each["verdict"] for each in verdicts.values())
    assert kinds == ["inconclusive", "inconclusive", "validated"]
    with Candidates(box / "state" / "ledger.db", read_only=True) as candidates:
        waiting = candidates.of_status(CandidateStatus.CANDIDATE)
    assert len(waiting) == 2
    for each in waiting:
        assert (box / "state" / "reports" / "validation" / f"{each.candidate_id}.html").exists()


def test_a_test_that_raises_is_told_and_decides_nothing(
    box: Path, monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    def broken(*given: Any) -> Any:
        raise ZeroDivisionError("a strategy's own")

    monkeypatch.setitem(battery.TESTS, "ruin", broken)

    assert judge(box) == 0

    assert the_only(box).status is CandidateStatus.CANDIDATE
    (alert,) = result(result_file)["alerts"].values()
    assert "ZeroDivisionError: a strategy's own" in alert


def test_a_report_that_a_kill_prevented_is_written_by_the_next_run(in_use: Path) -> None:
    box = in_use
    report = box / "state" / "reports" / "validation" / f"{the_only(box).candidate_id}.md"
    written = report.read_text()
    for each in report.parent.iterdir():
        each.unlink()

    assert judge(box) == 0

    assert report.read_text() == written


@pytest.mark.slow
def test_one_can_be_judged_again_whatever_it_is(in_use: Path) -> None:
    box, first = in_use, the_only(in_use)

    assert judge(box, "--candidate", str(first.candidate_id)) == 0

    with Candidates(box / "state" / "ledger.db", read_only=True) as candidates:
        documents = [each.document for each in candidates.verdicts(str(first.candidate_id))]
    assert len(documents) == 2
    assert documents[0] == documents[1]


@pytest.mark.slow
def test_corrected_bars_reject_what_was_found_on_others(box: Path) -> None:
    write_bars(box / "data", drift=0.0021)

    judge(box)

    judged = the_only(box)
    assert judged.status is CandidateStatus.REJECTED
    assert judged.verdict is not None
    assert judged.verdict["evidence"]["same_bars"] is False
    assert any(reason.startswith("found_again") for reason in judged.verdict["reasons"])


@pytest.mark.slow
def test_a_study_of_thousands_is_judged_within_little_memory(box: Path, result_file: Path) -> None:
    """4,000 trials more: their returns alone are 65 MB, of which the limit leaves room for none."""
    random = np.random.default_rng(1)
    with TrialLog(box / "state" / FILE) as log:
        for number in range(10, 4010):
            returns = random.normal(0.0, 0.01, 2016)
            log.put(STUDY, TrialReturns(number=number, is_whole=True, sharpe=0.0, fills=9, returns=returns))
    command = [sys.executable, str(SCRIPT), "--all-candidates", "--memory-limit", "205", *places(box)]

    assert subprocess.run(command, cwd=ROOT).returncode == 0

    assert result(result_file)["peak_memory_mb"] < 205
    assert the_only(box).verdict is not None


# --- strategies in use


def promise_less(box: Path, **changes: float) -> None:
    """Rewrite what the validation promised."""
    found = the_only(box)
    document = json.loads(json.dumps(found.verdict))
    document["promise"] |= changes
    with Candidates(box / "state" / "ledger.db") as candidates:
        candidates.record_verdict(
            str(found.candidate_id), CandidateStatus.VALIDATED, document, datetime(2026, 11, 21, tzinfo=UTC)
        )


def test_nothing_in_use_ends_well_and_says_so(
    box: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(box) == 0

    assert result(result_file) == {"checked": [], "left": 0, "alerts": {}}
    assert "no strategy is in use" in capsys.readouterr().out


def test_a_strategy_that_goes_on_as_promised_is_not_told_of(in_use: Path, result_file: Path) -> None:
    write_bars(in_use / "data", drift=0.002, until="2022-12-30")

    assert check(in_use) == 0

    found = result(result_file)
    assert found["alerts"] == {}
    (checked,) = found["checked"]
    assert "promises kept" in checked["said"]
    # The days after the last bar that the validation saw, not those after the search.
    assert "in 260 days" in checked["checks"]["performance"]["text"]


def test_a_broken_promise_is_an_alert_and_recorded_once(in_use: Path, result_file: Path) -> None:
    write_bars(in_use / "data", drift=0.002, until="2022-12-30")
    promise_less(in_use, drawdown=-0.001)

    assert check(in_use) == 0
    assert check(in_use) == 0

    found, name = result(result_file), the_only(in_use).candidate_id
    assert list(found["alerts"]) == [f"{name} drawdown"]
    assert "promised not to exceed 0.1%" in found["alerts"][f"{name} drawdown"]
    with Candidates(in_use / "state" / "ledger.db", read_only=True) as candidates:
        kinds = [each.document["kind"] for each in candidates.verdicts(str(name))]
        assert candidates.get(str(name)).status is CandidateStatus.VALIDATED
    assert kinds == ["validation", "validation", "check"]


def test_a_promise_kept_again_is_recorded_too(in_use: Path, result_file: Path) -> None:
    write_bars(in_use / "data", drift=0.002, until="2022-12-30")
    name = str(the_only(in_use).candidate_id)
    with Candidates(in_use / "state" / "ledger.db") as candidates:
        old = {"kind": "check", "broken": ["drawdown"], "checks": {}}
        candidates.record_verdict(name, CandidateStatus.VALIDATED, old, AT)

    check(in_use)

    assert result(result_file)["alerts"] == {}
    assert (the_only(in_use).verdict or {})["broken"] == []


def test_one_whose_bars_are_gone_is_told_of(in_use: Path, result_file: Path) -> None:
    shutil.rmtree(in_use / "data")

    assert check(in_use) == 0

    (alert,) = result(result_file)["alerts"].values()
    assert "cannot be checked" in alert


def test_own_fills_are_held_against_the_price_on_arrival(tmp_path: Path) -> None:
    path, noon = tmp_path / "ledger.db", datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    day = noon.date()
    trade(path, "a", 100, "100.10", session=day, at=noon, strategy="mine", fee="1")
    trade(path, "b", -50, "99.90", session=day, at=noon, strategy="mine", fee="1")
    trade(path, "c", 100, "250", session=day, at=noon, strategy="another")
    with Ledger(path) as ledger, ledger.writing(noon) as book:
        for order in ledger.parents():
            book.put_parent(replace(order, arrival_price=Decimal(100), arrived_at=noon))

    with Ledger(path, read_only=True) as ledger:
        filled, bps = validate_strategies.paid_for(ledger, "mine")
        nothing = validate_strategies.paid_for(ledger, "no_one")

    # 0.10 * 100 + 1 and 0.10 * 50 + 1 are 17 $ on 10,010 + 4,995 $ of shares.
    assert filled == 2
    assert bps == pytest.approx(1e4 * 17 / 15_005)
    assert nothing == (0, None)


def test_the_held_out_days_are_those_after_the_cut(unbroken: dict[str, Any]) -> None:
    evidence = unbroken["evidence"]

    assert evidence["studied"]["to"] == CUT.isoformat()
    assert evidence["new_days"] == 261
