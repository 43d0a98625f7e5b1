"""The strategies that a search has found, and what became of them: two tables of ledger.db. Light."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from trading.execution.ledger.file import LedgerFile, damaged
from trading.execution.ledger.rows import instant_text


class CandidateStatus(StrEnum):
    """CANDIDATE: the best of its search, not yet judged. VALIDATED: it passed, and is in use. REJECTED: it
    did not. RETIRED: it passed once, and no longer."""

    CANDIDATE = "candidate"
    VALIDATED = "validated"
    REJECTED = "rejected"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A strategy, with all that its result can be made from again.

    family: its key in `trading.backtest.strategies.registry.STRATEGIES`. parameters: the fields of its
    parameters class. settings: what else the objective was made from, `ResearchSettings.to_dict()`.
    data_fingerprint: `PriceHistory.fingerprint` of the bars the search was given, labelled from data_from to
    data_to (UTC dates); no later bar was seen. code_version, code_hash: of this program and of the sources
    that the result depends on. seed, study: of the search. trials: how many it took, the pruned and failed
    ones too; trial_sharpe_variance: the variance (ddof 1) of the Sharpe ratios per period of those that have
    one. objective: what the search maximised.

    candidate_id: None until it is added; then it says all but the last five fields, in short.
    verdict, decided_at: the newest verdict's document and instant; None: not judged yet.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    family: str
    parameters: Mapping[str, Any]
    symbols: tuple[str, ...]
    settings: Mapping[str, Any]
    data_fingerprint: str
    data_from: date
    data_to: date
    code_version: str
    code_hash: str
    seed: int
    study: str
    trials: int
    trial_sharpe_variance: float
    objective: float
    created_at: datetime
    candidate_id: str | None = None
    status: CandidateStatus = CandidateStatus.CANDIDATE
    verdict: Mapping[str, Any] | None = None
    decided_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.symbols:
            raise ValueError("symbols is empty: expected at least one symbol")
        if self.trials < 1:
            raise ValueError(f"trials is {self.trials!r}: expected at least 1")
        if not (math.isfinite(self.trial_sharpe_variance) and self.trial_sharpe_variance >= 0):
            raise ValueError(
                f"trial_sharpe_variance is {self.trial_sharpe_variance!r}: expected a number from 0 up"
            )
        if not math.isfinite(self.objective):
            raise ValueError(f"objective is {self.objective!r}: expected a finite number")
        if self.created_at.tzinfo is None:
            raise ValueError(f"created_at is {self.created_at!r}: expected an aware instant")

    @property
    def content_id(self) -> str:
        """The id of these parameters on these bars with this code: the same ones have the same one."""
        told = [
            self.family,
            dict(self.parameters),
            list(self.symbols),
            dict(self.settings),
            self.data_fingerprint,
            self.code_hash,
        ]
        digest = hashlib.sha256(_text(told).encode()).hexdigest()
        return f"{self.family}-{digest[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of a candidate at one instant. document: each test's number and threshold."""

    candidate_id: str
    status: CandidateStatus
    at: datetime
    document: Mapping[str, Any]


class Candidates:
    """Reads and writes the candidates in ledger.db; begins the file if there is none.

    path: of ledger.db. Everything may raise LedgerError.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._file = LedgerFile(path, read_only=read_only)

    def __enter__(self) -> Candidates:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def add(self, candidate: Candidate) -> Candidate:
        """Store a new CANDIDATE; return it as it stands in the ledger.

        One of the same content is there once: if it is there, its status and verdicts stay, and the larger
        search's number of trials and their variance count.
        """
        known = candidate.content_id
        with self._file.transaction("IMMEDIATE"):
            stored = self._where("WHERE c.candidate_id = ?", known)
            if not stored:
                row = _row_of(candidate) | {"candidate_id": known, "status": CandidateStatus.CANDIDATE.value}
                self._file.rows(
                    f"INSERT INTO candidates ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                    *row.values(),
                )
            elif candidate.trials > stored[0].trials:
                self._file.rows(
                    "UPDATE candidates SET trials = ?, trial_sharpe_variance = ? WHERE candidate_id = ?",
                    candidate.trials,
                    candidate.trial_sharpe_variance,
                    known,
                )
        return self.get(known)

    def get(self, candidate_id: str) -> Candidate:
        """Return a candidate. Raises KeyError if there is none of this id."""
        found = self._where("WHERE c.candidate_id = ?", candidate_id)
        if not found:
            raise KeyError(f"{self._file.path} has no candidate {candidate_id!r}")
        return found[0]

    def of_status(self, *statuses: CandidateStatus) -> list[Candidate]:
        """Return the candidates of any of these statuses (none given: all), the oldest first."""
        if not statuses:
            return self._where("ORDER BY c.created_at, c.candidate_id")
        marks = ", ".join("?" * len(statuses))
        return self._where(
            f"WHERE c.status IN ({marks}) ORDER BY c.created_at, c.candidate_id",
            *(each.value for each in statuses),
        )

    def in_use(self) -> list[Candidate]:
        """Return the VALIDATED ones, the oldest first."""
        return self.of_status(CandidateStatus.VALIDATED)

    def record_verdict(
        self, candidate_id: str, status: CandidateStatus, document: Mapping[str, Any], at: datetime
    ) -> Candidate:
        """Add a verdict, which from now on is the candidate's status; return the candidate.

        Raises:
            KeyError: if there is no candidate of this id.
            ValueError: if the status is CANDIDATE, the document is no JSON, or `at` has no zone.
        """
        if status is CandidateStatus.CANDIDATE:
            raise ValueError(f"status is {status.value!r}: expected validated, rejected or retired")
        if at.tzinfo is None:
            raise ValueError(f"at is {at!r}: expected an aware instant")
        with self._file.transaction("IMMEDIATE"):
            self.get(candidate_id)
            self._file.rows(
                "INSERT INTO verdicts (candidate_id, status, at, document) VALUES (?, ?, ?, ?)",
                candidate_id,
                status.value,
                instant_text(at),
                _text(dict(document)),
            )
            self._file.rows(
                "UPDATE candidates SET status = ? WHERE candidate_id = ?", status.value, candidate_id
            )
        return self.get(candidate_id)

    def verdicts(self, candidate_id: str) -> list[Verdict]:
        """Return every verdict on a candidate, the oldest first."""
        rows = self._file.rows("SELECT * FROM verdicts WHERE candidate_id = ? ORDER BY number", candidate_id)
        with self._sound():
            return [
                Verdict(
                    candidate_id=row["candidate_id"],
                    status=CandidateStatus(row["status"]),
                    at=datetime.fromisoformat(row["at"]),
                    document=json.loads(row["document"]),
                )
                for row in rows
            ]

    def _where(self, rest: str, *values: object) -> list[Candidate]:
        rows = self._file.rows(
            "SELECT c.*, v.document AS verdict, v.at AS decided_at FROM candidates c LEFT JOIN verdicts v ON "
            "v.number = (SELECT max(number) FROM verdicts WHERE candidate_id = c.candidate_id) " + rest,
            *values,
        )
        with self._sound():
            return [_candidate_of(row) for row in rows]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """What is stored can be read: if not, the file is damaged, not the argument wrong."""
        try:
            yield
        except (ValueError, LookupError, TypeError) as error:
            raise damaged(self._file.path, error) from error


def _row_of(candidate: Candidate) -> dict[str, object]:
    return {
        "family": candidate.family,
        "parameters": _text(dict(candidate.parameters)),
        "symbols": _text(list(candidate.symbols)),
        "settings": _text(dict(candidate.settings)),
        "data_fingerprint": candidate.data_fingerprint,
        "data_from": candidate.data_from.isoformat(),
        "data_to": candidate.data_to.isoformat(),
        "code_version": candidate.code_version,
        "code_hash": candidate.code_hash,
        "seed": candidate.seed,
        "study": candidate.study,
        "trials": candidate.trials,
        "trial_sharpe_variance": float(candidate.trial_sharpe_variance),
        "objective": float(candidate.objective),
        "created_at": instant_text(candidate.created_at),
    }


def _candidate_of(row: Mapping[str, Any]) -> Candidate:
    read = dict(row)
    decided = read.pop("decided_at")
    verdict = read.pop("verdict")
    return Candidate(
        **{
            **read,
            "parameters": json.loads(read["parameters"]),
            "symbols": tuple(json.loads(read["symbols"])),
            "settings": json.loads(read["settings"]),
            "data_from": date.fromisoformat(read["data_from"]),
            "data_to": date.fromisoformat(read["data_to"]),
            "created_at": datetime.fromisoformat(read["created_at"]),
            "status": CandidateStatus(read["status"]),
        },
        verdict=None if verdict is None else json.loads(verdict),
        decided_at=None if decided is None else datetime.fromisoformat(decided),
    )


def _text(value: object) -> str:
    """JSON of one form, so that equal contents are equal text. Raises ValueError for what JSON has not."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(f"{value!r} is no JSON document: {error}") from None
