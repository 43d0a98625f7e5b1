"""The strategies that searches have found, and what validation said of each, test by test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from observability.dashboard import books as ledger_books
from observability.dashboard.page import Page
from observability.dashboard.pages import reports
from observability.dashboard.paging import Paging
from observability.dashboard.source import Source
from trading.execution.errors import LedgerError
from trading.research.validation.verdict import validation_of

SHOWN: Final = 50

VERDICTS: Final[Mapping[str, tuple[str, str]]] = {
    "candidate": ("info", "to be judged"),
    "validated": ("ok", "validated, in use"),
    "rejected": ("fail", "rejected"),
    "retired": ("warn", "retired"),
}
"""Level and words of a candidate's status."""


TESTS: Final[Mapping[str, tuple[str, str]]] = {
    "passed": ("ok", "passed"),
    "failed": ("fail", "failed"),
    "undecided": ("warn", "undecided"),
}
"""Level and words of a test's outcome."""


def list_candidates(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of all candidates, the newest first. wanted: `page`, from 1."""
    path, found = "/trading/candidates", {"verdicts": VERDICTS}
    try:
        with ledger_books.opened(source.ledger_file) as books:
            paging = Paging.of(wanted, books.count("candidates"), SHOWN, path)
            rows = books.candidates(SHOWN, paging.offset)
            return {**found, "remark": None, "rows": rows, "paging": paging}
    except LedgerError as error:
        return {**found, "remark": str(error), "rows": [], "paging": Paging.of({}, 0, SHOWN, path)}


def one_candidate(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return all about one candidate. Raises LookupError if there is none, or no ledger to ask."""
    name = wanted["candidate_id"]
    try:
        with ledger_books.opened(source.ledger_file) as books:
            candidate, verdicts = books.candidate(name)
    except KeyError:
        raise LookupError(f"there is no candidate {name!r}") from None
    except LedgerError as error:
        raise LookupError(f"the candidate cannot be shown: {error}") from error
    validation = validation_of(verdicts[::-1])
    return {
        "candidate": candidate,
        "validation": validation,
        "checks": [each for each in verdicts if each is not validation],
        "report": reports.validation_of(source, name),
        "verdicts": VERDICTS,
        "tests": TESTS,
    }


PAGES = (
    Page(path="/trading/candidates", template="trading_candidates.html", make=list_candidates),
    Page(path="/trading/candidates/{candidate_id}", template="trading_candidate.html", make=one_candidate),
)
