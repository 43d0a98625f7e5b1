"""What the quality checks have found, as values, and the file that keeps them. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from trading.marketdata.files import locked, replace_file

MAX_PER_CHECK = 20
"""Findings of one check on one symbol that are listed one by one; the rest becomes one line with a count."""


class Severity(StrEnum):
    """What a finding means for the bars."""

    INFO = "info"  # worth knowing; the bars are right
    WARN = "warn"  # a person should look; the bars are kept
    REFUSE = "refuse"  # the bars cannot be used; stored ones are never replaced by these


EVENTS = frozenset({"revision", "readjusted", "history_changed"})
"""Checks that tell of something that happened rather than of a state: kept when the check is run again."""
EVENT_DAYS = 365
"""How long events are kept."""
OFFERED = "offered_"
"""Stands before the name of a check that bars have failed which were offered and refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in one symbol's bars.

    day: the session it concerns, None for the whole series. value, expected: the numbers compared, in the
    unit that `text` names; None where there is no number. seen: when it was first found (aware UTC), None
    until it is recorded.
    """

    check: str
    symbol: str
    text: str
    severity: Severity = Severity.WARN
    day: date | None = None
    value: float | None = None
    expected: float | None = None
    seen: datetime | None = None

    @property
    def identity(self) -> tuple[str, str, date | None]:
        """What makes two findings the same one."""
        return (self.check, self.symbol, self.day)

    def as_json(self) -> dict[str, object]:
        """Return it as plain JSON values."""
        plain = asdict(self)
        plain["severity"] = str(self.severity)
        day = plain.pop("day")
        plain["date"] = day.isoformat() if day else None
        plain["seen"] = self.seen.isoformat() if self.seen else None
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, object]) -> Finding:
        """Return the finding that `as_json` wrote. Raises KeyError or ValueError if it is not one."""
        day, seen, value, expected = (plain.get(key) for key in ("date", "seen", "value", "expected"))
        return cls(
            check=str(plain["check"]),
            symbol=str(plain["symbol"]),
            text=str(plain["text"]),
            severity=Severity(str(plain["severity"])),
            day=date.fromisoformat(str(day)) if day else None,
            value=float(str(value)) if value is not None else None,
            expected=float(str(expected)) if expected is not None else None,
            seen=datetime.fromisoformat(str(seen)) if seen else None,
        )


def capped(findings: list[Finding]) -> list[Finding]:
    """Return the first MAX_PER_CHECK of one check's findings and one more that counts the rest."""
    if len(findings) <= MAX_PER_CHECK:
        return findings
    rest = len(findings) - MAX_PER_CHECK
    first = findings[0]
    more = Finding(
        check=first.check,
        symbol=first.symbol,
        severity=first.severity,
        value=float(rest),
        text=f"and {rest} more of the same; the first {MAX_PER_CHECK} are listed",
    )
    return [*findings[:MAX_PER_CHECK], more]


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that forbid the use of the bars."""
    return [f for f in findings if f.severity is Severity.REFUSE]


class FindingLog:
    """The findings that stand, in data_dir/quality/findings.jsonl: one JSON object per line, by symbol.

    Lines that are not findings (a hand edit) are dropped at the next write and never stop a job.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = Path(data_dir) / "quality" / "findings.jsonl"

    def read(self) -> list[Finding]:
        """Return what is recorded; an empty list before the first check."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        findings = []
        for line in lines:
            try:
                findings.append(Finding.from_json(json.loads(line)))
            except (ValueError, KeyError, AttributeError):
                continue
        return findings

    def replace(
        self, symbols: Collection[str], findings: Iterable[Finding], now: datetime, *, offered: bool = False
    ) -> int:
        """Make `findings` the ones that stand for `symbols`; return how many of them are new.

        offered: they concern bars that a source offered and that were refused, and replace only such; else
        they concern the stored bars and leave the offered ones alone. Those that were there keep the instant
        they were first seen; events (a revision of history) stay for EVENT_DAYS, and one that happens again
        is new. Nothing is written when nothing changes. Two jobs at once wait for each other.
        """
        with locked(self.path.with_name(".lock")):
            return self._replace(symbols, findings, now, offered)

    def _replace(
        self, symbols: Collection[str], findings: Iterable[Finding], now: datetime, offered: bool
    ) -> int:
        old = self.read()
        known = {f.identity: f for f in old}
        stands = {f.identity: f for f in old if f.symbol not in symbols or _is_kept(f, now, offered)}
        new = 0
        for finding in findings:
            named = replace(finding, check=OFFERED + finding.check) if offered else finding
            before = None if named.check in EVENTS else known.get(named.identity)
            new += before is None
            stands[named.identity] = replace(named, seen=before.seen if before else now)
        ordered = sorted(stands.values(), key=_order)
        if ordered != old:
            text = "".join(json.dumps(f.as_json(), sort_keys=True) + "\n" for f in ordered)
            replace_file(self.path, text.encode())
        return new


def _is_kept(finding: Finding, now: datetime, offered: bool) -> bool:
    """Whether what is recorded of a symbol outlives a new check of its stored (or offered) bars."""
    if finding.check in EVENTS:
        return finding.seen is None or now - finding.seen < timedelta(days=EVENT_DAYS)
    return finding.check.startswith(OFFERED) != offered


def _order(finding: Finding) -> tuple[str, str, str]:
    return (finding.symbol, finding.day.isoformat() if finding.day else "", finding.check)
