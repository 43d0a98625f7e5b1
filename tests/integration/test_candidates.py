"""The candidates in a real ledger: stored once, judged, and read back whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from trading.execution.errors import LedgerError
from trading.execution.ledger import schema
from trading.research.candidates import Candidate, Candidates, CandidateStatus

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def found(**changes: object) -> Candidate:
    candidate = Candidate(
        family="moving_average_crossover",
        parameters={"fast": 20, "slow": 50},
        symbols=("AAPL", "IBM"),
        settings={"capital": 100_000.0, "folds": 4},
        data_fingerprint="f" * 64,
        data_from=date(2000, 3, 1),
        data_to=date(2011, 12, 31),
        code_version="0.1.0",
        code_hash="c" * 64,
        seed=7,
        study="nightly-moving_average_crossover-0123456789ab",
        trials=40,
        trial_sharpe_variance=0.0004,
        objective=0.83,
        created_at=AT,
    )
    return replace(candidate, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def candidates(path: Path) -> Iterator[Candidates]:
    with Candidates(path) as opened:
        yield opened


def test_a_candidate_is_read_back_with_all_that_reproduces_it(path: Path) -> None:
    with Candidates(path) as candidates:
        added = candidates.add(found())

    with Candidates(path, read_only=True) as candidates:
        assert candidates.of_status(CandidateStatus.CANDIDATE) == [added]
        assert added == replace(found(), candidate_id=added.candidate_id)


def test_the_same_find_is_stored_once_however_often_it_is_promoted(candidates: Candidates) -> None:
    first = candidates.add(found())

    again = candidates.add(found(study="weekend-x", created_at=AT + timedelta(days=1)))

    assert again == first
    assert candidates.of_status() == [first]


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"fast": 21, "slow": 50}},
        {"symbols": ("AAPL",)},
        {"settings": {"capital": 100_000.0, "folds": 5}},
        {"data_fingerprint": "e" * 64},
        {"code_hash": "d" * 64},
        {"family": "momentum"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_content_is_another_candidate(candidates: Candidates, change: dict[str, object]) -> None:
    first = candidates.add(found())

    other = candidates.add(found(**change))

    assert other.candidate_id != first.candidate_id
    assert len(candidates.of_status()) == 2


def test_a_search_that_went_on_counts_more_trials(candidates: Candidates) -> None:
    candidates.add(found())

    more = candidates.add(found(trials=90, trial_sharpe_variance=0.0009))
    fewer = candidates.add(found(trials=10, trial_sharpe_variance=0.0001))

    assert (more.trials, more.trial_sharpe_variance) == (90, 0.0009)
    assert fewer == more


def test_a_verdict_is_the_status_from_then_on(candidates: Candidates) -> None:
    added = candidates.add(found())
    other = candidates.add(found(family="momentum"))
    document = {"deflated_sharpe": {"value": 0.97, "at_least": 0.95, "passed": True}}

    judged = candidates.record_verdict(
        str(added.candidate_id), CandidateStatus.VALIDATED, document, AT + timedelta(hours=1)
    )

    assert (judged.status, judged.verdict, judged.decided_at) == (
        CandidateStatus.VALIDATED,
        document,
        AT + timedelta(hours=1),
    )
    assert candidates.in_use() == [judged]
    assert candidates.of_status(CandidateStatus.CANDIDATE) == [other]


def test_a_known_find_keeps_its_verdict_when_it_is_promoted_again(candidates: Candidates) -> None:
    added = candidates.add(found())
    candidates.record_verdict(str(added.candidate_id), CandidateStatus.REJECTED, {"pbo": 0.7}, AT)

    again = candidates.add(found())

    assert (again.status, again.verdict) == (CandidateStatus.REJECTED, {"pbo": 0.7})


def test_earlier_verdicts_stay_on_record(candidates: Candidates) -> None:
    name = str(candidates.add(found()).candidate_id)
    candidates.record_verdict(name, CandidateStatus.VALIDATED, {"promised": 0.8}, AT)

    retired = candidates.record_verdict(
        name, CandidateStatus.RETIRED, {"found": -0.2}, AT + timedelta(days=30)
    )

    assert [each.document for each in candidates.verdicts(name)] == [{"promised": 0.8}, {"found": -0.2}]
    assert (retired.status, retired.verdict) == (CandidateStatus.RETIRED, {"found": -0.2})
    assert candidates.in_use() == []


@pytest.mark.parametrize(
    ("status", "document", "at", "said"),
    [
        (CandidateStatus.CANDIDATE, {}, AT, "expected validated, rejected or retired"),
        (CandidateStatus.VALIDATED, {"x": object()}, AT, "no JSON"),
        (CandidateStatus.VALIDATED, {"x": float("nan")}, AT, "JSON"),
        (CandidateStatus.VALIDATED, {}, AT.replace(tzinfo=None), "aware"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused_and_changes_nothing(
    candidates: Candidates, status: CandidateStatus, document: dict[str, object], at: datetime, said: str
) -> None:
    added = candidates.add(found())

    with pytest.raises(ValueError, match=said):
        candidates.record_verdict(str(added.candidate_id), status, document, at)

    assert candidates.of_status() == [added]


def test_a_candidate_that_is_not_there_is_named(candidates: Candidates) -> None:
    with pytest.raises(KeyError, match="no candidate 'momentum-1'"):
        candidates.get("momentum-1")
    with pytest.raises(KeyError, match="no candidate 'momentum-1'"):
        candidates.record_verdict("momentum-1", CandidateStatus.REJECTED, {}, AT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"symbols": ()}, "symbols"),
        ({"trials": 0}, "trials is 0"),
        ({"trial_sharpe_variance": -1.0}, "trial_sharpe_variance"),
        ({"objective": float("nan")}, "objective"),
        ({"created_at": AT.replace(tzinfo=None)}, "created_at"),
    ],
)
def test_a_candidate_without_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        found(**change)


def test_a_ledger_from_before_the_research_gets_its_tables_and_keeps_its_rows(path: Path) -> None:
    """Version 2: orders and the portfolio, no candidates."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection, schema.MIGRATIONS[:2])
        connection.execute("INSERT INTO meta VALUES ('epoch', '3')")

    with Candidates(path) as candidates:
        added = candidates.add(found())

    assert added.status is CandidateStatus.CANDIDATE
    with closing(sqlite3.connect(path)) as connection:
        assert schema.version_of(connection) == len(schema.MIGRATIONS)
        assert connection.execute("SELECT value FROM meta").fetchall() == [("3",)]


def test_a_row_that_makes_no_sense_is_damage_not_a_wrong_argument(path: Path) -> None:
    with Candidates(path) as candidates:
        candidates.add(found())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE candidates SET parameters = '{'")

    with Candidates(path) as candidates, pytest.raises(LedgerError, match="damaged"):
        candidates.of_status()
