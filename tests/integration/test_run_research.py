"""The research job: its exit codes, its result file, what it leaves when it is stopped or killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import SystemClock
from scripts import _research, run_research
from scripts._closer_looks import CloserLooks
from scripts._job import StopRequest
from tests.backtest.stored_walks import store, walk
from trading.research.bars import research_bars
from trading.research.candidates import Candidates, CandidateStatus
from trading.research.objective import ResearchSettings, objective, window_scores
from trading.research.search import Researches, Study, TrialEnd
from trading.research.status import research_status

ROOT = Path(__file__).resolve().parents[2]
PLAIN_ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
FAMILY = "moving_average"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("data"), ONE=walk(1), TWO=walk(2))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(scope="module")
def searched_once(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    state = tmp_path_factory.mktemp("searched")
    assert run_research.main(argv(state, data, "--families", FAMILY)) == 0
    return state


@pytest.fixture
def searched(searched_once: Path, state: Path) -> Path:
    """A state directory in which the search of one family, three trials, is at its end."""
    shutil.copytree(searched_once, state)
    return state


pytestmark = pytest.mark.usefixtures("result_file")


def argv(state: Path, data: Path, *more: str, scope: str = "nightly", trials: int = 3) -> list[str]:
    places = ["--scope", scope, "--state-dir", str(state), "--data-dir", str(data)]
    return [*places, "--trials", str(trials), *more]


def told(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_a_search_that_reaches_its_goal_succeeds_and_promotes_the_best(
    state: Path, data: Path, result_file: Path
) -> None:
    code = run_research.main(argv(state, data, "--families", FAMILY, "rsi"))

    report = told(result_file)
    assert code == 0
    assert (report["status"], report["progress"], report["trials"]) == ("SUCCEEDED", 1.0, 6)
    assert [each["family"] for each in report["studies"]] == [FAMILY, "rsi"]
    with Candidates(state / "ledger.db", read_only=True) as candidates:
        found = candidates.of_status(CandidateStatus.CANDIDATE)
        assert report["candidates"] == [each.candidate_id for each in found]
        assert found


def test_a_candidate_can_be_made_again_from_what_the_ledger_says_of_it(searched: Path, data: Path) -> None:
    from trading.backtest.strategies.registry import made

    with Candidates(searched / "ledger.db", read_only=True) as candidates:
        [candidate] = candidates.of_status()

    history = research_bars(data, candidate.symbols, candidate.data_to)
    strategy = made(candidate.family, **candidate.parameters)
    scores = list(window_scores(strategy, history, ResearchSettings.from_dict(candidate.settings)))

    assert history.fingerprint == candidate.data_fingerprint
    assert objective([each.sharpe for each in scores], sum(each.fills for each in scores)) == (
        candidate.objective
    )
    assert candidate.trials == 3
    assert candidate.trial_sharpe_variance > 0
    assert candidate.data_to == date(2009, 9, 30)


def test_run_again_it_has_nothing_left_to_do(searched: Path, data: Path, result_file: Path) -> None:
    assert run_research.main(argv(searched, data, "--families", FAMILY)) == 0
    first = told(result_file)

    assert run_research.main(argv(searched, data, "--families", FAMILY)) == 0

    assert told(result_file) == first
    assert first["trials"] == 3


def test_families_take_turns(state: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    run_trial = Study.run_trial

    def noted(study: Study, stopped: Callable[[], bool]) -> TrialEnd | None:
        order.append(study.plan.family)
        return run_trial(study, stopped)

    monkeypatch.setattr(Study, "run_trial", noted)

    run_research.main(argv(state, data, "--families", FAMILY, "rsi", trials=2))

    assert order == [FAMILY, "rsi", FAMILY, "rsi"]


def test_no_trial_is_begun_that_would_end_after_the_deadline(
    state: Path, data: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trials so far took an hour each; the deadline is in ten minutes."""
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", (SystemClock().now() + timedelta(minutes=10)).isoformat())
    monkeypatch.setattr(Study, "typical_seconds", lambda study: 3600.0 if study.finished() else None)

    code = run_research.main(argv(state, data, "--families", FAMILY))

    report = told(result_file)
    assert code == 75
    assert (report["status"], report["trials"]) == ("CHECKPOINTED", 1)
    assert report["progress"] == pytest.approx(1 / 3, abs=1e-4)


def test_a_deadline_that_has_passed_ends_it_at_once(
    state: Path, data: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2020-01-01T00:00:00Z")

    assert run_research.main(argv(state, data, "--families", FAMILY)) == 75

    assert told(result_file)["trials"] == 0


def test_another_search_in_the_same_place_waits_its_turn(state: Path, data: Path, result_file: Path) -> None:
    state.mkdir()
    with _research.alone(state / "research.lock") as is_alone:
        assert is_alone
        assert run_research.main(argv(state, data)) == 75

    assert told(result_file)["status"] == "CHECKPOINTED"
    assert not (state / "research.db").exists()


def test_too_few_bars_are_no_failure(state: Path, tmp_path: Path, result_file: Path) -> None:
    few = store(tmp_path / "few", ONE=walk(1).iloc[:600])

    assert run_research.main(argv(state, few)) == 0

    assert "a search needs 1265" in told(result_file)["remark"]


def test_a_symbol_that_is_not_stored_is_a_failure_that_names_it(
    state: Path, data: Path, result_file: Path
) -> None:
    assert run_research.main(argv(state, data, "--symbols", "THREE")) == 1

    assert "THREE" in told(result_file)["error"]


def test_a_damaged_database_is_a_failure_that_says_so(state: Path, data: Path, result_file: Path) -> None:
    state.mkdir()
    (state / "research.db").write_bytes(b"no database at all, not even a short one" * 100)

    assert run_research.main(argv(state, data)) == 1

    assert "database" in told(result_file)["error"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--families", "momentun"), "'momentun' is not searched"),
        (("--families", "order_imbalance"), "is not searched"),
        (("--trials", "0"), "--trials is 0"),
        (("--seed", "-1"), "--seed is -1"),
        (("--keep-on",), "--keep-on goes with --scope refine"),
    ],
)
def test_wrong_arguments_are_told(
    state: Path, data: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_research.main(argv(state, data, *more))

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_finer_search_begins_from_the_best_and_counts_what_that_was_chosen_from(
    searched: Path, data: Path, result_file: Path
) -> None:
    [base] = research_status(searched).studies
    best = base.best_parameters
    assert best is not None

    assert run_research.main(argv(searched, data, "--families", FAMILY, scope="refine", trials=2)) == 0

    [study] = told(result_file)["studies"]
    assert study["study"].startswith(f"refine-{FAMILY}-")
    assert study["best_parameters"]["average"] == best["average"]
    assert abs(study["best_parameters"]["fast"] - best["fast"]) <= (45 - 5) / 6
    with Candidates(searched / "ledger.db", read_only=True) as candidates:
        assert {each.trials for each in candidates.of_status() if each.study == study["study"]} <= {5}


def test_without_a_search_there_is_nothing_to_refine(state: Path, data: Path, result_file: Path) -> None:
    assert run_research.main(argv(state, data, scope="refine")) == 0

    assert "nothing to refine yet" in told(result_file)["remark"]


def trials_by_study(state: Path) -> dict[str, int]:
    return {each.name: each.complete + each.pruned + each.failed for each in research_status(state).studies}


def test_a_finer_search_that_keeps_on_goes_wider_and_closer_until_its_deadline(
    searched: Path, data: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline comes as soon as both have gone on, however long a busy box takes for it."""
    deadline = datetime(2100, 1, 1, tzinfo=UTC)
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", deadline.isoformat())
    [before] = trials_by_study(searched).items()

    def clock() -> datetime:
        after = trials_by_study(searched)
        have_gone_on = after[before[0]] >= before[1] + 2 and any(n.startswith("refine-") for n in after)
        return deadline if have_gone_on else deadline - timedelta(days=1)

    monkeypatch.setattr(run_research, "StopRequest", lambda: StopRequest(clock))

    code = run_research.main(
        argv(searched, data, "--families", FAMILY, "--keep-on", scope="refine", trials=2)
    )

    assert code == 75, "it is never at its end, only at its deadline"
    after = trials_by_study(searched)
    assert after[before[0]] >= before[1] + 2, "the wide search went on"
    assert any(name.startswith("refine-") for name in after)


def test_a_wide_search_goes_on_to_its_last_trial_and_no_further(
    searched: Path, data: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2100-01-01T00:00:00Z")
    monkeypatch.setattr(_research, "MOST_TRIALS", 4)
    [(wide, _)] = trials_by_study(searched).items()

    assert (
        run_research.main(argv(searched, data, "--families", FAMILY, "--keep-on", scope="refine", trials=2))
        == 0
    )

    assert trials_by_study(searched)[wide] == 4


def test_without_a_deadline_a_finer_search_keeps_on_for_one_round(
    searched: Path, data: Path, result_file: Path
) -> None:
    [before] = trials_by_study(searched).items()

    assert (
        run_research.main(argv(searched, data, "--families", FAMILY, "--keep-on", scope="refine", trials=2))
        == 0
    )

    assert told(result_file)["trials"] == 2
    assert before in trials_by_study(searched).items()


def test_candidates_are_looked_at_once_for_the_same_bars(
    searched: Path, data: Path, result_file: Path
) -> None:
    for scope in ("walk-forward", "bootstrap"):
        assert run_research.main(argv(searched, data, scope=scope)) == 0
        first = told(result_file)
        [look] = first["candidates"].values()
        assert "error" not in look
        assert run_research.main(argv(searched, data, scope=scope)) == 0
        assert told(result_file)["candidates"] == first["candidates"]
        assert "0 of them looked at anew" in told(result_file)["remark"]


def test_a_candidate_is_not_shown_the_bars_that_validation_judges_by(searched: Path, data: Path) -> None:
    looks = CloserLooks(scope="walk-forward", state_dir=searched, data_dir=data, stop=StopRequest())

    assert looks.run() == ""

    assert {look["last_bar"] for look in looks.found.values()} == {"2009-09-30"}


def test_a_strategy_in_use_is_followed_to_the_newest_bar(searched: Path, data: Path) -> None:
    with Candidates(searched / "ledger.db") as candidates:
        [candidate] = candidates.of_status()
        at = datetime(2026, 11, 21, tzinfo=UTC)
        candidates.record_verdict(str(candidate.candidate_id), CandidateStatus.VALIDATED, {}, at)
    looks = CloserLooks(scope="walk-forward", state_dir=searched, data_dir=data, stop=StopRequest())

    looks.run()

    assert {look["last_bar"] for look in looks.found.values()} == {"2010-11-24"}


def test_closer_looks_stop_between_candidates_and_keep_what_they_have(
    searched: Path, data: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2020-01-01T00:00:00Z")

    assert run_research.main(argv(searched, data, scope="bootstrap")) == 75

    assert told(result_file)["status"] == "CHECKPOINTED"


def test_the_status_says_what_each_study_has_done(state: Path, data: Path, result_file: Path) -> None:
    run_research.main(argv(state, data, "--families", FAMILY, "rsi"))
    [average, rsi] = told(result_file)["studies"]

    status = research_status(state)

    assert [study.name for study in status.studies] == [rsi["study"], average["study"]]
    newest = status.studies[0]
    assert (newest.trials, newest.goal, newest.best_value) == (3, 3, rsi["best_value"])
    assert newest.best_parameters == rsi["best_parameters"]
    assert newest.conclusion == rsi["conclusion"]
    assert [each.candidate_id for each in status.candidates] == told(result_file)["candidates"]


def test_the_status_of_a_place_without_research_is_empty(tmp_path: Path) -> None:
    status = research_status(tmp_path)

    assert (status.studies, status.candidates, status.remark) == ((), (), "")
    assert not list(tmp_path.iterdir())


def test_the_status_of_a_damaged_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "research.db").write_bytes(b"no database at all" * 100)

    assert "cannot be read" in research_status(tmp_path).remark


def test_only_the_newest_studies_of_a_family_are_kept(state: Path, data: Path) -> None:
    for seed in ("1", "2", "3"):
        run_research.main(argv(state, data, "--families", FAMILY, "--seed", seed, trials=1))

    with Researches(state) as researches:
        forgotten = researches.forget(keep=2)
        assert all(not researches.returns.of(name) for name in forgotten)

    assert len(forgotten) == 1
    assert [study.seed for study in research_status(state).studies] == [3, 2]


def start(state: Path, data: Path, result: Path, trials: int) -> subprocess.Popen[bytes]:
    wanted = argv(state, data, "--families", FAMILY, "rsi", trials=trials)
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.run_research", *wanted],
        cwd=ROOT,
        env=PLAIN_ENV | {"ORCHESTRATOR_RESULT": str(result)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def trials_begun(state: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{state / 'research.db'}?mode=ro", uri=True)) as db:
            count: int = db.execute("SELECT count(*) FROM trials").fetchone()[0]
    except sqlite3.Error:
        return 0
    return count


def wait_for_trials(state: Path, count: int) -> None:
    for _ in range(3000):
        if trials_begun(state) >= count:
            return
        SystemClock().sleep(0.02)
    pytest.fail(f"fewer than {count} trials were begun in 60 s")


@pytest.mark.slow
def test_stopped_by_the_daemon_it_checkpoints_with_its_progress(
    state: Path, data: Path, result_file: Path
) -> None:
    """SIGTERM goes to the whole group, as the daemon sends it: the trial at hand is finished all the same."""
    process = start(state, data, result_file, trials=500)
    with process:
        wait_for_trials(state, 3)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 75

    report = told(result_file)
    assert report["status"] == "CHECKPOINTED"
    assert 0 < report["progress"] < 1
    assert report["trials"] >= 3
    assert sum(each["failed"] for each in report["studies"]) == 0


@pytest.mark.slow
def test_a_job_killed_again_and_again_ends_as_an_unbroken_one(
    tmp_path: Path, data: Path, result_file: Path
) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for count in (2, 7, 15):
        process = start(broken, data, result_file, trials=13)
        with process:
            wait_for_trials(broken, count)
            os.killpg(process.pid, signal.SIGKILL)
    assert run_research.main(argv(broken, data, "--families", FAMILY, "rsi", trials=13)) == 0

    assert run_research.main(argv(whole, data, "--families", FAMILY, "rsi", trials=13)) == 0

    found = []
    for state in (broken, whole):
        with Candidates(state / "ledger.db", read_only=True) as candidates:
            found.append(
                [(each.candidate_id, each.objective, each.trials) for each in candidates.of_status()]
            )
    assert sorted(found[0]) == sorted(found[1])
    best = [
        {study.name: (study.trials, study.best_value) for study in research_status(state).studies}
        for state in (broken, whole)
    ]
    assert best[0] == best[1]
