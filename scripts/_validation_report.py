"""The reports on candidates: what each test found against which threshold, by candidate, and an overview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from observability.report_document import FAIL, OK, WARN, Block, Document, Heading, Notice, Table, Text
from scripts._report import LISTED, write_report
from trading.research.candidates import Candidate, Candidates
from trading.research.validation.verdict import validation_of

FOLDER: Final = "validation"
LEVELS: Final = {"validated": OK, "rejected": FAIL, "inconclusive": WARN}
MARKS: Final = {"passed": OK, "failed": FAIL, "undecided": WARN}
WORDS: Final = {
    "validated": "VALIDATED: it passed every test.",
    "rejected": "REJECTED: it did not pass every test.",
    "inconclusive": "INCONCLUSIVE: something is missing to tell. It stays a candidate and is judged again.",
}


def write_reports(
    candidates: Candidates, documents: Mapping[str, Mapping[str, Any]], reports: Path, at: datetime
) -> Path:
    """Write the reports of these documents (by candidate), those of recorded verdicts that have none yet, and
    the overview; return the overview's path. at: when the documents were made.

    Raises:
        LedgerError, OSError: if they cannot be read or written.
    """
    folder, rows = reports / FOLDER, []
    for candidate in reversed(candidates.of_status()):
        name = str(candidate.candidate_id)
        if name in documents:
            document, made_at = documents[name], at
        else:
            verdict = validation_of(candidates.verdicts(name))
            if verdict is None:
                continue
            document, made_at = verdict.document, verdict.at
        if name in documents or not (folder / f"{name}.html").exists():
            write_report(report_of(candidate, document, made_at), folder, name)
        rows.append((candidate, document, made_at))
    return write_report(overview_of(rows[:LISTED], len(rows), at), folder, "overview")[0]


def report_of(candidate: Candidate, document: Mapping[str, Any], at: datetime) -> Document:
    """Return the report on one candidate, from its verdict's document."""
    blocks: list[Block] = [
        Notice(LEVELS[document["verdict"]], WORDS[document["verdict"]]),
        *(Notice(LEVELS[document["verdict"]], reason) for reason in document["reasons"]),
    ]
    if document["tests"]:
        blocks += [Heading("The tests"), tests_table(document["tests"]), _holding(document["holding"])]
    blocks += [Heading("The candidate"), _candidate_table(candidate)]
    if document["evidence"]:
        blocks += [Heading("What the verdict rests on"), _evidence_table(document["evidence"])]
    return Document(
        title=f"Validation of {candidate.candidate_id}",
        subtitle=f"judged {at:%Y-%m-%d %H:%M} UTC; every number is also in the verdict in ledger.db",
        blocks=tuple(blocks),
    )


def tests_table(tests: Sequence[Mapping[str, Any]]) -> Table:
    """Return each test's number, threshold and answer."""
    return Table(
        ("Test", "#Found", "#Asked", "Answer", "In words"),
        tuple(
            (
                test["name"].replace("_", " "),
                "–" if test["value"] is None else f"{test['value']:.4g}",
                f"{test['rule']} {test['threshold']:g}",
                test["status"],
                test["text"],
            )
            for test in tests
        ),
        tuple(MARKS[test["status"]] for test in tests),
    )


def _holding(holding: Mapping[str, float]) -> Text:
    return Text(
        f"For comparison, no test: to hold the same symbols on the same days has a Sharpe ratio of "
        f"{holding['sharpe']:.2f}, the candidate {holding['own_sharpe']:.2f}."
    )


def overview_of(
    rows: Sequence[tuple[Candidate, Mapping[str, Any], datetime]], count: int, at: datetime
) -> Document:
    """Return the table of verdicts, the newest candidate first. count: of all there are."""
    if not rows:
        return Document(
            title="Validations",
            subtitle=f"{at:%Y-%m-%d %H:%M} UTC",
            blocks=(Text("No candidate was judged."),),
        )
    table = Table(
        ("Candidate", "Verdict", "Judged", "Status", "Why"),
        tuple(
            (
                str(candidate.candidate_id),
                document["verdict"],
                f"{made_at:%Y-%m-%d}",
                candidate.status.value,
                "; ".join(reason.split(":")[0] for reason in document["reasons"]) or "every test was passed",
            )
            for candidate, document, made_at in rows
        ),
        tuple(LEVELS[document["verdict"]] for _, document, _ in rows),
    )
    more = [Text(f"and {count - len(rows)} earlier ones.")] if count > len(rows) else []
    return Document(title="Validations", subtitle=f"{at:%Y-%m-%d %H:%M} UTC", blocks=(table, *more))


def _candidate_table(candidate: Candidate) -> Table:
    parameters = ", ".join(f"{name} = {value}" for name, value in candidate.parameters.items())
    return Table(
        ("What", "Value"),
        (
            ("Strategy", candidate.family),
            ("Parameters", parameters or "none"),
            ("Symbols", ", ".join(candidate.symbols)),
            ("Study", f"{candidate.study}, {candidate.trials} trials, seed {candidate.seed}"),
            ("Bars of the search", f"{candidate.data_from} to {candidate.data_to}"),
            ("Objective", f"{candidate.objective:.4f}, the median Sharpe ratio of the windows"),
            ("Program", f"{candidate.code_version}, sources {candidate.code_hash[:12]}"),
        ),
    )


def _evidence_table(evidence: Mapping[str, Any]) -> Table:
    later = evidence["later"]
    same = "the search's own" if evidence["same_bars"] else "CORRECTED since the search"
    return Table(
        ("What", "Value"),
        (
            ("Bars", f"{evidence['studied']['from']} to {evidence['studied']['to']}, {same}"),
            ("New days", f"{evidence['new_days']}" + (f", up to {later['to']}" if later else "")),
            ("Trials with stored returns", str(evidence["study_trials"])),
            ("Sources", evidence["code_hash"][:12]),
            (
                "Versions",
                ", ".join(f"{name} {version}" for name, version in sorted(evidence["versions"].items())),
            ),
        ),
    )
